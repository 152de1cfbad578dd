"""``--device``: an explicit GPU that can't be used ends with exit code 4 and the reason, in every command that has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA, saved

from ivbpr_numba import backends
from ivbpr_numba.network import file
from ivbpr_numba.network.shipped import shipped_network

Run = Callable[..., Any]
MISSING = "libNVVM is missing, which comes with the package nvidia-nvvm"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, features and a model."""
    place = tmp_path_factory.mktemp("device")
    DATA.write(place / "d.h5")
    ATTRIBUTES.write(place / "f.h5")
    saved(place / "m.h5", "bpr-mf")
    return place


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "cuda_problem", lambda: MISSING)


COMMANDS = {
    "fit": ["fit", "d.h5", "--model", "i-vbpr", "--features", "f.h5", "-o", "out.h5"],
    "fit rand": ["fit", "d.h5", "--model", "rand", "-o", "out.h5"],
    "auc": ["auc", "m.h5"],
    "recommend": ["recommend", "m.h5", "--all-users", "-o", "out.csv"],
    "tune": ["tune", "d.h5", "--model", "bpr-mf", "-o", "out.h5", "--trials", "2"],
    "table2": ["table2", "d.h5", "--models", "pop,bpr-mf", "--runs", "1", "-o", "out.h5"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_cuda_is_used_or_refused(
    ivbpr: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in folder.iterdir())
    done = ivbpr(*COMMANDS[name], "--device", "cuda")
    assert (done.code, done.out) == (4, "")
    assert MISSING in done.err and "--device cpu" in done.err and len(done.err.splitlines()) == 1
    assert sorted(path.name for path in folder.iterdir()) == before
    done = ivbpr(*COMMANDS[name], "--device", "cdua")
    assert done.code == 2 and "Did you mean 'cuda'" in done.err


def test_auto_says_what_it_chose(ivbpr: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = ivbpr("auc", "m.h5", "--device", "auto", "--format", "json")
    found = json.loads(done.out)
    assert done.code == 0 and found["device"] == "cpu"
    assert found["device_reason"].startswith("too little work for a GPU")
    assert "Computed on cpu: too little work" in done.err
    plain = json.loads(ivbpr("auc", "m.h5", "--format", "json").out)
    assert "device" not in plain and plain["all"] == found["all"]
    monkeypatch.setattr(backends, "WORTH", 1.0)
    done = ivbpr(
        "recommend", "m.h5", "--all-users", "-o", "lists.csv", "--device", "auto", "--format", "json"
    )
    assert json.loads(done.out)["device_reason"] == MISSING


def test_the_network_of_a_server_is_asked_for_its_device(
    ivbpr: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("starlette")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(file, "cuda_problem", lambda: "there is no card")
    given = ["serve", "m.h5", "--network", str(shipped_network()), "--port", "0", "--device", "cuda"]
    done = ivbpr(*given)
    assert done.code == 4 and "there is no card" in done.err


def test_one_shopper_and_scores_have_no_device(
    ivbpr: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = ivbpr("recommend", "m.h5", DATA.users[0], "--device", "auto")
    assert done.code == 2 and "--all-users" in done.err
    done = ivbpr("auc", "--scores", "f.h5", "--data", "d.h5", "--device", "auto")
    assert done.code == 2 and "--scores" in done.err
