"""Coming to a crew: a scheduler's address, workers of this machine, or a client that somebody made."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ivbpr_numba import expected
from ivbpr_numba.distributed.crew import WITHOUT_WORKERS, DaskCrew
from ivbpr_numba.distributed.facts import differing, facts_here
from ivbpr_numba.distributed.pieces import path_problem, worker_facts
from ivbpr_numba.errors import EnvironmentProblem, UsageError, parameter
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["cluster", "connected", "crew_of", "workers_of"]

ANSWER = 10.0  # seconds that a scheduler may take to answer
COME = 15.0  # seconds that are waited for a first worker
ASKED = 30.0  # seconds that a worker may take to tell what it is


@contextmanager
def cluster(scheduler: str | None = None, workers: int | None = None) -> Iterator[DaskCrew | None]:
    """The crew of a running cluster, or of one on this machine that ends with the block.

    Parameters
    ----------
    scheduler : str, optional
        Its address, such as ``tcp://10.0.0.1:8786``.
    workers : int, optional
        So many processes of this machine, with one thread each. They import the main module of the program
        anew, so a script needs its ``if __name__ == "__main__"``.

    Yields
    ------
    DaskCrew or None
        None where neither was given.

    Raises
    ------
    UsageError
        Both were given.
    EnvironmentProblem
        Dask is not installed, nobody answers, or a worker computes other bits; see `crew_of`.
    """
    if scheduler is None and workers is None:
        yield None
        return
    if scheduler is not None and workers is not None:
        raise UsageError(
            f"{parameter('scheduler', scheduler)} and {parameter('workers', workers)} contradict each other.",
            "Give one of them.",
        )
    if scheduler is not None:
        with connected(scheduler) as crew:
            yield crew_of(crew.client)
        return
    expected.whole("workers", workers, 1)
    _check_installed()
    from dask import config
    from distributed import Client, LocalCluster

    # A worker that was lost may need long to come again on a busy machine; Dask gives it up after 15 seconds.
    with (
        config.set({"distributed.deploy.lost-worker-timeout": f"{WITHOUT_WORKERS:g}s"}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,  # what matters is told as an error of ours
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        client.wait_for_workers(workers, timeout=ASKED)
        yield crew_of(client)


@contextmanager
def connected(scheduler: str) -> Iterator[DaskCrew]:
    """The crew of a scheduler's address, whose workers nobody has asked yet.

    Raises
    ------
    EnvironmentProblem
        Dask is not installed, or nobody answers.
    """
    _check_installed()
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as problem:
        raise EnvironmentProblem(
            f"No scheduler answers at '{scheduler}' ({type(problem).__name__}).",
            "Name the address that 'dask scheduler' prints, such as tcp://10.0.0.1:8786.",
        ) from problem
    with client:
        yield DaskCrew(client)


def crew_of(client: Client, paths: Iterable[PathLike] = ()) -> DaskCrew:
    """The crew of a client; its workers are asked whether they compute the bits that this process would.

    Parameters
    ----------
    client : distributed.Client
    paths : iterable of paths
        Files and folders that the workers will read.

    Raises
    ------
    EnvironmentProblem
        There is no worker, one has no ivbpr, another version or another CPU, all of those are named; or one
        can't read a file.
    """
    crew = DaskCrew(client)
    found, begun = workers_of(crew), time.monotonic()
    while not found and time.monotonic() - begun < COME:  # they may be on their way
        time.sleep(0.5)
        found = workers_of(crew)
    if not found:
        raise EnvironmentProblem(
            "The cluster has no workers.", "Start some: 'dask worker ADDRESS' on each machine."
        )
    wrong = [f"{address}: {one['problem']}" for address, one in found.items() if one["problem"]]
    if wrong:
        raise EnvironmentProblem(
            f"Workers would compute other bits than this machine. {'. '.join(wrong)}.",
            "Give all of them the same versions, and CPUs of one kind.",
        )
    _check_paths(crew, map(os.path.abspath, paths))
    return crew


def workers_of(crew: DaskCrew) -> dict[str, dict[str, Any]]:
    """Each worker by address: ``threads memory facts problem``; the problem is empty where it can be used.

    One that is lost meanwhile is left out: another that comes for it is looked at when it does a piece.
    """
    known = crew.workers()
    answers = _asked(crew, worker_facts, list(known))
    found = {}
    for address, one in known.items():
        answer = answers.get(address)
        if answer is None or isinstance(answer, OSError):
            continue  # it was lost while it was asked
        facts = answer if isinstance(answer, dict) else {}
        problem = differing(facts_here(), facts) if facts else f"it has no usable ivbpr ({answer})"
        found[address] = {
            "threads": one["nthreads"],
            "memory": one.get("memory_limit"),
            "facts": facts,
            "problem": problem,
        }
    return found


def _check_paths(crew: DaskCrew, paths: Iterable[str]) -> None:
    """Refuse files and folders that a worker can't read.

    Raises
    ------
    EnvironmentProblem
        The first of them, and the worker.
    """
    for path in paths:
        for address, problem in _asked(crew, path_problem, list(crew.workers()), path).items():
            if problem and not isinstance(problem, OSError):
                raise EnvironmentProblem(
                    f"The worker {address} can't read '{path}' ({problem}).",
                    "Put it into a folder that all machines share, by the same path.",
                )


def _asked(crew: DaskCrew, function: Any, addresses: Sequence[str], *given: Any) -> dict[str, Any]:
    """What a function gives on each worker; an exception where it raised one."""
    if not addresses:
        return {}
    try:
        return dict(crew.client.run(function, *given, workers=list(addresses), on_error="return"))
    except (OSError, TimeoutError) as problem:
        raise crew.lost() from problem


def _check_installed() -> None:
    if importlib.util.find_spec("distributed") is None:
        raise EnvironmentProblem("Dask is not installed.", "pip install 'ivbpr[dask]'.")
