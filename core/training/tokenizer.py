"""Loads a model's tokenizer, and tells what formatting needs to know of it."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from ..errors import SftError
from ..hub import local
from ..preflight import refuse_without_tokenizer, tokenizer_refused
from ..prompt.prompts import TokenizerFacts
from ..text import one_line


def load_tokenizer(folder: str) -> Any:
    """Returns the fast tokenizer of a model's folder.

    Raises:
        SftError: It cannot be had, or there is only a slow one.
    """
    refuse_without_tokenizer(Path(folder))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:  # whatever a broken file makes transformers or tokenizers raise
        name = local.id_of(Path(folder)) or folder
        why = one_line(str(error), 300) or type(error).__name__
        if not Path(folder, "tokenizer.json").exists():  # said in terms of packages at length
            why = "it has no tokenizer.json, and none can be made from the vocabulary beside it"
        raise tokenizer_refused(name, why) from error
    if not getattr(tokenizer, "is_fast", False):
        raise SftError(
            f"the tokenizer of {folder} cannot be used",
            "it gives no character offsets, so trained tokens cannot be told apart",
            "choose a model with a tokenizer.json",
        )
    if tokenizer.eos_token_id is None:
        raise SftError(
            f"the tokenizer of {folder} cannot be used",
            "it has no end token, so the tuned model would never learn to stop",
            "set eos_token in its tokenizer_config.json",
        )
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def tokenizer_facts(tokenizer: Any) -> TokenizerFacts:
    """Returns what formatting needs to know of a tokenizer."""
    bos = tokenizer.bos_token_id
    own = tokenizer.backend_tokenizer.encode("a", add_special_tokens=True).ids
    pad = tokenizer.pad_token_id
    template, tool_template = _chat_templates(tokenizer)
    return TokenizerFacts(
        bos_token=tokenizer.bos_token,
        bos_id=bos,
        eos_token=tokenizer.eos_token,
        eos_id=tokenizer.eos_token_id,
        pad_id=tokenizer.eos_token_id if pad is None else pad,
        adds_bos=bos is not None and own[:1] == [bos],
        chat_template=template,
        markers=tuple(
            added.content for added in tokenizer.added_tokens_decoder.values() if added.special
        ),
        special_tokens={
            key: str(value)
            for key, value in tokenizer.special_tokens_map.items()
            if isinstance(value, str)
        },
        tool_template=tool_template,
    )


def _chat_templates(tokenizer: Any) -> tuple[str | None, str | None]:
    """Returns the chat template and the one for rows with tools, chosen as transformers does.

    Raises:
        SftError: There are several, and none is the default.
    """
    given = tokenizer.chat_template
    if not isinstance(given, dict):
        return given, None
    if "default" not in given:
        raise SftError(
            "the tokenizer's chat template cannot be chosen",
            f"it has {', '.join(sorted(given))}, and none is called default",
            "name one `default` in its tokenizer_config.json",
        )
    return given["default"], given.get("tool_use")
