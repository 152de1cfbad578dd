"""`ivbpr inspect`: a summary of each kind of file, users to try, and the whole tree where asked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from small_models import ATTRIBUTES, DATA, made

from ivbpr_numba import Dataset, Features, tune
from ivbpr_numba.datasets.examples import items_to_try, users_to_try
from ivbpr_numba.documents.files import inspect
from ivbpr_numba.errors import UsageError
from ivbpr_numba.models.checkpoint import partial_path
from ivbpr_numba.network.shipped import shipped_network
from ivbpr_numba.table2 import table2
from ivbpr_numba.worlds.world import generate

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each kind."""
    folder = tmp_path_factory.mktemp("inspected")
    DATA.write(folder / "d.h5")
    ATTRIBUTES.write(folder / "f.h5")
    features = Features.read(folder / "f.h5")
    made("i-vbpr").fit(DATA, features, out=folder / "m.h5")

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "evaluation":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made("i-vbpr").fit(DATA, features, out=folder / "u.h5", observers=[stop], checkpoint_every=1)
    generate("tiny", users=20).write(folder / "w", {"truth_auc/all": 0.9})
    found = {name: folder / f"{name[0]}.h5" for name in ("dataset", "features", "model")}
    found |= {"truth": folder / "w" / "truth.h5", "unfinished": partial_path(folder / "u.h5")}
    tune("bpr-mf", DATA, trials=9, processes=1, options={"iterations": 10}, out=folder / "t.h5")
    table2(DATA, models=["rand", "pop"], runs=2, processes=1, out=folder / "table.h5")
    found["table"] = folder / "table.h5"
    return found | {"network": Path(shipped_network()), "tuning": folder / "t.h5"}


KINDS = {
    "dataset": "dataset",
    "features": "features",
    "model": "model",
    "truth": "truth of a generated world",
    "unfinished": "unfinished fit",
    "network": "network",
    "tuning": "search for options",
    "table": "table of models",
}


@pytest.mark.parametrize("name", KINDS)
def test_a_summary_fits_on_a_screen(
    ivbpr: Run, files: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = ivbpr("inspect", files[name])
    assert done.code == 0 and done.err == ""
    body = [line for line in done.out.splitlines() if not line.startswith("Next: ")]
    assert max(map(cell_len, body)) <= 80 and len(done.out.splitlines()) <= 45
    assert KINDS[name] in done.out and "sha256" not in done.out
    document = json.loads(ivbpr("inspect", files[name], "--format", "json").out)
    assert document["summary"]["kind"] == KINDS[name]
    full = ivbpr("inspect", files[name], "--full").out
    assert "sha256" in full and len(full) > len(done.out)


def test_what_a_model_says(files: dict[str, Path]) -> None:
    content = inspect(files["model"]).content
    summary = content["summary"]
    assert (summary["model"], summary["users"], summary["items"]) == ("i-vbpr", 60, 45)
    assert summary["features"] == {"kind": "attributes", "columns": 5, "groups": 2}
    assert summary["feature file"] == str(files["features"])
    metrics = content["documents"]["/metrics/test/all"]
    assert summary["test all"]["auc"] == metrics["auc"]
    assert content["groups"][0] == {"group": "side", "columns": 2, "exclusive": True}
    history = content["documents"]["/history"]
    best = max(history, key=lambda row: row["valid_auc"])["iteration"]
    assert summary["learned"]["best at"] == best


def test_what_can_be_done_next_can_be_done(ivbpr: Run, files: dict[str, Path]) -> None:
    lines = inspect(files["model"]).content["summary"]["next"]
    assert [shlex.split(line)[1] for line in lines] == ["auc", "recommend", "explain", "inspect"]
    for line in lines:
        done = ivbpr(*shlex.split(line)[1:])
        assert done.code == 0, done.err


def test_a_missing_feature_file_is_said(files: dict[str, Path], tmp_path: Path) -> None:
    alone = tmp_path / "m.h5"
    ATTRIBUTES.write(tmp_path / "f.h5")
    made("i-vbpr").fit(DATA, Features.read(tmp_path / "f.h5"), out=alone)
    (tmp_path / "f.h5").unlink()
    assert inspect(alone).content["summary"]["feature file"] == f"not found; it was {tmp_path / 'f.h5'}"


def test_what_an_unfinished_fit_says(files: dict[str, Path]) -> None:
    summary = inspect(files["unfinished"]).content["summary"]
    assert (summary["model"], summary["iterations"], summary["of"]) == ("i-vbpr", 1, 8)


def test_what_a_network_says(ivbpr: Run, files: dict[str, Path]) -> None:
    document = inspect(files["network"])
    summary = document.content["summary"]
    assert summary["attributes"] == {"values": 49, "groups": 6}
    assert summary["preprocessing"]["size"] == "96 × 96" and summary["trained"] == "all layers, in PyTorch"
    garment = document.content["groups"][0]
    assert garment["values"] == 12 == len(garment["names"]) and garment["valid_accuracy"] > 0.9
    assert "…" not in ivbpr("inspect", files["network"], "--full").out.split("How it was")[0]


def test_a_changed_file_has_no_summary_and_says_why(
    ivbpr: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    image = bytearray(files["dataset"].read_bytes())
    at = image.rindex(DATA.train.indices.tobytes())
    image[at] ^= 1
    (tmp_path / "d.h5").write_bytes(image)
    done = ivbpr("inspect", tmp_path / "d.h5")
    assert done.code == 0 and "There is no summary" in done.err and "changed since" in done.err
    assert ivbpr("inspect", tmp_path / "d.h5", "--users", "3").code == 2


def test_no_file_of_ours(ivbpr: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.onnx").write_text("hello")
    assert [ivbpr("inspect", tmp_path / name).code for name in ("a.txt", "a.onnx")] == [3, 3]


# --- users and items to try ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dataset", "model"])
def test_users_to_try(ivbpr: Run, files: dict[str, Path], name: str) -> None:
    done = ivbpr("inspect", files[name], "--users", "5", "--items", "2", "--format", "json")
    document = json.loads(done.out)
    assert document["users"] == users_to_try(DATA, 5) and document["items"] == items_to_try(DATA, 2)
    table = ivbpr("inspect", files[name], "--users", "5").out
    assert all(row["user"] in table and row["test"] in table for row in document["users"])


def test_users_of_long_ids_keep_what_tells_of_them(
    ivbpr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"{k:064d}" for k in range(6) for _ in range(5)]
    data = Dataset.from_pairs(users, [f"{k:010d}" for k in range(30)])
    data.write(tmp_path / "d.h5")
    monkeypatch.setenv("COLUMNS", "80")
    shown = ivbpr("inspect", tmp_path / "d.h5", "--users", "2").out.split("Users to try\n")[1]
    assert shown.split("\n")[0].split() == ["user", "kind", "train"]
    assert max(map(len, shown.split("Next: ")[0].splitlines())) <= 80


def test_what_was_just_done_is_no_next_step(ivbpr: Run, files: dict[str, Path]) -> None:
    assert "--users" in ivbpr("inspect", files["dataset"]).out
    assert "--users" not in ivbpr("inspect", files["dataset"], "--users", "5").out


def test_users_go_from_heavy_to_light() -> None:
    sizes = {DATA.users[row]: int(n) for row, n in enumerate(np.diff(DATA.train.indptr))}
    for n in (1, 2, 3, 5, 60, 1000):
        found = users_to_try(DATA, n)
        assert len({row["user"] for row in found}) == min(n, 60)
        trains = [row["train"] for row in found]
        assert trains == sorted(trains, reverse=True) and trains[0] == max(sizes.values())
        assert n < 2 or trains[-1] == min(sizes.values())
        for row in found:
            u = DATA.users.row(row["user"])
            assert row["train"] == sizes[row["user"]]
            for part in ("valid", "test"):
                own = getattr(DATA, part)
                held = own.indices[own.indptr[u] : own.indptr[u + 1]]
                assert row[part] == DATA.items[int(held[0])]
    kinds = [row["kind"] for row in users_to_try(DATA, 4)]
    assert kinds == ["heavy", "typical", "typical", "light"]


def test_users_without_a_test_item_are_a_last_resort() -> None:
    users, items = ["a"] * 9 + ["b"] * 3, [f"i{n}" for n in (*range(9), *range(3))]
    data = Dataset.from_pairs(users, items)
    nobody = Dataset(data.users, data.items, data.train, data.valid, none_of(data))
    assert [row["test"] for row in users_to_try(nobody, 2)] == [None, None]


def none_of(data: Dataset) -> Any:
    part = data.test
    return type(part)(np.zeros_like(part.indptr), part.indices[:0], part.times[:0])


def test_no_number_of_users() -> None:
    with pytest.raises(UsageError):
        users_to_try(DATA, 0)


def test_files_without_purchases(ivbpr: Run, files: dict[str, Path]) -> None:
    for name in ("features", "network", "truth"):
        done = ivbpr("inspect", files[name], "--users", "3")
        assert done.code == 2 and "no purchases" in done.err
