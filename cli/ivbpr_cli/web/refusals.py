"""Requests that get no answer: the status, what is wrong, and what would be right."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from ivbpr_numba.errors import DataError, EnvironmentProblem, IvbprError, Mention, UsageError

__all__ = ["Refused", "refusal_of"]

LONGEST = 600  # characters of a text


class Refused(Exception):
    """A request is answered with an error.

    Parameters
    ----------
    status : int
    error, hint : str
        What is wrong, and how it would be right.
    headers : dict of str to str, optional
    """

    def __init__(
        self, status: int, error: str, hint: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.hint, self.headers = status, error, hint, headers or {}

    def content(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"error": self.error, "hint": self.hint}


def refusal_of(problem: Exception) -> Refused:
    """How an exception is told to who asked.

    Wrong usage is 400 and data that can't answer 422; the machine's trouble is 503. What nobody foresaw is
    500: its traceback goes to stderr, and nothing of it to the visitor.
    """
    if isinstance(problem, Refused):
        return problem
    if isinstance(problem, IvbprError):
        status = 422 if isinstance(problem, DataError) else 400 if isinstance(problem, UsageError) else 503
        error, hint = (IvbprError(text).told(_as_query) for text in problem.marked)
        return Refused(status, error[:LONGEST], hint[:LONGEST])
    if isinstance(problem, MemoryError):
        return refusal_of(EnvironmentProblem("The server is out of memory.", "Try again later."))
    traceback.print_exception(problem, file=sys.stderr)
    return Refused(500, "The server made a mistake.", "It is written to the server's screen.")


def _as_query(mention: Mention) -> str:
    """A mentioned parameter as it stands in a query."""
    return f"{mention.name}={mention.text}"
