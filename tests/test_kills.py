"""Kills, interruptions, full disks and lost permissions: the old result stays, or the new one is whole."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kills import (
    SCRIPT,
    Task,
    call,
    environment,
    finish,
    interrupt_often,
    kill_often,
    names_in,
    payload_of,
    small_disk,
    start,
)

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.features.features import Features

MakeTask = Callable[..., Task]


def purchases(path: Path, lines: int) -> Path:
    """A table of purchases, gzip."""
    rng = np.random.default_rng(1)
    users, items = rng.integers(lines // 10, size=lines), rng.integers(lines // 5, size=lines)
    rows = [f"u{u:06d},i{i:06d},{1_400_000_000 + k}\n" for k, (u, i) in enumerate(zip(users, items))]
    path.write_bytes(gzip.compress(("user,item,time\n" + "".join(rows)).encode(), 1))
    return path


def records(path: Path, rows: int) -> Path:
    """Amazon's .b records, ids in no order."""
    rng = np.random.default_rng(2)
    data = np.zeros(rows, dtype=[("id", "S10"), ("values", "<f4", (4096,))])
    data["id"] = [f"B{k:09d}".encode() for k in rng.permutation(rows).tolist()]
    data["values"] = rng.random((rows, 4096), np.float32)
    path.write_bytes(data.tobytes())
    return path


def preparing(folder: Path, lines: int = 40_000) -> Task:
    return Task(["prepare", str(purchases(folder / "purchases.csv.gz", lines))], folder / "out.h5")


def importing(folder: Path, rows: int = 1500) -> Task:
    return Task(["features", "import", str(records(folder / "features.b", rows))], folder / "out.h5")


def older_dataset(path: Path) -> str:
    """An older result of `preparing`: another dataset."""
    users, items = np.repeat(np.arange(3), 5), np.tile(np.arange(5), 3)
    return Dataset.from_pairs(users, items, min_interactions=5).write(path)


def older_features(path: Path) -> str:
    """An older result of `importing`: another feature file."""
    return Features.from_arrays(["a", "b"], np.eye(2)).write(path)


OLDER = {preparing: older_dataset, importing: older_features}


def image_of(make: MakeTask, folder: Path) -> bytes:
    """The bytes of an older result."""
    path = folder.parent / "old.h5"
    OLDER[make](path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


TASKS = [pytest.param(preparing, id="prepare"), pytest.param(importing, id="import")]


# --- SIGKILL ---


@pytest.mark.parametrize("make", TASKS)
def test_some_kills(folder: Path, make: MakeTask) -> None:
    assert kill_often(make(folder, 2000), kills=2, seed=1, old=OLDER[make]).kills == 2


@pytest.mark.slow
@pytest.mark.parametrize("make", TASKS)
def test_many_kills(folder: Path, make: MakeTask) -> None:
    report = kill_often(make(folder), kills=80, seed=2, old=OLDER[make])
    print(f"\n{make.__name__}: {report}")
    assert report.found["nothing"] and report.found["the old file"]
    assert any(".tmp-" in name for name in report.litter), "no kill hit the writing"


# --- SIGTERM and Ctrl-C ---


@pytest.mark.parametrize(("make", "number"), [(preparing, signal.SIGTERM), (importing, signal.SIGINT)])
def test_an_interruption(folder: Path, make: MakeTask, number: int) -> None:
    interrupt_often(make(folder, 2000), number, times=1, seed=1, old=image_of(make, folder))


@pytest.mark.slow
@pytest.mark.parametrize("make", TASKS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_many_interruptions(folder: Path, make: MakeTask, number: int) -> None:
    ends = interrupt_often(make(folder), number, times=25, seed=2, old=image_of(make, folder))
    print(f"\n{make.__name__}, signal {int(number)}: exit codes {dict(ends)}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_where_no_exception_can_be_raised(
    ivbpr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """Python prints and forgets an exception in `__del__`; the signal counts all the same."""
    from ivbpr_numba import backends

    class Deaf:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)
            time.sleep(0)

    def describe() -> None:
        Deaf()
        time.sleep(20)

    monkeypatch.setattr(backends, "describe", describe)
    hook = sys.unraisablehook
    done = ivbpr("doctor")
    assert (done.code, done.out, done.err) == (code, "", "")
    assert sys.unraisablehook is hook


# --- two writers ---


@pytest.mark.parametrize(
    "make", [importing, pytest.param(preparing, marks=pytest.mark.slow)], ids=["import", "prepare"]
)
def test_two_processes_with_one_target(folder: Path, make: MakeTask) -> None:
    """One wins whole; the other is refused, or came after it."""
    task = make(folder, 2000)
    option = ["--seed", "5"] if make is preparing else ["--dtype", "float32"]
    wanted = set()
    for more in ([], option):
        assert call(task.words(*more))[0] == 0
        wanted.add(payload_of(task.out))
    task.out.unlink()
    assert len(wanted) == 2
    inputs = names_in(folder)
    ends = [finish(p) for p in [start(task.words()), start(task.words(*option))]]
    codes = sorted(code for code, _ in ends)
    assert codes in ([0, 0], [0, 2]), ends
    for code, err in ends:
        assert code == 0 or ("being written by another process" in err and len(err.splitlines()) == 1)
    assert payload_of(task.out) in wanted
    assert names_in(folder) == inputs | {"out.h5"}


# --- full disks ---


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (preparing, "size=64k"),
        (importing, "size=300k"),
        pytest.param(importing, "size=64k", marks=pytest.mark.slow),
        pytest.param(preparing, "nr_inodes=2", marks=pytest.mark.slow),
        pytest.param(importing, "nr_inodes=2", marks=pytest.mark.slow),
        pytest.param(preparing, "nr_inodes=3", marks=pytest.mark.slow),
        pytest.param(importing, "nr_inodes=3", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk(folder: Path, tmp_path: Path, make: MakeTask, options: str) -> None:
    """`nr_inodes` counts the folder: no file fits besides the old one, or only the lock does."""
    with small_disk(tmp_path / "disk", options) as disk:
        out = disk / "out.h5"
        digest = OLDER[make](tmp_path / "old.h5")
        out.write_bytes((tmp_path / "old.h5").read_bytes())
        code, err = call(Task(make(folder, 3000).command, out).words())
        assert code == 4 and len(err.splitlines()) == 1, (code, err)
        assert "no space left" in err or "disk is full" in err
        assert payload_of(out) == digest
        assert names_in(disk) == {"out.h5"}


# --- permissions ---


def test_a_read_only_disk(folder: Path, tmp_path: Path) -> None:
    task = preparing(folder, 3000)
    with small_disk(tmp_path / "disk", "size=9m") as disk:
        out = disk / "out.h5"
        digest = older_dataset(out)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for command in (task.command, [*task.command, "--min-interactions", "6"]):
            code, err = call(Task(command, out).words())
            assert code == 4 and len(err.splitlines()) == 1, (code, err)
        assert payload_of(out) == digest and names_in(disk) == {"out.h5"}


@pytest.fixture
def nobody() -> Iterator[tuple[Path, Callable[[list[str]], tuple[int, str]]]]:
    """A folder that everybody may enter, and a way to run a command there as a user without rights."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() or setpriv is None:
        pytest.skip("needs root and setpriv to become another user")
    become = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*become, sys.executable, "-c", "import ivbpr_cli"], capture_output=True).returncode:
        pytest.skip("another user may not run this Python")
    with tempfile.TemporaryDirectory(prefix="ivbpr-nobody-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        (folder / "cache").mkdir()
        os.chown(folder / "cache", 65534, 65534)

        def run(words: list[str]) -> tuple[int, str]:
            more = {"NUMBA_CACHE_DIR": str(folder / "cache"), "HOME": "/nonexistent"}
            process = subprocess.Popen(
                [*become, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**more)
            )  # fmt: skip
            return finish(process)

        yield folder, run


def test_without_permission(nobody: tuple[Path, Callable]) -> None:
    folder, run = nobody
    here = folder / "here"
    here.mkdir()
    os.chown(here, 65534, 65534)
    task = preparing(here, 3000)
    data, out = Path(task.command[-1]), task.out
    code, err = run(task.words())
    assert code == 0, err
    digest = payload_of(out)

    def refused(words: list[str], where: str) -> None:
        code, err = run(words)
        assert code == 4 and len(err.splitlines()) == 1 and where in err, (code, err)
        assert payload_of(out) == digest
        assert names_in(here) == {data.name, out.name, "features.b"}

    bring = importing(here, 50)
    data.chmod(0)  # an input of somebody else
    (here / "features.b").chmod(0)
    refused(task.words(), data.name)
    refused(bring.words(), "features.b")
    refused(
        [str(SCRIPT), "prepare", str(here / "features.b"), "--catalogue", str(data), "-o", str(out)],
        "features.b",
    )
    for path in (data, here / "features.b"):
        path.chmod(0o644)
    os.chown(here, 0, 0)  # a folder of somebody else
    here.chmod(0o755)
    refused(task.words(), "may not be written")
    refused(bring.words(), "may not be written")
    out.chmod(0)  # the result itself
    code, err = run([str(SCRIPT), "verify", str(out)])
    assert code == 4 and len(err.splitlines()) == 1


@pytest.mark.slow
def test_permission_lost_while_writing(nobody: tuple[Path, Callable]) -> None:
    """The folder is closed as soon as the temporary file is there; opened again, the next run cleans up."""
    folder, run = nobody
    here = folder / "here"
    here.mkdir()
    os.chown(here, 65534, 65534)
    task = importing(here, 3000)
    assert run(task.words())[0] == 0
    before = task.out.read_bytes()
    watcher = subprocess.Popen([sys.executable, "-c", CLOSE, str(here)])
    code, err = run(task.words("--dtype", "float32"))
    watcher.wait()
    if code == 0:
        pytest.skip("it was done before its folder was closed")
    assert code == 4 and len(err.splitlines()) == 1, (code, err)
    assert task.out.read_bytes() == before
    os.chown(here, 65534, 65534)
    assert run(task.words())[0] == 0
    assert names_in(here) == {"features.b", "out.h5"}


CLOSE = """
import os, sys, time
limit = time.time() + 60
while time.time() < limit and not any(".tmp-" in name for name in os.listdir(sys.argv[1])):
    time.sleep(0.001)
os.chown(sys.argv[1], 0, 0)
"""


# --- power off ---


@pytest.mark.parametrize("kind", ["features", "dataset"])
def test_every_truncation_is_found(tmp_path: Path, kind: str) -> None:
    """A file of which only a part reached the disk never passes."""
    from ivbpr_numba.errors import DataError
    from ivbpr_numba.store.verify import verify

    path = tmp_path / "whole.h5"
    if kind == "features":
        Features.from_arrays(range(300), np.ones((300, 20))).write(path)
    else:
        prepare(purchases(tmp_path / "p.gz", 500)).write(path)
    whole = path.read_bytes()
    rng = random.Random(3)
    for size in [*sorted(rng.sample(range(len(whole)), 60)), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            verify(path)
        # The length is there, the data are not: what a journal without data leaves behind.
        path.write_bytes(whole[:size] + bytes(len(whole) - size))
        if whole[size:].strip(b"\0"):
            try:
                assert not verify(path).ok
            except DataError:
                pass


def test_a_rerun_after_the_power_went_off(folder: Path) -> None:
    """Locks and temporaries of a machine that is gone: nobody holds them, the next run removes them."""
    task = preparing(folder, 3000)
    inputs = names_in(folder)
    for name in ("out.h5.lock", "out.h5.tmp-1", "out.h5.tmp-99999999"):
        (folder / name).write_bytes(b"1\n")
    (folder / "out.h5.lock").chmod(stat.S_IRUSR | stat.S_IWUSR)
    begin = time.time()
    assert call(task.words())[0] == 0
    assert time.time() - begin < 60
    payload_of(task.out)
    assert names_in(folder) == inputs | {"out.h5"}
