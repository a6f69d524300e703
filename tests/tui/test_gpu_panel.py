"""The GPUs of Monitor: through the real nvidia-ml-py, while they change under its eyes."""

import os

import pytest

from sft_tui.core import events

SIZES = [(80, 24), (120, 36), (160, 45)]
BUSY = "H100-80G GPU-{n} 98 60 68 402000 0 0 0"


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr("sft_tui.tui.services.run_feed.HARDWARE_S", 0.1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 4, 8])
def test_every_gpu_is_seen_with_its_use_and_memory(watch, living_run, show_gpus, size, count):
    """U49"""
    show_gpus(*(BUSY.format(n=n) for n in range(count)))

    async def scenario(eyes):
        await eyes.sees("98", "60.0/80.0")
        assert eyes.text().count("98") >= count
        if size[0] > 80:
            await eyes.sees("GPU  live", "68°" if count > 1 else "402/700 W")

    watch(scenario, living_run, size)


@pytest.mark.parametrize("size", SIZES)
def test_what_others_hold_on_our_gpu_is_told(watch, living_run, show_gpus, stranger, size):
    show_gpus(f"{BUSY.format(n=0)} {os.getpid()} 24 {stranger} 31")

    async def scenario(eyes):
        await eyes.sees(f"pid {stranger} 31.0 GiB")
        if size[0] > 80:
            await eyes.sees("run 24.0")
            await eyes.press("tab")
        await eyes.press("i")
        if size[0] > 80:
            await eyes.sees(f"Others: pid {stranger} 31.0 GiB", "sleep")

    watch(scenario, living_run, size)


@pytest.mark.parametrize("size", SIZES)
def test_a_split_gpu_says_mig_and_never_0(watch, living_run, show_gpus, size):
    """U40"""
    show_gpus("A100-MIG GPU-0 -3 20 40 -3 0 1 0")

    async def scenario(eyes):
        await eyes.sees("n/a (MIG)", "20.0/80.0")
        assert " 0 %" not in eyes.row_with("n/a (MIG)")

    watch(scenario, living_run, size)


@pytest.mark.parametrize("size", SIZES)
def test_a_gpu_that_vanishes_during_the_run_is_named(watch, living_run, show_gpus, size):
    show_gpus(BUSY.format(n=0), BUSY.format(n=1))

    async def scenario(eyes):
        await eyes.sees("98")
        show_gpus(BUSY.format(n=0), "H100-80G GPU-1 0 0 0 0 0 0 -15")
        await eyes.sees("GPU 1 is gone")
        show_gpus(BUSY.format(n=0), BUSY.format(n=1))
        await eyes.until(lambda: "is gone" not in eyes.text())

    watch(scenario, living_run, size)


@pytest.mark.parametrize("size", SIZES)
def test_t_shows_the_last_minutes_and_the_numbers_again(watch, living_run, show_gpus, size):
    show_gpus(BUSY.format(n=0))

    async def scenario(eyes):
        await eyes.sees("98 %")
        await eyes.press("t")
        await eyes.sees("GPU  live, 2 min", "0 util 98 %", "mem 60.0/80.0 GiB", "███")
        await eyes.press("t")
        await eyes.until(lambda: "2 min" not in eyes.text())
        await eyes.sees("98 %", "RUNNING")
        assert eyes.app.screen.maximized is None

    watch(scenario, living_run, size)


def test_where_no_gpu_is_the_reason_is_told_and_t_does_nothing(watch, living_run, monkeypatch):
    async def scenario(eyes):
        await eyes.sees("no NVIDIA GPU visible: there is no")
        await eyes.press("t")
        assert "2 min" not in eyes.text()
        await eyes.press("question_mark")
        assert "The last two minutes of the GPUs" not in eyes.text()

    watch(scenario, living_run, (160, 45))


def test_recorded_samples_of_another_host_have_a_history_too(watch, record, elsewhere):
    run = record.living(record.trained(), host=elsewhere)
    for share in (0.1, 0.9):
        gpu = events.Gpu(index=0, name="H100", utilisation=share)
        record.add(run, events.System(host=elsewhere, gpus=[gpu]))

    async def scenario(eyes):
        await eyes.sees("GPU  recorded", "90 %")
        await eyes.press("t")
        await eyes.sees("GPU  recorded, 2 min", "0 util 90 %")

    watch(scenario, run)
