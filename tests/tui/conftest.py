"""Recorded runs in a home of the test's own, and eyes and hands on the application."""

import asyncio
import json
import os
import shutil
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.css.stylesheet import Stylesheet

from sft_tui.core import config_file, doctor, events, launch, process
from sft_tui.core.rundir import RunDir

NAME = "20260102-030405-tiny-rows-0a01"
DAMAGE = b'\x00\xff{"type":"step","st\n'


def train_step(number: int, loss: float | str | None = None, **more) -> events.Step:
    """Returns a step whose loss falls from 3 towards 1, unless it is given."""
    return events.Step(
        step=number,
        loss=1 + 2 / number**0.5 if loss is None else loss,
        **{
            "learning_rate": 2e-4,
            "grad_norm": 0.6,
            "tokens": 500,
            "step_s": 0.5,
            "elapsed_s": number / 2,
            "clipped": False,
        }
        | more,
    )


_SIGNS = {
    0: '{{"type":"heartbeat","t":{0:.3f},"v":1,"progress":{1},"step":{1}}}\n',
    6: '{{"type":"system","t":{0:.3f},"v":1,"host":"box","gpus":[],"cpu":0.5}}\n',
}
TORN = events.encode(train_step(41, 1.2345, t=time.time()))


class Recorder:
    """Writes run folders as a trainer leaves them; `add` goes on writing.

    A run is `living` by the test's own process, and `dead` by one that ended.
    """

    def __init__(self, home: Path, ended: process.ProcessRecord) -> None:
        self.runs = home / "runs"
        self._ended = ended

    def folder(self, name: str = NAME, *, config: bool = True) -> RunDir:
        run = RunDir(self.runs / name)
        run.path.mkdir(parents=True)
        if config:
            run.config.write_text(config_file.to_yaml(config_file.build(preset="demo")))
        return run

    def add(self, run: RunDir, *told: events.Event | bytes, t: float | None = None) -> None:
        with run.events.open("ab") as file:
            for event in told:
                if isinstance(event, events.Event):
                    event.t = event.t or t or time.time()
                    event = events.encode(event)
                file.write(event)

    def living(self, run: RunDir, **changes) -> RunDir:
        record = msgspec.structs.replace(process.this_process("local", ["x"], {}), **changes)
        run.process.write_bytes(msgspec.json.encode(record))
        return run

    def dead(self, run: RunDir) -> RunDir:
        run.process.write_bytes(msgspec.json.encode(self._ended))
        return run

    def trained(
        self, name: str = NAME, steps: int = 40, total: int = 100, losses=(), **more
    ) -> RunDir:
        """A run after some steps; `losses` replaces the loss of a step by its number."""
        run = self.folder(name, **more)
        began = time.time() - steps / 2
        replaced = dict(losses)
        self.add(
            run,
            events.Phase(name="loading_model"),
            events.RunStarted(
                run_id=run.id, total_steps=total, train_rows=64, device="cpu", dtype="bf16"
            ),
            events.Phase(name="training"),
            t=began,
        )
        for number in range(1, steps + 1):
            self.add(run, train_step(number, replaced.get(number)), t=began + number / 2)
        return run

    def checkpoint(self, run: RunDir, step: int) -> None:
        (run.checkpoints / f"step-{step}").mkdir(parents=True)
        told = events.Checkpoint(step=step, path="p", bytes=3 << 20, elapsed_s=0.1)
        self.add(run, told)

    def finished(self, name: str = NAME, steps: int = 40, **more) -> RunDir:
        run = self.trained(name, steps, steps, **more)
        self.add(run, events.Eval(step=steps, loss=1.25, elapsed_s=1.0))
        self.add(run, events.RunFinished(status="finished", step=steps))
        return run

    def long(
        self, count: int, spike_at: int | None = None, *, signs_of_life: bool = False
    ) -> RunDir:
        """A living run of `count` steps, with the fields that a trainer writes.

        With `signs_of_life` a sixth of the events are heartbeats and samples of the hardware,
        which stand between the steps as they do where a step takes a second.
        """
        run = self.living(self.trained(steps=0, total=count))
        now = time.time()
        with run.events.open("a") as file:
            for n in range(1, count + 1):
                if signs_of_life and n % 12 in (0, 6):
                    file.write(_SIGNS[n % 12].format(now - (count - n) / 1e3, n))
                    continue
                loss = 9.0 if n == spike_at else 1.1 + (n * 37 % 101) / 400
                file.write(
                    f'{{"type":"step","t":{now - (count - n) / 1e3:.3f},"v":1,"step":{n},'
                    f'"epoch":{n / count:.4f},"loss":{loss:.6f},"learning_rate":0.0002,'
                    f'"grad_norm":0.61,"clipped":false,"supervised_tokens":400,"tokens":900,'
                    f'"computed_tokens":1024,"tokens_per_s":900.0,"step_s":1.0,'
                    f'"data_wait_s":0.001,"padding_share":0.12,"shared_share":0.0,'
                    f'"memory_bytes":1073741824,"mfu":null,"elapsed_s":{n}.0}}\n'
                )
        return run


class Eyes:
    """The application under a pilot: presses keys and reads the screen as text."""

    def __init__(self, pilot, app) -> None:
        self.pilot = pilot
        self.app = app

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    def rows(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    def text(self) -> str:
        return "\n".join(self.rows())

    def flow(self) -> str:
        """Returns the screen as one line, with borders and line breaks left out."""
        return " ".join(" ".join(row.strip(" │") for row in self.rows()).split())

    def row_with(self, text: str) -> str:
        return next((row for row in self.rows() if text in row), "")

    @property
    def notice(self) -> str:
        """Returns what is said above the footer, on one line or two."""
        rows = self.rows()
        box = self.app.frame.query_one("#notice").region
        return " " + " ".join(row.strip() for row in rows[box.y : box.bottom])

    @property
    def footer(self) -> str:
        return self.rows()[-1]

    async def until(
        self, holds: Callable[[], object], within_s: float = 8.0, why: str = ""
    ) -> float:
        """Waits until something holds; returns the seconds that it took."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > within_s:
                raise AssertionError(f"{why or 'it'} did not come in {within_s} s:\n{self.text()}")
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def sees(self, *texts: str, within_s: float = 8.0) -> float:
        """Waits until every text is on the screen, on one line or over several."""
        return await self.until(
            lambda: all(text in self.text() or text in self.flow() for text in texts),
            within_s,
            " and ".join(texts),
        )


Scenario = Callable[[Eyes], Awaitable[None]]


@pytest.fixture(scope="session", autouse=True)
def _styles_are_read_once():
    """Reads a style sheet once for all applications: else that is a fifth of a short test."""
    read: dict[object, Any] = {}
    parse_rules = Stylesheet._parse_rules

    def rules(self: Stylesheet, *args: Any, **kwargs: Any) -> Any:
        key = (frozenset(self._variables.items()), args, frozenset(kwargs.items()))
        if key not in read:
            read[key] = parse_rules(self, *args, **kwargs)
        return read[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", rules)
        yield


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("SFT_TUI_HOME", str(folder))
    # A terminal that can draw everything, whatever the tests run in.
    for name, value in (("TERM", "xterm-256color"), ("LANG", "C.UTF-8")):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def warm_model(tmp_path_factory) -> tuple[Path, Path]:
    """A tiny model, and a cache that holds its tokenizer: making that takes seconds."""
    from sft_tui.core.training.tokenizer_helper import main
    from tests.loopback_hub import samples

    model, folder = tmp_path_factory.mktemp("tiny") / "model", tmp_path_factory.mktemp("warm")
    samples.save_model(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFT_TUI_HOME", str(folder))
        assert main([str(model)]) == 0
    return model, folder / "tokenizers"


@pytest.fixture
def model(home, warm_model) -> Path:
    """A tiny model whose tokenizer was loaded before."""
    path, cache = warm_model
    shutil.copytree(cache, home / "tokenizers")
    return path


@pytest.fixture
def record(home, ended_process) -> Recorder:
    return Recorder(home, ended_process)


@pytest.fixture
def drive(home, monkeypatch):
    """Runs a scenario, `async def scenario(eyes)`, on an application of a given size.

    Scans, reads and repaints are more frequent than a user's, and torch is not asked what it sees,
    which takes seconds, unless `real_time` is asked for.
    """
    from sft_tui.tui.app import SftApp

    # A pilot looks four times as often whether a key was dealt with.
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 1 / 200)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", 1 / 4000)

    def run(scenario: Scenario, size=(120, 36), *, real_time=False, **options) -> None:
        if not real_time:
            seen = doctor.Check("torch", doctor.OK, "2.0 sees cpu")
            monkeypatch.setattr(doctor, "_torch", lambda: time.sleep(0.2) or seen)
            monkeypatch.setattr("sft_tui.tui.screens.runs.SCAN_S", 0.2)
            monkeypatch.setattr("sft_tui.tui.screens.monitor.REFRESH_S", 0.2)
            monkeypatch.setattr("sft_tui.tui.services.run_feed.STATUS_S", 0.1)

        async def main() -> None:
            app = SftApp(**options)
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await scenario(Eyes(pilot, app))

        asyncio.run(main())

    return run


@pytest.fixture
def watch(drive):
    """Runs a scenario on Monitor, once the run that it shows was read and drawn."""

    def run(scenario: Scenario, watched: RunDir, size=(120, 36), **options) -> None:
        async def whole(eyes: Eyes) -> None:
            screen = eyes.app.screen
            await eyes.until(lambda: screen._model.complete, why="the end of the file")
            await eyes.until(lambda: not screen._dirty, why="a repaint")
            await eyes.pilot.pause()
            await scenario(eyes)

        drive(whole, size, mode="monitor", watched=watched, **options)

    return run


@pytest.fixture
def steady_host(monkeypatch):
    """The host's numbers are the same at every look, for scenarios that compare whole screens."""
    system = events.System(host="box", cpu=0.5, memory_used_bytes=2**31, disk_free_bytes=2**35)
    monkeypatch.setattr("sft_tui.core.hardware.Sampler.sample", lambda sampler: system)


@pytest.fixture
def started(monkeypatch):
    """Keeps trainers from starting; returns what would have been started."""
    asked: list[tuple[str, object]] = []

    class Child:
        pid = 0

        def poll(self) -> int | None:
            return 0

    def start(config, folder=None):
        asked.append(("start", config))
        run = RunDir((folder or Path("/nonexistent")) / "started")
        return launch.Trainer(run, Child())  # type: ignore[arg-type]

    def resume(run, config=None):
        asked.append(("resume", run))
        return launch.Trainer(run, Child())  # type: ignore[arg-type]

    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(launch, "resume", resume)
    return asked


@pytest.fixture
def rows_are_well(monkeypatch):
    """Nothing refuses a launch: for the rows of the demo its model would be made, which is slow."""
    from sft_tui.tui.services.checks import Checks
    from sft_tui.tui.services.effects import DraftEffects

    monkeypatch.setattr(Checks, "settled", property(lambda self: self.config is not None))
    never = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(DraftEffects, "waiting", never, raising=False)


@pytest.fixture
def living_run(record) -> RunDir:
    return record.living(record.trained())


@pytest.fixture
def finished_run(record) -> RunDir:
    return record.dead(record.finished())


@pytest.fixture
def nan_run(record) -> RunDir:
    """NaN at step 20 of 40."""
    return record.living(record.trained(losses={20: float("nan")}.items()))


@pytest.fixture
def spike_run(record) -> RunDir:
    """A loss of 9 at step 30 of 40."""
    return record.living(record.trained(losses={30: 9.0}.items()))


@pytest.fixture
def crashed_run(record) -> RunDir:
    """Its process is gone; checkpoint 30 is complete, and the log has a last line."""
    run = record.trained()
    record.checkpoint(run, 30)
    run.log.write_text("all is well\nKilled by the kernel\n")
    return record.dead(run)


@pytest.fixture
def torn_run(record) -> RunDir:
    """The event of step 41 is half written."""
    run = record.living(record.trained())
    record.add(run, TORN[:60])
    return run


@pytest.fixture
def torn_rest() -> bytes:
    """What completes the last line of `torn_run`."""
    return TORN[60:]


@pytest.fixture
def resumed_run(record) -> RunDir:
    """Trained to step 40, resumed from 30, now at step 35 with a loss of 0.5."""
    run = record.trained()
    again = events.RunStarted(
        run_id=run.id, total_steps=100, resumed_from_step=30, device="cpu", dtype="bf16"
    )
    record.add(run, events.Phase(name="loading_model"), again, events.Phase(name="training"))
    record.add(run, *(train_step(number, 0.5) for number in range(31, 36)))
    return record.living(run)


@pytest.fixture
def garbage_run(record) -> RunDir:
    """A damaged line and an unknown event between steps."""
    run = record.living(record.trained())
    record.add(run, DAMAGE, b'{"type":"from_the_future","t":1.0}\n', train_step(41, 1.2345))
    return run


@pytest.fixture
def bare_run(record) -> RunDir:
    """An empty folder, as a start that could write nothing left it long ago."""
    run = record.folder(config=False)
    os.utime(run.path, (1, 1))
    return run


@pytest.fixture
def elsewhere() -> str:
    """The name of a host that is not this one."""
    return f"not-{socket.gethostname()}"


@pytest.fixture
def on_review(drive, model, tmp_path):
    """Runs a scenario on Review, with a draft of the tiny model and some rows.

    It begins as soon as Review is shown, or with `settled` once all rows were looked at.
    """

    def run(rows, scenario, size=(120, 36), *, settled=False, **values):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

        async def whole(eyes):
            chosen = {"model.name": str(model), "data.sources.0.source": str(path), **values}
            assert not eyes.app.drafts.change(chosen)
            eyes.app.show_step("review")
            await eyes.until(lambda: eyes.app.screen.is_mounted)
            if settled:
                await eyes.sees("[Review]")
                await eyes.until(lambda: not eyes.app.checks.running, 20, "the end of the pass")
            await scenario(eyes)

        drive(whole, size)

    return run
