"""What part of each goal we reach at two threads.

A program that is not run here enters with a recorded rate, carried over to this machine by the rates of
implicit, recorded and measured now, where it was measured in the same run.
"""

from __future__ import annotations

from typing import Any

from benchmarks.recorded import Recorded
from benchmarks.registry import Case, Goal

__all__ = ["THREADS", "Rates", "carried", "goals_of", "implicit_beside", "rates_of"]

THREADS = 2  # goals are stated for so many
Rates = tuple[float, float]  # by the clock and per CPU second


def rates_of(rows: list[dict[str, Any]]) -> dict[str, Rates]:
    """Rates at two threads by label."""
    return {
        row["label"]: (row["per_second"], row["per_cpu_second"])
        for row in rows
        if row["threads"] == THREADS and "per_second" in row
    }


def implicit_beside(case: Case) -> float:
    """The rate of implicit that was recorded at this case's size, a CPU second."""
    return next(goal.of.implicit for goal in case.goals if isinstance(goal.of, Recorded))


def carried(rates: Rates, case: Case) -> Rates:
    """How much faster implicit is now than it was when it was recorded: by the clock, and a CPU second."""
    then = implicit_beside(case)
    return rates[0] / (THREADS * then), rates[1] / then


def goals_of(case: Case, rows: list[dict[str, Any]], carry: Rates | None) -> list[dict[str, Any]]:
    """One row for every goal of a case that the measurements can answer.

    Parameters
    ----------
    carry : two floats or None
        Rates of implicit at two threads over those recorded, by the clock and per CPU second; used where the
        case does not measure implicit itself.

    Returns
    -------
    list of dict
        ``case label times of how reached reached_per_cpu_second fraction``.
    """
    rates, found = rates_of(rows), []
    here = carried(rates["implicit"], case) if "implicit" in rates else carry
    for goal in case.goals:
        label = goal.label or next(iter(case.ours))
        beside = _beside(goal, rates, here)
        if label not in rates or beside is None:
            continue
        name, how, (wall, cpu) = beside
        reached = rates[label][0] / wall
        found.append(
            {
                "case": case.name,
                "label": label,
                "times": goal.times,
                "of": name,
                "how": how,
                "reached": reached,
                "reached_per_cpu_second": rates[label][1] / cpu,
                "fraction": reached / goal.times,
            }
        )
    return found


def _beside(goal: Goal, rates: dict[str, Rates], here: Rates | None) -> tuple[str, str, Rates] | None:
    """Name, origin and rates of what a goal compares with; None where it was not measured."""
    if not isinstance(goal.of, Recorded):
        return (goal.of, "measured", rates[goal.of]) if goal.of in rates else None
    if goal.of.label in rates:
        return goal.of.name, "measured", rates[goal.of.label]
    wall, cpu = THREADS * goal.of.rate, goal.of.rate
    if here is None:
        return goal.of.name, "recorded", (wall, cpu)
    return goal.of.name, "recorded, carried over by implicit", (wall * here[0], cpu * here[1])
