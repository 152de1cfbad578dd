"""Batches of photos through a network: here, or by a crew whose workers read the photos themselves."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from typing import Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.errors import DataError, EnvironmentProblem, IvbprError
from ivbpr_numba.events import Observer
from ivbpr_numba.network.file import Network, NetworkSession, start_session
from ivbpr_numba.photos.decoding import heif_package
from ivbpr_numba.photos.pictures import Pictures, Pixels, pixels_from, pixels_of
from ivbpr_numba.photos.pipeline import in_order
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.photos.sources import Source, open_source
from ivbpr_numba.processes import Crew
from ivbpr_numba.processes import in_order as by_number

__all__ = ["Done", "done_by", "done_here", "programs"]

Task = tuple[list[int], list[str], list[int]]  # positions, names and sizes of the photos of a batch


@dataclass(frozen=True)
class Done:
    """A batch that went through the network.

    Attributes
    ----------
    indices : list of int
        Positions of its images, in reading order.
    bad, notes : dict
        Reason, or what had to be converted, by position.
    rows : ndarray of float32, shape (usable images, values)
    seconds : float
        That the network took.
    unread : dict
        Why a worker could not read a file, by position; also among the bad ones.
    where : str
        The machine of that worker.
    """

    indices: list[int]
    bad: dict[int, str]
    notes: dict[int, str]
    rows: np.ndarray
    seconds: float = 0.0
    unread: dict[int, str] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True)
class _Ready:
    """Decoded images of a batch, and what the network takes; None where no image can be used."""

    indices: list[int]
    bad: dict[int, str]
    notes: dict[int, str]
    input: np.ndarray | None


def done_here(
    pictures: Pictures,
    indices: Sequence[int],
    size: int,
    session: NetworkSession,
    prepared: Preprocessing,
    threads: int,
) -> Generator[Done, None, None]:
    """Do batches of `size` images in this process; decoding runs ahead of the network.

    Close the iterator where it isn't read to its end.
    """
    decoded = pixels_of(pictures, indices, prepared.fit, prepared.size, threads, 2 * size + 2 * threads)
    with closing(in_order(_groups(decoded, size), _Preparer(prepared), 1, 2)) as ready:
        for one in ready:
            yield _through(session, one)


def done_by(
    crew: Crew, pictures: Pictures, indices: Sequence[int], size: int, there: There
) -> Generator[Done, None, None]:
    """Have a crew do them; a batch is a piece of its work, and they come in order.

    Raises
    ------
    EnvironmentProblem
        A worker sees other photos than this process, or none, or decodes or computes by other versions.
    DataError
        What the first failing batch raised.
    """
    starts = range(0, len(indices), size)
    with crew.begin(_do, there) as hands:
        tasks = (_task(pictures, indices[start : start + size]) for start in starts)
        for one in by_number(hands.run(tasks)):
            if isinstance(one, DataError):
                raise one
            for index, reason in one.unread.items():
                # What nobody can read is a bad image; what only the worker can't read would be lost unsaid.
                ((_, found),) = pictures.read([index])
                if not isinstance(found, str):
                    name = pictures.pictures[index].name
                    raise _unreachable(one.where, f"can't read '{name}' in '{pictures.path}': {reason}")
            yield one


def programs() -> dict[str, Any]:
    """Versions, beside our own, that decide what comes out."""
    heif = heif_package()
    return {
        "onnxruntime": _version("onnxruntime-gpu", "onnxruntime"),
        "pillow": _version("pillow"),
        "heif": None if heif is None else f"{heif} {_version(heif)}",
    }


@dataclass(frozen=True)
class There:
    """What each worker makes of the photos, and by what; session and archive stay open between pieces."""

    place: str
    content: bytes
    network: str
    input: str
    output: str
    takes: int | None
    prepared: Preprocessing
    programs: dict[str, Any]

    @classmethod
    def of(cls, pictures: Pictures, network: Network, output: str, prepared: Preprocessing) -> There:
        return cls(
            os.path.abspath(pictures.path),
            network.content([output]),
            network.path,
            network.input,
            output,
            network.input_shape[0],
            prepared,
            programs(),
        )

    @cached_property
    def source(self) -> Source:
        """Where the photos lie, ready for many readings of few of them."""
        found = open_source(self.place)
        found.hold()
        return found

    @cached_property
    def session(self) -> NetworkSession:
        own = programs()
        unlike = [name for name, version in self.programs.items() if own[name] != version]
        if unlike:
            name = unlike[0]
            raise EnvironmentProblem(
                f"A worker on {platform.node()} would give other values: {name} is {own[name]} there, "
                f"{self.programs[name]} here.",
                "Give all machines the same versions.",
            )
        return start_session(
            self.content,
            self.network,
            self.input,
            [self.output],
            self.takes,
            "cpu",
            backends.kernels().threads(),
        )


def _do(there: There, task: Task, tell: Observer) -> Done | DataError:
    """One batch on a worker."""
    indices, names, sizes = task
    unread: dict[int, str] = {}
    threads = backends.kernels().threads()
    try:
        source = there.source
    except IvbprError as problem:
        raise _unreachable(platform.node(), f"can't read '{there.place}': {problem.message}") from None
    for name, size in zip(names, sizes):
        if (found := source.size(name)) != size:
            seen = found if isinstance(found, str) else f"it has {found:,} bytes there, {size:,} here"
            raise _unreachable(platform.node(), f"sees another '{name}' in '{there.place}': {seen}")
    try:
        contents = _noting(zip(indices, source.read(names)), unread)
        decoded = pixels_from(contents, there.prepared.fit, there.prepared.size, threads, len(indices))
        with closing(decoded):
            ready = _Preparer(there.prepared)(list(decoded))
        done = _through(there.session, ready)
    except DataError as problem:  # raised where the batch has its turn
        return problem
    return Done(done.indices, done.bad, done.notes, done.rows, done.seconds, unread, platform.node())


def _noting(
    contents: Iterable[tuple[int, bytes | str]], unread: dict[int, str]
) -> Iterator[tuple[int, bytes | str]]:
    for index, data in contents:
        if isinstance(data, str):
            unread[index] = data
        yield index, data


def _task(pictures: Pictures, indices: Sequence[int]) -> Task:
    names = [pictures.pictures[index].name for index in indices]
    return list(indices), names, [pictures.sizes[index] for index in indices]


def _unreachable(where: str, what: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"A worker on {where} {what}.",
        "Put the photos into a folder that all machines share, by the same path.",
    )


def _through(session: NetworkSession, ready: _Ready) -> Done:
    rows, seconds = np.empty((0, 0), dtype=np.float32), 0.0
    if ready.input is not None:
        begun = time.perf_counter()
        (found,) = session.run(ready.input)
        seconds = time.perf_counter() - begun
        rows = np.ascontiguousarray(found.reshape(len(found), -1), dtype=np.float32)
    return Done(ready.indices, ready.bad, ready.notes, rows, seconds)


def _groups(decoded: Any, size: int) -> Iterator[list[Pixels]]:
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

    def __call__(self, group: list[Pixels]) -> _Ready:
        pixels = [one.pixels for one in group if one.pixels is not None]
        return _Ready(
            [one.index for one in group],
            {one.index: one.reason or "" for one in group if one.pixels is None},
            {one.index: one.note for one in group if one.note},
            self.prepared.normalise(np.stack(pixels)) if pixels else None,
        )


def _version(*packages: str) -> str:
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"
