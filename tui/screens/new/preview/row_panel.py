"""The panel of one row: its tokens, what the cursor stands on in words, a legend."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from .....core.data.lints import for_source
from .....core.data.results import PreviewedRow, RawView
from .....core.text import one_line
from ....format import with_keys
from ....widgets.pieces import NONE, PieceView
from .batch_lines import ShownBatch, batch_lines
from .desk import Desk
from .other_lines import raw_lines, sentences
from .token_lines import MASKS, Item, items_of, lines_of
from .walk import Walk, known_range, side_of
from .words import describe_row, row_notice, token_words

if TYPE_CHECKING:
    from ....app import SftApp

VIEWS = ("text", "tokens", "ids", "raw")
_LEGENDS = {
    "colour": (
        ("▌trained▐", "trained"), ("context", "context"), ("special", "special"),
        ("✂ cut, struck through", "cut"),
    ),
    "brackets": (("▌trained▐", ""), ("context", "context"), ("✂ cut, struck through", "")),
    "carets": (("^ trained", ""), (". context", ""), ("x cut", "")),
}  # fmt: skip
"""What each mask shows, drawn as it is in the row: a word and its kind of piece."""


class RowPanel(Vertical):
    """Draws what lies on the desk.

    Args:
        desk: Holds the row.
        walk: Holds the order that it is walked in.
    """

    def __init__(self, desk: Desk, walk: Walk) -> None:
        super().__init__(id="row", classes="panel")
        self._desk = desk
        self._walk = walk
        self.mask = MASKS[0]
        self._items: list[Item] = []

    def compose(self) -> Iterable[Widget]:
        """The tokens above two lines of words and one of signs."""
        yield PieceView(id="tokens")
        yield Static(id="cursor", markup=False)
        yield Static(id="legend", markup=False)

    def on_mount(self) -> None:
        """Follows the theme, whose colours the legend has."""
        changed = self._sft.theme_changed_signal
        changed.subscribe(self, lambda _: self.call_after_refresh(self.explain))

    @property
    def _sft(self) -> "SftApp":
        return cast("SftApp", self.app)  # pyright: ignore[reportUnknownMemberType]

    @property
    def tokens(self) -> PieceView:
        """What the cursor moves on."""
        return self.query_one("#tokens", PieceView)

    def draw(self, *, new: bool = False) -> None:
        """Draws the row; a new one from its beginning."""
        shown, desk, mask, view = self._desk.shown, self._desk, self.mask, self.tokens
        self._items = []
        cursor = 0 if new else None
        view.set_class(mask != MASKS[0], "plain")
        if isinstance(shown, PreviewedRow):
            items = self._items = items_of(shown)
            form = desk.view if desk.view in VIEWS[:3] else VIEWS[0]
            count = len(self._items)
            view.show(
                lambda w: lines_of(shown, items, w, form, mask), count, cursor=cursor, top=new
            )
        elif isinstance(shown, ShownBatch):
            here = desk.source, desk.row
            mine = [at for at, row in enumerate(shown.rows) if (row.source, row.row) == here]
            cursor = mine[0] if new and mine else cursor
            view.show(lambda w: batch_lines(shown, w, mask), cursor=cursor, top=new)
        elif isinstance(shown, RawView):
            view.show(lambda w: raw_lines(shown, w, mask, desk.ahead), cursor=NONE, top=new)
        else:
            parts = self._instead()
            view.show(lambda w: sentences(parts, w), cursor=NONE, top=new)
        self.entitle()
        self.explain()

    def _instead(self) -> list[tuple[str, str]]:
        """Returns what is said where no row can be shown."""
        desk, trouble = self._desk, self._desk.trouble
        if desk.config is None and trouble is None:
            return [("info", "No data was chosen yet. Press < to choose it on the step Data.")]
        if trouble is None:
            return [("muted", "The row is being read…")]
        parts = [("bad", one_line(f"✗ {trouble.what}: {trouble.why}", 900))]
        parts.append(
            ("", f"Do: {one_line(with_keys(for_source(trouble.remedy, desk.source)), 600)}.")
        )
        if desk.row is not None and desk.view in VIEWS[:3]:
            parts.append(("muted", "With v it is shown as it stands in its file: the view raw."))
        return parts

    def notice(self) -> str:
        """Returns what is said of the row when it comes."""
        desk, shown = self._desk, self._desk.shown
        if isinstance(shown, PreviewedRow):
            problem = self._walk.problem
            more = f" · {problem.id}: {with_keys(problem.remedy)}" if problem is not None else ""
            return one_line(row_notice(shown) + more)
        if isinstance(shown, ShownBatch):
            return shown.notice()
        if desk.trouble is not None:
            return one_line(str(desk.trouble))
        return one_line(desk.ahead) or f"Row {desk.row} as it stands in its file."

    def entitle(self) -> None:
        """Draws the title: which row, on which side, in which view and order."""
        desk, found = self._desk, self._desk.checks.result
        if desk.row is None:
            self.border_title = Text("Row")
            return
        first, end = known_range(found, desk.source)
        of = "" if end is None else f" of {first:,}–{end - 1:,}"
        parts = [f"Row {desk.row:,}{of}", side_of(found, desk.source, desk.row)]
        names = desk.names()
        if len(names) > 1:
            name = names[min(desk.source, len(names) - 1)].rpartition("/")[2]
            parts.append(f"source {desk.source + 1}/{len(names)} {one_line(name, 24)}")
        parts.append(f"view: {'raw' if isinstance(desk.shown, RawView) else desk.view}")
        parts.append(self._walk.place(desk.row, found, desk.source))
        self.border_title = Text(" · ".join(filter(None, parts)))

    def explain(self) -> None:
        """Says in words what the cursor stands on."""
        words, shown = self.cursor_words(), self._desk.shown
        legend = self._legend() if isinstance(shown, PreviewedRow) else Text()
        if isinstance(shown, RawView) and not shown.wrong:
            legend = Text(f"{'|' if self.mask == 'carets' else '▌'} columns that are read")
        if self.mask == "carets":
            words = words.replace("“", '"').replace("”", '"').replace(" · ", " - ")
            words = words.encode("ascii", "backslashreplace").decode()
        self.query_one("#cursor", Static).update(Text(words), layout=False)
        self.query_one("#legend", Static).update(legend, layout=False)

    def _legend(self) -> Text:
        """Returns what the row's colours and signs mean; without colours special is like context.

        A piece of text has the style that the row gives it.
        """
        view, text = self.tokens, Text(no_wrap=True)
        for word, kind in _LEGENDS[self.mask]:
            if kind == "special" and self._sft.no_color:
                continue
            style = view.get_component_rich_style(f"pieces--{kind}") if kind else ""
            text.append("  " if text else "").append(word, style)
        return text

    def cursor_words(self) -> str:
        """Returns what the cursor stands on."""
        shown, cursor, config = self._desk.shown, self.tokens.cursor, self._desk.config
        if isinstance(shown, PreviewedRow) and config is not None:
            return token_words(shown, self._items, cursor, config.data)
        if isinstance(shown, ShownBatch) and 0 <= cursor < len(shown.rows):
            return f"Enter shows row {shown.rows[cursor].row} itself."
        return ""

    def describe(self) -> str:
        """Returns the row in plain sentences."""
        shown, desk = self._desk.shown, self._desk
        if isinstance(shown, PreviewedRow):
            side = side_of(desk.checks.result, desk.source, shown.row)
            return describe_row(shown, side, self.cursor_words())
        if isinstance(shown, ShownBatch):
            return shown.in_words()
        if isinstance(shown, RawView):
            return one_line(f"Row {shown.row} as it stands in its file: {shown.text}", 2000)
        return self.notice()
