"""The model file: everything a fitted model is, but for its features (data/FORMAT.md, section 5)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from ivbpr_numba.arrays import as_float32
from ivbpr_numba.datasets.categories import category_codes
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.errors import DataError, IvbprError, UsageError, parameter
from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.fitted.fitted import DRIFTING, Fitted, learning_options, payload_of, place
from ivbpr_numba.parameters import Parameters
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.digest import canonical_json
from ivbpr_numba.store.files import check_target, write_tree
from ivbpr_numba.store.hdf5 import opened, read_attributes
from ivbpr_numba.store.tree import Tree, Value

__all__ = [
    "FORMAT",
    "config_of",
    "identity",
    "identity_of",
    "read_fitted",
    "read_style",
    "refuse_finished",
    "write_fitted",
]

FORMAT = "ivbpr-model"
SCALING = ("shift", "multiplier", "mean")


def write_fitted(
    fitted: Fitted, path: PathLike, style: np.ndarray | None = None, keep_lock: Lock | None = None
) -> None:
    """Write a model file atomically.

    Parameters
    ----------
    fitted : Fitted
    path : path
    style : (N, I, D + 1) float32, optional
        [θ_i, β · f_i] of every epoch and item: kept in the file for quick answers.
    keep_lock : Lock, optional
        Of `path`, where the caller holds it.

    Raises
    ------
    UsageError, EnvironmentProblem
        See `store.files.write_tree`.
    """
    data = fitted.data
    objects: dict[str, Value] = {
        **data.objects(),
        **{place(name): array for name, array in fitted.parameters.arrays().items()},
        "/config": canonical_json(fitted.config),
        "/history": canonical_json(fitted.history),
        "/provenance": canonical_json({**fitted.provenance, "has_times": data.has_times}),
    }
    for part, settings in fitted.metrics.items():
        for setting, result in settings.items():
            objects[f"/metrics/{part}/{setting}"] = canonical_json(result)
    if fitted.features is not None:
        objects |= _feature_objects(fitted.features, os.path.dirname(os.path.realpath(path)))
    if style is not None:
        objects |= {
            "/cache/item_visual": style[:, :, :-1],
            "/cache/item_visual_bias": style[:, :, -1],
            "/cache/payload_sha256": fitted.payload_sha256,
        }
    tree = Tree(FORMAT, objects, {"model": fitted.name})
    write_tree(path, tree, payload=payload_of(fitted), keep_lock=keep_lock)


def identity_of(path: PathLike) -> dict[str, Any] | None:
    """What decides about the fit whose model is in a file: name, learning options, digests of the inputs.

    Returns
    -------
    dict or None
        As `identity`; None where there is no such file, or it can't be read.
    """
    if not os.path.isfile(path):
        return None
    try:
        with opened(path) as file:
            name = str(read_attributes(file, path).get("model", ""))
            config, provenance = (json.loads(file[key][()]) for key in ("/config", "/provenance"))
            return identity(name, config, provenance)
    except (IvbprError, KeyError, TypeError, ValueError):
        return None


def identity(name: str, config: dict[str, Any], provenance: dict[str, Any]) -> dict[str, Any]:
    """Name, learning options and digests of the inputs of a fit; epochs that were found count as "auto"."""
    options = learning_options(config)
    if provenance.get("epochs_tried"):
        options["epochs"] = "auto"
    inputs = {key: provenance.get(f"{key}_sha256") for key in ("dataset", "features")}
    if provenance.get("start_sha256"):
        inputs["start"] = provenance["start_sha256"]
    if provenance.get("start_sha256"):  # it began at other models
        inputs["start"] = provenance["start_sha256"]
    return {"model": name, **options, **inputs}


def refuse_finished(path: PathLike, wanted: dict[str, Any]) -> None:
    """Refuse to replace the finished model of another fit.

    Parameters
    ----------
    path : path
    wanted : dict
        The `identity` of the fit that wants to write there.

    Raises
    ------
    UsageError
        Another model is there, or a file of another kind.
    """
    check_target(path, FORMAT)
    found = identity_of(path)
    if found is None or json.loads(canonical_json(found)) == json.loads(canonical_json(wanted)):
        return
    different = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
    raise UsageError(
        f"'{path}' holds the finished model of another fit; different: "
        f"{', '.join(name.replace('_', ' ') for name in different)}.",
        f"Choose another name, or replace it with {parameter('overwrite', True)}.",
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


def config_of(tree: Tree, path: PathLike) -> dict[str, Any]:
    """The options that a model file holds.

    Raises
    ------
    DataError
        They can't be read.
    """
    try:
        config = json.loads(tree.text("/config"))
        if not isinstance(config, dict):
            raise ValueError("it is not a JSON object")
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"'{path}' has no readable configuration ({problem}).", "Fit again.") from problem
    return config


def read_fitted(tree: Tree, path: PathLike, parameters: type[Parameters]) -> Fitted:
    """What a model file holds.

    Parameters
    ----------
    tree : Tree
        The file, as `store.files.read_tree` checked it.
    path : path
        Where it was read from.
    parameters : type
        The learned arrays of its model.

    Raises
    ------
    DataError
        A part is missing or does not fit.
    """
    try:
        provenance = json.loads(tree.text("/provenance"))
        data = Dataset.from_tree(tree, {"has_times": bool(provenance.pop("has_times", False))})
        config = config_of(tree, path)
        record = _read_record(tree, path) if "/features/sha256" in tree.objects else None
        return Fitted(
            name=str(tree.attrs["model"]),
            data=data,
            parameters=_read_parameters(tree, parameters, config, data, record),
            config=config,
            features=record,
            history=json.loads(tree.text("/history")),
            metrics=_metrics(tree),
            provenance=provenance,
            payload_sha256=str(tree.attrs["payload_sha256"]),
        )
    except IvbprError as problem:
        raise DataError(f"'{path}': {problem.message}", problem.hint) from problem
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise _contradicts(path, problem) from problem


def read_style(tree: Tree, fitted: Fitted, path: PathLike) -> np.ndarray | None:
    """The projected features that a file keeps, (N, I, D + 1) float32; None where there are none of this fit.

    Raises
    ------
    DataError
        Their shapes don't fit.
    """
    if "/cache/item_visual" not in tree.objects:
        return None
    try:
        if tree.text("/cache/payload_sha256") != fitted.payload_sha256:
            return None
        shape = (
            int(fitted.config.get("epochs", 1)),
            len(fitted.data.items),
            int(fitted.config["visual_factors"]) * int(fitted.config.get("ensemble", 1)),
        )
        vectors = as_float32("/cache/item_visual", tree.array("/cache/item_visual"), shape)
        bias = as_float32("/cache/item_visual_bias", tree.array("/cache/item_visual_bias"), shape[:2])
    except IvbprError as problem:
        raise DataError(f"'{path}': {problem.message}", problem.hint) from problem
    except (KeyError, TypeError, ValueError) as problem:
        raise _contradicts(path, problem) from problem
    return np.concatenate([vectors, bias[:, :, None]], axis=2)


def _contradicts(path: PathLike, problem: Exception) -> DataError:
    what = f"{problem.args[0]} is missing" if isinstance(problem, KeyError) else str(problem)
    return DataError(f"'{path}' is a model file that contradicts itself: {what}.", "Fit again.")


def _metrics(tree: Tree) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in tree.objects:
        if path.startswith("/metrics/"):
            part, setting = path.removeprefix("/metrics/").split("/")
            found.setdefault(part, {})[setting] = json.loads(tree.text(path))
    return found


def _read_parameters(
    tree: Tree,
    cls: type[Parameters],
    config: Mapping[str, Any],
    data: Dataset,
    record: FeatureRecord | None,
) -> Parameters:
    shapes = _shapes(config, data, len(record.names) if record is not None else 0)
    found = {}
    for name in (field.name for field in fields(cls)):
        if name == "category" or (name in DRIFTING and not config.get("item_drift")):
            continue
        array = tree.array(place(name))
        if name == "epoch_edges":
            if array.dtype != np.int64 or array.shape != shapes[name] or np.any(np.diff(array) < 0):
                raise ValueError(f"{place(name)} is not an ascending row of {shapes[name][0]} int64")
            found[name] = array
        else:
            found[name] = as_float32(place(name), array, shapes[name])
    if config.get("item_drift"):
        found["category"] = category_codes(data)[0]
    return cls(**found)


def _shapes(config: Mapping[str, Any], data: Dataset, columns: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter for these options and data."""
    n_users, n_items = len(data.users), len(data.items)
    members = int(config.get("ensemble", 1))
    k, d = members * int(config.get("factors", 0)), members * int(config.get("visual_factors", 0))
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
