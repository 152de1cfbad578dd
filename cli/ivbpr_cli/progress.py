"""The library's events on stderr: a progress bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ivbpr_numba.events import Event, Observer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["observe"]

FIRST, NEXT = 10.0, 30.0  # seconds until the first plain line, and from one to the next


@contextmanager
def observe(console: Console, what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Observer]:
    """Yield an observer: a function that takes the library's event dictionaries.

    Any event with "done" and "total" (or "iteration" and "iterations") moves the bar; the other
    keys that people want to see are shown beside it.

    Parameters
    ----------
    console : Console
    what : str
        Name of the task, in front of the bar.
    clock : callable
        Seconds, for the plain lines.
    """
    if not console.is_terminal:
        yield _plain_lines(console, what, clock)
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[facts]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None, facts="")
        known: Event = {}

        def update(event: Event) -> None:
            done, total = _place(event)
            if done is not None and event.get("event") != "end":
                known.update(event)
                bars.update(task, completed=done, total=total, facts=facts_of(known))
            elif "step" in event:
                known.clear()
                bars.update(task, description=f"{what}: {event['step']}", completed=0, total=None, facts="")

        yield update


def _plain_lines(console: Console, what: str, clock: Callable[[], float]) -> Observer:
    """An observer that prints how far the work is, at the first event after `FIRST` seconds, then `NEXT`."""
    due = clock() + FIRST
    known: Event = {}
    step = ""

    def update(event: Event) -> None:
        nonlocal due, step
        if "step" in event:
            step = f" ({event['step']})"
            known.clear()
        done, _ = _place(event)
        if done is not None and event.get("event") != "end":
            known.update(event)
        elif "step" not in event:
            return
        if clock() >= due:
            due = clock() + NEXT
            shown = facts_of(known)
            console.print(f"{what}{step}: {shown}" if shown else f"{what}{step} …")

    return update


def _place(event: Event) -> tuple[int | None, int | None]:
    """What is done, and of how much."""
    return event.get("iteration", event.get("done")), event.get("iterations", event.get("total"))


def facts_of(event: Event) -> str:
    """What is worth showing beside the bar, in less than a line: how far, how good, how fast, how long."""
    facts = []
    if event.get("iterations"):
        facts.append(f"{event['iteration']}/{event['iterations']}")
    elif event.get("total"):
        facts.append(f"{event['done'] / event['total']:.0%}")
    if event.get("lines"):
        facts.append(f"{_short(event['lines'])}lines")
    if event.get("valid_auc") is not None:
        facts.append(f"AUC {event['valid_auc']:.4f}")
    if event.get("best_valid_auc") is not None:
        facts.append(f"best {event['best_valid_auc']:.4f} at {event['best_iteration']}")
    if event.get("triples_per_second"):
        facts.append(f"{_short(event['triples_per_second'])}triples/s")
    if event.get("seconds_left") is not None:
        facts.append(f"{_duration(event['seconds_left'])} left")
    return " · ".join(facts)


def _short(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit} "
    return f"{number:.0f} "


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
