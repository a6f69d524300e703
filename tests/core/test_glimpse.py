"""A glimpse of a long run: its whole range from a small part of its file."""

from itertools import pairwise

from sft_tui.core import events
from sft_tui.core.glimpse import glimpse


def test_a_glimpse_has_both_ends_and_steps_all_along(tmp_path):
    path, count = tmp_path / "events.jsonl", 20_000
    lines = [events.encode(events.RunStarted(run_id="r", total_steps=count))]
    for n in range(1, count + 1):
        lines.append(events.encode(events.Step(step=n, loss=float(n), tokens=5, step_s=1.0)))
    path.write_bytes(b"".join(lines))

    history = glimpse(path, places=50)

    numbers = list(history.steps.numbers)
    assert history.total_steps == count and history.step == count and numbers[0] == 1
    assert numbers == sorted(set(numbers)) and len(numbers) < count / 10
    assert max(b - a for a, b in pairwise(numbers)) < count / 25
    assert all(step.loss == step.step for step in history.steps)
    assert history.unreadable == 0


def test_a_glimpse_of_a_short_file_is_all_of_it(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        b"".join(events.encode(events.Step(step=n)) for n in range(1, 30)) + b'{"type":"st'
    )

    assert [step.step for step in glimpse(path).steps] == list(range(1, 30))


def test_a_glimpse_leaves_steps_out_that_a_resume_did_again(tmp_path):
    path = tmp_path / "events.jsonl"
    told = [*range(1, 6000), *range(3000, 9000)]
    path.write_bytes(b"".join(events.encode(events.Step(step=n, loss=1.0)) for n in told))

    numbers = list(glimpse(path, places=100).steps.numbers)

    assert numbers == sorted(set(numbers)) and numbers[-1] == 8999
