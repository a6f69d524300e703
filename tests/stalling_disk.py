"""A file system that shows a folder read-only, and fault or fails for as long as it is asked to.

Speaks the kernel's FUSE protocol itself (include/uapi/linux/fuse.h), so that no package is needed;
nothing is cached, and while it fault nothing at all is answered, as by a server that is gone.

Usage: python stalling_disk.py FOLDER PLACE FAULT: shows FOLDER at PLACE; fault while FAULT is
there, or fails with the error number that stands in it. Ends once PLACE is unmounted.
"""

import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS = 25, 26, 27, 28, 29, 34
INTERRUPT, BATCH_FORGET = 36, 42
_UNANSWERED = (FORGET, BATCH_FORGET, INTERRUPT)
_READ_ONLY, _NO_SET_ID, _NO_DEVICES = 1, 2, 4
_DETACH = 2
_DIRECT_IO = 1
_HEADER = struct.Struct("<IIQQIIII")
_ATTRIBUTES = struct.Struct("<6Q10I")
_LONGEST = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class Disk:
    """Answers the kernel's requests for files below a folder."""

    def __init__(self, folder: str, device: int) -> None:
        self._device = device
        self._paths = {1: folder}
        self._nodes = {folder: 1}

    def answer(self, request: bytes, error: int = 0) -> None:
        """Answers one request, or says that it failed with `error`."""
        _, kind, number, node, *_ = _HEADER.unpack_from(request)
        if kind in _UNANSWERED:
            return
        told = b""
        try:
            if not error:
                told = self._told(kind, self._paths.get(node, ""), request[_HEADER.size :])
        except OSError as failed:
            error = failed.errno or errno.EIO
        os.write(self._device, struct.pack("<IiQ", 16 + len(told), -error, number) + told)

    def _told(self, kind: int, path: str, asked: bytes) -> bytes:
        match kind:
            case 26:  # INIT: protocol 7.31, whatever the kernel knows beyond
                return struct.pack(
                    "<IIIIHHIIHHI28x", 7, 31, 1 << 17, 0, 12, 9, 1 << 17, 1, 32, 0, 0
                )
            case 1:  # LOOKUP
                child = os.path.join(path, os.fsdecode(asked[:-1]))
                return struct.pack("<QQQQII", self._node(child), 0, 0, 0, 0, 0) + _attributes(child)
            case 3:  # GETATTR
                return struct.pack("<QII", 0, 0, 0) + _attributes(path)
            case 14 | 27:  # OPEN, OPENDIR
                return struct.pack("<QII", 0, _DIRECT_IO if kind == OPEN else 0, 0)
            case 15:  # READ
                _, offset, size = struct.unpack_from("<QQI", asked)
                with open(path, "rb") as file:
                    file.seek(offset)
                    return file.read(size)
            case 28:  # READDIR
                _, offset, size = struct.unpack_from("<QQI", asked)
                return _entries(path, offset, size)
            case 17:  # STATFS
                return struct.pack("<5Q4I24x", 1 << 20, 1 << 19, 1 << 19, 99, 9, 4096, 255, 4096, 0)
            case 18 | 25 | 29 | 34:  # RELEASE, FLUSH, RELEASEDIR, ACCESS
                return b""
            case _:
                raise OSError(errno.ENOSYS, "not done here")

    def _node(self, path: str) -> int:
        os.lstat(path)
        node = self._nodes.setdefault(path, len(self._nodes) + 1)
        self._paths[node] = path
        return node


def _attributes(path: str) -> bytes:
    found = os.lstat(path)
    times = found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns
    whole, parts = [each // 10**9 for each in times], [each % 10**9 for each in times]
    return _ATTRIBUTES.pack(
        found.st_ino, found.st_size, found.st_blocks, *whole, *parts,
        found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0,
    )  # fmt: skip


def _entries(path: str, offset: int, size: int) -> bytes:
    told = b""
    for at, entry in enumerate(sorted(os.scandir(path), key=lambda each: each.name), 1):
        name = os.fsencode(entry.name)
        kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) >> 12
        one = struct.pack("<QQII", entry.inode(), at, len(name), kind) + name
        one += bytes(-len(one) % 8)
        if at > offset and len(told) + len(one) <= size:
            told += one
    return told


def _fault(path: str) -> str | None:
    """Returns what stands in the file that asks for a fault; None without one."""
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return None


def serve(folder: str, place: str, fault: str) -> None:
    """Mounts and answers until unmounted.

    Raises:
        OSError: It cannot be mounted here.
    """
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    flags = _READ_ONLY | _NO_SET_ID | _NO_DEVICES
    if _libc.mount(b"stalling", os.fsencode(place), b"fuse", flags, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)
    disk = Disk(folder, device)
    while True:
        try:
            request = os.read(device, _LONGEST)
        except OSError as gone:
            if gone.errno == errno.ENODEV:
                return
            if gone.errno == errno.ENOENT:  # a request that was taken back meanwhile
                continue
            raise
        while (error := _fault(fault)) == "":
            time.sleep(0.02)
        try:
            disk.answer(request, int(error or 0))
        except FileNotFoundError:  # who asked does not wait for it any longer
            continue


@contextmanager
def shown(folder: Path, place: Path, fault: Path) -> Iterator[None]:
    """Shows a folder at a place as long as the context lasts."""
    place.mkdir()
    command = [sys.executable, __file__, str(folder), str(place), str(fault)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            deadline = time.monotonic() + 10
            while not os.path.ismount(place):
                if server.poll() is not None or time.monotonic() > deadline:
                    assert server.stderr is not None
                    raise OSError(f"no FUSE file system can be mounted: {server.stderr.read()}")
                time.sleep(0.02)
            yield
        finally:
            fault.unlink(missing_ok=True)
            _libc.umount2(os.fsencode(place), _DETACH)
            server.terminate()


if __name__ == "__main__":
    serve(*sys.argv[1:])
