"""``ivbpr table2 --report`` and ``ivbpr report TABLE``: the page of a table, from its file alone."""

from __future__ import annotations

import os
from typing import Any

from ivbpr_numba import expected
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.report.page import write_page
from ivbpr_numba.report.tables.telling import tell_table
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.table2.table import Table

__all__ = ["write_table_report"]


def write_table_report(
    table: Table | PathLike, out: PathLike, *, paper: bool = False, title: str | None = None
) -> dict[str, Any]:
    """Write one self-contained HTML page about a table of ``table2``.

    Parameters
    ----------
    table : Table or path
        What `table2` found, or its file; nothing else is read.
    out : path
        The page to write. It loads nothing and contains no script.
    paper : bool
        The paper's own numbers beside it, marked as another corpus.
    title : str, optional
        Headline; by default what was found.

    Returns
    -------
    dict
        ``out models sections subsets runs bytes``.

    Raises
    ------
    UsageError
        `table` is neither; there is no such file.
    DataError
        The file is damaged or of another kind.
    EnvironmentProblem
        The page can't be written.
    """
    expected.path(out, parameter("out", out))
    if isinstance(table, str | os.PathLike):
        table = Table.read(table)
    if not isinstance(table, Table):
        raise UsageError(
            f"write_table_report takes a table, not {expected.kind_of(table)}.",
            "Give what table2 returned, or the path of its file.",
        )
    story = tell_table(table, paper, title)
    write_page(story, out)
    return {
        "out": str(out),
        "models": [row["label"] for row in story["table"][0]["rows"]],
        "sections": [section["name"] for section in story["sections"]],
        "subsets": [one["name"] for one in story["table"]],
        "runs": table.runs,
        "bytes": os.path.getsize(out),
    }
