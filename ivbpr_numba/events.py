"""What long work tells while it runs: events, their observers, and the log that keeps them as JSON lines.

A log is checked before the work begins and opened when the first line is written: a run that is refused in
between leaves the log of an earlier run as it was.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from ivbpr_numba.errors import EnvironmentProblem, UsageError, parameter
from ivbpr_numba.store.atomic import PathLike, os_problem
from ivbpr_numba.store.kinds import is_log

__all__ = ["Event", "JsonLines", "Observer", "check_log", "same_file"]

Event = dict[str, Any]
Observer = Callable[[Event], None]

_TAIL = 1 << 16  # bytes in which the last line is looked for at first


def same_file(one: PathLike, other: PathLike) -> bool:
    """Whether two paths are, or would become, one file, whatever links lead there."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them does not exist
        return False


def check_log(path: PathLike, *others: PathLike | None) -> None:
    """Refuse a log that can't be written, without touching it.

    Parameters
    ----------
    path : path
        A file, new or old, or a pipe or character device such as ``/dev/stdout``.
    others : paths or None
        What must not be the log: the output, the state beside it, the inputs. None is skipped.

    Raises
    ------
    UsageError
        One of `others` is the same file, the folder is missing, or it is a folder, socket or disk, or a file
        that is no log.
    EnvironmentProblem
        No permission.
    """
    for other in others:
        if other is not None and same_file(path, other):
            raise UsageError(
                f"The log '{path}' is the same file as '{other}'.",
                f"Name another file with {parameter('log')}.",
            )
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        _check_folder(path)
        return
    except OSError as problem:
        raise os_problem(problem, path) from problem
    if stat.S_ISDIR(mode):
        raise UsageError(f"The log '{path}' is a folder.", f"Name a file with {parameter('log')}.")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise UsageError(
            f"The log '{path}' is no file that lines can be added to.",
            f"Name a file with {parameter('log')}.",
        )
    if not os.access(path, os.W_OK):
        raise EnvironmentProblem(f"The log '{path}' may not be written.", "Check its owner and mode.")
    if stat.S_ISREG(mode) and _own_stream(path) is None:
        with contextlib.suppress(PermissionError), open(path, "rb") as file:  # may be written, not read
            head = file.read(1 << 20)
            if head and not is_log(head):
                raise UsageError(
                    f"'{path}' is no log of an earlier run, and stays.",
                    f"Name another file with {parameter('log')}.",
                )


def _own_stream(path: PathLike) -> TextIO | None:
    """Stdout or stderr, where this process writes to `path` itself."""
    for own in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if own is not None and os.path.samestat(os.fstat(own.fileno()), os.stat(path)):
                return own
    return None


def _check_folder(path: PathLike) -> None:
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"The folder of the log '{path}' does not exist.", f"Create it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EnvironmentProblem(
            f"The folder of the log '{path}' may not be written.", "Check its owner and mode."
        )


class JsonLines:
    """A file of JSON objects, one a line, each whole and visible at once to whoever follows the file.

    Parameters
    ----------
    path : path
        A file, or a pipe or character device, which is opened here: a pipe needs a reader.
    append : bool
        Keep what an interrupted run has written, less a last line that was not finished; else a file begins
        anew with the first line.
    others : paths or None
        See `check_log`, which is called first.

    Raises
    ------
    UsageError
        See `check_log`; also a pipe that nobody reads.
    EnvironmentProblem
        No permission.
    """

    def __init__(self, path: PathLike, append: bool = False, others: Sequence[PathLike | None] = ()) -> None:
        check_log(path, *others)
        self.path = path
        self._append = append
        self._regular = True
        self._fd: int | None = None
        try:
            self._fd = self._stream()
        except OSError as problem:
            if problem.errno == errno.ENXIO:
                raise UsageError(
                    f"The log '{path}' has nobody at its other end.",
                    "Start its reader first, or name a file.",
                ) from problem
            raise os_problem(problem, path) from problem

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, *problem: object) -> None:
        # What went wrong inside is told, not what closing has to say about it.
        with contextlib.nullcontext() if kind is None else contextlib.suppress(EnvironmentProblem):
            self.close()

    def write(self, document: Mapping[str, Any]) -> None:
        """Add one line.

        Values of NumPy become plain ones, and numbers that are not finite ``null``: JSON has none of them.

        Raises
        ------
        EnvironmentProblem
            No space, or the reader of a pipe has gone.
        """
        line = json.dumps(_plain(document), ensure_ascii=False, allow_nan=False)
        rest = memoryview(line.encode("utf-8", "backslashreplace") + b"\n")
        try:
            if self._fd is None:
                self._fd = self._file()
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BrokenPipeError as problem:
            raise EnvironmentProblem(
                f"Cannot write '{self.path}': its reader has gone.", "Keep it running, or name a file."
            ) from problem
        except OSError as problem:
            raise os_problem(problem, self.path) from problem

    def close(self) -> None:
        """Sync and close.

        Raises
        ------
        EnvironmentProblem
            The disk did not take everything.
        """
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            try:
                if self._regular:  # pipes and terminals have nothing to sync
                    os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as problem:
            raise os_problem(problem, self.path) from problem

    def _stream(self) -> int | None:
        """What there is nothing to cut of, opened at once; None for a file, which the first line opens."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        # What the process itself writes to is not opened a second time: both would write over each other.
        own = _own_stream(self.path)
        if own is not None:
            self._regular = False
            return os.dup(own.fileno())
        if stat.S_ISREG(found.st_mode):
            return None
        self._regular = False
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
        os.set_blocking(fd, True)
        return fd

    def _file(self) -> int:
        """The file, empty or with the whole lines of an earlier run."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (0 if self._append else os.O_TRUNC)
        fd = os.open(self.path, flags, 0o666)
        try:
            self._mend(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    @staticmethod
    def _mend(fd: int) -> None:
        """Cut off a last line that was not finished, or finish one that lacks nothing but its end."""
        size = os.fstat(fd).st_size
        length, begun = _TAIL // 2, b""
        while length < size or not begun:
            length *= 2
            begun = os.pread(fd, length, max(0, size - length))
            if not begun or begun.endswith(b"\n"):
                return
            if b"\n" in begun:
                break
        begun = begun[begun.rfind(b"\n") + 1 :]
        try:
            json.loads(begun)
        except ValueError:
            os.ftruncate(fd, size - len(begun))
        else:
            os.write(fd, b"\n")


def _plain(value: Any) -> Any:
    """The same of types that JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy, without importing it
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value
