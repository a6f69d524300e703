"""The kinds of problems that data can have, and how many rows have which.

Errors block a launch unless `data.ignore_problems` names them.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from .rows import Left

_SHOWN_ROWS = 1000


class Lint(msgspec.Struct, frozen=True):
    """One kind of problem.

    `what` completes "12 rows …". A `share` makes it an error only where more than that share of
    the rows has it; below, it is a warning.
    """

    id: str
    severity: str
    what: str
    remedy: str
    share: float | None = None


LINTS = {
    lint.id: lint
    for lint in (
        Lint(
            "nothing_left",
            "error",
            "are all of this source, and every one is left out",
            "look at the other problems; raise data.max_length, or check answers and template",
        ),
        Lint(
            "nothing_held_out",
            "warning",
            "share so few contexts or questions that none can be held out for evaluation",
            "give data.eval_source, or set data.eval_fraction to 0",
        ),
        Lint("unreadable_row", "error", "cannot be read", "mend or remove them"),
        Lint(
            "wrong_row",
            "error",
            "lack what their shape needs",
            "mend or remove them, or name the columns with data.sources.0.columns",
        ),
        Lint(
            "unknown_role",
            "error",
            "have a turn of an unknown role",
            "say what the role is with data.sources.0.roles={name: user}",
        ),
        Lint(
            "template_fails",
            "error",
            "are refused by the template",
            "mend or remove them, or choose another data.sources.0.template",
        ),
        Lint(
            "prefix_inconsistent",
            "error",
            "have answers that the template rewrites when turns follow",
            "choose another template, or one with {% generation %} marks",
        ),
        Lint(
            "nothing_trained",
            "error",
            "have no trained token",
            "check their answers, the template, and data.loss_on",
        ),
        Lint(
            "prompt_too_long",
            "error",
            "lose every trained token to data.max_length",
            "raise data.max_length, or set data.truncate to keep_end",
            0.2,
        ),
        Lint(
            "answer_cut",
            "error",
            "lose the end of their answer to data.max_length",
            "raise data.max_length",
            0.5,
        ),
        Lint("row_cut", "info", "are cut outside of their answers", "raise data.max_length"),
        Lint("row_dropped", "warning", "are dropped as too long", "raise data.max_length"),
        Lint(
            "end_not_trained",
            "error",
            "have a turn whose end is not trained: the model would not learn to stop",
            "use a template that ends each answer with an end-of-turn token",
            0.01,
        ),
        Lint(
            "pad_end_masked",
            "error",
            "end without a trained end token, and padding is the same token",
            "use a template that ends each answer with an end-of-turn token",
        ),
        Lint(
            "double_bos", "error", "begin with two BOS tokens", "remove the one in data or template"
        ),
        Lint(
            "no_bos",
            "error",
            "begin without the BOS token that the tokenizer would put",
            "use the tokenizer's own chat template",
        ),
        Lint(
            "eval_leak",
            "error",
            "are in the evaluation and trained too",
            "remove them from one side, or let data.eval_fraction split by group",
        ),
        Lint(
            "near_duplicates",
            "warning",
            "are in the evaluation and almost trained too: case, spaces, punctuation",
            "remove them from one side",
        ),
        Lint(
            "empty_answer",
            "warning",
            "are left out: their answer is empty",
            "set data.empty_answers to `text` to train a fixed answer for them",
        ),
        Lint(
            "role_order",
            "warning",
            "have turns in an unusual order",
            "check that user and assistant take turns and the last turn is the assistant's",
        ),
        Lint(
            "template_differs",
            "warning",
            "use a template that is not the tokenizer's own",
            "set data.sources.0.template to chat, or use the same format after training",
        ),
        Lint(
            "mask_by_search",
            "warning",
            "have their answers found by searching the text",
            "use a template with {% generation %} marks",
        ),
        Lint(
            "text_lost",
            "warning",
            "lose text that the template leaves out",
            "look at the preview; another template may keep it",
        ),
        Lint(
            "begins_otherwise",
            "warning",
            "begin their answers otherwise than generation does with this template",
            "compare the generation prompt with the preview; give a template file that agrees",
        ),
        Lint(
            "other_end",
            "warning",
            "end with another token than the tokenizer's end token, which is never trained",
            "use a template that ends with it, or stop at both when generating",
        ),
        Lint(
            "tools_as_text",
            "warning",
            "have tools that the template does not know: they become text",
            "use a model whose chat template knows tools",
        ),
        Lint(
            "special_tokens",
            "warning",
            "hold text that the tokenizer reads as a special token",
            "remove it: it can end a turn early or forge another one",
        ),
        Lint(
            "empty_think",
            "warning",
            "train an empty <think></think>",
            "remove it, unless the model is to learn not to think",
        ),
        Lint(
            "system_in_some",
            "warning",
            "have a system message, and others have none",
            "set data.sources.0.system for the others, if they should have one",
        ),
        Lint(
            "roles_mapped",
            "info",
            "have roles that data.sources.0.roles maps",
            "nothing, if the map is right",
        ),
        Lint(
            "duplicates", "info", "repeat another row", "remove them, unless they should count more"
        ),
        Lint(
            "edge_space",
            "info",
            "have an answer that begins or ends with white space",
            "strip it: tokens merge differently there",
        ),
        Lint(
            "straddling_token",
            "info",
            "have a trained token that reaches over the edge of an answer",
            "put a space or line break at the edge",
        ),
        Lint(
            "short_answers",
            "info",
            "have an answer of one token",
            "check them, unless they are labels",
        ),
        Lint(
            "long_outliers", "info", "are more than ten times as long as the median", "check them"
        ),
        Lint(
            "shared_at_end",
            "info",
            "have a text in common with others, but behind the question: it is computed for each",
            "put it first: swap instruction and input with data.sources.0.columns, or in the data",
        ),
        Lint("control_characters", "info", "hold control or escape characters", "remove them"),
        Lint(
            "damaged_encoding",
            "warning",
            "hold text of a damaged encoding",
            "read the source as UTF-8",
        ),
        Lint("mixed_scripts", "info", "are written in another script than most", "check them"),
    )
}


class RowProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a row."""

    id: str
    severity: str
    message: str
    remedy: str
    row: int


class Problem(RowProblem, frozen=True):
    """A problem of a source: `rows` are the first of `count` that have it, `row` the first."""

    count: int
    rows: list[int]
    source: str


class Found(msgspec.Struct):
    """How many rows have a problem, the numbers of the first of them, and more about a few."""

    count: int = 0
    rows: list[int] = []
    details: list[str] = []


class Findings:
    """Counts the problems of one source while rows go by.

    Args:
        found: What was counted before.
    """

    def __init__(self, found: dict[str, Found] | None = None) -> None:
        self.found = found or {}
        """By the id of the problem."""

    def add(self, id: str, number: int, detail: str = "") -> None:
        """Counts one row; `detail` says more of it, and the first ones are shown."""
        found = self.found.setdefault(id, Found())
        found.count += 1
        if len(found.rows) < _SHOWN_ROWS:
            found.rows.append(number)
        if detail and len(found.details) < 3:
            found.details.append(f"row {number}: {detail}")

    def copy(self) -> "Findings":
        """Returns findings that can go on without changing these."""
        return Findings(
            {name: Found(f.count, [*f.rows], [*f.details]) for name, f in self.found.items()}
        )

    def add_left(self, left: Left) -> None:
        """Counts a row that cannot be used."""
        where = f"{left.place}: " if left.place else ""
        detail = "" if left.id == "empty_answer" else f"{where}{left.why}"
        self.add(left.id, left.number, detail)

    def problems(self, source: str, total: int) -> list[Problem]:
        """Returns what was found in the source of that name and so many rows."""
        return [_problem(name, one, source, total) for name, one in self.found.items()]


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Returns problems of several sources, errors first."""
    order = list(LINTS)
    rank = {"error": 0, "warning": 1, "info": 2}
    return sorted(problems, key=lambda p: (rank[p.severity], order.index(p.id), p.source))


def _problem(id: str, found: Found, source: str, total: int) -> Problem:
    lint, count, numbers = LINTS[id], found.count, found.rows
    severity = lint.severity
    if lint.share is not None and count <= lint.share * total:
        severity = "warning"
    more = ", …" if count > 5 else ""
    which = f"rows {', '.join(map(str, numbers[:5]))}{more}"
    message = f"{count} of {total} rows {lint.what} ({which})"
    if count == 1:
        message = f"row {numbers[0]} {singular(lint.what)}"
    if found.details:
        message += ". " + "; ".join(found.details)
    return Problem(id, severity, message, lint.remedy, numbers[0], count, numbers, source)


P = TypeVar("P", bound=RowProblem)
_SINGULAR = {
    "are": "is", "have": "has", "lack": "lacks", "lose": "loses", "begin": "begins",
    "share": "shares",
    "end": "ends", "hold": "holds", "use": "uses", "train": "trains", "repeat": "repeats",
}  # fmt: skip


def singular(what: str) -> str:
    """Returns the end of a sentence about one row instead of many."""
    first, _, rest = what.partition(" ")
    return f"{_SINGULAR.get(first, first)} {rest}".replace("their ", "its ")


def for_source(text: str, index: int) -> str:
    """Returns what is said of the first source as it is said of another."""
    return text.replace("data.sources.0", f"data.sources.{index}")


def blocking(problems: Sequence[P], ignored: list[str]) -> list[P]:
    """Returns the errors that no override names; nothing can be trained out of nothing."""
    return [
        problem
        for problem in problems
        if problem.severity == "error"
        and (problem.id == "nothing_left" or problem.id not in ignored)
    ]
