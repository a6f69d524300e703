"""Monitor's tabs: words that are looked for, answers side by side, why a run ended."""

import pytest
from rich.cells import cell_len
from rich.text import Text

from sft_tui.core import config_file, events
from sft_tui.tui.control_flow import remedy_in_keys
from sft_tui.tui.screens import sample_text
from sft_tui.tui.screens.monitor_lines import important_line
from sft_tui.tui.widgets.tab_pane import TabPane

BASE = "I understand you have an issue with your invoice."
TUNED = "Sorry about that. I can correct your invoice today."


def answer(step: int, prompt: int, text: str, finished: bool = True) -> events.Sample:
    return events.Sample(
        step=step, prompt_id=prompt, prompt=f"Question {prompt}?", text=text, finished=finished
    )


@pytest.fixture
def sampled_run(record):
    """Two prompts, answered by the base, at step 20 and at step 40."""
    run = record.living(record.trained())
    record.add(
        run, answer(0, 0, BASE, False), answer(0, 1, "x y"), answer(20, 0, BASE),
        answer(20, 1, "x z"), answer(40, 0, TUNED), answer(40, 1, "x z w"),
    )  # fmt: skip
    return run


def underlined(line: Text) -> list[str]:
    return [line.plain[span.start : span.end] for span in line.spans if "underline" in span.style]


def test_the_words_that_differ_are_underlined_in_both_answers():
    samples = [answer(0, 0, BASE, False), answer(40, 0, TUNED)]

    found = sample_text.lines(sample_text.Shown.of(samples, 0, None), 60)

    text = "\n".join(line.plain for line in found)
    assert "Δ 7 of 9 words differ" in text
    assert "Base (step 0)   stop: length !" in text and "Tuned (step 40)   stop: end token" in text
    words = [word for line in found for word in underlined(line)]
    assert " ".join(words) == (
        "understand you have an issue with invoice. Sorry about that. can correct invoice today."
    )


@pytest.mark.parametrize("width", [1, 7, 40, 80, 120, 200])
def test_no_line_of_answers_is_wider_than_its_place(width):
    long = "word " * 40 + "w" * 90 + "\n\nnext 漢字漢字漢字 line"
    samples = [answer(0, 0, long), answer(40, 0, long + " more")]

    for line in sample_text.lines(sample_text.Shown.of(samples, 0, None), width)[2:]:
        title = line.plain.startswith(("Base", "Tuned"))
        assert title or line.cell_len <= max(width, 2)


@pytest.mark.parametrize("width", [7, 20, 58])
def test_a_long_word_fills_its_lines_and_has_no_space_in_it(width):
    word = "https://example.org/" + "0123456789" * 9 + "漢字" * 9
    words = [sample_text.Word("see"), sample_text.Word(word, " ", differs=True)]
    lines = [line.plain for line in sample_text.wrapped(words, width)]

    assert lines[0] == "see" and "".join(lines[1:]) == word
    assert all(cell_len(line) >= width - 1 for line in lines[1:-1])


@pytest.mark.parametrize("word", ["\u200b", "\u0301", "\ufe0f", "\u064b", "\u0e31", "\u200d\u200b"])
def test_a_word_without_width_is_drawn(word):
    samples = [answer(0, 0, f"the {word} answer"), answer(40, 0, f"{word}\n{word} is 5")]

    for width in (2, 20, 160):
        found = sample_text.lines(sample_text.Shown.of(samples, 0, None), width)
        text = "".join(line.plain for line in found)
        assert text.count(word) == 3 and "is" in text


def test_code_keeps_its_indentation_and_words_alone_are_compared():
    code = " def f(x):\n    if x:\n\treturn  1\n"
    base, tuned, said = sample_text.compared(code.replace("    ", "  "), code)

    assert [line.plain for line in sample_text.wrapped(tuned, 40)] == [
        "def f(x):", "    if x:", "    return  1"
    ]  # fmt: skip
    assert [line.plain for line in sample_text.wrapped(base, 40)][1] == "  if x:"
    assert said.startswith("Δ 0 of ")
    broken = [line.plain for line in sample_text.wrapped(tuned, 8)]
    assert broken == ["def", "f(x):", "    if", "x:", "return", "1"]


def test_answers_are_plain_text():
    """U57"""
    samples = [answer(0, 0, "[red]a[/red]"), answer(1, 0, "\x1b[31m[b]a[/] \x1b]0;t\x07b")]

    found = sample_text.lines(sample_text.Shown.of(samples, 0, None), 80)

    assert "[b]a[/] b" in "\n".join(line.plain for line in found)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_prompts_and_steps_of_samples_are_walked_through(watch, sampled_run, size):
    async def scenario(eyes):
        await eyes.press("b", "b")
        await eyes.sees("▌Samples(2)▐", "Prompt 1 of 2: Question 0?", "words differ")
        assert "Prompt" not in eyes.footer, "its keys act on the tab once it has the focus"
        eyes.app.screen._pane.focus()
        await eyes.pilot.pause()
        if size == (160, 45):
            await eyes.sees("▸ 1 Question 0?", "Base (step 0)", "Tuned (step 40)", BASE, TUNED)
        await eyes.press("z")
        await eyes.press("comma")
        await eyes.sees("Answers of step 20.", "Tuned (step 20)", "Δ 0 of 9 words differ")
        await eyes.press("comma")
        await eyes.sees("Answers of step 20.")
        await eyes.press("]", ".")
        await eyes.sees("Prompt 2 of 2: Question 1?", "Tuned (step 40)", "x z w", "Δ 2 of 3")
        await eyes.press("K")
        await eyes.sees("Prompt 1 of 2")
        assert "RUNNING" not in eyes.notice

    watch(scenario, sampled_run, size)


def test_new_answers_come_into_sight_and_sampling_is_said(watch, sampled_run, record):
    async def scenario(eyes):
        await eyes.press("b", "b")
        record.add(sampled_run, events.Phase(name="sampling", done=1, total=2, unit="prompts"))
        await eyes.sees("Sampling at step 40… 1/2 prompts")
        record.add(sampled_run, answer(60, 0, "Sorry."), events.Phase(name="training"))
        await eyes.sees("Tuned (step 60)", "Sorry.")
        assert "Sampling at" not in eyes.text()

    watch(scenario, sampled_run, (160, 45))


def test_a_run_without_samples_says_when_the_first_come(watch, living_run):
    async def scenario(eyes):
        await eyes.press("b", "b")
        await eyes.sees("▌Samples▐", "No sample yet")

    watch(scenario, living_run)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_a_run_that_takes_no_samples_says_so_and_how_to_ask(watch, living_run, size):
    config = config_file.build(["evaluate.samples=0"], preset="demo")
    living_run.config.write_text(config_file.to_yaml(config))

    async def scenario(eyes):
        await eyes.press("b", "b")
        await eyes.sees("▌Samples▐", "asks for no samples", "With evaluate.samples=4 another run")

    watch(scenario, living_run, size)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_words_are_looked_for_in_the_log(watch, living_run, size):
    lines = [f"line {n}" + (" with a Needle in it" if n % 100 == 7 else "") for n in range(400)]
    living_run.log.write_text("\n".join(lines) + "\n")

    async def scenario(eyes):
        await eyes.press("b", "slash", *"needle")
        await eyes.sees(
            "“needle”: line 4 of 4 that has it.", "line 307 with a Needle in it", "EDIT"
        )
        await eyes.press("enter")
        await eyes.press("n")
        await eyes.sees("line 1 of 4", "line 7 with a Needle in it")
        await eyes.press("n", "n", "N")
        await eyes.sees("line 2 of 4", "line 107 with a Needle in it", "HELD")
        pane = eyes.app.screen._pane
        reverse = [span for span in pane._drawn.spans if "reverse" in str(span.style)]
        assert [pane._drawn.plain[s.start : s.end] for s in reverse] == ["Needle"]
        await eyes.press("slash", *"zz")
        await eyes.sees("No line of Log has “zz”.")
        await eyes.press("escape")
        await eyes.sees("line 399")
        assert "n" not in {key.shown for key in eyes.app.screen.offered()}

    watch(scenario, living_run, size)


def test_a_search_from_the_first_line_goes_down():
    pane = TabPane()
    pane.show([f"line {n}" for n in range(30)], follow=False)

    assert pane.find("line 2") == (1, 11)
    assert pane.find("line 2", 1) == (2, 11)
    assert pane.find("line 2", -1) == (1, 11)
    assert pane.find("line 2", -1) == (11, 11), "and round"
    assert pane.find("nothing", 1) == (0, 0)


def test_why_a_run_failed_stands_above_with_the_line_of_the_log(watch, record):
    run = record.trained()
    run.log.write_text(
        "Traceback (most recent call last):\n  File x, line 3, in y\nValueError: rank is odd\nbye\n"
    )
    record.checkpoint(run, 30)
    told = events.RunFinished(
        status="failed", reason="the model cannot be loaded", remedy="set another rank", step=40
    )
    record.add(run, told)
    record.dead(run)

    async def scenario(eyes):
        await eyes.sees(
            "FAILED: the model cannot be loaded", "Log (b): ValueError: rank is odd",
            "Do: set another rank · R resumes",
        )  # fmt: skip

    watch(scenario, run, (80, 24))


def test_only_a_line_that_names_an_error_is_important():
    log = ["torch.OutOfMemoryError: CUDA", "no Error: here", "Note: x", "KeyboardInterrupt: "]

    assert important_line(log) == "KeyboardInterrupt: "
    assert important_line(log[:3]) == "torch.OutOfMemoryError: CUDA"
    assert important_line(["all well"]) == ""


def test_a_remedy_that_resumes_with_other_settings_is_not_followed_by_plain_resuming():
    lower = "`sft-tui resume one --set optim.learning_rate=1e-05` goes on with a tenth of the rate"
    assert remedy_in_keys("one", "failed", lower) == f"Do: {lower}"
    assert remedy_in_keys("one", "failed", "`sft-tui resume one` goes on") == "Do: R goes on"
    assert remedy_in_keys("one", "failed", None) == "Do: R resumes"
