"""What Data says of a source in words: its mapping, a row as turns, problems, a download."""

from collections.abc import Iterable, Iterator

from textual.content import Content

from .....core.config import DataConfig, SourceConfig
from .....core.data.looked import Looked, RowsChecked, ShownRow, Trouble
from .....core.data.rows import ROLES
from .....core.hub.progress import Event
from .....core.text import one_line, printable
from ....format import UNKNOWN, clock

_WIDE = 14
"""Columns that the names of roles take."""
_LISTED = 3
_STYLES = {"assistant": "$success", "system": "$muted", "tool": "$info", "…": "$muted"}


def size(count: int | None) -> str:
    """Returns bytes as people write them, such as 57.6 MB."""
    if count is None:
        return UNKNOWN
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} B"


def amount(count: int | None) -> str:
    """Returns a number of rows."""
    return UNKNOWN if count is None else f"{count:,}"


def reason(trouble: Trouble) -> str:
    """Returns what is wrong and why."""
    if trouble.kind == "columns" and "not recognised" in trouble.what:
        columns = trouble.why.removeprefix("its ").replace(" are ", ": ", 1)
        return one_line(f"no column looks like a question and an answer ({columns})", 400)
    return one_line(f"{trouble.what}: {trouble.why}", 400)


def words(trouble: Trouble) -> str:
    """Returns what is wrong, why, and what helps."""
    helps = trouble.remedy if trouble.kind != "columns" else "Press c to choose columns"
    return f"{reason(trouble)}. {one_line(helps, 200)}."


Part = str | tuple[str, str]
Line = tuple[Content, Content]
"""What stands at the left, and what stands beside it and is wrapped there."""


def line(name: str, *parts: Part) -> Line:
    """Returns a line with a name in a column of its own."""
    head = Content.styled(f"{one_line(name, _WIDE - 1):<{_WIDE}}", "$muted")
    return head, Content.assemble(*parts)


def marked(glyph: str, *parts: Part) -> Line:
    """Returns a line that begins with a glyph: ✗, !, ✓ or i."""
    style = {"✗": "$error", "!": "$warning", "✓": "$success", "i": "$info"}[glyph]
    return Content.styled(f"{glyph} ", f"{style} bold"), Content.assemble(*parts)


def plain(text: str) -> Line:
    """Returns a sentence."""
    return Content(""), Content(one_line(text, 1000))


def drawn(lines: Iterable[Line], width: int) -> Content:
    """Returns lines as one text of a width; what goes on below its line is indented."""
    out: list[Content] = []
    for head, body in lines:
        parts = body.wrap(max(width - head.cell_length, 10)) if body else [body]
        indent = Content(" " * head.cell_length)
        out += [(indent if place else head) + part for place, part in enumerate(parts)]
    return Content("\n").join(out)


def mapping(looked: Looked) -> Iterator[Line]:
    """Yields what the rows are taken for: the shape, and every role with its column."""
    if looked.shape is not None:
        yield line("shape", (looked.shape, "bold"), f"  {_sure(looked)}")
    if looked.trouble is not None:
        yield marked("✗", words(looked.trouble))
    for role in [*looked.needed, *looked.optional]:
        path = looked.columns.get(role)
        if path is not None:
            yield line(role, "← ", (one_line(path, 80), "bold"))
        elif role in looked.needed:
            yield line(role, "← ", ("✗ no column", "$error"))
    without = [role for role in looked.optional if role not in looked.columns]
    if without:
        yield line("without", (", ".join(without), "$muted"))
    if looked.unused:
        yield line("not used", (one_line(", ".join(looked.unused), 300), "$muted"))
    unknown = [name for name, role in looked.turn_roles.items() if not role]
    if unknown:
        names = one_line(", ".join(unknown), 200)
        yield marked("✗", f"turns of unknown roles: {names}. Press c to say what they are.")
    mapped = {n: r for n, r in looked.turn_roles.items() if r and n not in ROLES}
    if mapped:
        yield line("turn roles", one_line(" · ".join(f"{n} → {r}" for n, r in mapped.items()), 200))


def _sure(looked: Looked) -> str:
    return one_line(f"({looked.certainty}: {looked.reason})", 200)


def sides(
    source: SourceConfig, data: DataConfig, seed: int, rows: int | None, looked: Looked
) -> Iterator[Line]:
    """Yields which rows are trained and which are kept for evaluation."""
    config = f"{one_line(source.config, 40)} · " if source.config else ""
    counted = f" · {amount(rows)} rows" if rows is not None else ""
    yield line("train split", f"{config}{one_line(source.split, 60)}{counted} · seed {seed}")
    if data.eval_source is not None:
        name = one_line(data.eval_source.rpartition("/")[2] or data.eval_source, 60)
        split = f" · {one_line(data.eval_split, 60)}" if data.eval_split else ""
        said = f"{name}{split}"
    elif data.eval_split is not None:
        name = data.eval_split.partition("[")[0]
        known = looked.splits.get(name) if name == data.eval_split else None
        said = one_line(data.eval_split, 60) + (f" · {amount(known)} rows" if known else "")
    elif data.eval_fraction:
        about = f", about {amount(max(round(rows * data.eval_fraction), 1))}" if rows else ""
        said = f"{data.eval_fraction * 100:g} % of the rows{about}; equal questions stay together"
    else:
        said = "none"
    yield line("eval split", said)
    if looked.evaluation is not None:
        yield marked("✗", f"evaluation: {reason(looked.evaluation)}. Press s to choose.")
    for wanted in looked.missing:
        name = one_line(f"{wanted.id}, split {wanted.split}", 120)
        yield marked("i", f"{name}: downloaded at the launch.")


def problems(looked: Looked, checked: RowsChecked | None) -> Iterator[Line]:
    """Yields how many rows can be used, and the first that cannot."""
    bad, total = looked.bad, len(looked.rows)
    usable, seen = looked.usable, f"{'all' if looked.whole else 'the first'} {amount(total)}"
    if checked is not None and (checked.complete or checked.rows > total):
        usable, total = checked.usable, checked.rows
        seen = f"all {amount(total)}" if checked.complete else f"{amount(total)} so far"
        bad = checked.bad or bad
    if not total:
        return
    if usable == total:
        yield marked("✓", f"{seen} rows can be used", _share(checked))
        return
    left = total - usable
    glyph = "✗" if any(row.is_error for row in bad) else "!"
    said = f"{amount(left)} of {seen} rows cannot be used"
    yield marked(glyph, said, _share(checked), ("   w lists", "$muted"))
    reasons = {(row.problem, row.why): row for row in reversed(bad)}
    for row in sorted(reasons.values(), key=lambda row: row.number)[:_LISTED]:
        yield problem(row)


def _share(checked: RowsChecked | None) -> str:
    if checked is None or checked.complete:
        return ""
    return f" · checking, {checked.share:.0%}".replace("%", " %")


def problem(row: ShownRow) -> Line:
    """Returns a row that cannot be used, with place and reason."""
    return marked("✗" if row.is_error else "!", row.sentence())


def turns(row: ShownRow) -> Iterator[Line]:
    """Yields a row as it comes out: each turn with its role."""
    if row.problem:
        yield problem(row)
        return
    for turn in row.turns:
        style = _STYLES.get(turn.role, "$primary")
        text = printable(turn.text) + (
            f" … {amount(turn.more)} characters more" if turn.more else ""
        )
        yield Content.styled(f"{turn.role:<{_WIDE}}", f"{style} bold"), Content(text.expandtabs(4))


def download(event: Event) -> str:
    """Returns how far a download is, in one line."""
    if event.event == "waiting":
        wait = f" {event.wait_s} s" if event.wait_s else ""
        return f"waiting{wait}: {one_line(event.reason, 200)}"
    if not event.bytes_total:
        return one_line(event.reason, 200) or "asking which files it has…"
    rate = f" · {size(round(event.bytes_per_s))}/s" if event.bytes_per_s else ""
    left = f" · {clock(event.left_s)} left" if event.left_s is not None else ""
    files = f" · file {event.files_done} of {event.files_total}" if event.files_total > 1 else ""
    return f"{size(event.bytes_done)} of {size(event.bytes_total)}{rate}{left}{files}"
