"""The triples of the next iteration, drawn while those of this one are applied."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ivbpr_numba import backends

__all__ = ["Ahead"]

Drawn = TypeVar("Drawn")
Done = TypeVar("Done")


class Ahead:
    """For triples that one thread applies: the other threads draw meanwhile.

    What an iteration draws is a function of its number, so it is the same whether it was drawn ahead or not.
    Nothing runs any more when `apply` returns: kernels on several threads are never called side by side.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._next: tuple[int, Future] | None = None

    def apply(
        self,
        iteration: int,
        last: int,
        draw: Callable[[int], Drawn],
        use: Callable[[Drawn], Done],
        threads: int,
    ) -> Done:
        """use(draw(iteration)), with draw(iteration + 1) beside it unless this is the last one.

        Parameters
        ----------
        iteration, last : int
        draw : callable
            What it returned stays whole until the call after the next one.
        use : callable
            Calls no kernel that runs on several threads.
        threads : int
            In use; with one everything happens one after the other.
        """
        known, self._next = self._next, None
        drawn = known[1].result() if known is not None and known[0] == iteration else draw(iteration)
        if threads == 1 or iteration >= last:
            return use(drawn)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "ivbpr-draws")
        ahead = self._thread.submit(_on_threads, threads - 1, draw, iteration + 1)
        try:
            return use(drawn)
        finally:
            ahead.exception()  # waits; what went wrong is raised where the triples are asked for
            self._next = iteration + 1, ahead


def _on_threads(threads: int, draw: Callable[[int], Drawn], iteration: int) -> Drawn:
    with backends.threads(threads):
        return draw(iteration)
