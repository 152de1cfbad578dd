"""Who is writing a file that can't be read: half a file is no damaged one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ivbpr_numba.errors import IvbprError, UsageError
from ivbpr_numba.store.atomic import PathLike

__all__ = ["unreadable", "writer_of"]

_TEMPORARY = re.compile(r"(.+)\.tmp-\d+")


def unreadable(path: PathLike, otherwise: IvbprError) -> IvbprError:
    """The error for what can't be read: that another process is writing it, or `otherwise`."""
    writer = writer_of(path)
    if writer is None:
        return otherwise
    return UsageError(
        f"'{path}' is being written by another process (pid {writer}).", "Wait for it to finish."
    )


def writer_of(path: PathLike) -> int | None:
    """Number of another process that is writing `path` now, None where none is known.

    Ours hold ``TARGET.lock`` while they write a target, its temporary file or its unfinished state; of
    others the open file itself tells (Linux, and only what this user may see).
    """
    if os.path.exists(path) and not os.path.isfile(path):
        return None  # many hold /dev/null
    try:
        found = _holder_of_lock(Path(path)) or _holder_of_file(path)
    except OSError:
        return None
    return None if found == os.getpid() else found


def _targets(path: Path) -> Iterator[Path]:
    """The files whose lock covers `path`: itself, or what it will become."""
    yield path
    if path.suffix == ".partial":
        yield path.with_suffix("")  # of an extraction: OUT.partial
    if path.stem.endswith(".partial"):
        yield path.with_name(path.stem.removesuffix(".partial") + path.suffix)  # of a fit: OUT.partial.h5
    temporary = _TEMPORARY.fullmatch(path.name)
    if temporary:
        yield path.with_name(temporary[1])


def _holder_of_lock(path: Path) -> int | None:
    for target in _targets(Path(os.path.realpath(path))):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            fd = os.open(target.with_name(target.name + ".lock"), os.O_RDONLY)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # refused while a writer holds it
            except BlockingIOError:
                text = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
                if text.isascii() and text.isdecimal():
                    return int(text)
            finally:
                os.close(fd)
    return None


def _holder_of_file(path: PathLike) -> int | None:
    own = os.stat(path)
    for name in os.listdir("/proc"):
        if re.fullmatch("[0-9]+", name) and int(name) != os.getpid() and _writes(Path("/proc", name), own):
            return int(name)
    return None


def _writes(process: Path, file: os.stat_result) -> bool:
    """Whether a process has a file open for writing."""
    # Processes and what they have open go while we look, and those of others may not be looked at.
    with contextlib.suppress(OSError):
        for number in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):
                status = os.stat(process / "fd" / number)
                if (status.st_dev, status.st_ino) != (file.st_dev, file.st_ino):
                    continue
                about = (process / "fdinfo" / number).read_text()
                flags = re.search(r"^flags:\s*([0-7]+)$", about, re.MULTILINE)
                if flags and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    return False
