"""What a benchmark case is: a piece of work, our implementations, what others do with it, and goals.

`cases/` holds the cases. `python -m benchmarks run` measures them at their full size;
`tests/test_benchmarks.py` runs each at a tiny size and compares the results of its implementations, so that
what is timed is known to be right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.inputs import Size, Work
from benchmarks.recorded import Recorded

__all__ = ["Case", "Goal", "Implementation", "Missing", "Run"]


class Missing(Exception):
    """An optional package or program that an implementation needs is not installed."""


@dataclass(frozen=True)
class Run:
    """One measurement: amounts with the wall and CPU seconds they took, and what came out.

    Wall and CPU time may cover different amounts, because a fit logs only the first.

    Attributes
    ----------
    result : dict of str to ndarray
        What implementations of one case have in common, to be compared.
    quality : float or None
        Test AUC of what was learned.
    """

    amount: float
    seconds: float
    cpu_amount: float
    cpu_seconds: float
    result: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    quality: float | None = None


Implementation = Callable[[Work, int], Run]


@dataclass(frozen=True)
class Goal:
    """Our rate should be at least `times` that of `of`, at two threads, by the clock.

    Attributes
    ----------
    times : float
    of : Recorded or str
        A recorded program, or the label of an implementation or bound of the case.
    label : str
        Which of ours; the first of the case where not given.
    """

    times: float
    of: Recorded | str
    label: str = ""


@dataclass(frozen=True)
class Case:
    """A named piece of work.

    Attributes
    ----------
    name, unit : str
        The unit is what a rate counts.
    what : str
        One line for the table.
    full, tiny : Size
    ours, references, peers, bounds : dict of str to Implementation
        By label: implementations of this project; reference code; other programs, which follow a law of
        their own; and what the machine allows, in the unit of the case.
    goals : tuple of Goal
    curve : str
        What the case varies, of a point on a scaling curve.
    value : float
        The point's place on it.
    """

    name: str
    unit: str
    what: str
    full: Size
    tiny: Size
    ours: dict[str, Implementation] = field(default_factory=dict)
    references: dict[str, Implementation] = field(default_factory=dict)
    peers: dict[str, Implementation] = field(default_factory=dict)
    bounds: dict[str, Implementation] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()
    curve: str = ""
    value: float = 0.0

    @property
    def roles(self) -> dict[str, dict[str, Implementation]]:
        """Implementations by what they are to us."""
        return {
            "ours": self.ours,
            "reference": self.references,
            "peer": self.peers,
            "bound": self.bounds,
        }

    @property
    def implementations(self) -> dict[str, Implementation]:
        """All by label."""
        return {label: one for role in self.roles.values() for label, one in role.items()}

    def role(self, label: str) -> str:
        """What an implementation is to us: ``ours``, ``reference``, ``peer`` or ``bound``."""
        return next(role for role, known in self.roles.items() if label in known)
