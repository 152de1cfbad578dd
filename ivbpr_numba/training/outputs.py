"""What a training writes: claimed before anything is decoded, the log included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.store.atomic import Lock, PathLike, lock

__all__ = ["claimed"]


@contextmanager
def claimed(
    out: PathLike,
    partial: PathLike,
    *,
    resume: bool = False,
    overwrite: bool = False,
    keep_lock: Lock | None = None,
) -> Iterator[Lock]:
    """Hold the lock of `out`, once it is known that the training may write it.

    Parameters
    ----------
    out, partial : path
        The network, and where an unfinished training of it keeps its state.
    resume, overwrite : bool
        Go on from that state, or throw it away.
    keep_lock : Lock, optional
        Held by the caller already, who made these checks.

    Raises
    ------
    UsageError
        `out` is no place for a file, or is being written by another process; there is a state and neither
        `resume` nor `overwrite`, or what has its name is no file.
    EnvironmentProblem
        The folder may not be written.
    """
    if resume and overwrite:
        raise UsageError(
            f"{parameter('resume', True)} goes on from a state that {parameter('overwrite', True)} "
            "throws away.",
            "Give one of the two.",
        )
    with lock(out) if keep_lock is None else nullcontext(keep_lock) as held:
        state = Path(partial)
        if state.exists() and not state.is_file():
            raise UsageError(
                f"The state of the training belongs at '{state}', and that is no file.",
                f"Move it away, or choose another {parameter('out')}.",
            )
        if state.exists() and not (resume or overwrite):
            raise UsageError(
                f"'{state}' holds an unfinished training.",
                f"Go on with {parameter('resume', True)}, or throw it away with "
                f"{parameter('overwrite', True)}.",
            )
        yield held
