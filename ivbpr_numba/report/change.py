"""What time changed in a built-in world: the planted cuts and styles beside those of a model in time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.models.epochs import epoch_of
from ivbpr_numba.questions.planted import PlantedTaste
from ivbpr_numba.questions.trends import measure

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.worlds.truth import Truth

__all__ = ["changed"]

PANELS = 6
DAY = 86_400


def changed(truth: Truth, model: Model, features: Features) -> dict[str, Any]:
    """Cuts and styles, planted and learned; a style is compared as its difference from its mean over time.

    The mean is taken at the middles of the bins that the model may cut between, so that epochs of different
    length, and different numbers of them, are compared over the same time.

    Parameters
    ----------
    truth : Truth
    model : Model
        I-TVBPR, fitted to `features` and the purchases of that world.
    features : Features

    Returns
    -------
    dict
        ``cuts`` (for each planted one ``planted learned days bins``: both as dates, and how far the nearest
        learned one is); ``others`` (the same of the learned cuts that are the nearest of none);
        ``bins bin_days``; ``planted_edges learned_edges`` (seconds); ``panels`` (``term planted learned``,
        for the features whose planted style changes most); ``correlation`` and ``line`` (slope and
        intercept) of learned over planted differences, all features and bins; ``features`` (their number)
        and ``points`` (planted and learned, one for each feature and each stretch of time between cuts).
    """
    found = measure(model, fits=0)
    planted_edges, learned_edges = truth.epoch_edges, found.edges
    bins = int(model.config_["bins"])
    width = float(planted_edges[-1] - planted_edges[0]) / bins
    middles = (planted_edges[0] + (np.arange(bins) + 0.5) * width).astype(np.int64)
    now = [epoch_of(middles, planted_edges), epoch_of(middles, learned_edges)]
    styles = [PlantedTaste(truth, features, model.data_.items).styles(), found.response]
    planted, learned = (style - style[epochs].mean(axis=0) for style, epochs in zip(styles, now))
    over_time = [planted[now[0]], learned[now[1]]]
    order = np.argsort(-over_time[0].std(axis=0), kind="stable")[:PANELS]
    cuts, others = _cuts(planted_edges[1:-1], learned_edges[1:-1], width)
    pairs = np.unique(np.column_stack(now), axis=0)
    points = np.column_stack([planted[pairs[:, 0]].ravel(), learned[pairs[:, 1]].ravel()])
    return {
        "cuts": cuts,
        "others": others,
        "bins": bins,
        "bin_days": width / DAY,
        "planted_edges": planted_edges.tolist(),
        "learned_edges": learned_edges.tolist(),
        "panels": [
            {
                "term": found.features[k],
                "planted": planted[:, k].tolist(),
                "learned": learned[:, k].tolist(),
            }
            for k in order.tolist()
        ],
        "correlation": float(np.corrcoef(over_time[0].ravel(), over_time[1].ravel())[0, 1]),
        "features": len(found.features),
        "line": np.polyfit(over_time[0].ravel(), over_time[1].ravel(), 1).tolist(),
        "points": points.tolist(),
    }


def _cuts(
    planted: np.ndarray, learned: np.ndarray, width: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every planted cut with the nearest learned one; the other learned ones with the nearest planted."""
    apart = np.abs(planted[:, None] - learned[None])

    def row(p: int, n: int) -> dict[str, Any]:
        return {
            "planted": _day(planted[p]),
            "learned": _day(learned[n]),
            "days": float(apart[p, n]) / DAY,
            "bins": float(apart[p, n]) / width,
        }

    nearest = apart.argmin(axis=1).tolist()
    others = [n for n in range(len(learned)) if n not in nearest]
    return (
        [row(p, n) for p, n in enumerate(nearest)],
        [row(int(apart[:, n].argmin()), n) for n in others],
    )


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d")
