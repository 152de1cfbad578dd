"""Inputs read by a crew: file by file, plain text also in spans that end with a line.

A span gives what it gives to a reader that comes from the lines before it, or is refused: then the process
that asked reads the file itself, as it does where anything is wrong with one, so that its errors are those
of one machine.
"""

from __future__ import annotations

import hashlib
import os
import platform
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ivbpr_numba.datasets.intake import Intake, Part
from ivbpr_numba.distributed import crew_of
from ivbpr_numba.errors import DataError, EnvironmentProblem, IvbprError, UsageError
from ivbpr_numba.events import Observer
from ivbpr_numba.processes import Crew
from ivbpr_numba.readers.id_index import IdIndex
from ivbpr_numba.readers.rows import Reader
from ivbpr_numba.readers.streams import Span, Uncuttable
from ivbpr_numba.store.atomic import os_problem

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Shares", "shared_out"]

SPAN = 1 << 26  # bytes of plain text that are one piece of work

Recognise = Callable[[str], Reader]


@dataclass(frozen=True)
class _Task:
    """A file, or a span of it, as the process that asks knows it; with `spans` its digests are asked for."""

    path: str
    size: int
    head: bytes
    span: Span | None = None
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class _Digests:
    """Bytes and SHA-256 of a file, and CRC-32 of each of its spans."""

    size: int
    sha256: str
    crcs: tuple[int, ...]


class Shares:
    """Some inputs as a crew reads them; a context, in which the work is done.

    Parameters
    ----------
    crew : Crew
    recognise : callable
        Opens a path as the readers were opened; sent to the crew.
    readers : sequence of Reader
        Those of pipes are left out: they are there for this process alone.
    strict : bool
    """

    def __init__(self, crew: Crew, recognise: Recognise, readers: Sequence[Reader], strict: bool) -> None:
        self._hands = crew.begin(_read, (recognise, strict))
        self._tasks: list[_Task] = []
        self._places: dict[int, range] = {}  # of the tasks of a reader, by its number
        for number, reader in enumerate(readers):
            if reader.stream.size is not None:
                begin = len(self._tasks)
                self._tasks += _tasks_of(reader)
                self._places[number] = range(begin, len(self._tasks))
        self._found: Iterator[tuple[int, Any]] = iter(())
        self._kept: dict[int, Any] = {}

    def __enter__(self) -> Shares:
        self._hands.__enter__()
        self._found = self._hands.run(self._tasks)
        return self

    def __exit__(self, *problem: object) -> None:
        self._found = iter(())  # closes it: what is not needed any more is not done
        self._hands.__exit__(*problem)

    def into(self, number: int, intake: Intake, tell: Callable[[], None]) -> bool:
        """Join all parts of a reader, in their order; false where it must be read here, into a new intake.

        Parameters
        ----------
        number : int
            Of the reader.
        intake : Intake
        tell : callable
            Called after each part.

        Raises
        ------
        EnvironmentProblem
            A worker finds another file by the same path, or none.
        """
        if number not in self._places:
            return False
        digests, crcs = None, []
        for place in self._places[number]:
            found = self._result(place)
            if found is None:
                return False
            if isinstance(found, _Digests):
                digests = found
                continue
            intake.join(found)
            crcs.append(found.crc)
            tell()
        if digests is not None:
            if digests.crcs != tuple(crcs):
                raise _other(self._tasks[self._places[number][0]].path, "workers read different bytes")
            intake.bytes, intake.sha256 = digests.size, digests.sha256
        intake.reader.stream.close()
        return True

    def _result(self, place: int) -> Any:
        while place not in self._kept:
            done, result = next(self._found)
            self._kept[done] = result
        return self._kept.pop(place)


def shared_out(client: Client, recognise: Recognise, readers: Sequence[Reader], strict: bool) -> Shares:
    """The shares of a cluster's workers.

    Raises
    ------
    EnvironmentProblem
        The cluster can't be used, or a worker can't read a file.
    """
    paths = [reader.stream.path for reader in readers if reader.stream.size is not None]
    return Shares(crew_of(client, paths), recognise, readers, strict)


def _tasks_of(reader: Reader) -> Iterator[_Task]:
    """A file as it is, or its digests and its spans."""
    stream = reader.stream
    assert stream.size is not None
    path, head = os.path.abspath(stream.path), hashlib.sha256(stream.head).digest()
    plain = stream.codec == "plain" and reader.kind != "Parquet"
    spans = tuple(stream.spans(SPAN)) if plain else ()
    if len(spans) < 2:
        yield _Task(path, stream.size, head)
        return
    yield _Task(path, stream.size, head, spans=spans)
    for span in spans:
        yield _Task(path, stream.size, head, span)


def _read(shared: tuple[Recognise, bool], task: _Task, tell: Observer) -> Part | _Digests | None:
    """What a worker finds; None where only the process that asks can tell what is wrong."""
    recognise, strict = shared
    try:
        reader = recognise(task.path)
    except IvbprError as problem:  # none where the one who asks opened it
        raise _other(task.path, f"on {platform.node()}, {problem.message}") from None
    stream = reader.stream
    if (stream.size, hashlib.sha256(stream.head).digest()) != (task.size, task.head):
        raise _other(task.path, f"on {platform.node()} a worker finds another one")
    try:
        if task.spans:
            stream.close()
            return _digests(task)
        if task.span is not None:
            stream.only(task.span)
        intake = Intake(reader, IdIndex(), IdIndex(), strict)
        for rows in reader.read(intake.bad):
            intake.take(rows)
        intake.end()
        return intake.packed()
    except (DataError, UsageError, Uncuttable):
        return None
    except EnvironmentProblem as problem:
        what = f"On a worker on {platform.node()}: {problem.message}"
        raise EnvironmentProblem(what, problem.hint) from None


def _digests(task: _Task) -> _Digests:
    total, crcs = hashlib.sha256(), []
    try:
        with open(task.path, "rb") as file:
            total.update(file.read(task.spans[0][0]))
            for begin, end in task.spans:
                crc, left = 0, end - begin
                while left and (data := file.read(min(1 << 20, left))):
                    total.update(data)
                    crc, left = zlib.crc32(data, crc), left - len(data)
                crcs.append(crc)
    except OSError as problem:
        raise os_problem(problem, task.path, "read") from problem
    return _Digests(task.size, total.hexdigest(), tuple(crcs))


def _other(path: str, what: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"'{path}' is not one and the same file for all machines: {what}.",
        "Put it into a folder that they share, by the same path, and leave it as it is meanwhile.",
    )
