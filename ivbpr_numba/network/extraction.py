"""``features extract``: images → network → feature file, with a journal of finished batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, Interrupted, UsageError, did_you_mean
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.writing import features_sink
from ivbpr_numba.ids import Ids, encode_ids
from ivbpr_numba.network.file import Network, NetworkSession
from ivbpr_numba.network.format import PROBABILITIES
from ivbpr_numba.network.journal import Journal, journal_path
from ivbpr_numba.photos.pictures import Pictures, Pixels, pixels_of
from ivbpr_numba.photos.pipeline import cores, in_order
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.signals import stop_signals
from ivbpr_numba.store.atomic import Lock, PathLike, lock

__all__ = ["extract"]

KINDS = ("dense", "attributes")
DTYPES = ("float32", "float16")
TOLERANCE = 1e-3  # of probabilities and of their sums
_BLOCK_BYTES = 8 << 20

Progress = Callable[[dict[str, Any]], None]


def extract(
    images: PathLike,
    model: PathLike,
    out: PathLike,
    output: str | None = None,
    device: str = "auto",
    preprocess: PathLike | Preprocessing | None = None,
    kind: str | None = None,
    items: PathLike | None = None,
    id_column: str | None = None,
    file_column: str | None = None,
    batch: int = 32,
    threads: int | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], int] | None = None,
) -> dict[str, Any]:
    """Run a network on the images of items and write a feature file.

    Finished batches are kept in ``OUT.partial``; the same call goes on from there, and ends with the same
    payload as one that was never interrupted. Batches are fixed by the order of the images alone, so neither
    an interruption nor the number of threads changes a bit.

    Parameters
    ----------
    images, items, id_column, file_column
        See `Pictures.open`. Several images of an item are averaged.
    model : path
        An ONNX file.
    out : path
        The feature file.
    output : str, optional
        An output of the network or any inner value (needs the extra ``onnx``); by default ``probabilities``,
        else the first output. Values with more than one dimension an image are flattened.
    device : str
        ``auto``, ``cpu`` or ``cuda``; ``cuda`` is never replaced silently.
    preprocess : path, preset or Preprocessing, optional
        Instead of what the network says about itself; needed where it says nothing.
    kind : str, optional
        ``attributes`` where the network has a vocabulary and `output` is its probabilities, else ``dense``.
    batch : int
        Images a batch.
    threads : int, optional
        For decoding, and for the network on the CPU; all cores where not given.
    dtype : str
        ``float32`` or ``float16``.
    overwrite : bool
        Throw away what an interrupted run has left.
    progress : callable, optional
        Called with ``{"step": …}`` and ``{"done": images, "total": images, "seconds_left": …}``.
    stop : callable, optional
        Returns the number of a signal once the work shall stop; by default SIGINT and SIGTERM are watched.

    Returns
    -------
    dict
        ``file images items columns kind dtype output provider why batch images_per_second seconds
        network_images_per_second resumed payload_sha256 network_sha256``; `images` were used, `resumed` were
        done by earlier runs. Then ``bad``: ``image item reason`` of those that can't be used; ``converted``:
        ``image item note``; ``left_out``: items without any usable image.

    Raises
    ------
    UsageError
        Paths, options, an unknown output, no preprocessing, or a journal of another extraction.
    DataError
        No usable image, a damaged archive, values that are not finite or, for attributes, no probabilities.
    EnvironmentProblem
        ``cuda`` can't run, the disk is full, ``onnx`` is needed and missing.
    Interrupted
        After a signal; the journal stays.
    """
    _check_options(batch, threads, dtype, kind)
    tell: Progress = progress or (lambda event: None)
    with ExitStack() as stack:
        network = Network.read(model)
        given = preprocess if isinstance(preprocess, Preprocessing | None) else Preprocessing.read(preprocess)
        prepared = network.prepared_by(given)
        name = network.output_named(output)
        kind = _kind(kind, network, name)
        session = network.session([name], device, threads)
        tell({"step": "listing images"})
        pictures = stack.enter_context(Pictures.open(images, items, id_column, file_column))
        identity = {
            "network_sha256": network.sha256,
            "output": name,
            "images": pictures.digest(),
            "preprocessing": prepared.to_json(),
            "batch": batch,
            "provider": session.provider,
            "onnxruntime": _version("onnxruntime-gpu", "onnxruntime"),
            "pillow": _version("pillow"),
        }
        stopped = stop or stack.enter_context(stop_signals())
        keep_lock = stack.enter_context(lock(out))
        path = journal_path(keep_lock.path)
        journal = stack.enter_context(Journal(path, identity, overwrite))
        run = _Run(pictures, journal, batch, network, name, kind)
        run.take_over()
        tell({"step": "running the network"})
        begun = time.perf_counter()
        run.extract(session, prepared, threads or cores(), tell, stopped)
        if run.columns is None:
            journal.remove()
            picture, reason = next(run.bad_ones())
            raise DataError(
                f"None of the {len(pictures) + len(pictures.missing):,} images in '{images}' can be used; "
                f"'{picture.name}' for one: {reason}.",
                "Check them with another program.",
            )
        source = {
            "command": "features extract",
            "images": os.path.basename(os.path.abspath(images)),
            "model": os.path.basename(os.fspath(model)),
            "output": name,
            "preprocessing": prepared.to_json(),
            "provider": session.provider,
            "onnxruntime": identity["onnxruntime"],
            "batch": batch,
            "images_used": run.used,
            "images_left_out": run.unused,
        }
        tell({"step": "writing"})
        written = run.write(out, dtype, source, keep_lock, stopped)
        journal.remove()
        seconds = time.perf_counter() - begun
    return {
        "file": os.fspath(out),
        "images": run.used,
        "items": written.items,
        "columns": run.columns,
        "kind": kind,
        "dtype": dtype,
        "output": name,
        "provider": session.provider,
        "why": session.why,
        "batch": batch,
        "images_per_second": _rate(run.done_here, run.seconds),
        "network_images_per_second": _rate(run.run_here, run.network_seconds),
        "seconds": round(seconds, 3),
        "resumed": run.resumed,
        "payload_sha256": written.payload_sha256,
        "network_sha256": network.sha256,
        "bad": [
            {"image": picture.name, "item": picture.item, "reason": reason}
            for picture, reason in run.bad_ones()
        ],
        "converted": [
            {"image": pictures.pictures[index].name, "item": pictures.pictures[index].item, "note": note}
            for index, note in sorted(run.notes.items())
        ],
        "left_out": written.left_out,
    }


def _check_options(batch: int, threads: int | None, dtype: str, kind: str | None) -> None:
    if batch < 1:
        raise UsageError(f"--batch {batch} is below 1.", "Give a positive number.")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads} is below 1.", "Leave it out to use all cores.")
    if dtype not in DTYPES:
        hint = did_you_mean(dtype, DTYPES) or f"Use {' or '.join(DTYPES)}."
        raise UsageError(f"Features of images can't be stored as '{dtype}'.", hint)
    if kind is not None and kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"Use {' or '.join(KINDS)}."
        raise UsageError(f"Unknown kind of features '{kind}'.", hint)


def _kind(asked: str | None, network: Network, output: str) -> str:
    named = network.vocabulary is not None and output == PROBABILITIES
    if asked == "attributes" and not named:
        what = (
            f"the output '{output}' of '{network.path}' isn't its probabilities"
            if network.vocabulary is not None
            else f"'{network.path}' has no vocabulary"
        )
        raise UsageError(
            f"--kind attributes: {what}, so nothing names the columns.",
            "Leave --kind out, or use a network of `ivbpr network train`.",
        )
    return asked or ("attributes" if named else "dense")


def _version(*packages: str) -> str:
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if count and seconds > 0 else None


@dataclass
class _Batch:
    """Consecutive images in reading order, ready for the network."""

    indices: list[int]
    bad: dict[int, str]
    notes: dict[int, str]
    input: np.ndarray | None  # None where no image can be used


@dataclass(frozen=True)
class _Written:
    items: int
    left_out: list[str]
    payload_sha256: str


@dataclass
class _Run:
    """What is known about each image while an extraction runs."""

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

    def extract(
        self,
        session: NetworkSession,
        prepared: Preprocessing,
        threads: int,
        tell: Progress,
        stopped: Callable[[], int],
    ) -> None:
        """Run what the journal doesn't hold yet."""
        todo = self.pictures.order[self.resumed :]
        total = len(self.pictures)
        begun = time.perf_counter()
        decoded = pixels_of(
            self.pictures, todo, prepared.fit, prepared.size, threads, 2 * self.batch + 2 * threads
        )
        batches = in_order(_batches(decoded, self.batch), _Preparer(prepared), 1, 2)
        with closing(batches):
            for one in batches:
                self._do(one, session)
                done = self.resumed + self.done_here
                self.seconds = time.perf_counter() - begun
                left = self.seconds / self.done_here * (total - done)
                tell({"done": done, "total": total, "seconds_left": left})
                number = stopped()
                if number and done < total:
                    raise _interrupted(f"after {done:,} of {total:,} images", self.journal, number)

    def _do(self, one: _Batch, session: NetworkSession) -> None:
        rows = np.empty((0, 0), dtype=np.float32)
        if one.input is not None:
            begun = time.perf_counter()
            (found,) = session.run(one.input)
            self.network_seconds += time.perf_counter() - begun
            rows = np.ascontiguousarray(found.reshape(len(found), -1), dtype=np.float32)
            self._check(rows, [index for index in one.indices if index not in one.bad])
            self.run_here += len(rows)
        document = {
            "bad": sorted(one.bad.items()),
            "notes": sorted(one.notes.items()),
            "columns": rows.shape[1],
        }
        self.journal.append(document, rows)
        self.notes.update(one.notes)
        self._place(one.indices, one.bad, rows.shape[1], self.journal.offsets[-1])
        self.done_here += len(one.indices)

    def _check(self, rows: np.ndarray, good: list[int]) -> None:
        if rows.shape[1] == 0:
            raise DataError(f"The output '{self.output}' is empty.", "Choose another with --output.")
        wrong = ~np.isfinite(rows).all(axis=1)
        if wrong.any():
            picture = self.pictures.pictures[good[int(np.flatnonzero(wrong)[0])]]
            raise DataError(
                f"The network gives NaN or infinity for '{picture.name}' (item '{picture.item}').",
                "Check the network and its preprocessing; an image alone can't do that.",
            )
        if self.kind == "attributes":
            self._check_probabilities(rows, lambda row: f"'{self.pictures.pictures[good[row]].name}'")

    def _check_probabilities(self, rows: np.ndarray, named: Callable[[int], str]) -> None:
        vocabulary = self.network.vocabulary
        assert vocabulary is not None
        if rows.shape[1] != vocabulary.size:
            raise DataError(
                f"'{self.network.path}' gives {rows.shape[1]:,} probabilities, its vocabulary names "
                f"{vocabulary.size:,}.",
                "Export it again.",
            )
        outside = (rows < -TOLERANCE) | (rows > 1 + TOLERANCE)
        if outside.any():
            row, column = np.argwhere(outside)[0].tolist()
            raise DataError(
                f"'{vocabulary.names[column]}' of {named(row)} is {rows[row, column]:g}, no probability.",
                "Check the network, or use --kind dense.",
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
                    "Check the network, or use --kind dense.",
                )

    def write(
        self,
        out: PathLike,
        dtype: str,
        source: dict[str, Any],
        keep_lock: Lock,
        stopped: Callable[[], int],
    ) -> _Written:
        """Average the images of each item and write the feature file."""
        assert self.columns is not None
        # Sorted by item, then name: the images of an item are neighbours, and summed in that order.
        usable = np.flatnonzero(self.places >= 0)
        owners = [self.pictures.pictures[index].item for index in usable.tolist()]
        firsts = [k for k, owner in enumerate(owners) if k == 0 or owner != owners[k - 1]]
        starts = np.array([*firsts, len(owners)], dtype=np.int64)
        kept = [owners[k] for k in firsts]
        every = {picture.item for picture in self.pictures.pictures}
        every |= {picture.item for picture, _ in self.pictures.missing if picture.item}
        names, groups = self._names()
        step = max(1, _BLOCK_BYTES // (8 * self.columns))
        with features_sink(
            out,
            Ids(encode_ids(kept), "item"),
            names,
            groups,
            self.kind,
            1.0,
            dtype,
            self.columns,
            attrs={"network_sha256": self.network.sha256},
            source={**source, "items": len(kept)},
            keep_lock=keep_lock,
        ) as sink:
            for first in range(0, len(kept), step):
                rows = np.arange(first, min(first + step, len(kept)))
                means = self._means(usable, starts[rows[0] : rows[-1] + 2])
                if self.kind == "attributes":
                    self._check_probabilities(means, lambda row, first=first: f"item '{kept[first + row]}'")  # type: ignore[misc]
                    np.clip(means, 0.0, 1.0, out=means)
                sink.put(rows, _stored(means, dtype, kept[first:]))
                number = stopped()
                if number and rows[-1] + 1 < len(kept):
                    raise _interrupted("while writing; all images are done", self.journal, number)
        return _Written(len(kept), sorted(every - set(kept)), sink.payload_sha256)

    def _means(self, usable: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Mean row of each item, float64: `starts` bounds their images in `usable`."""
        assert self.columns is not None
        counts = np.diff(starts)
        total = np.zeros((len(counts), self.columns))
        for turn in range(int(counts.max())):
            having = np.flatnonzero(counts > turn)
            places = self.places[usable[starts[having] + turn]]
            total[having] += self.journal.rows_at(places, self.columns)
        total /= counts[:, None]
        return total

    def _names(self) -> tuple[list[str], list[Group]]:
        assert self.columns is not None
        vocabulary = self.network.vocabulary
        if vocabulary is not None and self.output == PROBABILITIES and vocabulary.size == self.columns:
            return vocabulary.names, vocabulary.layout
        return [str(k) for k in range(self.columns)], [Group(self.kind, 0, self.columns, False)]


def _stored(values: np.ndarray, dtype: str, items: Sequence[str]) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        stored = values.astype(dtype)
    if dtype == "float16" and not np.isfinite(stored).all():
        row = int(np.flatnonzero(~np.isfinite(stored).all(axis=1))[0])
        raise DataError(
            f"The features of item '{items[row]}' are up to {np.abs(values[row]).max():g}, too large for "
            "float16.",
            "Use --dtype float32: no image is run again.",
        )
    return stored


def _interrupted(where: str, journal: Journal, number: int) -> Interrupted:
    return Interrupted(
        f"Interrupted {where}.",
        f"What is done is kept in '{journal.path}'.",
        number,
        resume_with="",
    )


def _batches(decoded: Any, size: int) -> Iterator[list[Pixels]]:
    """Groups of `size` images in order; closes the stream they come from."""
    with closing(decoded):
        group: list[Pixels] = []
        for one in decoded:
            group.append(one)
            if len(group) == size:
                yield group
                group = []
        if group:
            yield group


@dataclass(frozen=True)
class _Preparer:
    """Makes the network's input of a group of images."""

    prepared: Preprocessing

    def __call__(self, group: list[Pixels]) -> _Batch:
        pixels = [one.pixels for one in group if one.pixels is not None]
        return _Batch(
            [one.index for one in group],
            {one.index: one.reason or "" for one in group if one.pixels is None},
            {one.index: one.note for one in group if one.note},
            self.prepared.normalise(np.stack(pixels)) if pixels else None,
        )
