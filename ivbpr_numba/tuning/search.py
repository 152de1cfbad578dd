"""`tune`: options chosen by validation AUC, in waves of trials, beside each other, from a journal on."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import DataError, Interrupted, UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.features.alignment import learned_as, values_in_a_row
from ivbpr_numba.models.specifications import SPECIFICATIONS
from ivbpr_numba.signals import stop_signals
from ivbpr_numba.store.atomic import PathLike, lock
from ivbpr_numba.store.files import check_target
from ivbpr_numba.tuning.fitting import Fitter, as_given
from ivbpr_numba.tuning.importance import importance
from ivbpr_numba.tuning.journal import Journal, journal_path
from ivbpr_numba.tuning.parts import asked_at_first, without_test
from ivbpr_numba.tuning.processes import Answer, Job, Workers, cores
from ivbpr_numba.tuning.proposals import propose
from ivbpr_numba.tuning.result import FORMAT, Tuning, refuse_other_search
from ivbpr_numba.tuning.rungs import WAVE, Result, Rung, Trial, estimates, promoted, rungs_of
from ivbpr_numba.tuning.space import Space, space_of

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["TRIALS", "tune"]

TRIALS = 40  # where neither trials nor minutes are said

Runner = Callable[[Sequence[Job], Callable[[Job], bool]], Iterator[tuple[Job, Answer]]]


def tune(
    model: str,
    data: Dataset,
    features: Features | Sequence[Features] | None = None,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    space: Mapping[str, Any] | PathLike | None = None,
    seed: int = 0,
    processes: int | None = None,
    options: Mapping[str, Any] | None = None,
    out: PathLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    observers: Observer | Sequence[Observer] = (),
) -> Tuning:
    """Choose a model's options by validation AUC.

    Training and validation part alone are looked at; the test part is emptied before anything begins. Trial 0
    is the model's defaults, so that what is found is never below them on validation. The same trials, with the
    same bits, are made for any number of processes and after any interruption; with `minutes` as many of them
    as there is time for.

    Parameters
    ----------
    model : str
        Its name; ``rand`` and ``pop`` learn nothing and can't be tuned.
    data : Dataset
    features : Features or list of Features, optional
        As for `Model.fit`.
    trials : int, optional
        Different options to try, the defaults among them; 40 where `minutes` isn't said either.
    minutes : float, optional
        After so many, no further fit is begun; what was begun is finished.
    space : mapping or path, optional
        What to search, see `tuning.spaces.toml`; the built-in space by default.
    seed : int
        Of the search; the fits have the seed of `options`, or the model's default.
    processes : int, optional
        Fits beside each other, all cores by default; each has its share of the cores as threads.
    options : mapping, optional
        Fixed for all trials: ``preset``, ``iterations``, ``seed``, ….
    out : path, optional
        Where to save; while the search runs, ``OUT.partial.jsonl`` keeps what is known.
    resume : bool
        Go on from that journal, if there is one.
    overwrite : bool
        Throw the journal away, and replace what another search found.
    observers : sequence of callables, or one
        Told ``{"event": "start", …}``, then ``{"event": "trial", "done", "total", "row", "default_auc",
        "best_auc"}`` after every fit, ``{"event": "warning", "message"}`` and ``{"event": "end", …}``.

    Returns
    -------
    Tuning

    Raises
    ------
    UsageError
        A model without options to tune, a space that can't be searched, an unfinished search that is neither
        resumed nor overwritten; what `Model.fit` refuses.
    DataError
        No user has a validation item; what `Model.fit` refuses.
    Interrupted
        After SIGINT or SIGTERM.
    """
    begun = time.monotonic()
    expected.dataset(data, "tune")
    used = _features_of(model, features)
    told: list[Observer] = [observers] if callable(observers) else list(observers)
    expected.whole("seed", seed, 0)
    n_trials = _count("trials", trials, TRIALS if minutes is None else None)
    n_processes = _count("processes", processes, cores())
    assert n_processes is not None
    if minutes is not None and not (isinstance(minutes, int | float) and minutes > 0):
        raise UsageError(f"{parameter('minutes', minutes)}: it must be a number above 0.", "Mend the value.")
    kind = learned_as(used[0]) if used else None
    searched = space_of(model, space, options, kind)
    seen = without_test(data)
    if not len(seen.valid):
        raise DataError(
            "No user has a validation item, so nothing can be chosen by validation.",
            "Prepare the data with a split that has a validation part.",
        )
    rungs = rungs_of(searched.defaults["iterations"], searched.defaults["eval_every"])
    first = _asked_at_first(seen, used, searched, seed)
    everybody = int(np.count_nonzero(np.diff(seen.valid.indptr)))
    digests = {
        "dataset": seen.payload_sha256,
        "features": [one.payload_sha256 for one in used],
    }
    facts = {
        "seed": int(seed),
        "rungs": [rung.iterations for rung in rungs],
        "asked": [len(first) if len(rungs) > 1 else everybody, everybody],
        "digests": digests,
    }
    identity = {"model": model, "space": searched.as_document(), **facts}
    with ExitStack() as stack:
        keep_lock = None
        if out is not None:
            _refuse_unclear_state(out, resume, overwrite, {**identity, "trials": n_trials})
            keep_lock = stack.enter_context(lock(out))
        elif resume or overwrite:
            raise UsageError(
                f"{parameter('resume')} and {parameter('overwrite')} need a file to save to.",
                f"Name it with {parameter('out')}.",
            )
        stopped = stack.enter_context(stop_signals())
        journal = Journal(out, identity, resume)
        stack.callback(journal.close)
        search = _Search(searched, rungs, seed, n_trials, minutes, kind, journal, told, begun)
        for observer in told:
            observer(
                {
                    "event": "start",
                    "model": model,
                    "trials": n_trials,
                    "minutes": minutes,
                    "processes": n_processes,
                    **facts,
                    "searched": searched.names,
                    "resumed": len(journal.known),
                }
            )
        try:
            with _runner(model, seen, used, first, searched.fixed, n_processes, stopped) as run:
                search.run(run)
        except Interrupted as stop:
            hint = "" if out is None else f"{parameter('resume', True)} goes on from there."
            ended = f"Interrupted after {len(journal.known)} fits" + (
                "." if out is None else "; they are kept."
            )
            number, way = stop.exit_code - 128, None if out is None else "resume"
            raise Interrupted(ended, hint, number, way) from None
        found = search.tuning({**facts, "trials": n_trials}, n_processes)
        if out is not None:
            found.save(out, overwrite=True, keep_lock=keep_lock)
        journal.remove()
    for observer in told:
        observer({"event": "end", "valid_auc": found.valid_auc, "seconds": found.seconds})
    return found


class _Search:
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
        self._begun = begun - journal.elapsed  # the clock of an interrupted search goes on

    @property
    def elapsed(self) -> float:
        """Seconds of the whole search so far."""
        return time.monotonic() - self._begun

    def run(self, run: Runner) -> None:
        """Wave by wave, until there is nothing to begin."""
        while jobs := self._wave():
            # The longest first, so that no core waits long for the last one.
            jobs.sort(key=lambda job: (-job["rung"], job["number"]))
            rest = [job for job in jobs if not self._take_over(job)]
            for job, answer in run(rest, self._may_begin):
                self.journal.add((job["number"], job["rung"]), answer, round(self.elapsed, 3))
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
        if not jobs or missing > 0 or last == 0:
            known = self._known()
            for number in range(numbers, numbers + missing):
                places, origin = propose(self.space, self.seed, number, known)
                options = self.space.values(places)
                self.space.check(options, self.kind)
                self.trials.append(Trial(number, origin, options))
                jobs.append(self._job(self.trials[-1], 0))
        return jobs

    def _known(self) -> list[tuple[dict[str, float], float]]:
        values = estimates(self.trials, len(self.rungs))
        return [(self.space.places(one.options), values[one.number]) for one in self.trials if one.number in values]

    def _job(self, trial: Trial, rung: int) -> Job:
        own = self.rungs[rung]
        return {
            "number": trial.number,
            "rung": rung,
            "options": trial.options,
            "iterations": own.iterations,
            "last": own.last,
        }

    def _may_begin(self, job: Job) -> bool:
        """Whether there is time; the defaults are always judged, so that there is something to choose."""
        if self.minutes is None or self.elapsed < 60 * self.minutes or job["number"] == 0:
            return True
        self.out_of_time = True
        return False

    def _take_over(self, job: Job) -> bool:
        """Note what the journal knows of a job, and tell it; whether it knew anything."""
        found = self.journal.known.get((job["number"], job["rung"]))
        if found is None:
            return False
        trial = self.trials[job["number"]]
        trial.results[job["rung"]] = Result(**found)
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

    def _tell(self, event: dict[str, Any]) -> None:
        for observer in self.observers:
            observer(event)

    def _row(self, trial: Trial) -> dict[str, Any]:
        """A trial as a row of `Tuning.trials`."""
        rung = trial.rung
        result = trial.results.get(rung)
        state = "finished" if rung == len(self.rungs) - 1 else "stopped"
        if result is not None and result.valid_auc is None:
            state = "diverged"
        kept = {} if result is None else asdict(result)
        return {
            "number": trial.number,
            "origin": trial.origin,
            "state": state,
            "rung": rung + 1,
            **{key: kept.get(key) for key in ("iterations", "best_iteration", "valid_auc", "stderr", "users")},
            "options": trial.options,
            "reached": [trial.results[r].valid_auc if r in trial.results else None for r in range(len(self.rungs))],
            "seconds": round(sum(one.seconds for one in trial.results.values()), 3),
        }

    def tuning(self, facts: Mapping[str, Any], processes: int) -> Tuning:
        """What was found."""
        rows = [self._row(one) for one in self.trials if one.results]
        finished = [row for row in rows if row["state"] == "finished"]
        if not finished:
            problem = rows[0]["state"] if rows else "nothing ended"
            raise UsageError(
                f"No trial ended the last rung, not even the defaults ({problem}).",
                f"Narrow the space towards smaller {parameter('learning_rate')}.",
            )
        values = estimates(self.trials, len(self.rungs))
        chosen = [one for one in self.trials if one.number in values]
        best = max(finished, key=lambda row: (row["valid_auc"], -row["number"]))
        return Tuning(
            model=self.space.model,
            best={**self.space.fixed, **best["options"]},
            trials=rows,
            importance=importance(
                self.space, [one.options for one in chosen], [values[one.number] for one in chosen]
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


def _features_of(model: str, features: Any) -> list[Features]:
    """The features that a model uses, as a list."""
    if model not in SPECIFICATIONS or SPECIFICATIONS[model].kind is None:
        return []
    listed = features if isinstance(features, list | tuple) else [features]
    for one in listed:
        expected.features(one, "tune")
    return [one for one in listed if one is not None]


def _count(name: str, value: int | None, default: int | None) -> int | None:
    return default if value is None else expected.whole(name, value, 1)


def _asked_at_first(data: Dataset, features: Sequence[Features], space: Space, seed: int) -> np.ndarray:
    options = space.defaults
    every = options["eval_every"] or options["iterations"]
    values = sum(map(values_in_a_row, features))
    return asked_at_first(data, every, options["factors"], options.get("visual_factors", 0), values, seed)


def _refuse_unclear_state(out: PathLike, resume: bool, overwrite: bool, identity: dict[str, Any]) -> None:
    """Refuse what stands in the way of writing `out`."""
    check_target(out, FORMAT)
    journal = journal_path(out)
    if resume and overwrite:
        raise UsageError(
            f"{parameter('resume', True)} and {parameter('overwrite', True)} contradict each other.",
            "Give one of them.",
        )
    if overwrite:
        return
    if journal.exists() and not resume:
        raise UsageError(
            f"There is an unfinished search in '{journal}'.",
            f"Go on from it with {parameter('resume', True)}, or throw it away with "
            f"{parameter('overwrite', True)}.",
        )
    if not journal.exists():
        refuse_other_search(out, identity)


@contextmanager
def _runner(
    model: str,
    data: Dataset,
    features: list[Features],
    first: np.ndarray,
    fixed: Mapping[str, Any],
    processes: int,
    stopped: Callable[[], int],
) -> Iterator[Runner]:
    """How jobs are done: here one after the other, or by several processes."""
    if processes == 1:
        fitter = Fitter(model, data, as_given(features), first, fixed, None)

        def here(jobs: Sequence[Job], go_on: Callable[[Job], bool]) -> Iterator[tuple[Job, Answer]]:
            for job in jobs:
                if number := stopped():
                    raise Interrupted("Interrupted.", "", number)
                if go_on(job):
                    yield job, fitter(**job)

        yield here
        return
    with tempfile.TemporaryDirectory(prefix="ivbpr-") as folder:
        places = [os.path.join(folder, "data.h5")]
        data.write(places[0])
        for n, one in enumerate(features):
            places.append(one.path or os.path.join(folder, f"features{n}.h5"))
            if one.path is None:
                one.write(places[-1])
        setup = {
            "model": model,
            "data": places[0],
            "features": [os.path.abspath(place) for place in places[1:]],
            "first": first.tolist(),
            "fixed": dict(fixed),
            "threads": max(1, cores() // processes),
        }
        workers = Workers("ivbpr_numba.tuning.fitting:FromFiles", setup, processes)
        with ExitStack() as stack:
            workers = stack.enter_context(workers)
            workers.ready(stopped)
            kept = stack.pop_all()
    # The files are gone by now: a process that is killed leaves none behind.
    with kept:
        yield lambda jobs, go_on: workers.run(jobs, stopped, go_on)
