"""What was changed of a run while it trained is told of all the steps that count, and only once."""

from sft_tui.core import config_file, events
from sft_tui.core.changed import changes
from sft_tui.core.history import History
from sft_tui.core.rundir import RunDir
from sft_tui.tui.cli import main


def change(step, key, old, new, outcome="done"):
    return events.Control(
        id="a", command="set", by="ada", outcome=outcome, key=key, old=old, new=new, step=step
    )


RATE = change(900, "learning_rate", 0.002, 0.001)
END = change(1200, "max_steps", 4000, 5000)


def story(*told, first=1, last=1300) -> list[events.Event]:
    start = events.RunStarted(run_id="r", total_steps=4000, resumed_from_step=first - 1)
    return [start, *(events.Step(step=step, loss=2.0) for step in range(first, last + 1)), *told]


def lines(*told) -> list[str]:
    history = History()
    for event in told:
        history.add(event)
    return [str(each) for each in changes(history)]


def test_each_setting_is_told_with_its_step_and_its_values():
    every = change(1250, "eval_every_steps", 50, None)
    refused = change(1260, "learning_rate", 0.001, 0.5, outcome="refused")
    asked = change(1270, "loss", None, 1.5)  # the answer of an evaluation
    assert lines(*story(RATE, END, every, refused, asked)) == [
        "step 900: optim.learning_rate 0.002 → 0.001",
        "step 1,200: train.max_steps 4000 → 5000",
        "step 1,250: evaluate.every_steps 50 → null",
    ]


def test_of_changes_after_one_step_the_last_holds():
    again = change(900, "learning_rate", 0.001, 0.0005)
    back = change(1200, "max_steps", 5000, 4000)
    assert lines(*story(RATE, again, END, back)) == ["step 900: optim.learning_rate 0.002 → 0.0005"]


def test_what_was_changed_anew_after_a_resume_makes_the_later_change_void():
    anew = change(850, "learning_rate", 0.002, 0.0015)
    assert lines(*story(RATE), *story(anew, first=801)) == [
        "step 850: optim.learning_rate 0.002 → 0.0015"
    ]


def test_a_change_after_the_steps_that_count_is_told_once_they_are_done_again():
    assert lines(*story(RATE), *story(first=801, last=850)) == []
    assert lines(*story(RATE), *story(first=801)) == ["step 900: optim.learning_rate 0.002 → 0.001"]


def test_show_tells_what_was_changed(tmp_path, capsys):
    run = RunDir(tmp_path / "20260101-000000-tiny-0001")
    run.path.mkdir()
    run.config.write_text(config_file.to_yaml(config_file.build([], "demo")))
    ended = events.RunFinished(status="finished", step=1300)
    run.events.write_bytes(b"".join(map(events.encode, story(RATE, END, ended))))

    assert main(["show", str(run.path)]) == 0

    said = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in said if line.startswith("changed ")] == [
        "step 900: optim.learning_rate 0.002 → 0.001",
        "step 1,200: train.max_steps 4000 → 5000",
    ]
