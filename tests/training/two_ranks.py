"""Two processes that train as the ranks of one run, and what they left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sft_tui.core import config_file, events
from sft_tui.core.rundir import RunDir
from sft_tui.core.tail import Tail


class Pair:
    """Two processes of `pair.py`, and the runs that they did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        script = Path(__file__).with_name("pair.py")
        self.log = (folder / "log").open("w+")
        self.children = [
            subprocess.Popen(
                [sys.executable, script, str(rank)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            for rank in range(2)
        ]

    def train(self, config, run: RunDir | None = None) -> "Two":
        """Trains a configuration on two ranks, in a new run or one that goes on."""
        self.count += 1
        if run is None:
            run = RunDir(self.folder / f"two-{self.count}")
            run.path.mkdir()
        before = len(told(run))
        file = self.folder / f"config-{self.count}.yaml"
        file.write_text(config_file.to_yaml(config))
        job = {"run": str(run.path), "config": str(file)}
        job["store"] = str(self.folder / f"store-{self.count}")
        self.log.seek(0, os.SEEK_END)
        began = self.log.tell()
        for child in self.children:
            child.stdin.write(json.dumps(job) + "\n")
            child.stdin.flush()
        answers = [child.stdout.readline() for child in self.children]
        self.log.seek(began)
        log = self.log.read()
        assert all(answer.startswith("done") for answer in answers), log
        return Two(run, told(run)[before:], log)

    def end(self) -> None:
        for child in self.children:
            child.kill()
            child.communicate()
        self.log.close()


class Two:
    """What a run of two ranks left behind."""

    def __init__(self, run: RunDir, events_: list[events.Event], log: str) -> None:
        self.run, self.told, self.log = run, events_, log

    def of(self, kind):
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def losses(self):
        return [event.loss for event in self.of(events.Step)]


def told(run):
    return [event for line in Tail(run.events).read(1 << 30) if (event := events.decode(line))]
