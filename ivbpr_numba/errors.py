"""Every error a user can cause or meet, with its hint and the exit code of the command.

An error text answers three questions: what happened, where, and how to fix it. The last part is
the ``hint``; commands print ``message`` and ``hint`` as one paragraph and never a traceback.

A text that mentions a parameter says so with `parameter`. In Python it reads ``factors=-5``; the command
line, which knows its flags, asks `IvbprError.told` for the same text with ``--factors -5`` in it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

__all__ = [
    "CheckFailed",
    "DataError",
    "EnvironmentProblem",
    "Interrupted",
    "IvbprError",
    "Mention",
    "NotFittedError",
    "UsageError",
    "did_you_mean",
    "not_fitted",
    "parameter",
    "shown",
]

# Unicode's noncharacters, which are for use inside a program and stand in no text from outside.
_BEGIN, _BETWEEN, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_FOREIGN = re.compile(f"[{_BEGIN}{_BETWEEN}{_END}]")
_PART = f"([^{_BEGIN}{_BETWEEN}{_END}]*)"
_MENTION = re.compile(_BEGIN + _BETWEEN.join([_PART] * 4) + _END)
_NOTHING: Any = object()
_LONGEST = 80  # characters of a value in a message


class Mention(NamedTuple):
    """A parameter in the text of an error.

    Attributes
    ----------
    name : str
        In Python.
    of : str
        The function, or command, that has it; empty for the one that runs.
    code : str
        Its value as Python writes it; empty where none is said.
    text : str
        The same value as plain text.
    """

    name: str
    of: str
    code: str
    text: str

    def in_python(self) -> str:
        """``factors=-5``, or ``factors=`` without a value; ``prepare(features=…)`` of another function."""
        if self.of:
            return f"{self.of}({self.name}={self.code or '…'})"
        return f"{self.name}={self.code}"


def parameter(name: str, value: Any = _NOTHING, of: str = "") -> str:
    """Mention a parameter, and its value, in the text of an error.

    Parameters
    ----------
    name : str
        In Python; `told` finds the flag.
    value : object, optional
        What it was, or should be.
    of : str
        The function that has it, where that is not the one that was called: ``"prepare"``.

    Returns
    -------
    str
        To be put into a message or hint, and nowhere else.
    """
    given = ("", "") if value is _NOTHING else (shown(value), _FOREIGN.sub("\ufffd", _plain(value)))
    return _BEGIN + _BETWEEN.join((name, of, *given)) + _END


def shown(value: Any) -> str:
    """A value as a message quotes it: short ones as Python writes them, others by their type."""
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or isinstance(value, bool | int | float | str | bytes | complex | list | tuple | dict):
        try:
            code = repr(value)
        except ValueError:  # a number of thousands of digits
            code = ""
        if 0 < len(code) <= _LONGEST:
            return code
        if isinstance(value, str):
            return repr(value[: _LONGEST - 10] + "…")
    return f"<{type(value).__name__}>"


def _plain(value: Any) -> str:
    code = shown(value)
    return str(value) if isinstance(value, str | os.PathLike) and len(str(value)) < _LONGEST else code


class IvbprError(Exception):
    """Base of the family.

    Parameters
    ----------
    message : str
        What is wrong and where (file and line, or dataset name).
    hint : str
        How to fix it; may be empty. In both, parameters stand as `parameter` gives them.

    Attributes
    ----------
    message, hint : str
        As one reads them in Python.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.marked = (message, hint)
        self.message, self.hint = (_put(text, Mention.in_python) for text in self.marked)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def told(self, say: Callable[[Mention], str]) -> str:
        """The whole text, each mentioned parameter as `say` spells it."""
        return _put(" ".join(self.marked).strip(), say)


class UsageError(IvbprError, ValueError):
    """Unknown option, model or value; a missing input or output folder; options that contradict."""

    exit_code = 2


class NotFittedError(UsageError, AttributeError):
    """A model was asked before it was fitted.

    Where scikit-learn is loaded, what is raised is one of its ``NotFittedError`` too; see `not_fitted`.
    """


def not_fitted(model: object) -> NotFittedError:
    """The error about a model that is asked before its fit, for ``except`` clauses of both libraries."""
    return _not_fitted(type(model).__name__)


def _not_fitted(name: str) -> NotFittedError:
    kind: Any = NotFittedError
    theirs = None
    if "sklearn" in sys.modules:  # nobody can catch it who has not imported it
        with suppress(ImportError):
            theirs = getattr(import_module("sklearn.exceptions"), "NotFittedError", None)
    if theirs is not None:
        kind = type(
            "NotFittedError", (NotFittedError, theirs), {"__reduce__": lambda _: (_not_fitted, (name,))}
        )
    problem: NotFittedError = kind(f"This {name} is not fitted.", "Call fit first, or load a model file.")
    return problem


class DataError(IvbprError, ValueError):
    """Input data malformed, of the wrong kind, changed since, or nothing left after filters."""

    exit_code = 3


class EnvironmentProblem(IvbprError, RuntimeError):
    """The machine cannot do it: no such device, extra, permission, disk space or memory."""

    exit_code = 4


class CheckFailed(IvbprError):
    """A check that was asked for is not met (a least AUC, digests)."""

    exit_code = 5


class Interrupted(IvbprError):
    """Stopped by a signal, mostly after a checkpoint was written; ``exit_code`` is 128 + the signal.

    Parameters
    ----------
    message, hint : str
        See `IvbprError`.
    signal_number : int
        Of the signal that came.
    resume_with : str or None
        The parameter that makes the same call go on; empty where it goes on without one, None where nothing
        is kept.
    """

    def __init__(
        self, message: str, hint: str = "", signal_number: int = 2, resume_with: str | None = "resume"
    ) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number
        self.resume_with = resume_with


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for another of `known` that `name` nearly is, else ``""``."""
    close = [one for one in get_close_matches(str(name), list(known), n=2) if one != name]
    return f"Did you mean '{close[0]}'?" if close else ""


def _put(text: str, say: Callable[[Mention], str]) -> str:
    return _MENTION.sub(lambda found: say(Mention(*found.groups())), text)
