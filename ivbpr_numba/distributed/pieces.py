"""What runs on a worker: one piece of work, alone in its process."""

from __future__ import annotations

import os
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ivbpr_numba import backends
from ivbpr_numba.distributed.facts import differing, facts_here
from ivbpr_numba.errors import EnvironmentProblem, IvbprError
from ivbpr_numba.events import Event
from ivbpr_numba.processes import portable, warnings_as_events

__all__ = ["Outcome", "do_call", "do_piece", "path_problem", "unlike", "worker_facts"]

KEPT = 2  # loads that a worker keeps unpacked

Outcome = tuple[str, Any]  # "result", "problem" or "unlike", and what it is

_alone = threading.Lock()  # kernels that run on several threads are never called side by side
_unpacked: OrderedDict[str, tuple[Any, Any]] = OrderedDict()


def do_piece(
    token: str, load: bytes, number: int, task: bytes, expected: Mapping[str, str], tells: bool
) -> Outcome:
    """Do a piece; what goes wrong in it is an outcome too, so that the scheduler does not try it again.

    Parameters
    ----------
    token : str
        Of the load, which is unpacked once, and the topic of what is told.
    load : bytes
        Pickled work and what it shares.
    number : int
    task : bytes
        Pickled.
    expected : mapping
        See `facts_here`: a worker may have come after the others were asked.
    tells : bool
        Whether anybody listens.
    """
    from distributed import get_worker

    worker = get_worker()
    unlike = differing(expected, facts_here())
    if unlike:
        return "unlike", (worker.address, unlike)

    def tell(event: Event) -> None:
        if tells:
            worker.log_event(token, orjson.dumps([number, event], option=orjson.OPT_SERIALIZE_NUMPY))

    with _alone:
        try:
            work, shared = _unpack(token, load)
            threads = min(worker.state.nthreads, backends.thread_count(None))
            with backends.threads(threads), warnings_as_events(tell):
                return "result", work(shared, pickle.loads(task), tell)
        except IvbprError as problem:
            return "problem", problem
        except Exception as problem:  # a bug: the caller shows where it was
            problem.add_note(f"on the worker {worker.address}, task {number}")
            return "problem", portable(problem)


def do_call(function: Callable[..., Any], expected: Mapping[str, str], *given: Any) -> Any:
    """Call a function of ours with what lies on the cluster; see `dataflow.Flow`.

    Raises
    ------
    EnvironmentProblem
        This process computes other bits.
    """
    from distributed import get_worker

    worker = get_worker()
    differs = differing(expected, facts_here())
    if differs:
        raise unlike(worker.address, differs)
    with _alone, backends.threads(min(worker.state.nthreads, backends.thread_count(None))):
        return function(*given)


def unlike(address: str, differs: str) -> EnvironmentProblem:
    """The error about a worker whose bits would be others."""
    return EnvironmentProblem(
        f"The worker {address} would compute other bits than this machine: {differs}.",
        "Give all of them the same versions, and CPUs of one kind.",
    )


def _unpack(token: str, load: bytes) -> tuple[Callable[..., Any], Any]:
    if token not in _unpacked:
        _unpacked[token] = pickle.loads(load)
        while len(_unpacked) > KEPT:
            _unpacked.popitem(last=False)
    return _unpacked[token]


def worker_facts() -> dict[str, str]:
    """See `facts_here`; asked of a worker."""
    return facts_here()


def path_problem(path: str) -> str:
    """Why this process can't read a file or folder; empty where it can."""
    try:
        if os.path.isdir(path):
            os.scandir(path).close()
        else:
            open(path, "rb").close()
        return ""
    except OSError as problem:
        return problem.strerror or str(problem)
