"""Two ranks that run one job after another, so that torch is imported once for many tests.

`python pair.py RANK` reads a job a line, {"run", "config", "store"}, and answers each with a line
that begins with `done`. A job that fails ends it, with a traceback on stderr. What is run is the
recipe of a rank of the trainer.
"""

import json
import sys
from pathlib import Path

import torch

from sft_tui.core import config_file
from sft_tui.core.rundir import RunDir
from sft_tui.core.training import recipe
from sft_tui.core.training.crew import Place
from sft_tui.core.training.rank import Silent
from sft_tui.core.training.report import Report
from sft_tui.core.training.steering import Steering


def run(rank: int, job: dict[str, str]) -> str:
    run = RunDir(Path(job["run"]))
    config = config_file.load(Path(job["config"]))
    report = Report(run) if rank == 0 else Silent(run)
    steering = Steering(run, report, reads=rank == 0)
    step = recipe.run_training(run, config, report, steering, Place(rank, 2, job["store"]))
    return f"done {step}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank = int(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(run(rank, json.loads(line)), file=answers, flush=True)
