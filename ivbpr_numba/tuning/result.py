"""What a search found, and its file (data/FORMAT.md, section 10)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.registry import create
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.digest import canonical_json
from ivbpr_numba.store.files import check_target, read_tree, write_tree
from ivbpr_numba.store.tree import Tree, Value

__all__ = ["FORMAT", "Tuning"]

FORMAT = "ivbpr-tuning"
# The parts of the file as JSON; those that make up the payload are what a search finds again.
FOUND = ("best", "space", "search", "trials")
TOLD = ("importance", "provenance")


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes
    ----------
    model : str
    best : dict
        Options for ``create(model, **best)``: those searched, and those that were fixed.
    trials : list of dict
        One row a trial: ``number origin state rung iterations best_iteration valid_auc stderr users options
        reached spent estimate seconds``. `state` is ``finished`` (it ended the last rung), ``stopped``,
        ``diverged`` or ``refused`` (its options don't go with the data); `reached` its AUC on each rung,
        `spent` its iterations on all of them, `estimate` what it would have reached on the last one
        (`rungs.estimates`).
    importance : list of dict
        See `importance.importance`.
    space : dict
        What was searched, as TOML says it, and what was fixed.
    search : dict
        ``seed trials rungs asked digests``: trials that were wanted (None: as many as there was time for),
        iterations of each rung, users whom early rungs and the last ask, and digests of the data without
        their test part and of the features.
    seconds : float
        Wall clock, over all resumes.
    provenance : dict
        Versions, processes, and whether time ran out.
    """

    model: str
    best: dict[str, Any]
    trials: list[dict[str, Any]]
    importance: list[dict[str, Any]]
    space: dict[str, Any]
    search: dict[str, Any]
    seconds: float = 0.0
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Of the search."""
        return int(self.search["seed"])

    @property
    def best_trial(self) -> dict[str, Any]:
        """The row of the trial whose options are `best`."""
        return max(
            (row for row in self.trials if row["state"] == "finished"),
            key=lambda row: (row["valid_auc"], -row["number"]),
        )

    @property
    def valid_auc(self) -> float:
        """Validation AUC of the best trial, over everybody with a validation item."""
        return float(self.best_trial["valid_auc"])

    @property
    def default_auc(self) -> float | None:
        """The same of the defaults (trial 0); None where they diverged."""
        found = self.trials[0]["valid_auc"]
        return None if found is None else float(found)

    def create(self, **options: Any) -> Model:
        """The unfitted model with the best options; `options` go before them."""
        return create(self.model, **{**self.best, **options})

    def __repr__(self) -> str:
        default = "–" if self.default_auc is None else f"{self.default_auc:.4f}"
        return (
            f"Tuning({self.model}: validation AUC {self.valid_auc:.4f}, defaults {default}, "
            f"{len(self.trials)} trials)"
        )

    def save(self, path: PathLike, *, overwrite: bool = False, keep_lock: Lock | None = None) -> str:
        """Write the tuning file atomically and return its ``payload_sha256``.

        Parameters
        ----------
        path : path
            ``.h5``.
        overwrite : bool
            Also replace what another search found.
        keep_lock : Lock, optional
            Of `path`, where the caller holds it.

        Raises
        ------
        UsageError, EnvironmentProblem
            What another search found is there; and see `store.files.write_tree`.
        """
        if not overwrite:
            refuse_other_search(path, self.identity())
        without = [{key: value for key, value in row.items() if key != "seconds"} for row in self.trials]
        documents = {**{name: getattr(self, name) for name in (*FOUND, *TOLD)}, "trials": without}
        documents["provenance"] = {**self.provenance, "seconds": self.seconds}
        objects: dict[str, Value] = {f"/{name}": canonical_json(value) for name, value in documents.items()}
        objects["/seconds"] = np.array([row["seconds"] for row in self.trials], np.float64)
        payload = ["/@model", *(f"/{name}" for name in FOUND)]
        return write_tree(
            path, Tree(FORMAT, objects, {"model": self.model}), payload=payload, keep_lock=keep_lock
        )

    @classmethod
    def read(cls, path: PathLike) -> Tuning:
        """Read a tuning file.

        Raises
        ------
        UsageError
            The file does not exist.
        DataError
            It is damaged, of another kind or version, or contradicts itself.
        """
        tree = read_tree(path, FORMAT)
        try:
            parts = {name: json.loads(tree.text(f"/{name}")) for name in (*FOUND, *TOLD)}
            for name, kind in (("best", dict), ("space", dict), ("search", dict), ("trials", list)):
                if not isinstance(parts[name], kind):
                    raise ValueError(f"/{name} is no {kind.__name__}")
            seconds = parts["provenance"].pop("seconds")
            each = tree.array("/seconds").tolist()
            parts["trials"] = [
                {**row, "seconds": own} for row, own in zip(parts["trials"], each, strict=True)
            ]
            found = cls(str(tree.attrs["model"]), seconds=float(seconds), **parts)
            _ = found.valid_auc, found.seed
            return found
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            what = f"{problem.args[0]} is missing" if isinstance(problem, KeyError) else str(problem)
            raise DataError(
                f"'{path}' is a tuning file that contradicts itself: {what}.", "Tune again."
            ) from problem

    def identity(self) -> dict[str, Any]:
        """What two searches have in common that find the same."""
        return {"model": self.model, "space": self.space, **self.search}


def refuse_other_search(path: PathLike, identity: dict[str, Any]) -> None:
    """Refuse to replace what another search found.

    Raises
    ------
    UsageError
        It is there, or a file of another kind.
    """
    check_target(path, FORMAT)
    if not os.path.isfile(path) or not os.path.getsize(path):
        return
    try:
        found = Tuning.read(path).identity()
    except DataError:
        return  # damaged: nobody's loss
    own = json.loads(canonical_json(identity))
    different = sorted(key for key in {*found, *own} if found.get(key) != own.get(key))
    if different:
        raise UsageError(
            f"'{path}' holds what another search found; different: {', '.join(different)}.",
            f"Choose another name, or replace it with {parameter('overwrite', True)}.",
        )
