"""Activations of a fixed backbone for the images of a task, kept batch by batch in a journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import closing
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, Interrupted, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.network.file import NetworkSession
from ivbpr_numba.network.journal import Journal
from ivbpr_numba.photos.pictures import Pixels, pixels_of
from ivbpr_numba.training.frozen.backbone import Backbone

if TYPE_CHECKING:
    from ivbpr_numba.training.task import Task

__all__ = ["Activations", "identity_of", "inputs_of"]

BATCH = 64  # images a run of the backbone


def identity_of(task: Task, backbone: Backbone, session: NetworkSession) -> dict[str, Any]:
    """What decides about the activations."""
    return {
        "network_sha256": backbone.network.sha256,
        "layers": [level.name for level in backbone.levels],
        "preprocessing": backbone.preprocessing.to_json(),
        "images": task.pictures.digest(),
        "labelled_images": len(task.chosen),
        "batch": BATCH,
        "provider": session.provider,
        "onnxruntime": _version("onnxruntime-gpu", "onnxruntime"),
        "pillow": _version("pillow"),
    }


def _version(*packages: str) -> str:
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return "unknown"


def inputs_of(task: Task, backbone: Backbone, positions: np.ndarray) -> np.ndarray:
    """Input of a few of the task's images, in their order."""
    chosen = task.chosen[positions]
    prepared = backbone.preprocessing
    row_of = {int(index): row for row, index in enumerate(chosen)}
    pixels = np.zeros((len(chosen), *prepared.size, 3), dtype=np.uint8)
    with closing(pixels_of(task.pictures, chosen.tolist(), prepared.fit, prepared.size, 1)) as stream:
        for entry in stream:
            if entry.pixels is not None:
                pixels[row_of[entry.index]] = entry.pixels
    return prepared.normalise(pixels)


class Activations:
    """Features of the task's images, batch by batch in reading order, in a journal."""

    def __init__(self, task: Task, backbone: Backbone, journal: Journal) -> None:
        self.task, self.backbone, self.journal = task, backbone, journal
        chosen = np.zeros(len(task.pictures), dtype=bool)
        chosen[task.chosen] = True
        self.order = [index for index in task.pictures.order if chosen[index]]
        self.done = 0
        self.bad: dict[int, str] = {}

    def take_over(self) -> None:
        """Note what the journal holds from earlier runs."""
        for document in self.journal.documents:
            self.bad.update({int(index): reason for index, reason in document["bad"]})
            self.done += int(document["images"])

    def extract(
        self, session: NetworkSession, threads: int, tell: Observer, stopped: Callable[[], int]
    ) -> None:
        """Run the backbone on what the journal doesn't hold yet."""
        prepared, total = self.backbone.preprocessing, len(self.order)
        todo = self.order[self.done :]
        stream = pixels_of(self.task.pictures, todo, prepared.fit, prepared.size, threads, 2 * BATCH)
        with closing(stream):
            batch: list[Pixels] = []
            for entry in stream:
                batch.append(entry)
                if len(batch) < BATCH and self.done + len(batch) < total:
                    continue
                self._run(batch, session)
                self.done += len(batch)
                batch = []
                tell({"done": self.done, "total": total})
                number = stopped()
                if number:
                    raise Interrupted(
                        f"Interrupted after the activations of {self.done:,} of {total:,} images.",
                        f"They are kept; {parameter('resume', True)} goes on from there.",
                        number,
                    )

    def _run(self, batch: list[Pixels], session: NetworkSession) -> None:
        bad = {entry.index: entry.reason or "" for entry in batch if entry.pixels is None}
        good = [entry.index for entry in batch if entry.pixels is not None]
        pixels = [entry.pixels for entry in batch if entry.pixels is not None]
        rows = np.empty((0, self.backbone.columns), dtype=np.float32)
        if good:
            images = self.backbone.preprocessing.normalise(np.stack(pixels))
            (rows,) = session.run(images)
            wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
            if len(wrong):
                picture = self.task.pictures.pictures[good[int(wrong[0])]]
                raise DataError(
                    f"The backbone gives NaN or infinity for '{picture.name}' (item '{picture.item}').",
                    "Check the network and its preprocessing.",
                )
        self.bad.update(bad)
        self.journal.append({"bad": sorted(bad.items()), "images": len(batch)}, rows)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 (m, D) in the order of ``task.chosen``, and which images have them, bool (m,)."""
        row_of = {int(index): row for row, index in enumerate(self.task.chosen)}
        features = np.zeros((len(self.task.chosen), self.backbone.columns), dtype=np.float32)
        usable = np.zeros(len(self.task.chosen), dtype=bool)
        start = 0
        for document, offset in zip(self.journal.documents, self.journal.offsets):
            indices = self.order[start : start + document["images"]]
            start += document["images"]
            rows = np.array([row_of[index] for index in indices if index not in self.bad], dtype=np.int64)
            places = offset + np.arange(len(rows), dtype=np.int64) * 4 * self.backbone.columns
            features[rows] = self.journal.rows_at(places, self.backbone.columns)
            usable[rows] = True
        return features, usable

    def problems(self) -> list[dict[str, str]]:
        """Images that can't be used: ``image item reason``."""
        found = [(self.task.pictures.pictures[index], reason) for index, reason in self.bad.items()]
        return [
            {"image": picture.name, "item": picture.item, "reason": reason}
            for picture, reason in sorted(found, key=lambda one: (one[0].item, one[0].name))
        ]
