"""How often base and tuned model answer the demo's held-out questions exactly.

    python tests/e2e/exact_match.py [RUN]

Loads the run's adapter in plain PEFT, asks base and tuned model every held-out question
greedily, and compares by SQuAD's normalisation (lower case, no articles, no punctuation;
rajpurkar.github.io/SQuAD-explorer). Prints five answers side by side and both shares.
"""

import re
import string
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft_tui.core import config_file
from sft_tui.core.data.rows import Row
from sft_tui.core.data.sources import load
from sft_tui.core.find import find_run
from sft_tui.core.prompt.prompts import Formatter
from sft_tui.core.training.tokenizer import tokenizer_facts

BATCH = 10
MAX_NEW_TOKENS = 48


def normalised(text: str) -> str:
    """Returns an answer as SQuAD's evaluation compares it."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def questions(config, tokenizer) -> list[tuple[Row, str, str]]:
    """Returns (row, prompt, expected answer) of every held-out row."""
    source = config.data.sources[0]
    held_out = type(source)(source="demo:heldout", template=source.template)
    formatter = Formatter(source.template, tokenizer_facts(tokenizer))
    found = []
    for row in load(held_out, config.data).rows:
        prompt = formatter.render(row)
        start, end = prompt.spans[0]
        found.append((row, prompt.text[:start], prompt.text[start:end]))
    return found


def answers(model, tokenizer, prompts: list[str]) -> list[str]:
    """Returns the greedy answer to each prompt."""
    tokenizer.padding_side = "left"
    found = []
    for start in range(0, len(prompts), BATCH):
        batch = tokenizer(prompts[start : start + BATCH], return_tensors="pt", padding=True)
        with torch.no_grad():
            output = model.generate(
                **batch,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )
        new = output[:, batch["input_ids"].shape[1] :]
        found += [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
    return found


def main() -> None:
    run = find_run(sys.argv[1] if len(sys.argv) > 1 else "latest")
    config = config_file.load(run.configs()[-1])
    tokenizer = AutoTokenizer.from_pretrained(run.adapter)

    base = AutoModelForCausalLM.from_pretrained(
        _base_of(run.adapter), dtype=torch.bfloat16, use_safetensors=True
    )
    rows = questions(config, tokenizer)
    prompts = [prompt for _, prompt, _ in rows]
    plain = answers(base, tokenizer, prompts)
    tuned = answers(PeftModel.from_pretrained(base, str(run.adapter)), tokenizer, prompts)
    for index in range(0, len(rows), len(rows) // 5):
        row, _, expected = rows[index]
        print(f"\n{row.input}\n  expected  {expected}\n  base      {plain[index][:100]}")
        print(f"  tuned     {tuned[index][:100]}")
    print()
    for name, given in (("base", plain), ("tuned", tuned)):
        pairs = list(zip(rows, given, strict=True))
        exact = sum(normalised(text) == normalised(row[2]) for row, text in pairs)
        words = sum(len(text.split()) for text in given) / len(given)
        print(
            f"{name:<6} exact match {exact}/{len(rows)} {exact / len(rows):.0%}, {words:.1f} words"
        )


def _base_of(adapter) -> str:
    from peft import PeftConfig

    return PeftConfig.from_pretrained(str(adapter)).base_model_name_or_path


if __name__ == "__main__":
    main()
