"""What is kept of the examples of one source: in arrays, so that many rows take little memory."""

import re
import string
from array import array
from hashlib import blake2b

from .encoded_rows import EncodedRows
from .examples import Example, Examples
from .lints import Findings
from .rows import Left

_IGNORED = (string.punctuation + string.whitespace + "\x1c\x1d\x1e\x1f").encode()
"""What `_loose` leaves out: ASCII's punctuation, and its white space as `str.split` has it."""
_FOREIGN = re.compile("[\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufffc]")
"""Letters of scripts other than Latin, from Greek to Hangul."""


_OWN = ("kept", "numbers", "lengths", "groups", "exact", "loose", "with_system", "foreign")
_ENCODED = ("ids", "ends", "spans", "span_ends", "places")


class Part:
    """The examples of one source. Arrays hold one entry per example, in file order."""

    def __init__(self, examples: Examples, weight: float, name: str) -> None:
        self.name = name
        """The source, told apart from others of the same file."""
        self.mapped = bool(examples.source.config.roles)
        self.unused = examples.source.unused
        self.shape = examples.source.shape
        self.template = examples.formatter.template
        self.weight = weight
        self.first = 0
        """The number of the first row."""
        self.rows = 0
        """All rows, those that cannot be used too."""
        self.found = Findings()
        """What is wrong with single rows."""
        self.encoded = EncodedRows()
        self.kept = array("B")
        self.numbers = array("q")
        self.lengths = array("q")
        """Tokens before anything was cut."""
        self.groups = array("Q")
        self.exact = array("Q")
        self.loose = array("Q")
        """Hashes of the text as it is, and without case, spaces and punctuation."""
        self.with_system = array("B")
        self.foreign = array("B")

    @property
    def columns(self) -> dict[str, "array[int]"]:
        """All arrays by name."""
        return {
            **{name: getattr(self, name) for name in _OWN},
            **{name: getattr(self.encoded, name) for name in _ENCODED},
        }

    def take(self, columns: dict[str, "array[int]"]) -> None:
        """Takes the arrays that another part of the same rows had."""
        for name, column in columns.items():
            setattr(self if name in _OWN else self.encoded, name, column)

    def add_left(self, left: Left) -> None:
        """Counts a row that cannot be used."""
        self._count(left.number)
        self.found.add_left(left)

    def add(self, example: Example, *, dropped: bool) -> None:
        """Keeps what is needed of an example; its text is not.

        Args:
            example: The next one.
            dropped: Whether rows that are too long are dropped, and stand here whole.
        """
        row, encoded = example.row, example.encoded
        self._count(row.number)
        for problem in example.problems:
            self.found.add(problem, row.number)
        self.encoded.append(encoded)
        self.kept.append(example.kept)
        self.numbers.append(row.number)
        self.lengths.append(len(encoded.input_ids) + (0 if dropped else encoded.cut_tokens))
        self.groups.append(int(row.group, 16))
        text = "\0".join([turn.content for turn in row.messages])
        calls = "".join([str(turn.extra) for turn in row.messages if turn.extra])
        calls = calls.encode("utf-8", "surrogatepass")
        self.exact.append(_hash(text.encode(), calls))
        self.loose.append(_hash(_loose(text), calls))
        self.with_system.append(row.messages[0].role == "system")
        self.foreign.append(not text.isascii() and 2 * len(_FOREIGN.findall(text)) > len(text))

    def _count(self, number: int) -> None:
        if not self.rows:
            self.first = number
        self.rows += 1


def _hash(text: bytes, calls: bytes) -> int:
    digest = blake2b(text, digest_size=8)
    if calls:
        digest.update(b"\0" + calls)
    return int.from_bytes(digest.digest(), "little")


def _loose(text: str) -> bytes:
    """Returns a text without case, white space and punctuation."""
    if not text.isascii():
        text = "".join(text.split())  # white space beyond ASCII's
    return text.casefold().encode().translate(None, _IGNORED)
