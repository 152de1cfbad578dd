"""``features extract``: images → network → feature file, with a journal of finished batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from ivbpr_numba.distributed import crew_of
from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.network.averaging import write_averages
from ivbpr_numba.network.batches import There, done_by, done_here, programs
from ivbpr_numba.network.cards import CUDA, FIRST_BATCH, paying_batch
from ivbpr_numba.network.file import Network, NetworkSession
from ivbpr_numba.network.format import PROBABILITIES
from ivbpr_numba.network.journal import Journal, identity_in, journal_path
from ivbpr_numba.network.running import Run
from ivbpr_numba.photos.pictures import Pictures
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.processes import cores
from ivbpr_numba.signals import stop_signals
from ivbpr_numba.store.atomic import PathLike, lock

__all__ = ["extract"]

KINDS = ("dense", "attributes")
DTYPES = ("float32", "float16")


def extract(
    images: PathLike | Pictures,
    model: PathLike | Network,
    out: PathLike,
    output: str | None = None,
    *,
    device: str = "auto",
    preprocess: PathLike | Preprocessing | None = None,
    kind: str | None = None,
    items: PathLike | None = None,
    id_column: str | None = None,
    file_column: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    progress: Observer | None = None,
    stop: Callable[[], int] | None = None,
    client: Any = None,
) -> dict[str, Any]:
    """Run a network on the images of items and write a feature file.

    Finished batches are kept in ``OUT.partial``; the same call goes on from there, and ends with the same
    payload as one that was never interrupted. Batches are fixed by the order of the images alone, so neither
    an interruption nor the number of threads changes a bit.

    Parameters
    ----------
    images : path or Pictures
        A folder, tar or zip; see `Pictures.open`. Several images of an item are averaged.
    items, id_column, file_column : path, str, str, optional
        A table that names the item and the file of each image, and its two columns; without it an item is
        called as its file is.
    model : path or Network
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
    batch : int, optional
        Images a batch: 32 where not given, on a CUDA card doubled as long as that is a tenth faster. An
        interrupted run goes on with its own.
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
    client : distributed.Client, optional
        Of a Dask cluster whose workers read the photos and run the network on their CPUs (extra ``dask``), a
        batch each; the photos must be there for all of them by the same path. The payload is the same.

    Returns
    -------
    dict
        ``file images items columns kind dtype output provider why batch images_per_second seconds
        network_images_per_second resumed payload_sha256 network_sha256``; `images` were used, `resumed` were
        done by earlier runs. Then ``bad``: ``image item reason`` of those that can't be used; ``converted``:
        ``image item note``; ``left_out``: items without any usable image; ``others``: ``kind files first`` of
        files that are not taken for photos; ``notes``: what might surprise about names and ids, as sentences.

    Raises
    ------
    UsageError
        Paths, options, an unknown output, no preprocessing, or a journal of another extraction.
    DataError
        No usable image, a damaged archive, values that are not finite or, for attributes, no probabilities.
    EnvironmentProblem
        ``cuda`` can't run, the disk is full, ``onnx`` is needed and missing; a cluster that can't be used, or
        a worker that doesn't see the photos.
    Interrupted
        After a signal; the journal stays.

    Examples
    --------
    >>> report = extract("photos/", "net.onnx", "photos.h5")  # doctest: +SKIP
    >>> Features.read("photos.h5").names  # doctest: +SKIP
    """
    _check_options(batch, threads, dtype, kind)
    if client is not None:
        _check_cluster(device, threads)
        device = "cpu"
    tell: Observer = progress or (lambda event: None)
    with ExitStack() as stack:
        path = journal_path(out)
        network = model if isinstance(model, Network) else Network.read(model)
        given = preprocess if isinstance(preprocess, Preprocessing | None) else Preprocessing.read(preprocess)
        prepared = network.prepared_by(given)
        name = network.output_named(output)
        kind = _kind(kind, network, name)
        session = network.session([name], device, threads)
        if batch is None:
            batch = _batch(session, prepared, {} if overwrite else identity_in(path))
        tell({"step": "listing images"})
        pictures = stack.enter_context(_opened(images, items, id_column, file_column))
        crew = None if client is None else crew_of(client, [pictures.path])
        identity = {
            "network_sha256": network.sha256,
            "output": name,
            "images": pictures.digest(),
            "preprocessing": prepared.to_json(),
            "batch": batch,
            "provider": session.provider,
            **programs(),
        }
        stopped = stop or stack.enter_context(stop_signals())
        keep_lock = stack.enter_context(lock(out))
        path = journal_path(keep_lock.path)
        journal = stack.enter_context(Journal(path, identity, overwrite))
        run = Run(pictures, journal, batch, network, name, kind)
        run.take_over()
        tell({"step": "running the network"})
        begun = time.perf_counter()
        if crew is None:
            batches = done_here(pictures, run.todo, batch, session, prepared, threads or cores())
        else:
            batches = done_by(crew, pictures, run.todo, batch, There.of(pictures, network, name, prepared))
        run.extract(batches, tell, stopped)
        if run.columns is None:
            journal.remove()
            picture, reason = next(run.bad_ones())
            raise DataError(
                f"None of the {len(pictures) + len(pictures.missing):,} images in '{pictures.path}' can be "
                f"used; '{picture.name}' for one: {reason}.",
                "Check them with another program.",
            )
        source = {
            "command": "features extract",
            "images": os.path.basename(os.path.abspath(pictures.path)),
            "model": os.path.basename(network.path),
            "output": name,
            "preprocessing": prepared.to_json(),
            "provider": session.provider,
            "onnxruntime": identity["onnxruntime"],
            "batch": batch,
            "images_used": run.used,
            "images_left_out": run.unused,
        }
        tell({"step": "writing"})
        written = write_averages(run, out, dtype, source, keep_lock, stopped)
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
        "why": session.why if crew is None else "the workers of a cluster run it",
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
        "others": pictures.others,
        "notes": pictures.notes,
    }


def _batch(session: NetworkSession, prepared: Preprocessing, known: dict[str, Any]) -> int:
    """That of the run to go on with, or what pays."""
    if isinstance(known.get("batch"), int):
        return int(known["batch"])
    if session.provider != CUDA:
        return FIRST_BATCH
    return paying_batch(session.run, prepared.normalise(np.zeros((1, *prepared.size, 3), np.uint8)))


def _opened(
    images: PathLike | Pictures, items: PathLike | None, id_column: str | None, file_column: str | None
) -> Pictures:
    if not isinstance(images, Pictures):
        return Pictures.open(images, items, id_column, file_column)
    if (items, id_column, file_column) != (None, None, None):
        raise UsageError("Open images have their items already.", "Name the table to Pictures.open.")
    return images


def _check_options(batch: int | None, threads: int | None, dtype: str, kind: str | None) -> None:
    if batch is not None and batch < 1:
        raise UsageError(f"{parameter('batch', batch)} is below 1.", "Give a positive number.")
    if threads is not None and threads < 1:
        raise UsageError(f"{parameter('threads', threads)} is below 1.", "Leave it out to use all cores.")
    if dtype not in DTYPES:
        hint = did_you_mean(dtype, DTYPES) or f"Use {' or '.join(DTYPES)}."
        raise UsageError(f"Features of images can't be stored as '{dtype}'.", hint)
    if kind is not None and kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"Use {' or '.join(KINDS)}."
        raise UsageError(f"Unknown kind of features '{kind}'.", hint)


def _check_cluster(device: str, threads: int | None) -> None:
    if device == "cuda":
        raise UsageError(
            f"{parameter('device', 'cuda')}: the workers of a cluster run the network on their CPUs.",
            f"Leave {parameter('device')} out.",
        )
    if threads is not None:
        raise UsageError(
            f"{parameter('threads', threads)}: the workers of a cluster have the threads they began with.",
            f"Leave {parameter('threads')} out.",
        )


def _kind(asked: str | None, network: Network, output: str) -> str:
    named = network.vocabulary is not None and output == PROBABILITIES
    if asked == "attributes" and not named:
        what = (
            f"the output '{output}' of '{network.path}' isn't its probabilities"
            if network.vocabulary is not None
            else f"'{network.path}' has no vocabulary"
        )
        raise UsageError(
            f"{parameter('kind', 'attributes')}: {what}, so nothing names the columns.",
            f"Leave {parameter('kind')} out, or use a network of `ivbpr network train`.",
        )
    return asked or ("attributes" if named else "dense")


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if count and seconds > 0 else None
