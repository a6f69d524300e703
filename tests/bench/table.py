"""The table that `make bench` is for, and the raw figures beside it."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sft_tui.core import arithmetic
from tests.bench.jobs import SEED, Job
from tests.bench.side import Pair, Side, median

Found = Sequence[tuple[Job, Sequence[Pair]]]

_HEADS = (
    "job", "must", "ours / peer", "each pair", "ours tok/s", "peer tok/s", "memory",
    "first step", "losses of steps 1–3, ours and peer",
)  # fmt: skip


def markdown(found: Found) -> str:
    """Returns the table with what a reader needs to judge it."""
    lines = [
        "| " + " | ".join(_HEADS) + " |",
        "|" + "---|" * len(_HEADS),
        *(_line(job, pairs) for job, pairs in found),
    ]
    ours, peer = found[0][1][0].ours, found[0][1][0].peer
    versions = ", ".join(f"{name} {version}" for name, version in peer.versions.items())
    return "\n".join(
        [
            *lines,
            "",
            f"Machine: {machine()}; device {ours.device}. Peers: {versions}. Seed {SEED}.",
            "Tokens are those of the rows, without padding. Ours and peer run in turn, each in a "
            "process of its own, on the same rows with the same labels; a ratio is the median of "
            "its pairs. Memory and first step are ours as a share of the peer's.",
        ]
    )


def _line(job: Job, pairs: Sequence[Pair]) -> str:
    ratios = [pair.ratio(job.warmup, wall=job.wall) for pair in pairs]

    def speed(sides: Sequence[Side]) -> str:
        if job.wall:
            return " / ".join(f"{side.wall_s:.0f} s" for side in sides)
        found = median([side.tokens_per_s(job.warmup) for side in sides])
        used = mfu(pairs[0].ours.parameters, found, pairs[0].ours.gpu)
        return f"{found:,.0f}" + ("" if used is None else f" (MFU {used:.0%})")

    ours, peers = [pair.ours for pair in pairs], [pair.peer for pair in pairs]
    cells = (
        f"{job.title} ({job.steps - job.warmup} steps)",
        job.bar,
        f"**{median(ratios):.2f}×**",
        ", ".join(f"{ratio:.2f}" for ratio in ratios),
        speed(ours),
        speed(peers),
        f"{median([p.ours.peak_bytes / p.peer.peak_bytes for p in pairs]):.2f}× "
        f"of {median([side.peak_bytes for side in peers]) / 2**30:.1f} GiB",
        f"{median([p.ours.first_step_s / p.peer.first_step_s for p in pairs]):.2f}× "
        f"of {median([side.first_step_s for side in peers]):.0f} s",
        f"{_losses(ours[0])}; {_losses(peers[0])}",
    )
    return "| " + " | ".join(cells) + " |"


def _losses(side: Side) -> str:
    return ", ".join(f"{loss:.3f}" for loss in side.losses[:3])


def mfu(parameters: int, tokens_per_s: float, gpu: str) -> float | None:
    """Returns the share of a GPU's arithmetic that frozen training of an adapter uses.

    Returns:
        None where the GPU's peak is not known.
    """
    peak = arithmetic.peak_flops(gpu, "bf16")
    return None if peak is None else arithmetic.flops_per_token(0, parameters) * tokens_per_s / peak


def machine() -> str:
    """Returns what the figures were taken on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
    return (
        f"{os.cpu_count()} cores, {name}, {platform.system()}, Python {platform.python_version()}"
    )


def write(found: Found, folder: Path) -> Path:
    """Writes `table.md` and `pairs.json`, and returns the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = {
        job.name: {"job": asdict(job), "pairs": [asdict(p) for p in pairs]} for job, pairs in found
    }
    (folder / "pairs.json").write_text(json.dumps(raw, indent=1))
    path = folder / "table.md"
    path.write_text(markdown(found) + "\n")
    return path
