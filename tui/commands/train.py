"""`demo`, `train` and `resume`: start a trainer and follow it."""

import argparse
import json
import sys
from pathlib import Path

from ...core import config_file, control, footing, going_on, launch, yaml12
from ...core.config import RunConfig
from ...core.errors import SftError, UsageError
from ...core.find import find_run
from ...core.history import read_history
from ...core.launch import Trainer
from ...core.rundir import RunDir
from ...core.status import Status
from ...core.text import one_line
from .. import plain
from .application import open_application, wants_screen

GOOD_ENDS = ("finished", "stopped", "paused")
EXIT_INTERRUPTED = 130


def demo(arguments: argparse.Namespace) -> int:
    """Runs the main job on the embedded model and data; prints the run directory last."""
    if arguments.steps is not None and arguments.steps < 1:
        raise UsageError("--steps cannot be used", "it must be 1 or more", "leave it out for 26")
    sets = [] if arguments.steps is None else [f"train.max_steps={arguments.steps}"]
    config = config_file.build(sets, preset="demo")
    if wants_screen(plain=arguments.plain):
        run = open_application(
            _runs(arguments),
            mode="monitor",
            start=lambda: launch.start(config, _runs(arguments)),
        )
        if run is not None:
            print(run.path)
        return 0
    trainer = launch.start(config, _runs(arguments))
    try:
        code = _follow(trainer, as_json=False)
        _print_answers(trainer.run)
        return code
    finally:
        print(trainer.run.path)


def train(arguments: argparse.Namespace) -> int:
    """Trains a configuration, in the foreground or detached."""
    config = _configuration(arguments)
    trainer = launch.start(config, _runs(arguments))
    return _detached_or_followed(trainer, arguments)


def resume(arguments: argparse.Namespace) -> int:
    """Goes on with a run from its newest complete checkpoint."""
    return go_on(find_run(arguments.run, _runs(arguments)), arguments, arguments.sets)


def go_on(run: RunDir, arguments: argparse.Namespace, sets: list[str]) -> int:
    """Resumes a run; what its configuration changes is shown first, and asked on a terminal.

    So is that it would begin anew, as its checkpoints are gone, which off a terminal takes --yes.

    Raises:
        UsageError: That was not given.
    """
    lost = footing.lost_checkpoints(run)
    plan = going_on.planned(run, sets)
    for key, old, new in plan.changed:
        shown = f"{key}: {yaml12.dump_value(old)} → {yaml12.dump_value(new)}"
        print(one_line(shown), file=sys.stderr)
    if (plan.changed or lost) and not arguments.yes and not _agreed(run, lost, arguments):
        return 1
    trainer = launch.resume(run, plan.config, max_steps=plan.max_steps)
    return _detached_or_followed(trainer, arguments)


def _agreed(run: RunDir, lost: str, arguments: argparse.Namespace) -> bool:
    """Returns whether the user agrees to what changed, and that a run begins anew."""
    if arguments.json or not sys.stdin.isatty():
        if lost:
            raise UsageError(
                f"{run.id} was not resumed",
                f"{lost}, so it would begin anew at step 0",
                "put that folder back, or add --yes to begin anew",
            )
        if not arguments.json:
            print("taken unasked: there is no terminal to ask on", file=sys.stderr)
        return True
    if lost:
        print(one_line(f"{lost[0].upper()}{lost[1:]}."), file=sys.stderr)
    what = "Begin anew at step 0" if lost else "Go on with what changed"
    print(f"{what}? y yes   Enter no: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _runs(arguments: argparse.Namespace) -> Path | None:
    return Path(arguments.runs) if arguments.runs else None


def _configuration(arguments: argparse.Namespace) -> RunConfig:
    if arguments.config is None:
        if arguments.preset is None:
            raise UsageError(
                "there is nothing to train",
                "neither a CONFIG.yaml nor a --preset was given",
                "`sft-tui config > run.yaml` writes a configuration to start from",
            )
        return config_file.build(arguments.sets, arguments.preset)
    return config_file.load(Path(arguments.config), arguments.sets, arguments.preset)


def _detached_or_followed(trainer: Trainer, arguments: argparse.Namespace) -> int:
    if not arguments.detach:
        return _follow(trainer, as_json=arguments.json)
    trainer.wait_until_started()
    if arguments.json:
        print(json.dumps({"run": trainer.run.id, "path": str(trainer.run.path)}))
    else:
        print(trainer.run.path)
    return 0


def _follow(trainer: Trainer, *, as_json: bool) -> int:
    """Follows a trainer to its end. Ctrl+C never ends the training by itself."""
    follower: plain.Follower | None = None
    while True:
        try:
            trainer.wait_until_started()
            if as_json:
                return _told(trainer.run, plain.print_events(trainer.run, trainer.poll), as_json)
            if follower is None:
                plain.say(
                    f"PREPARING {trainer.run.id}  (pid {trainer.pid}; closing this window is safe)"
                )
                follower = plain.Follower(trainer.run, plain.say, trainer.poll)
            return _told(trainer.run, follower.follow(), as_json)
        except KeyboardInterrupt:
            if _asked_to_detach(trainer.run):
                return EXIT_INTERRUPTED


def _told(run: RunDir, status: Status, as_json: bool) -> int:
    """Returns the exit code of an end; a bad one is told as every other failure is.

    Raises:
        SftError: The run failed or crashed, and its events did not go to stdout as JSON.
    """
    if status.word in GOOD_ENDS:
        return 0
    if as_json:
        return 1
    raise SftError(
        f"the run {run.id} {status.word}",
        status.reason or "no reason was given",
        status.remedy or f"read {run.log}",
    )


def _asked_to_detach(run: RunDir) -> bool:
    """Asks on a terminal what Ctrl+C meant; elsewhere, or asked again, it means detach."""
    goes_on = f"{run.id} goes on. Watch: sft-tui watch {run.id} --plain"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print(f"detached; {goes_on}", file=sys.stderr)
        return True
    print("\nThe run goes on by itself.  s stop and save   d detach   Enter keep watching: ",
          end="", file=sys.stderr, flush=True)  # fmt: skip
    try:
        choice = sys.stdin.readline().strip().lower()
    except KeyboardInterrupt:
        choice = "d"
    if choice == "s":
        control.append(run.control, "stop")
        print("stop asked; the trainer saves after this step", file=sys.stderr)
        return False
    if choice == "d":
        print(f"detached; {goes_on}", file=sys.stderr)
        return True
    return False


def _print_answers(run: RunDir) -> None:
    """Prints the answers before and after training, side by side."""
    history = read_history(run.events)
    first = {sample.prompt_id: sample for sample in history.samples if sample.step == 0}
    last = {sample.prompt_id: sample for sample in history.samples if sample.step > 0}
    for prompt_id, tuned in sorted(last.items()):
        question = one_line(tuned.prompt.partition("### Input:")[2].partition("###")[0])
        base = first.get(prompt_id)
        print(f"\n{question or one_line(tuned.prompt, 100)}")
        print(f"  expected  {one_line(tuned.expected or '–', 100)}")
        print(f"  base      {one_line(base.text, 100) if base else '–'}")
        print(f"  tuned     {one_line(tuned.text, 100)}")
    if last:
        print()
