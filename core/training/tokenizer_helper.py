"""Loads a model's tokenizer as the trainer does and keeps it in the cache. A process of its own.

Usage: python -m sft_tui.core.training.tokenizer_helper NAME [REVISION]. Prints what, why and
what to do, a line each, and ends with 2 where the tokenizer cannot be used.
"""

import sys

from ..config import ModelConfig
from ..errors import SftError
from ..prompt import tokenizer_cache
from ..text import one_line
from .imports import quick_imports


class Quiet:
    """Stands for the run's report, which a preview has not."""

    def phase(
        self, name: str, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        """Tells nothing."""


def main(arguments: list[str]) -> int:
    """Keeps the tokenizer of the model that is named."""
    with quick_imports():  # transformers: seconds
        from .locate import locate
        from .tokenizer import load_tokenizer, tokenizer_facts

    model = ModelConfig(name=arguments[0], revision=arguments[1] if len(arguments) > 1 else None)
    try:
        tokenizer = load_tokenizer(locate(model, Quiet(), tokenizer_only=True))
        tokenizer_cache.keep(model, tokenizer.backend_tokenizer, tokenizer_facts(tokenizer))
    except SftError as error:
        for text in (error.what, error.why, error.remedy):
            print(one_line(text))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
