"""The splits dialog: which rows are trained, and what is kept for evaluation."""

import os
from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from .....core.config import DataConfig, SourceConfig
from .....core.data import split_slice
from .....core.data.files import is_hub_id
from .....core.demo import SPLITS as DEMO
from .....core.errors import DataError
from .....core.text import one_line
from .data_lines import amount

_DETAIL = (
    "Evaluation takes a share (5 %), a split or part of one (test, train[90%:]), "
    "another file, or none."
)
Answer = tuple[str, dict[str, Any]]
"""The split that is trained, and other settings of the data by their keys."""


class SplitsDialog(ModalScreen[Answer | None]):
    """Two boxes, each with a sentence of what it means; what makes no sense keeps it open.

    Args:
        source: Whose rows are trained.
        data: The settings as they are.
        splits: The splits that are here, with their rows where they are known.
        rows: Rows of the split that is trained, where they are known.
    """

    BINDINGS = [
        Binding("escape", "cancel", "Cancel"),
        Binding("tab,down", "app.focus_next", "Next"),
        Binding("shift+tab,up", "app.focus_previous", "Before"),
    ]

    def __init__(
        self,
        source: SourceConfig,
        data: DataConfig,
        splits: dict[str, int | None],
        rows: int | None,
    ) -> None:
        super().__init__()
        self._source = source
        self._data = data
        self._splits = dict(splits)
        name, part = split_slice.parse(source.split)
        if part == split_slice.Slice() and name in splits:
            self._splits[name] = splits[name] or rows

    def compose(self) -> ComposeResult:
        """The boxes."""
        with Vertical(classes="dialog wide"):
            yield Static("Which rows are trained, and which evaluate?", classes="question")
            here = ", ".join(
                name if rows is None else f"{name} ({amount(rows)} rows)"
                for name, rows in self._splits.items()
            )
            yield Static(Content(one_line(f"Splits here: {here or '–'}", 300)), classes="detail")
            yield Static("Trained: a split or part of one, such as train[:1000]", markup=False)
            yield Input(self._source.split, id="splits-train")
            yield Static(id="splits-train-says", classes="says", markup=False)
            yield Static(_DETAIL, markup=False)
            yield Input(self._evaluation(), id="splits-eval")
            yield Static(id="splits-eval-says", classes="says", markup=False)
            hint = "Enter take it   Tab other box   Esc cancel"
            yield Static(hint, classes="hint", id="splits-hint", markup=False)

    def _evaluation(self) -> str:
        data = self._data
        if data.eval_source is not None:
            return data.eval_source
        if data.eval_split is not None:
            return data.eval_split
        return f"{data.eval_fraction * 100:g} %" if data.eval_fraction else "none"

    def on_input_changed(self) -> None:
        """Says what the boxes mean."""
        for name, meaning in (("train", self._train), ("eval", self._eval)):
            text = self.query_one(f"#splits-{name}", Input).value.strip()
            says = self.query_one(f"#splits-{name}-says", Static)
            try:
                said = meaning(text)[1]
            except DataError as error:
                says.update(Content(one_line(f"✗ {error}. {error.remedy}", 300)))
                says.add_class("wrong")
            else:
                says.update(Content(one_line(f"= {said}", 300)))
                says.remove_class("wrong")

    def on_input_submitted(self) -> None:
        """Takes both boxes, or goes to the one that makes no sense."""
        values: list[Any] = []
        for name, meaning in (("train", self._train), ("eval", self._eval)):
            box = self.query_one(f"#splits-{name}", Input)
            try:
                values.append(meaning(box.value.strip())[0])
            except DataError:
                box.focus()
                return
        split, changes = values
        self.dismiss((split, changes))

    def _train(self, text: str) -> tuple[str, str]:
        """Returns a split, and what it means.

        Raises:
            DataError: There is none like it.
        """
        return text, self._part(text)

    def _part(self, text: str) -> str:
        name, part = split_slice.parse(text)
        if self._splits and name not in self._splits:
            raise DataError(
                f"there is no split {name!r}",
                f"the splits are {', '.join(self._splits)}",
                "choose one of them",
            )
        total = self._splits.get(name)
        if total is None:
            return f"{text} of this data"
        begin, end = part.bounds(total)
        count = max((total if end is None else min(end, total)) - begin, 0)
        if not count:
            raise DataError(
                f"{text} holds no rows", f"{name} has {amount(total)}", "choose other boundaries"
            )
        return f"{amount(count)} of {amount(total)} rows"

    def _eval(self, text: str) -> tuple[dict[str, Any], str]:
        """Returns the settings for evaluation, and what they mean.

        Raises:
            DataError: Nothing can be meant.
        """
        nothing = {"data.eval_source": None, "data.eval_split": None, "data.eval_fraction": 0.0}
        if text.lower() in ("", "none", "0", "0 %", "0%"):
            # An interval between evaluations would contradict it.
            return {**nothing, "evaluate.every_steps": None}, "no evaluation"
        fraction = _fraction(text)
        if fraction is not None:
            if not 0 < fraction < 1:
                raise DataError(
                    "the share cannot be used", f"{text} is not between 0 and 100 %", "write 5 %"
                )
            return {**nothing, "data.eval_fraction": fraction}, self._share(fraction)
        if text.partition("[")[0].strip() in self._splits:
            return {**nothing, "data.eval_split": text}, self._part(text)
        if text in DEMO or is_hub_id(text):
            where = "the bundled rows" if text in DEMO else "on the Hub, split train"
            return {**nothing, "data.eval_source": text}, where
        return {**nothing, "data.eval_source": _existing(text)}, "another file, all its rows"

    def _share(self, fraction: float) -> str:
        rows = self._splits.get(self._source.split)
        about = f", about {amount(round(rows * fraction))} rows" if rows else ""
        return f"{fraction * 100:g} % of the rows{about}; equal questions stay together"

    def action_cancel(self) -> None:
        """Leaves everything as it was."""
        self.dismiss(None)


def _fraction(text: str) -> float | None:
    """Returns a share that is written as 5 %, 5% or 0.05; None for anything else."""
    number, percent, rest = text.partition("%")
    try:
        value = float(number)
    except ValueError:
        return None
    return None if rest else value / 100 if percent else value


def _existing(text: str) -> str:
    """Returns the whole path of a file or folder.

    Raises:
        DataError: There is none.
    """
    path = os.path.abspath(os.path.expanduser(text))
    try:
        os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise DataError(
            f"{one_line(text, 80)} is no share, no split and no file",
            getattr(error, "strerror", None) or str(error),
            "write 5 %, a split, the path of a file, or none",
        ) from error
    return path
