"""The hardware panel: any number of GPUs fits, and the odd one is named in words."""

import pytest

from sft_tui.core import events
from sft_tui.tui.widgets import hardware_panel


def machine(*used: float | None) -> events.System:
    gpus = [
        events.Gpu(
            index=at, name="H100 80G", utilisation=share, memory_used_bytes=61 << 30,
            memory_total_bytes=80 << 30, temperature_c=68, power_w=402.0, power_limit_w=700.0,
        )
        for at, share in enumerate(used)
    ]  # fmt: skip
    return events.System(host="box", gpus=gpus, cpu=0.5, memory_used_bytes=2 << 30)


@pytest.mark.parametrize("count", [0, 1, 4, 8])
def test_any_number_of_gpus_fits(count):
    """U49"""
    system = machine(*[0.98] * count)
    _, text = hardware_panel.panel(system, True, "no NVIDIA GPU visible: why")

    assert max(map(len, text.split("\n"))) <= 36 or count == 0
    assert len(text.split("\n")) <= 14
    assert len(hardware_panel.strip(system, True)) <= 79
    assert text.count("98 %") == count


@pytest.mark.parametrize("count", [4, 8])
def test_the_odd_gpu_is_named_in_words(count):
    """U49"""
    used = [0.98] * count
    used[3] = 0.12
    said = "GPU 3 is at 12 %, the others are at 98 %."

    _, text = hardware_panel.panel(machine(*used), True, None)

    assert said in text and said in hardware_panel.strip(machine(*used), True)


@pytest.mark.parametrize(
    "used", [(), (0.1,), (0.9, 0.8), (None, 0.9), (0.5, 0.4, 0.6), (None,) * 4]
)
def test_gpus_alike_or_unknown_are_not_odd(used):
    assert hardware_panel.odd_one(machine(*used).gpus) == ""


def test_unknown_is_a_dash():
    """U40"""
    gpus = [events.Gpu(index=at, name="GPU") for at in range(4)]
    _, text = hardware_panel.panel(events.System(host="h", gpus=gpus), True, None)

    assert "0 %" not in text and text.count("–") >= 16
