"""Finished cells of a table that is being made: one small file each, in a folder beside the target.

A file is there whole or not at all, so a program that is killed loses the cells that it was at, and nothing
else. Every file says which table it belongs to.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ivbpr_numba.errors import IvbprError, UsageError, parameter
from ivbpr_numba.store.atomic import Lock, PathLike, os_problem
from ivbpr_numba.store.digest import canonical_json
from ivbpr_numba.store.files import read_tree, write_tree
from ivbpr_numba.store.tree import Tree
from ivbpr_numba.table2.cells import Cell, Found

__all__ = ["FORMAT", "Parts", "as_found", "objects_of", "parts_path"]

FORMAT = "ivbpr-table2-cell"
MARK = "table2.json"


def parts_path(out: PathLike) -> Path:
    """Where the finished cells of `out` are kept until all are done: the folder ``OUT.partial``."""
    target = Path(out)
    return target.with_name(target.name + ".partial")


def objects_of(found: Found) -> dict[str, Any]:
    """What a cell is in a file, without its seconds: names and values, below its place."""
    return {
        "/auc": found.auc,
        "/stratified": found.stratified,
        "/about": canonical_json(found.about),
    }


def as_found(tree: Tree, place: str, seconds: Mapping[str, float]) -> Found:
    """The way back; KeyError, TypeError or ValueError where something is missing or of another type."""
    about = json.loads(tree.text(f"{place}/about"))
    return Found(tree.array(f"{place}/auc"), tree.array(f"{place}/stratified"), about, dict(seconds))


class Parts:
    """The folder of one table; the caller holds the lock of the target.

    Parameters
    ----------
    out : path
        The target.
    identity : mapping
        What the table was asked, for JSON; a folder of another table is refused.
    overwrite : bool
        Throw away what is there.

    Raises
    ------
    UsageError
        The folder belongs to another table, or holds other things.
    EnvironmentProblem
        It can't be made.
    """

    def __init__(self, out: PathLike, identity: Mapping[str, Any], overwrite: bool = False) -> None:
        self.folder = parts_path(out)
        mark = self.folder / MARK
        text = canonical_json(identity)
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise UsageError(f"'{self.folder}' is no folder.", "Remove it, or write to another file.")
            if overwrite and mark.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(exist_ok=True)
            if not mark.exists():
                if any(one.suffix != ".tmp" for one in self.folder.iterdir()):
                    raise UsageError(
                        f"The folder '{self.folder}' holds other things, and they stay.",
                        "Move it away, or write to another file.",
                    )
                temporary = mark.with_suffix(".tmp")
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(mark)
            _compare(self.folder, json.loads(mark.read_text(encoding="utf-8")), json.loads(text))
        except OSError as problem:
            raise os_problem(problem, self.folder) from problem

    @staticmethod
    def are_there(out: PathLike, identity: Mapping[str, Any]) -> bool:
        """Whether a folder of this very table is there already."""
        try:
            found = json.loads((parts_path(out) / MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(found == json.loads(canonical_json(identity)))

    def path(self, cell: Cell) -> Path:
        """The file of a cell."""
        return self.folder / f"{cell.subset}-{cell.run}-{cell.model}.h5"

    def done(self, cells: Iterable[Cell]) -> dict[Cell, Found]:
        """Those that are finished; a file that can't be read counts as none."""
        found = {}
        for cell in cells:
            if not self.path(cell).exists():
                continue
            try:
                tree = read_tree(self.path(cell), FORMAT)
                found[cell] = as_found(tree, "", json.loads(tree.text("/seconds")))
            except (IvbprError, KeyError, TypeError, ValueError):
                self.path(cell).unlink()
        return found

    def keep(self, cell: Cell, found: Found, keep_lock: Lock) -> None:
        """Write a finished cell.

        Raises
        ------
        EnvironmentProblem
            No space, or no permission.
        """
        payload = objects_of(found)
        objects = {**payload, "/seconds": canonical_json(found.seconds)}
        attrs: dict[str, str | int | float] = {"subset": cell.subset, "run": cell.run, "model": cell.model}
        write_tree(self.path(cell), Tree(FORMAT, objects, attrs), payload=list(payload), keep_lock=keep_lock)

    def remove(self) -> None:
        """Remove the folder, once the table is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _compare(folder: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    known = found if isinstance(found, dict) else {}
    different = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
    if different:
        names = ", ".join(name.replace("_", " ") for name in different)
        raise UsageError(
            f"'{folder}' holds finished cells of another table; different: {names}.",
            f"Repeat its command to go on with it, or throw it away with {parameter('overwrite', True)}.",
        )
