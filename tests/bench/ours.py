"""Our side: a real trainer process, started as a user's is, read from what it tells."""

import time
from pathlib import Path

from sft_tui.core import events, launch
from sft_tui.core.config import RunConfig
from sft_tui.core.tail import Tail
from tests.bench.side import Side, seconds_between, waited


class Failed(Exception):
    """A side that did not do its steps."""


def run(config: RunConfig, folder: Path) -> Side:
    """Trains a configuration and returns what it took.

    Raises:
        Failed: The run did not finish.
    """
    began = time.time()
    trainer = launch.start(config, folder)
    code, peak = waited(trainer.child)
    wall = time.time() - began
    told = [events.decode(line) for line in Tail(trainer.run.events).read()]
    steps = [event for event in told if isinstance(event, events.Step)]
    started = next((event for event in told if isinstance(event, events.RunStarted)), None)
    if code or started is None:
        raise Failed(trainer.run.log.read_text()[-3000:])
    gpus = [gpu.name for event in told if isinstance(event, events.System) for gpu in event.gpus]
    on_gpu = not started.device.startswith("cpu")
    return Side(
        [step.tokens for step in steps],
        seconds_between(began, [step.t for step in steps]),
        [float(step.loss) for step in steps if step.loss is not None],
        steps[0].t - began,
        wall,
        max(step.memory_bytes for step in steps) if on_gpu else peak,
        started.versions | {name: said for name, said in started.choices.items()},
        started.device,
        gpus[0] if gpus and on_gpu else "",
        started.total_params,
    )
