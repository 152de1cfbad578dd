"""How well the models rank, as plain data: AUC, paired differences, cold to warm, learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.ranking import item_classes

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.report.subject import Subject

__all__ = [
    "baselines", "classes", "curves", "differences", "figures", "models", "unlearned", "warmth",
]  # fmt: skip

SETTINGS = ("all", "cold", "stratified")
BINS = "bought "  # begins the names of settings by training purchases
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
            **figures(subject.comparison["models"][n]),
        }
        for n, one in enumerate(subject.judged)
    ]


def baselines(subject: Subject) -> list[dict[str, Any]]:
    """The same of what needs no learning, which stands beside the models."""
    rows = []
    for found in subject.comparison["models"]:
        if found["baseline"]:
            label, sees = UNLEARNED[found["model"]]
            names = {"name": found["model"], "label": label, "sees": sees}
            rows.append({**names, "best": False, "beside": True, **figures(found)})
    return rows


def unlearned(subject: Subject) -> dict[str, Any]:
    """The best of what needs no learning: ``label all``, and the page's model minus it as ``difference``.

    The difference is None where the page's model is that one.
    """
    first = subject.first.label
    found = [
        {"own": row["model"], "label": UNLEARNED[row["model"]][0].lower(), "all": row["all"]}
        for row in subject.comparison["models"]
        if row["baseline"]
    ]
    for one, row in zip(subject.judged, subject.comparison["models"]):
        if one.model.name in UNLEARNED:
            found.append({"own": one.label, "label": one.label, "all": row["all"]})
    best = max(found, key=lambda one: one["all"]["auc"])
    own = best.pop("own")
    return {**best, "difference": None if own == first else subject.comparison.difference(first, own)}


def differences(subject: Subject) -> list[dict[str, Any]]:
    """The page's model minus each other one, shopper by shopper: ``label``, and by setting the figures.

    A figure is ``difference stderr ci95 users``, see `questions.comparing`.
    """
    first = subject.first.label
    return [
        {
            "label": one.label,
            **{name: subject.comparison.difference(first, one.label, name) for name in SETTINGS},
        }
        for one in subject.judged
        if one is not subject.first
    ]


def warmth(subject: Subject) -> dict[str, Any]:
    """AUC by how often the held-out product was bought in training.

    Returns
    -------
    dict
        ``bins`` (``label users``) and ``lines`` (``label kind points``), a point being ``auc ci95`` of a bin;
        inverse popularity is the last line.
    """
    settings = [name for name in subject.comparison["settings"] if name.startswith(BINS)]
    found = subject.comparison["models"]
    shown = [row for row in found if not row["baseline"]]
    shown += [row for row in found if row["baseline"] and row["model"] == "inverse_popularity"]
    lines = []
    for n, row in enumerate(shown):
        label = UNLEARNED[row["model"]][0] if row["baseline"] else row["model"]
        kind = "best" if n == subject.best else "beside" if row["baseline"] else "model"
        points = [{key: row[name][key] for key in ("auc", "ci95")} for name in settings]
        lines.append({"label": label, "kind": kind, "points": points})
    masks = subject.comparison.per_user.settings
    bins = [
        {"label": name.removeprefix(BINS).replace("-", "–"), "users": int(masks[name].sum())}
        for name in settings
    ]
    return {"bins": bins, "lines": lines}


def curves(subject: Subject) -> list[dict[str, Any]]:
    """Validation AUC by iteration of the models that learn step by step."""
    return [
        {"key": n, "strong": n == subject.best, **_curve(one.label, one.model)}
        for n, one in enumerate(subject.judged)
        if any(row.get("valid_auc") is not None for row in one.model.history_)
    ]


def _curve(label: str, model: Model) -> dict[str, Any]:
    points = [(row["iteration"], row["valid_auc"]) for row in model.history_ if row["valid_auc"] is not None]
    asked = model.config_.get("valid_users")  # models of earlier versions lack it: everybody
    return {
        "name": model.name,
        "label": label,
        "points": points,
        "best": max(points, key=lambda point: (point[1], -point[0])),
        "most": model.config_["iterations"],
        "patience": model.config_["patience"],
        "asked": asked if isinstance(asked, int) else None,
    }


def classes(subject: Subject) -> list[dict[str, Any]]:
    """How many products, and how many held-out ones, have no, few or many training purchases."""
    own = item_classes(subject.data.train_counts)
    items = np.bincount(own, minlength=len(CLASSES))
    tests = np.bincount(own[subject.comparison.per_user.items], minlength=len(CLASSES))
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
