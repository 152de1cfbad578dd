"""The file of a table, ``ivbpr-table2``: laid out as data/FORMAT.md says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.files import read_tree, write_tree
from ivbpr_numba.store.tree import Tree
from ivbpr_numba.table2.cells import Cell, Found
from ivbpr_numba.table2.parts import as_found, objects_of
from ivbpr_numba.table2.questions import Questions

__all__ = ["FORMAT", "read_parts", "write_parts"]

FORMAT = "ivbpr-table2"
ARRAYS = ("user", "item", "bought", "owned")
PAYLOAD = ("asked", "subsets", "differences")
BESIDE = ("rows", "left_out", "inputs", "provenance")


def write_parts(parts: Mapping[str, Any], path: PathLike, keep_lock: Lock | None = None) -> str:
    """Write the parts of a table, by the names of its attributes; see `Table.save`."""
    payload: dict[str, Any] = {f"/{name}": _json(parts[name]) for name in PAYLOAD}
    for (subset, run), asked in parts["questions"].items():
        payload |= {f"/questions/{subset}/{run}/{name}": one for name, one in asked.arrays().items()}
    for cell, found in parts["cells"].items():
        payload |= {cell.place + name: value for name, value in objects_of(found).items()}
    beside = {f"/{name}": _json(parts[name]) for name in BESIDE}
    beside["/seconds"] = _json({cell.place: one.seconds for cell, one in parts["cells"].items()})
    tree = Tree(FORMAT, {**payload, **beside})
    return write_tree(path, tree, payload=list(payload), keep_lock=keep_lock)


def _json(document: Any) -> str:
    """As text whose keys stay in the order in which people read them."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def read_parts(path: PathLike) -> dict[str, Any]:
    """Read what `write_parts` wrote; see `Table.read`."""
    tree = read_tree(path, FORMAT)
    try:
        return _parts(tree, path)
    except (KeyError, TypeError, ValueError, IndexError) as problem:
        what = f"{problem.args[0]} is missing" if isinstance(problem, KeyError) else str(problem)
        raise DataError(
            f"'{path}' is the file of a table that contradicts itself: {what}.", "Make the table again."
        ) from problem


def _parts(tree: Tree, path: PathLike) -> dict[str, Any]:
    documents = {name: json.loads(tree.text(f"/{name}")) for name in (*PAYLOAD, *BESIDE)}
    seconds = json.loads(tree.text("/seconds"))
    questions: dict[tuple[int, int], Questions] = {}
    cells: dict[Cell, Found] = {}
    for place in seconds:
        _, _, subset, run, model = place.split("/")
        cell = Cell(int(subset), int(run), model)
        cells[cell] = as_found(tree, place, seconds[place])
        key = (cell.subset, cell.run)
        if key not in questions:
            where = f"/questions/{subset}/{run}"
            questions[key] = Questions(*(tree.array(f"{where}/{name}") for name in ARRAYS))
        _check(cells[cell], questions[key], documents["subsets"][cell.subset]["users"], place)
    return {
        **documents,
        "questions": questions,
        "cells": cells,
        "path": os.fspath(path),
        "payload_sha256": str(tree.attrs["payload_sha256"]),
    }


def _check(found: Found, asked: Questions, users: int, place: str) -> None:
    n = len(asked.user)
    for name, array in (*asked.arrays().items(), ("auc", found.auc), ("stratified", found.stratified)):
        kind = "f" if name in ("auc", "stratified") else "i"
        if array.shape != (n,) or array.dtype.kind != kind:
            raise ValueError(f"{name} of {place} doesn't fit")
    if n and (int(np.min(asked.user)) < 0 or int(np.max(asked.user)) >= users):
        raise ValueError(f"the questions of {place} name users that do not exist")
