"""`fit` and `auc --per-user` under kills, signals, full disks: nothing is lost, resumed fits end alike."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from kills import Task, call, finish, interrupt_often, kill_often, names_in, small_disk, start
from small_models import ATTRIBUTES, DATA

from ivbpr_numba import create


def fitting(folder: Path, model: str, iterations: int, every: int = 2) -> Task:
    """A fit with a checkpoint at every evaluation."""
    DATA.write(folder / "d.h5")
    ATTRIBUTES.write(folder / "f.h5")
    command = ["fit", str(folder / "d.h5"), "--model", model, "--iterations", str(iterations)]
    command += ["--eval-every", str(every), "--patience", "100000"]
    if "vbpr" in model:
        command += ["--features", str(folder / "f.h5")]
    if "tvbpr" in model:
        command += ["--segment-every", "3"]
    return Task(
        command, folder / "out.h5", resume=["--resume"], replace=["--overwrite"], may_stay=("out.partial.h5",)
    )


def older(path: Path) -> str:
    """An older model of another kind."""
    return create("pop").fit(DATA).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def test_some_kills(folder: Path) -> None:
    assert kill_often(fitting(folder, "i-tvbpr", 60), kills=2, seed=1, old=older).kills == 2


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bpr-mf", "i-vbpr", "i-tvbpr"])
def test_many_kills(folder: Path, model: str) -> None:
    # Long enough that most kills meet the training and not the start of the program.
    report = kill_often(fitting(folder, model, 3000, 10), kills=20, seed=2, old=older)
    print(f"\n{model}: {report}")
    assert report.litter["out.partial.h5"] >= 3, "hardly a kill left a checkpoint to resume from"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interruption_names_the_command_that_goes_on(folder: Path, number: int, code: int) -> None:
    """Until one signal has met the fit itself and not the start of the program."""
    task = fitting(folder, "bpr-mf", 100_000)
    process = start(task.words())
    partial = task.out.with_name("out.partial.h5")
    while process.poll() is None and not partial.exists():
        time.sleep(0.001)
    process.send_signal(number)
    ended, err = finish(process)
    *notes, said = err.splitlines()
    assert ended == code and said.startswith("Error: ")
    assert [note.partition(" is ")[0] for note in notes] == [
        "--lambda-theta"
    ]  # what `auto` chose, and no more
    assert "--resume" in said and "ivbpr fit" in said
    assert names_in(folder) == {"d.h5", "f.h5", "out.partial.h5"}


@pytest.mark.slow
def test_many_interruptions(folder: Path) -> None:
    ends = interrupt_often(fitting(folder, "i-vbpr", 200), signal.SIGTERM, times=15, seed=2)
    print(f"\nexit codes {dict(ends)}")


def fill(path: Path) -> None:
    """Take all space that is left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)


def test_a_full_disk(folder: Path, tmp_path: Path) -> None:
    """The first checkpoint has no room; the old model stays and no temporary file does."""
    task = fitting(folder, "i-vbpr", 6)
    with small_disk(tmp_path / "disk", "size=700k") as disk:
        out = disk / "m.h5"
        create("rand").fit(DATA).save(out)
        before = out.read_bytes()
        fill(disk / "filler")
        code, err = call(Task(task.command, out).words("--overwrite"))
        assert code == 4 and "space" in err and len(err.splitlines()) == 1
        assert out.read_bytes() == before and names_in(disk) == {"m.h5", "filler"}
        log = disk / "run.jsonl"
        code, err = call(task.words("--log", str(log)))
        assert code == 4 and "run.jsonl" in err and len(err.splitlines()) == 1


def test_a_full_disk_under_auc_per_user(folder: Path, tmp_path: Path) -> None:
    create("pop").fit(DATA).save(folder / "m.h5")
    with small_disk(tmp_path / "disk", "size=16k") as disk:
        (disk / "u.csv").write_text("user,item,time,cold,auc,pairs,ties\n")
        (disk / "filler").write_bytes(bytes(8192))
        words = Task(["auc", str(folder / "m.h5")], disk / "u.csv").words()
        words[words.index("-o")] = "--per-user"
        code, err = call(words)
        assert code == 4 and "space" in err
        assert (disk / "u.csv").read_text() == "user,item,time,cold,auc,pairs,ties\n" and names_in(disk) == {
            "u.csv",
            "filler",
        }


def test_two_fits_with_one_target(folder: Path) -> None:
    task = fitting(folder, "bpr-mf", 100_000)
    first = start(task.words())
    lock = task.out.with_name("out.h5.lock")
    while first.poll() is None and not lock.exists():
        time.sleep(0.001)
    code, err = call(task.words("--overwrite"))
    assert code == 2 and "another process" in err
    first.kill()
    finish(first)
