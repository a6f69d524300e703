"""What is told of a rank that was lost: the line that says why, not what came after it."""

import pytest

from sft_tui.core.rundir import RunDir
from sft_tui.core.training.crew import LESS_MEMORY, _Loss

STEP = "step 6: 1 rows, digest 0123456789ab"
WHY = "ValueError: the rows of step 7 cannot be read"
LEAVING = "resource_tracker: There appear to be 1 leaked semaphore objects to clean up at shutdown"


@pytest.mark.parametrize(
    ("code", "lines", "expected"),
    [
        (1, (STEP, WHY, LEAVING), f"it ended with code 1: {WHY}"),
        (1, (STEP,), f"it ended with code 1, after the line “{STEP}”"),
        (3, (), "it ended with code 3"),
        (-11, (STEP,), f"it ended with signal 11, after the line “{STEP}”"),
        (
            1,
            ("torch.OutOfMemoryError: CUDA out of memory.", LEAVING),
            "code 1: torch.OutOfMemoryError",
        ),
    ],
)
def test_the_line_that_tells_why_is_quoted(code, lines, expected, tmp_path):
    error = _Loss(1, code, lines).error(RunDir(tmp_path))
    assert error.what == "rank 1 was lost"
    assert expected in error.why
    assert (LESS_MEMORY in error.remedy) == ("OutOfMemory" in expected)


@pytest.mark.parametrize(
    ("code", "command"),
    [(1, "`sft-tui resume mine`"), (-9, "`sft-tui resume mine --set KEY=VALUE …`")],
)
def test_how_to_go_on_is_told_whatever_ended_a_rank(code, command, tmp_path):
    run = RunDir(tmp_path / "mine")
    fresh = _Loss(1, code, (STEP,)).error(run).remedy
    assert f"{command} starts again from step 0" in fresh
    (run.checkpoints / "step-5").mkdir(parents=True)
    saved = _Loss(1, code, (STEP,)).error(run).remedy
    assert f"{command} continues from step 5" in saved
