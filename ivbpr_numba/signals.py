"""Stopping at a convenient moment: Ctrl-C and SIGTERM as a number to poll."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["stop_signals"]


@contextmanager
def stop_signals() -> Iterator[Callable[[], int]]:
    """Turn SIGINT and SIGTERM into a number to poll, 0 while none came; a second one acts at once."""
    received = [0]
    if threading.current_thread() is not threading.main_thread():
        yield lambda: received[0]
        return

    def note(number: int, frame: object) -> None:
        if received[0]:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received[0] = number

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
