"""`tune` under kills and signals: nothing is lost, what is resumed finds the same."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from kills import Task, finish, interrupt_often, kill_often, names_in, start
from small_models import ATTRIBUTES, DATA

from ivbpr_numba import Tuning, tune


def searching(folder: Path, model: str, trials: int, iterations: int, processes: int) -> Task:
    DATA.write(folder / "d.h5")
    ATTRIBUTES.write(folder / "f.h5")
    command = ["tune", str(folder / "d.h5"), "--model", model, "--trials", str(trials)]
    command += ["--set", f"iterations={iterations}", "--processes", str(processes), "--seed", "3"]
    if "vbpr" in model:
        command += ["--features", str(folder / "f.h5")]
    if "tvbpr" in model:
        command += ["--set", "segment_every=3"]
    return Task(
        command,
        folder / "out.h5",
        resume=["--resume"],
        replace=["--overwrite"],
        may_stay=("out.partial.jsonl",),
    )


def older(path: Path) -> str:
    """What another search found."""
    return tune("bpr-mf", DATA, trials=2, processes=1, options={"iterations": 5}).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def test_some_kills(folder: Path) -> None:
    assert kill_often(searching(folder, "bpr-mf", 12, 60, 2), kills=2, seed=1, old=older).kills == 2


@pytest.mark.slow
@pytest.mark.parametrize(("model", "processes"), [("bpr-mf", 1), ("i-vbpr", 2), ("i-tvbpr", 2)])
def test_many_kills(folder: Path, model: str, processes: int) -> None:
    report = kill_often(searching(folder, model, 30, 300, processes), kills=20, seed=2, old=older)
    print(f"\n{model}, {processes} processes: {report}")
    assert report.litter["out.partial.jsonl"] >= 5, "hardly a kill left a journal to resume from"


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interruption_names_the_command_that_goes_on(
    folder: Path, number: int, code: int, processes: int
) -> None:
    task = searching(folder, "bpr-mf", 5000, 300, processes)
    process = start(task.words("--quiet"))
    journal = folder / "out.partial.jsonl"
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 4):
        time.sleep(0.005)
    process.send_signal(number)
    ended, err = finish(process)
    assert ended == code and len(err.splitlines()) == 1, err
    assert "they are kept" in err and "--resume" in err and "ivbpr tune" in err
    assert names_in(folder) == {"d.h5", "f.h5", "out.partial.jsonl"}


@pytest.mark.slow
def test_many_interruptions(folder: Path) -> None:
    ends = interrupt_often(searching(folder, "i-vbpr", 20, 60, 2), signal.SIGTERM, times=15, seed=2)
    print(f"\nexit codes {dict(ends)}")


def test_two_searches_with_one_target(folder: Path) -> None:
    task = searching(folder, "bpr-mf", 5000, 300, 1)
    process = start(task.words("--quiet"))
    while process.poll() is None and not (folder / "out.partial.jsonl").exists():
        time.sleep(0.005)
    code, err = finish(start(task.words("--resume", "--quiet")))
    process.kill()
    finish(process)
    assert code == 2 and "is being written by another process" in err
    task = searching(folder, "bpr-mf", 9, 10, 1)
    assert finish(start(task.words("--overwrite", "--quiet")))[0] == 0
    assert len(Tuning.read(task.out).trials) == 9
