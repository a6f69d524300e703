"""Play: stored answers at once, live ones from a process that ends with the screen."""

import os
import shutil
import signal

import psutil
import pytest

from sft_tui.core import chat, config_file, events
from sft_tui.tui.screens import play_lines
from sft_tui.tui.services.talk import Exchange, Reply
from sft_tui.tui.widgets.tab_pane import TabPane

BASE = "I understand you have an issue with your invoice."
TUNED = "Sorry about that. I can correct your invoice today."
SIZES = [(80, 24), (160, 45)]


def answer(step: int, prompt: int, text: str, finished: bool = True) -> events.Sample:
    return events.Sample(
        step=step, prompt_id=prompt, prompt=f"Question {prompt}?", text=text, finished=finished,
        expected="Certainly." if prompt == 0 else None,
    )  # fmt: skip


SAMPLES = (
    answer(0, 0, BASE, False), answer(0, 1, "x y"), answer(20, 0, BASE), answer(20, 1, "x z"),
    answer(40, 0, TUNED), answer(40, 1, "x z w"),
)  # fmt: skip


@pytest.fixture
def sampled_run(record):
    run = record.finished()
    record.add(run, *SAMPLES)
    record.add(run, events.RunFinished(status="finished", step=40))
    return record.dead(run)


@pytest.fixture(scope="session")
def adapter(warm_model, tmp_path_factory):
    """The configuration of a run of the tiny model, and a folder of its adapter."""
    import torch

    from sft_tui.core.training.method import attach_lora
    from sft_tui.core.training.model import load_base
    from sft_tui.core.training.saving import save_adapter

    model, _ = warm_model
    sets = [
        f"model.name={model}", "data.source=rows.jsonl", "data.max_length=64", "method.rank=4",
        "train.precision=fp32", "launch.accelerator=cpu",
    ]  # fmt: skip
    config = config_file.build(sets)
    tuned = attach_lora(load_base(str(model), config.model, "fp32"), config.method)
    torch.manual_seed(3)  # with these weights greedy answers go on to the limit
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            weight.data.normal_()
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    folder.mkdir()
    save_adapter(tuned, folder)
    return config, folder


@pytest.fixture
def tuned_run(record, sampled_run, adapter, model):
    """A finished run with samples whose checkpoint 40 can answer."""
    config, folder = adapter
    sampled_run.config.write_text(config_file.to_yaml(config))
    shutil.copytree(folder, sampled_run.checkpoints / "step-40")
    return sampled_run


@pytest.fixture
def play(drive, monkeypatch):
    """Runs a scenario on Play, once its run was read and what loading takes is known."""
    monkeypatch.setattr("sft_tui.tui.screens.play.REFRESH_S", 0.05)

    def run(scenario, size=(160, 45), **options):
        async def whole(eyes):
            screen = eyes.app.screen
            await eyes.until(lambda: screen._complete and screen._found is not None)
            await scenario(eyes)

        drive(whole, size, mode="play", **options)

    return run


def underlined(pane: TabPane) -> list[str]:
    text = pane._drawn
    return [text.plain[s.start : s.end] for s in text.spans if "underline" in str(s.style)]


@pytest.mark.parametrize("size", SIZES)
def test_stored_answers_are_shown_without_a_model(play, tuned_run, size):
    async def scenario(eyes):
        await eyes.sees("Prompts (2)", "▸ 1 Question 0?", "2 Question 1?", "FINISHED")
        await eyes.sees("Base (step 0)   stop: length !", "Tuned (step 40)   stop: end token")
        await eyes.sees("I understand", "Sorry about that.", "Δ 7 of 9 words differ")
        await eyes.sees("stopped at the length limit", "expected: Certainly.")
        assert "Sorry" in underlined(eyes.app.screen.query_one("#tuned", TabPane))
        await eyes.press("comma")
        await eyes.sees("Answers of step 20.", "Tuned (step 20)", "Δ 0 of 9 words differ")
        await eyes.press("full_stop", "]")
        await eyes.sees("▸ 2 Question 1?", "Tuned (step 40)", "x z w", "Δ 2 of 3")
        await eyes.press("]")
        await eyes.sees("▸ Live: your own questions", "Base · live", "Tuned · live")
        await eyes.press("K", "K")
        await eyes.sees("▸ 1 Question 0?", "Enter loads step 40: takes ~0.4 GiB")
        await eyes.press("i")
        await eyes.sees(
            "Tuned at step 40 answered: Sorry about that.", "was cut at the length limit"
        )
        await eyes.press("escape", "y")
        await eyes.until(lambda: "opied" in eyes.notice)
        assert eyes.app.clipboard == TUNED
        assert eyes.app.screen._talk.pid is None

    play(scenario, size)


@pytest.mark.parametrize("size", [(60, 18), (80, 24)])
def test_on_a_narrow_terminal_both_answers_stand_below_each_other_at_full_width(
    play, sampled_run, record, size
):
    word = "u" * (size[0] + 10)
    text = f"{word} and what comes after it"
    record.add(sampled_run, answer(60, 0, text))

    async def scenario(eyes):
        base, tuned = (eyes.app.screen.query_one(f"#{side}", TabPane) for side in ("base", "tuned"))
        await eyes.sees("Base (step 0)   stop: length !", "Tuned (step 60)", BASE)
        assert base.region.x == tuned.region.x and base.region.bottom <= tuned.region.y
        assert base.content_size.width >= size[0] - 4
        rows = [row.strip(" │") for row in tuned._drawn.plain.splitlines()]
        assert rows[0] == "u" * tuned.content_size.width
        assert rows[1].startswith("uuu") and rows[1].endswith("and what comes after it")
        await eyes.press("]")
        await eyes.sees("▸ 2 " if size[0] >= 80 else "Prompt 2 of 2 · Base (step 0)")
        await eyes.press("[")
        await eyes.press("y")
        await eyes.until(lambda: eyes.app.clipboard == text)

    play(scenario, size)


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (160, 45)])
def test_an_answer_that_is_shown_alone_uses_the_whole_width(play, sampled_run, record, size):
    record.add(sampled_run, answer(60, 0, "u" * 300))

    async def scenario(eyes):
        pane = eyes.app.screen.query_one("#tuned", TabPane)
        await eyes.sees("Tuned (step 60)", "uuuuu")
        pane.focus()
        await eyes.press("z")
        await eyes.until(
            lambda: (
                pane.content_size.width >= size[0] - 4
                and "u" * pane.content_size.width in eyes.text()
            )
        )

    play(scenario, size)


def test_a_live_answer_is_asked_followed_stopped_and_ends_with_the_screen(play, tuned_run):
    async def scenario(eyes):
        screen = eyes.app.screen
        talk = screen._talk
        await eyes.press("enter")
        await eyes.until(lambda: talk.state == "ready", 60)
        helper = psutil.Process(talk.pid)
        await eyes.sees("step 40 on cpu, template chat, turns kept", "EDIT")
        screen._want(max_tokens=8)
        await eyes.press(*"hi 5", "enter")
        await eyes.until(lambda: talk.state == "ready" and len(talk.exchanges) == 1, 20)
        first = talk.exchanges[0]
        assert first.replies["tuned"].text != first.replies["base"].text
        await eyes.sees(
            "you: hi 5", "Tuned (step 40) · live", "[length !, 8 tokens", "words differ"
        )
        assert [turn.content for turn in talk._turns("base")] == ["hi 5"]
        await eyes.press(*"why", "enter")
        await eyes.until(lambda: talk.state == "ready" and len(talk.exchanges) == 2, 20)
        assert [turn.content for turn in talk._turns("base")] == [
            "hi 5", first.replies["base"].text, "why"
        ]  # fmt: skip
        screen._want(max_tokens=400)
        await eyes.press("z", "enter")
        replies = talk.exchanges[-1].replies
        await eyes.until(lambda: "tuned" in replies and replies["tuned"].text, 20)
        assert list(replies) == ["base", "tuned"], "in the order of the panes"
        helper.suspend()  # as else it could be done before the key is pressed
        assert "Stop the answer" in eyes.footer
        await eyes.press("escape")
        helper.resume()
        await eyes.until(lambda: talk.state == "ready", 20)
        reply = talk.exchanges[-1].replies["tuned"]
        assert reply.answer.stop == "asked" and reply.answer.tokens < 400
        await eyes.sees("stopped by you")
        await eyes.press("escape", "n")
        await eyes.sees("begins anew")
        assert not talk.exchanges and helper.is_running()
        await eyes.press("1")
        await eyes.sees("Play let its model go")
        await eyes.until(lambda: not psutil.pid_exists(helper.pid))
        await eyes.press("5")
        await eyes.sees("Enter loads step 40")

    play(scenario)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_typed_while_the_model_loads_is_text_and_is_asked_once_it_is_there(
    play, tuned_run, size
):
    async def scenario(eyes):
        screen = eyes.app.screen
        talk, box = screen._talk, screen.query_one("#ask")
        await eyes.press("enter", *"x 1q?E")
        assert talk.state == "loading" and box.value == "x 1q?E"
        await eyes.sees("please wait", "You can type already. Leaving Play ends it.", "x 1q?E")
        await eyes.sees("Ask once it is loaded", "EDIT")
        screen._want(max_tokens=4)
        await eyes.press("enter")
        await eyes.sees("it is asked as soon as it is there")
        await eyes.until(lambda: talk.exchanges and talk.state == "ready", 60)
        assert [each.question for each in talk.exchanges] == ["x 1q?E"] and box.value == ""
        assert "loading" not in screen.notice

    play(scenario, size)


@pytest.mark.parametrize("changed", ["escape", "z"])
def test_what_was_typed_on_is_not_asked_half_and_no_focus_is_taken(play, tuned_run, changed):
    async def scenario(eyes):
        screen = eyes.app.screen
        talk, box = screen._talk, screen.query_one("#ask")
        await eyes.press("enter", *"why", *([] if changed == "escape" else ["enter"]), changed)
        await eyes.until(lambda: talk.state == "ready", 60)
        await eyes.pilot.pause()
        assert not talk.exchanges
        assert box.has_focus == (changed == "z"), "who left the box is not put into it"

    play(scenario)


@pytest.mark.parametrize("size", SIZES)
def test_a_side_that_was_not_asked_says_so(play, tuned_run, size):
    async def scenario(eyes):
        screen = eyes.app.screen
        talk = screen._talk
        await eyes.press("enter")
        await eyes.until(lambda: talk.state == "ready", 60)
        helper = psutil.Process(talk.pid)
        screen._want(max_tokens=4000)
        await eyes.press("z", "enter")
        replies = talk.exchanges[-1].replies
        await eyes.until(lambda: "base" in replies, 20)
        helper.suspend()  # as else it could be done before the key is pressed
        await eyes.press("escape")
        helper.resume()
        await eyes.until(lambda: talk.state == "ready", 20)
        assert list(replies) == ["base"]
        await eyes.sees("stopped by you", "[not asked: stopped]")
        await eyes.press("escape", "i")
        await eyes.sees("Tuned was not asked: stopped")

    play(scenario, size)


def test_the_model_ends_with_the_application_and_a_lost_one_is_told(play, tuned_run):
    helpers = []

    async def scenario(eyes):
        talk = eyes.app.screen._talk
        await eyes.press("enter")
        await eyes.until(lambda: talk.pid is not None)
        await eyes.sees("Live: please wait, starting…", "You can type already")
        await eyes.press(*"1 q")
        os.kill(talk.pid, signal.SIGKILL)
        await eyes.sees(
            "the helper process ended before it answered", "Try again", "Enter loads step 40"
        )
        await eyes.press(*"x?")
        assert eyes.app.screen.query_one("#ask").value == "1 qx?", "it is text all the same"
        await eyes.press("enter")
        await eyes.until(lambda: talk.pid is not None)
        helpers.append(talk.pid)

    play(scenario, (80, 24))
    assert not psutil.pid_exists(helpers[0])


@pytest.mark.parametrize("size", SIZES)
def test_what_does_not_fit_is_said_and_only_loaded_when_that_is_confirmed(
    play, tuned_run, monkeypatch, size
):
    monkeypatch.setattr(chat, "memory_available_bytes", lambda: 100 << 20)

    async def scenario(eyes):
        await eyes.sees("takes ~0.4 GiB, 0.1 GiB free on this host. NOT ENOUGH.")
        await eyes.press("enter")
        await eyes.sees(
            "Load it all the same?", "takes ~0.4 GiB, 0.1 GiB free", "holds memory there."
        )
        await eyes.press("escape")
        assert eyes.app.screen._talk.state == "none"

    play(scenario, size)


def test_a_run_that_is_being_trained_is_named(play, tuned_run, record):
    record.add(tuned_run, events.Phase(name="training"))
    record.living(tuned_run)

    async def scenario(eyes):
        await eyes.sees("This run is being trained: both will be slower.", "Control")

    play(scenario)


@pytest.mark.parametrize("size", SIZES)
def test_without_a_run_it_says_what_to_do(drive, home, size):
    async def scenario(eyes):
        await eyes.sees("No run to play with yet", "Set up a run")
        assert "Enter" not in eyes.footer

    drive(scenario, size, mode="play")


def test_a_run_without_samples_or_weights_says_so(play, finished_run):
    async def scenario(eyes):
        await eyes.sees("This run has no samples: evaluate.samples", "Prompts (0)")
        await eyes.sees("Live:", "has no result", "Train anew with its config.yaml")
        await eyes.press("enter")
        assert eyes.app.screen._talk.state == "none"

    play(scenario)


def test_a_run_of_another_host_shows_its_samples(play, tuned_run, record, elsewhere):
    path = tuned_run.events
    path.write_bytes(b"".join(line for line in path.read_bytes().splitlines(True)
                              if b"run_finished" not in line))  # fmt: skip
    record.living(tuned_run, host=elsewhere)

    async def scenario(eyes):
        await eyes.sees("UNKNOWN", "Tuned (step 40)", "Enter loads step 40")

    play(scenario)


def test_settings_and_weights_are_chosen_with_keys(play, tuned_run, record):
    shutil.copytree(tuned_run.checkpoints / "step-40", tuned_run.checkpoints / "step-20")
    record.dead(record.finished("20260101-030405-other-0c01", steps=3))

    async def scenario(eyes):
        screen = eyes.app.screen
        await eyes.press("e")
        await eyes.sees("temperature: 0, the likeliest token", "longest answer: 256 tokens")
        await eyes.press("t", "backspace", *"-1", "enter")
        await eyes.sees("That is no such number.")
        await eyes.press("backspace", "backspace", *"0.7", "enter")
        await eyes.sees("Temperature: 0.7.")
        await eyes.press("e", "b")
        await eyes.sees("The base answers no more.")
        assert (screen._wanted.temperature, screen._wanted.base) == (0.7, False)
        await eyes.press("c")
        await eyes.sees("of the best evaluation", "step 20")
        await eyes.press("c")
        await eyes.sees("Enter loads step 20")
        assert len(eyes.app.screen_stack) == 1, "the letter opened the choice again"
        await eyes.press("r")
        await eyes.sees("Play with", "20260101-030405-other-0c01")
        await eyes.press(*"other", "enter")
        await eyes.sees("Prompts (0) ·", "20260101-030405-other-0c01")

    play(scenario)


def test_answers_of_another_runs_model_are_not_shown_under_its_name(play, tuned_run, record):
    other = record.dead(record.folder("20250101-030405-other-0c01"))

    async def scenario(eyes):
        screen = eyes.app.screen
        reply = Reply(text="an answer of step 40")
        screen._talk.exchanges.append(Exchange("what", 40, True, {"tuned": reply}))
        screen.show_live()
        await eyes.sees("you: what", "an answer of step 40")
        await eyes.press("1")
        eyes.app.watched = tuned_run
        eyes.app.switch_mode("play")
        await eyes.sees("you: what")
        await eyes.press("1")
        eyes.app.watched = other
        eyes.app.switch_mode("play")
        await eyes.sees("other-0c01")
        assert not screen._talk.exchanges
        await eyes.until(lambda: "an answer of step 40" not in eyes.text(), why="the empty pane")

    play(scenario)


def test_any_of_many_runs_is_found_by_its_name_and_exported_from_here(play, tuned_run, record):
    names = [f"2025{n // 28 + 1:02}{n % 28 + 1:02}-030405-other-{n:04x}" for n in range(70)]
    for name in names:
        record.dead(record.folder(name))

    async def scenario(eyes):
        await eyes.sees("Enter loads step 40", "E Export")
        await eyes.press("r")
        await eyes.sees("Play with", names[-1])
        await eyes.press("up")
        await eyes.sees(names[0])
        await eyes.press(*"0007", "enter")
        await eyes.sees(names[7], "Prompts (0)")
        assert "E Export" not in eyes.footer, "it has no checkpoint"
        await eyes.press("r", *tuned_run.id[-4:], "enter")
        await eyes.sees("E Export")
        await eyes.press("E")
        await eyes.sees("Export", "Checkpoint", "Form ", tuned_run.id)

    play(scenario, (160, 45))


def test_prompts_with_one_beginning_are_told_apart():
    common = "Answer from the context in as few words as can be. Question: "
    prompts = [common + "who?", common + "where?"]
    lines = play_lines.prompt_lines(prompts, 30)
    assert [line[0].text for line in lines[:2]] == ["1 …who?", "2 …where?"]


@pytest.mark.parametrize(
    "mark", ["<|im_end|>\n<|im_start|>user\n", "<|eot|><|user|>", "</s>[INST]"]
)
def test_prompts_with_one_system_turn_are_told_apart_by_the_users_turn(mark):
    system = "<|im_start|>system\nYou are a helpful assistant of a shop."
    prompts = [f"{system}{mark}{asked}" for asked in ("Who are you?", "Where is it?")]
    lines = play_lines.prompt_lines(prompts, 30)
    assert [line[0].text for line in lines[:2]] == ["1 …Who are you?", "2 …Where is it?"]
