"""Work on a cluster: results, errors, events, workers that are lost, and a cluster that can't be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from test_processes import piece

from ivbpr_numba.distributed import DaskCrew, cluster, connected, crew_of, workers_of
from ivbpr_numba.distributed import facts as own_facts
from ivbpr_numba.errors import DataError, EnvironmentProblem, UsageError

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def crew(four: Any) -> DaskCrew:
    return crew_of(four)


def slow(shared: Any, task: Any, tell: Any) -> Any:
    time.sleep(task[1])
    return os.getpid(), task[0]


def test_results_and_events(crew: DaskCrew) -> None:
    told: list[Any] = []
    with crew.begin(piece, 3) as hands:
        found = dict(hands.run([("times", n) for n in range(9)], lambda *event: told.append(event)))
        again = dict(hands.run([("times", n) for n in range(3)]))
    assert found == {n: 3 * n for n in range(9)} and again == {n: 3 * n for n in range(3)}
    assert sorted((n, event["value"]) for n, event in told) == [(n, n) for n in range(9)]
    assert crew.size == 4 and crew.threads == 1


def test_warnings_are_told(crew: DaskCrew) -> None:
    told: list[Any] = []
    with crew.begin(piece, 1) as hands:
        list(hands.run([("warn", "mind")], lambda n, event: told.append((n, event))))
    assert (0, {"event": "warning", "message": "mind"}) in told


def test_errors_travel_whole(crew: DaskCrew) -> None:
    with crew.begin(piece, 1) as hands:
        with pytest.raises(DataError) as caught:
            list(hands.run([("wrong", "this")] * 3))
        assert (caught.value.message, caught.value.hint) == ("this is wrong.", "Mend it.")
        with pytest.raises(ZeroDivisionError) as bug:
            list(hands.run([("bug", 0)]))
    assert "on the worker tcp://" in bug.value.__notes__[0]


def test_tasks_are_taken_when_a_worker_is_free(crew: DaskCrew) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Any]:
        for n in range(12):
            taken.append(n)
            yield ("pid", n)

    with crew.begin(piece, 1) as hands:
        for done, _ in enumerate(hands.run(tasks()), 1):
            assert len(taken) <= done + 5


def test_a_slow_worker_holds_up_nobody_else(crew: DaskCrew) -> None:
    with crew.begin(slow, None) as hands:
        order = [n for n, _ in hands.run([("first", 3.0)] + [("other", 0.0)] * 8)]
    # One piece may have been put behind the slow one already.
    assert order.index(0) >= 7 and sorted(order) == list(range(9))


def test_killed_workers_cost_only_their_piece(fresh: Any) -> None:
    ended = threading.Event()
    pids = set(fresh.run(os.getpid).values())

    def kill() -> None:
        for pid in sorted(pids)[:2]:
            time.sleep(0.7)
            os.kill(pid, signal.SIGKILL)
        ended.set()

    killer = threading.Thread(target=kill)
    killer.start()
    with DaskCrew(fresh).begin(slow, None) as hands:
        found = dict(hands.run([(n, 0.3) for n in range(24)]))
    killer.join()
    assert ended.is_set() and {n: task for n, (_, task) in found.items()} == {n: n for n in range(24)}


def test_a_piece_that_kills_is_held_guilty(fresh: Any) -> None:
    begun = time.monotonic()
    with DaskCrew(fresh).begin(piece, 1) as hands, pytest.raises(EnvironmentProblem, match="lost"):
        list(hands.run([("die", 0)]))
    assert time.monotonic() - begun < 180


def test_workers_that_compute_other_bits_are_named(four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {**own_facts.facts_here(), "numba": "0.1"}
    for module in ("connecting", "crew"):
        monkeypatch.setattr(f"ivbpr_numba.distributed.{module}.facts_here", lambda: other)
    with pytest.raises(EnvironmentProblem, match=r"tcp://.*: numba 0\.1 here, .* there") as caught:
        crew_of(four)
    assert caught.value.exit_code == 4
    with DaskCrew(four).begin(piece, 1) as hands, pytest.raises(EnvironmentProblem, match="other bits"):
        list(hands.run([("times", 1)]))  # one that came later is refused by its first piece


def test_workers_are_asked(four: Any) -> None:
    found = workers_of(DaskCrew(four))
    assert len(found) == 4 and all(one["problem"] == "" and one["threads"] == 1 for one in found.values())


def test_files_that_a_worker_cannot_read(crew: DaskCrew, tmp_path: Any) -> None:
    (tmp_path / "here").write_text("x")
    crew_of(crew.client, [tmp_path / "here", tmp_path])
    with pytest.raises(EnvironmentProblem, match=r"worker tcp://.* can't read .*nowhere"):
        crew_of(crew.client, [tmp_path / "here", tmp_path / "nowhere"])


def test_nobody_answers() -> None:
    begun = time.monotonic()
    with pytest.raises(EnvironmentProblem, match="No scheduler answers"), connected("tcp://127.0.0.1:9"):
        pass
    assert time.monotonic() - begun < 60
    with pytest.raises(UsageError, match="contradict"), cluster("tcp://127.0.0.1:9", 2):
        pass


def test_a_lost_scheduler_ends_the_work(tmp_path: Any) -> None:
    """It is killed while pieces run: exit code 4 within a bounded time."""
    place = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(place)], stderr=subprocess.DEVNULL
    )
    workers = []
    try:
        for _ in range(300):
            if place.exists() and place.read_text().strip().endswith("}"):
                break
            time.sleep(0.1)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(place)]
        workers.append(
            subprocess.Popen(
                [*command, "--nthreads", "1", "--no-dashboard"], env=environment, stderr=subprocess.DEVNULL
            )
        )
        address = json.loads(place.read_text())["address"]
        with connected(address) as crew:
            crew.client.wait_for_workers(1, timeout=60)
            with crew.begin(slow, None) as hands, pytest.raises(EnvironmentProblem, match="lost") as caught:
                for n, _ in hands.run([(n, 0.2) for n in range(1000)]):
                    if n == 1:
                        scheduler.kill()
        assert caught.value.exit_code == 4
    finally:
        for process in (scheduler, *workers):
            process.kill()
            process.wait()
