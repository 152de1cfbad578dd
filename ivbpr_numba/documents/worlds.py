"""The document about a generated world that was written to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ivbpr_numba.documents.document import Document
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from ivbpr_numba.worlds.world import World

__all__ = ["world"]


def world(
    made: World,
    size: str,
    seed: int,
    truth_auc: Mapping[str, float],
    files: Mapping[str, Path],
    out: PathLike,
) -> Document:
    """Sizes of a world, how well its truth ranks, and the files it was written to.

    Parameters
    ----------
    made : World
    size : str
        Its name.
    seed : int
    truth_auc : mapping
        AUC of the truth by name, such as ``without_time/all``.
    files : mapping of str to Path
        What was written, by what it is; the row lists none of it.
    out : path
        The folder.
    """
    row = {
        "world": size,
        "seed": seed,
        "users": len(made.users),
        "items": len(made.items),
        "purchases": len(made.purchases.items),
        "attributes": len(made.attributes.names),
        **{f"truth_auc_{name.replace('/', '_')}": value for name, value in truth_auc.items()},
        "out": str(out),
    }
    return Document("world", {**row, "files": {name: path.name for name, path in files.items()}}, [row])
