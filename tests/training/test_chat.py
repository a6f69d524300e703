"""Questions to a result are answered as the run's own samples were, by tuned and base."""

import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from transformers import AutoModelForCausalLM

from sft_tui.core import chat, config_file, events
from sft_tui.core.chat import Opening, Question, Turn
from sft_tui.core.data.asking import Asking
from sft_tui.core.data.examples import Examples
from sft_tui.core.data.rows import Message
from sft_tui.core.errors import SftError
from sft_tui.core.export import Chosen
from sft_tui.core.process import this_process
from sft_tui.core.sidecar.protocol import Request
from sft_tui.core.training import samples
from sft_tui.core.training.chat import Session
from sft_tui.core.training.tokenizer import tokenizer_facts
from tests.training.conftest import ragged_rows

EVALUATED = (
    "data.eval_fraction=0.3", "train.max_steps=6", "evaluate.samples=2", "evaluate.every_steps=3",
    "evaluate.sample_max_tokens=12", "save.every_steps=3", "train.seed=1",
)  # fmt: skip
ALPACA = "data.sources.0.template=alpaca"


@pytest.fixture
def sampled(train, ragged, configure):
    """Trains and samples at steps 0, 3 and 6; returns the run."""

    def make(base: Path, *sets: str):
        config = configure(base, ragged(24), *EVALUATED, *sets)
        outcome = train(config)
        outcome.run.config.write_text(config_file.to_yaml(config))
        return outcome

    return make


def questions(outcome, step: int) -> list[tuple[str, events.Sample]]:
    """Returns each sample of a step with the question that its row asks."""
    rows = ragged_rows(24)
    found = []
    for sample in outcome.of(events.Sample):
        if sample.step == step:
            fits = [q for q, a in rows if a == sample.expected and q in sample.prompt]
            found.append((max(fits, key=len), sample))
    assert len(found) == 2
    return found


def opened(run, checkpoint: str | None = None, *, base: bool = True) -> Session:
    session = Session()
    session.open(Opening(str(run.path), chat.weights(run, checkpoint), base, cpu=True), print)
    return session


def asked(session: Session, text: str, *, base: bool = False, most: int = 12, tell=None):
    question = Question([Turn("user", text)], base, most)
    return session.ask(question, tell or (lambda piece: None))


@pytest.mark.parametrize(
    "sets",
    [
        (),
        (ALPACA, "train.fused_lora=false", "data.pack=never"),
        ("method.init=pissa",),
        ("method.dora=true", "train.precision=bf16"),
        ("method.kind=full", "optim.learning_rate=0.003", "train.precision=bf16"),
    ],
    ids=["chat", "alpaca", "pissa", "dora", "full"],
)
def test_greedy_answers_are_the_samples_of_the_run_at_that_checkpoint(sampled, untied, sets):
    outcome = sampled(untied, *sets)
    texts = {step: [sample.text for _, sample in questions(outcome, step)] for step in (0, 3, 6)}
    assert texts[0] != texts[6]
    for checkpoint, step in (("3", 3), (None, 6)):
        session = opened(outcome.run, checkpoint)
        for _ in range(2):  # the base in between leaves nothing behind
            for base, expected in ((False, step), (True, 0)):
                for question, sample in questions(outcome, expected):
                    answer = asked(session, question, base=base)
                    assert answer.text == sample.text
                    assert (answer.stop == "end") == sample.finished


@pytest.mark.parametrize(
    ("rendered", "shown"),
    [
        ("<|user|>user\nDefine a model</s>\n<|assistant|>assistant\n", "user\nDefine a model\n"),
        ("<s><|user|>an assistant</s><|system|>assistant<|assistant|>\n\n", "an assistant"),
        ("<|user|>an assistant<|assistant|>", "an assistant"),
        ("<|user|>What is an assistant", "What is an assistant"),
        ("### Question:\nassistant", "### Question:\nassistant"),
    ],
)
def test_a_stored_prompt_does_not_end_in_the_name_of_who_answers(tokenizer, rendered, shown):
    ids = tokenizer.encode(rendered, add_special_tokens=False)

    assert samples.prompt_of(tokenizer, ids) == shown


def test_an_answer_comes_in_pieces_and_ends_when_asked(sampled, untied):
    session = opened(sampled(untied).run)
    pieces = []
    answer = asked(session, "the red fox", base=True, tell=pieces.append)
    assert len(pieces) > 1 and "".join(pieces) == answer.text

    def stop(piece):
        session.stop.set()

    stopped = asked(session, "the red fox", base=True, most=400, tell=stop)
    assert stopped.stop == "asked" and stopped.tokens < 12 and answer.text.startswith(stopped.text)
    assert asked(session, "the red fox", base=True).text == answer.text


def test_what_does_not_fit_the_context_is_refused_and_an_answer_ends_there(sampled, untied):
    session = opened(sampled(untied).run)
    with pytest.raises(SftError, match="made for 512"):
        asked(session, "fox " * 600)
    answer = asked(session, "fox " * 120, base=True, most=4000)
    assert answer.stop == "end" or answer.tokens < 512


def test_a_base_with_other_weights_is_refused(sampled, untied, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(untied)
    moved = tmp_path / "base"
    for path in untied.iterdir():
        (moved / path.name).parent.mkdir(exist_ok=True)
        (moved / path.name).write_bytes(path.read_bytes())
    run = sampled(moved).run
    model.model.embed_tokens.weight.data += 0.1
    model.save_pretrained(moved)
    with pytest.raises(SftError, match="trained on another base"):
        opened(run)


def test_without_checkpoints_the_result_answers(sampled, untied):
    outcome = sampled(untied)
    for _, folder in outcome.run.complete_checkpoints():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    outcome.run.process.write_text("")  # it has ended
    outcome.run.events.write_bytes(
        outcome.run.events.read_bytes()
        + events.encode(events.RunFinished(status="finished", step=6, t=time.time()))
    )
    session = opened(outcome.run)
    for question, sample in questions(outcome, 6):
        assert asked(session, question).text == sample.text


@pytest.mark.parametrize("template", ["chat", "alpaca", "chatml", "plain"])
@pytest.mark.parametrize("shape", ["prompt_completion", "alpaca", "messages", "text"])
def test_a_question_has_the_tokens_that_its_row_was_trained_with(
    tokenizer, tmp_path, template, shape
):
    path = tmp_path / "rows.jsonl"
    answer = "birds sing"
    row = {
        "prompt_completion": {"prompt": "the red fox: ", "completion": answer},
        "alpaca": {"instruction": "say it", "input": "a\nlazy dog", "output": answer},
        "messages": {"messages": [
            {"role": "user", "content": "the fox"}, {"role": "assistant", "content": "a dog"},
            {"role": "user", "content": "why"}, {"role": "assistant", "content": answer},
        ]},
        "text": {"text": "the old garden"},
    }[shape]  # fmt: skip
    path.write_text(json.dumps(row))
    sets = (f"data.source={path}", f"data.sources.0.template={template}", "data.loss_on=last_turn")
    config = config_file.build(list(sets))
    source, facts = config.data.sources[0], tokenizer_facts(tokenizer)
    backend = tokenizer.backend_tokenizer
    examples = Examples(source, backend, facts, config.data)
    turns = {
        "prompt_completion": [Message("user", "the red fox: ")],
        "alpaca": [Message("user", "say it\n\na\nlazy dog")],
        "messages": [
            Message("user", "the fox"), Message("assistant", "a dog"), Message("user", "why")
        ],
        "text": [Message("user", "the old garden")],
    }[shape]  # fmt: skip
    choices = {f"{what} of {examples.name}": said
               for what, said in (("shape", shape), ("template", template))}  # fmt: skip
    asking = Asking(source, backend, facts, choices)
    if shape == "messages" and template == "alpaca":
        with pytest.raises(SftError, match="cannot be asked in the run's template"):
            asking.ids(turns)
        return
    (example,) = examples
    trained = example.encoded
    ids = list(trained.input_ids)
    until = len(ids) - 1 if shape == "text" else trained.spans[0][0]
    assert asking.ids(turns) == ids[:until]
    assert asking.keeps_turns == (shape != "text" and (
        template in ("chat", "chatml") or (template == "plain" and shape == "messages")
    ))  # fmt: skip


def sft(*arguments, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "sft_tui.tui.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_the_command_answers_line_by_line_and_names_a_training_run(sampled, untied):
    outcome = sampled(untied)
    run = outcome.run
    (first, one), (second, other) = questions(outcome, 6)
    # A trainer at work, for all that its files tell.
    run.process.write_bytes(msgspec.json.encode(this_process("local", ["x"], {})))
    lines = f"{first}\n\n/clear\n{second}\n"
    done = sft("chat", run.path, "--base", "--json", "--max-tokens", 12, input=lines)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["tuned"]["text"] for answer in said] == [one.text, other.text]
    assert [answer["base"]["text"] for answer in said] == [
        sample.text for _, sample in questions(outcome, 0)
    ]
    assert list(said[0]) == ["prompt", "step", "base", "tuned"], "in the order of the screens"
    assert said[0]["step"] == 6 and said[0]["tuned"]["stop"] in ("end", "length")
    assert "GiB free on this host" in done.stderr and "begins anew" in done.stderr
    assert f"{run.id}: being trained meanwhile" in done.stderr


def test_the_command_refuses_what_it_cannot_do(sampled, untied, monkeypatch, capsys):
    from sft_tui.tui.cli import main

    run = sampled(untied).run
    for arguments, words in (
        (["--checkpoint", "5"], "of which no checkpoint is kept"),
        (["--checkpoint", "soon"], "give last, best"),
        (["--max-tokens", "0"], "--max-tokens cannot be used"),
        (["--temperature", "nan"], "--temperature cannot be used"),
        (["--prompt", " "], "--prompt cannot be used"),
    ):
        assert main(["chat", str(run.path), *arguments]) in (1, 2)
        assert words in capsys.readouterr().err
    monkeypatch.setattr(chat, "memory_available_bytes", lambda: 100 << 20)
    assert main(["chat", str(run.path), "--prompt", "a"]) == 1
    said = capsys.readouterr().err
    assert "not enough memory on this host" in said and "0.1 GiB free" in said and "--force" in said


def test_the_model_does_not_outlive_the_one_who_asks():
    """Not even while it is silent, as in the middle of loading."""
    code = (
        "import time\n"
        "from sft_tui.core.training import chat\n"
        "chat.Session.open = lambda self, asked, tell: tell('loads') or time.sleep(60)\n"
        "chat.main()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    helper = subprocess.Popen([sys.executable, "-P", "-c", code], **pipes)
    assert helper.stdin and helper.stdout
    opening = Opening("run", Chosen("folder", 1), base=False)
    request = Request("open", msgspec.Raw(msgspec.json.encode(opening)))
    helper.stdin.write(msgspec.json.encode(request) + b"\n")
    helper.stdin.flush()
    assert b"loads" in helper.stdout.readline()
    helper.stdin.close()
    helper.wait(5)
    helper.stdout.close()
