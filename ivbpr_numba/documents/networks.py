"""Documents about networks: how one was trained, how good it is, what was exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.documents.document import Document
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from ivbpr_numba.training.task import Task

__all__ = ["SHARES", "evaluate", "export", "train"]

SHARES = ("accuracy", "majority", "mean_ap", "calibration_error", "log_loss")


def train(out: PathLike, task: Task, found: Mapping[str, Any], problems: Sequence[Any]) -> Document:
    """What a training found and what it left out; a row a group.

    Parameters
    ----------
    out : path
        Where the network was written.
    task : Task
        Photos and labels it was trained on.
    found : mapping
        What `train_whole` or `train_frozen` returned, without the photos that could not be used.
    problems : sequence of dict
        These: ``image item reason``.
    """
    read = {row["group"]: row for row in task.report["labels"]["groups"]}
    rows = [{**row, "dropped_values": len(read[row["group"]]["dropped"])} for row in found["groups"]]
    missing = [
        {"image": picture.name, "item": picture.item, "reason": reason}
        for picture, reason in task.pictures.missing
    ]
    content = {
        "out": str(out),
        **{key: value for key, value in found.items() if not isinstance(value, dict | list)},
        "images": task.report["images_of_part"],
        "bad_images": [*problems, *missing],
        "others": task.pictures.others,
        "groups": {row["group"]: row for row in rows},
        "dropped": [
            {"group": row["group"], "value": value["value"], "images": value["images"]}
            for row in read.values()
            for value in row["dropped"]
        ],
        "notes": [*task.pictures.notes, *found["notes"]],
    }
    if "levels" in found:
        content["levels"] = found["levels"]
    return Document("network-train", content, rows)


def export(out: PathLike, found: Mapping[str, Any]) -> Document:
    """What `training.whole.exporting.export_checkpoint` found; a row a group."""
    rows = [{"group": name, **figures} for name, figures in found["groups"].items()]
    return Document("network-export", {"out": str(out), **found}, rows)


def evaluate(
    network: PathLike, facts: Mapping[str, Any], found: Mapping[str, Any], plot: PathLike | None = None
) -> Document:
    """How good a network is; a row a group, with its mean average precision, and one for each of its values.

    Parameters
    ----------
    network : path
    facts : mapping
        `Judged.facts`: what was judged.
    found : mapping
        `Judged.assessment()`.
    plot : path, optional
        The figure that was drawn of it.
    """
    first = ("split", "items", "images")
    content = {
        "network": str(network),
        **{key: facts[key] for key in first},
        **{key: value for key, value in facts.items() if key not in first},
        **{key: found[key] for key in ("mean_accuracy", "mean_ap", "mean_ap_of_values", "groups")},
        "plot": str(plot) if plot else None,
    }
    return Document("network-evaluate", content, _rows(found))


def _rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, group in found["groups"].items():
        empty = dict.fromkeys(("positives", "predicted", "precision", "recall"))
        own = {key: group[key] for key in SHARES if key != "mean_ap"}
        row = {"group": name, "value": None, "images": group["images"], **empty}
        rows.append(row | {"average_precision": group["mean_ap"], **own})
        for value in group["values"]:
            rows.append({"group": name, "value": value["value"], "images": group["images"], **value})
            rows[-1] |= dict.fromkeys(own)
    return rows
