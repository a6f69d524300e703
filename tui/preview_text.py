"""A row and the statistics of a data set as lines of text, for a terminal or a pipe."""

from collections.abc import Iterable, Iterator

from ..core.data.lints import RowProblem
from ..core.data.results import Packing, PreviewedRow, Statistics, Token
from ..core.text import one_line, printable

_TRAINED, _PLAIN = "\x1b[1;38;2;234;246;255;48;2;11;74;117m", "\x1b[0m"
_GLYPHS = {"error": "✗", "warning": "!", "info": "i"}


def row_lines(row: PreviewedRow, *, colour: bool) -> list[str]:
    """Returns a row as it is trained: ▌…▐ around every trained part, ✂ where it was cut."""
    text = "".join(_marked(row.tokens, colour=colour))
    lines = [*_head(row), *printable_kept(text, colour).split("\n")]
    if row.cut_tokens:
        lost = f"{row.cut_tokens} tokens lost, {row.cut_trained} were trained"
        gone = one_line("".join(token.text for token in row.cut), 200)
        lines += ["", f"✂ cut by data.max_length: {lost}: {gone}"]
    if row.problems:
        lines += ["", *(line for problem in row.problems for line in _problem(problem))]
    return lines


def ascii_lines(row: PreviewedRow) -> list[str]:
    """Returns a row in ASCII alone: under each line of text a line of `^` where it is trained.

    `.` is context and `x` what was cut; other characters than ASCII are written as escapes.
    """
    lines, marks = [""], [""]
    kept = [(token, "^" if token.trained else ".") for token in row.tokens]
    for token, mark in [*kept, *((token, "x") for token in row.cut)]:
        for index, part in enumerate(printable(token.text).split("\n")):
            if index:
                lines.append("")
                marks.append("")
            shown = part.encode("ascii", "backslashreplace").decode()
            lines[-1] += shown
            marks[-1] += mark * len(shown)
    body = [line for pair in zip(lines, marks, strict=True) for line in pair]
    tail = [line for problem in row.problems for line in _problem(problem)]
    every = [*_head(row), *body, *tail]
    return [line.encode("ascii", "backslashreplace").decode() for line in every]


def spelled(text: str) -> str:
    """Returns a token's text with white space and control characters spelled out."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _head(row: PreviewedRow) -> list[str]:
    trained = sum(token.trained for token in row.tokens)
    share = f"{trained / len(row.tokens):.0%}" if row.tokens else "–"
    return [
        f"row {row.row} of {one_line(row.source)}",
        f"shape {row.shape} ({row.certainty}: {one_line(row.shape_reason)}) · template "
        f"{row.template} · mask from {row.mask_from}",
        f"{len(row.tokens)} tokens, {trained} trained ({share}){_unused(row.unused_columns)}",
        "",
    ]


def _marked(tokens: Iterable[Token], *, colour: bool) -> Iterator[str]:
    opening, closing = ("▌" + _TRAINED, _PLAIN + "▐") if colour else ("▌", "▐")
    inside = False
    for token in tokens:
        if token.trained != inside:
            yield opening if token.trained else closing
            inside = token.trained
        yield printable(token.text)
    if inside:
        yield closing


def printable_kept(text: str, colour: bool) -> str:
    """Returns the text with the background closed at line ends, so that it never fills a line."""
    if not colour:
        return text
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        begun = (_TRAINED if inside else "") + line
        inside = begun.rfind(_TRAINED) > begun.rfind(_PLAIN)
        lines.append(begun + (_PLAIN if inside else ""))
    return "\n".join(lines)


def _unused(columns: list[str]) -> str:
    """Says which columns of the data are not trained on, for a reader who expects them to be."""
    return f"; not used: {one_line(', '.join(columns), 200)}" if columns else ""


def _problem(problem: RowProblem, source: str = "") -> list[str]:
    return [
        f"{_GLYPHS[problem.severity]} {problem.id}: {source}{one_line(problem.message, 600)}",
        f"  Do: {one_line(problem.remedy)}",
    ]


def statistics_lines(result: Statistics) -> list[str]:
    """Returns statistics as lines: amounts, lengths with their histogram, sources, problems."""
    scope = "all rows" if result.complete else "a sample"
    lines = [
        f"{result.rows:,} rows ({scope}): {result.train_rows:,} trained, {result.eval_rows:,} "
        f"evaluated, {result.dropped_rows:,} left out, {result.cut_rows:,} cut, "
        f"{result.duplicates:,} duplicates",
        f"{result.tokens:,} tokens, {_percent(result.trained_share)} of them trained; "
        f"{_amount(result.steps)} optimizer steps",
    ]
    if result.lengths is not None:
        lengths = result.lengths
        lines += [
            f"tokens per row: median {lengths.p50:,}, 95 % below {lengths.p95:,}, longest "
            f"{lengths.max:,}; data.max_length {_amount(result.suggested_max_length)} keeps 99 % "
            "whole",
            *_histogram(lengths.histogram.edges, lengths.histogram.counts),
        ]
    lines.append(layout_in_words(result.packing))
    for source in result.sources:
        lines.append(
            f"{one_line(source.source)}: {source.shape} ({source.certainty}: "
            f"{one_line(source.reason)}), template {source.template}, {source.kept:,} of "
            f"{source.rows:,} rows, {source.tokens:,} tokens, {_percent(source.trained_share)} "
            "trained"
            + (f", weight {source.weight:g}" if source.weight != 1 else "")
            + _unused(source.unused_columns)
        )
    several = len(result.sources) > 1
    lines += [
        line
        for problem in result.problems
        for line in _problem(problem, f"{one_line(problem.source)}: " if several else "")
    ]
    return lines if result.problems else [*lines, "✓ no problems"]


def layout_in_words(packing: Packing) -> str:
    """Returns how rows go through the model, and what is computed in vain or once for several."""
    without = f"{_percent(packing.padding_share_without)} of what is computed"
    if packing.layout == "padded":
        return f"Rows are padded: padding is {without}"
    trial = ", if the model allows" if packing.on_trial else ""
    words = f"Rows are packed{trial}: no padding, which would be {without}"
    if packing.layout == "shared":
        words += f"; beginnings are shared: {_percent(packing.shared_share)} of the tokens are "
        words += "not computed again"
    if packing.other_order_share is not None:
        words += f"; with prompts in another order {_percent(packing.other_order_share)} of the "
        words += "tokens would be shared"
    if packing.grouped_share is not None:
        words += "; data.share_prefixes: always would train rows of one text together, few texts a "
        words += f"step, and not compute {_percent(packing.grouped_share)} again"
    return words


def _histogram(edges: list[int], counts: list[int]) -> list[str]:
    highest = max(counts)
    found: list[str] = []
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            bar = "█" * max(round(count / highest * 40), 1)
            found.append(f"  {low:>7,} – {high - 1:>7,}  {bar} {count:,}")
    return found


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}".replace("%", " %")


def _amount(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
