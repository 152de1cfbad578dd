"""Work side by side: results, errors, warnings, and workers that end with their parent."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ivbpr_numba.errors import DataError, EnvironmentProblem, Interrupted
from ivbpr_numba.events import Observer
from ivbpr_numba.processes import SideBySide, _Worker, process_count, side_by_side


def piece(shared: Any, task: Any, tell: Observer) -> Any:
    """What the workers of these tests do: whatever the task says."""
    kind, value = task
    if kind == "pid":
        return os.getpid()
    if kind == "wrong":
        raise DataError(f"{value} is wrong.", "Mend it.")
    if kind == "bug":
        return 1 // value
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "sleep":
        Path(value).write_text(str(os.getpid()))
        time.sleep(60)
    if kind == "talk":
        while True:
            tell({"event": "still here"})
    if kind == "warn":
        warnings.warn(value, UserWarning, stacklevel=1)
    tell({"event": "told", "value": value})
    return shared * value


@pytest.mark.parametrize("processes", [1, 2])
def test_results_and_events(processes: int) -> None:
    told: list[Any] = []
    found = dict(
        side_by_side(piece, 3, [("times", n) for n in range(5)], processes, lambda *e: told.append(e))
    )
    assert found == {n: 3 * n for n in range(5)}
    assert sorted((n, event["value"]) for n, event in told) == [(n, n) for n in range(5)]


def test_here_and_elsewhere() -> None:
    assert dict(side_by_side(piece, 1, [("pid", 0)], 1)) == {0: os.getpid()}
    assert os.getpid() not in dict(side_by_side(piece, 1, [("pid", 0)] * 2, 2)).values()


def test_workers_stay_between_two_runs_and_take_tasks_when_they_are_free() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Any]:
        for n in range(4):
            taken.append(n)
            yield ("pid", n)

    with SideBySide(piece, 1, 2) as workers:
        first = dict(workers.run([("pid", 0)] * 4))
        second = {}
        for number, pid in workers.run(tasks()):
            second[number] = pid
            assert len(taken) <= len(second) + 3  # two at work, and the one that waits for a process
    assert set(second) == set(range(4)) and {*first.values(), *second.values()} <= set(first.values())


def test_errors_travel_whole() -> None:
    with pytest.raises(DataError) as caught:
        list(side_by_side(piece, 1, [("wrong", "this")] * 2, 2))
    assert (caught.value.message, caught.value.hint) == ("this is wrong.", "Mend it.")
    with pytest.raises(ZeroDivisionError) as bug:
        list(side_by_side(piece, 1, [("bug", 0)] * 2, 2))
    assert "('bug', 0)" in bug.value.__notes__[0]


def test_a_killed_worker_is_said() -> None:
    with pytest.raises(EnvironmentProblem, match="SIGKILL"):
        list(side_by_side(piece, 1, [("die", 0)] * 2, 2))


def test_a_worker_whose_line_is_cut_says_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    worker = _Worker.start(pickle.dumps((piece, 1)))
    worker.give(0, ("talk", 0))
    assert worker.take() == ("event", 0, {"event": "still here"})
    worker.connection.close()
    assert worker.process.wait(60) == 1
    assert capfd.readouterr().err == ""
    worker.end()


def test_warnings_are_told() -> None:
    told: list[Any] = []
    list(side_by_side(piece, 1, [("warn", "mind")] * 2, 2, lambda n, event: told.append((n, event))))
    assert (1, {"event": "warning", "message": "mind"}) in told


def test_process_count() -> None:
    assert process_count(4, 2) == 2 and process_count(None, 1) == 1 and process_count(3, 9) == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(number: int, tmp_path: Path) -> None:
    """A script without a main guard, ended by a signal: its workers are gone at once."""
    places = [str(tmp_path / "a"), str(tmp_path / "b")]
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "from test_processes import piece\n"
        "from ivbpr_numba.processes import side_by_side\n"
        f"list(side_by_side(piece, 1, [('sleep', p) for p in {places!r}], 2))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    waited = 0.0
    while not all(Path(p).exists() and Path(p).read_text() for p in places) and waited < 60:
        time.sleep(0.05)
        waited += 0.05
    pids = [int(Path(p).read_text()) for p in places]
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (number == signal.SIGINT) == (Interrupted.__name__ in err)
    for pid in pids:
        for _ in range(200):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()
