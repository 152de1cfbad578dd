"""`tune`: options chosen by validation AUC, in waves of trials, beside each other, from a journal on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends, expected
from ivbpr_numba.distributed import crew_of
from ivbpr_numba.errors import DataError, Interrupted, UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.features.alignment import learned_as, values_in_a_row
from ivbpr_numba.fitted.fitted import RUN_OPTIONS
from ivbpr_numba.models.specifications import SPECIFICATIONS
from ivbpr_numba.processes import Crew, Processes, cores
from ivbpr_numba.signals import stop_signals
from ivbpr_numba.store.atomic import PathLike, lock
from ivbpr_numba.store.files import check_target
from ivbpr_numba.tuning.fitting import Inputs, fit_trial
from ivbpr_numba.tuning.journal import Journal, journal_path
from ivbpr_numba.tuning.parts import asked_at_first, without_test
from ivbpr_numba.tuning.result import FORMAT, Tuning, refuse_other_search
from ivbpr_numba.tuning.rungs import WAVE, rungs_of
from ivbpr_numba.tuning.space import Space, space_of
from ivbpr_numba.tuning.waves import Search

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["TRIALS", "tune"]

TRIALS = 40  # where neither trials nor minutes are said


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
    client: Any = None,
    options: Mapping[str, Any] | None = None,
    out: PathLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    observers: Observer | Sequence[Observer] = (),
) -> Tuning:
    """Choose a model's options by validation AUC.

    Training and validation part alone are looked at; the test part is emptied before anything begins. Trial 0
    is the model's defaults, so that what is found is never below them on validation. The same trials, with
    the same bits, are made for any number of processes and after any interruption; with `minutes` as many of
    them as there is time for.

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
        Fits beside each other, by default one a core, up to four: a wave has no more. Each has its share of
        the cores as threads.
    client : distributed.Client, optional
        Of a Dask cluster whose workers fit instead (extra ``dask``); the trials are the same.
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
    device = (options or {}).get("device") or "cpu"
    backends.check_device(device)
    if device == "cuda":  # told now, not by the first of many fits; one at a time has the device's memory
        backends.choose_device(device)
    n_processes = _count("processes", processes, 1 if device == "cuda" else min(cores(), WAVE))
    assert n_processes is not None
    crew: Crew = Processes(n_processes) if client is None else crew_of(client)
    if minutes is not None and not (isinstance(minutes, int | float) and minutes > 0):
        raise UsageError(f"{parameter('minutes', minutes)}: it must be a number above 0.", "Mend the value.")
    kind = learned_as(used[0]) if used else None
    # How the fits run is not what they learn: it is neither searched nor recorded.
    run_options = {name: value for name, value in (options or {}).items() if name in RUN_OPTIONS}
    held = {name: value for name, value in (options or {}).items() if name not in RUN_OPTIONS}
    searched = space_of(model, space, held, kind)
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
    if device != "cpu":  # rounds otherwise
        facts["device"] = device
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
        search = Search(searched, rungs, seed, n_trials, minutes, kind, journal, told, begun)
        for observer in told:
            observer(
                {
                    "event": "start",
                    "model": model,
                    "trials": n_trials,
                    "minutes": minutes,
                    "processes": crew.size,
                    **facts,
                    "searched": searched.names,
                    "resumed": len(journal.known),
                }
            )
        threads = run_options.get("threads") or crew.threads
        inputs = Inputs.of(model, seen, used, first, {**searched.fixed, **run_options, "threads": threads})
        try:
            with crew.begin(fit_trial, inputs) as workers:
                search.run(workers, stopped)
        except Interrupted as stop:
            hint = "" if out is None else f"{parameter('resume', True)} goes on from there."
            ended = f"Interrupted after {len(journal.known)} fits" + (
                "." if out is None else "; they are kept."
            )
            number, way = stop.exit_code - 128, None if out is None else "resume"
            raise Interrupted(ended, hint, number, way) from None
        found = search.tuning({**facts, "trials": n_trials}, crew.size)
        payload = None if out is None else found.save(out, overwrite=True, keep_lock=keep_lock)
        journal.remove()
    for observer in told:
        observer(
            {
                "event": "end",
                "valid_auc": found.valid_auc,
                "seconds": found.seconds,
                "payload_sha256": payload,
            }
        )
    return found


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
