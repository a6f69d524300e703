"""Which run is meant by what a user typed: an id, a part of one, a path, or `latest`."""

from collections.abc import Sequence
from pathlib import Path

from .errors import UsageError
from .regular import is_gone
from .rundir import NAME, RunDir, list_runs, queue_folder, runs_folder

GONE = "its folder was moved or deleted, or is not mounted"
"""Why a run cannot be found that was there."""


def find_run(text: str, folder: Path | None = None) -> RunDir:
    """Returns the run named by an id, a unique part of one, a path, or `latest`.

    The id under which a run waited in the queue names it too.

    Raises:
        UsageError: No run or several runs answer to that name.
    """
    if not text.strip():
        raise UsageError("no run is named", "the name is empty", "`sft-tui runs` lists the runs")
    if "/" in text or text in (".", ".."):
        if (path := run_at(text)) is not None:
            return RunDir(path)
        raise _no_run(text)
    runs = list_runs(folder)
    if not any(text in run.id or _waited_as(run, text) for run in runs) and is_queued(text):
        raise UsageError(
            f"{text} is no run yet",
            "it waits in the queue",
            f"`sft-tui show {text}` says what it waits for",
        )
    if not runs:
        raise UsageError(
            "there is no run yet",
            f"{runs_folder(folder)} holds none",
            "`sft-tui demo` starts one",
        )
    if text == "latest":
        newest = newest_begun(runs)
        if newest is None:
            raise UsageError(
                "there is no run yet",
                f"no folder in {runs_folder(folder)} holds one that began",
                "`sft-tui demo` starts one",
            )
        return newest
    matches = (
        [run for run in runs if run.id == text]
        or [run for run in runs if text in run.id]
        or [run for run in runs if _waited_as(run, text)]
    )
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise UsageError(
            f"no run is named {text!r}",
            f"{len(runs)} of {runs_folder(folder)} were looked at",
            "`sft-tui runs` lists them; `latest` is the newest",
        )
    shown = ", ".join(run.id for run in matches[:4])
    raise UsageError(f"{text!r} names several runs", shown, "give more of the id")


def newest_begun(runs: Sequence[RunDir]) -> RunDir | None:
    """Returns the first of runs that came newest first, but for folders that nothing fills."""
    return next((run for run in runs if run.is_begun()), None)


def _waited_as(run: RunDir, text: str) -> bool:
    """Returns whether a run is what waited in the queue under an id: its name ends as that does."""
    waited = NAME.fullmatch(text)
    return waited is not None and run.id[-len(waited[1]) :] == waited[1] and run.id > text


def is_queued(name: str) -> bool:
    """Returns whether something waits in the queue under this id."""
    try:
        return (queue_folder() / f"{name}.json").is_file()
    except (OSError, ValueError):  # not ours to read, or a name that no file can have
        return False


def run_at(text: str) -> Path | None:
    """Returns the folder of the run at a path, or None where there is none."""
    try:
        path = Path(text).expanduser().resolve()
        return path if _was_started(RunDir(path)) else None
    except (OSError, ValueError, RuntimeError):  # a path that no file can have
        return None


def refuse_no_run(run: RunDir) -> None:
    """Refuses a folder in which no trainer was ever started, be it among the runs.

    Raises:
        UsageError: It is such a one.
    """
    if is_gone(run.path):
        raise UsageError(f"{run.id} is gone", GONE, "bring it back")
    try:
        if _was_started(run):
            return
    except OSError:  # not ours to read, which is told of what is read next
        return
    raise _no_run(run.path.name)


def _was_started(run: RunDir) -> bool:
    """Returns whether a trainer was: a configuration alone may lie in any folder."""
    return any(path.exists() for path in (run.events, run.process, run.log))


def _no_run(name: str) -> UsageError:
    return UsageError(
        f"{name} is no run",
        "no trainer was ever started in that folder",
        "name a run by its id, a unique part of it, its folder, or `latest`; `sft-tui runs` lists "
        "them",
    )
