"""Chooses the prompt format: each with the same row in it, and what fits."""

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from .....core.data.results import Offer, PreviewedRow
from .....core.errors import SftError
from .....core.sidecar.preview_calls import Row
from .....core.text import one_line
from ....widgets.pieces import NONE, Line, Piece, PieceView
from .other_lines import sentences
from .token_lines import items_of, lines_of

if TYPE_CHECKING:
    from ....app import SftApp

NAMES = {
    "chat": "Chat template of the tokenizer",
    "alpaca": "Alpaca: instruction, input, response",
    "chatml": "ChatML: <|im_start|>role … <|im_end|>",
    "plain": "Plain: the texts and an end token",
    "file": "A Jinja file of your own",
}
_MASKS = {
    "generation": "{% generation %} marks",
    "prefix": "comparing what it renders",
    "template": "the format itself",
    "whole": "the whole text is trained",
}


class TemplatePicker(ModalScreen[str | None]):
    """Shows the templates beside the row; Enter takes one, `E` edits the file of your own.

    Returns the template, or None. `file` also means that its path is to be asked for.

    Args:
        sft: The application, whose helper process is asked.
        asked: The row that is shown.
    """

    BINDINGS = [
        Binding("enter", "take", "Take"),
        Binding("escape,q,t", "cancel", "Cancel"),
        Binding("down,j", "move(1)", "Next"),
        Binding("up,k", "move(-1)", "Previous"),
        Binding("pagedown,ctrl+d", "page(1)", "Down"),
        Binding("pageup,ctrl+u", "page(-1)", "Up"),
    ]

    def __init__(self, sft: "SftApp", asked: Row) -> None:
        super().__init__()
        self._sft = sft
        self._asked = asked
        self._offers: dict[str, Offer] = {}
        self._names = list(NAMES)

    def compose(self) -> ComposeResult:
        """Puts the list beside the row."""
        with Vertical(id="picker", classes="dialog"):
            with Horizontal():
                yield PieceView(id="offers", pointer=True)
                yield PieceView(id="offered")
            hint = "j/k move   Enter take it   PgUp PgDn scroll the row   Esc leave it"
            yield Static(hint, classes="hint", markup=False)

    def on_mount(self) -> None:
        """Asks for the row under each template."""
        source = self._asked.config.data.sources[self._asked.source]
        box = self.query_one("#picker")
        box.border_title = Text(f"Template of row {self._asked.row}, {one_line(source.source, 60)}")
        now = self._names.index(source.template) if source.template in self._names else 0
        self._draw(now)
        self.run_worker(self._ask(), exit_on_error=False)

    async def _ask(self) -> None:
        try:
            offers = await self._sft.sidecar.ask("templates", self._asked, list[Offer])
        except SftError as error:
            hint = self.query_one(".hint", Static)
            hint.update(one_line(f"{error}. {error.remedy}"))
            hint.add_class("wrong")
            return
        self._offers = {offer.template: offer for offer in offers}
        self._draw(self.query_one("#offers", PieceView).cursor)

    def _draw(self, cursor: int) -> None:
        view = self.query_one("#offers", PieceView)
        view.show(self._list, len(self._names), cursor=cursor)
        self._show_row()

    def _list(self, width: int) -> list[Line]:
        chosen = self._asked.config.data.sources[self._asked.source].template
        lines: list[Line] = []
        for item, name in enumerate(self._names):
            here = " (chosen)" if name == chosen else ""
            if chosen == "auto" and self._auto() == name:
                here = " (auto)"
            lines.append([Piece(f"{name}{here}", "strong", item)])
            lines += [
                [Piece(piece.text, piece.kind, item) for piece in line]
                for line in sentences([("muted", NAMES[name])], width)
            ]
            kind, text = self._fit(name)
            for line in sentences([(kind, text)], width):
                lines.append([Piece(piece.text, piece.kind, item) for piece in line])
            lines.append([])
        return lines

    def _auto(self) -> str:
        """Returns the template that auto means here, "" where that is not known yet."""
        chat = self._offers.get("chat")
        if chat is None:
            return ""
        if chat.looked_at:
            return "chat"
        alpaca = self._offers["alpaca"]
        return "alpaca" if alpaca.fits else "chatml"

    def _fit(self, name: str) -> tuple[str, str]:
        offer = self._offers.get(name)
        if offer is None:
            return "muted", "Enter asks for the file" if name == "file" else "looking…"
        if not offer.looked_at:
            return "bad", f"✗ {one_line(offer.why, 200)}"
        fits = f"fits {offer.fits} of {offer.looked_at} rows"
        if offer.row is None:
            return "bad", f"✗ not this row; {fits}"
        end = next((t for t in reversed(offer.row.tokens) if t.trained), None)
        ends = f"ends {one_line(end.text, 20)}" if end and end.special else "no end token trained"
        made = _MASKS.get(offer.row.mask_from, offer.row.mask_from)
        sure = offer.fits == offer.looked_at
        return "good" if sure else "warn", f"{'✓' if sure else '!'} {fits} · {ends} · by {made}"

    def _show_row(self) -> None:
        """Shows the row under the template of the cursor."""
        name = self._names[max(self.query_one("#offers", PieceView).cursor, 0)]
        offer = self._offers.get(name)
        view = self.query_one("#offered", PieceView)
        if offer is not None and offer.row is not None:
            row: PreviewedRow = offer.row
            items = items_of(row)
            view.show(
                lambda width: lines_of(row, items, width, "text", "colour"), cursor=NONE, top=True
            )
            return
        parts = [("muted", "The row is being formatted…")]
        if offer is not None:
            parts = [("bad", f"✗ {one_line(offer.why, 600)}"), ("", one_line(offer.remedy, 400))]
        elif name == "file":
            parts = [("muted", "Enter asks for the path of a Jinja chat template.")]
        view.show(lambda width: sentences(parts, width), cursor=NONE, top=True)

    def on_piece_view_moved(self, message: PieceView.Moved) -> None:
        """Shows the row under the template that the cursor went to."""
        if message.view.id == "offers":
            self._show_row()

    def action_move(self, by: int) -> None:
        """Moves to another template."""
        self.query_one("#offers", PieceView).step(by)

    def action_page(self, by: int) -> None:
        """Scrolls the row."""
        view = self.query_one("#offered", PieceView)
        height = max(view.size.height - 1, 1)
        view.scroll_to(y=view.scroll_offset.y + by * height, animate=False)

    def action_take(self) -> None:
        """Takes the template under the cursor."""
        self.dismiss(self._names[max(self.query_one("#offers", PieceView).cursor, 0)])

    def action_cancel(self) -> None:
        """Leaves the template as it is."""
        self.dismiss(None)
