"""A question in the form in which a run's rows were trained, as token ids.

Made by the formatter and the tokenisation of preview and trainer: a question becomes a row with
an answer to come, and what stands before that answer is the prompt.
"""

from collections.abc import Sequence

import msgspec
from tokenizers import Tokenizer

from ..config import DataConfig, SourceConfig
from ..errors import RowRefused, SftError
from ..hub.datasets import id_of
from ..prompt.prompts import Formatter, TokenizerFacts
from ..prompt.tokens import encode
from .examples import own_template
from .rows import Message, Row

_ANSWER = "the"
"""Stands for the answer to come, so that a space before it belongs to its first token, as where
rows are trained."""
_WHOLE = DataConfig(max_length=1 << 24, loss_on="completion")


class Asking:
    """Puts questions into the template of one source.

    Args:
        source: The source; its template file and system message are read.
        tokenizer: The model's, without padding and truncation.
        facts: What is special about it.
        choices: What the run chose by itself, as `run_started` tells it: the shape of the source
            and its template.

    Raises:
        DataError: The template cannot be used, or its file not be read.
    """

    def __init__(
        self,
        source: SourceConfig,
        tokenizer: Tokenizer,
        facts: TokenizerFacts,
        choices: dict[str, str],
    ) -> None:
        name = id_of(source.source)
        self._system = source.system
        self._tokenizer, self._facts = tokenizer, facts
        self._shape = choices.get(f"shape of {name}", source.shape)
        self._formatter = Formatter(
            choices.get(f"template of {name}", source.template),
            facts,
            template_text=own_template(source),
        )

    @property
    def template(self) -> str:
        """The name of the template; `text` where rows are trained as they are."""
        return "text" if self._shape == "text" else self._formatter.template

    @property
    def keeps_turns(self) -> bool:
        """Whether a question may follow an answer."""
        talks = self._shape in ("messages", "sharegpt")
        return self.template in ("chat", "chatml", "file") or (self.template == "plain" and talks)

    def ids(self, turns: Sequence[Message]) -> list[int]:
        """Returns the tokens of a conversation up to the answer to come.

        Args:
            turns: Of user and assistant in turn, the last a user's.

        Raises:
            SftError: The template cannot hold them.
        """
        row = self._row(turns)
        try:
            prompt = self._formatter.render(row)
        except RowRefused as error:
            raise SftError(
                "this cannot be asked in the run's template",
                error.why,
                "clear the conversation, or ask otherwise",
            ) from error
        (tokens,) = encode([prompt], self._tokenizer, self._facts, _WHOLE)
        ids = list(tokens.input_ids)
        if row.text:
            return ids[: len(ids) - prompt.append_eos]
        return ids[: tokens.answer_start]

    def _row(self, turns: Sequence[Message]) -> Row:
        question = turns[-1].content
        if self.template == "text":
            return _row((Message("assistant", question),), text=True)
        # Earlier answers are context: the first that is trained is the one to come.
        before = [msgspec.structs.replace(turn, trained=False) for turn in turns]
        system = (Message("system", self._system),) if self._system else ()
        joined = self.template == "plain" and not question[-1:].isspace()
        answer = Message("assistant", f" {_ANSWER}" if joined else _ANSWER)
        instruction, _, given = question.partition("\n\n")
        if self._shape not in ("alpaca", "squad"):
            instruction, given = question, ""
        return _row((*system, *before, answer), instruction=instruction, given=given)


def _row(
    messages: tuple[Message, ...], *, instruction: str = "", given: str = "", text: bool = False
) -> Row:
    return Row(0, "the question", messages, instruction, given, "", text=text)
