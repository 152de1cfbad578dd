"""What is asked of models on a cluster: the very numbers of one process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA, fitted

from ivbpr_numba import EnvironmentProblem, UsageError, auc, tune
from ivbpr_numba.answers import answers
from ivbpr_numba.documents.many import recommend_all
from ivbpr_numba.ranking import counting
from ivbpr_numba.table2 import table2

pytestmark = pytest.mark.cluster
SEARCH: dict[str, Any] = {"trials": 8, "seed": 3, "options": {"iterations": 30}}


@pytest.mark.parametrize("name", ["rand", "pop", "bpr-mf", "i-vbpr", "i-tvbpr"])
def test_auc(name: str, four: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PART", 7)
    model = fitted(name)
    here = auc(model, metrics=["recall@5"], baselines=["pop"])
    there = auc(model, metrics=["recall@5"], baselines=["pop"], client=four)
    assert {**here, "seconds": 0} == {**there, "seconds": 0}


def test_a_cluster_counts_with_cpus(four: Any) -> None:
    with pytest.raises(UsageError, match="CPUs"):
        auc(fitted("pop"), client=four, device="auto")


@pytest.mark.parametrize("name", ["rand", "i-vbpr", "i-tvbpr"])
def test_recommendations(name: str, four: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def block(module: Any = None) -> None:
        answers.USERS_A_BLOCK = 9

    monkeypatch.setattr(answers, "USERS_A_BLOCK", 9)
    four.run(block)  # what a block is decides who answers
    try:
        model = fitted(name)
        files = tmp_path / "here.csv", tmp_path / "there.csv"
        recommend_all(model, files[0], 4, reasons="i-" in name)
        recommend_all(model, files[1], 4, reasons="i-" in name, client=four)
    finally:
        four.run(lambda: setattr(answers, "USERS_A_BLOCK", 4096))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_tune_is_the_same_whoever_fits(four: Any, tmp_path: Path) -> None:
    here = tune("i-vbpr", DATA, ATTRIBUTES, processes=1, **SEARCH).save(tmp_path / "here.h5")
    there = tune("i-vbpr", DATA, ATTRIBUTES, client=four, out=tmp_path / "there.h5", **SEARCH)
    assert there.save(tmp_path / "again.h5") == here


def test_a_table_is_the_same_whoever_makes_it(four: Any, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "attributes": ATTRIBUTES,
        "runs": 2,
        "options": {"iterations": 20},
        "min_users": 2,
    }
    here = table2(DATA, processes=1, **asked)
    there = table2(DATA, client=four, tune=None, **asked)
    assert here.payload_sha256 == there.payload_sha256


def test_files_of_a_table_are_read_by_workers(
    four: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DATA.write(tmp_path / "d.h5")
    ATTRIBUTES.write(tmp_path / "f.h5")
    asked: dict[str, Any] = {
        "runs": 1,
        "models": ["pop", "i-vbpr"],
        "options": {"iterations": 5},
        "min_users": 2,
    }
    files = tmp_path / "d.h5", tmp_path / "f.h5"
    here = table2(files[0], attributes=files[1], processes=1, **asked)
    assert table2(files[0], attributes=files[1], client=four, **asked).payload_sha256 == here.payload_sha256
    real = os.path.abspath
    monkeypatch.setattr(
        os.path,
        "abspath",
        lambda path: real(path).replace("f.h5", "elsewhere") if str(path) == str(files[1]) else real(path),
    )
    with pytest.raises(EnvironmentProblem, match=r"worker tcp://.* can't read .*elsewhere"):
        table2(files[0], attributes=files[1], client=four, **asked)
