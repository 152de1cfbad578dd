"""`ivbpr tune` and `ivbpr table2` on the device, in the simulator: what the CPU finds, up to rounding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_cuda import DATA, ONE_HOT

from ivbpr_numba import Tuning
from ivbpr_numba.kernels.cuda.target import Kernel
from ivbpr_numba.table2 import Table

pytestmark = pytest.mark.cuda

Run = Callable[..., Any]
ROUNDING = 0.005  # of an AUC: hardly a pair of items changes places


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("commands")
    DATA.write(place / "d.h5")
    ONE_HOT.write(place / "a.h5")
    return place


@pytest.fixture
def run(ivbpr: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that ends well on a device: on the CPU it launches no kernel, on the other many."""
    launched: list[str] = []
    launch = Kernel.__call__

    def counting(self: Kernel, *given: Any) -> None:
        launched.append(self.name)
        launch(self, *given)

    monkeypatch.setattr(Kernel, "__call__", counting)

    def run(*line: Any, device: str) -> None:
        launched.clear()
        done = ivbpr(*line, "--device", device)
        assert done.code == 0, done.err
        assert ("block_kernels.sparse_blocks" in launched) == (device == "cuda")

    return run


def test_tune(run: Run, folder: Path) -> None:
    options = (
        "--trials",
        "2",
        "--processes",
        "1",
        "--set",
        "iterations=2",
        "--set",
        "factors=2",
        "--set",
        "visual_factors=2",
    )
    line = ("tune", folder / "d.h5", "--model", "i-vbpr", "--features", folder / "a.h5", *options)
    tuned = {}
    for device in ("cpu", "cuda"):
        out = folder / f"{device}-tuned.h5"
        run(*line, "-o", out, device=device)
        tuned[device] = Tuning.read(out)
    own, expected = tuned["cuda"], tuned["cpu"]
    assert own.best == expected.best and own.valid_auc == pytest.approx(expected.valid_auc, abs=ROUNDING)
    for trial, other in zip(own.trials, expected.trials, strict=True):
        assert trial["options"] == other["options"]


def test_table2(run: Run, folder: Path) -> None:
    options = (
        "--models",
        "pop,bpr-mf,i-vbpr",
        "--runs",
        "1",
        "--processes",
        "1",
        "--min-users",
        "5",
        "--option",
        "iterations=2",
    )
    line = ("table2", folder / "d.h5", "--attributes", folder / "a.h5", *options)
    tables = {}
    for device in ("cpu", "cuda"):
        out = folder / f"{device}-table.h5"
        run(*line, "-o", out, device=device)
        tables[device] = Table.read(out)
    for row, other in zip(tables["cuda"].rows, tables["cpu"].rows, strict=True):
        assert row["model"] == other["model"] and row["auc"] == pytest.approx(other["auc"], abs=ROUNDING)
