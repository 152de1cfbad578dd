"""`ivbpr update`: read as `prepare` reads, and a model that knows what was bought since."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, ONE_HOT, made

from ivbpr_numba import Features, load

Run = Callable[..., Any]
BOUGHT = (
    "who,what,when\nu003,i001,2020-01-01\nzoe,i044,2020-01-02\nzoe,i002,2020-01-03\nzoe,i005,2020-01-04\n"
)
COLUMNS = ("--user", "who", "--item", "what", "--time", "when")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, its features, and purchases since; it is the current one."""
    ATTRIBUTES.write(tmp_path / "f.h5")
    made("i-vbpr").fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    (tmp_path / "new.csv").write_text(BOUGHT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_update(shop: Path, ivbpr: Run) -> None:
    done = ivbpr("update", "m.h5", "new.csv", *COLUMNS, "-o", "m2.h5", "--format", "json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == "ivbpr.update/1"
    assert {key: found[key] for key in ("new_users", "new_items", "users", "full")} == {
        **{"new_users": 1, "new_items": 0, "users": 61, "full": False}
    }
    assert found["of"] == load("m.h5").payload_sha256_
    model = load("m2.h5")
    assert found["payload_sha256"] == model.payload_sha256_ and "zoe" in model.data_.users
    assert model.recommend("zoe", 3)[0]["because"]
    known = "u003" in DATA.users and ("i001" in {DATA.items[i] for i in _owned("u003")})
    assert found["new_purchases"] == 4 - known


def _owned(user: str) -> set[int]:
    row, found = DATA.users.row(user), set()
    for part in (DATA.train, DATA.valid, DATA.test):
        found |= set(part.indices[part.indptr[row] : part.indptr[row + 1]].tolist())
    return found


def test_what_the_screen_says(shop: Path, ivbpr: Run) -> None:
    (shop / "new.csv").write_text(f"{BOUGHT}zoe,,2020-01-09\n")
    done = ivbpr("update", "m.h5", "new.csv", *COLUMNS, "-o", "m2.h5")
    assert done.code == 0, done.err
    assert "Lines left out" in done.out and "new users" in done.out
    again = ivbpr("inspect", "m2.h5")
    assert again.code == 0 and "update" in again.out


def test_everything_further_and_held_out(shop: Path, ivbpr: Run) -> None:
    line = ("update", "m.h5", "new.csv", *COLUMNS, "--split", "random")
    assert ivbpr(*line, "-o", "m2.h5").code == 0
    assert ivbpr(*line, "--full", "-o", "m3.h5", "--log", "fit.jsonl").code == 0
    touched, full = load("m2.h5"), load("m3.h5")
    assert len(touched.data_.test) == len(DATA.test) + 1 and full.provenance_["update"]["full"]
    assert len((shop / "fit.jsonl").read_text().splitlines()) > 1
    refused = ivbpr(*line, "-o", "m3.h5")
    assert refused.code == 2 and "finished model of another fit" in refused.err


def test_new_items_need_features_and_get_cells(shop: Path, ivbpr: Run) -> None:
    (shop / "new.csv").write_text(f"{BOUGHT}zoe,new item,2020-01-05\n")
    (shop / "items.csv").write_text("what,name\nnew item,The new one\ni001,Another name\n")
    line = (
        "update",
        "m.h5",
        "new.csv",
        *COLUMNS,
        "--catalogue",
        "items.csv",
        "--title",
        "name",
        "-o",
        "m2.h5",
    )
    done = ivbpr(*line)
    assert done.code == 3 and "have no row for new items: 'new item'" in done.err
    assert not (shop / "m2.h5").exists()
    matrix = np.concatenate([ONE_HOT, ONE_HOT[:1]]).astype(np.float16)
    ids = [*DATA.items.texts(), "new item"]
    Features.from_arrays(ids, matrix, ATTRIBUTES.names, kind="attributes").write(shop / "more.h5")
    done = ivbpr(*line, "--features", "more.h5")
    assert done.code == 0, done.err
    data = load("m2.h5").data_
    assert data.item_columns["title"][data.items.row("new item")] == b"The new one"


def test_wrong_lines(shop: Path, ivbpr: Run) -> None:
    made("rand").fit(DATA).save("rand.h5")
    for line, code, said in (
        (("rand.h5", "new.csv", *COLUMNS), 2, "rand learns nothing"),
        (
            ("m.h5", "new.csv", "--user", "who", "--item", "what"),
            3,
            "have times, the new purchases have none",
        ),
        (("m.h5", "new.csv", *COLUMNS, "--split", "time"), 2, "is unknown"),
        (("m.h5", "gone.csv", *COLUMNS), 2, "gone.csv"),
        (("m.h5", "new.csv", *COLUMNS, "--title", "name"), 2, "no catalogue"),
    ):
        done = ivbpr("update", *line, "-o", "m2.h5")
        assert (done.code, done.out) == (code, "") and said in done.err, done.err
        assert len(done.err.splitlines()) == 1 and not (shop / "m2.h5").exists()
    done = ivbpr("update", "m.h5", "new.csv", *COLUMNS, "-o", "f.h5")
    assert done.code == 2 and load("m.h5").find_features() is not None
