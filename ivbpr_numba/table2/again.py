"""A finished table made once more from what its file says, and compared with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ivbpr_numba.errors import CheckFailed, DataError
from ivbpr_numba.events import Observer
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.table2.cells import Cell, Found
from ivbpr_numba.table2.columns import title_of
from ivbpr_numba.table2.corpus import Input, find_again
from ivbpr_numba.table2.running import table2
from ivbpr_numba.table2.table import Table
from ivbpr_numba.wording import first_of

__all__ = ["Comparison", "compare_tables", "make_again"]


@dataclass(frozen=True)
class Comparison:
    """Whether two tables of one question are the same.

    Attributes
    ----------
    earlier : str
        File of the first.
    equal : bool
        Every value of the payload: each user's figures, options, learning curves, differences.
    cells : int
        How many there are.
    different : list of str
        Cells with other figures or another record, in words.
    largest : float
        Largest distance between two figures of one user; 0 where only records differ.
    other : bool
        Something else than the cells differs: corpora, questions, or statistics.
    versions : dict of str to list of str
        Versions that differ, earlier and now.
    """

    earlier: str
    equal: bool
    cells: int
    different: list[str]
    largest: float
    other: bool
    versions: dict[str, list[str]]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def in_words(self) -> str:
        """One sentence or two."""
        if self.equal:
            return (
                f"The same as '{self.earlier}': each user's figures in all {self.cells} cells, and all that "
                "was made of them."
            )
        what = [f"{len(self.different)} of {self.cells} cells ({first_of(self.different)})"] * bool(
            self.different
        )
        what += ["questions or statistics"] * self.other
        far = f" A user's figure differs by up to {self.largest:.2g}." if self.largest else ""
        other = ", ".join(f"{name} {old} then, {new} now" for name, (old, new) in self.versions.items())
        why = f" Versions: {other}." if other else ""
        return f"Not the same as '{self.earlier}': {' and '.join(what)}.{far}{why}"

    def raise_for_difference(self) -> None:
        """Raise CheckFailed (exit code 5) unless both are the same."""
        if not self.equal:
            raise CheckFailed(
                self.in_words(), "Another type of CPU or other versions round differently; else report it."
            )


def make_again(
    path: PathLike,
    out: PathLike,
    processes: int | None = None,
    client: Any = None,
    overwrite: bool = False,
    observers: Sequence[Observer] = (),
) -> tuple[Table, Comparison]:
    """Make a table again: the same inputs, by their digests, and the same options.

    Parameters
    ----------
    path : path
        A finished table. Its inputs are looked for where they were, also relative to the file.
    out : path
        Where the new one goes.
    processes, client, overwrite, observers
        As for `table2`.

    Returns
    -------
    Table
        The new one.
    Comparison

    Raises
    ------
    UsageError
        An input that is not found.
    DataError
        An input that has changed; `path` is no table.
    """
    earlier = Table.read(path)
    asked = earlier.asked
    found = {facts["role"]: _input(facts, path) for facts in earlier.inputs}
    table = table2(
        found["dataset"],
        attributes=found.get("attributes"),
        dense=found.get("dense"),
        models=asked["models"],
        by=asked["by"],
        category=asked["category"],
        runs=asked["runs"],
        tune=asked["tune"],
        options=asked["options"],
        min_users=asked["min_users"],
        min_interactions=asked["min_interactions"],
        cold_below=asked["cold_below"],
        ties=asked["ties"],
        seed=asked["seed"],
        processes=processes,
        client=client,
        out=out,
        overwrite=overwrite,
        observers=observers,
    )
    return table, compare_tables(earlier, table)


def _input(facts: dict[str, Any], path: PathLike) -> str:
    place = find_again(facts, os.path.dirname(os.path.realpath(path)))
    now = Input(facts["role"], place).value.payload_sha256
    if now != facts["sha256"]:
        raise DataError(
            f"'{place}' is not the {facts['role']} of the table: it is {now[:12]}… by its digest, and was "
            f"{facts['sha256'][:12]}….",
            "Put the file of that time there.",
        )
    return place


def compare_tables(earlier: Table, later: Table) -> Comparison:
    """Cell by cell, and by their digests as a whole."""
    different, largest = [], 0.0
    for cell in {**earlier.cells, **later.cells}:
        one, other = earlier.cells.get(cell), later.cells.get(cell)
        if one is None or other is None or not _same(one, other):
            different.append(_named(cell, earlier))
        if one is not None and other is not None:
            largest = max(largest, _distance(one.auc, other.auc), _distance(one.stratified, other.stratified))
    equal = earlier.payload_sha256 == later.payload_sha256
    kept = ("ivbpr", "numpy", "numba")
    pairs = {name: [str(one.provenance.get(name)) for one in (earlier, later)] for name in kept}
    return Comparison(
        earlier.path or "the earlier table",
        equal,
        len(later.cells),
        different,
        largest,
        not equal and not different,
        {name: two for name, two in pairs.items() if two[0] != two[1]},
    )


def _named(cell: Cell, table: Table) -> str:
    return f"{title_of(cell.model)} on {table.subsets[cell.subset]['name']}, run {cell.run + 1}"


def _same(one: Found, other: Found) -> bool:
    arrays = ((one.auc, other.auc), (one.stratified, other.stratified))
    return one.about == other.about and all(np.array_equal(a, b, equal_nan=True) for a, b in arrays)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return 1.0
    away = np.abs(one - other)
    return float(away[np.isfinite(away)].max(initial=0.0))
