"""The commands on a cluster of their own, and on one that runs already; and without Dask."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA

pytestmark = pytest.mark.cluster
Run = Callable[..., Any]


@pytest.fixture
def model(tmp_path: Path, ivbpr: Run) -> Path:
    DATA.write(tmp_path / "d.h5")
    ATTRIBUTES.write(tmp_path / "f.h5")
    out = tmp_path / "m.h5"
    given = ("--model", "i-vbpr", "--features", tmp_path / "f.h5", "--iterations", 5)
    assert ivbpr("fit", tmp_path / "d.h5", *given, "-o", out).code == 0
    return out


def test_a_cluster_that_runs(ivbpr: Run, model: Path, four: Any) -> None:
    address = ("--scheduler", four.scheduler.address)
    here, there = (json.loads(ivbpr("auc", model, "--format", "json", *more).out) for more in ((), address))
    assert {**here, "seconds": 0} == {**there, "seconds": 0}
    files = [model.with_name(name) for name in ("here.csv", "there.csv")]
    for file, more in zip(files, ((), address)):
        assert ivbpr("recommend", model, "--all-users", "-o", file, *more).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    told = json.loads(ivbpr("doctor", "--format", "json", *address).out)
    assert len(told["cluster"]["workers"]) == 4
    assert all(one["problem"] == "" for one in told["cluster"]["workers"].values())


def test_a_cluster_of_its_own(model: Path) -> None:
    """As a program, since its workers import the main module."""
    program = [sys.executable, "-c", "import sys; from ivbpr_cli import main; sys.exit(main())"]
    found = [
        json.loads(
            subprocess.run(
                [*program, "auc", str(model), "--format", "json", *more], capture_output=True, check=True
            ).stdout
        )
        for more in ((), ("--workers", "2"))
    ]
    assert {**found[0], "seconds": 0} == {**found[1], "seconds": 0}


def test_what_is_refused(ivbpr: Run, model: Path) -> None:
    gone = ("--scheduler", "tcp://127.0.0.1:9")
    assert ivbpr("auc", model, *gone).code == 4 and ivbpr("doctor", *gone).code == 4
    assert ivbpr("auc", model, *gone, "--workers", 2).code == 2
    assert ivbpr("auc", model, "--workers", 0).code == 2
    assert ivbpr("recommend", model, "u0", "--workers", 2).code == 2
    assert ivbpr("auc", model, "--workers", 2, "--device", "auto").code == 2
