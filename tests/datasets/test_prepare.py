"""prepare: filters by category and coverage, catalogue columns, the report, options, real data."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clothes import CLOTHES, ROWS, writer

from ivbpr_numba.datasets.categories import in_category
from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.item_cells import CELL_LIMIT
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.datasets.reporting import prepare_report_lines
from ivbpr_numba.datasets.resplit import only_items
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.writing import write_features
from ivbpr_numba.ids import Ids
from ivbpr_numba.readers.tables import read_table
from ivbpr_numba.readers.times import parse_times

put = pytest.fixture(writer)

USERS = sorted({row[0] for row in ROWS})
ITEMS = sorted({row[1] for row in ROWS})


@pytest.fixture
def purchases(put: Callable) -> Path:
    return put(CLOTHES["csv"][1](ROWS))


def feature_file(path: Path, items: list[str]) -> Path:
    matrix = np.ones((len(items), 2), dtype=np.float32)
    groups = [Group("all", 0, 2, False)]
    write_features(
        path, Ids.collect(items, "item"), ["a", "b"], groups, "dense", 1.0, [matrix], "float32", matrix.shape
    )
    return path


def pairs_left(items: set[str]) -> dict[str, set[str]]:
    """Items of each user among `items`."""
    return {user: {i for u, i, *_ in ROWS if u == user and i in items} for user in USERS}


def pairs_in(data: Dataset) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {user: set() for user in data.users.texts()}
    for part in (data.train, data.valid, data.test):
        for u, i in zip(part.users, part.indices):
            found[data.users[u]].add(data.items[i])
    return found


def test_features_drop_items_before_users_are_counted(purchases: Path, tmp_path: Path) -> None:
    first = feature_file(tmp_path / "a.h5", [*ITEMS[:30], "elsewhere"])
    second = feature_file(tmp_path / "b.h5", ITEMS[10:])
    left = pairs_left(set(ITEMS[10:30]))
    least = sorted(map(len, left.values()))[4]  # so that some users go
    data = prepare(purchases, features=[first, second], min_interactions=least)
    assert pairs_in(data) == {user: items for user, items in left.items() if len(items) >= least}
    assert len(data.users) < len(USERS)
    steps = {row["step"]: row for row in data.source["report"]}
    missing = sum(row[1] not in ITEMS[:30] for row in ROWS)
    assert steps["features a.h5"]["dropped"] == missing and "31" in steps["features a.h5"]["why"]
    assert steps["features b.h5"]["dropped"] == sum(row[1] in ITEMS[:10] for row in ROWS)
    with pytest.raises(DataError, match="features none"):
        prepare(purchases, features=[feature_file(tmp_path / "none.h5", ["elsewhere"])])
    with pytest.raises(DataError):
        prepare(purchases, features=[purchases])


def test_report_adds_up(put: Callable) -> None:
    data = prepare(put(CLOTHES["csv"][1](ROWS) + b"u,,1.0,5\n"), min_interactions=20)
    report = data.source["report"]
    assert report[0]["interactions"] == len(ROWS) and report[0]["dropped"] == 1
    for before, after in pairwise(report):
        assert before["interactions"] - after["dropped"] == after["interactions"]
        assert after["users"] <= before["users"] and after["items"] <= before["items"]
    last = report[-1]
    kept = len(data.train) + len(data.valid) + len(data.test)
    assert (last["interactions"], last["users"], last["items"]) == (kept, len(data.users), len(data.items))
    assert data.source["filters"] == {"min_interactions": 20, "category": None, "features": []}
    assert json.loads(json.dumps(data.source)) == data.source
    lines = prepare_report_lines(data)
    assert len(lines) == len(report) and "item id empty (line 302)" in lines[0]


def test_catalogue(put: Callable, purchases: Path) -> None:
    wide = "x" * (CELL_LIMIT + 50)
    rows = [
        f"{item};Name of {item}, {'é' * (k == 0)};{'red' if k % 2 else ''}" for k, item in enumerate(ITEMS)
    ]
    text = "item;name;colour\n" + "\n".join(
        [*rows[:-2], f"{ITEMS[3]};again;blue", f"{ITEMS[-2]};{wide};", ""]
    )
    data = prepare(purchases, catalogue=put(gzip.compress(text.encode())), title="name", keep=["colour"])
    titles = [value.decode() for value in data.item_columns["title"].tolist()]
    assert set(data.item_columns) == {"title", "colour"}
    assert titles[0] == f"Name of {ITEMS[0]}, é" and titles[3] == f"Name of {ITEMS[3]}, "
    assert titles[-1] == "" and titles[-2] == wide[:CELL_LIMIT]
    assert data.item_columns["colour"].tolist()[:3] == [b"", b"red", b""]
    about = data.source["catalogue"]
    assert about["rows"] == len(ITEMS) and data.source["items_in_catalogue"] == len(ITEMS) - 1
    assert (about["rows_of_an_item_seen_before"], about["items_without_row"], about["cells_cut"]) == (1, 1, 1)
    bare = prepare(purchases)
    assert bare.item_columns == {} and pairs_in(bare) == pairs_in(data)
    assert bare.payload_sha256 != data.payload_sha256


def test_a_kept_column_has_one_value_an_item(put: Callable, purchases: Path) -> None:
    lines = "".join(f'{{"item": "{item}", "tags": ["a", "b"]}}\n' for item in ITEMS)
    with pytest.raises(DataError, match=r"line 1: the cell .* is a list, but an item keeps one") as caught:
        prepare(purchases, catalogue=put(lines), keep=["tags"])
    assert "keep=" in caught.value.hint
    assert prepare(purchases, catalogue=put(lines.replace('["a", "b"]', '"a"')), keep=["tags"])


def test_catalogue_refusals(put: Callable, purchases: Path) -> None:
    catalogue = put("sku,name,title\n" + "".join(f"{item},n,t\n" for item in ITEMS))
    for options, problem, text in (
        ({"title": "name"}, DataError, "item ids"),
        ({"title": "nam", "catalogue_id": "sku"}, DataError, "mean 'name'"),
        ({"title": "name", "catalogue_id": "skuu"}, DataError, "mean 'sku'"),
        ({"catalogue_id": "sku"}, UsageError, "Nothing"),
        ({"title": "name", "keep": ["title"], "catalogue_id": "sku"}, UsageError, "two|Two"),
        ({"title": "name", "catalogue_id": "name"}, DataError, "No item"),
    ):
        with pytest.raises(problem, match=text):
            prepare(purchases, catalogue=catalogue, **options)
    kept = prepare(purchases, catalogue=catalogue, catalogue_id="sku", title="title", keep=["title", "name"])
    assert set(kept.item_columns) == {"title", "name"}


ROOT = "Clothing, Shoes & Jewelry"
RELEASES: dict[str, Callable[[str, list[list[str]]], str]] = {
    "2014": lambda item, paths: repr({"asin": item, "title": f"It's {item}", "categories": paths}),
    "2014 as JSON": lambda item, paths: json.dumps(
        {"asin": item, "title": f"It's {item}", "categories": paths}
    ),
    "2018": lambda item, paths: json.dumps(
        {"asin": item, "title": f"It&#39;s {item}", "category": [p.replace("&", "&amp;") for p in paths[0]]}
    ),
    "2023": lambda item, paths: json.dumps(
        {"parent_asin": item, "title": f"It's {item}", "main_category": "x", "categories": paths[0]}
    ),
}


@pytest.mark.parametrize("release", RELEASES)
def test_category_and_titles_from_metadata(put: Callable, purchases: Path, release: str) -> None:
    def paths(k: int) -> list[list[str]]:
        return [[ROOT, ("Women", "Men", "Luggage")[k % 3], "Shirts"]] if k % 4 else [["Books", "Women"]]

    described = ITEMS[:-1]
    lines = [RELEASES[release](item, paths(k)) for k, item in enumerate(described)]
    lines += [RELEASES[release](f"never bought {k}", [[ROOT, "Women"]]) for k in range(7)]
    lines[4:4] = ["{broken", '{"asin": ""}']
    meta = put("\n".join(lines))
    for category, member in (
        ("women", lambda k: k % 4 and k % 3 == 0),
        ("men", lambda k: k % 4 and k % 3 == 1),
        ("clothing", lambda k: k % 4),
    ):
        wanted = {item for k, item in enumerate(described) if member(k)}
        data = prepare(purchases, meta=[meta], category=category, min_interactions=1)
        left = {user: items for user, items in pairs_left(wanted).items() if len(items) >= 3}
        assert pairs_in(data) == left
        assert data.source["items_described"] == len(described) + 7
        assert data.source["items_in_category"] == len(wanted) + (0 if category == "men" else 7)
        assert [row["count"] for row in data.source["metadata"][0]["bad_lines"]] == [1, 1]
        title = data.item_columns["title"][0].decode()
        assert title == f"It's {data.items[0]}"
    everything = prepare(purchases, meta=[meta])
    assert pairs_in(everything) == pairs_in(prepare(purchases))
    assert everything.item_columns["title"][-1] == b""
    with pytest.raises(DataError, match="'baby'"):
        prepare(purchases, meta=[meta], category="baby")
    with pytest.raises(UsageError, match="mean 'women'"):
        prepare(purchases, meta=[meta], category="woman")


@pytest.mark.parametrize("category", ["women", "men", "clothing"])
def test_a_category_cut_out_later_is_the_one_prepared_alone(
    category: str, put: Callable, purchases: Path
) -> None:
    paths = ([[ROOT, "Women"]], [[ROOT, "Men"]], [["Shoes"]], [[ROOT, "Men"], [ROOT, "Women"]])
    meta = put("\n".join(RELEASES["2014"](item, paths[k % 4]) for k, item in enumerate(ITEMS)))
    whole = prepare(purchases, meta=[meta], min_interactions=3, seed=4)
    alone = prepare(purchases, meta=[meta], category=category, min_interactions=3, seed=4)
    cut = only_items(whole, in_category(whole, category), seed=4, min_interactions=3)
    assert cut.payload_sha256 == alone.payload_sha256
    assert {b"", b"clothing;women", b"clothing;men", b"clothing;women;men"} >= set(
        whole.item_columns["categories"].tolist()
    )


def test_an_item_under_two_categories_belongs_to_both(put: Callable, purchases: Path) -> None:
    both = [[ROOT, "Women"], ["Shoes", "Men"], [ROOT, "Men"]]
    meta = put("\n".join(RELEASES["2014"](item, both) for item in ITEMS))
    wanted = pairs_in(prepare(purchases))
    for category in ("women", "men", "clothing"):
        assert pairs_in(prepare(purchases, meta=[meta], category=category)) == wanted


def test_metadata_in_the_wrong_place(put: Callable, purchases: Path) -> None:
    meta = put("\n".join(RELEASES["2018"](item, [[ROOT]]) for item in ITEMS))
    reviews = put(CLOTHES["reviews 2014"][1](ROWS))
    with pytest.raises(DataError, match="metadata"):
        prepare(meta)
    for wrong in (reviews, purchases):
        with pytest.raises(DataError, match="holds"):
            prepare(purchases, meta=[wrong])


def test_order_of_lines_and_inputs_does_not_matter(put: Callable) -> None:
    mixed = list(ROWS)
    random.Random(3).shuffle(mixed)
    halves = [put(CLOTHES[name][1](rows)) for name, rows in (("simple", mixed[:99]), ("csv", mixed[99:]))]
    for split in ("random", "last", "time"):
        wanted = prepare(put(CLOTHES["csv"][1](ROWS)), split=split, min_interactions=3).payload_sha256
        assert prepare(halves[::-1], split=split, min_interactions=3).payload_sha256 == wanted


def test_split_by_given_dates(purchases: Path) -> None:
    times = np.sort([row[3] for row in ROWS])
    dates = {"valid_from": str(np.datetime64(int(times[200]), "s")), "test_from": int(times[250])}
    data = prepare(purchases, split="time", **dates)
    assert data.train.times.max() < times[200] <= data.valid.times.min()
    assert data.valid.times.max() < times[250] <= data.test.times.min()
    assert data.source["test_from"] == times[250]
    with pytest.raises(UsageError, match="before the test"):
        prepare(purchases, split="time", valid_from="2020-01-02", test_from="2020-01-01")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "read", "merged", "kept"),
    [
        ("hm/transactions.csv.gz", (17_110, 728, 10_695), 14_680, (14_129, 484, 10_381)),
        ("rtr/rtr_interactions.csv.gz", (192_544, 105_571, 5_850), 192_278, (51_100, 5_708, 5_513)),
        ("ml100k/u.data.gz", (100_000, 943, 1_682), 100_000, (100_000, 943, 1_682)),
        ("amazon_fashion_2018/AMAZON_FASHION_5.json.gz", (3_176, 406, 31), 3_042, (2_968, 374, 12)),
    ],
)
def test_real_counts(real_data: Path, file: str, read: tuple, merged: int, kept: tuple) -> None:
    data = prepare(real_data / file, strict=True)
    steps = {row["step"]: row for row in data.source["report"]}
    first = data.source["report"][0]
    assert (first["interactions"], first["users"], first["items"]) == read
    assert steps["merge"]["interactions"] == merged
    assert tuple(steps["kept"][key] for key in ("interactions", "users", "items")) == kept
    assert len(data.test) == len(data.valid) == kept[1]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "column", "first", "last"),
    [
        ("hm/transactions.csv.gz", "t_dat", "2018-09-20", "2020-09-22"),
        ("rtr/rtr_interactions.csv.gz", "review_date", "2010-11-03", "2018-01-08"),
    ],
)
def test_real_dates(real_data: Path, file: str, column: str, first: str, last: str) -> None:
    seconds = parse_times(read_table(real_data / file, [column])[column].tolist())
    days = seconds.astype("datetime64[s]").astype("datetime64[D]")
    assert (str(days.min()), str(days.max())) == (first, last)


@pytest.mark.real_data
def test_real_items_are_cold(real_data: Path) -> None:
    """The regime of the paper: hardly an article is bought five times, most test items are cold."""
    data = prepare(real_data / "hm" / "transactions.csv.gz", strict=True)
    counts = np.zeros(len(data.items), dtype=int)
    for part in (data.train, data.valid, data.test):
        np.add.at(counts, part.indices, 1)
    assert np.mean(counts < 5) == pytest.approx(0.987, abs=0.0005)
    tested = data.train_counts[data.test.indices]
    assert np.mean(tested < 5) == pytest.approx(0.97, abs=0.01)
    assert np.mean(tested == 0) == pytest.approx(0.56, abs=0.03)


def test_the_sub_category_of_the_metadata_is_kept(tmp_path: Path) -> None:
    """The first path of four names or more, cut at the fourth; items without one have none."""
    items = [f"B{k:09}" for k in range(6)]
    reviews = [
        {"reviewerID": f"A{u:013}", "asin": item, "overall": 5.0, "unixReviewTime": 1_400_000_000 + u}
        for u in range(4)
        for item in items
    ]
    root = ["Clothing, Shoes & Jewelry", "Women"]
    paths = [
        [[*root, "Shoes", "Boots", "Ankle"]],
        [["Sale"], [*root, "Shoes", "Boots &amp; More"]],
        [root],
        [],
        [root],
        [],
    ]
    meta = [{"asin": item, "title": "t", "categories": own} for item, own in zip(items, paths)]
    for name, rows in (("reviews.json", reviews), ("meta.json", meta)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = prepare(tmp_path / "reviews.json", meta=[tmp_path / "meta.json"])
    start = "Clothing, Shoes & Jewelry > Women > Shoes > "
    found = [value.decode() for value in data.item_columns["category"].tolist()]
    assert found == [start + "Boots", start + "Boots & More", "", "", "", ""]
