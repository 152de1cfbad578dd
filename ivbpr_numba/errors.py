"""Every error a user can cause or meet, with its hint and the exit code of the command.

An error text answers three questions: what happened, where, and how to fix it. The last part is
the ``hint``; commands print ``message`` and ``hint`` as one paragraph and never a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CheckFailed",
    "DataError",
    "EnvironmentProblem",
    "Interrupted",
    "IvbprError",
    "UsageError",
    "did_you_mean",
]


class IvbprError(Exception):
    """Base of the family.

    Parameters
    ----------
    message : str
        What is wrong and where (file and line, or dataset name).
    hint : str
        How to fix it; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(IvbprError, ValueError):
    """Unknown option, model or value; a missing input or output folder; options that contradict."""

    exit_code = 2


class DataError(IvbprError, ValueError):
    """Input data malformed, of the wrong kind, changed since, or nothing left after filters."""

    exit_code = 3


class EnvironmentProblem(IvbprError, RuntimeError):
    """The machine cannot do it: no such device, extra, permission, disk space or memory."""

    exit_code = 4


class CheckFailed(IvbprError):
    """A check that was asked for is not met (``--fail-under``, ``verify``)."""

    exit_code = 5


class Interrupted(IvbprError):
    """Stopped by a signal after a checkpoint was written; ``exit_code`` is 128 + the signal.

    Parameters
    ----------
    message, hint : str
        See `IvbprError`.
    signal_number : int
        Of the signal that came.
    resume_with : str
        What the same command needs besides to go on; nothing, for some.
    """

    def __init__(
        self, message: str, hint: str = "", signal_number: int = 2, resume_with: str = "--resume"
    ) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number
        self.resume_with = resume_with


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for a near miss of `name` among `known`, else ``""``."""
    close = get_close_matches(name, list(known), n=1)
    return f"Did you mean '{close[0]}'?" if close else ""
