"""U50. Rules of health: each fires on a run that has its fault, not on one that nearly has it."""

import math
import re

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.health.findings import examine, findings, shares
from sft_tui.core.health.table import RULES, thresholds
from sft_tui.core.history import History, read_history

GIB = 1 << 30
CONFIG = config_file.build(preset="recommended")


def step(number, loss=None, **fields):
    usual = {"grad_norm": 0.6, "learning_rate": 2e-4, "step_s": 1.0, "data_wait_s": 0.01,
             "tokens": 900, "computed_tokens": 1000, "padding_share": 0.1,
             "supervised_tokens": 300, "memory_bytes": 8 * GIB, "clipped": False}  # fmt: skip
    fields = usual | fields
    falling = 1 + 2 / number**0.5
    return events.Step(step=number, loss=falling if loss is None else loss, t=1000.0 + number,
                       **fields)  # fmt: skip


def steps(first, last, loss=None, **fields):
    return [step(number, loss, **fields) for number in range(first, last + 1)]


def begun(device="cuda:0", gpus=(0,), total=400, **fields):
    return [
        events.Phase(name="loading_model", t=1000.0),
        events.RunStarted(run_id="r", t=1000.0, total_steps=total, device=device,
                          gpus=list(gpus), **fields),
        events.Phase(name="training", t=1000.0),
    ]  # fmt: skip


def evaluated(*losses, every=20):
    return [events.Eval(step=at * every, loss=loss) for at, loss in enumerate(losses)]


def gpu(index=0, use=0.98, **fields):
    total = 80 * GIB
    return events.Gpu(index=index, name="H100", utilisation=use, memory_total_bytes=total, **fields)


def sampled(*gpus, from_s=0, to_s=60, disk=400 * GIB):
    return [
        events.System(host="box", t=1100.0 + second, gpus=list(gpus), disk_free_bytes=disk)
        for second in range(from_s, to_s + 1, 5)
    ]


def saved(at, size=GIB, t=None):
    told = 1000.0 + at if t is None else t
    return events.Checkpoint(step=at, path="p", bytes=size, elapsed_s=1.0, t=told)


def history(*parts):
    found = History()
    for part in parts:
        for event in part if isinstance(part, list) else [part]:
            found.add(event)
    return found


LONG = steps(1, 60)
FIRES = {
    "nan": [begun(), steps(1, 11), saved(10), step(12, math.nan)],
    "zero": [begun(), steps(1, 5, 0.0)],
    "no-grad": [begun(), steps(1, 30, grad_norm=0.0)],
    "spike": [begun(), LONG, step(61, 9.0), steps(62, 70)],
    "overfit": [begun(), LONG, evaluated(2.0, 1.5, 1.52, 1.54)],
    "plateau": [begun(), LONG, evaluated(2.0, 1.5, 1.499, 1.498, 1.497)],
    "data-wait": [begun(), steps(1, 60, data_wait_s=0.22)],
    "gpu-idle": [begun(), LONG, sampled(gpu(use=0.19))],
    "straggler": [begun(gpus=(0, 1, 2, 3)), LONG,
                  sampled(gpu(0), gpu(1), gpu(2), gpu(3, 0.12))],
    "mem": [begun(), steps(1, 30, memory_bytes=77 * GIB), sampled(gpu())],
    "clip": [begun(), steps(1, 20), steps(21, 60, clipped=True)],
    "padding": [begun(), steps(1, 30, padding_share=0.41)],
    "heat": [begun(), LONG, sampled(gpu(throttled=True, temperature_c=84), to_s=30)],
    "disk": [begun(), steps(1, 3), saved(3), sampled(gpu(), disk=2 * GIB - 1, to_s=0)],
    "no-save": [begun(), LONG, saved(60, t=1060.0),
                events.Heartbeat(progress=9, step=60, t=1060.0 + 61 * 60)],
}  # fmt: skip
QUIET = {
    "nan": [begun(), steps(1, 11), step(12, math.nan), steps(13, 212)],
    "zero": [begun(), steps(1, 4, 0.0), step(5, 1e-3)],
    "no-grad": [begun(), steps(1, 30, grad_norm=0.0), step(31)],
    "spike": [begun(), LONG, step(61, 1.7), steps(62, 70)],
    "overfit": [begun(), LONG, evaluated(2.0, 1.5, 1.51, 1.529)],
    "plateau": [begun(), LONG, evaluated(2.0, 1.5, 1.49, 1.48)],
    "data-wait": [begun(), steps(1, 60, data_wait_s=0.149)],
    "gpu-idle": [begun(), LONG, sampled(gpu(use=0.19), to_s=55)],
    "straggler": [begun(gpus=(0, 1)), LONG, sampled(gpu(0), gpu(1, 0.7), gpu(2, 0.0))],
    "mem": [begun(), steps(1, 30, memory_bytes=75 * GIB), sampled(gpu())],
    "clip": [begun(), steps(1, 40), steps(41, 60, clipped=True)],
    "padding": [begun(), steps(1, 30, padding_share=0.39)],
    "heat": [begun(), LONG, sampled(gpu(throttled=True), to_s=25), sampled(gpu(), from_s=30)],
    "disk": [begun(), steps(1, 3), saved(3), sampled(gpu(), disk=2 * GIB, to_s=0)],
    "no-save": [begun(), LONG, saved(60, t=1060.0),
                events.Heartbeat(progress=9, step=60, t=1060.0 + 59 * 60)],
}  # fmt: skip


def found(*parts, **options):
    told = findings(history(*parts), config=CONFIG, **options)
    return {each.rule: each for each in told}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_fires_on_its_fault_and_says_a_number_and_a_remedy(rule):
    told = found(*FIRES[rule])
    assert rule in told
    assert re.search(r"\d", told[rule].message)
    assert len(told[rule].remedy) > 5 and told[rule].key
    assert told[rule].severity == RULES[rule].severity


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_silent_just_below_its_threshold(rule):
    assert rule not in found(*QUIET[rule])


def test_a_run_that_is_well_has_no_finding():
    assert found(begun(), LONG, evaluated(2.0, 1.8, 1.6, 1.4), sampled(gpu())) == {}


@pytest.mark.parametrize("rule", RULES)
def test_only_rules_that_matter_at_once_speak_in_the_first_20_steps(rule):
    parts = FIRES[rule]
    again = [begun(resumed_from_step=60), steps(61, 79)]
    resumed = found(*parts, *again) if rule not in ("nan", "zero", "disk") else {}
    assert rule not in resumed
    early = {"nan": [begun(), step(1, math.nan)], "zero": FIRES["zero"], "disk": FIRES["disk"]}
    assert (rule in found(*early[rule])) if rule in early else True


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if rule.live])
def test_what_only_a_trainer_at_work_could_mend_is_not_told_of_an_ended_run(rule):
    assert rule not in found(*FIRES[rule], active=False)


@pytest.mark.parametrize(
    ("rule", "message", "remedy"),
    [
        ("nan", "Loss became NaN at step 12. Last good checkpoint: 10", "resume from 10 with a "
         "lower learning rate (now 0.0002)"),
        ("spike", "Loss jumped to 9 at step 61 (usual 1.29). It came back after 1 step", "again"),
        ("overfit", "Evaluation loss is rising (1.5 → 1.54) while training loss falls. Best is "
         "step 20; it is kept", "step 20"),
        ("plateau", "Little change since step 20 (1.5 → 1.497)", "stop and save"),
        ("data-wait", "22 % of the time the device waits", "this host"),
        ("straggler", "GPU 3 is at 12 %, the others at 98 %", "device_ids"),
        ("mem", "77.0 of 80.0 GiB at peak", "micro_batch_size 4 → 2 with gradient_accumulation "
         "4 → 8 keeps 16 rows a step"),
        ("clip", "80 % of the last steps are clipped at 1", "now 0.0002"),
        ("padding", "41 % of the computed tokens are padding", "1.7× more"),
        ("heat", "GPU 0 slows itself (84 °C) for 30 s", "cooling"),
        ("disk", "2.0 GiB left where the run lies, a checkpoint needs 1.0 GiB", "keep (now 3)"),
        ("no-save", "Last checkpoint is 61 min old", "save one now"),
    ],
)  # fmt: skip
def test_a_finding_is_worded_with_what_the_run_tells(rule, message, remedy):
    told = found(*FIRES[rule])[rule]
    assert message in told.message and remedy in told.remedy


def test_clipping_does_not_blame_a_rate_that_the_schedule_has_lowered():
    late = steps(21, 60, clipped=True, learning_rate=1e-5)
    told = found(begun(), steps(1, 20), late)["clip"]
    assert told.remedy == (
        "the schedule has lowered the learning rate (now 1e-05): another run may take a higher "
        "optim.max_grad_norm"
    )


def test_a_checkpoint_whose_weights_gave_no_finite_step_is_not_the_last_good_one():
    diverged = [steps(1, 13), [saved(10), saved(12)], [step(n, math.nan) for n in (13, 14, 15)]]
    told = found(begun(), steps(1, 12), *diverged[1:])["nan"]
    assert "NaN at step 13. Last good checkpoint: 10" in told.message and told.step == 13
    told = found(begun(), *diverged[:2], [step(14, math.nan)])["nan"]
    assert "NaN at step 14. Last good checkpoint: 12" in told.message


def test_steps_that_went_on_well_ask_for_no_earlier_checkpoint():
    ill = [begun(), steps(1, 12), [saved(10)], step(13, math.nan)]
    assert "resume from 10" in found(*ill, steps(14, 32))["nan"].remedy
    well = found(*ill, steps(14, 33))["nan"]
    assert well.message == "Loss became NaN at step 13. Steps after 13 are finite again"
    assert "resume" not in well.remedy and "lower the learning rate (now 0.0002)" in well.remedy


def test_a_run_that_has_ended_is_not_to_be_stopped():
    ill = [begun(), steps(1, 12), [saved(10)], step(13, math.nan)]
    assert "stop and resume from 10" in found(*ill)["nan"].remedy
    end = events.RunFinished(status="stopped")
    assert "on, resume from 10" in found(*ill, [end])["nan"].remedy


def test_steps_that_are_not_finite_are_told_from_the_first_of_them():
    apart = [step(3, math.nan), step(4), step(5, grad_norm=math.inf), step(6, math.nan)]
    told = found(begun(), steps(1, 2), apart, steps(7, 9))["nan"]
    assert told.message.startswith("Gradient norm became infinite at step 5")
    half = config_file.build(["train.precision=fp16"])
    scaled = [step(1, grad_norm=math.inf), step(2, math.nan, grad_norm=math.nan)]
    (told,) = findings(history(begun(), scaled), config=half)
    assert told.message.startswith("Loss became NaN at step 2"), "step 1 found the scale"
    assert "files of the base" in told.remedy, "no step changed a weight"


def test_the_search_for_a_scale_in_fp16_is_no_fault_until_the_trainer_says_so():
    half = config_file.build(["train.precision=fp16"])
    search = [step(number, grad_norm=math.inf) for number in (1, 2, 3)]
    later = [steps(4, 30), step(31, grad_norm=math.inf), step(32)]
    assert not findings(history(begun(), search), config=half)
    assert not findings(history(begun(), search, *later), config=half)
    warned = events.Warning_(code="non_finite", message="step 3 was skipped", step=2)
    (told,) = findings(history(begun(), search[:2], warned, search[2:]), config=half)
    assert told.rule == "nan" and told.message.startswith("Gradient norm became infinite")
    assert "files of the base" in told.remedy


def test_a_first_step_that_is_not_finite_is_not_blamed_on_the_rate():
    told = found(begun(), step(1, math.nan), step(2, math.nan))["nan"]
    assert told.message.startswith("Loss became NaN at step 1.")
    assert "files of the base" in told.remedy and "lower" not in told.remedy


def test_a_run_that_failed_of_such_steps_has_one_remedy():
    end = events.RunFinished(status="failed", reason="the base is broken", remedy="mend the base")
    assert found(begun(), step(1), step(2, math.nan), [end])["nan"].remedy == "mend the base"
    healed = found(begun(), step(1), step(2, math.nan), step(3), [end])["nan"]
    assert "lower learning rate" in healed.remedy, "the failure was of something else"


def test_a_jump_that_stays_says_so_and_asks_for_a_lower_rate():
    told = found(begun(), LONG, steps(61, 85, 4.0))["spike"]
    assert "jumped to 4 at step 61" in told.message and "Still high after 24 steps" in told.message
    assert told.remedy.startswith("lower the learning rate")
    over = found(begun(), LONG, step(61, 9.0), steps(62, 112))
    assert "spike" in over and "spike" not in found(begun(), LONG, step(61, 9.0), steps(62, 113))


def test_steps_that_were_done_again_count_for_nothing():
    jump = [begun(), LONG, step(61, 9.0), step(62, math.nan), step(63)]
    assert {"spike", "nan"} <= found(*jump).keys()
    again = found(*jump, begun(resumed_from_step=60), steps(61, 90))
    assert not {"spike", "nan"} & again.keys()
    fresh = history(begun(), steps(1, 90)).vitals.losses
    resumed = history(*jump, begun(resumed_from_step=60), steps(61, 90)).vitals.losses
    assert resumed.average == pytest.approx(fresh.average, rel=1e-3)


def test_a_level_loss_without_evaluations_is_a_plateau_only_after_a_quarter_of_the_steps():
    level = [begun(total=200), steps(1, 100, 2.0)]
    assert "since step 50" in found(*level)["plateau"].message
    assert "plateau" not in found(begun(total=400), steps(1, 100, 2.0))
    assert "plateau" not in found(begun(total=200), steps(1, 100))


def test_losses_that_are_not_known_fire_nothing():
    bare = [events.Step(step=n, t=1000.0 + n) for n in range(1, 61)]
    assert found(begun(), bare) == {}


def test_a_step_without_trained_tokens_is_told_only_where_steps_tell_them():
    empty = [begun(), LONG, step(61, supervised_tokens=0)]
    assert "trained 0 tokens" in found(*empty)["zero"].message
    assert "zero" not in found(begun(), steps(1, 30, supervised_tokens=0))


def test_other_gpus_of_the_host_are_not_the_runs():
    lone = [begun(gpus=(1,)), LONG, sampled(gpu(0, 0.0), gpu(1))]
    assert found(*lone) == {}
    unknown = [begun(gpus=(), world_size=1), LONG, sampled(gpu(0, 0.0), gpu(1))]
    assert found(*unknown) == {}
    on_cpu = [begun("cpu", ()), LONG, sampled(gpu(use=0.0))]
    assert found(*on_cpu) == {}


def test_gpus_that_rest_while_evaluating_are_not_idle():
    half = sampled(gpu(use=0.0), to_s=30)
    rest = [events.Phase(name="evaluating", t=1131.0), events.Phase(name="training", t=1132.0)]
    assert "gpu-idle" not in found(begun(), LONG, half, rest, sampled(gpu(use=0.0), from_s=35))


def test_a_long_run_without_a_planned_checkpoint_is_told():
    config = config_file.build(sets=["save.every_steps=null"])
    slow = history(begun(total=400), steps(1, 60, step_s=2.0))
    told = {each.rule: each for each in findings(slow, config=config)}
    assert "No checkpoint is planned before the end at step 400" in told["no-save"].message
    quick = history(begun(total=400), steps(1, 60, step_s=0.5))
    assert not findings(quick, config=config)
    planned = history(begun(total=400), steps(1, 60, step_s=2.0))
    assert not findings(planned, config=CONFIG)


def test_the_trainers_own_warnings_stand_behind_the_rules_once_each():
    odd = [events.Warning_(code="odd", message=f"it is odd {n}", remedy="look") for n in (1, 2)]
    skipped = events.Warning_(code="non_finite", message="step 12 was skipped", remedy="r")
    told = examine(history(*FIRES["nan"], odd, skipped), config=CONFIG)
    assert [(each.rule, each.message) for each in told[1:]] == [("odd", "it is odd 2")]


def test_errors_come_first():
    both = found(begun(), steps(1, 60, data_wait_s=0.9, clipped=True), step(61, math.inf))
    assert list(both) == ["nan", "data-wait", "clip"]


def test_what_is_known_does_not_depend_on_how_events_are_read(tmp_path):
    path = tmp_path / "events.jsonl"
    told = [*begun(), *LONG, step(61, 9.0), *steps(62, 70)]
    path.write_bytes(b"".join(map(events.encode, told)))
    assert findings(read_history(path)) == findings(history(told))


def test_shares_of_the_last_steps_are_unknown_before_there_are_any():
    assert shares(history(begun())) == (None, None, None)
    waiting, clipped, useful = shares(history(begun(), steps(1, 60, clipped=True)))
    assert (waiting, clipped, useful) == (pytest.approx(0.01), 1.0, pytest.approx(0.9))


def test_thresholds_are_told_for_every_rule():
    lines = thresholds()
    assert all(
        any(name in line and re.search(r"\d|finite", line) for line in lines) for name in RULES
    )
    assert "20 steps" in lines[-1] and "nan, zero, disk" in lines[-1]


def test_of_a_run_that_ended_nothing_is_told_to_steer_it():
    low = events.Warning_(code="low_rate", message="it is low", remedy="stop, and resume with")
    for name in ("spike", "overfit", "plateau", "clip"):
        ended = history(*FIRES[name], low)
        steered = examine(ended, config=CONFIG)
        told = examine(ended, active=False, config=CONFIG)
        assert [each.rule for each in told] == [each.rule for each in steered]
        assert not [each for each in told if each.key.startswith("x ")]
        for each in told:
            assert "stop" not in each.remedy and "(now" not in each.remedy, each
            assert "next run" in each.remedy or "take the checkpoint of step" in each.remedy, each
        assert any("stop" in each.remedy for each in steered)
