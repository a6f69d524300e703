"""Text that comes from models, data, logs or the Hub is data: made harmless before it is shown."""

import re

_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI sequences: colours, cursor movement
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC strings: titles, clipboard
    r"|\x1b[ -/]*[0-~]"  # two-character escapes
    r"|\x9b[0-?]*[ -/]*[@-~]",  # CSI as one 8-bit character
    re.DOTALL,
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_PATH = re.compile(r"(?<![\w/:.~-])~?(?:/[^\s/'\"`<>|:;,()\[\]]+)+/?")
_TOKEN = re.compile(r"hf_[A-Za-z0-9]{8,}")


def printable(text: str) -> str:
    """Returns `text` without escape sequences, control and bidirectional override characters.

    Line feeds and tabs stay. A carriage return ends a progress bar's state, so it becomes a
    line feed. Hugging Face tokens are replaced by `hf_***`.
    """
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return redact(_CONTROL.sub("", text))


def one_line(text: str, limit: int | None = None) -> str:
    """Returns `text` harmless and on one line, cut to `limit` characters with an ellipsis."""
    line = " ".join(printable(text).split())
    if limit is not None and len(line) > limit:
        return line[: max(limit - 1, 0)] + "…"
    return line


def thousands(count: int | None) -> str:
    """Returns a count with its thousands apart, a dash where it is not known."""
    return "–" if count is None else f"{count:,}"


def redact(text: str) -> str:
    """Replaces every Hugging Face token in `text` by `hf_***`."""
    return _TOKEN.sub("hf_***", text)


def without_paths(text: str) -> str:
    """Returns `text` with every absolute path, and those below ~, reduced to its last part."""
    return _PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2], text)
