"""Rows of training data: read from files, recognised by shape, brought into one form.

The one form is `Row`: the turns of a conversation, and for single-turn shapes also the parts
that an instruction template needs. Knows nothing of tokenizers or templates.
"""

import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from . import demo
from .config import DataConfig, SourceConfig
from .errors import DataError

ROLES = ("system", "user", "assistant")
_ALIASES = {
    "prompt": ("prompt", "question", "query", "instruction"),
    "completion": ("completion", "response", "answer", "output"),
}


class Message(msgspec.Struct, frozen=True):
    """One turn: `role` is system, user or assistant."""

    role: str
    content: str


class Row(msgspec.Struct, frozen=True):
    """One row in the form that every template takes.

    `number` counts from 1 in its source. `instruction` and `input` are set for single-turn
    rows; `group` is equal for rows that share a context, which must not straddle the split
    into training and evaluation.
    """

    number: int
    source: str
    messages: tuple[Message, ...]
    instruction: str | None
    input: str
    group: str


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


def data_path(source: str) -> Path:
    """Returns the file of a source.

    Raises:
        DataError: There is no such file.
    """
    if source in demo.SPLITS:
        return demo.data_file(source)
    path = Path(source)
    try:
        found = path.is_file()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise DataError(
            "the data cannot be found", str(error), "give the path of a data file"
        ) from error
    if found:
        return path
    raise DataError(
        f"the data {source!r} cannot be found",
        "there is no such file" if not path.exists() else "it is not a file",
        "give the path of a json, jsonl or csv file, or `demo`",
    )


def read_file(path: Path) -> list[dict[str, Any]]:
    """Reads all rows of a json, jsonl or csv file, also gzipped.

    Raises:
        DataError: The file is damaged; the message names line and column.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    try:
        content = path.read_bytes()
        if suffixes and suffixes[-1] == ".gz":
            content = gzip.decompress(content)
            suffixes.pop()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{path} cannot be read", reason, "check the file; text must be UTF-8"
        ) from error
    kind = suffixes[-1] if suffixes else ""
    if kind in (".jsonl", ".ndjson"):
        return list(_json_lines(text, path))
    if kind == ".json":
        return _json_rows(text, path)
    if kind == ".csv":
        return list(_csv_rows(text, path))
    raise DataError(
        f"{path} cannot be read",
        f"its ending {kind or '(none)'} is not json, jsonl or csv",
        "convert it, or rename it if the ending is wrong",
    )


def _csv_rows(text: str, path: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a csv file; one with too few or too many cells is an error."""
    csv.field_size_limit(sys.maxsize)  # its default of 128 KiB is less than a long context
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] = []
    try:
        names = next(reader, names)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(names):
                raise csv.Error(f"{len(cells)} cells under {len(names)} column names")
            yield dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{path} is damaged",
            f"near line {reader.line_num}: {error}",
            "put cells that hold commas, quotes or line breaks into double quotes",
        ) from error


def _json_lines(text: str, path: Path) -> Iterator[dict[str, Any]]:
    # Only line feeds end a row: str.splitlines would also cut at U+2028 inside a string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path} is damaged",
                f"line {number}, column {error.colno}: {error.msg}",
                "mend or remove that line",
            ) from error
        except (RecursionError, ValueError) as error:
            raise DataError(
                f"{path} is damaged", f"line {number}: {error}", "mend or remove that line"
            ) from error
        yield _object(row, f"line {number}", path)


def _json_rows(text: str, path: Path) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        lines = error.msg == "Extra data"
        raise DataError(
            f"{path} is damaged",
            f"line {error.lineno}, column {error.colno}: {error.msg}",
            "rename it to .jsonl if each line is one row" if lines else "mend the file there",
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path} is damaged", str(error), "mend the file") from error
    if isinstance(raw, dict):
        values = list(cast(dict[str, Any], raw).values())
        lists = [cast(list[Any], value) for value in values if isinstance(value, list)]
        raw = lists[0] if len(lists) == 1 else cast(Any, raw)
    if not isinstance(raw, list):
        raise DataError(
            f"{path} is not a list of rows",
            f"it holds {type(raw).__name__} at its top",
            "give a list of objects, or one object per line as .jsonl",
        )
    rows = cast(list[Any], raw)
    return [_object(row, f"row {number}", path) for number, row in enumerate(rows, 1)]


def _object(row: Any, where: str, path: Path) -> dict[str, Any]:
    if isinstance(row, dict):
        return cast(dict[str, Any], row)
    raise DataError(
        f"{path} has a row that is not an object",
        f"{where} is {type(row).__name__}",
        "every row must be an object of named columns",
    )


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
