"""Rows of training data: recognised by shape, brought into one form, split for evaluation.

The one form is `Row`: the turns of a conversation, and for single-turn shapes also the parts
that an instruction template needs. Knows nothing of tokenizers or templates.
"""

import hashlib
from pathlib import Path
from typing import Any, cast

import msgspec

from .config import DataConfig, SourceConfig
from .errors import DataError
from .row_files import data_path, read_file

ROLES = ("system", "user", "assistant", "tool")
_ALIASES = {
    "prompt": ("prompt", "question", "query", "instruction"),
    "completion": ("completion", "response", "answer", "output"),
}


class Message(msgspec.Struct, frozen=True):
    """One turn: `role` is system, user, assistant or tool.

    `extra` holds what a chat template may use besides: `tool_calls`, `name`, `tool_call_id`,
    `reasoning_content`, in the form of transformers' `apply_chat_template`.
    """

    role: str
    content: str
    extra: dict[str, Any] = {}

    def as_dict(self) -> dict[str, Any]:
        """Returns the turn as chat templates take it."""
        return {"role": self.role, "content": self.content, **self.extra}


class Row(msgspec.Struct, frozen=True):
    """One row in the form that every template takes.

    `number` counts from 1 in its source. `instruction` and `input` are set for single-turn
    rows; `group` is equal for rows that share a context, which must not straddle the split
    into training and evaluation. `tools` are the definitions of functions that the assistant
    may call, as JSON Schemas. A row of plain `text` is one assistant turn that no template wraps.
    """

    number: int
    source: str
    messages: tuple[Message, ...]
    instruction: str | None
    input: str
    group: str
    tools: tuple[dict[str, Any], ...] = ()
    text: bool = False


class Loaded(msgspec.Struct):
    """The rows of one source, in file order, with what was left out."""

    rows: list[Row]
    shape: str
    dropped: list[int]
    """Numbers of rows without an answer."""


def load(source: SourceConfig, data: DataConfig) -> Loaded:
    """Reads one source and brings its rows into the one form.

    Raises:
        DataError: The file is missing, empty or damaged, its shape is not recognised, or a row
            lacks what its shape needs; the message names the row.
    """
    path = data_path(source.source)
    raw = read_file(path)
    if not raw:
        raise DataError(f"{path} holds no rows", "the file is empty", "choose a file that has rows")
    raw = [_renamed(row, source.columns, number, path) for number, row in enumerate(raw, 1)]
    shape = source.shape if source.shape != "auto" else detect_shape(raw[0], path)
    loaded = Loaded([], shape, [])
    for number, fields in enumerate(raw, 1):
        row = _READERS[shape](_Reader(fields, number, path), source.system)
        if row.messages and row.messages[-1].content.strip() == "" and shape != "messages":
            if data.empty_answers == "drop":
                loaded.dropped.append(number)
                continue
            answer = Message("assistant", data.empty_answer_text or "")
            row = msgspec.structs.replace(row, messages=(*row.messages[:-1], answer))
        try:
            "".join(turn.content for turn in row.messages).encode()
        except UnicodeEncodeError as error:
            raise _Reader(fields, number, path).error(
                "it holds half of a surrogate pair"
            ) from error
        loaded.rows.append(row)
    return loaded


def detect_shape(row: dict[str, Any], path: Path) -> str:
    """Returns the shape whose columns `row` has.

    Raises:
        DataError: No shape fits; the message lists the columns and how to name them.
    """
    names = set(row)
    if "messages" in names and isinstance(row["messages"], list):
        return "messages"
    if {"context", "question", "answers"} <= names:
        return "squad"
    if {"instruction", "output"} <= names:
        return "alpaca"
    if names & set(_ALIASES["prompt"]) and names & set(_ALIASES["completion"]):
        return "prompt_completion"
    raise DataError(
        f"the shape of {path} is not recognised",
        f"its columns are {', '.join(sorted(names)) or '(none)'}",
        "name them by role, such as data.sources.0.columns={prompt: your_question, "
        "completion: your_answer}",
    )


class _Reader:
    """Reads the columns of one raw row; a missing one is an error that names the row."""

    def __init__(self, fields: dict[str, Any], number: int, path: Path) -> None:
        self.fields = fields
        self.number = number
        self.path = path

    def text(self, *names: str, required: bool = True) -> str:
        """Returns the first of the columns `names` that the row has, as text."""
        for name in names:
            value = self.fields.get(name)
            if value is None:
                continue
            if isinstance(value, (dict, list)):
                raise self.error(f"its column {name} is not text")
            return str(value)
        if required:
            lacks = "no value in" if any(name in self.fields for name in names) else "no column"
            raise self.error(f"it has {lacks} {' or '.join(names)}")
        return ""

    def error(self, why: str) -> DataError:
        """Returns the error that says what is wrong with this row."""
        columns = ", ".join(self.fields) or "(none)"
        return DataError(
            f"row {self.number} of {self.path} cannot be used",
            f"{why}; its columns are {columns}",
            "mend or remove the row, or name the columns with data.sources.0.columns",
        )

    def row(
        self, instruction: str, input: str, answer: str, system: str | None, group: str = ""
    ) -> Row:
        """Returns a single-turn row, its user turn made of instruction and input.

        Rows with equal `group` stay on one side of the split; without one it is the user turn.
        """
        user = "\n\n".join(part for part in (instruction, input) if part)
        turns = (Message("user", user), Message("assistant", answer))
        head = (Message("system", system),) if system else ()
        return Row(
            self.number, str(self.path), head + turns, instruction, input, _group(group or user)
        )


def _alpaca(reader: _Reader, system: str | None) -> Row:
    system = reader.text("system", required=False) or system
    return reader.row(
        reader.text("instruction"),
        reader.text("input", required=False),
        reader.text("output"),
        system,
    )


def _squad(reader: _Reader, system: str | None) -> Row:
    """SQuAD as in the tutorial: the context is the instruction, the question the input."""
    answers = reader.fields.get("answers")
    texts: Any = cast(dict[str, Any], answers).get("text") if isinstance(answers, dict) else None
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list):
        raise reader.error("its column answers has no list `text`")
    first = str(cast(list[Any], texts)[0]) if texts else ""
    context = reader.text("context")
    return reader.row(context, reader.text("question"), first, system, group=context)


def _prompt_completion(reader: _Reader, system: str | None) -> Row:
    return reader.row(
        reader.text(*_ALIASES["prompt"]), "", reader.text(*_ALIASES["completion"]), system
    )


def _messages(reader: _Reader, system: str | None) -> Row:
    raw = reader.fields.get("messages")
    if not isinstance(raw, list) or not raw:
        raise reader.error("its column messages is not a list of turns")
    turns: list[Message] = []
    for index, entry in enumerate(cast(list[Any], raw), 1):
        turn = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
        role, content = turn.get("role"), turn.get("content")
        if role not in ROLES:
            raise reader.error(f"turn {index} has the role {role!r}, not {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise reader.error(f"turn {index} has no text as content")
        turns.append(Message(str(role), content))
    if system and turns[0].role != "system":
        turns.insert(0, Message("system", system))
    if all(turn.role != "assistant" for turn in turns):
        raise reader.error("no turn of it is the assistant's")
    prompt = [turn for turn in turns if turn.role == "user"] or turns
    return Row(reader.number, str(reader.path), tuple(turns), None, "", _group(prompt[0].content))


_READERS = {
    "alpaca": _alpaca,
    "squad": _squad,
    "prompt_completion": _prompt_completion,
    "messages": _messages,
}


def _renamed(
    row: dict[str, Any], columns: dict[str, str], number: int, path: Path
) -> dict[str, Any]:
    """Returns the row with its columns under the names of their roles."""
    if not columns:
        return row
    missing = [name for name in columns.values() if name not in row]
    if missing:
        raise _Reader(row, number, path).error(f"it has no column {', '.join(missing)}")
    return {**row, **{role: row[name] for role, name in columns.items()}}


def _group(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def split(rows: list[Row], fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Splits rows into training and evaluation rows; rows of one group stay together.

    Groups are taken by a hash of seed and group, so the split does not depend on row order.

    Returns:
        (training rows, evaluation rows), each in file order. A positive fraction gives at
        least one group to evaluation where there are two groups or more.
    """
    groups = list(dict.fromkeys(row.group for row in rows))
    if fraction <= 0 or len(groups) < 2:
        return rows, []
    ranked = sorted(groups, key=lambda g: hashlib.sha256(f"{seed}/{g}".encode()).digest())
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.group] = sizes.get(row.group, 0) + 1
    wanted = max(1, round(len(rows) * fraction))
    chosen: set[str] = set()
    taken = 0
    smallest = min(sizes.values())
    for group in ranked:
        if taken >= wanted or len(chosen) == len(groups) - 1:
            break
        if sizes[group] > max(wanted - taken, smallest):
            continue
        chosen.add(group)
        taken += sizes[group]
    return [r for r in rows if r.group not in chosen], [r for r in rows if r.group in chosen]
