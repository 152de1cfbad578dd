"""The cells of a table: in which order, side by side, each kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ivbpr_numba.errors import Interrupted
from ivbpr_numba.events import Event, Observer
from ivbpr_numba.features.alignment import values_in_a_row
from ivbpr_numba.models.validation import FACTOR, TRIPLE, VALUE
from ivbpr_numba.processes import Crew
from ivbpr_numba.table2.cells import Cell, Found, Workshop, fill
from ivbpr_numba.table2.columns import COLUMNS, learns
from ivbpr_numba.table2.corpus import Corpus

__all__ = ["in_order", "make"]

USUAL = 10  # factors


def in_order(corpus: Corpus, columns: Sequence[str], runs: int, options: Mapping[str, Any]) -> list[Cell]:
    """All cells, those that take long first, so that no process is left alone with one at the end."""
    data = corpus.given.data
    pairs = [int(np.count_nonzero(subset.items(data)[data.train.indices])) for subset in corpus.subsets]
    costs = {column: _triple(corpus, column, options) for column in columns}
    cells = [
        Cell(subset, run, column) for subset in range(len(pairs)) for run in range(runs) for column in columns
    ]
    return sorted(cells, key=lambda cell: (-costs[cell.model] * pairs[cell.subset], cell))


def _triple(corpus: Corpus, column: str, options: Mapping[str, Any]) -> float:
    """About what a triple costs, in the units of `models.validation`; 0 where nothing is learned."""
    if not learns(column):
        return 0.0
    factors, visual = (_whole(options.get(name)) for name in ("factors", "visual_factors"))
    cost = float(TRIPLE + FACTOR * factors)
    features = corpus.features(column)
    if features is not None:
        cost += VALUE * values_in_a_row(features) * (visual + 1) * (2 if "tvbpr" in column else 1)
    return cost


def _whole(value: Any) -> int:
    """A number of factors, for an order only: whatever else is given the fit refuses."""
    return value if isinstance(value, int) else USUAL


def make(
    shop: Workshop,
    cells: Sequence[Cell],
    found: dict[Cell, Found],
    crew: Crew,
    observers: Sequence[Observer],
    keep: Callable[[Cell, Found], None] | None,
) -> None:
    """Make the cells that are not in `found` yet, in their order, and add each to it.

    Parameters
    ----------
    shop : Workshop
    cells : sequence of Cell
    found : dict
    crew : Crew
        Who makes them.
    observers : sequence of callables
        See `table2`.
    keep : callable or None
        Called with each finished cell.

    Raises
    ------
    Interrupted
        After a signal; what was kept is named.
    """
    names = [subset.name for subset in shop.corpus.subsets]
    left = [cell for cell in cells if cell not in found]
    present = {cell.model for cell in cells}
    columns = [name for name in COLUMNS if name in present]

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    def facts(cell: Cell) -> dict[str, Any]:
        return {"subset": names[cell.subset], "run": cell.run + 1, "model": cell.model}

    def tell_done(cell: Cell) -> None:
        counted = {"done": len(found), "total": len(cells)}
        tell({"event": "cell", **facts(cell), **_reached(found[cell]), **counted})

    runs = 1 + max(cell.run for cell in cells)
    tell({"event": "table2", "columns": columns, "subsets": names, "runs": runs, "total": len(cells)})
    for cell in found:
        tell_done(cell)
    try:
        with crew.begin(fill, shop) as hands:
            done = hands.run(left, lambda number, event: tell({**event, "cell": facts(left[number])}))
            for number, one in done:
                if keep is not None:
                    keep(left[number], one)
                found[left[number]] = one
                tell_done(left[number])
    except Interrupted as stop:
        what = f"Interrupted after {len(found)} of {len(cells)} cells"
        kept = "; they are kept." if keep is not None else "; nothing was written."
        raise Interrupted(what + kept, "", stop.exit_code - 128, "" if keep is not None else None) from stop


def _reached(found: Found) -> dict[str, Any]:
    values = found.auc[np.isfinite(found.auc)]
    auc = float(values.mean(dtype=np.float64)) if len(values) else None
    return {"auc": auc, "seconds": round(sum(found.seconds.values()), 3)}
