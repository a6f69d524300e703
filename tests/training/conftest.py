"""Tiny models, ragged data, and the whole recipe run in this process.

Nothing is downloaded: models are built from configurations, the tokenizer from a few sentences.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accelerate.state
import pytest
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, processors, trainers
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from sft_tui.core import config_file, events
from sft_tui.core.config import ModelConfig, RunConfig
from sft_tui.core.rundir import RunDir
from sft_tui.core.training import recipe
from sft_tui.core.training.locate import locate
from sft_tui.core.training.report import Report
from sft_tui.core.training.steering import Steering
from tests.training import zoo
from tests.training.outcome import ObservedReport, Outcome

CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
WORDS = (
    "the red fox jumps over a lazy dog while seven small birds sing in the old garden and "
    "nobody knows why rivers run west"
).split()


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Two-layer models are fastest on one thread, and sums keep one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    """accelerate keeps its state in classes; no test inherits another's."""
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with a begin token of its own, where padding is the end token."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=200,
        special_tokens=["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=sorted({chr(code) for code in range(33, 127)} | {"Ġ", "Ċ"}),
        show_progress=False,
    )
    backend.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        chat_template=CHAT,
    )


def _llama(tokenizer: Any, **changes: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.08,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        # No pad_token_id: padding is the end token, and its embedding would be zeroed.
    }
    return LlamaForCausalLM(LlamaConfig(**{**settings, **changes})).float()


@pytest.fixture(scope="session")
def make_llama(tokenizer: Any) -> Callable[..., LlamaForCausalLM]:
    """Builds a seeded Llama; keywords change its configuration."""
    return lambda **changes: _llama(tokenizer, **changes)


def _saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def untied(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Llama whose head is its own."""
    model = _llama(tokenizer, tie_word_embeddings=False)
    return _saved(model, tokenizer, tmp_path_factory.mktemp("untied"))


@pytest.fixture(scope="session")
def tied(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Llama whose head is its embedding."""
    model = _llama(tokenizer, tie_word_embeddings=True)
    return _saved(model, tokenizer, tmp_path_factory.mktemp("tied"))


@pytest.fixture(scope="session")
def gpt2(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved GPT-2: Conv1D in place of linear layers, absolute positions."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=512,
        initializer_range=0.08,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _saved(GPT2LMHeadModel(config).float(), tokenizer, tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the embedded model, converted."""
    home = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFT_TUI_HOME", str(home))
        with Report(RunDir(home)) as report:
            return Path(locate(ModelConfig(name="demo"), report))


@pytest.fixture
def saved(tokenizer: Any, tmp_path: Path) -> Callable[..., Path]:
    """Saves a model of a kind of the zoo; keywords change its configuration."""

    def make(kind: str, **changes: Any) -> Path:
        return _saved(zoo.build(kind, tokenizer, **changes), tokenizer, tmp_path / kind)

    return make


@pytest.fixture(scope="session")
def write_rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes (prompt, completion) pairs as a jsonl file and returns its path."""

    def write(rows: list[tuple[str, str]]) -> Path:
        path = tmp_path_factory.mktemp("data") / "rows.jsonl"
        lines = [json.dumps({"prompt": prompt, "completion": answer}) for prompt, answer in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def ragged_rows(count: int) -> list[tuple[str, str]]:
    """Rows whose prompts have 1 to 11 words and whose answers 1 to 7."""
    picked = [WORDS[(7 * index) % len(WORDS) :] + WORDS for index in range(count)]
    return [
        (" ".join(words[: 1 + 5 * i % 11]), " ".join(reversed(words[: 1 + 3 * i % 7])))
        for i, words in enumerate(picked)
    ]


@pytest.fixture(scope="session")
def ragged(write_rows: Callable[..., Path]) -> Callable[[int], Path]:
    """Writes that many rows of ragged lengths."""
    return lambda count: write_rows(ragged_rows(count))


@pytest.fixture(scope="session")
def configure() -> Callable[..., RunConfig]:
    """Returns a configuration of model, data and `key=value` texts.

    The base is plain: fp32 on the CPU, rows in order, a constant rate without warm-up, and no
    evaluation, samples or checkpoints before the end.
    """

    def build(model: Path, data: Path, *sets: str) -> RunConfig:
        base = (
            f"model.name={model}",
            f"data.source={data}",
            "data.eval_fraction=0",
            "data.shuffle=false",
            "method.rank=4",
            "method.alpha=8",
            "optim.learning_rate=0.01",
            "optim.schedule=constant",
            "optim.warmup_ratio=0",
            "train.precision=fp32",
            "train.micro_batch_size=2",
            "train.gradient_accumulation=1",
            "evaluate.every_steps=null",
            "evaluate.samples=0",
            "save.every_steps=null",
            "launch.accelerator=cpu",
        )
        return config_file.build([*base, *sets])

    return build


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[[], RunDir]:
    """Makes empty run directories."""

    def make() -> RunDir:
        path = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        path.mkdir()
        return RunDir(path)

    return make


@pytest.fixture
def train(new_run: Callable[[], RunDir]) -> Callable[..., Outcome]:
    """Runs the whole recipe on a new run directory, or goes on in `run`.

    `seen(run, event)` is called after each event was written, on the training thread: it can
    send commands, or raise to stand for a crash. `first` is the id of a command that is done first.
    """

    def start(
        config: RunConfig,
        *,
        run: RunDir | None = None,
        seen: Callable[[RunDir, events.Event], None] | None = None,
        first: str | None = None,
    ) -> Outcome:
        run = run or new_run()
        with ObservedReport(run, seen) as report:
            steering = Steering(run, report)
            steering.read_earlier(first)  # as the trainer process does before anything else
            last = recipe.run_training(run, config, report, steering)
        return Outcome(run, last, steering, report.kept)

    return start


class Crash(Exception):
    """Stands for a trainer that died."""


@pytest.fixture
def crash_after(train: Callable[..., Outcome]) -> Callable[..., RunDir]:
    """Runs the recipe, lets it die right after it told step `step`, and returns its run."""

    def start(config: RunConfig, step: int, run: RunDir | None = None) -> RunDir:
        died_in: list[RunDir] = []

        def seen(run: RunDir, event: events.Event) -> None:
            if isinstance(event, events.Step) and event.step == step:
                died_in.append(run)
                raise Crash

        with pytest.raises(Crash):
            train(config, run=run, seen=seen)
        return died_in[0]

    return start


@pytest.fixture
def adapted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collects the adapted model of each start of the recipe, and its state before training."""
    models: list[Any] = []
    attach = recipe.attach

    def spy(*args: Any) -> Any:
        model = attach(*args)
        model.before = {name: value.clone() for name, value in model.state_dict().items()}
        models.append(model)
        return model

    monkeypatch.setattr(recipe, "attach", spy)
    return models


@pytest.fixture
def first_gradients() -> Iterator[list[list[torch.Tensor]]]:
    """Collects the gradients that each optimizer's first step was given."""
    collected: list[list[torch.Tensor]] = []
    seen: list[Any] = []

    def keep(optimizer: Any, args: Any, kwargs: Any) -> None:
        if not any(optimizer is other for other in seen):
            seen.append(optimizer)
            parameters = optimizer.param_groups[0]["params"]
            collected.append([p.grad.clone() for p in parameters])

    handle = register_optimizer_step_pre_hook(keep)
    yield collected
    handle.remove()


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the loss or the gradient of chosen training passes NaN.

    Passes are counted from 1 over all starts; passes without gradient do not count.
    """

    def apply(passes: set[int], what: str = "loss") -> None:
        count = 0
        forward = LlamaForCausalLM.forward

        def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal count
            output = forward(self, *args, **kwargs)
            if torch.is_grad_enabled():
                count += 1
                if count in passes and what == "loss":
                    output.logits = output.logits * math.nan
                elif count in passes:
                    output.logits.register_hook(lambda gradient: gradient * math.nan)
            return output

        monkeypatch.setattr(LlamaForCausalLM, "forward", poisoned)

    return apply
