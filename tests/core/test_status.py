"""What a run is doing, told from folders recorded by the test."""

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from sft_tui.core import events, process, status
from sft_tui.core.rundir import RunDir
from sft_tui.core.status import status_of

T0 = 1_700_000_000.0


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(tmp_path) -> RunDir:
    """A run folder as its launcher leaves it, made at T0."""
    path = tmp_path / "runs" / "20260101-000000-tiny-0001"
    path.mkdir(parents=True)
    made = RunDir(path)
    made.config.write_text("{}\n")

    os.utime(made.config, (T0, T0))
    return made


def living(run: RunDir, **changes: object) -> None:
    record = msgspec.structs.replace(process.this_process("local", ["x"], {}), **changes)
    run.process.write_bytes(msgspec.json.encode(record))
    os.utime(run.process, (T0, T0))


def write(run: RunDir, *told: events.Event | bytes, start: float = T0, every: float = 1.0) -> None:
    """Appends events one `every` apart; bytes are written as they are."""
    with run.events.open("ab") as file:
        for index, event in enumerate(told):
            if isinstance(event, events.Event):
                event.t = event.t or start + index * every
                event = events.encode(event)
            file.write(event)


def phase(name: str, t: float = 0.0) -> events.Phase:
    return events.Phase(name=name, t=t)


def started(resumed: int | None = None) -> events.RunStarted:
    return events.RunStarted(run_id="r", total_steps=100, resumed_from_step=resumed)


def step(number: int, step_s: float = 1.0, t: float = 0.0) -> events.Step:
    return events.Step(step=number, loss=2.0, step_s=step_s, t=t)


def beat(progress: int, t: float = 0.0) -> events.Heartbeat:
    return events.Heartbeat(progress=progress, step=1, t=t)


def stop(outcome: str) -> events.Control:
    return events.Control(id="a", command="stop", by="me uid 0", outcome=outcome)


def end(status: str, **facts: str) -> events.RunFinished:
    return events.RunFinished(status=status, step=3, **facts)


def checkpoint(run: RunDir, number: int) -> None:
    (run.checkpoints / f"step-{number}").mkdir(parents=True)


def training(run: RunDir) -> None:
    living(run)
    write(run, phase("loading_model"), started(), phase("training"), step(1), step(2))


# --- before the trainer's process said anything


def test_a_new_folder_is_preparing_for_15_seconds_and_then_crashed(run):
    assert status_of(run, T0 + 14).word == "preparing"

    late = status_of(run, T0 + 16)
    assert late.word == "crashed"
    assert "never started" in late.reason
    assert run.id in late.remedy


def test_a_trainer_that_never_started_is_explained_by_its_log(run):
    run.log.write_text("Traceback\n  File x\nModuleNotFoundError: No module named 'torch'\n\n")

    assert "No module named 'torch'" in status_of(run, T0 + 16).reason


def test_the_log_in_a_reason_is_harmless_and_one_line(run):
    run.log.write_bytes(b"fine\n\x1b[31mred\x1b]0;title\x07 hf_abcdefghijkl\xff\n")

    reason = status_of(run, T0 + 16).reason

    assert "\x1b" not in reason and "\n" not in reason
    assert "red" in reason and "hf_abcdefghijkl" not in reason


# --- alive


def test_a_live_trainer_before_its_first_event_is_preparing(run):
    living(run)

    assert status_of(run, T0 + 60).word == "preparing"


@pytest.mark.parametrize("name", ["downloading", "loading_model", "preparing_data", "compiling"])
def test_loading_of_every_kind_is_preparing_with_its_phase_named(run, name):
    living(run)
    write(run, phase(name))

    found = status_of(run, T0 + 1)

    assert (found.word, found.phase) == ("preparing", name)


def test_a_long_preparation_is_not_stalled(run):
    living(run)
    write(run, phase("downloading"), beat(1), beat(1), beat(1), every=400)

    assert status_of(run, T0 + 5000).word == "preparing"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("training", "running"),
        ("evaluating", "evaluating"),
        ("sampling", "evaluating"),
        ("saving", "saving"),
    ],
)
def test_a_live_trainer_does_what_its_open_phase_says(run, name, word):
    training(run)
    write(run, phase(name), start=T0 + 5)

    found = status_of(run, T0 + 6)

    assert (found.word, found.phase, found.active) == (word, name, True)


def test_evaluating_is_told_before_the_first_step(run):
    living(run)
    write(run, phase("loading_model"), started(), phase("evaluating"))

    assert status_of(run, T0 + 3).word == "evaluating"


def test_a_step_after_an_evaluation_means_running(run):
    training(run)
    write(run, phase("evaluating"), phase("training"), step(3), start=T0 + 5)

    assert status_of(run, T0 + 8).word == "running"


@pytest.mark.parametrize("name", ["training", "saving", "evaluating"])
def test_an_accepted_stop_is_stopping_in_every_phase(run, name):
    training(run)
    write(run, phase(name), stop("accepted"), start=T0 + 5)

    assert status_of(run, T0 + 7).word == "stopping"


@pytest.mark.parametrize("name", ["training", "saving", "evaluating"])
def test_an_accepted_pause_is_pausing_until_it_is_paused(run, name):
    training(run)
    asked = events.Control(id="p", command="pause", by="ada", outcome="accepted", step=3)
    write(run, phase(name), asked, start=T0 + 5)
    assert status_of(run, T0 + 7).word == "pausing"

    write(run, events.RunFinished(status="paused", step=3), start=T0 + 8)
    assert status_of(run, T0 + 9).word == "paused"


def test_a_stop_that_was_done_does_not_fall_back_to_running_before_the_end(run):
    training(run)
    write(run, stop("accepted"), phase("saving"), stop("done"), start=T0 + 5)

    assert status_of(run, T0 + 8).word == "stopping"


@pytest.mark.parametrize("outcome", ["refused", "expired"])
def test_a_stop_that_was_not_taken_changes_nothing(run, outcome):
    training(run)
    write(run, stop(outcome), start=T0 + 5)

    assert status_of(run, T0 + 7).word == "running"


def test_a_stop_accepted_by_an_earlier_start_does_not_count_for_this_one(run):
    training(run)
    write(run, stop("accepted"), stop("done"), end("stopped"), start=T0 + 5)
    write(run, phase("loading_model"), started(2), phase("training"), step(3), start=T0 + 50)

    assert status_of(run, T0 + 54).word == "running"


def test_a_stop_of_a_killed_start_does_not_count_once_the_next_one_expired_it(run):
    training(run)
    write(run, stop("accepted"), start=T0 + 5)
    write(run, phase("loading_model"), stop("expired"), start=T0 + 50)

    assert status_of(run, T0 + 51).word == "preparing"


# --- ended


@pytest.mark.parametrize("word", ["finished", "failed"])
def test_the_end_that_the_trainer_told_is_the_status(run, ended_process, word):
    training(run)
    write(run, end(word, reason="because", remedy="do this"), start=T0 + 5)
    run.process.write_bytes(msgspec.json.encode(ended_process))

    found = status_of(run, T0 + 9999)

    assert (found.word, found.reason, found.remedy) == (word, "because", "do this")
    assert found.last_t == T0 + 5
    assert not found.active


@pytest.mark.parametrize("word", ["stopped", "paused"])
def test_a_run_that_was_asked_to_end_names_its_checkpoint_and_what_goes_on(run, word):
    training(run)
    write(run, end(word, reason="asked by ada"), start=T0 + 5)
    lost = status_of(run, T0 + 6)
    checkpoint(run, 2)
    checkpoint(run, 3)
    held = status_of(run, T0 + 6)

    assert held.reason == "at step 3, checkpoint step-3; asked by ada"
    assert held.remedy == f"`sft-tui resume {run.id}` continues from step 3"
    assert lost.reason == "at step 3, no checkpoint is there; asked by ada"
    assert lost.remedy == f"`sft-tui resume {run.id}` starts again from step 0"


def test_a_told_end_counts_before_the_process_is_gone(run):
    training(run)
    write(run, end("finished"), start=T0 + 5)

    assert status_of(run, T0 + 6).word == "finished"


def test_a_late_sample_of_the_hardware_does_not_undo_the_end(run, ended_process):
    training(run)
    write(run, end("finished"), events.System(host="h"), beat(3), start=T0 + 5)
    run.process.write_bytes(msgspec.json.encode(ended_process))

    assert status_of(run, T0 + 9).word == "finished"


def test_a_later_start_overrides_the_end_of_an_earlier_one(run):
    training(run)
    write(run, end("stopped"), phase("loading_model"), start=T0 + 5)

    found = status_of(run, T0 + 8)

    assert (found.word, found.phase) == ("preparing", "loading_model")


def test_a_later_start_that_has_told_nothing_yet_is_preparing(run):
    training(run)
    write(run, end("finished"), start=T0 + 5)
    living(run)  # written anew
    os.utime(run.process, (T0 + 6, T0 + 6))

    found = status_of(run, T0 + 7)

    assert (found.word, found.reason) == ("preparing", None)


def test_an_end_that_is_told_while_the_status_is_asked_for_is_no_crash(run, monkeypatch):
    training(run)

    def dies(record):
        write(run, end("finished"), start=T0 + 5)
        return False

    monkeypatch.setattr(status, "alive", dies)
    assert status_of(run, T0 + 6).word == "finished"


def test_a_later_start_that_died_is_crashed_not_what_the_earlier_one_was(run, ended_process):
    training(run)
    write(run, end("stopped"), phase("loading_model"), start=T0 + 5)
    run.process.write_bytes(msgspec.json.encode(ended_process))

    assert status_of(run, T0 + 8).word == "crashed"


def test_a_dead_trainer_without_an_end_is_crashed_and_names_the_last_complete_checkpoint(
    run, ended_process
):
    training(run)
    for name in ("step-9", "step-10", ".step-11.writing"):
        (run.checkpoints / name).mkdir(parents=True)
    run.process.write_bytes(msgspec.json.encode(ended_process))

    found = status_of(run, T0 + 5)

    assert found.word == "crashed"
    assert f"pid {ended_process.pid}" in found.reason
    assert "step 10" in found.reason
    assert "resume" in found.remedy and "step 10" in found.remedy


def test_a_crash_before_the_first_checkpoint_says_that_it_starts_again(run, ended_process):
    training(run)
    run.process.write_bytes(msgspec.json.encode(ended_process))

    found = status_of(run, T0 + 5)

    assert "no checkpoint" in found.reason
    assert "step 0" in found.remedy


def test_a_reused_pid_is_crashed(run):
    training(run)
    living(run, start_time=1.0)

    assert status_of(run, T0 + 5).word == "crashed"


def test_another_host_is_unknown_and_tells_the_silence(run):
    training(run)
    living(run, host="elsewhere")

    found = status_of(run, T0 + 4 + 30)

    assert found.word == "unknown"
    assert "30 s" in found.reason and "elsewhere" in found.reason


def test_an_end_told_on_another_host_is_known(run):
    training(run)
    living(run, host="elsewhere")
    write(run, end("finished"), start=T0 + 5)

    assert status_of(run, T0 + 34).word == "finished"


# --- stalled


def test_quick_steps_stall_after_60_silent_seconds(run):
    training(run)  # its last step is at T0 + 4
    checkpoint(run, 1)

    assert status_of(run, T0 + 4 + 59).word == "running"
    late = status_of(run, T0 + 4 + 61)
    assert late.word == "stalled"
    assert "61 s" in late.reason and "last complete checkpoint: step 1" in late.reason
    assert f"`sft-tui resume {run.id}` continues from step 1" in late.remedy
    assert late.active


def test_slow_steps_stall_after_ten_times_their_median(run):
    living(run)
    write(run, phase("training"), started())
    write(run, *(step(n, 20.0) for n in range(1, 6)), step(6, 500.0), start=T0 + 2, every=20)
    last = T0 + 2 + 5 * 20

    assert status_of(run, last + 199).word == "running"
    assert status_of(run, last + 201).word == "stalled"


@pytest.mark.parametrize("name", ["evaluating", "sampling", "saving"])
def test_only_training_can_stall(run, name):
    training(run)
    write(run, phase(name), start=T0 + 5)

    assert status_of(run, T0 + 9999).word != "stalled"


def test_a_heartbeat_whose_progress_moves_clears_a_stall(run):
    training(run)
    write(run, beat(7, T0 + 10), *(beat(7, T0 + t) for t in range(20, 130, 10)))
    assert status_of(run, T0 + 130).word == "stalled"

    write(run, beat(8, T0 + 131))
    assert status_of(run, T0 + 132).word == "running"


def test_heartbeats_without_progress_and_hardware_samples_do_not_hide_a_stall(run):
    training(run)
    silent = [beat(7, T0 + t) for t in range(10, 100, 10)]
    hardware = [events.System(host="h", t=T0 + t) for t in range(11, 100, 5)]
    write(run, *sorted([*silent, *hardware], key=lambda event: event.t))

    assert status_of(run, T0 + 99).word == "stalled"


def test_a_slow_first_step_with_progress_is_running(run):
    living(run)
    write(run, phase("loading_model"), started(), phase("training"))
    write(run, *(beat(n, T0 + 10 * n) for n in range(1, 40)))

    assert status_of(run, T0 + 395).word == "running"


def test_a_trainer_that_waits_for_room_on_its_disk_is_known_by_it(mount_disk):
    disk = mount_disk("1m")
    run = RunDir(disk / "20260101-000000-tiny-0001")
    run.path.mkdir()
    training(run)
    (disk / "other").write_bytes(bytes(1 << 19))
    assert status_of(run, T0 + 30).word == "running", "there is room"

    with pytest.raises(OSError, match="No space"), (disk / "more").open("wb", 0) as file:
        while True:
            file.write(bytes(4096))
    assert status_of(run, T0 + 10).word == "running", "it may yet write"
    full = status_of(run, T0 + 30)
    assert (full.word, full.active) == ("stalled", True)
    assert full.reason == "its disk is full: 0 bytes free; the trainer waits for room"
    assert full.remedy.startswith(f"free space where {run.path} lies: it goes on by itself")
    assert "kill" not in full.remedy

    (disk / "more").unlink()
    assert status_of(run, T0 + 30).word == "running"


def test_a_stall_is_seen_behind_a_long_tail_of_heartbeats(run):
    """Hours of heartbeats push the last step out of the part of the file that is read first."""
    training(run)
    write(run, *(beat(7, T0 + 10 + n) for n in range(4000)))
    assert run.events.stat().st_size > 1 << 17

    assert status_of(run, T0 + 4010).word == "stalled"


# --- damage


def test_a_torn_last_line_is_not_written_yet(run):
    training(run)
    write(run, events.encode(end("finished"))[:-9], start=T0 + 5)

    assert status_of(run, T0 + 6).word == "running"


def test_garbage_in_the_middle_is_skipped(run):
    training(run)
    write(run, b'{"type":"step"\n', b"\x00\xff\x00\n", b"[]\n", b"\n\n", b'{"type":"phase"}\n')
    write(run, step(3), start=T0 + 6)

    found = status_of(run, T0 + 7)

    assert (found.word, found.last_t) == ("running", T0 + 6)


def test_a_kind_from_a_later_version_is_ignored(run):
    training(run)
    write(run, b'{"type":"rumour","t":1700000009.0,"v":2}\n')

    assert status_of(run, T0 + 10).word == "running"


@pytest.mark.parametrize("left", [(), ("trainer.log", "run.lock", ".config.yaml.1.abc")])
def test_a_folder_in_which_a_start_wrote_nothing_never_started(run, left):
    run.config.unlink()
    for name in left:
        (run.path / name).touch()
    os.utime(run.path, (T0, T0))

    assert status_of(run, T0 + 14).word == "preparing"
    late = status_of(run, T0 + 16)
    assert late.word == "failed" and "never started" in late.reason
    assert f"sft-tui delete {run.id}" in late.remedy and "resume" not in late.remedy


def test_a_folder_of_something_else_is_unknown(run):
    run.config.unlink()
    (run.path / "notes.odt").touch()

    found = status_of(run, time.time() + 60)

    assert found.word == "unknown"
    assert "config.yaml" in found.reason


def test_a_folder_that_was_removed_is_unknown(run):
    training(run)
    shutil.rmtree(run.path)

    assert status_of(run, T0 + 1).word == "unknown"


def test_a_damaged_process_file_of_a_young_run_is_no_error(run):
    run.process.write_bytes(b'{"pid":')

    assert status_of(run, T0 + 3).word == "preparing"


@pytest.mark.timing
def test_the_status_of_a_long_run_is_told_at_once(run):
    """Read from the end: 200,000 events cost no more than a few."""
    training(run)
    line = events.encode(step(3, t=T0 + 5))
    write(run, line * 200_000)
    began = time.perf_counter()

    assert status_of(run, T0 + 6).word == "running"
    assert time.perf_counter() - began < 0.2


def test_reading_a_status_changes_nothing_in_the_folder(run):
    training(run)

    def listing() -> list[tuple[str, int]]:
        return sorted((p.name, p.stat().st_mtime_ns) for p in Path(run.path).iterdir())

    before = listing()
    status_of(run)

    assert listing() == before
