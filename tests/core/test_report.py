"""A report is one safe, offline HTML file whose numbers are those of the run's events."""

import math
import time
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sft_tui.core import config_file, events
from sft_tui.core.report import report
from sft_tui.core.rundir import RunDir
from sft_tui.core.text import without_paths
from sft_tui.tui.cli import main
from tests.drawn import SVG, lines, scale

VOID = {"meta", "br", "hr", "img", "input", "link"}
EVIL = (
    "<script>alert(1)</script></pre><b onclick='x'>&amp;\x1b[31mred\x07\u202e hf_abcdefgh12345678"
)


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if "style" not in self.open else ""


@pytest.fixture
def make(tmp_path):
    """Writes a run that ended, with some events more; returns it."""

    def write(*told: events.Event, sets: tuple[str, ...] = (), ended: bool = True) -> RunDir:
        run = RunDir(tmp_path / "runs" / "20260101-000000-tiny-0001")
        run.path.mkdir(parents=True)
        run.config.write_text(config_file.to_yaml(config_file.build([*sets])))
        started = events.RunStarted(
            run_id=run.id, total_steps=4, train_rows=1200, eval_rows=30, trainable_params=1000,
            total_params=5000, device="cpu", dtype="fp32", attention="sdpa",
            versions={"torch": "2.10.0"},
        )  # fmt: skip
        end = [events.RunFinished(status="finished", step=4)] if ended else []
        with run.events.open("wb") as file:
            for number, event in enumerate([started, *told, *end]):
                event.t = 1_760_000_000.0 + number
                file.write(events.encode(event))
        return run

    return write


def steps(losses, **more) -> list[events.Event]:
    return [
        events.Step(
            step=n, loss=loss, learning_rate=1e-4 * n, grad_norm=0.5 * n, supervised_tokens=10,
            tokens=40, tokens_per_s=20.0 * n, step_s=2.0, memory_bytes=3 << 30, elapsed_s=2.0 * n,
            **more,
        )
        for n, loss in enumerate(losses, 1)
    ]  # fmt: skip


def pictures(text: str) -> list[ElementTree.Element]:
    parts = text.split("<svg")[1:]
    return [ElementTree.fromstring(f"<svg{part.partition('</svg>')[0]}</svg>") for part in parts]


def test_a_report_loads_nothing_and_runs_nothing(make):
    text = report(make(*steps([3.0, 2.0, 1.5, 1.25])))
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert name not in ("src", "href", "xlink:href", "srcset", "style"), (tag, name)
            assert not name.startswith("on") and "url(" not in (value or "")
    assert "url(" not in text and "@import" not in text
    assert text.count("://") == text.count('xmlns="http://www.w3.org/2000/svg"') == 4
    policy = next(a for t, a in page.tags if t == "meta" and "http-equiv" in a)["content"]
    assert "default-src 'none'" in policy
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_the_curves_are_the_steps_of_the_run(make):
    losses = [3.0, 2.0, 1.5, 1.25]
    evals = [events.Eval(step=0, loss=3.5), events.Eval(step=4, loss=1.5)]
    drawn = pictures(report(make(*steps(losses), *evals)))
    assert [root.findtext(f"{SVG}title") for root in drawn] == [
        "Loss", "Learning rate", "Gradient norm", "Speed",
    ]  # fmt: skip
    expected = (losses, [1e-4, 2e-4, 3e-4, 4e-4], [0.5, 1.0, 1.5, 2.0], [20.0, 40.0, 60.0, 80.0])
    for root, values in zip(drawn, expected, strict=True):
        x, y = scale(root, "x"), scale(root, "y")
        (line,) = lines(root, "train")
        assert [x(px) for px, _ in line] == pytest.approx([1, 2, 3, 4], abs=0.02)
        assert [y(py) for _, py in line] == pytest.approx(values, abs=max(values) / 200)
    dots = [dot for dot in drawn[0].iter(f"{SVG}circle") if dot.attrib["class"] == "evaluation"]
    y = scale(drawn[0], "y")
    assert [y(float(dot.attrib["cy"])) for dot in dots] == pytest.approx([3.5, 1.5], abs=0.02)
    named = {text.text for root in drawn for text in root.iter(f"{SVG}text")}
    assert {"loss", "learning rate", "gradient norm", "tokens/s", "step", "evaluation"} <= named


def test_a_long_run_keeps_its_spike_in_few_points(make):
    losses = [2.0 + math.sin(n / 100) / 10 for n in range(40_000)]
    losses[23_456] = 9.0
    losses[30_000] = math.nan
    root = pictures(report(make(*steps(losses))))[0]
    raw = [point for line in lines(root, "train") for point in line]
    assert 600 < len(raw) < 1500 and len(lines(root, "train")) == 2
    assert max(scale(root, "y")(py) for _, py in raw) == pytest.approx(9.0, abs=0.05)
    assert scale(root, "x")(min(raw, key=lambda p: p[1])[0]) == pytest.approx(23_457, abs=80)
    smooth = [point for line in lines(root, "smooth") for point in line]
    assert max(scale(root, "y")(py) for _, py in smooth) < 2.3


def test_its_numbers_are_those_of_the_events(make):
    evals = [events.Eval(step=s, loss=v, perplexity=2 * v) for s, v in ((0, 3.5), (2, 1.0), (4, 2))]
    said = Page(report(make(*steps([3.0, 2.0, math.nan, 1.25]), *evals))).text
    for words in (
        "FINISHED after 4 of 4 steps", "1,200 rows trained, 30 evaluated", "1 at step 2",
        "Last training loss1.25", "first03.57", "Tokens160", "Trained tokens40", "20 tokens/s",
        "3.00 GiB", "0:00:08", "1,000 of 5,000", "torch 2.10.0", "cpu", "1 steps have a loss",
        "not finite",
    ):  # fmt: skip
        assert words in said, words


def test_steps_that_were_done_again_are_left_out_and_told(make):
    again = events.RunStarted(run_id="r", total_steps=4, resumed_from_step=2)
    text = report(make(*steps([3.0, 2.0, 7.0, 8.0]), again, *steps([0, 0, 1.5, 1.25])[2:]))
    (line,) = lines(pictures(text)[0], "train")
    y = scale(pictures(text)[0], "y")
    assert [y(py) for _, py in line] == pytest.approx([3.0, 2.0, 1.5, 1.25], abs=0.02)
    assert "2 steps were done again" in text


def test_text_of_data_and_models_is_shown_and_never_obeyed(make):
    told = [
        events.Sample(step=step, prompt_id=0, prompt=EVIL, text=EVIL, finished=False, expected=EVIL)
        for step in (0, 4)
    ]
    warning = events.Warning_(code="x", message=EVIL, remedy=EVIL)
    sets = ("model.name=acme/<i>x</i>", f"data.sources.0.system={EVIL!r}")
    run = make(*steps([3.0]), *told, warning, sets=sets)
    run.note.write_text(EVIL)
    text = report(run)
    page = Page(text)
    assert not {"script", "b", "i"} & {tag for tag, _ in page.tags}
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert not any(mark in text for mark in ("\x1b", "\x07", "\u202e", "hf_abcdefgh"))
    assert "Tuned (step 4, cut off)" in page.text and "Base" in page.text


def test_nothing_of_this_machine_is_in_it(make, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/zoe")
    sets = ("model.name=/home/zoe/my-model", "data.source=/home/zoe/data/rows.jsonl")
    sample = events.Sample(
        step=4, prompt_id=0, prompt="see /home/zoe/secret/x", text="a/b", finished=True
    )
    warning = events.Warning_(code="x", message="/home/zoe/data/rows.jsonl: row 3", remedy="mend")
    stop = events.RunFinished(status="stopped", reason="asked by zoe uid 1000", step=1)
    text = report(make(*steps([3.0]), sample, warning, stop, sets=sets, ended=False))
    assert "STOPPED after" in text
    assert "zoe" not in text and str(tmp_path) not in text
    for name in ("my-model", "rows.jsonl", "rows.jsonl: row 3", "~/secret/x"):
        assert name in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/zoe/a.jsonl: row 3", "a.jsonl: row 3"),
        ("reads '~/x/y' and (/tmp/z)", "reads 'y' and (z)"),
        ("20 it/s and/or https://hub.co/a/b, a/b", "20 it/s and/or https://hub.co/a/b, a/b"),
    ],
)
def test_paths_are_reduced_to_their_last_part(text, left):
    assert without_paths(text) == left


def test_the_configuration_says_first_what_differs(make):
    page = Page(report(make(sets=("method.rank=64", "data.source=acme/chat"))))
    assert "differs from the defaultvaluedefault" in page.text.replace("\n", "")
    assert "method.rank6416" in page.text and "max_grad_norm: " in page.text


def test_how_to_load_the_result_is_told_where_there_is_one(make):
    run = make(*steps([3.0]), sets=("model.name=/home/zoe/my-model",))
    assert "There is no result yet" in Page(report(run)).text
    run.adapter.mkdir()
    said = Page(report(run)).text
    assert "PeftModel.from_pretrained(base, result)" in said and '"my-model"' in said
    assert 'result = "adapter"' in said and "folder of the base model" in said


@pytest.mark.parametrize("harm", ["events", "config", "both"])
def test_a_damaged_run_still_gives_a_report(make, harm):
    run = make(*steps([3.0]))
    if harm != "events":
        run.config.write_text("method: [")
    if harm != "config":
        run.events.write_bytes(b"\x00{garbage\n")
    page = Page(report(run))
    assert run.id in page.text and ("No step was taken" in page.text) == (harm != "config")


def test_a_file_that_is_there_is_replaced_only_by_force(make, tmp_path, capsys):
    run = make(*steps([3.0]))
    target = tmp_path / "r.html"
    ask = ["--runs", str(run.path.parent), "report", "latest", "--to", str(target)]
    assert main(ask) == 0 and capsys.readouterr().out == f"{target}\n"
    target.write_text("mine")
    assert main(ask) == 2 and target.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main([*ask, "--force", "--json"]) == 0 and run.id in target.read_text()
    assert f'"bytes": {target.stat().st_size}' in capsys.readouterr().out
    lost = [*ask[:-1], str(tmp_path / "none" / "r.html")]
    assert main(lost) == 1 and "do: " in capsys.readouterr().err


@pytest.mark.soak
def test_a_million_steps_are_a_small_report_in_seconds(make):
    run = make(*steps([2.0] * 1_000_000))
    began = time.monotonic()
    assert len(report(run)) < 400_000 and time.monotonic() - began < 60


def test_what_was_changed_while_it_trained_is_told_beside_the_configuration(make):
    changed = events.Control(
        id="a", command="set", by="ada", outcome="done", key="learning_rate",
        old=0.002, new=0.001, step=2,
    )  # fmt: skip
    run = make(*steps([3.0, 2.0]), changed, *steps([3.0, 2.0, 1.5, 1.25])[2:])
    said = report(run)
    cells = "".join(f"<td>{cell}</td>" for cell in ("step 2", "optim.learning_rate", 0.002, 0.001))
    assert f"<tr>{cells}</tr>" in said.partition("<h2>Changed while it trained</h2>")[2]
    assert Page(said).text.count("without these changes") == 1


def test_a_run_that_trained_as_configured_tells_of_no_changes(make):
    assert "Changed while" not in report(make(*steps([3.0, 2.0])))
