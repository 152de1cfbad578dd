"""The document about any file of ours: a summary, and the whole tree below it."""

from __future__ import annotations

import os
from typing import Any

from ivbpr_numba.datasets.examples import items_to_try, users_to_try
from ivbpr_numba.documents.document import Document
from ivbpr_numba.documents.summaries import SUMMARIES, groups_of, network_summary
from ivbpr_numba.errors import IvbprError, UsageError
from ivbpr_numba.store import verify
from ivbpr_numba.store.atomic import PathLike

__all__ = ["inspect"]

HDF5 = b"\x89HDF\r\n\x1a\n"


def inspect(path: PathLike, users: int = 0, items: int = 0) -> Document:
    """What a file holds.

    Parameters
    ----------
    path : path
        Features, a dataset, a model, an unfinished fit, the truth of a world, or a network (ONNX).
    users, items : int
        So many of each to try, of a dataset or a model; see `datasets.examples`.

    Returns
    -------
    Document
        What `store.verify.inspect` tells, with ``summary`` (see `documents.summaries`; None with the reason
        in ``problem`` where the file contradicts itself), ``groups`` of columns, and ``users`` and ``items``
        where asked. Of a network instead of the tree: ``sha256`` and ``record``, how it was trained. Rows are
        the users and items asked for, else the objects of the file, or the groups of the network.

    Raises
    ------
    UsageError
        The file does not exist, or users are asked of one that has none.
    DataError
        It is none of these, or can't be read.
    """
    if _is_network(path):
        _refuse_examples(path, users or items)
        summary, groups, rest = network_summary(path)
        head = {"file": os.fspath(path), "bytes": os.path.getsize(path), "format": "onnx"}
        return Document("inspect", {**head, "summary": summary, "groups": groups, **rest}, groups)
    content = verify.inspect(path)
    found: dict[str, Any] = {"summary": None, "problem": None, "groups": []}
    data = None
    try:
        found["summary"], data, groups_found = SUMMARIES[content["format"]](path, content["documents"])
        found["groups"] = groups_of(groups_found)
    except IvbprError as problem:
        found["problem"] = problem.message
    rows: list[dict[str, Any]] = []
    if (users or items) and data is None:
        if found["problem"] is not None:
            raise UsageError(f"'{path}' can't be read whole: {found['problem']}", "See 'ivbpr verify'.")
        _refuse_examples(path, users or items)
    if data is not None and users:
        found["users"] = users_to_try(data, users)
        rows += found["users"]
    if data is not None and items:
        found["items"] = items_to_try(data, items)
        rows += found["items"]
    return Document("inspect", {**content, **found}, rows or content["objects"])


def _refuse_examples(path: PathLike, asked: int) -> None:
    if asked:
        raise UsageError(
            f"'{path}' holds no purchases, so there are no users and items to try.",
            "Name a dataset or a model.",
        )


def _is_network(path: PathLike) -> bool:
    """Whether a file that isn't HDF5 may be an ONNX model, whose first field is its version."""
    if not os.path.isfile(path):
        return False  # said where it is opened
    with open(path, "rb") as file:
        begin = file.read(len(HDF5))
    return begin != HDF5 and (os.fspath(path).lower().endswith(".onnx") or begin[:1] == b"\x08")
