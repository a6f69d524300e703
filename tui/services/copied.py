"""The last text that was copied, in a file: a terminal may refuse the clipboard and say nothing."""

from ...core.rundir import home, make_folder, write_atomic
from ...core.text import one_line, redact


def keep(text: str) -> str:
    """Writes the file; returns what is to be said of the text and where it is."""
    said = f"Copied “{one_line(text, 40)}”"
    path = home() / "copied.txt"
    try:
        make_folder(path.parent)
        write_atomic(path, redact(text).encode() + b"\n")
    except OSError as error:
        return f"{said}; {path} cannot be written ({error.strerror}), so a file of it is missing."
    return f"{said}, if the terminal allows it; it is in {path} too."
