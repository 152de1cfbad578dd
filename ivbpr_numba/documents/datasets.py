"""The document about a prepared dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ivbpr_numba.datasets.reporting import lines_left_out
from ivbpr_numba.documents.document import Document
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["prepare"]


def prepare(dataset: Dataset, out: PathLike) -> Document:
    """What was kept and dropped, step by step, every line left out, and the sizes of the result.

    Parameters
    ----------
    dataset : Dataset
        As `datasets.prepare.prepare` made it.
    out : path
        Where it was written.
    """
    left_out = lines_left_out(dataset)
    sizes = {
        "out": str(out),
        "users": len(dataset.users),
        "items": len(dataset.items),
        "train": len(dataset.train.indices),
        "valid": len(dataset.valid.indices),
        "test": len(dataset.test.indices),
        "lines_left_out": sum(row["count"] for row in left_out),
        "payload_sha256": dataset.payload_sha256,
    }
    return Document("prepare", {**sizes, "report": dataset.source["report"], "left_out": left_out}, [sizes])
