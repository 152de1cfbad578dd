"""The library's events drawn as a progress bar on stderr; only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ivbpr_cli.output import Screen

__all__ = ["observe"]

Event = dict[str, Any]


@contextmanager
def observe(screen: Screen, what: str) -> Iterator[Callable[[Event], None]]:
    """Yield an observer: a function that takes the library's event dictionaries.

    Any event with "done" and "total" (or "iteration" and "iterations") moves the bar; the other
    keys that people want to see are shown beside it.

    Parameters
    ----------
    screen : Screen
        Gives the console; with ``quiet`` or away from a terminal nothing is drawn.
    what : str
        Name of the task, in front of the bar.
    """
    if screen.quiet or not screen.err.is_terminal:
        yield lambda event: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen.err, transient=True) as bars:
        task = bars.add_task(what, total=None, facts="")

        def update(event: Event) -> None:
            done = event.get("iteration", event.get("done"))
            total = event.get("iterations", event.get("total"))
            if done is not None:
                bars.update(task, completed=done, total=total, facts=facts_of(event))
            elif "step" in event:
                bars.update(task, description=f"{what}: {event['step']}")

        yield update


def facts_of(event: Event) -> str:
    """The numbers of an event that are worth a line: AUC, speed, time left."""
    facts = []
    if event.get("valid_auc") is not None:
        facts.append(f"validation AUC {event['valid_auc']:.4f}")
    if event.get("best_valid_auc") is not None:
        facts.append(f"best {event['best_valid_auc']:.4f} at {event.get('best_iteration')}")
    if event.get("triples_per_second"):
        facts.append(f"{_short(event['triples_per_second'])} triples/s")
    if event.get("seconds_left") is not None:
        facts.append(f"{_duration(event['seconds_left'])} left")
    return " · ".join(facts)


def _short(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} "


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
