"""Cells of a table that hold lists: tags, whether lists or their text, and never one value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ivbpr_numba.errors import DataError
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.readers.cells import list_in_text

LISTED = [["red", "big"], [], None, ["red", 38], [" red ", ""]]


def table_of(folder: Path, cells: list, kind: str) -> Path:
    """A table of items a, b, … whose column t holds these cells."""
    frame = pd.DataFrame({"id": list("abcdefgh")[: len(cells)], "t": pd.Series(cells, dtype=object)})
    path = folder / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    elif kind == "parquet":
        frame["t"] = [cell if cell is None else list(map(str, cell)) for cell in cells]
        frame.to_parquet(path)
    elif kind == "json in csv":
        frame["t"] = ["" if cell is None else json.dumps(cell) for cell in cells]
        frame.to_csv(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "python in csv", "json in csv"])
def test_lists_are_tags(tmp_path: Path, kind: str) -> None:
    path = table_of(tmp_path, LISTED, kind)
    report = build_feature_table(path, id_column="id", tags=["t"], out=tmp_path / "a.h5")
    features = Features.read(tmp_path / "a.h5")
    assert features.names == ["t=38", "t=big", "t=red"]
    assert features.values(np.arange(5)).tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert report["groups"][0]["first_without_value"] == ["b", "c"]
    in_text = {
        "python in csv": [{"column": "t", "rows": 4, "first": "['red', 'big']"}],
        "json in csv": [{"column": "t", "rows": 4, "first": '["red", "big"]'}],
    }
    assert report["lists_in_text"] == in_text.get(kind, [])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[]", ()),
        (" [ 'a' , \"b\", 3, -1.5e3, None, nan, ] ", ("a", "b", "3", "-1.5e3")),
        ("['it\\'s', 'a,b', \"c]d\"]", ("it's", "a,b", "c]d")),
        ('["\\u00e9\\/", "\\t"]', ("é/", "\t")),
        ("('red', 'big')", ("red", "big")),
        ("{'red'}", ("red",)),
        ("red;big", None),
        ("[new];red", None),
        ("(new)", None),
        ("{new}", None),
        ("[", None),
        ("", None),
    ],
)
def test_the_text_of_a_list(text: str, values: tuple[str, ...] | None) -> None:
    assert list_in_text(text) == values


@pytest.mark.parametrize(
    "text",
    [
        "[red, big]",  # of a writer without quotes: a tag may hold a comma
        "['a' 'b']",  # of a NumPy array; Python would read 'ab'
        "[['a']]",
        "[{'a': 1}]",
        "['a', open('x')]",
        '{"a": 1}',
        "['\\x']",
        "['a'",
        "['a', 'b1'",  # cut off, as by a program that splits at commas
        '["a", "b1',
        "[" * 5000 + "]" * 5000,
    ],
)
def test_what_only_looks_like_a_list_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="the text of a"):
        list_in_text(text)
    path = table_of(tmp_path, ["plain", text], "csv")
    with pytest.raises(DataError, match=r"t\.csv', line 3: the cell .* of the column 't' is the text of a"):
        build_feature_table(path, id_column="id", tags=["t"], out=tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize(
    ("cell", "kind", "said"),
    [
        (["red"], "jsonl", "line 2: the cell .* is a list, not one value"),
        (["red"], "parquet", "row 2: the cell .* is a list, not one value"),
        ([], "csv", "line 3: the cell .* is a list, not one value"),
        (["red", "big"], "csv", "line 3: the cell .* is a list, not one value"),
        ({"a": 1}, "jsonl", "line 2: the cell .* is an object"),
        ('{"a": 1}', "csv", "the text of a structure"),
    ],
)
def test_one_value_is_no_list(tmp_path: Path, cell: Any, kind: str, said: str) -> None:
    before: Any = ["x"] if kind == "parquet" else "x"
    path = table_of(tmp_path, [before, cell], kind)
    if kind == "parquet":
        said = said.replace("row 2", "row 1")
    with pytest.raises(DataError, match=said) as caught:
        build_feature_table(path, id_column="id", columns=["t"], out=tmp_path / "a.h5")
    assert ("tags=" in caught.value.hint) == ("a list" in said)


def test_brackets_of_a_value_stay(tmp_path: Path) -> None:
    path = table_of(tmp_path, ["[new]", "(old)", "{odd}"], "csv")
    build_feature_table(path, id_column="id", columns=["t"], out=tmp_path / "a.h5")
    assert Features.read(tmp_path / "a.h5").names == ["t=(old)", "t=[new]", "t={odd}"]
