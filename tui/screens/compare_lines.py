"""What Compare says of runs: pure functions from a comparison to lines and sentences."""

import re
from collections.abc import Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ...core.compare import LETTERS, Comparison, Difference
from ...core.events import Sample
from ...core.subject import AXES, EVALUATED, METRICS, Subject
from ...core.text import one_line, printable
from ..format import UNKNOWN, number, short_number, signed, speed
from ..theme import GLYPHS
from ..widgets.chart.data import STROKES
from ..widgets.pieces import Line, Piece
from .sample_text import compared, wrapped

NOTHING = """\
Nothing to compare yet.

  c   on Runs (1) takes the run under the cursor; from the second one on
      they are shown here. Space marks several at once

  O   Add a run by its folder: also of transformers, TensorBoard, W&B"""

_STAMP = re.compile(r"^\d{8}-\d{6}-(?=.)")
_FIGURES = 19
"""Columns of rank, best evaluation and its step."""
_LEAST_FIELD, _MOST_FIELD = 14, 34


def short(subject: Subject) -> str:
    """Returns a run's name without the time at which it began."""
    return _STAMP.sub("", one_line(subject.name))


def end_of(subject: Subject) -> str:
    """Returns the part of a name that tells it from others: the end."""
    return short(subject).rpartition("-")[2]


def run_lines(
    comparison: Comparison,
    hidden: set[int],
    dotted: set[int],
    notes: Sequence[str],
    width: int,
) -> list[Line]:
    """Returns the list of runs, each an item, and below it what is to be known of them.

    Args:
        comparison: The runs.
        hidden: Those whose lines are not drawn.
        dotted: Those whose lines are drawn in dots.
        notes: Sentences that go below.
        width: Columns that there are.
    """
    ranks = comparison.ranks()
    room = max(width - 6 - _FIGURES, 4)
    lines: list[Line] = [
        [Piece(f"    {'RUN':<{room}}  {'RANK':>4} {'BEST':>6} {'@STEP':>6}", "muted")]
    ]
    for place, subject in enumerate(comparison.subjects):
        letter, best = LETTERS[place], subject.best
        rank = f"{ranks[place]}." if place in ranks else UNKNOWN
        figures = f"{rank:>4} {short_number(best[0] if best else None, 6):>6}"
        figures += f" {best[1] if best else UNKNOWN:>6}"
        away = place in hidden
        name = f"{short(subject)} {_glyph(subject)}".rstrip()
        name = set_cell_size(_end(name, room), room)
        stroke = " " if away else STROKES[-1 if place in dotted else place]
        lines.append(
            [
                Piece(f"{letter} {stroke} ", "muted" if away else letter.lower(), place),
                Piece(f"{name}  {figures}", "muted" if away else "", place),
            ]
        )
    for note in notes:
        lines += [[Piece(line, "muted")] for line in wrap(printable(note), max(width, 8))]
    return lines


def _glyph(subject: Subject) -> str:
    return GLYPHS.get(subject.status or "", "")


def notes_of(comparison: Comparison, metric: str, axis: str) -> list[str]:
    """Returns in sentences how the runs stand, and why some are not drawn or ranked."""
    base, subjects = LETTERS[comparison.baseline], comparison.subjects
    gaps: dict[int, list[str]] = {}
    for place in range(len(subjects)):
        gap = comparison.gap(place)
        if gap is not None:
            gaps.setdefault(gap.step, []).append(f"{LETTERS[place]} {signed(gap.loss)}")
    notes = [f"At step {step}: {', '.join(said)} to {base}." for step, said in gaps.items()]
    speeds = [
        f"{LETTERS[place]} {speed(subject.tokens_per_s).removesuffix(' tok/s')}"
        for place, subject in enumerate(subjects)
        if subject.tokens_per_s is not None
    ]
    if speeds:
        notes.append(f"Speed: {', '.join(speeds)} tok/s.")
    for place, subject in enumerate(subjects):
        curve = subject.curves.get(metric)
        if metric != "eval_loss" and curve is None:
            notes.append(f"{LETTERS[place]} has no {METRICS[metric]}.")
        elif curve is not None and curve.along(axis) is None:
            told = "times" if axis == "seconds" else axis
            notes.append(f"{LETTERS[place]} does not tell its {told}.")
        elif axis == "seconds" and subject.by_clock:
            notes.append(
                f"{LETTERS[place]} tells the time of the clock: what lies between its starts is "
                "left out, a pause within one is not."
            )
    if metric == "eval_loss" and (apart := comparison.apart()):
        notes.append(f"Dotted, as not ranked: {', '.join(LETTERS[at] for at in sorted(apart))}.")
    return notes + comparison.notes()


def difference_lines(comparison: Comparison, width: int) -> tuple[str, list[Line]]:
    """Returns the title and the table of the keys in which runs differ."""
    subjects = comparison.subjects
    differing, compared = comparison.differences()
    title = f"Differences only ({len(differing)} of {compared} fields)"
    if not differing:
        return title, [[Piece("Nothing that is known of these runs differs.", "muted")]]
    longest = max(len(each.field) for each in differing)
    field = min(max(longest, _LEAST_FIELD), _MOST_FIELD, max(width // 3, _LEAST_FIELD))
    room = max((width - field) // len(subjects) - 2, 3)
    heads = [f"{LETTERS[place]} {end_of(each)}" for place, each in enumerate(subjects)]
    lines: list[Line] = [
        [Piece("FIELD".ljust(field), "muted")]
        + [
            Piece(f"  {_cut(head, room)}", LETTERS[place].lower())
            for place, head in enumerate(heads)
        ]
    ]
    for each in differing:
        cells = [_cell(each, place, comparison.baseline) for place in range(len(subjects))]
        line = [Piece(_cut(each.field, field), "strong")]
        line += [Piece(f"  {_cut(text, room)}", kind) for text, kind in cells]
        lines.append(line)
    return title, lines


def _cell(difference: Difference, place: int, baseline: int) -> tuple[str, str]:
    """Returns a value and its kind; of rows that losses cannot be compared over a warning."""
    text = one_line(difference.shown(place))
    if text == UNKNOWN:
        return text, "muted"
    wanted = difference.values.get(baseline)
    other = difference.field == EVALUATED and difference.values[place] != wanted
    return (f"⚠ {text}", "warn") if other else (text, "")


def _cut(text: str, room: int) -> str:
    """Returns a text of so many columns: of a longer path the end is kept, else the beginning."""
    if cell_len(text) > room:
        text = _end(text, room) if "/" in text else f"{set_cell_size(text, room - 1)}…"
    return set_cell_size(text, room)


def _end(text: str, room: int) -> str:
    """Returns a text, or of a longer one the end that fits."""
    return text if cell_len(text) <= room else f"…{set_cell_size(text[::-1], room - 1)[::-1]}"


def sample_lines(comparison: Comparison, width: int) -> list[Line]:
    """Returns the newest answer of every run to every prompt that a run was sampled with.

    Words that the baseline's answer does not have are marked.
    """
    newest = [_newest(subject.samples) for subject in comparison.subjects]
    base = comparison.baseline
    prompts = dict.fromkeys(prompt for each in newest for prompt in each)
    lines: list[Line] = []
    for count, prompt in enumerate(prompts, 1):
        head = f"Prompt {count} of {len(prompts)}: {one_line(prompt)}"
        lines += [[Piece(line, "strong")] for line in wrap(head, width)]
        for place, answers in enumerate(newest):
            if (sample := answers.get(prompt)) is None:
                continue
            stop = "end token" if sample.finished else "length !"
            letter, other = LETTERS[place], newest[base].get(prompt)
            held = other.text if other is not None and place != base else None
            _, words, said = compared(held, sample.text)
            told = f"   {said} from {LETTERS[base]}" if said else ""
            head = f"{letter} step {sample.step}   stop: {stop}{told}"
            lines.append([Piece(head, letter.lower())])
            lines += [_marked(line) for line in wrapped(words, max(width - 2, 8))]
        lines.append([])
    return lines or [[Piece("No run that is compared has samples.", "muted")]]


def _marked(line: Text) -> Line:
    """Returns a line of words in pieces: those with a style of their own differ."""
    pieces, at = [Piece("  ")], 0
    for span in line.spans:
        pieces.append(Piece(line.plain[at : span.start]))
        pieces.append(Piece(line.plain[span.start : span.end], "differs"))
        at = span.end
    return [*pieces, Piece(line.plain[at:])]


def _newest(samples: Sequence[Sample]) -> dict[str, Sample]:
    found: dict[str, Sample] = {}
    for sample in samples:
        if sample.prompt not in found or sample.step >= found[sample.prompt].step:
            found[sample.prompt] = sample
    return found


def in_words(comparison: Comparison, metric: str, axis: str) -> str:
    """Returns the comparison in plain sentences."""
    ranks = comparison.ranks()
    said: list[str] = []
    for place, subject in enumerate(comparison.subjects):
        letter, best = LETTERS[place], subject.best
        state = (
            (subject.status or f"a run of {subject.source}").upper()
            if subject.status
            else (f"a run of {subject.source}")
        )
        told = f"{letter} is {one_line(subject.name)}, {state}"
        if best is not None:
            told += f": best evaluation {number(best[0])} at step {best[1]}"
        if place in ranks:
            told += f", rank {ranks[place]} of {len(ranks)}"
        said.append(f"{told}.")
    differing, compared = comparison.differences()
    fields = [
        f"{each.field}: " + ", ".join(
            f"{LETTERS[place]} {one_line(each.shown(place))}" for place in each.values
        )
        for each in differing
    ]  # fmt: skip
    drawn = f"Drawn: {METRICS[metric]} by {axis}."
    return "\n".join(
        [
            *said, *notes_of(comparison, metric, axis), drawn,
            f"{len(differing)} of {compared} fields differ.", *fields,
        ]
    )  # fmt: skip


def axis_of(name: str) -> str:
    """Returns which column of a curve an axis of a chart is."""
    return "seconds" if name == "time" else name if name in AXES else "step"
