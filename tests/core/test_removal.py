"""Removing a run: what goes is told, what is at work stays, nothing else is touched."""

import os
import socket
import time

import msgspec
import pytest

from sft_tui.core import config_file, events, process
from sft_tui.core.errors import RunBusy, SftError
from sft_tui.core.notes import write_note
from sft_tui.core.removal import loss_of, remove
from sft_tui.core.rundir import RunDir, list_runs, locked

NAME = "20260101-000000-tiny-0a01"


@pytest.fixture
def run(tmp_path, ended_process) -> RunDir:
    """A run that has finished, with two checkpoints, an adapter and a note."""
    run = RunDir(tmp_path / "runs" / NAME)
    run.path.mkdir(parents=True)
    run.config.write_text(config_file.to_yaml(config_file.build(preset="demo")))
    run.events.write_bytes(events.encode(events.RunFinished(status="finished", step=9, t=1.0)))
    run.process.write_bytes(msgspec.json.encode(ended_process))
    for step in (5, 9):
        (run.checkpoints / f"step-{step}").mkdir(parents=True)
        (run.checkpoints / f"step-{step}" / "weights").write_bytes(bytes(1_000_000))
    run.adapter.mkdir()
    (run.adapter / "weights").write_bytes(bytes(500_000))
    write_note(run, "the base", None)
    return run


def test_what_goes_is_told_with_its_size(run):
    (run.path / "wandb").mkdir()
    for name in ("mine.txt", "b", "c", "d"):
        (run.path / name).write_text("x")
    first, note, strangers = loss_of(run).words()
    assert first.startswith("2.5 MB in 11 files: the trained adapter, 2 checkpoints (the last of")
    assert "step 9" in first and note == "The note: the base"
    assert strangers == "Not of the run: b, c, d and 1 more."


def test_a_run_goes_whole_and_its_neighbour_stays(run):
    other = RunDir(run.path.with_name("20260101-000001-tiny-0a02"))
    other.path.mkdir()
    linked = run.path.parent.parent / "kept"
    linked.mkdir()
    (linked / "weights").write_text("x")
    (run.path / "exported").symlink_to(linked)
    remove(run)
    assert os.listdir(run.path.parent) == [other.id]
    assert (linked / "weights").exists(), "what a link points to stays"


def test_a_folder_in_which_nothing_was_written_goes_also_from_a_full_disk(tmp_path, mount_disk):
    disk = mount_disk("16k")
    run = RunDir(disk / NAME)
    run.path.mkdir()
    os.utime(run.path, (1, 1))
    with pytest.raises(OSError, match="No space"), open(disk / "filler", "wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    loss_of(run)
    remove(run)
    assert os.listdir(disk) == ["filler"]


def living(run: RunDir, **changes) -> RunDir:
    record = msgspec.structs.replace(process.this_process("local", ["x"], {}), **changes)
    run.process.write_bytes(msgspec.json.encode(record))
    run.events.write_bytes(events.encode(events.Phase(name="training", t=time.time())))
    return run


def refused(run: RunDir) -> str:
    """Both refuse, and nothing is gone."""
    before = sorted(run.path.rglob("*"))
    with pytest.raises(SftError) as caught:
        loss_of(run)
    with pytest.raises(SftError):
        remove(run)
    assert sorted(run.path.rglob("*")) == before
    return f"{caught.value}. {caught.value.remedy}"


def test_a_run_at_work_is_refused(run):
    said = refused(living(run))
    assert "it is running: its trainer is at work" in said and "sft-tui stop" in said


def test_a_trainer_that_told_its_end_and_still_leaves_is_refused(run):
    living(run)
    run.events.write_bytes(events.encode(events.RunFinished(status="finished", step=9, t=1.0)))
    assert "its trainer is at work" in refused(run)


def test_a_run_of_another_host_is_refused(run):
    said = refused(living(run, host=f"not-{socket.gethostname()}"))
    assert "may be at work: last heard" in said and "by hand" in said


def test_a_lock_that_is_held_keeps_the_folder(run):
    with locked(run), pytest.raises(RunBusy):
        remove(run)
    assert run.events.exists()


def test_a_link_in_place_of_a_folder_is_refused(run):
    place = run.path.parent.parent / "elsewhere"
    run.path.rename(place)
    run.path.symlink_to(place)
    assert "is a link to another place" in refused(run)


def test_a_folder_that_is_not_ours_to_change_says_so(run, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(run.path))

    monkeypatch.setattr("sft_tui.core.removal.os.rename", refuse)
    with pytest.raises(SftError, match=r"deleting .* failed: .*Permission denied"):
        remove(run)
    assert [each.id for each in list_runs(run.path.parent)] == [NAME]


def test_what_is_left_of_a_removal_is_named_and_out_of_the_list(run, monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("sft_tui.core.removal.shutil.rmtree", fail)
    with pytest.raises(SftError, match="was deleted in part") as caught:
        remove(run)
    assert f".deleted-{NAME}-" in caught.value.remedy
    assert not list_runs(run.path.parent)
