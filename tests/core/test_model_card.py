"""What a model card says, and that text of data cannot break it."""

import pytest
import yaml

from sft_tui.core import config_file, events
from sft_tui.core.export import Base, public_yaml
from sft_tui.core.history import History
from sft_tui.core.model_card import Card, Licence, model_card, until

HUB = Base("acme/tiny", True, "a" * 40)
LOCAL = Base("my-model", False, None)


def history(*, evals=(), samples=()) -> History:
    found = History()
    found.add(events.RunStarted(run_id="r", total_steps=4, train_rows=1200, eval_rows=30))
    for step in range(1, 5):
        found.add(events.Step(step=step, loss=2.0))
    for event in (*evals, *samples):
        found.add(event)
    return found


def card(*sets, base=HUB, merged=False, licence=None, **more) -> str:
    config = config_file.build([*sets])
    facts = {"history": history(), "title": "A title", "step": 4, **more}
    return model_card(Card(config=config, base=base, merged=merged, licence=licence, **facts))


def head(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_the_front_matter_is_what_the_hub_reads():
    licence = Licence("other", "own", "https://x.y/z")
    sets = ("model.name=acme/tiny", f"data.source=acme/chat@{'b' * 40}")
    assert head(card(*sets, licence=licence)) == {
        "base_model": "acme/tiny", "base_model_relation": "adapter", "library_name": "peft",
        "license": "other", "license_name": "own", "license_link": "https://x.y/z",
        "datasets": ["acme/chat"], "pipeline_tag": "text-generation",
        "tags": ["sft", "lora", "sft-tui"],
    }  # fmt: skip


def test_what_is_unknown_or_local_is_left_out_of_the_front_matter():
    found = head(card("data.source=/home/eve/rows.jsonl", base=LOCAL, merged=True))
    assert found["library_name"] == "transformers"
    assert not found.keys() & {"base_model", "license", "datasets"}


def test_paths_and_tokens_do_not_leave_the_machine():
    sets = (
        "model.name=/home/eve/my-model", "data.source=/home/eve/rows.jsonl",
        "data.eval_source=/home/eve/test.jsonl", "data.sources.0.template=file",
        "data.sources.0.template_file=/home/eve/t.jinja",
        "data.sources.0.system=the key is hf_abcdefgh12345678",
    )  # fmt: skip
    for text in (card(*sets, base=LOCAL), public_yaml(config_file.build([*sets]))):
        assert "home" not in text and "hf_abcdefgh" not in text
        assert "rows.jsonl" in text and "test.jsonl" in text


def test_evaluations_are_named_or_missing():
    evals = [
        events.Eval(step=step, loss=loss, perplexity=2 * loss)
        for step, loss in ((0, 3.0), (2, 1.0), (4, 1.5))
    ]
    text = card(history=history(evals=evals))
    for row in ("| first | 0 | 3 | 6 |", "| best | 2 | 1 | 2 |", "| last | 4 | 1.5 | 3 |"):
        assert row in text
    assert "1,200 rows were trained, 30 evaluated." in text
    assert "It was not evaluated" in card()
    bad = history(evals=[events.Eval(step=4, loss=float("nan"))])
    assert "| last | 4 | not finite | not finite |" in card(history=bad)


def test_text_of_data_cannot_break_out_of_its_block():
    evil = "```\n# Heading\n</details><script>\x1b[31m"
    told = [
        events.Sample(step=step, prompt_id=0, prompt=evil, text=evil, finished=True)
        for step in (0, 4)
    ]
    text = card(history=history(samples=told))
    assert text.count("````text\n```\n# Heading") == 3 and "\x1b" not in text
    assert "**Base**" in text and "**Tuned**" in text
    assert "\\# x \\| y" in card(title="# x | y")


def test_what_came_after_the_exported_step_is_not_told():
    evals = [events.Eval(step=step, loss=1.0) for step in (2, 4)]
    told = [
        events.Sample(step=step, prompt_id=0, prompt="p", text="t", finished=True)
        for step in (0, 4)
    ]
    text = card(history=until(history(evals=evals, samples=told), 2), step=2)
    assert "after 2 of 4 steps" in text and "| last | 2 |" in text and "Samples" not in text


@pytest.mark.parametrize("template", ["chat", "alpaca", "chatml", "plain"])
@pytest.mark.parametrize("merged", [False, True])
def test_the_snippet_is_python_in_the_form_of_the_template(template, merged):
    sets = [f"data.sources.0.template={template}", 'data.sources.0.system="be \\"kind\\""']
    text = card(*sets, merged=merged, repo="alice/x")
    code = text.partition("```python\n")[2].partition("```")[0]
    compile(code, "README.md", "exec")
    assert 'result = "alice/x"' in code and ("PeftModel" in code) != merged
    marks = {"chat": "apply_chat_template", "alpaca": "### Response", "chatml": "<|im_start|>user"}
    assert marks.get(template, 'prompt = "What can you do?"') in code


def test_what_was_changed_until_the_exported_step_is_told_beside_the_configuration():
    found = history()
    for step, old, new in ((1, 0.002, 0.001), (3, 0.001, 0.0005)):
        found.add(
            events.Control(
                id="a", command="set", by="ada", outcome="done", key="learning_rate",
                old=old, new=new, step=step,
            )
        )  # fmt: skip
    first, second = (
        f"- step {step}: optim.learning\\_rate {values}\n"
        for step, values in ((1, "0.002 → 0.001"), (3, "0.001 → 0.0005"))
    )
    text = card(history=found)
    assert f"Changed while it trained:\n\n{first}{second}\n## Licence" in text
    assert "`config.yaml`. It is what the run was last started with." in text
    text = card(history=until(found, 3), step=3)
    assert first in text and second not in text
    assert "Changed while" not in card()
