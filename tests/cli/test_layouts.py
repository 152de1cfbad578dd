"""The whole way on features of either layout: nothing that anybody is told depends on it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import DATA

from ivbpr_numba import Features, load
from ivbpr_numba.features.alignment import align
from ivbpr_numba.ids import Ids
from ivbpr_numba.questions.overlaps import overlapping

FIT = ["fit", "data.h5", "--features", "f.h5", "--iterations", "6", "--eval-every", "2", "--epochs", "2"]
COMMANDS = [
    ["prepare", "purchases.csv", "--features", "f.h5", "-o", "fewer.h5"],
    ["features", "examples", "f.h5", "hue=h3", "-n", "4"],
    ["features", "import", "f.h5", "--kind", "attributes", "--layout", "sparse", "-o", "again.h5"],
    [*FIT, "--model", "i-tvbpr", "-o", "m.h5"],
    ["auc", "m.h5", "--metrics", "map@10", "--baseline", "cosine"],
    ["recommend", "m.h5", "u003", "--explain"],
    ["recommend", "m.h5", "u003", "--because", "tags=t2"],
    ["similar", "m.h5", "i004"],
    ["explain", "m.h5", "u003", "i004"],
    ["trends", "m.h5"],
]


def catalogue(folder: Path) -> None:
    lines = [
        f"{item},h{k * 7 % 23},c{k % 11},t{k % 13};t{k % 6}" for k, item in enumerate(DATA.items.texts())
    ]
    (folder / "catalogue.csv").write_text("\n".join(["id,hue,cut,tags", *lines]) + "\n")
    pairs = [
        f"{DATA.users[int(u)]},{DATA.items[int(i)]}"
        for u in range(len(DATA.users))
        for i in DATA.train.indices[DATA.train.indptr[u] : DATA.train.indptr[u + 1]]
    ]
    (folder / "purchases.csv").write_text("\n".join(["user,item", *pairs]) + "\n")
    DATA.write(folder / "data.h5")


@pytest.mark.filterwarnings("ignore")
def test_what_is_told_does_not_depend_on_the_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ivbpr: Callable[..., Any]
) -> None:
    told: dict[str, list[Any]] = {}
    for layout in ("dense", "sparse"):
        folder = tmp_path / layout
        folder.mkdir()
        catalogue(folder)
        monkeypatch.chdir(folder)
        table = ["features", "table", "catalogue.csv", "--id", "id", "--columns", "hue,cut", "--tags", "tags"]
        for words in ([*table, "--layout", layout, "-o", "f.h5"], *COMMANDS):
            done = ivbpr(*words, "--format", "json")
            assert done.code == 0, f"{words}: {done.err}"
            told.setdefault(layout, []).append(
                (words[:2], re.sub(r"dense|sparse|\"seconds\": [0-9.e-]+", "…", done.out))
            )
        for words in (["features", "info", "f.h5"], ["inspect", "f.h5"]):
            done = ivbpr(*words, "--format", "json")
            assert done.code == 0 and f'"layout":"{layout}"' in done.out.replace(" ", "")
        assert json.loads(ivbpr("inspect", "f.h5", "--full", "--format", "json").out)["format_version"] == (
            "1.1" if layout == "sparse" else "1.0"
        )
    for dense, sparse in zip(told["dense"], told["sparse"]):
        if dense[0] == ["fit", "data.h5"]:
            continue  # tells seconds
        if dense[0] == ["features", "table"]:
            assert '"layout":"…"' in dense[1].replace(" ", "")
        assert dense == sparse
    models = [load(tmp_path / layout / "m.h5") for layout in ("dense", "sparse")]
    assert models[0].payload_sha256_ == models[1].payload_sha256_
    # Each finds its features in a file of the other layout, too.
    shutil.copy(tmp_path / "sparse" / "f.h5", tmp_path / "dense" / "f.h5")
    assert load(tmp_path / "dense" / "m.h5").find_features().sparse
    monkeypatch.chdir(tmp_path / "dense")
    explained = ivbpr("recommend", "m.h5", "u003", "--explain", "--format", "json").out
    assert json.loads(explained) == json.loads(told["sparse"][6][1])


def test_overlaps_and_aligned_rows_are_the_same() -> None:
    rng = np.random.default_rng(3)
    values = np.where(
        rng.random((len(DATA.items), 30)) < 0.2, rng.choice([0.25, 0.5, 1], (len(DATA.items), 30)), 0
    )
    values[:, 7] = values[:, 3]
    dense, sparse = (
        Features.from_matrix(values.astype(np.float16), ids=DATA.items, kind="attributes", layout=layout)
        for layout in ("dense", "sparse")
    )
    found = overlapping(dense, DATA.items)
    assert found[7] == [3] and overlapping(sparse, DATA.items) == found
    some = DATA.items.values[::-2][::-1]
    few = Ids(some, "item")
    assert overlapping(sparse, few) == overlapping(dense, few)
    assert len(align(sparse, few).rows) == len(few)
