"""A trainer that is killed with SIGKILL at any moment ends, resumed, as if it had never been.

The moments are chosen by a seed: after how many lines of `events.jsonl`, and how long after that
line, so that loading, steps, evaluations, samples, saves and the end are all hit.
"""

import random
import time
from pathlib import Path

import pytest

from sft_tui.core import config_file, demo, events, launch
from sft_tui.core.rundir import RunDir
from sft_tui.core.status import status_of

RICH = (
    "data.shuffle=true",
    "data.eval_fraction=0.1",
    "method.dropout=0.1",
    "optim.schedule=cosine",
    "optim.warmup_ratio=0.1",
    "optim.weight_decay=0.01",
    "train.max_steps=60",
    "train.gradient_accumulation=2",
    "evaluate.every_steps=7",
    "evaluate.at_start=true",
    "evaluate.samples=1",
    "evaluate.sample_max_tokens=8",
    "save.every_steps=4",
    "save.keep=2",
    "save.keep_best=true",
)
SHORT = (b'"name":"saving"', b'"name":"evaluating"', b'"name":"sampling"')
KINDS = {
    "lora": (),
    "full": ("method.kind=full", "optim.learning_rate=1e-3"),
    "qlora": ("model.quantisation=nf4",),
    "fp16": ("train.precision=fp16",),
    "fused": ("method.dropout=0",),
    "compiled": ("method.dropout=0", "train.compile=always", "train.max_steps=30"),
}


def finish(trainer, timeout_s: float = 600) -> RunDir:
    code = trainer.child.wait(timeout_s)
    state = status_of(trainer.run)
    assert (code, state.word) == (0, "finished"), f"{state.reason}: {trainer.run.log.read_text()}"
    return trainer.run


def told(run: RunDir, text: bytes = b"\n") -> int:
    """Returns how often a text stands in the events: by itself, how many lines there are."""
    return run.events.read_bytes().count(text) if run.events.exists() else 0


def kill_at(trainer, text: bytes, count: int, delay_s: float) -> str:
    """Kills a trainer so long after its events hold a text so often; returns what it was doing."""
    while told(trainer.run, text) < count and trainer.poll() is None:
        time.sleep(0.0005)
    time.sleep(delay_s)
    trainer.child.kill()  # which does nothing where it has ended meanwhile
    trainer.child.wait()
    return where(trainer.run)


def where(run: RunDir) -> str:
    phase = "starting"
    for line in run.events.read_bytes().split(b"\n"):
        if b'"type":"phase"' in line:
            phase = events.decode(line).name
        elif b'"type":"run_finished"' in line:
            phase = "ended"
    halves = [path.name for path in run.path.rglob(".*") if path.is_dir()]
    return phase + (f", half done: {halves[0]}" if halves else "")


def result(run: RunDir) -> dict[str, bytes]:
    """Returns what training made: the weights, and the last checkpoint's weights and moments."""
    folder = run.adapter if run.adapter.exists() else run.model
    last = run.complete_checkpoints()[-1][1]
    files = [*folder.glob("*.safetensors"), *last.glob("*.safetensors")]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


def evaluations(run: RunDir) -> dict[int, float]:
    """Returns the loss of each evaluated step; what was evaluated twice gave the same."""
    found: dict[int, float] = {}
    for line in run.events.read_bytes().split(b"\n"):
        if line.startswith(b'{"type":"eval"'):
            event = events.decode(line)
            assert found.setdefault(event.step, event.loss) == event.loss
    return found


def assert_same(ours: RunDir, theirs: RunDir) -> None:
    one, other = result(ours), result(theirs)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    assert evaluations(ours) == evaluations(theirs)
    kept = [[step for step, _ in run.complete_checkpoints()] for run in (ours, theirs)]
    assert kept[0] == kept[1]
    assert not [path for path in ours.path.rglob(".*") if path.is_dir()], "nothing half done"


def moment(seed: int, whole: RunDir) -> tuple[bytes, int, float]:
    """Returns what is waited for, the how-many-th of it, and the seconds from it to the kill.

    Even seeds take any line of the events, odd ones the beginning of a save, an evaluation or a
    sample, which are short.
    """
    chance = random.Random(seed)
    text = b"\n" if seed % 2 == 0 else chance.choice(SHORT)
    count = whole.events.read_bytes().count(text)
    return text, chance.randint(2, count), chance.uniform(0, 0.03 if seed % 2 == 0 else 0.006)


def killed_once(config, text: bytes, count: int, delay_s: float) -> tuple[str, RunDir]:
    trainer = launch.start(config)
    trainer.wait_until_started(600)
    doing = kill_at(trainer, text, count, delay_s)
    if status_of(trainer.run).word == "finished":  # the moment was after the last line
        return doing, trainer.run
    return doing, finish(launch.resume(trainer.run))


def test_a_run_that_is_killed_three_times_ends_byte_for_byte_as_one_that_was_not(tiny):
    config = tiny.config(*RICH, "train.max_steps=30")
    whole = finish(launch.start(config))
    trainer = launch.start(config)
    for share in (0.2, 0.3, 0.3):
        trainer.wait_until_started(600)
        kill_at(trainer, b"\n", told(trainer.run) + int(share * told(whole)), 0.003)
        trainer = launch.resume(trainer.run)
    assert_same(finish(trainer), whole)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_a_random_moment(tiny, seed, whole_run):
    whole = whole_run("lora")
    text, count, delay_s = moment(seed, whole)
    doing, run = killed_once(tiny.config(*RICH), text, count, delay_s)
    print(f"seed {seed}: {delay_s * 1e3:.1f} ms after {text} no. {count}: {doing}")
    assert_same(run, whole)


@pytest.mark.soak
@pytest.mark.parametrize("share", [0.35, 0.85])
@pytest.mark.parametrize("kind", ["full", "qlora", "fp16", "fused", "compiled"])
def test_every_kind_of_training_resumes_byte_for_byte(tiny, kind, share, whole_run):
    if kind == "qlora":
        pytest.importorskip("bitsandbytes")
    whole = whole_run(kind)
    config = tiny.config(*RICH, *KINDS[kind])
    doing, run = killed_once(config, b"\n", int(share * told(whole)), 0.002)
    print(f"{kind}: {doing}")
    assert_same(run, whole)


@pytest.fixture(scope="module")
def whole_run(tiny, tmp_path_factory):
    """Gives the run of a kind that was never interrupted."""
    made: dict[str, RunDir] = {}

    def of(kind: str) -> RunDir:
        if kind not in made:
            folder = tmp_path_factory.mktemp(f"whole-{kind}")
            made[kind] = finish(launch.start(tiny.config(*RICH, *KINDS[kind]), folder))
        return made[kind]

    return of


@pytest.mark.soak
@pytest.mark.e2e
def test_the_demo_killed_at_two_moments_ends_byte_for_byte_as_one_that_was_not(tmp_path):
    few = tmp_path / "heldout.jsonl"  # all sixty would take most of the time
    lines = demo.data_file("demo:heldout").read_text().splitlines()
    few.write_text("\n".join(lines[:6]))
    sets = ["train.max_steps=8", "save.every_steps=2", "evaluate.every_steps=3",
            "method.dropout=0.05", "train.micro_batch_size=2", "train.gradient_accumulation=2",
            f"data.eval_source={few}", "evaluate.samples=1",
            "evaluate.sample_max_tokens=8"]  # fmt: skip
    config = config_file.build(sets, preset="demo")
    hour = 3600.0  # minutes on two cores of one's own, many on shared ones
    whole = finish(launch.start(config, Path(tmp_path / "whole")), hour)
    trainer = launch.start(config)
    for share, delay_s in ((0.45, 0.1), (0.3, 1.0)):
        trainer.wait_until_started(600)
        doing = kill_at(trainer, b"\n", told(trainer.run) + int(share * told(whole)), delay_s)
        print(f"killed: {doing}; checkpoints {[n for n, _ in trainer.run.complete_checkpoints()]}")
        trainer = launch.resume(trainer.run)
    assert_same(finish(trainer, hour), whole)
