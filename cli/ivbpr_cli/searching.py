"""A search while it runs: at a terminal the best trials as a table that grows, else a line now and then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ivbpr_cli.tables import Table, as_cell, lay_out, screen_width
from ivbpr_numba.events import Event, Observer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ivbpr_cli.output import Screen

__all__ = ["searched", "value_of"]

SHOWN = 8  # trials in the table


@contextmanager
def searched(screen: Screen, what: str) -> Iterator[Observer]:
    """Yield an observer of the events of `tuning.tune`.

    Parameters
    ----------
    screen : Screen
    what : str
        Name of the model.
    """

    def say(event: Event) -> None:
        if event["event"] == "warning":
            screen.warn(event["message"])
        elif event["event"] == "start":
            screen.note(_plan(event))

    if screen.quiet or not screen.err.is_terminal:
        with screen.progress(f"tune {what}") as observer:

            def line(event: Event) -> None:
                say(event)
                if event["event"] == "trial":
                    known = {"done": event["done"], "total": event["total"], "valid_auc": event["best_auc"]}
                    observer({"event": "trial", **known})

            yield line
        return
    from rich.live import Live

    rows: dict[int, Mapping[str, Any]] = {}
    with Live(console=screen.err, transient=True, refresh_per_second=4) as live:

        def update(event: Event) -> None:
            say(event)
            if event["event"] == "trial":
                rows[event["row"]["number"]] = event["row"]
                live.update(_standing(rows, event, screen_width(screen.err.file)))

        yield update


def _plan(event: Event) -> str:
    """What is going to be done, in a sentence or two."""
    trials = "trials" if event["trials"] is None else f"{event['trials']} trials"
    ends = [f"{n:,}" for n in event["rungs"]]
    rungs = f"{', '.join(ends[:-1])} and {ends[-1]}" if len(ends) > 1 else ends[0]
    some, everybody = event["asked"]
    asked = "" if some == everybody else f" (asking {some:,} of {everybody:,} users before the last)"
    resumed = f" {event['resumed']} fits are taken over from the journal." if event["resumed"] else ""
    beside = f", {event['processes']} beside each other" if event["processes"] > 1 else ""
    return f"{trials} of {event['model']} on rungs of {rungs} iterations{asked}{beside}.{resumed}"


def _standing(rows: Mapping[int, Mapping[str, Any]], event: Event, width: int | None) -> RenderableType:
    """The best trials so far, those that came furthest first, and how far the search is."""
    from rich.text import Text

    ended = [row for row in rows.values() if row["valid_auc"] is not None]
    ended.sort(key=lambda row: (-row["rung"], -row["valid_auc"], row["number"]))
    shown = [
        {
            "trial": row["number"],
            "rung": row["rung"],
            "valid AUC": row["valid_auc"],
            "options": "the defaults" if row["number"] == 0 else _options(row["options"]),
        }
        for row in ended[:SHOWN]
    ]
    lines = []
    if shown:
        found = lay_out(Table(shown), width)
        lines = [*found.head, *found.body]
    of = "" if event["total"] is None else f" of {event['total']}"
    facts = [f"{event['done']}{of} trials begun", f"{event['elapsed']:,.0f} s"]
    for name, key in (("best", "best_auc"), ("defaults", "default_auc")):
        if event[key] is not None:
            facts.insert(-1, f"{name} {event[key]:.4f}")
    return Text("\n".join([*lines, " · ".join(facts)]), no_wrap=True, overflow="ellipsis")


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value_of(value)}" for name, value in options.items())


def value_of(value: Any) -> str:
    """A value of an option, numbers as short as they are."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else as_cell(value)
