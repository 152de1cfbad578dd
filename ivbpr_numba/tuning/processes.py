"""Work side by side in processes of their own, which know nothing of each other and end with their parent.

A worker is a fresh Python that imports one class, makes one object of it, and answers jobs: JSON in, JSON out,
a line each, over pipes. Nothing is pickled, scripts need no ``if __name__ == "__main__"``, and a
Ctrl-C at the terminal reaches the parent alone. When the parent ends, however it does, the pipe closes and the
worker ends too.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import select
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from ivbpr_numba import errors
from ivbpr_numba.errors import EnvironmentProblem, Interrupted, IvbprError, parameter

__all__ = ["Workers", "cores", "work"]

Job = dict[str, Any]
Answer = dict[str, Any]
POLL = 0.1  # seconds until a signal is noticed


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Some processes that all do the same kind of job.

    Parameters
    ----------
    task : str
        ``package.module:Class``; ``Class(**setup)(**job)`` gives a dictionary fit for JSON.
    setup : mapping
        Fit for JSON.
    count : int
        Processes.

    Raises
    ------
    OSError
        The machine starts no more processes.
    """

    def __init__(self, task: str, setup: Mapping[str, Any], count: int) -> None:
        # The same modules are found as here, wherever they were found.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", f"from {__name__} import work; work()"]
        self._workers: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(count):
                worker = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,
                )
                self._workers.append(worker)
                self._send(worker, {"task": task, "setup": dict(setup)})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, whatever they do."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        self._workers = []

    def ready(self, stopped: Callable[[], int]) -> None:
        """Wait until every worker has made its object, and so has read what it needs.

        Raises
        ------
        IvbprError, Interrupted
            As `run`.
        """
        busy = {_pipe(worker): worker for worker in self._workers}
        while busy:
            for descriptor in _with_answers(busy, stopped):
                self._answer(busy.pop(descriptor))

    def run(
        self, jobs: Sequence[Job], stopped: Callable[[], int], go_on: Callable[[Job], bool] = lambda job: True
    ) -> Iterator[tuple[Job, Answer]]:
        """Do the jobs, begun in their order, and give each with its answer as soon as it is there.

        Parameters
        ----------
        jobs : sequence of dict
        stopped : callable
            Number of the signal that came, or 0.
        go_on : callable
            Asked before a job is begun; one that is not is passed over.

        Raises
        ------
        Interrupted
            After a signal; unfinished jobs are given up.
        IvbprError
            What a job raised.
        EnvironmentProblem
            A worker ended before it answered.
        """
        waiting, idle = list(reversed(jobs)), list(self._workers)
        busy: dict[int, tuple[subprocess.Popen[bytes], Job]] = {}
        while waiting or busy:
            while waiting and idle:
                job = waiting.pop()
                if go_on(job):
                    worker = idle.pop()
                    self._send(worker, job)
                    busy[_pipe(worker)] = (worker, job)
            for descriptor in _with_answers(busy, stopped):
                worker, job = busy.pop(descriptor)
                answer = self._answer(worker)
                idle.append(worker)
                yield job, answer

    def _send(self, worker: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
        assert worker.stdin is not None
        try:
            worker.stdin.write(json.dumps(message).encode() + b"\n")
            worker.stdin.flush()
        except BrokenPipeError:
            raise _ended(worker) from None

    def _answer(self, worker: subprocess.Popen[bytes]) -> Answer:
        assert worker.stdout is not None
        line = worker.stdout.readline()
        if not line.endswith(b"\n"):
            raise _ended(worker)
        found: dict[str, Any] = json.loads(line)
        if "answer" in found:
            answer: Answer = found["answer"]
            return answer
        if "crash" in found:
            raise RuntimeError(f"a worker process failed:\n{found['crash']}")
        kind = getattr(errors, found["error"])
        problem: IvbprError = kind(*found["marked"])
        raise problem


def _pipe(worker: subprocess.Popen[bytes]) -> int:
    assert worker.stdout is not None
    return worker.stdout.fileno()


def _with_answers(busy: Collection[int], stopped: Callable[[], int]) -> list[int]:
    """Those of the pipes that there is something to read from, after a moment at the latest."""
    found, _, _ = select.select(list(busy), [], [], POLL) if busy else ([], [], [])
    if number := stopped():
        raise Interrupted("Interrupted.", "", number)
    return found


def _ended(worker: subprocess.Popen[bytes]) -> EnvironmentProblem:
    code = worker.wait()
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return EnvironmentProblem(
        f"A worker process ended {how} before it had answered.",
        f"Signal 9 mostly means that memory ran out: use fewer {parameter('processes')}.",
    )


def work() -> None:
    """The life of a worker: what to do from the first line of stdin, then a job a line, until stdin closes."""
    # Whatever a library prints must not fall between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        os._exit(0)  # the parent has ended, whatever is being computed

    threading.Thread(target=read, daemon=True).start()
    begun: Callable[..., Answer] | None = None
    while True:
        job = json.loads(lines.get())
        try:
            if begun is None:
                module, _, name = job["task"].partition(":")
                begun = getattr(importlib.import_module(module), name)(**job["setup"])
                message: dict[str, Any] = {"answer": {}}
            else:
                message = {"answer": begun(**job)}
        except IvbprError as problem:
            known = [one.__name__ for one in type(problem).__mro__ if hasattr(errors, one.__name__)]
            message = {"error": known[0], "marked": problem.marked}
        except Exception:
            message = {"crash": traceback.format_exc()}
        try:
            answers.write(json.dumps(message).encode() + b"\n")
            answers.flush()
        except BrokenPipeError:
            os._exit(0)
