"""What else the row panel shows: a row as it stands in its file, sentences."""

from collections.abc import Sequence
from textwrap import wrap

from .....core.data.results import RawView
from .....core.text import one_line
from ....widgets.pieces import Line, Piece
from .token_lines import chopped, visible


def sentences(parts: Sequence[tuple[str, str]], width: int) -> list[Line]:
    """Returns paragraphs, each (kind, text), as lines with an empty one between them."""
    lines: list[Line] = []
    for kind, text in parts:
        if lines:
            lines.append([])
        lines += [[Piece(part, kind)] for part in wrap(text, max(width, 10))]
    return lines


def raw_lines(raw: RawView, width: int, mask: str, ahead: str = "") -> list[Line]:
    """Returns a row of the file as JSON; `▌` stands before the columns that are read."""
    lines = sentences([("info", ahead)], width) if ahead else []
    if raw.wrong:
        sign = "x" if mask == "carets" else "✗"
        why = f"{sign} {raw.place}: this row cannot be read: {one_line(raw.wrong, 400)}"
        return [*lines, *sentences([("bad", why)], width)]
    used = {path.partition(".")[0].partition("[")[0]: path for path in raw.columns.values()}
    read = " · ".join(f"{role} ← {path}" for role, path in raw.columns.items())
    head = f"{raw.place} · shape {one_line(raw.shape, 200)}{f' · {read}' if read else ''}"
    if mask == "carets":
        head = visible(head.replace(" · ", ", ").replace("←", "<-"), "text", mask)
    lines += [*sentences([("muted", one_line(head, 600))], width), []]
    marked = False
    mark = "|" if mask == "carets" else "▌"
    for text in raw.text.split("\n"):
        if text.startswith('  "'):
            marked = text[3:].partition('":')[0] in used
        elif text in ("{", "}"):
            marked = False
        kind = "" if marked else "muted"
        for part in chopped(visible(text, "text", mask), max(width - 2, 8)):
            lines.append([Piece(f"{mark} " if marked else "  ", "bracket"), Piece(part, kind)])
    return lines
