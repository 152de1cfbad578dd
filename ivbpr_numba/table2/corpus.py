"""The data and features of a table, opened in whichever process needs them, and cut into corpora and runs."""

from __future__ import annotations

import os
import platform
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ivbpr_numba import expected
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.errors import DataError, EnvironmentProblem, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.table2.columns import features_of
from ivbpr_numba.table2.subsets import Subset, data_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Corpus", "Given", "Input", "find_again"]

KEPT = 3  # splits that stay in memory at once


class Input:
    """Something given as a file or in memory.

    Parameters
    ----------
    role : str
        ``dataset``, ``attributes`` or ``dense``.
    given : path, Dataset or Features
    """

    def __init__(self, role: str, given: Any) -> None:
        self.role = role
        self.path: str | None = None
        if isinstance(given, str | os.PathLike):
            self.path = os.fspath(given)
            self.value = self._read()
        elif role == "dataset":
            expected.dataset(given, "table2")
            self.value = given
        else:
            expected.features(given, "table2")
            self.value = given
            self.path = given.path

    def _read(self) -> Any:
        assert self.path is not None
        return Dataset.read(self.path) if self.role == "dataset" else Features.read(self.path)

    def __getstate__(self) -> dict[str, Any]:
        """What has a file is read again in another process, so that nothing large is sent."""
        state = dict(self.__dict__)
        if self.path is not None:
            state["value"] = None
            state["path"] = os.path.abspath(self.path)
            state["wanted"] = self.value.payload_sha256
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        wanted = state.pop("wanted", None)
        self.__dict__.update(state)
        if wanted is not None:
            try:
                self.value = self._read()
            except UsageError as problem:  # it was there when the table was begun
                where = f"On {platform.node()}: {problem.message}"
                raise EnvironmentProblem(where, "All who make a table need its files.") from None
            if self.value.payload_sha256 != wanted:
                raise DataError(f"'{self.path}' changed while the table was made.", "Run it again.")

    def facts(self, out: PathLike | None) -> dict[str, Any]:
        """Role, digest, and where it is: ``role sha256 path relative_path``."""
        place = None if self.path is None else os.path.realpath(self.path)
        beside = None
        if place is not None and out is not None:
            beside = os.path.relpath(place, os.path.dirname(os.path.realpath(out)))
        return {
            "role": self.role,
            "sha256": self.value.payload_sha256,
            "path": place,
            "relative_path": beside,
        }


@dataclass
class Given:
    """The inputs of a table.

    Attributes
    ----------
    dataset : Input
    attributes, dense : Input or None
    """

    dataset: Input
    attributes: Input | None
    dense: Input | None

    @classmethod
    def of(cls, data: Any, attributes: Any, dense: Any) -> Given:
        """Those given as paths or objects; files are read.

        Raises
        ------
        UsageError, DataError
            A file that is missing or of another kind; something that is no data.
        """
        features = (
            None if one is None else Input(role, one)
            for role, one in (("attributes", attributes), ("dense", dense))
        )
        return cls(Input("dataset", data), *features)

    @property
    def inputs(self) -> list[Input]:
        """Those that are there."""
        return [one for one in (self.dataset, self.attributes, self.dense) if one is not None]

    @property
    def data(self) -> Dataset:
        """The data as they were given."""
        data: Dataset = self.dataset.value
        return data

    @property
    def features(self) -> tuple[Features | None, Features | None]:
        """Attributes and dense features."""
        found = [None if one is None else one.value for one in (self.attributes, self.dense)]
        return found[0], found[1]


class Corpus:
    """The corpora of a table.

    Parameters
    ----------
    given : Given
    subsets : sequence of Subset
    min_interactions : int
    """

    def __init__(self, given: Given, subsets: Sequence[Subset], min_interactions: int) -> None:
        self.given = given
        self.subsets = list(subsets)
        self.min_interactions = min_interactions
        self._splits: OrderedDict[tuple[int, int], Dataset] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_splits": OrderedDict()}

    def data(self, subset: int, run: int) -> Dataset:
        """One corpus in one run; the last ones are kept."""
        key = (subset, run)
        if key not in self._splits:
            made = data_of(self.given.data, self.subsets[subset], run, self.min_interactions)
            self._splits[key] = made
            if len(self._splits) > KEPT:
                self._splits.popitem(last=False)
        self._splits.move_to_end(key)
        return self._splits[key]

    def features(self, column: str) -> Features | None:
        """What a column learns from."""
        found: Features | None = features_of(column, *self.given.features)
        return found


def find_again(facts: dict[str, Any], folder: PathLike) -> str:
    """Where an input of an earlier table is now: at its path, or beside the table as it was then.

    Raises
    ------
    UsageError
        It was in memory, or is at neither place.
    """
    role, place, beside = facts["role"], facts["path"], facts["relative_path"]
    if place is None:
        raise UsageError(
            f"The {role} of this table was in memory, and no file holds it.", "Make the table again yourself."
        )
    places = [os.path.join(os.fspath(folder), beside)] if beside else []
    for one in (*places, place):
        if os.path.isfile(one):
            return os.path.normpath(one)
    raise UsageError(f"The {role} of this table is no longer at '{place}'.", "Put it back there.")
