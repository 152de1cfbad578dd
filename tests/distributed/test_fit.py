"""Fits in parts by workers of a cluster: the bits of this process, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA, FEATURES, fitted, made

from ivbpr_numba.distributed import connected
from ivbpr_numba.errors import EnvironmentProblem, UsageError

pytestmark = pytest.mark.cluster
Run = Callable[..., Any]


def options_of(name: str, **options: Any) -> dict[str, Any]:
    in_time = {"segment_every": 2, "epochs": 3, "bins": 6} if "tvbpr" in name else {}
    return {"parts": 4, "factors": 3, **in_time, **options}


@pytest.mark.parametrize("name", ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr"])
def test_the_bits_of_this_process(four: Any, name: str) -> None:
    options = options_of(name)
    there = fitted(name, {"client": four}, **options)
    assert there.payload_sha256_ == fitted(name, **options).payload_sha256_


def test_as_many_workers_as_there_are(four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four parts on one worker, on two, on three; and items in blocks that are joined in several places."""
    wanted = fitted("i-tvbpr", **options_of("i-tvbpr")).payload_sha256_
    monkeypatch.setattr("ivbpr_numba.models.parts.BLOCK", 600)
    distributed = pytest.importorskip("distributed")
    workers = list(four.scheduler_info(n_workers=-1)["workers"])
    submit, scatter = distributed.Client.submit, distributed.Client.scatter
    for n in (1, 2, 3):
        some = {"workers": workers[:n]}
        monkeypatch.setattr(distributed.Client, "submit", partialmethod(submit, **some))
        monkeypatch.setattr(distributed.Client, "scatter", partialmethod(scatter, **some))
        assert fitted("i-tvbpr", {"client": four}, **options_of("i-tvbpr")).payload_sha256_ == wanted


def test_one_part_is_learned_here(four: Any) -> None:
    told: list[Any] = []
    there = fitted("bpr-mf", {"client": four, "observers": told.append})
    assert there.payload_sha256_ == fitted("bpr-mf").payload_sha256_
    assert any("one part is learned here" in event.get("message", "") for event in told)
    with pytest.raises(UsageError, match="device"):
        fitted("bpr-mf", {"client": four}, device="auto")


def test_a_lost_scheduler(tmp_path: Path) -> None:
    """The state is kept, exit code 4; the same fit goes on from it, on a cluster or without one."""
    place, out = tmp_path / "scheduler.json", tmp_path / "m.h5"
    options = options_of("i-vbpr", iterations=60)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(place)], stderr=subprocess.DEVNULL
    )
    workers = []
    try:
        while not (place.exists() and place.read_text().strip().endswith("}")):
            time.sleep(0.1)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(place)]
        for _ in range(2):
            workers.append(
                subprocess.Popen(
                    [*command, "--nthreads", "1", "--no-dashboard"],
                    env=environment,
                    stderr=subprocess.DEVNULL,
                )
            )

        def lose(event: dict[str, Any]) -> None:
            if event.get("iteration") == 11:
                scheduler.kill()

        with connected(json.loads(place.read_text())["address"]) as crew:
            crew.client.wait_for_workers(2, timeout=60)
            run = {"client": crew.client, "out": out, "observers": lose}
            with pytest.raises(EnvironmentProblem, match="lost") as caught:
                made("i-vbpr", **options).fit(DATA, FEATURES["i-vbpr"], **run)
        assert caught.value.exit_code == 4 and out.with_name("m.partial.h5").exists() and not out.exists()
    finally:
        for process in (scheduler, *workers):
            process.kill()
            process.wait()
    found = made("i-vbpr", **options).fit(DATA, FEATURES["i-vbpr"], out=out, resume=True)
    assert found.payload_sha256_ == fitted("i-vbpr", **options).payload_sha256_


def test_workers_that_compute_other_bits(four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes later is refused by the first thing that it is to do."""
    monkeypatch.setattr("ivbpr_numba.distributed.flow.facts_here", lambda: {"numba": "0.1"})
    with pytest.raises(EnvironmentProblem, match=r"tcp://.* would compute other bits .*numba 0\.1 here"):
        fitted("bpr-mf", {"client": four}, parts=2)


def test_by_the_command(ivbpr: Run, four: Any, tmp_path: Path) -> None:
    DATA.write(tmp_path / "d.h5")
    ATTRIBUTES.write(tmp_path / "f.h5")
    given = (
        "fit",
        tmp_path / "d.h5",
        "--model",
        "i-vbpr",
        "--features",
        tmp_path / "f.h5",
        "--iterations",
        5,
    )
    found = []
    for name, more in (("a", ()), ("b", ("--scheduler", four.scheduler.address))):
        done = ivbpr(*given, "--parts", 3, "-o", tmp_path / f"{name}.h5", "--format", "json", *more)
        assert done.code == 0, done.err
        found.append(json.loads(done.out)["payload_sha256"])
    assert found[0] == found[1]
    done = ivbpr(*given, "--parts", 3, "--ensemble", 2, "-o", tmp_path / "c.h5")
    assert done.code == 2 and "--parts 3 and --ensemble 2 exclude each other" in done.err
