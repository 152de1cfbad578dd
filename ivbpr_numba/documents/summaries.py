"""One file on one screen: what it is, how it was made, how good it is, what it needs, what can be done next.

A summary is a dict for JSON, its keys in the order in which people read them. ``kind`` says what the file is;
``next`` lists command lines; values are numbers, texts, lists of texts, or one level of names and values.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.examples import items_to_try, users_to_try
from ivbpr_numba.errors import DataError
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.models.registry import load
from ivbpr_numba.network.file import Network
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.worlds.truth import Truth

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model

__all__ = ["SUMMARIES", "Summary", "groups_of", "network_summary"]

Summary = dict[str, Any]
COLD = 5  # items with fewer training pairs, as `ivbpr auc` takes them where not told otherwise


def _model(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    model = load(path)
    config, facts = dict(model.config_), model.provenance_
    run = {name: config.pop(name, None) for name in ("threads", "device")}
    found: Summary = {"kind": "model", "model": model.name, **_sizes(model.data_)}
    record, groups = model.features_, []
    needs = None
    if record is not None:
        groups = list(record.groups)
        found["features"] = {"kind": record.kind, "columns": len(record.names), "groups": len(groups)}
        places = record.places()
        needs = places[0] if places else None
        found["feature file"] = needs or f"not found; it was {record.path or 'only in memory'}"
    found["options"] = {name: value for name, value in config.items() if value is not None}
    if model.history_:
        best = max(model.history_, key=lambda row: row["valid_auc"] or 0.0)
        found["learned"] = {"iterations": model.history_[-1]["iteration"], "best at": best["iteration"]}
    for part, settings in model.metrics_.items():
        for setting, result in settings.items():
            if result["auc"] is not None:
                figures = {"auc": result["auc"], "stderr": result["stderr"], "users": result["users"]}
                found[f"{part} {setting}"] = figures
    if "update" in facts:
        new = ("new_users", "new_items", "new_purchases")
        found["update"] = {name.replace("_", " "): facts["update"][name] for name in ("of", *new, "full")}
    versions = {name: facts[name] for name in ("ivbpr", "numpy", "numba") if name in facts}
    found["made by"] = {**versions, "device": facts.get("device", run["device"])}
    found["next"] = _after_a_model(os.fspath(path), model, needs)
    return found, model.data_, groups


def _after_a_model(path: str, model: Model, needs: str | None) -> list[str]:
    user = users_to_try(model.data_, 3)[-2:][0]["user"]
    lines = [_line("auc", path), _line("recommend", path, user)]
    if model.features_ is not None and model.features_.kind == "attributes" and needs:
        item = items_to_try(model.data_, 1)[0]["item"]
        lines.append(_line("explain", path, user, item))
        if "epochs" in model.config_:
            lines.append(_line("trends", path))
    return [*lines, _line("inspect", path, "--users", "5")]


def _line(*words: str) -> str:
    """A command line, quoted as a shell needs it."""
    return shlex.join(["ivbpr", *words])


def _dataset(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    data = Dataset.read(path)
    source = data.source
    sizes = np.diff(data.train.indptr)
    found: Summary = {"kind": "dataset", **_sizes(data)}
    found["train pairs of a user"] = {
        "median": float(np.median(sizes)) if len(sizes) else 0.0,
        "most": int(sizes.max(initial=0)),
    }
    found["items with fewer than 5 train pairs"] = int(np.count_nonzero(data.train_counts < COLD))
    if source.get("inputs"):
        found["made from"] = [str(one["name"]) for one in source["inputs"] if "name" in one]
    if isinstance(source.get("catalogue"), Mapping):
        found["catalogue"] = str(source["catalogue"].get("name"))
    if source.get("split") is not None:
        found["split"] = {"kind": source["split"], "seed": source.get("seed")}
    report = source.get("report") or []
    dropped = {str(row["step"]): row["dropped"] for row in report if row.get("dropped")}
    if dropped:
        found["pairs dropped"] = dropped
    place = os.fspath(path)
    found["next"] = [
        _line("fit", place, "--model", "bpr-mf", "-o", "bpr-mf.h5"),
        _line("fit", place, "--model", "i-vbpr", "--features", "FEATURES.h5", "-o", "i-vbpr.h5"),
        _line("inspect", place, "--users", "5"),
    ]
    return found, data, []


def _features(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    features = Features.read(path)
    rows, columns = features.shape
    source = features.source
    found: Summary = {
        "kind": "features",
        "features": features.kind,
        "items": rows,
        "columns": columns,
        "groups": len(features.groups),
        "dtype": features.dtype.name,
        "layout": "sparse" if features.sparse else "dense",
        "scale": features.scale,
    }
    kept = ("command", "file", "catalogue", "matrix", "images", "model", "output", "min_count", "aggregate")
    made = {name: source[name] for name in kept if isinstance(source.get(name), str | int) and source[name]}
    if made:
        found["made by"] = made
    place = os.fspath(path)
    model = "i-vbpr" if features.kind == "attributes" else "vbpr"
    found["next"] = [
        _line("features", "info", place),
        _line("prepare", "PURCHASES", "--features", place, "-o", "dataset.h5"),
        _line("fit", "dataset.h5", "--model", model, "--features", place, "-o", f"{model}.h5"),
    ]
    return found, None, list(features.groups)


def _checkpoint(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    identity, state = documents.get("/identity") or {}, documents.get("/state") or {}
    options = {
        name: value
        for name, value in identity.items()
        if value is not None and name not in ("model", "dataset", "features")
    }
    found: Summary = {
        "kind": "unfinished fit",
        "model": identity.get("model"),
        "iterations": state.get("iteration"),
        "of": options.get("iterations"),
        "best": {"iteration": state.get("best_iteration"), "valid auc": state.get("best_auc")},
        "triples": state.get("triples"),
        "seconds": state.get("seconds"),
        "options": options,
        "next": ["Repeat the command that left it with --resume, or with --overwrite to begin anew."],
    }
    return found, None, []


def _truth(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    truth = Truth.read(path)
    found: Summary = {
        "kind": "truth of a generated world",
        "users": len(truth.users),
        "items": len(truth.items),
        "attributes": len(truth.attributes.names),
        "epochs": len(truth.volume),
        "purchases": int(truth.volume.sum()),
        **{name.replace("_", " ").replace("/", " "): value for name, value in sorted(truth.metrics.items())},
        "made by": {name: truth.config[name] for name in ("name", "seed") if name in truth.config},
    }
    folder = os.path.dirname(os.fspath(path))
    found["next"] = [
        _line("prepare", os.path.join(folder, "purchases.csv"), "-o", "dataset.h5"),
        _line("auc", "MODEL.h5"),
    ]
    layout = truth.attributes.layout
    return found, None, [Group(name, offset, size, bool(one)) for name, offset, size, one in layout]


def _table2(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    try:
        asked, subsets, rows, inputs, made = (
            documents[f"/{name}"] for name in ("asked", "subsets", "rows", "inputs", "provenance")
        )
        found: Summary = {
            "kind": "table of models",
            "corpora": {one["name"]: one["users"] for one in subsets},
            "columns": asked["models"],
            "runs": asked["runs"],
            "tuned": f"{asked['tune']} trials a fit" if asked["tune"] else "no",
        }
        for setting in ("all", "cold"):
            own = [row for row in rows if row["subset"] == subsets[0]["name"] and row["setting"] == setting]
            found[f"auc {setting}"] = {row["model"]: row["auc"] for row in own}
        found |= {one["role"]: one["path"] or "only in memory" for one in inputs}
        found["made by"] = {name: made[name] for name in ("ivbpr", "numpy", "numba") if name in made}
    except (KeyError, TypeError, IndexError, AttributeError) as problem:
        raise DataError(f"'{path}' is a table's file that contradicts itself ({problem}).", "") from problem
    found["next"] = [_line("table2", "--again", os.fspath(path), "-o", "again.h5")]
    return found, None, []


def _cell(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    about = documents.get("/about") or {}
    found: Summary = {
        "kind": "a finished cell of a table that is being made",
        "options": {name: value for name, value in (about.get("options") or {}).items() if value is not None},
        "valid auc": about.get("valid_auc"),
        "next": ["Repeat the command that made it: it goes on from there."],
    }
    return found, None, []


def _tuning(path: PathLike, documents: Mapping[str, Any]) -> tuple[Summary, Dataset | None, list[Group]]:
    # The room that reads such files is above this one; what is told here stands in their documents.
    try:
        trials, search, best = (documents[name] for name in ("/trials", "/search", "/best"))
        finished = [row for row in trials if row["state"] == "finished"]
        found: Summary = {
            "kind": "search for options",
            "trials": {"tried": len(trials), "finished": len(finished)},
            "best": best,
            "valid auc": max(row["valid_auc"] for row in finished),
            "valid auc of the defaults": trials[0]["valid_auc"],
        }
        shares = {row["option"]: row["share"] for row in documents["/importance"][:3] if row["share"] > 0}
        if shares:
            found["what mattered"] = shares
        found["rungs"] = [f"{ends:,} iterations" for ends in search["rungs"]]
        found["seed"] = search["seed"]
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise DataError(f"'{path}' is a tuning file that contradicts itself ({problem}).", "") from problem
    line = ("fit", "DATASET.h5", "--from", os.fspath(path), "-o", "MODEL.h5")
    found["next"] = [_line(*line), _line(*line[:-2], "--features", "FEATURES.h5", *line[-2:])]
    return found, None, []


def network_summary(path: PathLike) -> tuple[Summary, list[dict[str, Any]], dict[str, Any]]:
    """What a network file says about itself: its summary, a row a group, and its whole record of training."""
    network = Network.read(path)
    record, ready = network.record, network.preprocessing
    found: Summary = {
        "kind": "network",
        "input": {"name": network.input, "shape": _shape(network.input_shape), "type": network.input_dtype},
        "outputs": list(network.outputs),
    }
    groups: list[dict[str, Any]] = []
    if network.vocabulary is not None:
        found["attributes"] = {"values": network.vocabulary.size, "groups": len(network.vocabulary.groups)}
        reached = _reached(record)
        groups = [
            {
                "group": group.name,
                "values": len(group.values),
                "exclusive": group.exclusive,
                **({"valid_accuracy": reached.get(group.name)} if reached else {}),
                "names": list(group.values),
            }
            for group in network.vocabulary.groups
        ]
    if ready is None:
        found["preprocessing"] = "not said: name it with --preprocess"
    else:
        found["preprocessing"] = {
            "size": _shape(ready.size),
            "crop": ready.crop,
            "layout": ready.layout,
            "channels": ready.channels,
        }
    found |= _training(record)
    place = os.fspath(path)
    found["next"] = [_line("features", "extract", "IMAGES", "--model", place, "-o", "features.h5")]
    if network.vocabulary is not None:
        judged = ("--images", "IMAGES", "--labels", "TABLE", "--id", "COL")
        found["next"].append(_line("network", "evaluate", place, *judged))
    return found, groups, {"sha256": network.sha256, "record": record}


def _training(record: Mapping[str, Any]) -> Summary:
    """How a network was trained, of what its record says."""
    found: Summary = {}
    ways = {"torch": "all layers, in PyTorch", "frozen": "branches on a frozen network"}
    if record.get("way") in ways:
        found["trained"] = ways[record["way"]]
    if isinstance(record.get("backbone"), Mapping):
        found["on"] = record["backbone"].get("name")
    for name in ("trunk", "init", "parameters"):
        if record.get(name) is not None:
            found[name] = record[name] if isinstance(record[name], str | int) else "given"
    for name in ("images", "split"):
        if isinstance(record.get(name), Mapping):
            found[name] = {key: value for key, value in record[name].items() if value is not None}
    labels = record.get("labels")
    if isinstance(labels, Mapping):
        found["labels"] = {key: labels[key] for key in ("file", "items", "min_images") if key in labels}
    best = record.get("best")
    if isinstance(best, Mapping):
        keys = ("epoch", "epochs", "valid_accuracy", "valid_log_loss")
        found["best"] = {key.replace("_", " "): best[key] for key in keys if key in best}
    return found


def _reached(record: Mapping[str, Any]) -> dict[str, float]:
    """Validation accuracy of each group, where the record has it."""
    best = record.get("best")
    groups = best.get("groups") if isinstance(best, Mapping) else record.get("groups")
    if not isinstance(groups, Mapping):
        return {}
    return {
        str(name): own["accuracy"]
        for name, own in groups.items()
        if isinstance(own, Mapping) and own.get("accuracy") is not None
    }


def groups_of(groups: list[Group]) -> list[dict[str, Any]]:
    """A row a group: ``group columns exclusive``."""
    return [{"group": one.name, "columns": one.size, "exclusive": one.exclusive} for one in groups]


def _sizes(data: Dataset) -> Summary:
    parts = {"train": len(data.train), "valid": len(data.valid), "test": len(data.test)}
    found: Summary = {"users": len(data.users), "items": len(data.items), "pairs": parts}
    times = np.concatenate([part.times for part in (data.train, data.valid, data.test)])
    if data.has_times and len(times):
        days = np.array([times.min(), times.max()]).astype("datetime64[s]").astype("datetime64[D]")
        found["times"] = {"from": str(days[0]), "to": str(days[1])}
    if data.item_columns:
        found["item columns"] = list(data.item_columns)
    return found


def _shape(sides: Any) -> str:
    return " × ".join("any" if side is None else f"{side:,}" for side in sides)


SUMMARIES: dict[str, Callable[[PathLike, Mapping[str, Any]], tuple[Summary, Dataset | None, list[Group]]]] = {
    "ivbpr-model": _model,
    "ivbpr-dataset": _dataset,
    "ivbpr-features": _features,
    "ivbpr-checkpoint": _checkpoint,
    "ivbpr-truth": _truth,
    "ivbpr-table2": _table2,
    "ivbpr-table2-cell": _cell,
    "ivbpr-tuning": _tuning,
}
