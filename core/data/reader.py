"""Rows of one shape, brought into the one form that every template takes."""

from typing import Any, cast

from .columns import Missing, look_up
from .rows import Message, Row, group_of
from .shapes import Shape, turns_in
from .turns import Unusable, messages_of, tools_of


class Reader:
    """Brings raw rows of one shape into the form of `Row`.

    Args:
        shape: Which columns are what.
        source: The name of the source, for the rows.
        system: System message for rows that have none.
        roles: Names of roles by the names that the data uses.
    """

    def __init__(
        self, shape: Shape, source: str, system: str | None, roles: dict[str, str]
    ) -> None:
        self.shape = shape
        self._source = source
        self._system = system
        self._roles = roles
        self._read = {
            "alpaca": self._alpaca,
            "squad": self._squad,
            "prompt_completion": self._prompt_completion,
            "messages": self._messages,
            "sharegpt": self._messages,
            "text": self._text,
        }[shape.name]

    def row(self, number: int, fields: dict[str, Any]) -> Row:
        """Returns one row.

        Raises:
            Unusable: It lacks what its shape needs; `id` says which problem it is.
        """
        row = self._read(number, fields)
        try:
            "".join(turn.content for turn in row.messages).encode()
        except UnicodeEncodeError as error:
            raise Unusable("unreadable_row", "it holds half of a surrogate pair") from error
        return row

    def _value(self, fields: dict[str, Any], role: str, *, required: bool = True) -> Any:
        path = self.shape.columns.get(role)
        if path is None:
            if required:
                raise Unusable("wrong_row", f"the shape {self.shape.name} needs a column {role}")
            return None
        try:
            return look_up(fields, path)
        except Missing as error:
            if not required:
                return None
            columns = ", ".join(fields) or "(none)"
            raise Unusable("wrong_row", f"it has {error}; its columns are {columns}") from error

    def _str(self, fields: dict[str, Any], role: str, *, required: bool = True) -> str:
        value = self._value(fields, role, required=required)
        if value is None:
            # An index that a list has not is an empty value; a column that is null is none.
            if required and fields.get(self.shape.columns[role], "") is None:
                columns = ", ".join(fields)
                raise Unusable(
                    "wrong_row",
                    f"it has no value in {self.shape.columns[role]}; its columns are {columns}",
                )
            return ""
        if isinstance(value, dict | list | bytes):
            raise Unusable(
                "wrong_row",
                f"its column {self.shape.columns[role]} is not text; "
                f"its columns are {', '.join(fields)}",
            )
        return str(value)

    def _single(
        self, number: int, fields: dict[str, Any], parts: tuple[str, str, str], group: str = ""
    ) -> Row:
        """A question of instruction and input, and its answer."""
        user = "\n\n".join(part for part in parts[:2] if part)
        system = self._str(fields, "system", required=False) or self._system
        head = (Message("system", system),) if system else ()
        turns = (*head, Message("user", user), Message("assistant", parts[2]))
        return Row(number, self._source, turns, parts[0], parts[1], group_of(group or user))

    def _alpaca(self, number: int, fields: dict[str, Any]) -> Row:
        parts = (
            self._str(fields, "instruction"),
            self._str(fields, "input", required=False),
            self._str(fields, "output"),
        )
        return self._single(number, fields, parts)

    def _squad(self, number: int, fields: dict[str, Any]) -> Row:
        """SQuAD as in the tutorial: the context is the instruction, the question the input."""
        context = self._str(fields, "context")
        parts = (context, self._str(fields, "question"), self._first_answer(fields))
        return self._single(number, fields, parts, group=context)

    def _first_answer(self, fields: dict[str, Any]) -> str:
        answers = self._value(fields, "answers")
        if isinstance(answers, dict):
            answers = cast(dict[str, Any], answers).get("text")
        if isinstance(answers, list):
            items = cast(list[Any], answers)
            answers = items[0] if items else ""
        if answers is None or isinstance(answers, dict | list | bytes):
            raise Unusable(
                "wrong_row",
                f"its column {self.shape.columns['answers']} has no list `text`; "
                f"its columns are {', '.join(fields)}",
            )
        return str(cast(Any, answers))

    def _prompt_completion(self, number: int, fields: dict[str, Any]) -> Row:
        parts = (self._str(fields, "prompt"), "", self._str(fields, "completion"))
        return self._single(number, fields, parts)

    def _text(self, number: int, fields: dict[str, Any]) -> Row:
        text = self._str(fields, "text")
        turns = (Message("assistant", text),)
        return Row(number, self._source, turns, None, "", group_of(text), text=True)

    def _messages(self, number: int, fields: dict[str, Any]) -> Row:
        sharegpt = self.shape.name == "sharegpt"
        raw = self._value(fields, "conversations" if sharegpt else "messages")
        if "completion" in self.shape.columns:
            raw = [*_said("user", raw), *_said("assistant", self._value(fields, "completion"))]
        turns = messages_of(raw, self._roles, sharegpt=sharegpt)
        system = self._str(fields, "system", required=False) or self._system
        if system and turns[0].role != "system":
            turns.insert(0, Message("system", system))
        prompt = next((turn for turn in turns if turn.role == "user"), turns[0])
        tools = tools_of(self._value(fields, "tools", required=False))
        return Row(
            number, self._source, tuple(turns), None, "", group_of(prompt.content), tuple(tools)
        )


def _said(role: str, value: Any) -> list[dict[str, Any]]:
    """Returns half of a conversation: its turns, or one turn of plain text."""
    turns = turns_in(value)
    if turns or not isinstance(value, str):
        return turns
    return [{"role": role, "content": value}]
