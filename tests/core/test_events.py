import json
import math

import pytest

from sft_tui.core import events

EVERY_KIND = [
    events.RunStarted(run_id="a", choices={"dtype": "bf16"}),
    events.Phase(name="training"),
    events.Step(step=1, loss=2.5, grad_norm=0.1),
    events.Eval(step=1, loss=2.5, perplexity=12.0),
    events.Sample(step=1, prompt_id=0, prompt="a\u2028\n", text="\x1b[31m日", finished=True),
    events.Heartbeat(progress=4, step=1),
    events.System(host="h", gpus=[events.Gpu(index=0, name="g")]),
    events.Checkpoint(step=1, path="checkpoints/step-1", bytes=10, elapsed_s=0.5),
    events.Warning_(code="c", message="m", row=3),
    events.Control(id="1", command="set", by="me", outcome="done", old=0.1, new=0.2),
    events.RunFinished(status="failed", reason="r"),
]


@pytest.mark.parametrize("event", EVERY_KIND, ids=lambda event: type(event).__name__)
def test_every_kind_survives_the_line_with_its_type_first(event):
    line = events.encode(event)
    assert next(iter(json.loads(line))) == "type"
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert events.decode(line) == event


def test_the_list_of_kinds_above_is_complete():
    assert {type(event) for event in EVERY_KIND} == set(events.AnyEvent.__args__)


@pytest.mark.parametrize(
    ("value", "spelling"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_a_number_that_is_not_finite_is_a_string_on_the_line_and_a_number_again(value, spelling):
    line = events.encode(events.Step(step=1, loss=value, grad_norm=value))
    assert json.loads(line)["loss"] == spelling
    back = events.decode(line)
    assert [repr(back.loss), repr(back.grad_norm)] == [repr(value), repr(value)]


def test_a_value_inside_an_answer_to_a_command_is_written_as_json_too():
    line = events.encode(
        events.Control(id="1", command="set", by="me", outcome="refused", new=math.nan)
    )
    assert json.loads(line, parse_constant=pytest.fail)["new"] == "NaN"


def test_an_unknown_number_stays_unknown():
    assert events.decode(events.encode(events.Step(step=1))).loss is None


@pytest.mark.parametrize(
    "line", [b'{"type":"telepathy","t":1}', b'{"t": 1, "type": "telepathy"}', b'{"t": 1}', b"{}"]
)
def test_a_kind_that_is_not_known_is_no_event_and_no_error(line):
    assert events.decode(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"heartbeat","progress":4,"step":1,"mood":"good","t":0.0}',
        b'{"mood": "good", "t": 0.0, "step": 1, "progress": 4, "type": "heartbeat"}',
    ],
)
def test_fields_that_are_not_known_are_ignored_wherever_the_type_stands(line):
    assert events.decode(line) == events.Heartbeat(progress=4, step=1)


def test_the_order_of_keys_makes_no_difference_to_numbers_that_are_not_finite():
    back = events.decode(b'{"step": 1, "loss": "-Infinity", "type": "step"}')
    assert back.loss == -math.inf


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"[1]",
        b'"step"',
        b'{"type":"step","st',
        b'{"type":"step"}',
        b'{"type": "step", "step": "one"}',
        b'{"type":"step","step":1,"loss":"much"}',
        b'{"type":"phase","name":"\xff"}',
        b"\x00\xff",
    ],
)
def test_a_line_that_cannot_be_an_event_is_a_value_error(line):
    with pytest.raises(ValueError):
        events.decode(line)
