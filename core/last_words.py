"""How the log of a trainer ends: all that is left of one that went without a word."""

import re

from .regular import open_regular
from .rundir import RunDir
from .text import one_line

_QUIET_LINE = re.compile(
    r"[Ww]arn|it/s\]|^\s|^\[transformers\] |^Failed to load CPU |^step \d+: "
    r"|^stack traces, asked by |^((Current )?[Tt]hread 0x|Stack ).*\(most recent call first\):$"
    r"|^Extension modules: |^\.\.\.$"  # the rest of what faulthandler writes is indented
)
_RANK = re.compile(r"^\[rank \d+\] ")
LOG_BEGINS = "--- the trainer begins\n"
"""The line of a log behind which a start's own lines stand."""
KILLED = "--- killed by "
"""Begins the line that who kills a trainer leaves in its log, as it cannot say so itself."""
_NO_WORD = "(its log says nothing)"
_LOG_BYTES = 4096
_MOST_LOG_BYTES = _LOG_BYTES << 6


def last_words(run: RunDir) -> str:
    """Returns the last telling line of the trainer's log, harmless and short.

    Lines that only warn, show progress, or that a library says as it is loaded tell nothing of an
    end, nor do stack traces that were asked for; those of an earlier start tell of another.
    """
    size = _LOG_BYTES
    while True:
        try:
            with open_regular(run.log) as file:
                begins = max(0, file.seek(0, 2) - size)
                file.seek(begins)
                text = file.read(size).decode("utf-8", "replace")
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                return _NO_WORD
            return f"(its log cannot be read: {error.strerror})"
        _, start, text = text.rpartition(LOG_BEGINS)
        lines = text.replace("\r", "\n").splitlines()[1 if begins and not start else 0 :]
        telling = [line for line in lines if not _is_quiet(line)]
        if telling:
            return one_line(telling[-1], 200)
        if start or not begins or size >= _MOST_LOG_BYTES:
            return _NO_WORD
        size *= 8  # stack traces of many threads may be longer


def _is_quiet(line: str) -> bool:
    said = _RANK.sub("", line)
    return not said.strip() or _QUIET_LINE.search(said) is not None


def end_of_log(said: str) -> str:
    """Returns how the log ends as the end of a sentence, where it says anything."""
    return "" if said == _NO_WORD else f"; its log ends: {said}"
