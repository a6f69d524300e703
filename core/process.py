"""Which process is it, and does it still live? Identity is pid, start time and boot id together."""

import json
import os
import select
import socket
import sys
import threading
from pathlib import Path

import msgspec


class ProcessRecord(msgspec.Struct, kw_only=True):
    """The content of `process.json`: who trains this run.

    `start_time` is raw clock ticks since boot (field 22 of the Linux stat file) where there is
    a proc file system, and psutil's create time elsewhere; `boot_id` is null elsewhere. `devices`
    are the ids of the GPUs it computes on, none for the host's own device, null until they are
    chosen.
    """

    pid: int
    start_time: float
    boot_id: str | None
    host: str
    launcher: str
    job_id: str | None
    argv: list[str]
    versions: dict[str, str]
    config: str = "config.yaml"
    devices: list[str] | None = None


def boot_id() -> str | None:
    """Returns the id of this boot, or None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def start_time(pid: int) -> float | None:
    """Returns when process `pid` started, or None when it is gone or a zombie."""
    if Path("/proc/self/stat").exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The second field is the command's name in brackets and may hold anything.
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZXx" else float(fields[19])
    import psutil  # only where there is no proc file system

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def alive(record: ProcessRecord) -> bool | None:
    """Returns whether the recorded process lives; None when it belongs to another host."""
    if record.host != socket.gethostname():
        return None
    if record.boot_id != boot_id():
        return False
    return start_time(record.pid) == record.start_time


def halted(record: ProcessRecord) -> bool:
    """Returns whether the recorded process lives and stands still, as after SIGSTOP or Ctrl+Z."""
    if not alive(record):
        return False
    try:
        text = Path(f"/proc/{record.pid}/stat").read_text()
    except OSError:  # it ended meanwhile, or there is no proc file system
        return False
    return text.rpartition(")")[2].split()[0] in "Tt"


def this_process(launcher: str, argv: list[str], versions: dict[str, str]) -> ProcessRecord:
    """Returns the record of the calling process."""
    return ProcessRecord(
        pid=os.getpid(),
        start_time=start_time(os.getpid()) or 0.0,
        boot_id=boot_id(),
        host=socket.gethostname(),
        launcher=launcher,
        job_id=None,
        argv=argv,
        versions=versions,
    )


def lock_holder(text: str) -> str:
    """Returns in words who wrote the content of a `run.lock`."""
    try:
        raw = json.loads(text)
        return f"pid {raw['pid']} on {raw['host']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another trainer"


def end_with_stdin(code: int = 0) -> None:
    """Ends this process once nobody is at the other end of its stdin, whatever it is doing.

    A terminal that is gone is told by a signal only to what was started in it.

    Args:
        code: The exit code.
    """
    ended = select.poll()
    ended.register(sys.stdin.fileno(), 0)  # hanging up is told without being asked for

    def wait() -> None:
        ended.poll()
        os._exit(code)

    threading.Thread(target=wait, daemon=True).start()
