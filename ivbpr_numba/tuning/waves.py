"""One search: waves of trials, what is known of them, and what was found in the end."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from ivbpr_numba.errors import Interrupted, UsageError, parameter
from ivbpr_numba.events import Event, Observer
from ivbpr_numba.processes import Hands
from ivbpr_numba.tuning.importance import importance
from ivbpr_numba.tuning.journal import Journal
from ivbpr_numba.tuning.proposals import propose
from ivbpr_numba.tuning.result import Tuning
from ivbpr_numba.tuning.rungs import WAVE, Result, Rung, Trial, estimates, promoted
from ivbpr_numba.tuning.space import Space

__all__ = ["Search"]

Job = dict[str, Any]  # for `fitting.fit_trial`: number, rung, options, iterations, last
FIGURES = ("iterations", "best_iteration", "valid_auc", "stderr", "users")


class Search:
    """The waves of one search, and what is known of its trials."""

    def __init__(
        self,
        space: Space,
        rungs: Sequence[Rung],
        seed: int,
        wanted: int | None,
        minutes: float | None,
        kind: str | None,
        journal: Journal,
        observers: Sequence[Observer],
        begun: float,
    ) -> None:
        self.space, self.rungs, self.seed, self.wanted = space, rungs, seed, wanted
        self.minutes, self.kind, self.journal, self.observers = minutes, kind, journal, observers
        self.trials: list[Trial] = []
        self.out_of_time = False
        self._refused: set[str] = set()
        self._begun = begun - journal.elapsed  # the clock of an interrupted search goes on

    @property
    def elapsed(self) -> float:
        """Seconds of the whole search so far."""
        return time.monotonic() - self._begun

    def run(self, workers: Hands, stopped: Callable[[], int]) -> None:
        """Wave by wave, until there is nothing to begin."""
        while jobs := self._wave():
            # The defaults, then the longest first, so that no core waits long for the last one.
            jobs.sort(key=lambda job: (job["number"] != 0, -job["rung"], job["number"]))
            rest = [job for job in jobs if not self._take_over(job)]
            for place, result in workers.run(self._in_time(rest, stopped)):
                job = rest[place]
                self.journal.add((job["number"], job["rung"]), result, round(self.elapsed, 3))
                self._take_over(job)
            if self.out_of_time:
                break
        if self.out_of_time:
            self._tell(
                {
                    "event": "warning",
                    "message": f"The {self.minutes:g} minutes were over after {len(self.trials)} trials: no "
                    "further fit was begun. Another run, or machine, may come further.",
                }
            )

    def _wave(self) -> list[Job]:
        """What is promoted, and new trials; both by what was known before this wave."""
        last = len(self.rungs) - 1
        jobs = [self._job(one, rung + 1) for rung in range(last) for one in promoted(self.trials, rung)]
        if not self.trials:
            trial = Trial(0, "default", self.space.default())
            self.trials.append(trial)
            jobs += [self._job(trial, rung) for rung in range(len(self.rungs))]
        numbers = len(self.trials)
        missing = WAVE if self.wanted is None else min(WAVE, self.wanted - numbers)
        if missing > 0:
            known = self._known()
            for number in range(numbers, numbers + missing):
                places, origin = propose(self.space, self.seed, number, known)
                options = self.space.values(places)
                self.space.check(options, self.kind)
                self.trials.append(Trial(number, origin, options))
                jobs.append(self._job(self.trials[-1], 0))
        return jobs

    def _known(self) -> list[tuple[dict[str, float], float]]:
        """Places and estimated AUC of the trials that have one."""
        values = estimates(self.trials, len(self.rungs))
        known = [one for one in self.trials if one.number in values]
        return [(self.space.places(one.values), values[one.number]) for one in known]

    def _job(self, trial: Trial, rung: int) -> Job:
        own = self.rungs[rung]
        return {
            "number": trial.number,
            "rung": rung,
            "options": trial.options,
            "iterations": own.iterations,
            "last": own.last,
        }

    def _in_time(self, jobs: Sequence[Job], stopped: Callable[[], int]) -> Iterator[Job]:
        """The jobs, as long as there is time; the defaults first, so that there is something to choose."""
        for job in jobs:
            if number := stopped():
                raise Interrupted("Interrupted.", "", number)
            if self.minutes is not None and self.elapsed >= 60 * self.minutes and job["number"]:
                self.out_of_time = True
                return
            yield job

    def _take_over(self, job: Job) -> bool:
        """Note what the journal knows of a job, and tell it; whether it knew anything."""
        found = self.journal.known.get((job["number"], job["rung"]))
        if found is None:
            return False
        trial = self.trials[job["number"]]
        trial.results[job["rung"]] = result = Result(**found)
        if result.refused and result.problem not in self._refused:
            self._refused.add(result.problem)
            self._tell({"event": "warning", "message": f"Trial {trial.number} was refused: {result.problem}"})
        finished = [row["valid_auc"] for row in map(self._row, self.trials) if row["state"] == "finished"]
        self._tell(
            {
                "event": "trial",
                "done": sum(bool(one.results) for one in self.trials),
                "total": self.wanted,
                "row": self._row(trial),
                "best_auc": max(finished, default=None),
                "default_auc": self._row(self.trials[0])["valid_auc"],
                "elapsed": round(self.elapsed, 1),
            }
        )
        return True

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)

    def _row(self, trial: Trial) -> dict[str, Any]:
        """A trial as a row of `Tuning.trials`."""
        rung = trial.rung
        result = trial.results.get(rung)
        state = "finished" if rung == len(self.rungs) - 1 else "stopped"
        if result is not None and result.valid_auc is None:
            state = "refused" if result.refused else "diverged"
        kept = {} if result is None else asdict(result)
        reached = [trial.results[r].valid_auc if r in trial.results else None for r in range(len(self.rungs))]
        return {
            "number": trial.number,
            "origin": trial.origin,
            "state": state,
            "rung": rung + 1,
            **{name: kept.get(name) for name in FIGURES},
            "options": trial.options,
            "reached": reached,
            "spent": trial.spent,
            "seconds": round(sum(one.seconds for one in trial.results.values()), 3),
        }

    def tuning(self, facts: Mapping[str, Any], processes: int) -> Tuning:
        """What was found."""
        values = estimates(self.trials, len(self.rungs))
        rows = [{**self._row(one), "estimate": values.get(one.number)} for one in self.trials if one.results]
        finished = [row for row in rows if row["state"] == "finished"]
        if not finished:
            problem = rows[0]["state"] if rows else "nothing ended"
            raise UsageError(
                f"No trial ended the last rung, not even the defaults ({problem}).",
                f"Narrow the space towards smaller {parameter('learning_rate')}.",
            )
        chosen = [one for one in self.trials if one.number in values]
        best = max(finished, key=lambda row: (row["valid_auc"], -row["number"]))
        return Tuning(
            model=self.space.model,
            best={**self.space.fixed, **best["options"]},
            trials=rows,
            importance=importance(
                self.space, [one.values for one in chosen], [values[one.number] for one in chosen]
            ),
            space=self.space.as_document(),
            search=dict(facts),
            seconds=round(self.elapsed, 3),
            provenance={
                "ivbpr": metadata.version("ivbpr"),
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in ("numpy", "numba")},
                "processes": processes,
                "minutes": self.minutes,
                "out_of_time": self.out_of_time,
            },
        )
