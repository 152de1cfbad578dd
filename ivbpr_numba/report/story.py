"""The facts of a demo as plain data: what was planted, what was learned, and whether the two agree."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.questions.planted import agreement
from ivbpr_numba.ranking import item_classes, questions
from ivbpr_numba.report.change import changed
from ivbpr_numba.report.explained import explained
from ivbpr_numba.report.photos import photos, picture_data

if TYPE_CHECKING:
    from pathlib import Path

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.worlds.world import World

__all__ = ["MODELS", "Outcome", "tell"]

MODELS = ("rand", "pop", "mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr")
SETTINGS = ("all", "cold", "stratified")
UTILITY_USERS = 500  # the shares of a utility are means over at most so many shoppers
CLASSES = ("none", "1–4", "5 or more")


@dataclass(frozen=True)
class Outcome:
    """What a demo did.

    Attributes
    ----------
    world : World
    data : Dataset
    truth : mapping of str to dict
        AUC report of the utilities behind the purchases, ``test`` and ``valid``.
    models : mapping of str to Model
        Fitted, by name; models that are missing appear as not in this demo.
    judged : mapping of str to dict
        AUC report of each.
    sees : mapping of str to str
        In a few words, what a model knows about a product.
    attributes : Features
        Those of ``i-vbpr``: what `network` saw.
    network : Network
    images : Path
        Folder of the photos, ``ITEM.jpg``.
    digests : mapping of str to str
        Payload digest of each file.
    timeless : dict, optional
        AUC report of the same utilities averaged over time, ``test``, beside models in time.
    """

    world: World
    data: Dataset
    truth: Mapping[str, dict[str, Any]]
    models: Mapping[str, Model]
    judged: Mapping[str, dict[str, Any]]
    sees: Mapping[str, str]
    attributes: Features
    network: Network
    images: Path
    digests: Mapping[str, str]
    timeless: dict[str, Any] | None = None

    @property
    def best(self) -> str:
        """Name of the model that the page speaks of first."""
        return "i-tvbpr" if "i-tvbpr" in self.models else "i-vbpr"


def tell(outcome: Outcome) -> dict[str, Any]:
    """Everything that the page shows, as dictionaries, lists, numbers and texts; no times, no paths."""
    truth = {"label": "Truth", **_figures(outcome.truth["test"])}
    any_report = next(iter(outcome.judged.values()))
    found = agreement(outcome.world.truth, outcome.models["i-vbpr"], outcome.attributes)
    in_time = outcome.models.get("i-tvbpr")
    return {
        "size": outcome.world.size.name,
        "seed": outcome.world.seed,
        "world": _world(outcome.world, outcome.data),
        "truth": {**truth, "of_the_way": 1.0, "valid": outcome.truth["valid"]["all"]["auc"]},
        "timeless": outcome.timeless and _compared("Truth without time", outcome.timeless, outcome),
        "best": outcome.best,
        "models": [_model(name, outcome) for name in MODELS],
        "inverse_popularity": _figures(any_report["baselines"]["inverse_popularity"]),
        "classes": _classes(outcome.data),
        "curves": [
            _curve(name, model)
            for name, model in outcome.models.items()
            if any(row.get("valid_auc") is not None for row in model.history_)
        ],
        "photos": photos(outcome.world, outcome.data, outcome.attributes, outcome.network, outcome.images),
        "black_box_columns": _columns(outcome.models["vbpr"]),
        "explained": _with_pictures(
            explained(outcome.world.truth, outcome.models["i-vbpr"], outcome.attributes), outcome.images
        ),
        "agreement": {
            "correlation": found.correlation,
            "top_beats_random": found.top_beats_random,
            "pairs": int(found.of_pair[-1]) + 1,
            "contributions": len(found.learned),
            "slope": float(np.polyfit(found.planted, found.learned, 1)[0]),
            "points": np.column_stack([found.planted, found.learned])[found.of_pair < 250].tolist(),
        },
        "change": in_time and changed(outcome.world.truth, in_time, outcome.attributes),
        "digests": dict(outcome.digests),
        "versions": {
            "ivbpr": metadata.version("ivbpr"),
            "Python": platform.python_version(),
            **{name: metadata.version(name) for name in ("numpy", "numba", "h5py", "Pillow")},
            "onnxruntime": _onnxruntime(),
            "on": f"{platform.system()} {platform.machine()}",
        },
    }


def _columns(model: Model) -> int:
    return len(model.features_.names) if model.features_ is not None else 0


def _with_pictures(told: dict[str, Any], images: Path) -> dict[str, Any]:
    for entry in (*told["list"], *told["owned"]):
        entry["picture"] = picture_data(images, entry["item"])
    return told


def _figures(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {key: report[name][key] for key in ("auc", "ci95", "users")} for name in SETTINGS}


def _model(name: str, outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "label": name.upper(), "sees": outcome.sees.get(name, "")}
    if name not in outcome.judged:
        return {**row, "fitted": False}
    compared = _compared(row["label"], outcome.judged[name], outcome)
    return {**row, "fitted": True, "best": name == outcome.best, **compared}


def _compared(label: str, report: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    truth = outcome.truth["test"]
    way = (report["all"]["auc"] - 0.5) / (truth["all"]["auc"] - 0.5)
    return {"label": label, **_figures(report), "of_the_way": way}


def _curve(name: str, model: Model) -> dict[str, Any]:
    points = [(row["iteration"], row["valid_auc"]) for row in model.history_ if row["valid_auc"] is not None]
    best = max(points, key=lambda point: (point[1], -point[0]))
    return {
        "name": name,
        "label": name.upper(),
        "points": points,
        "best": best,
        "most": model.config_["iterations"],
        "patience": model.config_["patience"],
    }


def _world(world: World, data: Dataset) -> dict[str, Any]:
    size, table = world.size, world.attributes
    share = table.dense().mean(axis=0)
    groups = [
        {
            "name": name,
            "exclusive": exclusive,
            "values": [
                {"name": table.values[offset + k], "share": float(share[offset + k])}
                for k in np.argsort(-share[offset : offset + n], kind="stable").tolist()
            ],
        }
        for name, offset, n, exclusive in table.layout
    ]
    parts = (data.train, data.valid, data.test)
    return {
        "users": len(data.users),
        "items": len(data.items),
        "purchases": sum(len(part) for part in parts),
        "training": len(data.train),
        "made_users": size.users,
        "made_items": size.items,
        "made_purchases": len(world.purchases.items),
        "attributes": len(table.names),
        "groups": groups,
        "late_share": size.late_share,
        "late_span": size.late_span,
        "late_items": int((world.truth.release > size.start).sum()),
        "least": size.min_purchases,
        "most": size.max_purchases,
        "cuts": [_day(cut) for cut in world.truth.epoch_edges[1:-1].tolist()] if size.drift_sd > 0 else [],
        "first_day": _day(size.start),
        "last_day": _day(size.start + size.seconds),
        "taste_dimensions": size.taste_dimensions,
        "utility": _utility(world),
    }


def _onnxruntime() -> str:
    for name in ("onnxruntime-gpu", "onnxruntime"):  # exactly one of them is installed
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _utility(world: World) -> list[dict[str, Any]]:
    """How much each part of a utility varies over the catalogue, as a share: mean over shoppers."""
    truth = world.truth
    users = np.arange(min(UTILITY_USERS, len(world.users)))
    attributes = truth.attributes.dense().astype(np.float64)
    own = (truth.taste[users] @ truth.taste_map) @ attributes.T
    hidden = truth.user_latent[users] @ truth.item_latent.T
    kappa = float(truth.config["kappa"])
    fashion = (truth.style @ attributes.T).var(axis=1)
    variances = {
        "the shopper’s own taste for named attributes": own.var(axis=1).mean(),
        "what nobody can see: a hidden taste": hidden.var(axis=1).mean(),
        "how popular the product is with everybody": truth.popularity.var(),
        "the fashion that all shoppers share": fashion @ truth.volume / truth.volume.sum(),
        "the whim of the moment": np.pi**2 / 6 / kappa**2,
    }
    total = sum(variances.values())
    shares = sorted(variances.items(), key=lambda part: -part[1])
    return [{"what": what, "share": float(value / total)} for what, value in shares]


def _classes(data: Dataset) -> list[dict[str, Any]]:
    """How many products, and how many held-out ones, have no, few or many training purchases."""
    trained = data.train_counts
    items = np.bincount(item_classes(trained), minlength=len(CLASSES))
    tests = np.bincount(item_classes(trained)[questions(data, "test").targets], minlength=len(CLASSES))
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
