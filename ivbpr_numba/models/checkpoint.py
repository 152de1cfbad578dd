"""The state of an unfinished fit beside its target."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.models.learners import Tables, fetched
from ivbpr_numba.models.training import TrainingState
from ivbpr_numba.store.atomic import Lock, PathLike, os_problem
from ivbpr_numba.store.digest import canonical_json
from ivbpr_numba.store.files import read_tree, write_tree
from ivbpr_numba.store.tree import Tree

__all__ = ["Checkpoint", "partial_path"]

FORMAT = "ivbpr-checkpoint"
TABLES = ("raw", "averaged", "best")
SCALARS = ("iteration", "triples", "seconds", "best_iteration", "best_auc", "history", "fallbacks")


def partial_path(out: PathLike) -> Path:
    """Where the unfinished fit of `out` keeps its state: ``model.h5`` → ``model.partial.h5``."""
    target = Path(out)
    return target.with_name(f"{target.stem}.partial{target.suffix}")


class Checkpoint:
    """Writes and reads ``OUT.partial.h5``.

    Parameters
    ----------
    out : path
        The target of the fit.
    identity : mapping
        What a fit that goes on must have in common: model, learning options, digests of dataset and
        features.
    every : int
        Iterations between two writings.
    keep_lock : Lock
        Held on `out` for the whole fit.
    kernels : Kernels, optional
        Of the device whose arrays a state holds; those of the CPU by default.
    """

    def __init__(
        self,
        out: PathLike,
        identity: Mapping[str, Any],
        every: int,
        keep_lock: Lock,
        kernels: backends.Kernels | None = None,
    ) -> None:
        self.path = partial_path(out)
        self._kernels = kernels or backends.kernels()
        self.identity = dict(identity)
        self.every = every
        self._keep_lock = keep_lock
        self._note: dict[str, Any] = {}
        self._written = 0

    def of_trial(self, note: Mapping[str, Any]) -> Checkpoint:
        """The same file for one of several trials of a fit: `note` tells which one, and what is known so far.

        Only a state with the same ``note["epochs"]`` is that trial's.
        """
        other = copy.copy(self)
        other._note, other._written = dict(note), 0
        return other

    def noted(self) -> dict[str, Any]:
        """The note in the file; empty where there is no file or no note.

        Raises
        ------
        UsageError, DataError
            See `read`.
        """
        note: dict[str, Any] = self._read()[1].get("note", {}) if self.path.exists() else {}
        return note

    def there(self) -> bool:
        """Whether there is a state to go on from."""
        return self.path.exists() and self.noted().get("epochs") == self._note.get("epochs")

    def __call__(self, state: TrainingState, urgent: bool) -> None:
        """Write when it is time, or at once when `urgent` and not yet written."""
        due = state.iteration % self.every == 0
        if (due or urgent) and self._written != state.iteration:
            self.write(state)

    def write(self, state: TrainingState) -> None:
        """Replace the file atomically."""
        state.bring()
        scalars = {name: getattr(state, name) for name in SCALARS}
        if math.isnan(scalars["best_auc"]):
            scalars["best_auc"] = None
        if self._note:
            scalars["note"] = self._note
        objects: dict[str, np.ndarray | str] = {
            "/identity": canonical_json(self.identity),
            "/state": canonical_json(scalars),
        }
        for group in TABLES:
            tables = fetched(getattr(state, group), self._kernels)
            objects |= {f"/{group}/{name}": table for name, table in tables.items()}
        write_tree(self.path, Tree(FORMAT, objects), payload=sorted(objects), keep_lock=self._keep_lock)
        self._written = state.iteration

    def read(self, tables: Tables) -> TrainingState:
        """Read the state back into `tables`, the learner's own arrays.

        Raises
        ------
        UsageError
            The fit that left it had another configuration, dataset or features.
        DataError
            The file is damaged.
        """
        tree, scalars = self._read()
        try:
            found: dict[str, Tables] = {group: {} for group in TABLES}
            for path in sorted(tree.objects):
                group, _, name = path.lstrip("/").partition("/")
                if group in found:
                    found[group][name] = tree.array(path)
            for name, table in tables.items():
                table[...] = found["raw"][name]
            values = {name: scalars[name] for name in SCALARS}
            if values["best_auc"] is None:
                values["best_auc"] = math.nan
        except (KeyError, TypeError, ValueError) as problem:
            raise self._contradicts(problem) from problem
        self._written = values["iteration"]
        return TrainingState(raw=tables, averaged=found["averaged"], best=found["best"], **values)

    def _read(self) -> tuple[Tree, dict[str, Any]]:
        """The file and its scalars, once it is clear that it is of this fit."""
        tree = read_tree(self.path, FORMAT)
        try:
            identity = json.loads(tree.text("/identity"))
            own = json.loads(canonical_json(self.identity))
            different = sorted(name for name in {*identity, *own} if identity.get(name) != own.get(name))
            scalars: dict[str, Any] = json.loads(tree.text("/state"))
            if not isinstance(scalars.get("note", {}), dict):
                raise ValueError("its note is no JSON object")
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise self._contradicts(problem) from problem
        if different:
            names = ", ".join(name.replace("_", " ") for name in different)
            raise UsageError(
                f"'{self.path}' belongs to another fit; different: {names}.",
                f"Repeat the first command with {parameter('resume', True)}, or start anew with "
                f"{parameter('overwrite', True)}.",
            )
        return tree, scalars

    def _contradicts(self, problem: Exception) -> DataError:
        return DataError(
            f"The checkpoint '{self.path}' contradicts itself ({problem}).",
            f"Start anew with {parameter('overwrite', True)}.",
        )

    def remove(self) -> None:
        """Remove the file, if there is one."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as problem:
            raise os_problem(problem, self.path, "remove") from problem
