"""The other side: a peer in its own environment, with the rows that ours trains."""

import json
import os
import subprocess
import time
from pathlib import Path

from sft_tui.core.config import RunConfig
from sft_tui.core.launch import trainer_environment
from tests.bench.jobs import SEED, Job, tokens_by_step
from tests.bench.ours import Failed
from tests.bench.side import Side, seconds_between, waited

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def run(
    job: Job,
    config: RunConfig,
    rows: list[dict[str, list[int]]],
    model: Path,
    python: Path,
    folder: Path,
) -> Side:
    """Trains a job with its peer, under the environment variables that ours has.

    Args:
        job: What is timed.
        config: Ours, for the environment.
        rows: As ours trains them.
        model: The folder that both load.
        python: Of the peers' environment.
        folder: For what it writes.

    Raises:
        Failed: It did not do its steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options, out, log = folder / "options.json", folder / "steps.jsonl", folder / "log"
    options.write_text(
        json.dumps(
            {
                "peer": job.peer,
                "model": str(model),
                "precision": job.precision,
                "compile": job.compiled_peer,
                "micro_batch_size": job.micro_batch_size,
                "steps": job.steps,
                "target_modules": MODULES,
                "rows": rows,
                "seed": SEED,
                "output": str(folder / "output"),
                "out": str(out),
            }
        )
    )
    script = Path(__file__).with_name("peer.py")
    began = time.time()
    with log.open("wb") as said:
        child = subprocess.Popen(
            [python, script, options],
            stdout=said,
            stderr=said,
            env=trainer_environment(config)
            | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": _gpu()},
            start_new_session=True,
        )
        code, peak = waited(child)
    wall = time.time() - began
    told = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    if code or not told or "done" not in told[-1]:
        raise Failed(log.read_text()[-3000:])
    steps = [each for each in told if "step" in each]
    return Side(
        tokens_by_step(rows, job)[: len(steps)],
        seconds_between(began, [each["t"] for each in steps]),
        [each["loss"] for each in steps],
        steps[0]["t"] - began,
        wall,
        told[-1]["peak"] or peak,
        told[-1]["versions"],
        "cuda" if told[-1]["peak"] else "cpu",
    )


def _gpu() -> str:
    """Returns the one GPU that a peer may see, as ours takes one."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
