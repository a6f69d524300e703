"""The hardware panel: any number of GPUs fits, the odd one is named, nothing is invented."""

import pytest

from sft_tui.core import events
from sft_tui.core.gpu_watch import Holder, Watched
from sft_tui.tui.services.gpu_board import KEPT, GpuBoard
from sft_tui.tui.widgets import hardware_panel

SIZES = [(34, 11), (40, 13)]
"""What there is within the panel at 120×36 and at 160×45."""
OURS = Holder(41, "ada", "python", 24 << 30, True)
OTHER = Holder(8812, "bob", "python", 31 << 30, False)


def machine(*used: float | None) -> events.System:
    gpus = [
        events.Gpu(
            index=at, name="H100 80G", utilisation=share, memory_used_bytes=61 << 30,
            memory_total_bytes=80 << 30, temperature_c=68, power_w=402.0, power_limit_w=700.0,
        )
        for at, share in enumerate(used)
    ]  # fmt: skip
    return events.System(host="box", gpus=gpus, cpu=0.5, memory_used_bytes=2 << 30)


def board(*used: float | None, watched=()) -> GpuBoard:
    found = GpuBoard()
    found.add(machine(*used), watched, live=True)
    return found


def shown(found: GpuBoard, size=SIZES[0], **options) -> str:
    return hardware_panel.panel(found, "no NVIDIA GPU visible: why", size, **options)[1]


@pytest.mark.parametrize("count", [0, 1, 4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_any_number_of_gpus_fits(count, size):
    """U49"""
    found = board(*[0.98] * count)
    lines = shown(found, size).split("\n")

    assert max(map(len, lines)) <= size[0] or count == 0
    assert len(lines) <= size[1]
    assert len(hardware_panel.strip(found)) <= 79
    assert sum(line.count("98 %") for line in lines) == count


def test_what_is_odd_is_seen_where_not_all_rows_are():
    """U49"""
    watched = [Watched(0, "", (OURS, OTHER))]
    many = board(*[0.98] * 7, 0.1, watched=watched)
    first = shown(many, (34, 8)).split("\n")[:3]
    assert "GPU 7 is at 10 %" in first[0] and "! GPU 0: pid 8812" in first[1]
    whole = shown(many, (34, 11)).split("\n")
    assert len(whole) == 11 and whole[0].startswith("0 ") and "cpu 50 %" in whole[-1]


@pytest.mark.parametrize("count", [4, 8])
def test_the_odd_gpu_is_named_in_words(count):
    """U49"""
    used = [0.98] * count
    used[3] = 0.12
    said = "GPU 3 is at 12 %, the others are at 98 %."

    assert said in shown(board(*used)) and said in hardware_panel.strip(board(*used))


@pytest.mark.parametrize(
    "used", [(), (0.1,), (0.9, 0.8), (None, 0.9), (0.5, 0.4, 0.6), (None,) * 4]
)
def test_gpus_alike_or_unknown_are_not_odd(used):
    assert hardware_panel.odd_one(machine(*used).gpus) == ""


def test_unknown_is_a_dash():
    """U40"""
    found = GpuBoard()
    gpus = [events.Gpu(index=at, name="GPU") for at in range(4)]
    found.add(events.System(host="h", gpus=gpus), live=True)

    assert "0 %" not in shown(found) and shown(found).count("–") >= 16
    assert not found.lost, "what never told anything was not lost"


@pytest.mark.parametrize("why", ["MIG", "no permission"])
def test_a_use_that_is_not_told_says_why_and_is_never_0(why):
    """U40"""
    found = board(None, watched=[Watched(0, why)])
    for text in (shown(found), hardware_panel.strip(found), shown(found, history=True)):
        assert f"n/a ({why})" in text and " 0 %" not in text
    several = shown(board(None, 0.9, watched=[Watched(0, why), Watched(1)]))
    assert ("MIG" if why == "MIG" else "n/a") in several.split("\n")[0] and " 0 %" not in several


def test_memory_is_told_of_the_device_of_this_run_and_at_its_peak():
    found = board(0.9, watched=[Watched(0, "", (OURS,))])
    assert "61.0/80.0 GiB" in shown(found)
    assert "run 24.0  peak 26.0 GiB" in shown(found, peak=26 << 30)
    assert "run 24.0 GiB" in shown(found) and "peak" not in shown(found)
    assert "run" not in shown(board(0.9)) and "run –  peak 26.0" in shown(board(0.9), peak=26 << 30)


def test_a_process_of_others_on_a_gpu_of_the_run_is_told_with_pid_user_and_memory():
    small = Holder(7, "eve", "x", 1 << 29, False)
    unknown = Holder(9, None, None, None, False)
    found = board(
        0.9, 0.9, watched=[Watched(0, "", (OURS, OTHER, small)), Watched(1, "", (OTHER,))]
    )
    assert [(index, each.pid) for index, each in found.foreign] == [(0, 8812)]
    assert "! GPU 0: pid 8812 31.0 GiB bob p" in shown(found)
    assert "others: GPU 0: pid 8812 31.0 GiB" in hardware_panel.strip(found)
    one = board(0.9, watched=[Watched(0, "", (OURS, unknown))])
    assert "pid 9 – GiB user unknown" in hardware_panel.foreign(one)[0]
    assert len(hardware_panel.strip(one)) <= 79


def test_a_gpu_that_vanishes_is_named_and_keeps_its_row():
    found = board(0.9, 0.9)
    for system in (
        events.System(host="h", gpus=[*machine(0.9).gpus, events.Gpu(index=1, name="GPU")]),
        machine(0.9),
    ):
        found.add(system, live=True)
        assert found.lost == [1] and [gpu.name for gpu in found.gpus] == ["H100 80G"] * 2
        for text in (shown(found), shown(found, history=True), hardware_panel.strip(found)):
            assert "GPU 1 is gone" in text
        assert shown(found).split("\n")[1].split()[:3] == ["1", "–", "–/–"]
    found.add(events.System(host="h"), live=True)
    assert "GPU 0, 1 are gone" in hardware_panel.strip(found)
    found.add(machine(0.9, 0.9), live=True)
    assert not found.lost, "it came back"


def test_the_last_two_minutes_are_drawn_with_gaps_where_nothing_is_known():
    values = [0.0] * 30 + [None] * 30 + [0.5] * 30 + [1.0] * 30
    assert len(values) == KEPT
    assert hardware_panel.trend(values, 4) == "▁ ▄█"
    assert hardware_panel.graph(values, 4, 2) == ["   █", "▁ ██"]
    assert hardware_panel.trend([1.0], 4) == "   █", "what was before is unknown"


@pytest.mark.parametrize("count", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [*SIZES, (76, 19)])
def test_the_graphs_fit_with_every_gpu_and_its_number(count, size):
    found = board(*[0.98] * count, watched=[Watched(at, "", (OURS, OTHER)) for at in range(count)])
    lines = shown(found, size, history=True).split("\n")
    own = [line for line in lines if not line.startswith("!")]
    assert max(map(len, lines)) <= size[0]
    assert sum("98 %" in line for line in own) == count
    if count < 4:
        assert len(lines) <= size[1]


def test_recorded_samples_say_nothing_once_there_are_live_ones():
    found = GpuBoard()
    found.add(machine(0.1), live=False)
    assert "recorded" in hardware_panel.panel(found, None, SIZES[0])[0]
    found.add(machine(0.9), live=True)
    assert list(found.use[0]) == [0.9] and "live" in hardware_panel.panel(found, None, SIZES[0])[0]
