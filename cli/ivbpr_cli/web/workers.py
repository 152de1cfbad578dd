"""Where the work is done: one thread for the model, which uses all cores, and a few for pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ivbpr_cli.web.refusals import Refused

__all__ = ["Workers"]

Found = TypeVar("Found")

MOST_WAITING = 200  # requests for one kind of work


class _Pool:
    def __init__(self, name: str, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting = 0

    async def run(self, work: Callable[[], Found]) -> Found:
        if self._waiting >= MOST_WAITING:
            raise Refused(503, "Too many visitors at once.", "Try again in a second.", {"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Workers:
    """Threads that keep requests from waiting for each other, and no more work than they can do.

    Kernels run in parallel by themselves, and numba's workqueue layer ends the process when two threads call
    at once; so questions to the model are answered one after the other, each by all cores. Where another
    layer allows more, two threads answered hardly more questions than one.
    """

    def __init__(self) -> None:
        self._model, self._pictures, self._photos = (
            _Pool("model", 1),
            _Pool("pictures", 2),
            _Pool("photos", 1),
        )

    async def ask_model(self, work: Callable[[], Found]) -> Found:
        """Run what asks the model or makes something that is kept for all."""
        return await self._model.run(work)

    async def see_picture(self, work: Callable[[], Found]) -> Found:
        """Run what reads and scales pictures."""
        return await self._pictures.run(work)

    async def look_at_photo(self, work: Callable[[], Found]) -> Found:
        """Run a network on a visitor's photo."""
        return await self._photos.run(work)

    def close(self) -> None:
        """Begin nothing more."""
        for pool in (self._model, self._pictures, self._photos):
            pool.close()
