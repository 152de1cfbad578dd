"""The table: rows, differences, and every user's figure behind them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.table2.cells import Cell, Found
from ivbpr_numba.table2.columns import COLUMNS, SETTINGS, pairs_of
from ivbpr_numba.table2.file import read_parts, write_parts
from ivbpr_numba.table2.ordering import in_words, orderings
from ivbpr_numba.table2.questions import Questions
from ivbpr_numba.table2.resampling import compared, holm
from ivbpr_numba.table2.spread import spread_of

if TYPE_CHECKING:
    import pandas as pd

    from ivbpr_numba.store.atomic import Lock, PathLike

__all__ = ["Table"]


@dataclass
class Table:
    """What `table2` found.

    Attributes
    ----------
    asked : dict
        What was asked, for JSON: ``models runs tune seed by category min_users min_interactions ties
        cold_below options varies inputs`` (digests by role).
    subsets : list of dict
        The corpora: ``name column value users items train``.
    left_out : dict
        ``columns`` and ``subsets`` that are not there, each row with its ``why``.
    inputs : list of dict
        ``role sha256 path relative_path``.
    questions : dict of (int, int) to Questions
        By numbers of corpus and run.
    cells : dict of Cell to Found
    rows : list of dict
        A row a corpus, setting and column: ``subset setting model auc stderr users runs parameters seconds
        chosen``, then ``stderr_users stderr_runs ci95_low ci95_high each_run feature_parameters
        tune_seconds``. ``stderr`` is the combined one (see `spread`), with one run that over users;
        ``chosen``: what tuning chose, for each option its value in every run.
    differences : list of dict
        See `resampling.compared`; with ``subset``, ``neighbours`` and ``p_holm``, over all of them.
    provenance : dict
        Versions, processes, seconds.
    path : str or None
        The file.
    """

    asked: dict[str, Any]
    subsets: list[dict[str, Any]]
    left_out: dict[str, list[dict[str, Any]]]
    inputs: list[dict[str, Any]]
    questions: dict[tuple[int, int], Questions]
    cells: dict[Cell, Found]
    rows: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
    payload_sha256: str = ""

    @property
    def columns(self) -> list[str]:
        """The columns that are there, in the paper's order."""
        present = {cell.model for cell in self.cells}
        return [name for name in COLUMNS if name in present]

    @property
    def runs(self) -> int:
        """How many runs each cell had."""
        return int(self.asked["runs"])

    def values(self, subset: int, setting: str, column: str) -> np.ndarray:
        """What every user came to in every run, (R, U) float64; NaN where a user doesn't count.

        Parameters
        ----------
        subset : int
            Number of the corpus.
        setting : str
            ``all``, ``cold`` or ``stratified``.
        column : str
        """
        found = np.full((self.runs, self.subsets[subset]["users"]), np.nan)
        for run in range(self.runs):
            asked, cell = self.questions[subset, run], self.cells[Cell(subset, run, column)]
            own = cell.stratified if setting == "stratified" else cell.auc
            counted = asked.cold(self.asked["cold_below"]) if setting == "cold" else np.ones(len(own), bool)
            found[run, asked.user[counted]] = own[counted]
        return found

    def judge(self) -> None:
        """Make rows and differences of the cells."""
        self.rows, self.differences = [], []
        for number, subset in enumerate(self.subsets):
            values = {(s, c): self.values(number, s, c) for s in SETTINGS for c in self.columns}
            for setting in SETTINGS:
                for column in self.columns:
                    self.rows.append(self._row(number, setting, column, values[setting, column]))
            for row in compared(values, pairs_of(self.columns), SETTINGS, self.asked["seed"]):
                order = [self.columns.index(row[name]) for name in ("a", "b")]
                neighbours = abs(order[0] - order[1]) == 1
                self.differences.append({"subset": subset["name"], **row, "neighbours": neighbours})
        corrected = holm([row["p"] for row in self.differences])
        for row, p in zip(self.differences, corrected):
            row["p_holm"] = p

    def _row(self, subset: int, setting: str, column: str, values: np.ndarray) -> dict[str, Any]:
        spread = spread_of(values)
        own = [self.cells[Cell(subset, run, column)] for run in range(self.runs)]
        tuned = [one.seconds["tune"] for one in own if "tune" in one.seconds]
        judged = [one.seconds.get("fit", 0.0) for one in own]
        names = dict.fromkeys(name for one in own for name in one.about["chosen"])
        return {
            "subset": self.subsets[subset]["name"],
            "setting": setting,
            "model": column,
            "auc": spread.mean,
            "stderr": spread.stderr,
            "users": spread.users,
            "runs": self.runs,
            "parameters": own[0].about["parameters"]["all"],
            "seconds": round(float(np.mean(judged)), 3),
            "chosen": {name: [one.about["chosen"].get(name) for one in own] for name in names},
            "stderr_users": spread.stderr_users,
            "stderr_runs": spread.stderr_runs,
            "ci95_low": None if spread.low is None else max(0.0, spread.low),
            "ci95_high": None if spread.high is None else min(1.0, spread.high),
            "each_run": list(spread.each_run),
            "feature_parameters": own[0].about["parameters"]["features"],
            "tune_seconds": round(float(np.mean(tuned)), 3) if tuned else None,
        }

    @cached_property
    def orderings(self) -> list[dict[str, Any]]:
        """What the paper's ordering comes to here; see `ordering.orderings`."""
        return orderings(self.differences)

    def words(self) -> list[str]:
        """The same in sentences."""
        return list(in_words(self.orderings))

    def notes(self) -> Iterator[str]:
        """What a reader should know of how the figures came about."""
        yield from _notes(self)

    def report(self) -> dict[str, Any]:
        """Everything but the single users, for JSON."""
        return {
            "asked": self.asked,
            "subsets": self.subsets,
            "rows": self.rows,
            "differences": self.differences,
            "orderings": self.orderings,
            "words": self.words(),
            "left_out": self.left_out,
            "notes": list(self.notes()),
            "inputs": self.inputs,
            "provenance": self.provenance,
            "payload_sha256": self.payload_sha256,
        }

    def flat_rows(self) -> list[dict[str, Any]]:
        """The rows with plain values only: what tuning chose and each run as text."""
        from ivbpr_numba.store.digest import canonical_json

        return [
            {**row, "chosen": canonical_json(row["chosen"]), "each_run": _joined(row["each_run"])}
            for row in self.rows
        ]

    def to_frame(self, what: str = "rows") -> pd.DataFrame:
        """The rows as a data frame of pandas; with ``"differences"`` those."""
        import pandas as pd

        return pd.DataFrame(self.differences if what == "differences" else self.rows)

    def csv(self) -> str:
        """The rows as CSV."""
        from ivbpr_numba.table2.text import csv_of

        return csv_of(self.flat_rows())

    def latex(self, paper: bool = False) -> str:
        """A LaTeX table in the paper's layout; needs the packages booktabs and graphicx.

        Parameters
        ----------
        paper : bool
            The paper's own numbers below, marked as another corpus.
        """
        from ivbpr_numba.table2.latex import latex_of

        return latex_of(self, paper)

    def markdown(self, paper: bool = False) -> str:
        """The same in Markdown."""
        from ivbpr_numba.table2.text import markdown_of

        return markdown_of(self, paper)

    def save(self, path: PathLike, keep_lock: Lock | None = None) -> str:
        """Write the file and return its ``payload_sha256``.

        Raises
        ------
        UsageError, EnvironmentProblem
            See `store.files.write_tree`.
        """
        digest = write_parts(vars(self), path, keep_lock)
        self.path, self.payload_sha256 = os.fspath(path), digest
        return digest

    @classmethod
    def read(cls, path: PathLike) -> Table:
        """Read a table's file.

        Raises
        ------
        UsageError
            The file does not exist.
        DataError
            It is damaged, of another kind or version, or contradicts itself.
        """
        return cls(**read_parts(path))


def _joined(values: Sequence[float | None]) -> str:
    return ";".join("" if one is None else f"{one:.6f}" for one in values)


def _notes(table: Table) -> Iterator[str]:
    asked: Mapping[str, Any] = table.asked
    runs = table.runs
    if runs > 1:
        others = "splits and starts" if "split" in asked["varies"] else "starts"
        yield (
            f"±: the standard error of the mean of {runs} runs (another {asked['varies']} each), √(users² + "
            f"runs²): what other users would change, and what other {others} would."
        )
    else:
        yield "±: the standard error over users; what another split or start would change is unknown."
    counted = sum(row["p"] is not None for row in table.differences)
    if counted:
        yield (
            "A difference is called shown where the p of the paired bootstrap over users, by Holm's "
            f"correction for the {counted} comparisons of this table, is below .05, and the 95 % interval "
            "over users and runs leaves out 0."
        )
    if asked["ties"] == "strict" and "pop" in table.columns:
        share = max(one.about["ties"] for cell, one in table.cells.items() if cell.model == "pop")
        yield f"Ties count nothing, as in the paper; of POP's pairs up to {share:.0%} are ties."
    for row in table.left_out["columns"]:
        yield f"Left out: {row['model']} {row['why']}."
    for row in table.left_out["subsets"]:
        yield f"Left out: {row['subset']}, {row['users']:,} users: {row['why']}."
