"""The last text that was copied, in a file: a terminal may refuse the clipboard and say nothing."""

from ...core.errors import SftError
from ...core.rundir import home, write_own
from ...core.text import one_line, redact


def keep(text: str) -> str:
    """Writes the file; returns what is to be said of the text and where it is."""
    said = f"Copied “{one_line(text, 40)}”"
    path = home() / "copied.txt"
    try:
        write_own(path, redact(text).encode() + b"\n")
    except SftError as error:
        return f"{said}; a file of it is missing: {error}."
    return f"{said}, if the terminal allows it; it is in {path} too."
