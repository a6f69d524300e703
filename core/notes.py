"""A run's note: one line that people keep about it, in `note.txt` of its folder.

Only what somebody was shown is replaced: a note that came meanwhile, or that is no single line,
stays as it is.
"""

from .errors import SftError
from .regular import read_small
from .rundir import RunDir, explain_os_error, write_atomic
from .text import one_line

LONGEST = 500
_LIMIT_BYTES = 16 << 10


def read_note(run: RunDir) -> str | None:
    """Returns the note as one harmless line; None where there is none that can be read."""
    try:
        return one_line(read_small(run.note, _LIMIT_BYTES).decode("utf-8", "replace")) or None
    except OSError:
        return None


def write_note(run: RunDir, text: str, shown: str | None) -> str | None:
    """Replaces the note; "" takes it away.

    Args:
        run: The run.
        text: The new note, one line.
        shown: The note that this one is to replace, as `read_note` gave it.

    Returns:
        The note as it was kept.

    Raises:
        SftError: It is too long, another note came meanwhile, the file holds more than a line, or
            the folder cannot be written.
    """
    new = one_line(text)
    if len(new) > LONGEST:
        raise SftError(
            "the note is too long",
            f"it has {len(new)} characters",
            f"write at most {LONGEST}; a longer text may lie in a file of its own in {run.path}",
        )
    _refuse_to_lose(run, shown)
    try:
        if new:
            write_atomic(run.note, f"{new}\n".encode())
        else:
            run.note.unlink(missing_ok=True)
    except OSError as error:
        raise explain_os_error(error, "writing the note") from error
    return new or None


def _refuse_to_lose(run: RunDir, shown: str | None) -> None:
    """Refuses to replace what nobody was shown, or was not shown whole."""
    try:
        raw = read_small(run.note, _LIMIT_BYTES)
    except FileNotFoundError:
        raw = b""
    except OSError as error:
        raise explain_os_error(error, "reading the note") from error
    kept = read_note(run)
    if kept != shown:
        raise SftError(
            f"the note of {run.id} was not changed",
            f"another came meanwhile: {one_line(kept or 'none', 80)}",
            "look at it, then change it",
        )
    if raw.decode("utf-8", "replace").strip() != (kept or ""):
        raise SftError(
            f"the note of {run.id} was not changed",
            "its file holds more than one plain line",
            f"edit {run.note} in an editor",
        )
