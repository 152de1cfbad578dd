"""Real processes of `ivbpr` that are killed, interrupted or starved, and what they leave behind.

A *task* is one command line that writes one file. `undisturbed` runs it once in peace; `kill_often` runs it
again and again and ends it at seeded random moments, sometimes over an old file that must then stay whole;
after each kill the command runs again, in this process, and must give the payload of the undisturbed run and
leave nothing else behind. A command that resumes (`fit`) names what a rerun adds (``--resume``) and which
files it may leave when it is killed (its checkpoint).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ivbpr_cli.app import run
from ivbpr_numba.store.verify import verify

SCRIPT = Path(sys.executable).with_name("ivbpr")
PATIENCE = 300  # seconds after which a process counts as hanging


@dataclass(frozen=True)
class Task:
    """A command that writes one file.

    Attributes
    ----------
    command : list of str
        Without ``ivbpr`` and without ``-o``.
    out : Path
        What it writes.
    resume : list of str
        What is added when it runs again after a kill.
    replace : list of str
        What allows it to replace the finished result of another command.
    may_stay : tuple of str
        Names beside `out` that a killed run may leave for a rerun that resumes; gone after the rerun.
    """

    command: list[str]
    out: Path
    resume: list[str] = field(default_factory=list)
    may_stay: tuple[str, ...] = ()
    replace: list[str] = field(default_factory=list)

    def words(self, *more: str) -> list[str]:
        """The whole command line."""
        return [str(SCRIPT), *self.command, "-o", str(self.out), *more]


@dataclass
class Report:
    """What a campaign of kills did: how the runs ended (0 where the kill came too late), and in which state."""

    kills: int = 0
    ends: Counter[int] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    litter: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        def listed(counts: Counter) -> str:
            return ", ".join(f"{key}: {count}" for key, count in sorted(counts.items())) or "none"

        return (
            f"{self.kills} kills; exit codes {listed(self.ends)}; afterwards {listed(self.found)}; "
            f"cleaned by the rerun {listed(self.litter)}"
        )


def environment(**more: str) -> dict[str, str]:
    """The environment without settings of the caller."""
    return {k: v for k, v in os.environ.items() if not k.startswith("IVBPR_")} | more


def start(words: list[str], **options: object) -> subprocess.Popen[str]:
    """Start a process whose output is kept."""
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,  # type: ignore[call-overload,no-any-return]
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; the exit code as a shell gives it (128 + signal) and stderr."""
    try:
        _, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail(f"no end within {PATIENCE} s: {process.args}")
    code = process.returncode
    return (128 - code if code < 0 else code), err


def call(words: list[str], **options: object) -> tuple[int, str]:
    """Run to the end; exit code and stderr."""
    return finish(start(words, **options))


def again(words: list[str]) -> int:
    """Run to the end in this process: no start of Python and numba to pay for; the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - environment().keys():
            patch.delenv(name)
        return run(words[1:])


def undisturbed(task: Task) -> tuple[str, float]:
    """Run in peace, keep nothing; the payload digest and the seconds it took."""
    begin = time.perf_counter()
    code, err = call(task.words())
    seconds = time.perf_counter() - begin
    assert code == 0, err
    payload = payload_of(task.out)
    task.out.unlink()
    return payload, seconds


def payload_of(path: Path) -> str:
    """Check every digest of a file and return that of its payload."""
    report = verify(path)
    assert report.ok, report.mismatches
    return report.payload_sha256


def names_in(folder: Path) -> set[str]:
    """All names in a folder."""
    return {path.name for path in folder.iterdir()}


def strike(
    task: Task, number: int, seconds: float, rng: random.Random, more: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Start the task and send a signal at a random moment; exit code (0: it was done before) and stderr.

    One time in three the moment is uniform over the whole run; otherwise the clock starts when the task
    begins to write (its lock appears), and is short or very short, so that writing gets its share.
    """
    process = start(task.words(*task.replace, *more))
    lock = task.out.with_name(task.out.name + ".lock")
    limit = time.perf_counter() + 3 * seconds
    way = rng.randrange(3)
    if way == 0:
        time.sleep(rng.random() * seconds)
    else:
        while process.poll() is None and not lock.exists() and time.perf_counter() < limit:
            time.sleep(0.0005)
        time.sleep(rng.random() ** 3 * 0.03 if way == 1 else rng.random() ** 2 * seconds / 4)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    return finish(process)


def kill_often(
    task: Task,
    kills: int,
    seed: int,
    old: Callable[[Path], str] | None = None,
    each: Callable[[], None] | None = None,
) -> Report:
    """Kill the task at random moments and check what is left, every time.

    Parameters
    ----------
    task : Task
    kills : int
        Runs that really were killed; those that were done before the signal are not counted.
    seed : int
    old : callable, optional
        Writes an older, different file to a path and returns its payload digest; every other time it is
        there when the task starts.
    each : callable, optional
        Further checks after a kill, before the rerun.
    """
    rng = random.Random(f"kills {seed}")
    wanted, seconds = undisturbed(task)
    folder = task.out.parent
    inputs = names_in(folder)
    older, image = "", b""
    if old is not None:
        older = old(task.out)
        assert older != wanted
        image = task.out.read_bytes()
        task.out.unlink()
    report = Report()
    while report.kills < kills:
        assert report.ends[0] <= 20 + kills, "nearly every kill comes too late"
        with_old = bool(image) and rng.random() < 0.5
        if with_old:
            task.out.write_bytes(image)
        code, err = strike(task, signal.SIGKILL, seconds, rng)
        report.ends[code] += 1
        assert code in (0, 128 + signal.SIGKILL), err
        report.kills += code != 0
        state = "nothing"
        if task.out.exists():
            state = {older: "the old file", wanted: "the new file"}[payload_of(task.out)]
        report.found[state] += 1
        assert state != "nothing" or not with_old, "the old file is lost"
        assert state == "the new file" or code, "success without a result"
        left = names_in(folder) - inputs - {task.out.name}
        partial = set(task.may_stay)
        ours = tuple(f"{name}{end}" for name in (task.out.name, *partial) for end in (".tmp-", ".lock"))
        assert all(name in partial or name.startswith(ours) for name in left), left
        report.litter.update(name.split(".tmp-")[0] + ".tmp-" if ".tmp-" in name else name for name in left)
        if each is not None:
            each()
        resumed = task.resume if left & partial else task.replace
        assert again(task.words(*resumed)) == 0
        assert payload_of(task.out) == wanted
        assert names_in(folder) == inputs | {task.out.name}
        task.out.unlink()
    return report


def interrupt_often(task: Task, number: int, times: int, seed: int, old: bytes = b"") -> Counter[int]:
    """Send SIGTERM or SIGINT at random moments: exit code 143 or 130, one line at most, no litter.

    Returns
    -------
    Counter
        Exit codes; 0 where the signal came too late.
    """
    rng = random.Random(f"signals {seed}")
    folder = task.out.parent
    wanted, seconds = undisturbed(task)
    inputs = names_in(folder)
    ends: Counter[int] = Counter()
    while sum(ends.values()) - ends[0] < times:
        assert ends[0] <= 20 + times, "nearly every signal comes too late"
        if old:
            task.out.write_bytes(old)
        code, err = strike(task, number, seconds, rng)
        ends[code] += 1
        assert code in (0, 128 + number), (code, err)
        # Before our first line runs, Ctrl-C meets Python's own start.
        assert len(err.splitlines()) <= 1 or "ivbpr_cli" not in err, err
        left = names_in(folder) - inputs
        assert left - set(task.may_stay) <= {task.out.name}, left
        if task.out.exists():  # a signal between the rename and the end of the process comes too late
            assert (code and task.out.read_bytes() == old) or payload_of(task.out) == wanted
        else:
            assert code and not old
        for name in left:
            place = folder / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    return ends


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs of its own, mounted with `options`; skips the test where that is not allowed."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
