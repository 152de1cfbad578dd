"""The model file: everything a fitted model is, but for its features (data/FORMAT.md, section 5)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.arrays import as_float32
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.errors import DataError, IvbprError
from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.models.checkpoint import canonical_json
from ivbpr_numba.models.temporal_learner import category_codes
from ivbpr_numba.models.visual import VBPR
from ivbpr_numba.parameters import (
    FactorParameters,
    Parameters,
    PopularityParameters,
    TemporalParameters,
    VisualParameters,
)
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.files import write_tree
from ivbpr_numba.store.tree import FORMAT_VERSION, Tree, Value, as_canonical

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model

__all__ = ["FORMAT", "restore", "write_model"]

FORMAT = "ivbpr-model"
PARAMETERS: dict[str, type[Parameters]] = {
    "rand": Parameters,
    "pop": PopularityParameters,
    "mm-mf": FactorParameters,
    "bpr-mf": FactorParameters,
    "vbpr": VisualParameters,
    "i-vbpr": VisualParameters,
    "tvbpr": TemporalParameters,
    "i-tvbpr": TemporalParameters,
}
DRIFTING = ("item_bias_drift", "category_bias")  # only with --item-drift
IN_TIME = ("epoch_edges", "weight", "drift", "bias_weight", "bias_drift", *DRIFTING)
SCALING = ("shift", "multiplier", "mean")


def write_model(model: Model, path: PathLike, keep_lock: Lock | None = None) -> str:
    """Write a fitted model atomically; returns its ``payload_sha256``."""
    from ivbpr_numba.models.base import learning_options

    data = model.data_
    learned: dict[str, Value] = {_place(name): array for name, array in model.parameters_.arrays().items()}
    split: dict[str, Value] = {
        name: value for name, value in data.objects().items() if not name.startswith("/items/")
    }
    objects: dict[str, Value] = {
        **data.objects(),
        **learned,
        "/config": canonical_json(model.config_),
        "/history": canonical_json(model.history_),
        "/provenance": canonical_json({**model.provenance_, "has_times": data.has_times}),
    }
    for part, settings in model.metrics_.items():
        for setting, result in settings.items():
            objects[f"/metrics/{part}/{setting}"] = canonical_json(result)
    payload: dict[str, Value] = {
        "/@format_version": FORMAT_VERSION,
        "/@model": model.name,
        "/learning": canonical_json(learning_options(model.config_)),
        **split,
        **learned,
    }
    if model.features_ is not None:
        described = _feature_objects(model.features_, os.path.dirname(os.path.realpath(path)))
        objects |= described
        payload |= {
            name: described[name] for name in ("/features/sha256", "/features/shift", "/features/multiplier")
        }
    style = getattr(model, "style", None)
    if style is not None:
        objects |= {
            "/cache/item_visual": style[:, :, :-1],
            "/cache/item_visual_bias": style[:, :, -1],
            "/cache/payload_sha256": digest_objects({key: as_canonical(v) for key, v in payload.items()}),
        }
    return write_tree(
        path, Tree(FORMAT, objects, {"model": model.name}), payload=payload, keep_lock=keep_lock
    )


def _feature_objects(record: FeatureRecord, folder: str) -> dict[str, Value]:
    relative = os.path.relpath(record.path, folder) if record.path else ""
    return {
        "/features/kind": record.kind,
        "/features/names": np.array([name.encode() for name in record.names]),
        "/features/groups/name": np.array([group.name.encode() for group in record.groups]),
        "/features/groups/offset": np.array([group.offset for group in record.groups], np.int64),
        "/features/groups/exclusive": np.array([group.exclusive for group in record.groups], np.uint8),
        "/features/path": record.path,
        "/features/relative_path": relative,
        "/features/sha256": record.sha256,
        **{f"/features/{name}": getattr(record.scaling, name) for name in SCALING},
    }


def restore(model: Model, tree: Tree, path: PathLike) -> Model:
    """Give a model of the right class and options what a file holds.

    Raises
    ------
    DataError
        A part is missing or does not fit.
    """
    try:
        provenance = json.loads(tree.text("/provenance"))
        data = Dataset.from_tree(tree, {"has_times": bool(provenance.pop("has_times", False))})
        model.data_ = data
        model.config_ = json.loads(tree.text("/config"))
        model.history_ = json.loads(tree.text("/history"))
        model.provenance_ = provenance
        model.metrics_ = _metrics(tree)
        if "/features/sha256" in tree.objects:
            model.features_ = _read_record(tree, path)
        model._set_parameters(_read_parameters(tree, model, data))
        model.payload_sha256_ = str(tree.attrs["payload_sha256"])
        if isinstance(model, VBPR) and "/cache/item_visual" in tree.objects:
            _read_cache(model, tree)
    except IvbprError as problem:
        raise DataError(f"'{path}': {problem.message}", problem.hint) from problem
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        what = f"{problem.args[0]} is missing" if isinstance(problem, KeyError) else str(problem)
        raise DataError(
            f"'{path}' is a model file that contradicts itself: {what}.", "Fit again."
        ) from problem
    return model


def _read_cache(model: VBPR, tree: Tree) -> None:
    """Use the projected features, if they belong to these parameters."""
    if tree.text("/cache/payload_sha256") != model.payload_sha256_:
        return
    shape = (
        int(model.config_.get("epochs", 1)),
        len(model.data_.items),
        int(model.config_["visual_factors"]),
    )
    vectors = as_float32("/cache/item_visual", tree.array("/cache/item_visual"), shape)
    bias = as_float32("/cache/item_visual_bias", tree.array("/cache/item_visual_bias"), shape[:2])
    model.keep_style(np.concatenate([vectors, bias[:, :, None]], axis=2))


def _metrics(tree: Tree) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in tree.objects:
        if path.startswith("/metrics/"):
            part, setting = path.removeprefix("/metrics/").split("/")
            found.setdefault(part, {})[setting] = json.loads(tree.text(path))
    return found


def _place(name: str) -> str:
    """Path of a parameter in the file."""
    return f"/params/temporal/{name}" if name in IN_TIME else f"/params/{name}"


def _read_parameters(tree: Tree, model: Model, data: Dataset) -> Parameters:
    cls = PARAMETERS[str(tree.attrs["model"])]
    shapes = _shapes(model.config_, data, len(model.features_.names) if model.features_ is not None else 0)
    found = {}
    for name in (field.name for field in fields(cls)):
        if name == "category" or (name in DRIFTING and not model.config_.get("item_drift")):
            continue
        array = tree.array(_place(name))
        if name == "epoch_edges":
            if array.dtype != np.int64 or array.shape != shapes[name] or np.any(np.diff(array) < 0):
                raise ValueError(f"{_place(name)} is not an ascending row of {shapes[name][0]} int64")
            found[name] = array
        else:
            found[name] = as_float32(_place(name), array, shapes[name])
    if model.config_.get("item_drift"):
        found["category"] = category_codes(data)[0]
    return cls(**found)


def _shapes(config: Mapping[str, Any], data: Dataset, columns: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter for these options and data."""
    n_users, n_items = len(data.users), len(data.items)
    k, d = int(config.get("factors", 0)), int(config.get("visual_factors", 0))
    n_epochs = int(config.get("epochs", 0))
    return {
        "item_bias": (n_items,),
        "user_factors": (n_users, k),
        "item_factors": (n_items, k),
        "user_visual": (n_users, d),
        "embedding": (d, columns),
        "visual_bias": (columns,),
        "epoch_edges": (n_epochs + 1,),
        "weight": (n_epochs, d),
        "drift": (n_epochs, d, columns),
        "bias_weight": (n_epochs, columns),
        "bias_drift": (n_epochs, columns),
        "item_bias_drift": (n_epochs, n_items),
        "category_bias": (n_epochs, category_codes(data)[1]),
    }


def _read_record(tree: Tree, path: PathLike) -> FeatureRecord:
    names = [name.decode() for name in tree.array("/features/names").tolist()]
    offsets = tree.array("/features/groups/offset").tolist()
    owners = tree.array("/features/groups/name").tolist()
    exclusive = tree.array("/features/groups/exclusive").tolist()
    groups = [
        Group(name.decode(), start, stop - start, bool(one))
        for name, start, stop, one in zip(owners, offsets, [*offsets[1:], len(names)], exclusive, strict=True)
    ]
    shift, multiplier, mean = (
        as_float32(f"/features/{name}", tree.array(f"/features/{name}"), (len(names),)) for name in SCALING
    )
    scaling = Scaling(shift, multiplier, mean)
    return FeatureRecord(
        kind=tree.text("/features/kind"),
        names=names,
        groups=groups,
        sha256=tree.text("/features/sha256"),
        path=tree.text("/features/path"),
        relative_path=tree.text("/features/relative_path"),
        folder=os.path.dirname(os.path.realpath(path)),
        scaling=scaling,
    )
