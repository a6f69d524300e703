"""Real trainers of two ranks: steered over the control file, killed, and resumed."""

import os
import re
import signal
import time

import psutil
import pytest

from sft_tui.core import control, events, launch
from sft_tui.core.status import status_of
from tests import told

TWO = ("launch.devices=2", "train.micro_batch_size=1", "save.every_steps=5")


@pytest.fixture
def start(tiny, cli):
    """Starts a run of two ranks and waits for a step; returns the trainer and the other rank."""

    def begin(*sets, step=3):
        trainer = launch.start(tiny.config(*TWO, *sets))
        cli.until(lambda: cli.last_step(trainer.run) >= step, trains=trainer.run)
        return trainer, other_rank(trainer)

    return begin


def other_rank(trainer):
    (child,) = [
        child
        for child in psutil.Process(trainer.pid).children()
        if "sft_tui.core.training.rank" in child.cmdline()
    ]
    return child


def of(cli, run, kind):
    return [event for event in cli.told(run) if isinstance(event, kind)]


def ended(cli, trainer):
    """Waits for the end of a start and returns what it told of it."""
    cli.until(lambda: trainer.poll() is not None, timeout_s=60)
    return of(cli, trainer.run, events.RunFinished)[-1]


def assert_nothing_is_left(run, other):
    assert not other.is_running() or other.status() == psutil.STATUS_ZOMBIE
    assert not [path.name for path in run.path.iterdir() if path.name.startswith(".ranks")]


def test_commands_act_on_both_ranks_at_the_same_step_and_nothing_listens(start, cli):
    trainer, other = start()
    run = trainer.run

    listening = [
        connection.laddr.ip
        for each in (psutil.Process(trainer.pid), other)
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening, "gloo listens on the loopback interface"
    assert {ip for ip in listening if not ip.startswith("127.") and ip != "::1"} == set()

    rate = control.append(run.control, "set", learning_rate=0.002)
    saved = control.append(run.control, "checkpoint")
    for request in (rate, saved):
        cli.until(lambda: "done" in cli.answers(run, request), trains=run)  # noqa: B023
    stop = control.append(run.control, "stop")
    end = ended(cli, trainer)

    assert (end.status, cli.answers(run, stop)) == ("stopped", ["accepted", "done"])
    assert trainer.poll() == 0
    steps = of(cli, run, events.Step)
    assert steps[-1].learning_rate == pytest.approx(0.002)
    assert [step for step, _ in run.complete_checkpoints()][-1] == end.step == steps[-1].step
    assert run.adapter.exists()
    assert_nothing_is_left(run, other)

    log = run.log.read_text()
    mine = re.findall(r"^step (\d+): 1 rows, digest (\w+)$", log, re.M)
    others = re.findall(r"^\[rank 1\] step (\d+): 1 rows, digest (\w+)$", log, re.M)
    assert [step for step, _ in mine] == [step for step, _ in others]
    assert [step for step, _ in mine] == [str(n) for n in range(1, end.step + 1)]
    assert all(a != b for (_, a), (_, b) in zip(mine, others, strict=True))
    (started,) = of(cli, run, events.RunStarted)
    assert (started.world_size, started.device) == (2, "cpu × 2 (ddp)")


@pytest.mark.parametrize(
    ("strategy", "number"),
    [
        ("ddp", signal.SIGKILL),
        pytest.param("fsdp", signal.SIGSEGV, marks=pytest.mark.soak),
    ],
)
def test_a_rank_that_dies_ends_the_run_with_its_name_and_a_resume_goes_on(
    strategy, number, start, cli, tiny
):
    trainer, other = start(f"launch.strategy={strategy}", step=6)
    began = time.monotonic()
    other.send_signal(number)
    cli.until(lambda: trainer.poll() is not None, timeout_s=60)

    assert time.monotonic() - began < 30
    end = told.failure(trainer.run)
    quoted = re.match(
        rf"rank 1 was lost: it ended with signal {int(number)}(?:: |, after the line “)([^”;]+)",
        end.reason,
    )
    assert quoted, end.reason
    assert f"\n[rank 1] {quoted[1]}\n" in trainer.run.log.read_text(), "its own last words"
    assert_nothing_is_left(trainer.run, other)

    last = trainer.run.complete_checkpoints()[-1][0]
    config = tiny.config(*TWO, f"launch.strategy={strategy}", f"train.max_steps={last + 3}")
    again = launch.resume(trainer.run, config)
    assert ended(cli, again).status == "finished"
    assert of(cli, again.run, events.RunStarted)[-1].resumed_from_step == last


def test_a_killed_trainer_leaves_no_rank_behind(start, cli, tiny):
    trainer, other = start(step=6)
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.child.wait()
    cli.until(lambda: not other.is_running(), timeout_s=10)
    assert status_of(trainer.run).word == "crashed"

    again = launch.resume(trainer.run, tiny.config(*TWO))
    again.wait_until_started()
    cli.until(lambda: len(of(cli, again.run, events.RunStarted)) == 2, trains=again.run)
    os.kill(again.pid, signal.SIGTERM)
    end = ended(cli, again)
    assert (end.status, end.reason) == ("stopped", "signal SIGTERM")
    assert [step for step, _ in again.run.complete_checkpoints()][-1] == end.step
    assert not again.run.adapter.exists()
    assert_nothing_is_left(again.run, other)


def test_devices_that_are_not_there_are_refused_before_a_run_is_made(tiny):
    from sft_tui.core.errors import UsageError
    from sft_tui.core.rundir import list_runs

    cores = os.cpu_count()
    with pytest.raises(UsageError, match=f"{cores} cores"):
        launch.start(tiny.config(f"launch.devices={cores + 1}"))
    assert list_runs() == []
