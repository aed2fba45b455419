"""Opening files that somebody else has put there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(file: Path) -> BinaryIO:
    """Open a file to read it; a pipe is not waited for, a device not touched.

    Raises:
        OSError: as the system has it; or it is no regular file, as ``strerror`` says.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise OSError(errno.EINVAL, f"it is {what}; a file is expected")
    return os.fdopen(descriptor, "rb")


def read_at_most(file: Path, limit: int) -> bytes:
    """The first ``limit`` bytes of a file, and one more where it is larger.

    Raises:
        OSError: see `open_regular`.
    """
    with open_regular(file) as opened:
        return opened.read(limit + 1)
