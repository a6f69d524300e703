"""The pass over all rows: a sample soon, then all; anew when it matters; ended by Esc."""

import json
import time

import psutil
import pytest


@pytest.fixture
def drafted(drive, home, model, tmp_path):
    """Runs a scenario with a draft of the tiny model and some rows."""

    def run(rows, scenario, **values):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

        async def whole(eyes):
            chosen = {"model.name": str(model), "data.sources.0.source": str(path), **values}
            assert not eyes.app.drafts.change(chosen)
            await scenario(eyes, eyes.app.checks)

        drive(whole)

    return run


def pairs(count, words=1):
    return [{"question": f"q{n}? " * words, "answer": f"a{n}"} for n in range(count)]


async def done(eyes, checks) -> None:
    await eyes.until(lambda: not checks.running, 20, "the end of the pass")


def test_a_sample_comes_first_and_all_rows_at_the_end(drafted):
    """U33"""

    async def scenario(eyes, checks):
        seen = []
        checks.changed.subscribe(
            eyes.app, lambda _: seen.append((checks.progress, checks.result)), immediate=True
        )
        await done(eyes, checks)
        assert checks.error is None
        samples = [result for _, result in seen if result and not result.complete]
        assert samples and samples[0].statistics.rows == 200
        assert checks.result.complete and checks.result.statistics.rows == 1500
        shares = [progress.share for progress, _ in seen]
        assert shares == sorted(shares) and shares[-1] <= 1

    drafted(pairs(1500), scenario)


def test_what_cannot_change_the_result_begins_no_pass_and_what_can_does(drafted, tmp_path):
    async def scenario(eyes, checks):
        await done(eyes, checks)
        first, drafts = checks.result, eyes.app.drafts
        drafts.set("method.rank", 7)
        drafts.set("optim.learning_rate", 1e-5)
        drafts.set("train.epochs", 3)
        await eyes.pilot.pause()
        assert not checks.running and checks.result.statistics.steps == 3 * first.statistics.steps
        for key, value in (("train.loss_normalisation", "micro_batch"), ("data.max_length", 16)):
            drafts.set(key, value)
            await eyes.pilot.pause()
            assert checks.running and checks.result is None
            await done(eyes, checks)
        assert checks.result.statistics.cut_rows == 60 and first.statistics.cut_rows == 0
        (tmp_path / "rows.jsonl").write_text(json.dumps(pairs(1)[0]) + "\n" + "{broken\n")
        checks.look()
        await done(eyes, checks)
        assert "unreadable_row" in [problem.id for problem in checks.result.problems]

    drafted(pairs(60), scenario)


def test_problems_name_their_rows_and_orders_begin_with_the_extremes(drafted):
    """U32"""
    rows = pairs(1300)
    rows[70]["answer"] = "long " * 30
    rows[90]["question"] = "why " * 60
    for number in range(100, 1200):
        rows[number] = rows[100]

    async def scenario(eyes, checks):
        await done(eyes, checks)
        (source,) = checks.result.sources
        assert source.longest[:2] == [90, 70] and source.least_trained[0] == 90
        assert len(source.sides) == 1300 and set(source.held_out) == {
            n for n in range(1300) if source.side(n) == 2
        }
        (same,) = [p for p in checks.result.problems if p.id == "duplicates"]
        assert same.count == 1099 and same.rows == list(range(101, 1101))
        assert checks.result.source_of(same) == 0

    drafted(rows, scenario)


@pytest.mark.timing
def test_a_cancelled_pass_leaves_no_process_and_can_begin_again(drafted):
    async def scenario(eyes, checks):
        await eyes.until(lambda: checks.result is not None, 20, "a sample")
        pid = eyes.app.passes.pid
        checks.cancel()
        assert checks.cancelled and not checks.running and not checks.result.complete
        began = time.monotonic()
        await eyes.until(lambda: not psutil.pid_exists(pid), 3, "the end of the process")
        assert time.monotonic() - began < 2
        checks.again()
        await done(eyes, checks)
        assert checks.result.complete and not checks.cancelled

    drafted(pairs(20_000), scenario)


def test_what_is_missing_and_what_fails_is_told(drafted):
    async def scenario(eyes, checks):
        await done(eyes, checks)
        assert checks.result is None and "is not recognised" in checks.error.what
        eyes.app.drafts.unset("model.name")
        await eyes.pilot.pause()
        assert checks.missing == ["model"] and checks.error is None and not checks.running

    drafted([{"a": 1}], scenario)
