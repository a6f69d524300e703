"""The trainer's end of a tracker: starts its process, watches it, and tells when it fails.

The process reads `events.jsonl` as any client does. Whatever it does, the trainer neither waits
for it nor hears of it, except for one warning and a few seconds at the very end.
"""

import os
import subprocess
import sys
import threading
import time
from types import TracebackType

from ..config import TrackConfig
from ..errors import DiskFull, SftError
from ..rundir import RunDir
from ..track import packages, state
from .report import Report

PROJECT = "sft-tui"
END_S = 12.0
"""How long the end of a run waits for the tracker; less than its process gives itself."""
SILENT_S = 120.0
"""A tracker that took nothing for so long is stuck: events come every 10 s at least."""


class Tracking:
    """The tracker of one start of a run, if it has one.

    Example:
        with Tracking(run, report) as tracking:
            tracking.start(config.track)
            ...
    """

    def __init__(self, run: RunDir, report: Report, silent_s: float = SILENT_S) -> None:
        self._run = run
        self._report = report
        self._silent_s = silent_s
        self._end_by: float | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, config: TrackConfig) -> None:
        """Starts the tracker's process; where that cannot be, says so and goes on without."""
        if config.kind == "none":
            return
        self._kind = config.kind
        try:
            packages.refuse_missing(config.kind)
            self._child = self._spawn(config)
        except SftError as error:
            self._warn(error.why, error.remedy)
            return
        except OSError as error:
            self._warn(f"its process cannot be started: {error}")
            return
        self._began = time.time()
        self._thread = threading.Thread(target=self._watch, name="tracker", daemon=True)
        self._thread.start()

    def _spawn(self, config: TrackConfig) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-P", "-m", "sft_tui.core.track", str(self._run.path)]
        how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        with open(os.open(self._run.track_log, how, 0o600), "ab") as log:
            # In the trainer's process group, so that what kills the one kills the other; the
            # pipe tells it of any other end.
            return subprocess.Popen(
                [*argv, config.kind, config.project or PROJECT],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._run.path,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def close(self) -> None:
        """Lets the tracker hand over the rest, for a few seconds; then ends it and says so."""
        if self._thread is None:
            return
        assert self._child.stdin is not None  # it was asked for
        self._end_by = time.monotonic() + END_S
        self._closing.set()
        self._child.stdin.close()
        self._thread.join()

    def _watch(self) -> None:
        stuck = False
        while (code := self._child.poll()) is None:
            if self._end_by is not None and time.monotonic() > self._end_by:
                self._child.kill()
                self._child.wait()
                self._warn(
                    f"it did not finish within {END_S:.0f} s of the run's end, and was ended"
                )
                return
            if not stuck and self._silence_s() > self._silent_s:
                stuck = True
                self._warn(f"it has taken nothing for {self._silence_s():.0f} s")
            if self._closing.is_set():
                time.sleep(0.05)
            else:
                self._closing.wait(1.0)
        if code or self._end_by is None:
            self._warn(self._why(code))

    def _silence_s(self) -> float:
        """Returns for how long the tracker has taken nothing."""
        try:
            took = self._run.track.stat().st_mtime
        except OSError:  # nothing yet
            took = 0.0
        return time.time() - max(took, self._began)

    def _why(self, code: int) -> str:
        followed = state.load(self._run)
        if code == 1 and followed is not None and followed.error:
            return followed.error
        return f"its process was ended by signal {-code}" if code < 0 else f"it ended with {code}"

    def _warn(self, why: str, remedy: str | None = None) -> None:
        """Tells that the tracker failed. On a full disk the main thread meets that fault itself."""
        remedy = remedy or f"read {self._run.track_log}; the run goes on without it"
        try:
            self._report.warn("tracker_failed", f"the tracker {self._kind} failed: {why}", remedy)
        except (DiskFull, OSError) as error:
            print(f"the tracker {self._kind} failed: {why}; {error}", file=sys.stderr)
