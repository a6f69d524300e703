"""What a run tells and hears costs next to nothing of its steps."""

import time

import pytest

from sft_tui.core.training import recipe
from sft_tui.core.training import report as report_module
from sft_tui.core.training.loop import Loop
from sft_tui.core.training.report import Report
from sft_tui.core.training.steering import Steering

STEPS = 100
STEP_S = 1.0
"""Of a model as small as the demo's, with eight rows of a few hundred tokens on two cores."""


class Clock:
    """The CPU time of this thread within some methods; what one calls of another counts once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *methods: tuple[type, str]) -> None:
        self.spent_s = 0.0
        self._depth = 0
        for owner, name in methods:
            monkeypatch.setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, method):
        def timed(*args, **named):
            self._depth += 1
            began = time.thread_time()
            try:
                return method(*args, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.spent_s += time.thread_time() - began

        return timed


@pytest.mark.timing
def test_events_samples_and_polling_take_less_than_a_hundredth_of_a_step(
    untied, ragged, configure, new_run, monkeypatch
):
    # Ten times as often as they come: their share is measured in two seconds.
    monkeypatch.setattr(report_module, "SYSTEM_S", report_module.SYSTEM_S / 10)
    monkeypatch.setattr(report_module, "HEARTBEAT_S", report_module.HEARTBEAT_S / 10)
    clock = Clock(
        monkeypatch, (Loop, "_tell"), (Loop, "_goes_on"), (Loop, "_look"), (Steering, "poll")
    )
    config = configure(untied, ragged(16), f"train.max_steps={STEPS}", "train.micro_batch_size=2",
                       "train.gradient_accumulation=4")  # fmt: skip
    run = new_run()
    with Report(run) as report:
        steering = Steering(run, report)
        recipe.run_training(run, config, report, steering)
        of_steps = clock.spent_s / STEPS / STEP_S

        report.start_heartbeat()
        steering.start_dumping()
        began, used = time.monotonic(), time.process_time()
        time.sleep(2.5)  # nothing else runs in this process
        beside = (time.process_time() - used) / (time.monotonic() - began)
        steering.stop_dumping()
    lines = run.events.read_text()
    assert lines.count('"type":"system"') >= 3 and lines.count('"type":"heartbeat"') >= 2
    assert of_steps + beside < 0.01
