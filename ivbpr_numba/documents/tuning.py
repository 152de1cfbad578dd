"""The document about a search for options: what is best, what mattered, every trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ivbpr_numba.documents.document import Document
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from ivbpr_numba.tuning.result import Tuning

__all__ = ["options_of", "tune"]


def tune(found: Tuning, out: PathLike, payload_sha256: str, plot: PathLike | None = None) -> Document:
    """What a search found; a row a trial, its options as columns.

    Parameters
    ----------
    found : Tuning
    out : path
        Where it was saved.
    payload_sha256 : str
        Of that file.
    plot : path, optional
        The figure that was drawn of it.
    """
    best = found.best_trial
    content = {
        "model": found.model,
        "out": str(out),
        "plot": None if plot is None else str(plot),
        "valid_auc": found.valid_auc,
        "stderr": best["stderr"],
        "default_auc": found.default_auc,
        "best_trial": best["number"],
        "best": found.best,
        "options": options_of(found),
        "trials": found.trials,
        **{name: found.search[name] for name in ("seed", "rungs", "asked")},
        "out_of_time": found.provenance.get("out_of_time", False),
        "seconds": found.seconds,
        "payload_sha256": payload_sha256,
    }
    return Document("tune", content, [_flat(row) for row in found.trials])


def options_of(found: Tuning) -> list[dict[str, Any]]:
    """A row an option that was searched: the best value beside the default, and what it mattered.

    Returns
    -------
    list of dict
        ``option best default share stderr best_half``, the largest share first; without the last three where
        there were too few trials to tell.
    """
    best, default = found.best_trial["options"], found.trials[0]["options"]
    mattered = found.importance or [{"option": name} for name in best]
    return [
        {"option": row["option"], "best": best[row["option"]], "default": default[row["option"]], **row}
        for row in mattered
    ]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in row.items() if name not in ("options", "reached")}
    return {**plain, **row["options"]}
