"""How long this process compiled kernels, and who is told when one begins; imports nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["began", "compile_seconds", "computing_clock", "ended", "watching"]


@dataclass
class _Compilation:
    """Kernels compile others that they call: only the outermost one counts."""

    seconds: float = 0.0
    depth: int = 0
    begun: float = 0.0
    watchers: list[Callable[[str], None]] = field(default_factory=list)


_COMPILATION = _Compilation()


def began(name: str) -> None:
    """A kernel that the cache does not hold is being compiled."""
    if _COMPILATION.depth == 0:
        _COMPILATION.begun = time.perf_counter()
        for told in tuple(_COMPILATION.watchers):
            told(name)
    _COMPILATION.depth += 1


def ended() -> None:
    """That kernel is compiled."""
    _COMPILATION.depth -= 1
    if _COMPILATION.depth == 0:
        _COMPILATION.seconds += time.perf_counter() - _COMPILATION.begun


def compile_seconds() -> float:
    """Seconds that this process has spent compiling."""
    return _COMPILATION.seconds


def computing_clock() -> float:
    """A clock in seconds that stands still while kernels are compiled: two readings tell the computing."""
    return time.perf_counter() - _COMPILATION.seconds


@contextmanager
def watching(told: Callable[[str], None]) -> Iterator[None]:
    """Tell the name of every kernel whose compilation begins inside, not of those that the cache holds."""
    _COMPILATION.watchers.append(told)
    try:
        yield
    finally:
        _COMPILATION.watchers.remove(told)
