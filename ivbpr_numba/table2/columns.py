"""The columns of the table: the eight models of the paper, and a cosine that learned nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ivbpr_numba import expected
from ivbpr_numba.errors import UsageError, did_you_mean, parameter
from ivbpr_numba.models.specifications import MODELS, SPECIFICATIONS

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["COLUMNS", "COSINE", "SETTINGS", "choose_columns", "features_of", "learns", "pairs_of", "title_of"]

COSINE = "cosine"
COLUMNS = (*MODELS, COSINE)
SETTINGS = ("all", "cold", "stratified")
# Which of two is expected to be better by the paper, and why the pair is looked at; see `ordering`.
CLAIMS = (
    ("pop", "rand", "popularity"),
    ("rand", "mm-mf", "learning"),
    ("mm-mf", "bpr-mf", "loss"),
    ("bpr-mf", "vbpr", "looks"),
    ("bpr-mf", "i-vbpr", "looks"),
    ("vbpr", "tvbpr", "time"),
    ("i-vbpr", "i-tvbpr", "time"),
    ("vbpr", "i-vbpr", "interpretable"),
    ("tvbpr", "i-tvbpr", "interpretable"),
)


def title_of(column: str) -> str:
    """What the head of a column says."""
    return column if column == COSINE else column.upper()


def learns(column: str) -> bool:
    """Whether a column has options to choose and a learning curve."""
    return column not in ("rand", "pop", COSINE)


def choose_columns(
    models: Sequence[str] | None, data: Dataset, attributes: Features | None, dense: Features | None
) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """The columns that can be filled, in the paper's order, and those that can't with the reason.

    Parameters
    ----------
    models : sequence of str or None
        Those wanted; all where None.
    data : Dataset
    attributes, dense : Features or None

    Raises
    ------
    UsageError
        An unknown column, features of the wrong kind, or nothing is left.
    """
    wanted = COLUMNS if models is None else expected.names("models", models)
    for name in wanted:
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS) or f"Use {', '.join(COLUMNS)}."
            raise UsageError(f"The table has no column '{name}'.", hint)
    for name, features, kind in (("attributes", attributes, "attributes"), ("dense", dense, "dense")):
        if features is not None and features.kind != kind:
            other = "dense" if kind == "attributes" else "attributes"
            raise UsageError(
                f"The features given as {parameter(name)} are of the kind '{features.kind}'.",
                f"Give them as {parameter(other)}.",
            )
    left_out = []
    for name in COLUMNS:
        why = _why_not(name, data, attributes, dense) if name in wanted else ""
        if why:
            left_out.append({"model": name, "why": why})
    missing = {row["model"] for row in left_out}
    chosen = tuple(name for name in COLUMNS if name in wanted and name not in missing)
    if not chosen:
        raise UsageError(
            f"No column is left: {left_out[0]['model']} {left_out[0]['why']}.", "Give what the columns need."
        )
    return chosen, left_out


def _why_not(name: str, data: Dataset, attributes: Features | None, dense: Features | None) -> str:
    if name == COSINE:
        return "" if attributes is not None or dense is not None else "needs features"
    kind = SPECIFICATIONS[name].kind
    if (kind == "attributes" and attributes is None) or (kind == "dense" and dense is None):
        return f"needs features of the kind '{kind}'"
    if "tvbpr" in name and not data.has_times:
        return "needs times, and the data have none"
    return ""


def features_of(column: str, attributes: Any, dense: Any) -> Any:
    """Which of the two a column takes; the cosine takes attributes where there are some."""
    if column == COSINE:
        return attributes if attributes is not None else dense
    return {"attributes": attributes, "dense": dense, None: None}[SPECIFICATIONS[column].kind]


def pairs_of(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs to compare: neighbours, then those that the paper speaks of; the second is subtracted from.

    Returns
    -------
    list of (str, str)
        (a, b): the difference is b − a.
    """
    paper = [(a, b) for a, b, _ in CLAIMS if a in columns and b in columns]
    found: list[tuple[str, str]] = []
    for pair in [*pairwise(columns), *paper]:
        if pair not in found and pair[::-1] not in found:
            found.append(pair)
    return found
