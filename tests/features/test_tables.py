"""Attributes made of tables: one-hot groups and tags, rare values, rows that disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.tables import build_feature_table


def build(folder: Path, text: str, **options: object) -> tuple[dict, Features]:
    (folder / "catalogue.csv").write_text(text, encoding="utf-8")
    arguments: dict = {"id_column": "id", "out": folder / "a.h5", **options}
    report = build_feature_table(folder / "catalogue.csv", **arguments)
    return report, Features.read(folder / "a.h5")


CATALOGUE = """id,colour,shape,tags
0012,Black,round,leather;floral
0007, Red ,,
0003,black,round,"floral; leather;"
0012,Black,round,floral;leather
0100,Black,NA,lace
"""


def test_one_hot_groups_and_tags(tmp_path: Path) -> None:
    report, features = build(tmp_path, CATALOGUE, columns=["shape", "colour"], tags=["tags"])
    assert features.kind == "attributes"
    assert features.items.texts() == ["0003", "0007", "0012", "0100"]  # zeros in front survive
    assert features.names == [
        "shape=NA", "shape=round", "colour=Black", "colour=Red", "colour=black",
        "tags=floral", "tags=lace", "tags=leather",
    ]  # fmt: skip
    assert features.groups == [
        Group("shape", 0, 2, True),
        Group("colour", 2, 3, True),
        Group("tags", 5, 3, False),
    ]
    assert features.values(np.arange(4)).tolist() == [
        [0, 1, 0, 0, 1, 1, 0, 1],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 1, 0, 1],
        [1, 0, 1, 0, 0, 0, 1, 0],
    ]
    assert (report["rows"], report["items"], report["merged_rows"], report["disagreeing_items"]) == (
        5,
        4,
        1,
        0,
    )
    assert [g["items_without_value"] for g in report["groups"]] == [1, 0, 1]
    assert report["payload_sha256"] == features.payload_sha256
    assert features.source["columns"] == ["shape", "colour"]


def test_rare_values_are_dropped_and_reported(tmp_path: Path) -> None:
    report, features = build(tmp_path, CATALOGUE, columns=["shape", "colour"], tags=["tags"], min_count=2)
    assert features.names == ["shape=round", "colour=Black", "tags=floral", "tags=leather"]
    shape, colour, tags = report["groups"]
    assert shape["dropped"] == [{"value": "NA", "items": 1}]
    assert (colour["values_seen"], colour["values_dropped"], colour["columns"]) == (3, 2, 1)
    assert colour["items_dropped"] == 2
    assert (tags["items_dropped"], tags["items_without_value"]) == (1, 1)
    assert report["items_without_values"] == 1  # 0007 keeps its all-zero row
    assert report["first_without_values"] == ["0007"]
    assert (shape["first_without_value"], shape["first_items_dropped"]) == (["0007"], ["0100"])
    assert colour["first_items_dropped"] == ["0003", "0007"]
    assert features.values(np.array([1])).tolist() == [[0, 0, 0, 0]]
    with pytest.raises(DataError, match="no value of the chosen columns is left"):
        build(tmp_path, CATALOGUE, columns=["shape"], min_count=9)


def test_a_group_without_any_value_is_left_out_and_reported(tmp_path: Path) -> None:
    report, features = build(tmp_path, "id,a,b\n1,x,\n2,y,\n", columns=["b", "a"])
    assert [g.name for g in features.groups] == ["a"]
    assert report["groups"][0] == {
        "group": "b", "columns": 0, "exclusive": True, "values_seen": 0, "numbers": False, "values_dropped": 0,
        "items_without_value": 2, "items_dropped": 0, "dropped": [],
        "first_without_value": ["1", "2"], "first_items_dropped": [],
    }  # fmt: skip


def test_a_column_of_amounts_is_told_from_one_of_codes(tmp_path: Path) -> None:
    rows = [f"{n},{n / 7:.2f},{n % 30},{n}{'' if n else 'x'}" for n in range(60)]
    report, _ = build(tmp_path, "id,price,size,code\n" + "\n".join(rows), columns=["price", "size", "code"])
    assert [(group["group"], group["numbers"]) for group in report["groups"]] == [
        ("price", True),
        ("size", False),  # not more than a few
        ("code", False),  # one of them is no number
    ]


ROWS = "id,kind,tags\nb,gown,x;y\na,top,x\nb,dress,y\nb,gown,\na,top,x\n"


def test_rows_that_disagree(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 items have rows that disagree: 'b' \(kind: 'gown' or 'dress'\)"):
        build(tmp_path, ROWS, columns=["kind"])
    report, features = build(tmp_path, ROWS, columns=["kind"], tags=["tags"], aggregate="first")
    assert features.names == ["kind=gown", "kind=top", "tags=x", "tags=y"]
    assert features.values(np.arange(2)).tolist() == [[0, 1, 1, 0], [1, 0, 1, 1]]
    assert (report["disagreeing_items"], report["first_disagreeing"]) == (1, ["b"])
    _, features = build(tmp_path, ROWS, columns=["kind"], tags=["tags"], aggregate="share")
    assert features.names == ["kind=dress", "kind=gown", "kind=top", "tags=x", "tags=y"]
    third = float(np.float16(1 / 3))
    assert features.values(np.arange(2)).tolist()[0] == [0, 0, 1, 1, 0]
    assert features.values(np.arange(2)).tolist()[1] == pytest.approx(
        [third, 2 / 3, 0, third, 2 / 3], abs=3e-4
    )


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["", "x", "y", "z"])), min_size=1, max_size=12
    ),
    aggregate=st.sampled_from(["first", "share"]),
    least=st.integers(1, 3),
)
def test_tables_equal_a_plain_count(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], aggregate: str, least: int
) -> None:
    by_item: dict[str, list[str]] = {}
    for item, value in rows:
        by_item.setdefault(f"i{item}", []).append(value)
    wanted: dict[str, dict[str, float]] = {}
    for item, seen in by_item.items():
        used = seen[:1] if aggregate == "first" else seen
        wanted[item] = {v: used.count(v) / len(used) for v in set(used) - {""}}
    kept = [v for v in "xyz" if sum(v in w for w in wanted.values()) >= least]
    text = "id,c\n" + "".join(f"i{i},{v}\n" for i, v in rows)
    folder = tmp_path_factory.mktemp("count")
    if not kept:
        with pytest.raises(DataError, match="no value"):
            build(folder, text, columns=["c"], aggregate=aggregate, min_count=least)
        return
    _, features = build(folder, text, columns=["c"], aggregate=aggregate, min_count=least)
    assert features.names == [f"c={v}" for v in kept]
    assert features.items.texts() == sorted(wanted)
    expected = [[wanted[item].get(v, 0) for v in kept] for item in sorted(wanted)]
    assert np.array_equal(features.values(np.arange(len(expected))), np.array(expected, dtype=np.float16))


def test_separators(tmp_path: Path) -> None:
    _, features = build(tmp_path, "id,t:u,v\n1,a|b,c;d\n", tags=["t:u:|", "v"])
    assert features.names == ["t:u=a", "t:u=b", "v=c", "v=d"]
    _, features = build(tmp_path, "id,v\n1,a\n2,a:b\n", tags=["v::"])
    assert features.names == ["v=a", "v=b"]


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"a": 1}])
def test_ids_are_text_or_whole_numbers(tmp_path: Path, value: Any) -> None:
    rows = [{"id": 7, "t": "x"}, {"id": value, "t": "y"}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"line 2: the id is .*, which is neither text nor a whole number"):
        build_feature_table(tmp_path / "t.jsonl", id_column="id", columns=["t"], out=tmp_path / "a.h5")


def test_choices_that_make_no_table(tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, text: str = CATALOGUE, **options: object) -> None:
        with pytest.raises(error, match=match):
            build(tmp_path, text, **options)
        assert not (tmp_path / "a.h5").exists()

    refused(UsageError, "No column was chosen")
    refused(DataError, "no column 'color'. Did you mean 'colour'", columns=["color"])
    refused(DataError, "no column 'tagz'", tags=["tagz:,"])
    refused(DataError, "no column 'article'", columns=["colour"], id_column="article")
    refused(UsageError, "chosen twice", columns=["tags"], tags=["tags"])
    refused(UsageError, "no separator", tags=["tags:"])
    refused(UsageError, "Unknown way to aggregate 'mean'", columns=["colour"], aggregate="mean")
    refused(UsageError, "asked to occur 0 times", columns=["colour"], min_count=0)
    refused(DataError, "1 rows have no id, the first is data row 2", "id,a\n1,x\n,y\n", columns=["a"])
    refused(DataError, "no rows|empty", "id,a\n", columns=["a"])
