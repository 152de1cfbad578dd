"""Fits that stop on the way: their states, resumed to the same bits, and what is damaged refused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import fitted, saved

from ivbpr_numba import DataError, Interrupted, UsageError
from ivbpr_numba.models.checkpoint import Checkpoint, partial_path


class Stop(Exception):
    pass


def stopper(iteration: int) -> Callable[[dict], None]:
    def stop(event: dict) -> None:
        if event.get("iteration") == iteration:
            raise Stop

    return stop


@pytest.mark.parametrize("name", ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "i-tvbpr"])
@pytest.mark.parametrize("when", [1, 3, 4, 7])
def test_resume_ends_with_the_same_bits(tmp_path: Path, name: str, when: int) -> None:
    options = {"average": 0.5, "iterations": 9, "patience": 40}
    straight = saved(tmp_path / "straight.h5", name, **options)
    out = tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted(name, {"out": out, "observers": [stopper(when)], "log": tmp_path / "log"}, **options)
    assert not out.exists() and partial_path(out).exists() == (when > 2)
    if when > 2:
        with pytest.raises(UsageError, match="resume=True"):
            fitted(name, {"out": out}, **options)
        with pytest.raises(UsageError, match="learning rate"):
            fitted(name, {"out": out, "resume": True}, **options, learning_rate=0.002)
    model = fitted(name, {"out": out, "resume": True, "log": tmp_path / "log"}, **options)
    assert model.payload_sha256_ == straight
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "m.h5", "straight.h5"]
    assert [row["iteration"] for row in model.history_] == [2, 4, 6, 8, 9]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum("config" in line for line in lines) == 2 and lines[-1]["iteration"] == 9


def test_overwrite_throws_the_state_away(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted("bpr-mf", {"out": out, "observers": [stopper(5)]}, seed=9)
    with pytest.raises(UsageError, match="contradict"):
        fitted("bpr-mf", {"out": out, "resume": True, "overwrite": True})
    digest = fitted("bpr-mf", {"out": out, "overwrite": True}).payload_sha256_
    assert digest == saved(tmp_path / "other.h5", "bpr-mf")


def test_resuming_without_a_state_is_said(tmp_path: Path) -> None:
    events: list[dict] = []
    model = fitted("bpr-mf", {"out": tmp_path / "m.h5", "resume": True, "observers": [events.append]})
    assert [e["message"] for e in events if e["event"] == "warning"] == [
        f"There is no state of an unfinished fit in {tmp_path / 'm.partial.h5'}: starting anew."
    ]
    assert model.payload_sha256_ == saved(tmp_path / "other.h5", "bpr-mf")


def test_an_old_model_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"
    saved(out, "pop")
    before = out.read_bytes()
    with pytest.raises(Stop):
        fitted("bpr-mf", {"out": out, "overwrite": True, "observers": [stopper(5)]})
    assert out.read_bytes() == before


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted("bpr-mf", {"out": out, "observers": [stopper(5)]})
    image = bytearray(partial_path(out).read_bytes())
    image[len(image) // 2] ^= 0xFF
    partial_path(out).write_bytes(image)
    with pytest.raises(DataError, match="partial"):
        fitted("bpr-mf", {"out": out, "resume": True})


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_state(tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "m.h5"

    def interrupt(event: dict) -> None:
        if event.get("iteration") == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        fitted("bpr-mf", {"out": out, "observers": [interrupt]})
    assert caught.value.exit_code == code and partial_path(out).exists()
    assert signal.getsignal(number) is before
    assert fitted("bpr-mf", {"out": out, "resume": True}).payload_sha256_ == saved(
        tmp_path / "s.h5", "bpr-mf"
    )


def test_checkpoints_come_as_often_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = Checkpoint.write
    monkeypatch.setattr(
        Checkpoint, "write", lambda self, state: (written.append(state.iteration), write(self, state))
    )
    fitted("bpr-mf", {"out": tmp_path / "m.h5"})
    fitted("bpr-mf", {"out": tmp_path / "m.h5", "checkpoint_every": 3})
    assert written == [2, 4, 6, 8, 3, 6]
    with pytest.raises(UsageError, match="checkpoint_every="):
        fitted("bpr-mf", {"out": tmp_path / "m.h5", "checkpoint_every": 0})
