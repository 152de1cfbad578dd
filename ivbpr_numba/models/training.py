"""The fit loop: iterate, average, validate, keep the best, checkpoint, stop, tell observers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.backends import Kernels, kernels
from ivbpr_numba.errors import Interrupted, UsageError, parameter
from ivbpr_numba.events import Event, Observer
from ivbpr_numba.kernels.compilation import compile_seconds, computing_clock
from ivbpr_numba.models.learners import Learner, Tables
from ivbpr_numba.processes import Crew
from ivbpr_numba.ranking import Questions, count

__all__ = ["Diverged", "TrainingState", "average", "diverged", "run_iterations"]


@dataclass
class TrainingState:
    """Everything a fit needs to go on: also what a checkpoint holds.

    Attributes
    ----------
    iteration : int
        Iterations done.
    triples : int
    seconds : float
        Computing time so far, over all resumes.
    raw, averaged, best : dict of arrays
        `averaged` is empty without averaging, `best` before the first evaluation.
    best_iteration, best_auc
        0 and NaN before the first evaluation.
    history : list of dict
        One row per evaluation.
    fallbacks : int
        Triples drawn by the uniform law because their user had no other admissible negative.
    spare : dict of arrays
        Room for the next average while `averaged` is kept as `best`; no part of a checkpoint.
    bring : callable
        Fetches `raw` and `averaged` where they are kept elsewhere between the iterations.
    """

    raw: Tables
    averaged: Tables = field(default_factory=dict)
    best: Tables = field(default_factory=dict)
    iteration: int = 0
    triples: int = 0
    seconds: float = 0.0
    best_iteration: int = 0
    best_auc: float = math.nan
    history: list[dict[str, Any]] = field(default_factory=list)
    fallbacks: int = 0
    spare: Tables = field(default_factory=dict)
    bring: Callable[[], None] = lambda: None

    @property
    def current(self) -> Tables:
        """Tables that are validated and used: the averaged ones where averaging is on."""
        return self.averaged or self.raw

    @property
    def chosen(self) -> Tables:
        """Tables of the finished model: the best ones where there was a validation."""
        return self.best or self.current


def _average(state: TrainingState, raw: Tables, decay: float, kernels: Kernels) -> None:
    """avg ← avg + (1 − a)(P − avg), starting as a copy after iteration 1.

    Where the average is what was kept as the best, it stays as it is and the next one goes elsewhere.
    """
    if state.iteration == 1:
        state.averaged = _copied(raw, kernels)
        return
    into = state.averaged
    if state.best is state.averaged:
        into = state.spare or _copied(raw, kernels)
        state.spare = {}
    for name, table in raw.items():
        average = state.averaged[name]
        if table.dtype.kind == "i":  # the ends of epochs: there is no epoch in between
            into[name][...] = table
        elif table.size:
            flat = (average.ravel(), table.ravel())
            kernels.move_average(*flat, np.float32(1.0 - decay), into[name].ravel())
    state.averaged = into


def average(before: Tables, raw: Tables, iteration: int, decay: float) -> Tables:
    """The averaged tables after an iteration, in arrays of their own: what `_average` does, on the CPU."""
    state = TrainingState(raw, before, before, iteration=iteration)
    _average(state, raw, decay, kernels())
    return state.averaged


def _keep(state: TrainingState, kernels: Kernels) -> None:
    """Keep the current tables as the best ones: averages by name, as `_average` leaves them alone then."""
    if not state.averaged:
        state.best = _copied(state.raw, kernels)
    elif state.best is not state.averaged:
        state.best, state.spare = state.averaged, state.best


def _copied(tables: Tables, kernels: Kernels) -> Tables:
    return {name: kernels.copy(table) for name, table in tables.items()}


class Diverged(UsageError):
    """The numbers of a fit grew beyond all bounds."""


def diverged(what: str) -> Diverged:
    """The error about a fit whose numbers grew beyond all bounds: its options ask too much."""
    return Diverged(
        f"The fit diverged: {what}.",
        f"Lower {parameter('learning_rate')}, or scale the features "
        f"({parameter('feature_scaling', 'standard')}).",
    )


def run_iterations(
    learner: Learner,
    state: TrainingState,
    options: dict[str, Any],
    asked: Questions | None,
    n_items: int,
    observers: Sequence[Observer] = (),
    checkpoint: Callable[[TrainingState, bool], None] | None = None,
    stopped: Callable[[], int] = lambda: 0,
    crew: Crew | None = None,
) -> TrainingState:
    """Fit until the iterations are done, patience runs out, or a signal comes.

    Parameters
    ----------
    learner : Learner
        Its `tables` are `state.raw`.
    state : TrainingState
        Fresh, or restored from a checkpoint; changed in place.
    options : dict
        Resolved options: iterations, eval_every, patience, average, learning_rate. Without eval_every
        only the last iterate is validated, and kept.
    asked : Questions or None
        Validation questions; None fits all iterations and keeps the last parameters.
    checkpoint : callable or None
        Called as (state, urgent) after every iteration; decides itself whether to write.
    stopped : callable
        Number of the signal that came, or 0.
    crew : Crew, optional
        Who counts for validations.

    Raises
    ------
    Interrupted
        After a signal, once `checkpoint` has run.
    UsageError
        When the parameters diverge.
    """
    total, every, patience = options["iterations"], options["eval_every"], options["patience"]
    decay, everything = options["average"], np.zeros(n_items, np.int8)
    warned: set[str] = set()
    window_triples, window_seconds = 0, 0.0
    compiled_before = compile_seconds()
    elsewhere = learner.attach(state)

    # Compiled before the first iteration, so that people wait once; the clock leaves compilation out anyway.
    if state.iteration < total:
        learner.compile()
        if asked is not None:
            count(learner.scorer(state.current), asked.part(np.arange(1)), everything, learner.kernels)

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    def exhausted() -> bool:
        return bool(patience and state.best_iteration and state.iteration - state.best_iteration >= patience)

    def outlook() -> dict[str, Any]:
        return {
            "iterations": total,
            "best_iteration": state.best_iteration,
            "best_valid_auc": state.best_auc if state.best_iteration else None,
            "seconds_left": state.seconds / state.iteration * (total - state.iteration),
        }

    while state.iteration < total and not exhausted():
        begun = computing_clock()
        state.iteration += 1
        done = learner.iterate(state.iteration)
        if not math.isfinite(done.loss):
            raise diverged(f"at iteration {state.iteration} the loss is no longer finite")
        if decay and not elsewhere:
            _average(state, learner.tables, decay, learner.kernels)
        spent = computing_clock() - begun
        state.triples += done.triples
        state.fallbacks += done.fallbacks
        window_triples, window_seconds = window_triples + done.triples, window_seconds + spent
        if done.warning and done.warning not in warned:
            warned.add(done.warning)
            tell({"event": "warning", "message": done.warning})
        last = state.iteration == total
        if last or (every and state.iteration % every == 0):
            begun = computing_clock()
            state.bring()
            auc = math.nan
            if asked is not None:
                values, _, _ = count(
                    learner.scorer(state.current), asked, everything, learner.kernels, crew
                ).auc()
                known = values[np.isfinite(values)]
                auc = float(known.mean()) if len(known) else math.nan
                if math.isfinite(auc) and (state.best_iteration == 0 or auc > state.best_auc):
                    state.best_auc, state.best_iteration = auc, state.iteration
                    _keep(state, learner.kernels)
            state.seconds += spent + computing_clock() - begun
            row = {
                "iteration": state.iteration,
                "triples": state.triples,
                "seconds": round(state.seconds, 6),
                "triples_per_second": round(window_triples / max(window_seconds, 1e-9), 1),
                "loss": done.loss / max(done.triples, 1),
                "valid_auc": auc if math.isfinite(auc) else None,
                "learning_rate": options["learning_rate"],
                "fallbacks": state.fallbacks,
            }
            state.history.append(row)
            compiled = round(compile_seconds() - compiled_before, 3)
            tell({"event": "evaluation", **row, "compile_seconds": compiled, **outlook()})
            window_triples, window_seconds = 0, 0.0
        else:
            state.seconds += spent
            rate = window_triples / max(window_seconds, 1e-9)
            tell(
                {
                    "event": "iteration",
                    "iteration": state.iteration,
                    "triples_per_second": rate,
                    **outlook(),
                }
            )
        number = stopped()
        if checkpoint is not None:
            checkpoint(state, bool(number))
        if number:
            raise Interrupted(
                f"Interrupted after iteration {state.iteration} of {total}.",
                f"The state is kept; {parameter('resume', True)} goes on from there."
                if checkpoint is not None
                else "",
                number,
            )
    return state
