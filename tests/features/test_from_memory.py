"""Features made of what a notebook holds, and how they look there."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from ivbpr_numba import DataError, Features, UsageError
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.ids import Ids

VALUES = np.array([[0.5, 1, 0], [0, 2, 0.25], [3, 0, 0]])


# --- from_matrix ---


@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        np.asfortranarray,
        scipy.sparse.csr_matrix,
        scipy.sparse.csc_array,
        scipy.sparse.coo_array,
        np.ndarray.tolist,
        pd.DataFrame,
    ],
)
def test_a_matrix_of_any_kind(make: Any) -> None:
    features = Features.from_matrix(make(VALUES), ids=["b", 7, "a"], names=["x", "y", "z"])
    assert features.items.texts() == ["7", "a", "b"]
    assert features.matrix.dtype == np.float32
    assert features.values(np.arange(3)).tolist() == VALUES[[1, 2, 0]].tolist()
    assert (
        features.payload_sha256 == Features.from_arrays(["b", "7", "a"], VALUES, list("xyz")).payload_sha256
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8])
def test_stored_types_are_kept(dtype: type) -> None:
    whole = np.array([[1, 2], [3, 4]], dtype=dtype)
    for given in (whole, whole if dtype == np.float16 else scipy.sparse.csr_array(whole)):
        assert Features.from_matrix(given, ids="ab").matrix.dtype == dtype


def test_groups_by_name() -> None:
    soft = np.array([[0.25, 0.75, 1, 1], [1, 0, 0, 1]])
    features = Features.from_matrix(soft, ids="ab", groups=["c", "c", "t", "t"], kind="attributes")
    assert features.groups == [Group("c", 0, 2, True), Group("t", 2, 2, False)]
    assert features.names == ["0", "1", "2", "3"]
    dense = Features.from_matrix(soft, ids="ab", groups=["c", "c", "t", "t"])
    assert [group.exclusive for group in dense.groups] == [False, False]
    whole = [Group("all", 0, 4, False)]
    assert Features.from_matrix(soft, ids="ab", groups=whole).groups == whole
    for groups, said in ((["c", "t", "c", "t"], "'c' are apart"), (["c"], "1 names of groups for 4 columns")):
        with pytest.raises(DataError, match=said):
            Features.from_matrix(soft, ids="ab", groups=groups)


@pytest.mark.parametrize(
    ("matrix", "ids", "said"),
    [
        (VALUES, ["a", "b", 1.5], "id of row 3 is 1.5, which is neither text nor a whole number"),
        (VALUES, ["a", True, "c"], "id of row 2 is True"),
        (VALUES, ["a", None, "c"], "position 1 is empty"),
        (VALUES, [["a"], "b", "c"], "id of row 1 is"),
        (VALUES, ["a", "\ud800", "c"], "no valid text"),
        (VALUES, ["a", "b"], "2 ids for 3 rows"),
        (VALUES, ["a", "b", "a"], "row 1 and row 3"),
        (VALUES[0], ["a", "b", "c"], "1 dimensions, not 2"),
        (VALUES.astype(str), ["a", "b", "c"], "holds <U.*, not numbers"),
        (VALUES.astype(object), ["a", "b", "c"], "holds object, not numbers"),
        (VALUES.astype(complex), ["a", "b", "c"], "holds complex128, not numbers"),
        (VALUES * np.nan, ["a", "b", "c"], "is nan"),
        (VALUES * 1e300, ["a", "b", "c"], "is inf"),
        (VALUES * 1e-60, ["a", "b", "c"], "Float32 keeps next to nothing of 3 of 3 columns"),
        (VALUES + 1e12, ["a", "b", "c"], "Float32 keeps next to nothing of 3 of 3 columns"),
    ],
)
def test_matrices_that_are_refused(matrix: Any, ids: list, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Features.from_matrix(matrix, ids=ids)


# --- from_frame ---


FRAME = pd.DataFrame(
    {
        "id": ["0012", "0007", "0003", "0012"],
        "colour": ["Black", " Red ", None, "Black"],
        "size": [38, 40, 38, 38],
        "tags": [["leather", "floral"], [], ["floral"], ["floral", "leather"]],
        "style": ["a|b", "", "b", "b|a"],
    }
)


def test_a_frame_gives_what_the_command_gives_for_its_file(tmp_path: Path) -> None:
    options: dict = {"columns": ["colour", "size"], "tags": {"tags": None, "style": "|"}}
    features = Features.from_frame(FRAME, id="id", **options)
    assert features.names == [
        "colour=Black", "colour=Red", "size=38", "size=40",
        "tags=floral", "tags=leather", "style=a", "style=b",
    ]  # fmt: skip
    assert [(g.name, g.exclusive) for g in features.groups] == [
        ("colour", True), ("size", True), ("tags", False), ("style", False),
    ]  # fmt: skip
    assert features.items.texts() == ["0003", "0007", "0012"]
    assert features.values(np.arange(3)).tolist() == [
        [0, 0, 1, 0, 1, 0, 0, 1],
        [0, 1, 0, 1, 0, 0, 0, 0],
        [1, 0, 1, 0, 1, 1, 1, 1],
    ]
    FRAME.to_parquet(tmp_path / "t.parquet")
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        report = build_feature_table(tmp_path / name, id_column="id", out=tmp_path / "a.h5", **options)
        assert report["payload_sha256"] == features.payload_sha256
        assert report["groups"] == features.source["groups"]
    assert features.write(tmp_path / "b.h5") == features.payload_sha256
    assert Features.read(tmp_path / "b.h5").source["merged_rows"] == 1


@pytest.mark.parametrize(
    "cells",
    [
        [("a", "b"), ()],
        [{"b", "a"}, frozenset()],
        [np.array(["a", "b"]), np.array([])],
        ["a;b", None],
        ["['a', 'b']", float("nan")],
        [["a", "b", None], pd.NA],
    ],
)
def test_cells_of_tags(cells: list) -> None:
    frame = pd.DataFrame({"id": [1, 2], "t": pd.Series(cells, dtype=object)})
    features = Features.from_frame(frame, id="id", tags=["t"])
    assert (features.items.texts(), features.names) == (["1", "2"], ["t=a", "t=b"])
    assert features.values(np.arange(2)).tolist() == [[1, 1], [0, 0]]


def test_cells_of_columns() -> None:
    frame = pd.DataFrame(
        {
            "id": np.array([3, 1], dtype=np.int32),
            5: pd.Categorical(["x", "y"]),
            "when": pd.to_datetime(["2020-01-02", None]),
            "flag": [True, False],
            "ratio": [0.5, np.nan],
        }
    )
    features = Features.from_frame(frame, id="id", columns=[5, "when", "flag", "ratio"])  # type: ignore[list-item]
    assert features.names == [
        "5=x",
        "5=y",
        "when=2020-01-02 00:00:00",
        "flag=false",
        "flag=true",
        "ratio=0.5",
    ]
    assert features.values(np.arange(2)).tolist() == [[0, 1, 0, 1, 0, 0], [1, 0, 1, 0, 1, 1]]
    assert Features.from_frame(frame, id="id", columns="flag").names == ["flag=false", "flag=true"]


def test_frames_that_are_refused() -> None:
    def refused(error: type[Exception], said: str, frame: pd.DataFrame = FRAME, **options: Any) -> None:
        with pytest.raises(error, match=said):
            Features.from_frame(frame, **{"id": "id", **options})

    refused(UsageError, "No column was chosen")
    refused(UsageError, "Unknown way to aggregate", columns=["colour"], aggregate="mean")
    refused(UsageError, "have no separator", tags={"style": ""})
    refused(DataError, "The data frame has no column 'color'", columns=["color"])
    refused(DataError, "The data frame, row 1: the cell .* is a list, not one value", columns=["tags"])
    refused(DataError, "The data frame: no value of the chosen", columns=["colour"], min_count=9)
    refused(
        DataError,
        "row 2: the id is 1.5, which is neither",
        FRAME.assign(id=[1.0, 1.5, 3, 1]),
        columns=["size"],
    )
    refused(DataError, "the first is data row 3", FRAME.assign(id=[1.0, 2, None, 1]), columns=["size"])
    refused(DataError, "1 rows have no id", FRAME.assign(id=["a", None, "b", "a"]), columns=["size"])
    refused(DataError, "has no rows", FRAME[:0], columns=["size"])
    refused(DataError, "column 'id' twice", pd.concat([FRAME, FRAME[["id"]]], axis=1), columns=["size"])
    differing = FRAME.assign(size=[38, 40, 38, 39])
    refused(
        DataError, "1 items have rows that disagree: '0012' .size: '38' or '39'", differing, columns=["size"]
    )
    shares = Features.from_frame(differing, id="id", columns=["size"], aggregate="share")
    assert shares.values(np.array([2])).tolist() == [[0.5, 0.5, 0]]


# --- in a notebook ---


class Texts(HTMLParser):
    """The tags and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_how_features_look() -> None:
    features = Features.from_frame(FRAME, id="id", columns=["colour"], tags=["tags"])
    assert repr(features) == (
        "Features(3 items × 4 columns in 2 groups, attributes, float16: colour=Black, colour=Red, tags=floral, …)"
    )
    page = Texts(features._repr_html_())
    assert page.texts[0] == "Features: 3 items × 4 columns, attributes, float16"
    assert page.texts[4:] == [
        "colour", "2", "one value an item", "Black, Red", "tags", "2", "any number of values", "floral, leather",
    ]  # fmt: skip
    assert (
        repr(Features.from_matrix(VALUES, ids="abc"))
        == "Features(3 items × 3 columns, dense, float32: 0, 1, 2)"
    )


def test_names_cannot_break_the_page() -> None:
    name = "<script>alert(1)</script>&amp;\x1b[31m" + "x" * 100
    features = Features.from_matrix(VALUES, ids="abc", names=[name, "'\">", "z"], groups=["<b>", "<b>", "c"])
    page = Texts(features._repr_html_())
    assert set(page.tags) == {"div", "p", "table", "tr", "th", "td"}
    assert "<script>alert(1)</script>&amp;�[31mxxxxx…, '\">" in "".join(page.texts)
    assert "\x1b" not in repr(features) and "x" * 50 not in repr(features)


def test_many_groups_and_names_are_cut() -> None:
    wide = Features.from_matrix(np.ones((1, 300)), ids="a", groups=[f"g{k // 10}" for k in range(300)])
    page = Texts(wide._repr_html_())
    assert page.tags.count("tr") == 1 + 12 + 1 and page.texts[-1] == "… 18 more groups"
    assert "0, 1, 2, 3, 4, 5, …" in page.texts


def test_labels_of_a_frame_are_not_passed_over() -> None:
    frame = pd.DataFrame([[1.0], [2.0]], index=["b", "a"], columns=["weight"])
    with pytest.raises(DataError, match="labelled otherwise"):
        Features.from_matrix(frame, ids=["a", "b"])
    found = Features.from_matrix(frame, ids=frame.index)
    assert found.names == ["weight"]
    assert found.values(found.rows_of_all(Ids.collect(["a", "b"], "item"))).tolist() == [[2.0], [1.0]]
