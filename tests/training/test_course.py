"""The plan of a run and what changes it: by hand-computed rates, for each schedule."""

import math

import pytest

from sft_tui.core import config_file
from sft_tui.core.training.course import Course, Unchangeable
from sft_tui.core.training.optim import learning_rate

SCHEDULES = ["constant", "linear", "cosine", "wsd"]


def config(*sets):
    return config_file.build(["optim.learning_rate=0.1", *sets])


def planned(total, *sets):
    return Course.planned(config(*sets), total)


def rates(course, first):
    return [course.learning_rate(step) for step in range(first, course.total_steps + 1)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 0.1, 0.5])
def test_an_unchanged_course_is_the_schedule_of_the_configuration(schedule, warmup):
    sets = f"optim.schedule={schedule}", f"optim.warmup_ratio={warmup}"
    course = planned(40, *sets)
    optim = config(*sets).optim
    assert rates(course, 1) == [learning_rate(optim, step, 40) for step in range(1, 41)]


def test_a_new_end_plans_from_the_current_step_at_the_current_rate():
    course = planned(10, "optim.schedule=linear", "optim.warmup_ratio=0")
    assert course.learning_rate(6) == pytest.approx(0.05)
    assert course.change("max_steps", 16, 6) == 10
    assert rates(course, 7) == pytest.approx([0.05 * (1 - k / 10) for k in range(10)])

    cosine = planned(10, "optim.schedule=cosine", "optim.warmup_ratio=0")
    now = cosine.learning_rate(4)
    cosine.change("max_steps", 24, 4)
    assert rates(cosine, 5) == pytest.approx(
        [now * 0.5 * (1 + math.cos(math.pi * k / 20)) for k in range(20)]
    )


def test_wsd_falls_again_at_the_new_end():
    course = planned(10, "optim.schedule=wsd", "optim.decay_ratio=0.2", "optim.warmup_ratio=0")
    course.change("max_steps", 20, 5)
    assert rates(course, 6) == pytest.approx([0.1] * 12 + [0.1, 2 / 3 * 0.1, 1 / 3 * 0.1])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_longer_end_during_warm_up_makes_the_rest_of_it_less_steep(schedule):
    course = planned(20, f"optim.schedule={schedule}", "optim.warmup_ratio=0.5")
    course.change("max_steps", 40, 4)
    assert rates(course, 4)[:13] == pytest.approx([0.04 + 0.005 * k for k in range(13)])
    assert course.learning_rate(17) == pytest.approx(0.1)
    assert course.learning_rate(40) < 0.1 or schedule == "constant"


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_shorter_end_during_warm_up_still_has_a_peak_and_a_fall(schedule):
    course = planned(1000, f"optim.schedule={schedule}", "optim.warmup_ratio=0.1")
    course.change("max_steps", 60, 21)
    rise = 0.079 / 5  # 79 % of the warm-up were to come, which is 6 steps in a run of 60
    assert rates(course, 21)[:6] == pytest.approx([0.021 + rise * k for k in range(6)])
    assert max(rates(course, 22)) == pytest.approx(0.1)
    assert course.learning_rate(60) < 0.02 or schedule == "constant"


def test_a_new_end_that_is_taken_back_during_warm_up_changes_nothing():
    course, untouched = planned(1000), planned(1000)
    for step, total in [(3, 50), (3, 400), (3, 1000), (9, 1000)]:
        course.change("max_steps", total, step)
    assert rates(course, 1) == pytest.approx(rates(untouched, 1))


def test_a_configuration_that_is_shorter_during_warm_up_is_planned_alike():
    warmup = "optim.warmup_ratio=0.1"
    asked, configured = planned(1000, warmup), planned(1000, warmup)
    asked.change("max_steps", 60, 21)
    configured.goes_on(config(warmup), 60, 21)
    assert rates(configured, 22) == rates(asked, 22)


def test_a_rate_that_was_set_and_a_new_end_go_together():
    course = planned(10, "optim.schedule=linear", "optim.warmup_ratio=0")
    assert course.change("learning_rate", 0.02, 5) == pytest.approx(0.05)
    assert course.learning_rate(6) == pytest.approx(0.02)
    course.change("max_steps", 20, 6)
    assert course.learning_rate(7) == pytest.approx(0.02)
    assert course.learning_rate(20) == pytest.approx(0.02 / 14)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_two_new_ends_at_one_step_are_as_the_second_alone(schedule):
    sets = f"optim.schedule={schedule}", "optim.warmup_ratio=0.1"
    twice, once = planned(20, *sets), planned(20, *sets)
    twice.change("max_steps", 14, 8)
    for course in (twice, once):
        course.change("max_steps", 30, 8)
    assert rates(twice, 9) == rates(once, 9)


def test_a_rate_too_small_to_be_scaled_is_left_as_it_is():
    course = planned(10)
    course.change("learning_rate", 1e-320, 3)
    with pytest.raises(Unchangeable, match="too small"):
        course.change("learning_rate", 1e-3, 4)
    assert all(math.isfinite(rate) for rate in rates(course, 5))


def test_a_shorter_end_must_still_come():
    course = planned(10)
    course.change("max_steps", 6, 5)
    assert course.total_steps == 6
    with pytest.raises(Unchangeable, match="step 5 is done"):
        course.change("max_steps", 5, 5)


def test_the_intervals_change_and_null_ends_them():
    course = planned(10, "evaluate.every_steps=5", "save.every_steps=2")
    assert course.change("eval_every_steps", 3, 1) == 5
    assert course.change("save_every_steps", None, 1) == 2
    assert (course.eval_every_steps, course.save_every_steps) == (3, None)


def test_an_unchanged_configuration_keeps_what_clients_changed():
    sets = "optim.schedule=cosine", "evaluate.every_steps=5"
    course = planned(10, *sets)
    course.change("max_steps", 30, 5)
    course.change("eval_every_steps", 7, 5)
    before = rates(course, 6)
    assert course.goes_on(config(*sets), 10, 6) == frozenset()
    assert (rates(course, 6), course.eval_every_steps) == (before, 7)


def test_a_longer_configuration_plans_from_where_the_run_is():
    course = planned(10, "optim.schedule=linear", "optim.warmup_ratio=0")
    last = course.learning_rate(10)
    changed = course.goes_on(config("optim.schedule=linear", "optim.warmup_ratio=0"), 20, 10)
    assert changed == {"max_steps"}
    assert rates(course, 11) == pytest.approx([last * (1 - k / 10) for k in range(10)])
    assert "10.0% of its peak" not in (course.low_rate(10) or "")


def test_a_new_share_to_fall_in_is_taken_over():
    sets = "optim.schedule=wsd", "optim.warmup_ratio=0"
    course = planned(100, *sets)
    assert course.goes_on(config(*sets, "optim.decay_ratio=0.5"), 100, 40) == {"decay_ratio"}
    assert course.learning_rate(70) == course.learning_rate(41)  # half of the 60 steps to come
    assert course.learning_rate(72) < course.learning_rate(71) == course.learning_rate(41)


@pytest.mark.parametrize(("ratio", "expected"), [(0.4, [6 / 40, 7 / 40]), (0.02, [1, 1])])
def test_another_warm_up_is_taken_over_while_it_lasts(ratio, expected):
    sets = ("optim.schedule=constant", "optim.learning_rate=1")
    course = planned(100, *sets, "optim.warmup_ratio=0.2")
    new = config(*sets, f"optim.warmup_ratio={ratio}")
    assert course.goes_on(new, 100, 5) == {"warmup_ratio"}
    assert [course.learning_rate(step) for step in (6, 7)] == pytest.approx(expected)
    before = course.learning_rate(60)
    course.goes_on(config(*sets, "optim.warmup_ratio=0.9"), 100, 50)
    assert course.learning_rate(60) == before


def test_a_rate_that_hardly_teaches_is_remarked():
    course = planned(100, "optim.schedule=cosine", "optim.warmup_ratio=0")
    course.change("max_steps", 200, 100)
    assert "of its peak" in course.low_rate(100)
    fresh = planned(100, "optim.schedule=cosine", "optim.warmup_ratio=0")
    fresh.change("max_steps", 200, 50)
    assert fresh.low_rate(50) is None


def test_a_longer_configuration_with_a_new_rate_starts_the_rest_at_that():
    old = "optim.schedule=linear", "optim.warmup_ratio=0"
    course = planned(10, *old)
    changed = course.goes_on(config_file.build([*old, "optim.learning_rate=0.03"]), 20, 10)
    assert changed == {"max_steps", "learning_rate"}
    assert course.learning_rate(11) == pytest.approx(0.03)


def test_a_new_rate_in_the_configuration_counts_more_than_one_that_was_set():
    old = "optim.schedule=constant", "optim.warmup_ratio=0"
    course = planned(10, *old)
    course.change("learning_rate", 0.5, 3)
    course.goes_on(config_file.build([*old, "optim.learning_rate=0.03"]), 10, 4)
    assert course.learning_rate(5) == pytest.approx(0.03)
