"""A crew whose hands are the workers of a Dask cluster; see `processes.Crew`."""

from __future__ import annotations

import pickle
import queue
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from ivbpr_numba.distributed.facts import facts_here
from ivbpr_numba.distributed.pieces import Outcome, do_piece, unlike
from ivbpr_numba.errors import EnvironmentProblem, Interrupted
from ivbpr_numba.events import Event
from ivbpr_numba.processes import POLL, Tell, Work
from ivbpr_numba.signals import stop_signals

if TYPE_CHECKING:
    from typing import Self

    from distributed import Client, Future

__all__ = ["DaskCrew", "DaskHands", "Watch", "bounded", "scattered"]

AHEAD = 64  # pieces for each worker that may be finished while an earlier one is not
AGAIN = 8  # times that a piece is begun again because its worker was lost, before it is held guilty of that
WITHOUT_WORKERS = 60.0  # seconds that are waited for a worker where none is left
SENT = 30.0  # seconds that something may be on its way, however small it is
SLOWEST = 5e6  # bytes a second of what is large
REACHED = "3s"  # that connecting to a worker may take
WITHOUT_SCHEDULER = 10.0  # seconds that a lost connection is waited for


class DaskCrew:
    """The workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected; whoever made it closes it.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def workers(self) -> dict[str, dict[str, Any]]:
        """What the scheduler knows of each worker, by address.

        Raises
        ------
        EnvironmentProblem
            The scheduler is gone.
        """
        if self.client.status != "running":
            raise self.lost()
        try:
            return dict(self.client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, TimeoutError) as problem:
            raise self.lost() from problem

    @property
    def size(self) -> int:
        return max(1, len(self.workers()))

    @property
    def threads(self) -> int:
        return min((one["nthreads"] for one in self.workers().values()), default=1)

    def begin(self, work: Work, shared: Any) -> DaskHands:
        return DaskHands(self, _packed((work, shared)))

    def lost(self) -> EnvironmentProblem:
        """The error about a scheduler that does not answer any more."""
        address = self.client.scheduler.address if self.client.scheduler is not None else "the cluster"
        return EnvironmentProblem(
            f"The scheduler at {address} is lost.",
            "Start it and its workers again, then the same command: what was finished is kept.",
        )


@dataclass
class _Piece:
    """A task that a worker has: its number, what it is, and how often it was begun."""

    number: int
    task: bytes
    begun: int = 0


class DaskHands:
    """See `processes.Hands`.

    What all pieces share travels once to each worker, when its first piece begins, from whoever has it. A
    worker that is lost loses no more than the piece that it had: another one begins it again.
    """

    def __init__(self, crew: DaskCrew, load: bytes) -> None:
        self._crew, self._client, self._load = crew, crew.client, load
        self._token = f"ivbpr-{uuid.uuid4().hex}"
        self._sent: Future | None = None
        self._ended: queue.Queue[Future] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._sent = None  # nobody holds it any more, so the cluster forgets it

    def run(self, tasks: Iterable[Any], tell: Tell = lambda number, event: None) -> Iterator[tuple[int, Any]]:
        """Do tasks; see `processes.side_by_side`.

        Raises
        ------
        IvbprError
            What the first failing task raised.
        EnvironmentProblem
            The scheduler is lost; no worker is left; a worker with other versions, or another CPU; a task
            whose worker is lost again and again.
        Interrupted
            After SIGINT or SIGTERM.
        """
        left = (
            (number, pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL))
            for number, task in enumerate(tasks)
        )
        flying: dict[Future, _Piece] = {}
        watch = Watch(self._crew)
        with stop_signals() as stopped, self._told(tell) as drain:
            try:
                following = next(left, None)
                while following is not None or flying:
                    while following is not None and watch.room(following[0], flying.values()):
                        self._submit(_Piece(*following), flying)
                        following = next(left, None)
                    future = self._next()
                    drain()
                    if future is not None and future in flying:
                        piece = flying.pop(future)
                        outcome = self._outcome(future, piece)
                        if outcome is None:
                            self._submit(piece, flying)
                        else:
                            watch.progress()
                            yield piece.number, _opened(outcome)
                    watch.look()
                    if stopped():
                        raise Interrupted("Interrupted.", "", stopped(), None)
            finally:
                if flying and self._client.status == "running":
                    self._client.cancel(list(flying), force=True)

    def _next(self) -> Future | None:
        try:
            return self._ended.get(timeout=POLL)
        except queue.Empty:
            return None

    def _submit(self, piece: _Piece, flying: dict[Future, _Piece]) -> None:
        if self._sent is None or self._sent.status != "finished":
            self._sent = scattered(self._crew, self._load)
        piece.begun += 1
        future = self._client.submit(
            do_piece,
            self._token,
            self._sent,
            piece.number,
            piece.task,
            facts_here(),
            True,
            key=f"{self._token}-{uuid.uuid4().hex}",  # never one whose result the cluster knows already
        )
        flying[future] = piece
        future.add_done_callback(self._ended.put)

    def _outcome(self, future: Future, piece: _Piece) -> Outcome | None:
        """What came of a piece; None where it must be begun again."""
        from distributed import KilledWorker

        if future.status == "finished":
            try:
                found: Outcome = future.result(timeout=WITHOUT_WORKERS)
                return found
            except Exception:  # its worker was lost before the result was here
                pass
        elif future.status == "error":
            problem = future.exception()
            if not isinstance(problem, KilledWorker):
                raise EnvironmentProblem(
                    f"A worker could not begin its piece: {type(problem).__name__}: {problem}.",
                    "Every worker needs ivbpr, in the version that is used here.",
                )
        else:  # cancelled: most likely the load was lost, which its own future may not know yet
            self._sent = None
        if self._client.status != "running":
            raise self._crew.lost()
        if piece.begun > AGAIN:
            raise EnvironmentProblem(
                f"One piece of work was begun {piece.begun} times, and its workers were lost, most likely "
                "because their memory is full.",
                "Give the workers more memory, or have fewer on a machine: what is done is kept.",
            )
        return None

    @contextmanager
    def _told(self, tell: Tell) -> Iterator[Callable[[], None]]:
        """Have what pieces tell brought here; the function passes on what has come."""
        come: queue.Queue[tuple[int, Event]] = queue.Queue()

        def note(stamped: tuple[float, bytes]) -> None:
            number, event = orjson.loads(stamped[1])
            come.put((number, event))

        def drain() -> None:
            while not come.empty():
                tell(*come.get())

        self._client.subscribe_topic(self._token, note)
        try:
            yield drain
        finally:
            drain()
            if self._client.status == "running":
                self._client.unsubscribe_topic(self._token)


def scattered(crew: DaskCrew, value: Any) -> Future:
    """A value on one worker, from which others fetch it; where that is lost meanwhile it is sent again.

    At first straight to the worker: the scheduler may wait long for one that is gone.
    """
    import dask
    from dask.sizeof import sizeof

    begun, direct, nbytes = time.monotonic(), True, sizeof(value)

    def ask(direct: bool) -> Any:
        return crew.client.scatter([value], direct=direct, hash=False, timeout=SENT, asynchronous=True)

    while True:
        try:
            with dask.config.set({"distributed.comm.timeouts.connect": REACHED}):
                found: list[Future] = bounded(crew, partial(ask, direct), nbytes)
            return found[0]
        except Exception as problem:  # whatever the loss of a worker looks like from here
            if crew.client.status != "running":
                raise crew.lost() from problem
            if time.monotonic() - begun > WITHOUT_WORKERS:
                raise _nobody() from problem
            direct = not direct
            time.sleep(POLL)


def bounded(crew: DaskCrew, ask: Callable[[], Any], nbytes: int) -> Any:
    """What the client is asked for, where so many bytes travel: Dask itself may wait for ever.

    Raises
    ------
    TimeoutError
        It takes much longer than it should, most likely because a worker was lost meanwhile.
    """
    return crew.client.sync(ask, callback_timeout=SENT + nbytes / SLOWEST)


class Watch:
    """Whether there is still a scheduler, and a worker."""

    EVERY = 1.0  # seconds

    def __init__(self, crew: DaskCrew) -> None:
        self._crew, self._size = crew, crew.size
        self._looked = self._alive = self._connected = time.monotonic()

    def room(self, number: int, flying: Collection[_Piece]) -> bool:
        """Whether one more piece may be given out: one a worker, and results that wait for others are few."""
        oldest = min((piece.number for piece in flying), default=number)
        return len(flying) < self._size and number - oldest < AHEAD * self._size

    def progress(self) -> None:
        self._alive = time.monotonic()

    def look(self) -> None:
        """Raise where nothing can come any more."""
        now = time.monotonic()
        if now - self._looked < self.EVERY:
            return
        self._looked = now
        if self._crew.client.status != "running":
            if now - self._connected > WITHOUT_SCHEDULER:
                raise self._crew.lost()
            return
        self._connected = now
        workers = self._crew.workers()
        self._size = max(1, len(workers))
        if workers:
            self._alive = now
        elif now - self._alive > WITHOUT_WORKERS:
            raise _nobody()


def _nobody() -> EnvironmentProblem:
    return EnvironmentProblem(
        f"No worker is left, and none came within {WITHOUT_WORKERS:g} seconds.",
        "Start workers again, then the same command: what was finished is kept.",
    )


def _packed(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def _opened(outcome: Outcome) -> Any:
    kind, value = outcome
    if kind == "problem":
        raise value
    if kind == "unlike":
        raise unlike(*value)
    return value
