"""What is reckoned of timings: speeds without warm-up, ratios by pair, a table that says all."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from tests.bench import table
from tests.bench.jobs import JOBS, QUESTIONS, configuration, write_rows
from tests.bench.side import Pair, Side, seconds_between, waited


def side(seconds: float, *, wall: float, peak: int) -> Side:
    times = [100.0, *[seconds] * 9]
    return Side([1000] * 10, times, [4.0, 3.5, 3.25], 9.0, wall, peak, {"torch": "2"})


PAIR = Pair(side(2.0, wall=30, peak=1 << 30), side(5.0, wall=40, peak=4 << 30))


def test_speed_leaves_out_the_steps_of_the_warm_up():
    assert PAIR.ours.tokens_per_s(1) == pytest.approx(500)
    assert PAIR.ours.tokens_per_s(0) < 100


def test_a_step_takes_the_time_since_the_step_before_had_ended():
    assert seconds_between(100, [110, 112, 115.5]) == [10, 2, 3.5]


def test_a_child_tells_its_code_and_the_most_memory_it_had():
    code = "held = bytearray(80_000_000); del held; raise SystemExit(3)"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    told, peak = waited(child)
    assert told == 3 and peak > 80e6  # Linux counts what a parent held as it forked


def test_a_child_does_not_outlive_a_bench_that_is_cut_short(monkeypatch):
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )

    def cut_short(pid, options):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "wait4", cut_short)
    with pytest.raises(KeyboardInterrupt):
        waited(child)
    assert child.returncode == -9
    assert child.stdin is not None
    child.stdin.close()


def test_a_ratio_is_of_speeds_or_of_whole_times():
    assert PAIR.ratio(1, wall=False) == pytest.approx(2.5)
    assert PAIR.ratio(1, wall=True) == pytest.approx(0.75)


def test_the_table_has_every_pair_and_what_it_was_taken_on():
    other = Pair(side(1.0, wall=30, peak=1 << 30), PAIR.peer)
    text = table.markdown([(JOBS[0], [PAIR, other, PAIR])])
    assert "**2.50×**" in text and "2.50, 5.00, 2.50" in text
    assert "0.25× of 4.0 GiB" in text
    assert table.machine() in text and "torch 2" in text


def test_the_table_tells_the_arithmetic_in_use_of_a_gpu_it_knows():
    h100 = dataclasses.replace(PAIR.ours, gpu="NVIDIA H100 80GB HBM3", parameters=10**11)
    text = table.markdown([(JOBS[0], [Pair(h100, PAIR.peer)])])
    assert "| 500 (MFU 20%) |" in text and "| 200 (MFU 8%) |" in text
    assert "MFU" not in table.markdown([(JOBS[0], [PAIR])])


def test_arithmetic_in_use_is_known_of_known_gpus_alone():
    assert table.mfu(10**9, 24_725, "NVIDIA H100 80GB HBM3") == pytest.approx(0.1)
    assert table.mfu(10**9, 1000, "a new one") is None


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_has_a_configuration_and_rows_as_it_says(job, tmp_path):
    path = write_rows(tmp_path, job.contexts, 20)
    contexts = [json.loads(line)["context"] for line in path.read_text().splitlines()]
    about = QUESTIONS if job.contexts == "shared" else 1
    assert len(set(contexts)) == 20 // about
    assert contexts[:about] == contexts[:1] * about
    config = configuration(job, path)
    assert config.train.max_steps == job.steps > job.warmup
    assert config.rows_per_step == job.micro_batch_size
