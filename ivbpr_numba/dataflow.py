"""Chains of pure functions whose results stay where they are computed: in this process, or on a cluster.

What a flow holds is named by whatever it gives back (*held*); a function gets the values. As functions are
pure, where they run, and how often after a loss, never decides what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ivbpr_numba.errors import IvbprError

__all__ = ["Flow", "Here", "Lost"]


class Lost(Exception):
    """Something that a flow held is gone; begin again from what is known here.

    Attributes
    ----------
    problem : IvbprError
        What to say where that happens again and again.
    """

    def __init__(self, problem: IvbprError) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Flow(Protocol):
    """Where functions are called and their results are held."""

    def put(self, value: Any) -> Any:
        """Hold a value from here."""
        ...

    def call(self, function: Callable[..., Any], *given: Any, results: int = 1) -> Any:
        """Hold what a function gives for held values, and for others, which travel with the call.

        It gives as many `results`, in a tuple if several, which are held one by one: a list. What is given is
        not changed by it.
        """
        ...

    def take(self, held: Sequence[Any]) -> list[Any]:
        """Values, here, once they are there.

        Raises
        ------
        Lost
            One of them, or what it needs, is gone.
        IvbprError
            What the function raised.
        """
        ...


class Here:
    """In this process, at once."""

    def put(self, value: Any) -> Any:
        return value

    def call(self, function: Callable[..., Any], *given: Any, results: int = 1) -> Any:
        found = function(*given)
        return found if results == 1 else list(found)

    def take(self, held: Sequence[Any]) -> list[Any]:
        return list(held)
