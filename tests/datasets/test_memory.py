"""Datasets from what is in memory: frames, matrices, ids of every type; the face in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.errors import DataError, UsageError

START = 1_577_836_800  # 2020-01-01
PAIRS = [(u, i, START + 86_400 * ((7 * u + 3 * i) % 50)) for u in range(6) for i in range(12) if (u + i) % 3]


def frame() -> pd.DataFrame:
    return pd.DataFrame(PAIRS, columns=["u", "i", "t"])


def wanted(**options: object) -> str:
    users, items, times = zip(*PAIRS)
    return Dataset.from_pairs(users, items, times, **options).payload_sha256


AS: dict[str, Callable[[pd.Series], Any]] = {
    "int64": lambda s: s,
    "int32": lambda s: s.astype("int32"),
    "nullable": lambda s: s.astype("Int64"),
    "float": lambda s: s.astype(float),
    "nullable float": lambda s: s.astype("Float64"),
    "category": lambda s: s.astype("category"),
    "category of text": lambda s: s.astype(str).astype("category"),
    "text": lambda s: s.astype(str),
    "string": lambda s: s.astype("string"),
    "object": lambda s: s.astype(object),
    "mixed": lambda s: pd.Series([str(v) if k % 2 else v for k, v in enumerate(s)], dtype=object),
    "bytes": lambda s: pd.Series([str(v).encode() for v in s], dtype=object),
}


@pytest.mark.parametrize("kind", AS)
def test_ids_of_a_frame(kind: str) -> None:
    """One text for one id, whatever pandas makes of the column."""
    table = frame()
    table["u"], table["i"] = AS[kind](table["u"]), AS[kind](table["i"])
    table.index = table.index[::-1]  # the index means nothing
    data = Dataset.from_frame(table, user="u", item="i", time="t")
    assert data.payload_sha256 == wanted()
    assert data.items.texts() == sorted(map(str, range(12)))


@pytest.mark.parametrize(
    "times",
    [
        lambda s: pd.to_datetime(s, unit="s"),
        lambda s: pd.to_datetime(s, unit="s", utc=True).dt.tz_convert("Asia/Tokyo"),
        lambda s: s * 1_000_000_000,
        lambda s: s.astype("Int64"),
        lambda s: s.astype(float),
        lambda s: pd.to_datetime(s, unit="s").dt.strftime("%d/%m/%Y"),
        lambda s: pd.to_datetime(s, unit="s").dt.strftime("%Y%m%d").astype(int),
        lambda s: pd.to_datetime(s, unit="s").dt.date,
        lambda s: pd.Series([datetime.fromtimestamp(v, UTC) for v in s], dtype=object),
        lambda s: pd.to_datetime(s, unit="s").astype("category"),
    ],
)
def test_times_of_a_frame(times: Callable[[pd.Series], pd.Series]) -> None:
    table = frame().assign(t=lambda d: times(d["t"]))
    assert Dataset.from_frame(table, "u", "i", "t", split="last").payload_sha256 == wanted(split="last")


def test_options_reach_the_split() -> None:
    for options in ({"seed": 5}, {"split": "last", "seed": 2}, {"min_interactions": 8}):
        assert Dataset.from_frame(frame(), "u", "i", "t", **options).payload_sha256 == wanted(**options)
    form = frame().assign(t=lambda d: pd.to_datetime(d["t"], unit="s").dt.strftime("%d.%m.%y"))
    assert Dataset.from_frame(form, "u", "i", "t", time_format="%d.%m.%y").payload_sha256 == wanted()
    assert not Dataset.from_frame(frame(), "u", "i").has_times


def put_in(column: str, value: object) -> pd.DataFrame:
    table = frame().astype(object)
    table.loc[table.index[3], column] = value
    return table


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (frame().rename(columns={"i": "item"}), "not the column 'i'"),
        (frame().rename(columns={"t": "u"}), "twice the column 'u'"),
        (put_in("u", None), "column 'u', position 3: no id"),
        (put_in("i", float("nan")), "column 'i', position 3: no id"),
        (put_in("i", pd.NA), "column 'i', position 3: no id"),
        (put_in("u", ""), "column 'u', position 3: no id"),
        (
            put_in("u", True),
            "column 'u', position 3: 'True' is neither text nor a whole number.",
        ),
        (put_in("i", 1.5), "column 'i', position 3: '1.5' is neither"),
        (put_in("i", ["a"]), "column 'i', position 3: \"['a']\" is neither"),
        (put_in("i", "a\0b"), "column 'i', position 3: an id with NUL"),
        (put_in("u", "\ud800"), "column 'u', position 3: an id that is not UTF-8"),
        (put_in("t", "soon"), "column 't', position 3: soon is not a time"),
        (put_in("t", None), "column 't', position 3: None is not a time"),
        (put_in("t", -1), "column 't', position 3: -1 lies before 1970"),
        (put_in("t", "05/06/2020"), "column 't' may begin with the day"),
        (frame().assign(u=0.5), "column 'u', position 0: '0.5'"),
        (
            frame().assign(u=pd.array([None] * len(PAIRS), dtype="Int64")),
            "column 'u', position 0: no id",
        ),
        (frame().assign(u=np.zeros(len(PAIRS), bool)), "column 'u', position 0: 'False'"),
    ],
)
def test_errors_name_the_column(table: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset.from_frame(table, user="u", item="i", time="t")
    assert words in str(caught.value) and caught.value.hint


def test_a_missing_column_has_a_near_miss() -> None:
    with pytest.raises(DataError, match="mean 'customer_id'"):
        Dataset.from_frame(frame().rename(columns={"u": "customer_id"}), "custommer_id", "i")


# --- matrices ---------------------------------------------------------------------------------------------


def csr() -> tuple[Any, Any]:
    users, items, times = map(np.array, zip(*PAIRS))
    ones = sparse.csr_array((np.ones(len(users)), (users, items)), shape=(6, 12))
    return ones, sparse.csr_array((times, (users, items)), shape=(6, 12))


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "lil", "dok", "bsr"])
@pytest.mark.parametrize("old", [False, True])
def test_matrices_of_every_layout(layout: str, old: bool) -> None:
    matrix, times = csr()
    if old:
        matrix, times = sparse.csr_matrix(matrix), sparse.csr_matrix(times)
    data = Dataset.from_matrix(matrix.asformat(layout), times=times)
    assert data.payload_sha256 == wanted()
    names = [f"user {u}" for u in range(6)]
    named = Dataset.from_matrix(matrix.asformat(layout), users=names, items=pd.Index(range(12)))
    assert named.users.texts() == names and named.items.texts() == sorted(map(str, range(12)))
    assert not named.has_times


def test_dense_matrices_and_times_by_entry() -> None:
    matrix, times = csr()
    for one in (matrix.toarray(), matrix.toarray().astype(bool), (matrix.toarray() * 3).astype(np.int8)):
        assert Dataset.from_matrix(one, times=times.toarray()).payload_sha256 == wanted()
    assert Dataset.from_matrix(matrix, times=times.data).payload_sha256 == wanted()
    dates = times.data.astype("datetime64[s]")
    assert Dataset.from_matrix(matrix, times=dates, split="last").payload_sha256 == wanted(split="last")
    assert Dataset.from_matrix(matrix, times=list(map(str, dates))).payload_sha256 == wanted()


def test_zeros_that_are_stored_are_no_purchases() -> None:
    matrix, times = csr()
    rows, columns = np.array([0, 5]), np.array([0, 1])  # nobody bought these
    more = sparse.coo_array(
        (
            np.concatenate([matrix.data, [0, 0]]),
            (np.concatenate([matrix.tocoo().row, rows]), np.concatenate([matrix.tocoo().col, columns])),
        ),
        shape=(6, 12),
    )
    later = np.concatenate([times.data, [1, 1]])
    assert Dataset.from_matrix(more, times=later).payload_sha256 == wanted()


def test_pairs_stored_twice_are_merged_with_the_latest_time() -> None:
    matrix, times = csr()
    twice = sparse.coo_array(
        (np.tile(matrix.data, 2), (np.tile(matrix.tocoo().row, 2), np.tile(matrix.tocoo().col, 2))), (6, 12)
    )
    stamps = np.concatenate([times.data, times.data - 50])
    assert Dataset.from_matrix(twice, times=stamps).payload_sha256 == wanted()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"users": "abc"}, "There are 3 users for 6 rows"),
        ({"items": range(13)}, "There are 13 items for 12 columns"),
        ({"users": "abcdea"}, "'a' is twice among the users"),
        ({"items": [*range(11), "3"]}, "'3' is twice among the items"),
        ({"users": [None, *"abcde"]}, "Users, position 0: no id"),
        ({"times": [START]}, "There are 1 times for 48 entries"),
        ({"times": np.zeros((6, 11))}, "have the shape (6, 11)"),
        ({"times": sparse.csr_array((6, 12))}, "Row 0, column 1 of the matrix has no time"),
        ({"times": -csr()[1]}, "lies before 1970"),
    ],
)
def test_refused_matrices(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset.from_matrix(csr()[0], **options)
    assert words in str(caught.value) and caught.value.hint


def test_what_is_no_matrix() -> None:
    nan = csr()[0].copy()
    nan.data[0] = np.nan
    for matrix, words in (
        (nan, "NaN in row 0, column 1"),
        (np.zeros(5), "1 dimensions"),
        (np.full((3, 3), "a"), "of type"),
        (np.zeros((4, 4)), "the data are empty"),
        (-csr()[0], "there are no negative ones"),
    ):
        with pytest.raises(DataError, match=words):
            Dataset.from_matrix(matrix)


def test_ids_from_memory_that_are_no_ids() -> None:
    for bad in (None, float("nan"), [1], {"a": 1}, True, 1.5):
        with pytest.raises(DataError, match="Items, position 2: "):
            Dataset.from_pairs("aaa", ["x", "y", bad])
    data = Dataset.from_pairs("aaa", [1, 2.0, np.int64(3)])
    assert data.items.texts() == ["1", "2", "3"]
    assert data.items.row(2.0) == data.items.row("2") == data.items.row(2)


# --- the face ---------------------------------------------------------------------------------------------


class Cells(HTMLParser):
    """The texts of the cells, and whether any element is there that the table has not."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag in ("th", "td"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_a_dataset_in_a_notebook() -> None:
    data = Dataset.from_frame(frame(), "u", "i", "t", split="last", seed=3)
    assert repr(data) == "Dataset(6 users, 12 items, 36 / 6 / 6 interactions)"
    nasty = "<script>alert('x')</script> & \"more\""
    data.item_columns[nasty] = np.array([b"x"] * 12)
    found = Cells(data._repr_html_())
    days = sorted(str(date.fromtimestamp(t)) for _, _, t in PAIRS)
    assert dict(zip(found.cells[::2], found.cells[1::2])) == {
        "users": "6",
        "items": "12",
        "train / valid / test": "36 / 6 / 6",
        "split": "last, seed 3",
        "times": f"{days[0]} to {days[-1]}",
        "item columns": nasty,
    }
    assert found.tags == {"table", "caption", "tbody", "tr", "th", "td"}
    bare = Cells(Dataset.from_pairs("aaa", "xyz")._repr_html_()).cells
    assert "times" not in bare and "item columns" not in bare


# --- prepare as a function --------------------------------------------------------------------------------


def test_prepare_takes_one_path_or_many_and_writes(tmp_path: Path) -> None:
    path, out = tmp_path / "p.csv", tmp_path / "d.h5"
    frame().rename(columns={"u": "user", "i": "item", "t": "time"}).to_csv(path, index=False)
    names = pd.DataFrame({"item": range(12), "name": [f"n{k}" for k in range(12)]})
    names.to_csv(tmp_path / "c.csv", index=False)
    data = prepare(str(path), out=out, min_interactions=1)
    assert data.payload_sha256 == wanted() == Dataset.read(out).payload_sha256
    assert prepare([path], min_interactions=1).payload_sha256 == wanted()
    kept = prepare(path, catalogue=tmp_path / "c.csv", keep="name")
    assert kept.item_columns["name"][kept.items.row(7)] == b"n7"
    with pytest.raises(UsageError, match="does not exist"):
        prepare(path, out=tmp_path / "no" / "d.h5")


def test_a_frame_without_rows_is_called_empty() -> None:
    with pytest.raises(DataError, match="no interactions: the data are empty"):
        Dataset.from_frame(pd.DataFrame({"u": [], "i": []}), user="u", item="i")
    with pytest.raises(DataError, match="no interactions: the data are empty"):
        Dataset.from_pairs([], [])


def test_a_frame_as_matrix_brings_its_ids() -> None:
    frame = pd.DataFrame(np.ones((3, 4)), index=["u", "v", "w"], columns=list("abcd"))
    data = Dataset.from_matrix(frame)
    assert data.users.texts() == ["u", "v", "w"] and data.items.texts() == list("abcd")
