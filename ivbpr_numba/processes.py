"""Pieces of work side by side, in processes of their own that begin anew (no fork).

A piece is a call ``work(shared, task, tell)`` whose result depends on nothing else, so that the number of
processes decides when it is done, never what comes out. Workers are started by their own command line: a
script of the caller is not run again in them, and needs no ``if __name__ == "__main__"``. They end with their
parent, however it ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from ivbpr_numba import expected
from ivbpr_numba.errors import EnvironmentProblem, Interrupted, IvbprError
from ivbpr_numba.events import Event, Observer
from ivbpr_numba.signals import stop_signals

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "POLL",
    "Crew",
    "Hands",
    "Processes",
    "SideBySide",
    "cores",
    "in_order",
    "portable",
    "process_count",
    "side_by_side",
    "warnings_as_events",
]

Work = Callable[[Any, Any, Observer], Any]
Tell = Callable[[int, Event], None]

POLL = 0.2  # seconds between two looks at the signals
_COMMAND = "import sys; from ivbpr_numba.processes import _serve; _serve(int(sys.argv[1]), int(sys.argv[2]))"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_count(wanted: int | None, pieces: int) -> int:
    """How many processes to use: `wanted`, or one a core, and no more than there are pieces.

    Raises
    ------
    UsageError
        Not a positive number.
    """
    if wanted is not None:
        expected.whole("processes", wanted, 1)
    return max(1, min(wanted or cores(), pieces))


class Hands(Protocol):
    """Those of a crew who do one kind of work, several times; they go home with the block."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *problem: object) -> None: ...

    def run(self, tasks: Iterable[Any], tell: Tell = ...) -> Iterator[tuple[int, Any]]:
        """Do tasks; yields, raises and tells what `side_by_side` does."""
        ...


class Crew(Protocol):
    """Who does pieces of work side by side: processes of this machine, or the workers of a cluster.

    Attributes
    ----------
    size : int
        Pieces at a time.
    threads : int
        That each of them has.
    """

    @property
    def size(self) -> int: ...

    @property
    def threads(self) -> int: ...

    def begin(self, work: Work, shared: Any) -> Hands:
        """Those who do this work; see `side_by_side`."""
        ...


@dataclass(frozen=True)
class Processes:
    """A crew of so many processes of this machine; with one everything runs here."""

    size: int

    @property
    def threads(self) -> int:
        return max(1, cores() // self.size)

    def begin(self, work: Work, shared: Any) -> SideBySide:
        return SideBySide(work, shared, self.size)


def in_order(found: Iterable[tuple[int, Any]]) -> Iterator[Any]:
    """Results in the order of their tasks, which are kept until those before them are there."""
    kept: dict[int, Any] = {}
    following = 0
    for number, result in found:
        kept[number] = result
        while following in kept:
            yield kept.pop(following)
            following += 1


class SideBySide:
    """Processes that do one kind of work, several times; see `side_by_side`, which does it once.

    Parameters
    ----------
    work, shared, processes
        As there. The processes are started when there is something for them to do, and end with the block::

            with SideBySide(work, shared, 2) as workers:
                for number, result in workers.run(tasks): ...
    """

    def __init__(self, work: Work, shared: Any, processes: int) -> None:
        self._work, self._shared, self._processes = work, shared, processes
        self._load = b""
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        for one in self._workers:
            one.end()
        self._workers = []

    def run(self, tasks: Iterable[Any], tell: Tell = lambda number, event: None) -> Iterator[tuple[int, Any]]:
        """Do tasks; of an iterator the next one is taken when a process is free for it.

        `tell` and what is yielded and raised are those of `side_by_side`. After an error nothing more can
        run.
        """
        if self._processes == 1:
            for number, task in enumerate(tasks):
                yield (
                    number,
                    self._work(
                        self._shared,
                        task,
                        lambda event, number=number: tell(number, event),  # type: ignore[misc]
                    ),
                )
            return
        with stop_signals() as stopped:
            left = iter(enumerate(tasks))
            following = next(left, None)
            while following is not None or any(one.number is not None for one in self._workers):
                while following is not None and (worker := self._free()) is not None:
                    worker.give(*following)
                    following = next(left, None)
                busy = {one.connection: one for one in self._workers if one.number is not None}
                for ready in wait(list(busy), timeout=POLL):
                    one = busy[ready]  # type: ignore[index]
                    kind, number, value = one.take()
                    if kind == "event":
                        tell(number, value)
                    elif kind == "problem":
                        raise value
                    else:
                        one.number = None
                        yield number, value
                if stopped():
                    raise Interrupted("Interrupted.", "", stopped(), None)

    def _free(self) -> _Worker | None:
        """A process without a task, started where there may be one more; None where all are busy."""
        for one in self._workers:
            if one.number is None:
                return one
        if len(self._workers) == self._processes:
            return None
        self._load = self._load or pickle.dumps((self._work, self._shared), protocol=pickle.HIGHEST_PROTOCOL)
        self._workers.append(_Worker.start(self._load))
        return self._workers[-1]


def side_by_side(
    work: Work,
    shared: Any,
    tasks: Iterable[Any],
    processes: int,
    tell: Tell = lambda number, event: None,
) -> Iterator[tuple[int, Any]]:
    """Do all tasks, in their order, and yield each result as soon as it is there.

    Parameters
    ----------
    work : callable
        A function of a module of ours, called as ``work(shared, task, tell)``; its `tell` takes the events of
        this task.
    shared : object
        What all tasks need; sent once to each process.
    tasks : iterable
    processes : int
        With one everything runs here.
    tell : callable
        Called with the number of a task and what it tells; warnings come as ``{"event": "warning"}``.

    Yields
    ------
    (int, object)
        Number of the task, and its result.

    Raises
    ------
    IvbprError
        What the first failing task raised; the others are ended.
    EnvironmentProblem
        A process was killed, most likely because the memory is full.
    Interrupted
        After SIGINT or SIGTERM; unfinished tasks are lost.
    """
    with SideBySide(work, shared, processes) as workers:
        yield from workers.run(tasks, tell)


@dataclass
class _Worker:
    """A process, the line to it, and the number of the task that it has."""

    process: subprocess.Popen[bytes]
    connection: Connection
    life: int
    number: int | None = None

    @classmethod
    def start(cls, load: bytes) -> _Worker:
        ours, theirs = socket.socketpair()
        held, life = os.pipe()
        with ours, theirs:
            descriptors = (theirs.fileno(), held)
            process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C at the terminal is for the parent alone
            )
            os.close(held)
            connection = Connection(ours.detach())
        worker = cls(process, connection, life)
        connection.send(sys.path)
        connection.send_bytes(load)
        return worker

    def give(self, number: int, task: Any) -> None:
        self.number = number
        try:
            self.connection.send((number, task))
        except OSError as problem:
            raise self.died() from problem

    def take(self) -> tuple[str, int, Any]:
        try:
            received: tuple[str, int, Any] = self.connection.recv()
        except (EOFError, OSError) as problem:
            raise self.died() from problem
        return received

    def died(self) -> EnvironmentProblem:
        code = self.process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return EnvironmentProblem(
            f"A process working beside this one was ended ({how}), most likely because the memory is full.",
            "Run the same again with fewer processes: what is done is kept.",
        )

    def end(self) -> None:
        self.process.kill()  # before its line is closed, of which it would complain at the terminal
        self.process.wait()
        self.connection.close()
        os.close(self.life)


def _serve(line: int, held: int) -> None:
    """The life of a worker: one task after the other, until the parent closes the line or dies."""
    threading.Thread(target=_die_with_parent, args=(held,), daemon=True).start()
    connection = Connection(line)
    sys.path[:] = connection.recv()
    work, shared = pickle.loads(connection.recv_bytes())
    sending = threading.Lock()
    while True:
        try:
            number, task = connection.recv()
        except EOFError:
            return

        def send(kind: str, value: Any, number: int = number) -> None:
            with sending:
                try:
                    connection.send((kind, number, value))
                except OSError:  # the parent is gone: there is nobody left to tell
                    os._exit(1)

        def tell(event: Event, send: Callable[[str, Any], None] = send) -> None:
            send("event", event)

        try:
            with warnings_as_events(tell):
                result = work(shared, task, tell)
        except IvbprError as problem:
            send("problem", problem)
        except Exception as problem:  # a bug: the parent shows where it was
            problem.add_note(f"in a process of its own, task {task!r}")
            send("problem", portable(problem))
        else:
            send("result", result)


def portable(problem: Exception) -> Exception:
    """The problem itself where it can travel, else what it said."""
    try:
        pickle.loads(pickle.dumps(problem))
    except Exception:
        return RuntimeError(f"{type(problem).__name__}: {problem}")
    return problem


def _die_with_parent(held: int) -> None:
    os.read(held, 1)  # returns when the other end is closed, also by the death of the parent
    os._exit(1)


@contextmanager
def warnings_as_events(tell: Observer) -> Iterator[None]:
    """Tell what the library warns of, as the parent would have shown it."""
    with warnings.catch_warnings():
        shown = warnings.showwarning
        warnings.simplefilter("always", UserWarning)

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, UserWarning):
                tell({"event": "warning", "message": str(message)})
            else:
                shown(message, category, *where, **more)

        warnings.showwarning = show
        yield
