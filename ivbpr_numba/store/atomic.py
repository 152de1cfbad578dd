"""Files that appear only complete: lock, temporary file beside the target, fsync, rename.

HDF5 must never write to the target disk (a disk that fills under it ends the process), and nothing may
write through a memory map (SIGBUS): all bytes go through ``os.write`` and ``os.pwrite`` here.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ivbpr_numba import expected
from ivbpr_numba.errors import EnvironmentProblem, IvbprError, UsageError
from ivbpr_numba.store.kinds import refuse_unlike

__all__ = [
    "Lock",
    "Temporary",
    "companions",
    "lock",
    "os_problem",
    "replacing",
    "write_bytes",
    "write_many",
]

PathLike = str | os.PathLike[str]
_CHUNK = 1 << 20
_LARGEST_WRITE = 1 << 26


@dataclass(eq=False)
class _Trace:
    """A lock or temporary file, from just before it is made until just after it is removed."""

    path: Path
    fd: int | None = None
    is_lock: bool = False
    pid: int = field(default_factory=os.getpid)


_UNDERWAY: set[_Trace] = set()


@dataclass(frozen=True)
class Lock:
    """The right to write `path`; hand it to writers as ``keep_lock``."""

    path: Path


@dataclass(frozen=True)
class Temporary:
    """An open temporary file that becomes the target.

    Its methods turn an ``OSError`` into a member of our family that names the target.
    """

    fd: int
    path: Path
    target: PathLike

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset` (one system call may stop short)."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                done += os.pwrite(self.fd, view[done : done + _LARGEST_WRITE], offset + done)
        except OSError as problem:
            raise os_problem(problem, self.target) from problem

    def check(self, data: bytes | memoryview, offset: int) -> None:
        """Read back what was written at `offset` and compare; EnvironmentProblem when it differs."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _CHUNK):
            part = view[start : start + _CHUNK]
            if self.read(len(part), offset + start) != part:
                raise EnvironmentProblem(
                    f"'{self.target}' reads back differently from what was written.", "Check the disk."
                )

    def read(self, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        try:
            return os.pread(self.fd, size, offset)
        except OSError as problem:
            raise os_problem(problem, self.target, "read back") from problem

    def cut(self, size: int) -> None:
        """Set the length of the file."""
        try:
            os.ftruncate(self.fd, size)
        except OSError as problem:
            raise os_problem(problem, self.target) from problem

    def reserve(self, size: int) -> None:
        """Take `size` bytes of the disk now, so that a full disk shows before the work begins."""
        try:
            os.posix_fallocate(self.fd, 0, size)
        except OSError as problem:
            raise os_problem(problem, self.target) from problem


def os_problem(problem: OSError, path: PathLike, doing: str = "write") -> IvbprError:
    """Translate an OSError met while `doing` ("write", "read") something with `path`."""
    where = f"Cannot {doing} '{path}'"
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentProblem(f"{where}: no space left on its disk.", "Free space or write elsewhere.")
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EnvironmentProblem(f"{where}: no permission.", "Check the rights to file and folder.")
    if problem.errno in (errno.ENOENT, errno.ENOTDIR):
        return UsageError(f"{where}: there is no such file or folder.", "Check the name.")
    if problem.errno == errno.ENAMETOOLONG:
        return UsageError(f"{where}: the name is too long.", "Choose a shorter one.")
    if problem.errno == errno.EISDIR:
        return UsageError(f"{where}: it is a folder.", "Name a file.")
    return EnvironmentProblem(f"{where}: {problem.strerror or problem}.", "Check the disk.")


def _target(path: PathLike) -> Path:
    """Follow symbolic links (they stay links) and refuse what cannot be replaced by a file."""
    expected.path(path)
    target = Path(os.path.realpath(path))
    if not os.path.isdir(target.parent):
        raise UsageError(f"Cannot write '{path}': its folder does not exist.", "Make it or name another.")
    if os.path.exists(target) and not os.path.isfile(target):
        kind = "a folder" if os.path.isdir(target) else "not a regular file"
        raise UsageError(f"Cannot write '{path}': it is {kind}.", "Name a file.")
    return target


def _lock_path(target: Path) -> Path:
    return target.with_name(target.name + ".lock")


def companions(out: PathLike, *states: PathLike) -> tuple[Path, ...]:
    """The files that writing `out` makes, which nothing else may be: target, lock, and `states` beside it."""
    return Path(out), _lock_path(Path(os.path.realpath(out))), *map(Path, states)


def _remove_leftovers(target: Path) -> None:
    """Remove temporaries of writers that died; only called by the holder of the lock."""
    for name in os.listdir(target.parent):
        head, _, pid = name.rpartition(".tmp-")
        if head == target.name and re.fullmatch("[0-9]+", pid):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target.parent / name)


def _acquire(trace: _Trace, path: PathLike) -> int:
    while True:
        fd = trace.fd = os.open(trace.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The former holder unlinks the file while it still holds it: make sure that ours is the one
            # that a newcomer would open.
            if os.fstat(fd).st_ino == os.stat(trace.path).st_ino:
                return fd
            _close(trace)
        except FileNotFoundError:
            _close(trace)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "?"
            _close(trace)
            raise UsageError(
                f"'{path}' is being written by another process (pid {holder}).",
                "Wait for it to finish, or write to another file.",
            ) from None
        except BaseException:
            _close(trace)
            raise


def _close(trace: _Trace) -> None:
    fd, trace.fd = trace.fd, None
    if fd is not None:
        os.close(fd)


@contextlib.contextmanager
def lock(path: PathLike) -> Iterator[Lock]:
    """Hold ``PATH.lock`` so that nobody else writes `path`; remove what dead writers left behind.

    The lock lives in the kernel (``flock``) and dies with the process; the file is removed on release.

    Raises
    ------
    UsageError
        When another writer holds it, or the folder does not exist.
    EnvironmentProblem
        Without permission to write there.
    """
    target = _target(path)
    trace = _Trace(_lock_path(target), is_lock=True)
    _UNDERWAY.add(trace)
    try:
        try:
            fd = _acquire(trace, path)
        except OSError as problem:
            _UNDERWAY.discard(trace)
            raise os_problem(problem, path) from problem
        except UsageError:
            _UNDERWAY.discard(trace)
            raise
        os.ftruncate(fd, 0)
        with contextlib.suppress(OSError):  # the pid is only a courtesy to the reader of a message
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        _remove_leftovers(target)
        yield Lock(target)
    finally:
        if trace in _UNDERWAY:
            _remove(trace)
            _close(trace)
            _UNDERWAY.discard(trace)


@contextlib.contextmanager
def replacing(path: PathLike, keep_lock: Lock | None = None) -> Iterator[Temporary]:
    """Give a temporary file that becomes `path` when the block ends well and vanishes when it does not.

    Parameters
    ----------
    path : path
        The target. An existing file stays as it is until the very end and keeps its permissions.
    keep_lock : Lock, optional
        A lock the caller already holds and that covers this target; without it ``PATH.lock`` is taken.
    """
    target = _target(path)
    with contextlib.ExitStack() as stack:
        if keep_lock is None:
            stack.enter_context(lock(path))
        else:
            _remove_leftovers(target)
        trace = _Trace(target.with_name(f"{target.name}.tmp-{os.getpid()}"))
        try:
            try:
                _UNDERWAY.add(trace)
                trace.fd = fd = os.open(trace.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            except OSError as problem:
                _UNDERWAY.discard(trace)
                raise os_problem(problem, path) from problem
            yield Temporary(fd, trace.path, path)
            try:
                if target.exists():
                    os.fchmod(fd, stat.S_IMODE(target.stat().st_mode))
                os.fsync(fd)
                os.replace(trace.path, target)
                _sync_folder(target.parent)
            except OSError as problem:
                raise os_problem(problem, path) from problem
        except BaseException:
            if trace in _UNDERWAY:
                _remove(trace)
            raise
        finally:
            _close(trace)
            _UNDERWAY.discard(trace)


@atexit.register
def _clear_up() -> None:
    """Remove what an interruption left: it may strike between any two steps above, clearing up included."""
    for trace in list(_UNDERWAY):
        if trace.pid == os.getpid():  # not those of a parent
            _remove(trace)


def _remove(trace: _Trace) -> None:
    with contextlib.suppress(OSError):
        if trace.is_lock:
            # An interruption may have come before the lock was taken, or before that was noted.
            if trace.fd is None:
                trace.fd = os.open(trace.path, os.O_RDWR)
            fcntl.flock(trace.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where another process holds it
            if os.fstat(trace.fd).st_ino != os.stat(trace.path).st_ino:
                return  # the lock of a newcomer has the same name, but is another file
        os.unlink(trace.path)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_bytes(path: PathLike, data: bytes | Iterable[bytes], keep_lock: Lock | None = None) -> None:
    """Write a file atomically: it holds all of `data` or stays what it was.

    A file of another kind, by its content, is not replaced; see `kinds.refuse_unlike`.

    Parameters
    ----------
    path : path
        Target, in an existing folder.
    data : bytes or iterable of bytes
        The content, whole or in pieces.
    keep_lock : Lock, optional
        See `replacing`.

    Raises
    ------
    UsageError
        The folder does not exist, the target is no regular file or one of another kind, or another process
        writes it.
    EnvironmentProblem
        No space or no permission.
    """
    pieces = iter((data,) if isinstance(data, bytes) else data)
    first = next(pieces, b"")
    with replacing(path, keep_lock) as temporary:
        refuse_unlike(path, first)
        written = 0
        for piece in itertools.chain((first,), pieces):
            temporary.write(piece, written)
            temporary.check(piece, written)
            written += len(piece)


def write_many(path: PathLike, data: bytes) -> None:
    """Write one of thousands of small files: whole or not at all, but without a lock or a wait for the disk.

    A program that is killed leaves no half file, a machine that loses power may: only for what can be made
    again.

    Raises
    ------
    UsageError, EnvironmentProblem
        As `write_bytes`.
    """
    target = Path(path)
    trace = _Trace(target.with_name(f"{target.name}.tmp-{os.getpid()}"))
    _UNDERWAY.add(trace)
    try:
        trace.path.write_bytes(data)
        os.replace(trace.path, target)
    except BaseException as problem:
        _remove(trace)
        if isinstance(problem, OSError):
            raise os_problem(problem, path) from problem
        raise
    finally:
        _UNDERWAY.discard(trace)
