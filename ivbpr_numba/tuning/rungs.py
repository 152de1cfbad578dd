"""Successive halving in waves: few iterations for all trials, all of them for the better quarter.

An early rung ends after a sixth of the iterations, the last one after all (Jamieson and Talwalkar, 2016, with
two rungs and η = 4). Earlier rungs choose by what learns fast, later ones leave time for fewer trials
(benchmarks/TUNING.md). A wave is a fixed number of new trials on the first rung, beside whatever the waves
before it promote: the trials in the better quarter of all that ever ended a rung go on, as in ASHA (Li et
al., 2020), but what is promoted is decided between waves only. So the same trials are made and promoted
whatever the number of processes, and however long each of them takes.

A trial begins anew on the last rung, which is then the very fit that its options give, judged over everybody,
whoever was asked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ETA", "WAVE", "Result", "Rung", "Trial", "estimates", "promoted", "rungs_of"]

ETA = 4
FRACTIONS = (6,)  # parts of the iterations that early rungs get
WAVE = 4  # new trials a wave


@dataclass(frozen=True)
class Rung:
    """How much a trial gets.

    Attributes
    ----------
    iterations : int
        At most so many.
    last : bool
        Whether it is the whole fit, judged over everybody.
    """

    iterations: int
    last: bool


@dataclass(frozen=True)
class Result:
    """What a trial reached on one rung.

    Attributes
    ----------
    valid_auc : float or None
        None where the fit diverged, or was refused.
    stderr : float or None
        Over users.
    users : int
        Asked.
    iterations, best_iteration : int
        Done, and the one that was kept.
    seconds : float
        Computing.
    problem : str
        Why there is no AUC.
    refused : bool
        Whether the options don't go with the data: the fit never began.
    meant : dict
        Options that were given as words which a fit decides about (``auto``), as it decided.
    """

    valid_auc: float | None
    stderr: float | None
    users: int
    iterations: int
    best_iteration: int
    seconds: float
    problem: str = ""
    refused: bool = False
    meant: dict[str, Any] = field(default_factory=dict)


@dataclass
class Trial:
    """One choice of options.

    Attributes
    ----------
    number : int
    origin : str
        ``default``, ``spread`` or ``model``: where the options are from, see `proposals`.
    options : dict
        The searched ones.
    results : dict of int to Result
        By rung, as far as it came.
    """

    number: int
    origin: str
    options: dict[str, Any]
    results: dict[int, Result] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Any]:
        """The options, with the numbers that words among them stood for."""
        return {**self.options, **{k: v for one in self.results.values() for k, v in one.meant.items()}}

    @property
    def spent(self) -> int:
        """Iterations done on all rungs."""
        return sum(one.iterations for one in self.results.values())

    @property
    def rung(self) -> int:
        """The last rung it ended, −1 before the first."""
        return max(self.results, default=-1)

    @property
    def valid_auc(self) -> float | None:
        """What it reached there."""
        return self.results[self.rung].valid_auc if self.results else None


def rungs_of(iterations: int, every: int | None) -> list[Rung]:
    """The rungs of a fit of so many iterations, evaluated every so many.

    A fit without evaluations in between has one rung: nothing is known of it before its end. An early rung
    ends at an evaluation.
    """
    early: list[int] = []
    for part in FRACTIONS if every else ():
        assert every is not None
        ends = -(-iterations // part // every) * every
        if (early[-1] if early else 0) < ends < iterations:
            early.append(ends)
    return [*(Rung(ends, False) for ends in early), Rung(iterations, True)]


def promoted(trials: Sequence[Trial], rung: int) -> list[Trial]:
    """The trials that go on from a rung: those in its better quarter that have not yet."""
    ended = [one for one in trials if rung in one.results and one.results[rung].valid_auc is not None]
    ended.sort(key=lambda one: (-(one.results[rung].valid_auc or 0.0), one.number))
    ways = sum(rung in one.results for one in trials) // ETA
    return [one for one in ended[:ways] if rung + 1 not in one.results]


def estimates(trials: Sequence[Trial], rungs: int) -> dict[int, float]:
    """What each trial would have reached on the last rung, by number; those without an AUC are left out.

    A trial that stopped earlier is given the mean gain, rung by rung, of those that went on.
    """
    gains = []
    for rung in range(rungs - 1):
        both = [
            one.results[rung + 1].valid_auc - one.results[rung].valid_auc  # type: ignore[operator]
            for one in trials
            if all(r in one.results and one.results[r].valid_auc is not None for r in (rung, rung + 1))
        ]
        gains.append(sum(both) / len(both) if both else 0.0)
    return {
        one.number: one.valid_auc + sum(gains[one.rung :])
        for one in trials
        if one.results and one.valid_auc is not None
    }
