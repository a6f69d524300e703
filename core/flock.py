"""Locks on files, which the system lets go with the process that holds them."""

import errno
import fcntl
import os
import time
from pathlib import Path


def take(descriptor: int, patience_s: float) -> bool:
    """Takes a lock for this process alone; returns False where another one keeps it.

    Who only looks at a lock holds it for a moment, so that some patience is needed.

    Raises:
        OSError: The file system knows no locks.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() > deadline:
                return False
        time.sleep(0.01)


def is_free(path: Path) -> bool:
    """Returns whether nobody holds the lock of a file, or ever made that file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would block
    except OSError:  # nobody ever held it, or it is not ours to read
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
