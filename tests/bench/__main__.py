"""`python -m tests.bench --python PEERS [--rows eager,full] [--to FOLDER]`: runs and writes."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from sft_tui.core.training.locate import locate
from tests.bench import ours, peers, table
from tests.bench.jobs import JOBS, Job, configuration, encoded, write_rows
from tests.bench.side import Pair


class Quiet:
    """Takes what conversion of the model tells."""

    def phase(self, name: str, *amounts: object) -> None:
        """Says in a word what takes a while."""
        print(f"{name} …", file=sys.stderr, flush=True)


def measure(job: Job, model: Path, python: Path, folder: Path) -> list[Pair]:
    """Runs both sides of a job in turn, as often as it has pairs.

    Raises:
        Failed: A side did not do its steps.
    """
    rows = job.steps * job.micro_batch_size
    config = configuration(job, write_rows(folder, job.contexts, rows))
    given = encoded(config, rows)
    pairs: list[Pair] = []
    for number in range(job.pairs):
        place = folder / f"{job.name}-{number}"
        mine = ours.run(config, place / "runs")
        theirs = peers.run(job, config, given, model, python, place / "peer")
        pairs.append(Pair(mine, theirs))
        ratio = pairs[-1].ratio(job.warmup, wall=job.wall)
        print(f"{job.name} {number + 1}/{job.pairs}: {ratio:.2f}", file=sys.stderr, flush=True)
        shutil.rmtree(place)
    return pairs


def main() -> None:
    """Measures the jobs that are named, or all, and writes the table after each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--python", type=Path, required=True, help="of the peers' environment")
    parser.add_argument("--rows", default="", help="names of jobs, with commas; all without")
    parser.add_argument("--to", type=Path, default=Path("build/bench"), help="where it is written")
    options = parser.parse_args()
    names = options.rows.split(",") if options.rows else [job.name for job in JOBS]
    if unknown := set(names) - {job.name for job in JOBS}:
        parser.error(f"no job {', '.join(unknown)}; there are {', '.join(j.name for j in JOBS)}")
    model = Path(locate(configuration(JOBS[0], Path("demo")).model, Quiet()))
    found: list[tuple[Job, list[Pair]]] = []
    with tempfile.TemporaryDirectory(prefix="sft-tui-bench-") as folder:
        for job in (job for job in JOBS if job.name in names):
            try:
                pairs = measure(job, model, options.python.absolute(), Path(folder))
            except ours.Failed as error:
                print(f"{job.name} was not measured:\n{error}", file=sys.stderr, flush=True)
                continue
            found.append((job, pairs))
            path = table.write(found, options.to)
    if not found:
        sys.exit("nothing was measured")
    print(path.read_text())


if __name__ == "__main__":
    main()
