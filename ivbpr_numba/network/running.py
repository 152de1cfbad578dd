"""Images through a network, batch by batch, into a journal: what an interrupted run doesn't do again."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, Interrupted, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.network.batches import Done
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.journal import Journal
from ivbpr_numba.photos.pictures import Pictures

__all__ = ["Run", "check_probabilities", "interrupted"]

TOLERANCE = 1e-3  # of probabilities and of their sums


@dataclass
class Run:
    """What is known about each image while an extraction runs.

    Attributes
    ----------
    pictures, journal, batch, network, output, kind
        What is extracted, and how.
    columns : int or None
        Values of an image; None until the first one is known.
    places : ndarray of int64, shape (images,)
        Where the row of each image begins in the journal; −1 where it has none.
    bad, notes : dict
        Reason, or what had to be converted, by position of the image.
    resumed, done_here, run_here : int
        Images in batches of earlier runs; images done, and those run through the network, by this one.
    seconds, network_seconds : float
        Of this run.
    """

    pictures: Pictures
    journal: Journal
    batch: int
    network: Network
    output: str
    kind: str
    columns: int | None = None
    bad: dict[int, str] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    resumed: int = 0  # images in batches of earlier runs
    done_here: int = 0
    run_here: int = 0
    seconds: float = 0.0
    network_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.places = np.full(len(self.pictures), -1, dtype=np.int64)  # of rows in the journal

    @property
    def used(self) -> int:
        """Images with a row."""
        return int(np.count_nonzero(self.places >= 0))

    @property
    def unused(self) -> int:
        """Images without one, the missing ones included."""
        return len(self.bad) + len(self.pictures.missing)

    def bad_ones(self) -> Iterator[tuple[Any, str]]:
        """Image and reason, by item and name."""
        found = [(self.pictures.pictures[index], reason) for index, reason in self.bad.items()]
        found += self.pictures.missing
        yield from sorted(found, key=lambda entry: (entry[0].item, entry[0].name))

    def _numbered(self, number: int) -> list[int]:
        """Positions of the images of a batch: fixed, whatever is wrong with some of them."""
        return self.pictures.order[number * self.batch : (number + 1) * self.batch]

    def take_over(self) -> None:
        """Note what the journal holds from earlier runs."""
        for number, (document, offset) in enumerate(zip(self.journal.documents, self.journal.offsets)):
            indices = self._numbered(number)
            bad = {int(index): reason for index, reason in document["bad"]}
            self.notes.update({int(index): note for index, note in document["notes"]})
            self._place(indices, bad, int(document["columns"]), offset)
            self.resumed += len(indices)

    def _place(self, indices: list[int], bad: dict[int, str], columns: int, offset: int) -> None:
        self.bad.update(bad)
        good = [index for index in indices if index not in bad]
        if good:
            if self.columns not in (None, columns):
                raise DataError(
                    f"The output '{self.output}' has {columns:,} values an image, before {self.columns:,}.",
                    "Choose one with a fixed number.",
                )
            self.columns = columns
            self.places[good] = offset + np.arange(len(good), dtype=np.int64) * 4 * columns

    @property
    def todo(self) -> list[int]:
        """Images that the journal doesn't hold yet, in reading order."""
        return self.pictures.order[self.resumed :]

    def extract(
        self, batches: Generator[Done, None, None], tell: Observer, stopped: Callable[[], int]
    ) -> None:
        """Take the batches of what is to do, in order, and keep each in the journal."""
        total = len(self.pictures)
        begun = time.perf_counter()
        with closing(batches):
            try:
                for one in batches:
                    self._take(one)
                    done = self.resumed + self.done_here
                    self.seconds = time.perf_counter() - begun
                    left = self.seconds / self.done_here * (total - done)
                    tell({"done": done, "total": total, "seconds_left": left})
                    number = stopped()
                    if number and done < total:
                        raise Interrupted("", "", number)
            except Interrupted as stop:
                done = self.resumed + self.done_here
                where = f"after {done:,} of {total:,} images"
                raise interrupted(where, self.journal, stop.exit_code - 128) from None

    def _take(self, one: Done) -> None:
        if len(one.rows):
            self._check(one.rows, [index for index in one.indices if index not in one.bad])
        self.network_seconds += one.seconds
        self.run_here += len(one.rows)
        document = {
            "bad": sorted(one.bad.items()),
            "notes": sorted(one.notes.items()),
            "columns": one.rows.shape[1],
        }
        self.journal.append(document, one.rows)
        self.notes.update(one.notes)
        self._place(one.indices, one.bad, one.rows.shape[1], self.journal.offsets[-1])
        self.done_here += len(one.indices)

    def _check(self, rows: np.ndarray, good: list[int]) -> None:
        if rows.shape[1] == 0:
            raise DataError(
                f"The output '{self.output}' is empty.", f"Choose another with {parameter('output')}."
            )
        wrong = ~np.isfinite(rows).all(axis=1)
        if wrong.any():
            picture = self.pictures.pictures[good[int(np.flatnonzero(wrong)[0])]]
            raise DataError(
                f"The network gives NaN or infinity for '{picture.name}' (item '{picture.item}').",
                "Check the network and its preprocessing; an image alone can't do that.",
            )
        if self.kind == "attributes":
            check_probabilities(rows, self.network, lambda row: f"'{self.pictures.pictures[good[row]].name}'")


def check_probabilities(rows: np.ndarray, network: Network, named: Callable[[int], str]) -> None:
    """That each row holds probabilities of the network's vocabulary; `named` tells whose row it is.

    Raises
    ------
    DataError
        It doesn't.
    """
    vocabulary = network.vocabulary
    assert vocabulary is not None
    if rows.shape[1] != vocabulary.size:
        raise DataError(
            f"'{network.path}' gives {rows.shape[1]:,} probabilities, its vocabulary names "
            f"{vocabulary.size:,}.",
            "Export it again.",
        )
    outside = (rows < -TOLERANCE) | (rows > 1 + TOLERANCE)
    if outside.any():
        row, column = np.argwhere(outside)[0].tolist()
        raise DataError(
            f"'{vocabulary.names[column]}' of {named(row)} is {rows[row, column]:g}, no probability.",
            f"Check the network, or use {parameter('kind', 'dense')}.",
        )
    for group in vocabulary.layout:
        if not group.exclusive:
            continue
        sums = rows[:, group.offset : group.offset + group.size].sum(axis=1, dtype=np.float64)
        wrong = np.flatnonzero(np.abs(sums - 1) > TOLERANCE)
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f"The probabilities of '{group.name}' of {named(row)} sum to {sums[row]:g}, not 1.",
                f"Check the network, or use {parameter('kind', 'dense')}.",
            )


def interrupted(where: str, journal: Journal, number: int) -> Interrupted:
    """What is raised after signal `number`."""
    return Interrupted(
        f"Interrupted {where}.",
        f"What is done is kept in '{journal.path}'.",
        number,
        resume_with="",
    )
