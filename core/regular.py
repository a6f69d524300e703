"""Opens regular files only: a pipe or device in a file's place must not hold a reader for ever."""

import errno
import os
import pwd
import stat
from pathlib import Path
from typing import BinaryIO

_PART_BYTES = 1 << 20


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading in binary.

    Raises:
        OSError: It cannot be opened, or it is a pipe, a device or a folder.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def is_gone(path: Path) -> bool:
    """Returns whether nothing is at a path; where its disk fails, something may still be."""
    try:
        os.stat(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def may_read(path: Path) -> bool:
    """Returns whether this process has the right to read a file, as far as it can be asked."""
    return os.access(path, os.R_OK, effective_ids=True)


def rights(path: Path) -> str:
    """Returns the mode and the owner of a file, and as whom this process asks for it."""
    found = path.stat()
    mode = stat.filemode(found.st_mode)
    return f"its mode is {mode}, its owner {user(found.st_uid)}; you are {user(os.geteuid())}"


def user(uid: int) -> str:
    """Returns the name of a user, or its number where it has no name here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def read_small(path: Path, limit_bytes: int = 1 << 20) -> bytes:
    """Returns the content of a file that is small when it is right, such as a configuration.

    Raises:
        OSError: As `open_regular`, or it is larger than the limit.
    """
    content = b""
    with open_regular(path) as file:
        # Not at once: a read asks for the memory of all that it may give.
        while len(content) <= limit_bytes and (part := file.read(_PART_BYTES)):
            content += part
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {limit_bytes >> 10} KiB", str(path))
    return content
