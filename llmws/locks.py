"""Locks on files (flock): they end with whoever holds them, however that dies, so nobody has to guess by a pid.

A lock belongs to the opening of a file, and to the children that inherit its descriptor.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# Somebody who only looks holds a lock, shared, for some microseconds; whoever takes it then must not give up.
_PATIENCE_S = 0.5


def locked(descriptor: int, *, shared: bool = False) -> bool:
    """Try to lock an open file until it is closed; False where another process, or another opening, has it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def taken(descriptor: int) -> bool:
    """The same, waiting for those who only look."""
    limit = time.monotonic() + _PATIENCE_S
    while not locked(descriptor):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock; False where there is no such file.

    Raises:
        PermissionError: it is not ours to look at.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "lock"
        >>> file = path.open("w")
        >>> locked(file.fileno()), is_held(path)
        (True, True)
        >>> file.close()
        >>> is_held(path)
        False
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not locked(descriptor, shared=True)
    finally:
        os.close(descriptor)
