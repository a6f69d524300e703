"""The estimate in words: unknown is "–" with the reason, what is too large says what would fit."""

import msgspec
import pytest

from sft_tui.core.errors import SftError
from sft_tui.core.sidecar.effect_calls import Adapter, Disk, Effects, Fit, Kind, Memory, Speed
from sft_tui.core.sidecar.protocol import Failure
from sft_tui.tui.screens.new.estimate_lines import in_one_line, lines

GIB = 1 << 30
KNOWN = Effects(
    rows_per_step=16,
    adapter=Adapter([Kind("q_proj", 36)], 33_000_000, 4_020_000_000),
    memory=Memory({"weights": 8 * GIB, "head": GIB}, 9 * GIB, 8 * GIB, 10 * GIB, 512),
    fits=[Fit(device="GPU 0", capacity=10 * GIB, word="tight", share=0.9)],
    steps=1200,
    steps_per_epoch=400,
    disk=Disk(GIB, 3, GIB, 400 * GIB),
    speed=Speed(12_345.0, "20260101-000000-x-0a3f"),
    epoch_s=1800.0,
)


def told(found, error=None) -> str:
    return "\n".join(f"{key} {words}" for key, words, _ in lines(found, error))


def changed(**more):
    return msgspec.structs.replace(KNOWN, **more)


def test_what_is_known_is_told_with_amounts():
    said = told(KNOWN)
    assert "memory ~9.0 / 10.0 GiB  █████████░  ! tight" in said
    assert "weights 8.0 GiB · head 1.0 GiB; rows of 512 tokens" in said
    assert "trained 33M parameters (0.82 %) in 36 layers" in said
    assert "steps 1,200 (3 epochs × 400); 16 rows a step" in said
    assert "time ~1:30:00 at 12.3k tok/s (run 0a3f)" in said
    assert "disk 3 checkpoints × 1.0 GiB, 400.0 GiB free" in said


def test_what_is_not_known_is_a_dash_and_never_nothing_or_zero():
    nothing = Effects(rows_per_step=16)
    assert [words[0] for key, words, _ in lines(nothing, None) if key] == ["–"] * 5
    assert in_one_line(nothing, None) == "memory – · steps – · time – · disk –"


def test_what_does_not_fit_says_what_would_and_whether_it_can_be_set():
    over = Fit(
        device="GPU 0", capacity=6 * GIB, word="over", share=1.5,
        instead="micro-batches of 1", instead_total=5 * GIB, settable=True,
    )  # fmt: skip
    assert "██████████  ✗ over" in told(changed(fits=[over]))
    assert "would fit with micro-batches of 1: ~5.0 GiB" in told(changed(fits=[over]))
    far = msgspec.structs.replace(over, settable=False)
    assert "(cannot be set yet)" in told(changed(fits=[far]))


def test_every_device_is_told_and_the_worst_in_the_one_line():
    fits = [
        Fit(device=f"GPU {n}", capacity=10 * GIB, word=word, share=0.5)
        for n, word in enumerate(["fits", "over", "fits", "fits", "fits", "fits"])
    ]
    said = told(changed(fits=fits))
    assert "GPU 1: ~9.0 / 10.0 GiB" in said and "and 2 more devices" in said
    assert "✗ over" in in_one_line(changed(fits=fits), None)


@pytest.mark.parametrize("part", ["failure", "adapter_failure"])
def test_a_failure_says_what_why_and_what_to_do(part):
    failure = Failure("the Hub is not reachable", "no \x1b[31mroute", "check the connection")
    fits = [Fit(device="host", capacity=GIB, word="unknown", why="the Hub is not reachable")]
    found = Effects(rows_per_step=1, fits=fits, **{part: failure})
    assert "? unknown: the Hub is not reachable" in told(found)
    assert "trained –  the Hub is not reachable: no route. check the connection" in told(found)


def test_a_helper_that_failed_is_told_once():
    error = SftError("the helper process ended", "it was killed", "free some memory")
    assert told(None, error) == " ✗ the helper process ended: it was killed. free some memory"


def test_a_disk_that_is_too_small_is_told():
    assert "✗ too little: 3 checkpoints" in told(changed(disk=Disk(GIB, 3, GIB, 2 * GIB)))
