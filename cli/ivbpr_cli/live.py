"""A table that fills while it is made; away from a terminal a line now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ivbpr_cli.output import Screen
from ivbpr_numba.events import Event, Observer

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Filling", "live_table"]

SHOWN = 4  # corpora beside each other


@dataclass
class Filling:
    """What is known of the cells so far.

    Attributes
    ----------
    columns, subsets : list of str
    runs : int
    reached : dict of (subset, model) to list of float
        The AUC of each finished run.
    under_way : dict of (subset, run, model) to Event
        The last thing each running cell told.
    done, total : int
    """

    columns: list[str] = field(default_factory=list)
    subsets: list[str] = field(default_factory=list)
    runs: int = 0
    reached: dict[tuple[str, str], list[float | None]] = field(default_factory=dict)
    under_way: dict[tuple[str, int, str], Event] = field(default_factory=dict)
    done: int = 0
    total: int = 0

    def take(self, event: Event) -> None:
        """Learn from an event of `table2`."""
        kind = event.get("event")
        if kind == "table2":
            self.total = event["total"]
            self.columns, self.subsets, self.runs = event["columns"], event["subsets"], event["runs"]
        elif kind == "cell":
            self.done, self.total = event["done"], event["total"]
            self.reached.setdefault((event["subset"], event["model"]), []).append(event["auc"])
            self.under_way.pop(_key(event), None)
        elif "cell" in event and kind != "warning":
            known = self.under_way.setdefault(_key(event["cell"]), {})
            if "step" in event:
                known.clear()
            known.update(event)

    def rows(self) -> Iterator[list[str]]:
        """A row a column of the table: mean AUC of finished runs by corpus, and what is under way."""
        for model in self.columns:
            cells = []
            for subset in self.subsets[:SHOWN]:
                own = [one for one in self.reached.get((subset, model), []) if one is not None]
                count = len(self.reached.get((subset, model), []))
                mean = f"{sum(own) / len(own):.4f} " if own else ""
                cells.append(f"{mean}{count}/{self.runs}" if count else "·")
            running = [
                f"run {run}: {_facts(event)}"
                for (_, run, name), event in self.under_way.items()
                if name == model
            ]
            yield [model, *cells, "; ".join(running)]

    def line(self) -> str:
        """The same in one line."""
        running = ", ".join(f"{model} (run {run})" for _, run, model in self.under_way)
        return f"{self.done} of {self.total} cells" + (f"; now {running}" if running else "")


def _key(facts: Any) -> tuple[str, int, str]:
    return facts["subset"], facts["run"], facts["model"]


def _facts(event: Event) -> str:
    """How far a cell is, in trials of its tuning or iterations of its fit, and the best AUC so far."""
    best = event.get("best_auc", event.get("best_valid_auc"))
    if "iteration" in event:
        text = f"{event['iteration']}/{event['iterations']}"
    elif "total" in event:
        text = f"trial {event['done']}/{event['total']}"
    else:
        return event.get("step", "begun")
    return text if best is None else f"{text}, best {best:.4f}"


@contextmanager
def live_table(screen: Screen) -> Iterator[Observer]:
    """Yield an observer of `table2` that draws on stderr; warnings of the fits are shown once each."""
    filling, warned = Filling(), set[str]()

    def warn(event: Event) -> bool:
        if event.get("event") != "warning":
            return False
        cell = event.get("cell")
        text = f"{cell['model']}: {event['message']}" if cell else event["message"]
        if text not in warned:
            warned.add(text)
            screen.warn(text)
        return True

    if screen.quiet or not screen.err.is_terminal:
        with screen.progress("table2") as plain:

            def tell(event: Event) -> None:
                if warn(event):
                    return
                filling.take(event)
                plain({"step": filling.line()})

            yield tell
        return
    from rich.live import Live

    with Live(console=screen.err, transient=True, refresh_per_second=4) as live:

        def draw(event: Event) -> None:
            if not warn(event):
                filling.take(event)
                live.update(_drawn(filling))

        yield draw


def _drawn(filling: Filling) -> Table:
    from rich.table import Table

    more = len(filling.subsets) - SHOWN
    title = f"{filling.done} of {filling.total} cells" + (f"; {more} more corpora" if more > 0 else "")
    table = Table(title=title, box=None, title_justify="left", pad_edge=False)
    rows = list(filling.rows())
    for number, head in enumerate(("model", *filling.subsets[:SHOWN])):
        widest = max((len(row[number]) for row in rows), default=0)
        table.add_column(head, no_wrap=True, min_width=widest)
    table.add_column("now", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
