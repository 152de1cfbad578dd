"""Purchases read by the workers of a cluster: the dataset of one process, byte by byte."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ivbpr_numba import prepare
from ivbpr_numba.datasets import sharing
from ivbpr_numba.errors import DataError, EnvironmentProblem

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Text, compressed text, text with quoted line ends, Parquet; with lines that can't be used."""
    folder, rng = tmp_path_factory.mktemp("purchases"), np.random.default_rng(0)
    users, items = (rng.integers(0, n, 6000) for n in (150, 60))
    rows = [f"u{u},i{i},{1_500_000_000 + 3600 * k}" for k, (u, i) in enumerate(zip(users, items))]
    rows[100], rows[2500] = "broken", "u1,,1500000000"
    header = "user,item,time\n"
    (folder / "plain.csv").write_text(header + "\n".join(rows[:3000]))
    (folder / "packed.csv.gz").write_bytes(gzip.compress((header + "\n".join(rows[3000:4000])).encode()))
    quoted = [f'"{row.replace(",", chr(34) + "," + chr(34), 1)}' for row in rows[4000:4500]]
    quoted = [row.replace(",15", '",15', 1) for row in quoted]
    quoted[7] = '"u1","i\n7",1500000000'
    (folder / "quoted.csv").write_text(header + "\n".join(quoted))
    columns = [row.split(",") for row in rows[4500:]]
    table = {name: [row[k] for row in columns] for k, name in enumerate(("user", "item", "time"))}
    pyarrow.parquet.write_table(pa.table(table), folder / "table.parquet")
    return [folder / name for name in ("plain.csv", "packed.csv.gz", "quoted.csv", "table.parquet")]


@pytest.fixture
def small_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SPAN", 5000)


@pytest.mark.usefixtures("small_spans")
def test_the_same_dataset(inputs: list[Path], four: Any, tmp_path: Path) -> None:
    told: list[Any] = []
    here = prepare(inputs, out=tmp_path / "here.h5")
    there = prepare(inputs, out=tmp_path / "there.h5", client=four, progress=told.append)
    assert here.payload_sha256 == there.payload_sha256 and here.source == there.source
    assert here.source["inputs"][0]["bad_lines"] and len(here.items) > 50
    done = [event["done"] for event in told if "done" in event]
    assert done == sorted(done) and done[-1] == sum(path.stat().st_size for path in inputs)


@pytest.mark.usefixtures("small_spans")
def test_one_and_two_workers(inputs: list[Path], tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    here = prepare(inputs, split="last")
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            ) as local,
            Client(local, set_as_default=False) as client,
        ):
            there = prepare(inputs, split="last", client=client)
            assert here.payload_sha256 == there.payload_sha256 and here.source == there.source


@pytest.mark.usefixtures("small_spans")
def test_the_same_errors(inputs: list[Path], four: Any, tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(inputs[1].read_bytes()[:-20])
    none = tmp_path / "none.csv"
    none.write_text("user,item,time\n" + "x\n" * 5000)
    for given, options in (([inputs[0]], {"strict": True}), ([inputs[0], cut], {}), ([none], {})):
        messages = []
        for more in ({}, {"client": four}):
            with pytest.raises(DataError) as caught:
                prepare(given, **options, **more)
            messages.append((caught.value.message, caught.value.hint))
        assert messages[0] == messages[1]


def test_inputs_that_a_worker_cannot_read(
    inputs: list[Path], four: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing.os.path, "abspath", lambda path: str(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentProblem, match=r"worker tcp://.* can't read .*nowhere"):
        prepare(inputs, client=four)


def test_the_command(ivbpr: Callable[..., Any], inputs: list[Path], four: Any, tmp_path: Path) -> None:
    found = []
    for name, more in (("here", ()), ("there", ("--scheduler", four.scheduler.address))):
        run = ivbpr("prepare", *inputs, "-o", tmp_path / f"{name}.h5", "--format", "json", *more)
        assert run.code == 0, run.err
        found.append({**json.loads(run.out), "file": "", "out": ""})
    assert found[0] == found[1]
