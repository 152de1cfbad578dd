"""Work on a stream in threads: results in the order of the input, never more than a few underway."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

__all__ = ["in_order"]

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    items: Iterable[T], work: Callable[[T], R], threads: int, ahead: int
) -> Generator[R, None, None]:
    """Yield ``work(item)`` for each item, in order, computed by `threads` threads.

    `items` is read in a thread of its own, so that it may be slow too. Close the iterator
    (``contextlib.closing``) where it isn't read to its end.

    Parameters
    ----------
    items : iterable
        A generator is closed at the end.
    work : callable
        Must not depend on the order in which it is called. What it raises ends the iteration.
    threads : int
    ahead : int
        At most so many items are read and not yet asked for by the caller: the bound of the memory.
    """
    slots = threading.Semaphore(max(1, ahead))
    line: SimpleQueue[Future[R] | BaseException | None] = SimpleQueue()
    closed = threading.Event()
    pool = ThreadPoolExecutor(max(1, threads), "ivbpr-work")

    def produce() -> None:
        end: BaseException | None = None
        try:
            source = iter(items)
            while True:
                slots.acquire()
                if closed.is_set():
                    break
                try:
                    item = next(source)
                except StopIteration:
                    break
                line.put(pool.submit(work, item))
                del item
        except BaseException as problem:
            end = problem
        finally:
            close: Any = getattr(items, "close", None)
            if callable(close):
                close()
            line.put(end)

    reader = threading.Thread(target=produce, name="ivbpr-read", daemon=True)
    reader.start()
    try:
        while (entry := line.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry.result()
            del entry
            slots.release()
    finally:
        closed.set()
        slots.release()
        reader.join()
        pool.shutdown(cancel_futures=True)
