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
from ivbpr_numba.report.cards import cards
from ivbpr_numba.report.change import changed
from ivbpr_numba.report.explained import explained
from ivbpr_numba.report.item_pictures import open_pictures
from ivbpr_numba.report.photos import photos
from ivbpr_numba.report.standing import figures
from ivbpr_numba.report.steered import steered
from ivbpr_numba.report.subject import subject_of
from ivbpr_numba.report.telling import tell_models

if TYPE_CHECKING:
    from pathlib import Path

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.worlds.world import World

__all__ = ["Outcome", "tell"]

UTILITY_USERS = 500  # the shares of a utility are means over at most so many shoppers
OWN_TASTE = "the shopper’s own taste for named attributes"
FASHION = "the fashion that all shoppers share"
# The order of the sections; those of any page about models, and in between what was planted.
ORDER = (
    *("why", "steered", "planted", "seen", "results", "curves", "warmth", "liking", "change", "trends"),
    *("shoppers", "limits", "repeat", "fits"),
)
PLANTED = {
    "steered": "Steering",
    "planted": "Planted",
    "seen": "Seen",
    "change": "Time",
    "limits": "Limits",
    "repeat": "Repeat",
}
FILES = {"why": "why-planted"}  # templates that are not named as their section
SEES = {
    "vbpr": "purchases and nameless features of the photos",
    "i-vbpr": "purchases and attributes that a network saw on the photos",
}


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
        Fitted, by name.
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
    subject = subject_of(
        list(outcome.models.values()), outcome.data, best=[*outcome.models].index(outcome.best)
    )
    truth = outcome.truth["test"]
    found = agreement(outcome.world.truth, outcome.models["i-vbpr"], outcome.attributes)
    in_time = outcome.models.get("i-tvbpr")
    seen = photos(outcome.world, outcome.data, outcome.attributes, outcome.network)
    shopper = explained(outcome.world.truth, outcome.models["i-vbpr"], outcome.attributes)
    pictures = open_pictures(outcome.images)
    story = tell_models(subject, pictures=pictures.many)
    rows = [
        {**row, "sees": SEES.get(row["name"], row["sees"]), "of_the_way": _way(row, truth)}
        for row in story["models"]
    ]
    wishes = steered(subject, story["why"]["user"])
    steps = [product for step in wishes["steps"] for product in step["list"]] if wishes else []
    own = [*steps, *seen["examples"], *seen["mistakes"], *shopper["owned"], *shopper["list"]]
    items = [product["item"] for product in own]
    change = in_time and changed(outcome.world.truth, in_time, outcome.attributes)
    timeless = outcome.timeless and {"label": "Truth without time", **figures(outcome.timeless)}
    sections = {one["name"]: one["short"] for one in story["sections"]} | PLANTED
    for name, there in (("change", change), ("steered", wishes)):
        if not there:
            del sections[name]
    return story | {
        "page": "demo",
        "sections": [
            {"name": name, "short": sections[name], "file": FILES.get(name, name)}
            for name in ORDER
            if name in sections
        ],
        "size": outcome.world.size.name,
        "seed": outcome.world.seed,
        "world": _world(outcome.world, outcome.data),
        "truth": {
            "label": "Truth",
            **figures(truth),
            "of_the_way": 1.0,
            "valid": outcome.truth["valid"]["all"]["auc"],
        },
        "timeless": timeless and {**timeless, "of_the_way": _way(timeless, truth)},
        "models": rows,
        "by_name": {row["name"]: row for row in rows},
        "best": rows[subject.best],
        "photos": seen,
        "black_box_columns": _columns(outcome.models["vbpr"]),
        "explained": shopper,
        "steered": wishes and wishes | {"rule": story["why"]["rule"]},
        "shoppers": [one for one in (story["why"], *story["shoppers"]) if one["user"] != shopper["user"]],
        "agreement": {
            "correlation": found.correlation,
            "top_beats_random": found.top_beats_random,
            "pairs": int(found.of_pair[-1]) + 1,
            "contributions": len(found.learned),
            "line": np.polyfit(found.planted, found.learned, 1).tolist(),
            "points": np.column_stack([found.planted, found.learned])[found.of_pair < 250].tolist(),
        },
        "change": change,
        "cards": story["cards"] | cards(outcome.data, None, pictures.many(items), items),
        "fits": story["fits"] | {"digests": dict(outcome.digests), "versions": _versions(outcome.world.seed)},
    }


def _versions(seed: int) -> dict[str, str]:
    return {
        "ivbpr": metadata.version("ivbpr"),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in ("numpy", "numba", "h5py", "Pillow")},
        "onnxruntime": _onnxruntime(),
        "on": f"{platform.system()} {platform.machine()}",
        "seed": str(seed),
    }


def _columns(model: Model) -> int:
    return len(model.features_.names) if model.features_ is not None else 0


def _way(found: Mapping[str, Any], truth: Mapping[str, Any]) -> float:
    """How much of the AUC between chance and the truth is reached."""
    return float((found["all"]["auc"] - 0.5) / (truth["all"]["auc"] - 0.5))


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
    utility = _utility(world)
    shares = {row["what"]: row["share"] for row in utility}
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
        "utility": utility,
        "own_taste": shares[OWN_TASTE],
        "fashion": shares[FASHION],
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
        OWN_TASTE: own.var(axis=1).mean(),
        "what nobody can see: a hidden taste": hidden.var(axis=1).mean(),
        "how popular the product is with everybody": truth.popularity.var(),
        FASHION: fashion @ truth.volume / truth.volume.sum(),
        "the whim of the moment": np.pi**2 / 6 / kappa**2,
    }
    total = sum(variances.values())
    shares = sorted(variances.items(), key=lambda part: -part[1])
    return [{"what": what, "share": float(value / total)} for what, value in shares]
