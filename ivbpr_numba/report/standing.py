"""How well the models rank, as plain data: AUC, paired differences, cold to warm, learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.ranking import COLD_BELOW, all_and_cold, item_classes, summary

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.report.subject import Subject

__all__ = ["SEES", "baselines", "classes", "curves", "differences", "figures", "models", "warmth"]

SETTINGS = ("all", "cold", "stratified")
CLASSES = ("none", "1–4", "5 or more")
SEES = {
    "rand": "nothing: a random order",
    "pop": "how often each product was bought",
    "mm-mf": "purchases, with a hinge loss",
    "bpr-mf": "purchases",
    "vbpr": "purchases and nameless features of the products",
    "i-vbpr": "purchases and attributes of the products",
    "tvbpr": "as VBPR, and time",
    "i-tvbpr": "as I-VBPR, and time",
}
UNLEARNED = {
    "inverse_popularity": ("Inverse popularity", "nothing learned: the fewer purchases the better"),
    "pop": ("Popularity", "nothing learned: the more purchases the better"),
    "cosine": ("Cosine", "nothing learned: likeness to what the shopper bought"),
}
# Training purchases of the held-out product; the first two classes are those of the stratified AUC.
WARMTH = (0, 1, 2, 3, 5, 10, 20, 50, 100)
FEWEST = 10  # held-out products in a bin of its own


def figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """The three settings, each ``auc ci95 stderr users``."""
    return {name: {key: report[name][key] for key in ("auc", "ci95", "stderr", "users")} for name in SETTINGS}


def models(subject: Subject) -> list[dict[str, Any]]:
    """A row a model: ``name label sees best beside all cold stratified``."""
    return [
        {
            "name": one.model.name,
            "label": one.label,
            "sees": SEES.get(one.model.name, ""),
            "best": n == subject.best,
            "beside": False,
            **figures(one.report),
        }
        for n, one in enumerate(subject.judged)
    ]


def baselines(subject: Subject) -> list[dict[str, Any]]:
    """The same of what needs no learning, which stands beside the models."""
    cold = subject.data.train_counts[subject.asked.targets] < COLD_BELOW
    rows = []
    for name, counts in subject.baselines.items():
        # Popularity ties whole shelves of products: half a point for a tie is what drawing lots would give.
        ties = "half" if name == "inverse_popularity" else "strict"
        found = all_and_cold(counts, cold, ties)
        found["stratified"] = summary(*counts.auc(ties, stratified=True))
        label, sees = UNLEARNED[name]
        rows.append(
            {"name": name, "label": label, "sees": sees, "best": False, "beside": True, **figures(found)}
        )
    return rows


def differences(subject: Subject) -> list[dict[str, Any]]:
    """The page's model minus each other one, over the same shoppers: ``label``, and by setting the figures.

    A figure is ``mean stderr ci95 users`` of the differences between the two AUCs of each shopper.
    """
    cold = subject.data.train_counts[subject.asked.targets] < COLD_BELOW
    rows = []
    for n, other in enumerate(subject.judged):
        if n == subject.best:
            continue
        plain, strata = (
            subject.first.counts.auc(stratified=way)[0] - other.counts.auc(stratified=way)[0]
            for way in (False, True)
        )
        rows.append(
            {"label": other.label, "all": _paired(plain), "cold": _paired(plain[cold])}
            | {"stratified": _paired(strata)}
        )
    return rows


def _paired(values: np.ndarray) -> dict[str, Any]:
    values = values[np.isfinite(values)]
    n = len(values)
    mean = float(values.mean()) if n else None
    error = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    interval = None
    if mean is not None and error is not None:
        interval = [mean - 1.96 * error, mean + 1.96 * error]
    return {"mean": mean, "stderr": error, "ci95": interval, "users": n}


def warmth(subject: Subject) -> dict[str, Any]:
    """AUC by how often the held-out product was bought in training.

    Returns
    -------
    dict
        ``bins`` (``label users``) and ``lines`` (``label kind points``), a point being ``auc ci95``
        of a bin; inverse popularity is the last line. Bins with too few held-out products join the next.
    """
    bought = subject.data.train_counts[subject.asked.targets]
    spans = _spans(bought)
    inside = [(bought >= low) & (bought < end) for low, end in spans]
    counted = [
        (one.label, "best" if n == subject.best else "model", one.counts.auc())
        for n, one in enumerate(subject.judged)
    ]
    counted.append(("Inverse popularity", "beside", subject.baselines["inverse_popularity"].auc("half")))
    lines = []
    for label, kind, parts in counted:
        found = [summary(*(part[chosen] for part in parts)) for chosen in inside]
        points = [{key: one[key] for key in ("auc", "ci95")} for one in found]
        lines.append({"label": label, "kind": kind, "points": points})
    bins = [
        {"label": str(low) if end == low + 1 else f"{low}–{end - 1}", "users": int(chosen.sum())}
        for (low, end), chosen in zip(spans, inside)
    ]
    return {"bins": bins, "lines": lines}


def _spans(bought: np.ndarray) -> list[tuple[int, int]]:
    """First number of training purchases of each bin, and the first after it."""
    most = int(bought.max())
    starts = [edge for edge in WARMTH if edge <= most]
    found: list[tuple[int, int]] = []
    low = 0
    for end in [*starts[1:], most + 1]:
        if ((bought >= low) & (bought < end)).sum() >= FEWEST:
            found.append((low, end))
            low = end
    if low <= most:  # too few are left for a bin of their own
        low = found.pop()[0] if found else low
        found.append((low, most + 1))
    return found


def curves(subject: Subject) -> list[dict[str, Any]]:
    """Validation AUC by iteration of the models that learn step by step."""
    return [
        {"key": n, "strong": n == subject.best, **_curve(one.label, one.model)}
        for n, one in enumerate(subject.judged)
        if any(row.get("valid_auc") is not None for row in one.model.history_)
    ]


def _curve(label: str, model: Model) -> dict[str, Any]:
    points = [(row["iteration"], row["valid_auc"]) for row in model.history_ if row["valid_auc"] is not None]
    return {
        "name": model.name,
        "label": label,
        "points": points,
        "best": max(points, key=lambda point: (point[1], -point[0])),
        "most": model.config_["iterations"],
        "patience": model.config_["patience"],
    }


def classes(data: Dataset, targets: np.ndarray) -> list[dict[str, Any]]:
    """How many products, and how many held-out ones, have no, few or many training purchases."""
    own = item_classes(data.train_counts)
    items = np.bincount(own, minlength=len(CLASSES))
    tests = np.bincount(own[targets], minlength=len(CLASSES))
    return [
        {
            "what": what,
            "items": int(items[n]),
            "item_share": float(items[n] / items.sum()),
            "tests": int(tests[n]),
            "test_share": float(tests[n] / tests.sum()),
        }
        for n, what in enumerate(CLASSES)
    ]
