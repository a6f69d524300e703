"""What all rows amount to, and what is wrong with them, as lines of two panels."""

from textwrap import wrap

from .....core.config import RunConfig
from .....core.data.lints import LINTS, Problem, singular
from .....core.data.results import Histogram, Packing, Statistics
from .....core.text import one_line
from ....format import UNKNOWN, counted, percent, with_keys
from ....preview_text import layout_in_words
from ....services.checks import Checks
from ....widgets.pieces import Line, Piece

GLYPHS = {"error": "✗", "warning": "!", "info": "i"}
_KINDS = {"error": "bad", "warning": "warn", "info": "info"}
_BARS = " ▁▂▃▄▅▆▇█"
_HIGH = 3
"""Lines of the histogram."""


def scope_of(checks: Checks) -> str:
    """Returns which rows the numbers are of: a sample, or all."""
    if checks.result is None:
        return "" if not checks.running else _amount(checks)
    rows = checks.result.statistics.rows
    if checks.result.complete:
        return f"all {rows:,} rows"
    more = f", {_amount(checks)}" if checks.running else ""
    ended = " · ended, r goes on" if checks.cancelled else ""
    return f"sample of {rows:,}{more}{ended}"


def statistics_title(checks: Checks, *, narrow: bool) -> str:
    """Returns which rows the numbers are of; where the panel is closed, the main ones too."""
    parts = [scope_of(checks)]
    if narrow and checks.result is not None:
        found = checks.result.statistics
        length = f"p95 {found.lengths.p95:,}" if found.lengths is not None else ""
        parts += [length, f"trained {percent(found.trained_share)}", f"cut {found.cut_rows:,}"]
    return f"Statistics  {' · '.join(filter(None, parts))}".rstrip()


def _amount(checks: Checks) -> str:
    return f"pass at {percent(checks.progress.share)}" if checks.running else ""


def statistics_lines(checks: Checks, width: int) -> list[Line]:
    """Returns the lines of the panel of amounts."""
    result = checks.result
    if result is None or checks.config is None:
        return [[Piece(line, "muted")] for line in wrap(_waiting(checks), max(width, 10))]
    found, config = result.statistics, checks.config
    lines = [
        _line("rows", f"{found.train_rows:,} trained, {found.eval_rows:,} held out"),
        _line("left out", f"{found.dropped_rows:,} · duplicates {found.duplicates:,}"),
    ]
    if found.lengths is not None:
        lengths = found.lengths
        lines.append(
            _line("length", f"p50 {lengths.p50:,} p95 {lengths.p95:,} max {lengths.max:,}")
        )
        lines += _histogram(lengths.histogram, config.data.max_length, width)
    cut = percent(found.cut_rows / found.rows) if found.rows else UNKNOWN
    lines += [
        _line("trained", f"{percent(found.trained_share)} of {found.tokens:,} tokens"),
        _line("cut", f"{counted(found.cut_rows, 'row')} ({cut})"),
        _line("limit", _suggestion(found)),
        *_packing(found.packing),
        _line("steps", f"{UNKNOWN if found.steps is None else format(found.steps, ',')}"),
    ]
    for source in found.sources if len(found.sources) > 1 else ():
        name = one_line(source.source.rpartition("/")[2], max(width - 16, 8))
        lines.append(_line(name, f"{source.kept:,} of {source.rows:,}"))
    return lines


def _packing(packing: Packing) -> list[Line]:
    """Returns how rows go through the model, and what is computed in vain or once for several."""
    without = percent(packing.padding_share_without)
    if packing.layout == "padded":
        return [_line("padding", f"{without} of what is computed"), _line("packing", "off")]
    trial = "if the model allows" if packing.on_trial else "on"
    lines = [_line("padding", f"none, {without} if not packed"), _line("packing", trial)]
    if packing.layout == "shared":
        lines.append(_line("shared", f"{percent(packing.shared_share)} of the tokens"))
    elif packing.other_order_share is not None:
        share = percent(packing.other_order_share)
        lines.append(_line("shared", f"none, {share} in another order"))
    elif packing.grouped_share is not None:
        lines.append(_line("shared", f"none, {percent(packing.grouped_share)} if always"))
    return lines


def _waiting(checks: Checks) -> str:
    """Returns why there are no numbers."""
    if checks.missing:
        return f"Nothing to count yet: no {' and no '.join(checks.missing)}."
    if checks.error is not None:
        remedy = one_line(with_keys(checks.error.remedy), 300)
        return f"✗ {one_line(str(checks.error), 400)}. Do: {remedy}"
    if checks.running:
        return one_line(checks.progress.words, 200) or "The pass over all rows has begun."
    return "The pass over all rows was ended. Press r to begin it again."


def _line(name: str, text: str) -> Line:
    return [Piece(f"{name:<8} ", "muted"), Piece(text)]


def _suggestion(found: Statistics) -> str:
    if found.suggested_max_length is None:
        return UNKNOWN
    whole = found.lengths is not None and found.suggested_max_length >= found.lengths.max
    return f"{found.suggested_max_length:,} keeps {'every row' if whole else '99 %'} whole"


def _histogram(histogram: Histogram, limit: int, width: int) -> list[Line]:
    """Returns bars of how many rows are how long, and where the limit stands among them."""
    counts, edges = histogram.counts, histogram.edges
    first = next((place for place, count in enumerate(counts) if count), 0)
    counts, edges = counts[first:], edges[first:]
    wide = max((width - 1) // max(len(counts), 1), 1)
    most = max(counts, default=1)
    # A bin that holds any row shows at least the lowest bar.
    eighths = [-(-count * _HIGH * 8 // most) for count in counts]
    bars: list[Line] = []
    for level in range(_HIGH - 1, -1, -1):
        cells = (_BARS[min(max(size - level * 8, 0), 8)] for size in eighths)
        bars.append([Piece("".join(cell * wide for cell in cells)[:width], "info")])
    place = sum(edge <= limit for edge in edges[1:])
    if place >= len(counts):
        return [*bars, [Piece(f"limit {limit:,} is above all rows", "muted")]]
    at = min(place * wide, max(width - 1, 0))
    note = f"limit {limit:,}"
    left = f"{note} ↑".rjust(at + 1)
    text = left if at > len(note) else f"{'↑'.rjust(at + 1)} {note}"
    return [*bars, [Piece(text, "warn")]]


def problem_lines(problems: list[Problem], sources: int, width: int) -> list[Line]:
    """Returns the lines of the panel of problems; each problem is an item."""
    lines: list[Line] = []
    for item, problem in enumerate(problems):
        rows = counted(problem.count, "row")
        kind = _KINDS[problem.severity]
        lines.append(
            [
                Piece(f"{GLYPHS[problem.severity]} ", kind, item),
                Piece(f"{problem.id}", "strong", item),
                Piece(f" {rows}", "", item),
            ]
        )
        lint = LINTS[problem.id]
        what = singular(lint.what) if problem.count == 1 else lint.what
        where = f" ({one_line(problem.source, 60)})" if sources > 1 else ""
        lines += [
            [Piece(f"  {part}", "muted", item)] for part in wrap(what + where, max(width - 2, 10))
        ]
    return lines


def problems_title(problems: list[Problem]) -> str:
    """Returns how many of each severity there are, in glyphs."""
    counts = [
        f"{glyph} {sum(problem.severity == severity for problem in problems)}"
        for severity, glyph in GLYPHS.items()
        if any(problem.severity == severity for problem in problems)
    ]
    return " · ".join(counts)


def in_sentences(found: Statistics, config: RunConfig) -> str:
    """Returns the amounts in plain sentences."""
    scope = "all rows" if found.complete else f"a sample of {counted(found.rows, 'row')}"
    parts = [
        f"Statistics of {scope}: {counted(found.train_rows, 'row')} to train, "
        f"{found.eval_rows:,} held out, {found.dropped_rows:,} left out, "
        f"{found.duplicates:,} repeat another."
    ]
    if found.lengths is not None:
        lengths = found.lengths
        parts.append(
            f"Half of the rows have up to {lengths.p50:,} tokens, 95 % up to {lengths.p95:,}, the "
            f"longest {lengths.max:,}; the limit is {config.data.max_length:,}, which cuts "
            f"{counted(found.cut_rows, 'row')}."
        )
    parts.append(
        f"{percent(found.trained_share)} of {found.tokens:,} tokens are trained. "
        f"{layout_in_words(found.packing)}."
    )
    return " ".join(parts)
