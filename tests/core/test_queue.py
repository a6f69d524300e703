"""The queue: what waits starts once nothing is at work, whoever put it there, and is never lost."""

import contextlib
import os
import stat
import threading
import time

import msgspec
import pytest

from sft_tui.core import config_file, gpus, launch, process, run_queue, scheduler
from sft_tui.core.errors import SftError, UsageError
from sft_tui.core.find import find_run
from sft_tui.core.rundir import RunDir, home, list_runs

POLL_S = 0.02


@pytest.fixture(autouse=True)
def sft_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def unscheduled(monkeypatch):
    """Nothing is started by what is added."""
    monkeypatch.setattr(run_queue, "start_scheduler", lambda: None)


@pytest.fixture
def trainers(monkeypatch):
    """Trainers that do nothing and end when they are told to; returns them as they are started.

    Each is at work on what it would choose.
    """
    begun: list = []

    class Child:
        code = None

        def poll(self):
            return self.code

    def start(config, folder, waited_as):
        chosen = gpus.choose(config.launch, folder)
        run = at_work(f"run-{len(begun)}", [gpu.uuid for gpu in chosen.gpus])
        begun.append(launch.Trainer(run, Child()))
        begun[-1].config = config
        return begun[-1]

    monkeypatch.setattr(launch, "start", start)
    return begun


def demo(rank=8, *sets):
    return config_file.build([f"method.rank={rank}", *sets], "demo")


def at_work(name="20260101-000000-a-0001", devices: list[str] | None = ()) -> RunDir:
    run = RunDir(home() / "runs" / name)
    run.path.mkdir(parents=True)
    record = process.this_process("local", ["x"], {})
    record.devices = None if devices is None else list(devices)
    run.process.write_bytes(msgspec.json.encode(record))
    return run


def end(run: RunDir) -> None:
    record = run.process_record()
    run.process.write_bytes(msgspec.json.encode(msgspec.structs.replace(record, start_time=1.0)))


@pytest.fixture
def gpu_machine(show_gpus, monkeypatch):
    """A machine of two GPUs, of which another user's process keeps the first busy."""
    monkeypatch.setattr(gpus, "has_nvidia_device", lambda: True)
    show_gpus("A GPU-a 97 20 68 402500 0 0 0 1 19", "B GPU-b 0 1 31 9000 0 0 0")
    return show_gpus


class Served:
    """A scheduler in a thread."""

    def __init__(self):
        self.thread = threading.Thread(target=scheduler.main, args=(POLL_S,), daemon=True)
        self.thread.start()

    def ends(self) -> bool:
        self.thread.join(5)
        return not self.thread.is_alive()


def until(holds, why="it") -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, why
        time.sleep(0.01)


def test_what_waits_is_kept_for_its_owner_alone_in_the_order_it_came(unscheduled):
    added = [run_queue.add(demo(rank)) for rank in (4, 8, 16)]
    assert [entry.id for entry in run_queue.waiting()] == [entry.id for entry in added]
    assert [entry.run_config.method.rank for entry in run_queue.waiting()] == [4, 8, 16]
    path = run_queue.queue_folder() / f"{added[0].id}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run_queue.remove(added[1].id[-4:]).id == added[1].id
    assert len(run_queue.waiting()) == 2
    with pytest.raises(UsageError, match="several runs"):
        run_queue.remove("demo")
    with pytest.raises(UsageError, match="nothing"):
        run_queue.remove("")
    with pytest.raises(UsageError, match="it waits in the queue"):
        find_run(added[0].id)


def test_what_could_never_start_is_not_taken(unscheduled):
    config = config_file.build(["data.source=/nowhere/rows.jsonl"], "demo")
    with pytest.raises(SftError, match="nowhere"):
        run_queue.add(config)
    assert not run_queue.waiting()


def test_runs_start_one_after_the_other_and_the_scheduler_ends_with_the_last(unscheduled, trainers):
    run_queue.add(demo(4))
    run_queue.add(demo(16))
    served = Served()
    until(lambda: len(trainers) == 1, "the first")
    time.sleep(5 * POLL_S)
    assert len(trainers) == 1 and run_queue.is_scheduled()
    assert len(run_queue.waiting()) == 1
    trainers[0].child.code = 1  # also one that failed makes room
    end(trainers[0].run)
    until(lambda: len(trainers) == 2, "the second")
    assert served.ends() and not run_queue.is_scheduled() and not run_queue.waiting()
    assert [each.config.method.rank for each in trainers] == [4, 16]


def test_a_run_that_another_window_started_is_waited_for(unscheduled, trainers):
    other = at_work()
    run_queue.add(demo())
    served = Served()
    time.sleep(5 * POLL_S)
    assert not trainers
    end(other)
    until(lambda: trainers, "its turn")
    assert served.ends()


def test_a_run_that_is_just_being_started_is_waited_for():
    run = RunDir(home() / "runs" / "20260101-000000-a-0001")
    run.path.mkdir(parents=True)
    run.config.write_text("{}")
    waits = [run_queue.Waiting(id="a", t=1, folder=str(home() / "runs"), config="{}")]
    assert scheduler.first_ready(waits) is None
    os.utime(run.config, (1, 1))  # it never began
    assert scheduler.first_ready(waits) == waits[0]


def first_ready(*launches: str) -> str | None:
    """Returns which of runs that wait, each with its settings, has its turn."""
    waits = [
        run_queue.Waiting(
            id=str(place),
            t=place,
            folder=str(home() / "runs"),
            config=config_file.to_yaml(demo(8, *launch.split())),
        )
        for place, launch in enumerate(launches, 1)
    ]
    ready = scheduler.first_ready(waits)
    return ready and ready.id


def test_a_run_has_its_turn_when_the_gpus_that_it_asks_for_are_free(gpu_machine):
    two, named = "launch.devices=2", "launch.device_ids=[{}]"
    assert first_ready("") == "1", "the second GPU is free"
    assert first_ready(two) is first_ready(named.format(0)) is None
    assert first_ready(named.format(1)) == "1"
    assert first_ready("launch.devices=3") == "1", "which its start refuses with the reason"
    assert first_ready("launch.device_ids=[5]") == "1"


def test_what_an_earlier_run_waits_for_is_kept_for_it_and_nothing_else(gpu_machine):
    cpu, two = "launch.accelerator=cpu", "launch.devices=2"
    assert first_ready(two, "") is None
    assert first_ready(two, cpu) == "2"
    assert first_ready("launch.device_ids=[0]", "") == "2"
    at_work(devices=[])
    assert first_ready(cpu, cpu, "") == "3", "GPUs do not wait for the CPU"


def test_a_gpu_that_a_trainer_took_is_not_free_before_the_driver_shows_it(gpu_machine):
    at_work("20260101-000000-a-0001", None)
    assert first_ready("") is None, "it is still choosing"
    at_work("20260101-000000-a-0001-", ["GPU-b"])
    end(RunDir(home() / "runs" / "20260101-000000-a-0001"))
    assert first_ready("") is first_ready("launch.device_ids=[1]") is None


def test_free_gpus_are_filled_beside_busy_ones_and_the_rest_waits(
    unscheduled, trainers, gpu_machine
):
    at_work("of-another-window", [])
    for rank in (4, 8):
        run_queue.add(demo(rank))
    run_queue.add(demo(16, "launch.accelerator=cpu"))
    served = Served()
    until(lambda: len(trainers) == 1, "the free GPU")
    time.sleep(5 * POLL_S)
    assert [each.config.method.rank for each in trainers] == [4]
    gpu_machine("A GPU-a 0 1 30 9000 0 0 0", "B GPU-b 97 20 68 402500 0 0 0 1 19")
    until(lambda: len(trainers) == 2, "the GPU that was let go")
    assert trainers[1].run.process_record().devices == ["GPU-a"]
    end(RunDir(home() / "runs" / "of-another-window"))
    until(lambda: len(trainers) == 3, "the CPU")
    assert served.ends() and trainers[2].run.process_record().devices == []


def test_what_cannot_be_started_stays_with_its_reason_and_lets_the_next_one_by(
    unscheduled, trainers, monkeypatch
):
    begin = launch.start

    def start(config, *others):
        if config.method.rank == 4:
            raise SftError("the data file is gone", "no such file", "give another")
        return begin(config, *others)

    monkeypatch.setattr(launch, "start", start)
    run_queue.add(demo(4))
    run_queue.add(demo(16))
    assert Served().ends()
    assert [each.config.method.rank for each in trainers] == [16]
    (left,) = run_queue.waiting()
    assert left.problem == "the data file is gone: no such file. give another"


def test_a_run_whose_disk_had_no_room_stays_with_that_reason(unscheduled, monkeypatch):
    class Full:
        code = None

        def poll(self):
            return self.code

    begun = []

    def start(config, folder, waited_as):
        run = RunDir(folder / "run-full")
        run.path.mkdir(parents=True)
        begun.append(launch.Trainer(run, Full(), first=True))
        return begun[-1]

    monkeypatch.setattr(launch, "start", start)
    run_queue.add(demo(4))
    served = Served()
    until(lambda: begun and not run_queue.waiting(), "the start")
    assert run_queue.is_scheduled(), "it looks what becomes of the start"
    begun[0].child.code = launch.EXIT_FULL
    assert served.ends()
    (entry,) = run_queue.waiting()
    assert "disk is full" in entry.problem
    assert not begun[0].run.path.exists()


def test_a_start_that_was_cut_off_is_told_and_not_done_again(unscheduled, trainers, monkeypatch):
    begin = launch.start

    def killed(*what):
        begin(*what)
        raise KeyboardInterrupt  # stands for SIGKILL: nothing after it is done

    monkeypatch.setattr(launch, "start", killed)
    run_queue.add(demo())
    with pytest.raises(KeyboardInterrupt):
        scheduler.main(POLL_S)
    (left,) = run_queue.waiting()
    assert left.problem and left.problem.startswith("its start was interrupted")
    assert scheduler.main(POLL_S) == 0 and len(trainers) == 1


def test_a_damaged_entry_is_told_and_in_nobodys_way(unscheduled, trainers):
    run_queue.add(demo())
    (run_queue.queue_folder() / "20260101-x.json").write_text('{"id": 3')
    assert Served().ends() and len(trainers) == 1
    (left,) = run_queue.waiting()
    assert left.problem and "cannot be read" in left.problem
    run_queue.remove("20260101-x")
    assert not run_queue.waiting()


def test_a_second_scheduler_leaves_it_to_the_first(unscheduled, trainers):
    at_work()
    run_queue.add(demo())
    first = Served()
    until(run_queue.is_scheduled)
    assert Served().ends() and first.thread.is_alive()
    run_queue.remove("demo")
    assert first.ends() and not trainers


def test_a_process_of_no_window_starts_what_waits_and_its_id_leads_to_the_run(monkeypatch):
    """The whole way with the real processes; the trainer is killed once it is there."""
    with monkeypatch.context() as earlier:
        earlier.setattr(time, "strftime", lambda how: "20260101-000000")
        entry = run_queue.add(demo())
    (child,) = run_queue._children
    try:
        until(lambda: (runs := list_runs()) and runs[0].process_record(), "a trainer")
        (run,) = list_runs()
        record = run.process_record()
        assert process.alive(record) and os.getsid(child.pid) == child.pid != os.getsid(0)
        assert config_file.load(run.config) == entry.run_config
        assert run.id > entry.id and find_run(entry.id).path == run.path
        launch.kill(run)
        until(lambda: child.poll() is not None, "the end of the scheduler")
        assert child.returncode == 0 and not run_queue.waiting() and not run_queue.is_scheduled()
        assert (run_queue.queue_folder() / "scheduler.log").read_text() == ""
    finally:
        for run in list_runs():
            with contextlib.suppress(SftError):
                launch.kill(run)
        child.kill()
        child.wait()
        run_queue._children.clear()
