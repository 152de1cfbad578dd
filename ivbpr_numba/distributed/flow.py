"""A chain of pure functions on the workers of a cluster; see `dataflow.Flow`."""

from __future__ import annotations

import contextlib
import operator
import queue
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.dataflow import Lost
from ivbpr_numba.distributed.crew import DaskCrew, Watch, bounded, scattered
from ivbpr_numba.distributed.facts import facts_here
from ivbpr_numba.distributed.pieces import do_call
from ivbpr_numba.errors import EnvironmentProblem, IvbprError
from ivbpr_numba.processes import POLL

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["DaskFlow"]


class DaskFlow:
    """What is held lies on the workers, as Dask's futures.

    A worker that is lost takes with it what only it had. What was computed from things that others still have
    is computed again by Dask; where that is not possible, `take` raises `Lost`.

    Parameters
    ----------
    crew : DaskCrew
    """

    def __init__(self, crew: DaskCrew) -> None:
        self._crew, self._client = crew, crew.client
        self._token = f"ivbpr-{uuid.uuid4().hex}"
        self._called = 0

    def put(self, value: Any) -> Future:
        return scattered(self._crew, value)

    def call(self, function: Callable[..., Any], *given: Any, results: int = 1) -> Any:
        found = self._submit(do_call, function, facts_here(), *given)
        if results == 1:
            return found
        return [self._submit(operator.getitem, found, k) for k in range(results)]

    def _submit(self, function: Callable[..., Any], *given: Any) -> Future:
        if self._client.status != "running":
            raise self._crew.lost()
        self._called += 1
        return self._client.submit(function, *given, key=f"{self._token}-{self._called}")

    def take(self, held: Sequence[Future]) -> list[Any]:
        watch, ended = Watch(self._crew), queue.SimpleQueue[Any]()
        for one in held:
            one.add_done_callback(ended.put)
        while not all(one.status == "finished" for one in held):
            for one in held:
                if one.status == "error":
                    raise _failed(one.exception())
                if one.status not in ("pending", "finished"):
                    raise Lost(_again_and_again())
            with contextlib.suppress(queue.Empty):
                ended.get(timeout=POLL)
                watch.progress()
            watch.look()
        try:
            keys = [one.key for one in held]
            nbytes = sum(self._client.nbytes(keys, summary=False).values())
            found: list[Any] = bounded(
                self._crew, lambda: self._client.gather(list(held), asynchronous=True), nbytes
            )
        except IvbprError:
            raise
        except Exception as problem:  # lost on the way
            if self._client.status != "running":
                raise self._crew.lost() from problem
            raise Lost(_again_and_again()) from problem
        return found


def _failed(problem: BaseException) -> BaseException:
    """What to raise for a call that failed."""
    from distributed import KilledWorker

    return Lost(_again_and_again()) if isinstance(problem, KilledWorker) else problem


def _again_and_again() -> EnvironmentProblem:
    return EnvironmentProblem(
        "Workers are lost again and again, most likely because their memory is full.",
        "Give them more memory, or have fewer on a machine: what is done is kept.",
    )
