"""What is left out is said: lines of every input, items without a row, ids of two files that don't meet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clothes import CLOTHES, writer

from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.datasets.reporting import lines_left_out
from ivbpr_numba.errors import DataError
from ivbpr_numba.features.features import Group, write_features
from ivbpr_numba.ids import Ids

put = pytest.fixture(writer)

USERS = [f"A{u:012}" for u in range(8)]
ITEMS = [f"00{k:08}" for k in range(40)]
ROWS = [(u, i, "5.0", 1_500_000_000 + n) for n, (u, i) in enumerate((u, i) for u in USERS for i in ITEMS)]


@pytest.fixture
def purchases(put: Callable) -> Path:
    return put(CLOTHES["csv"][1](ROWS))


def catalogue(items: list[str], extra: list[str] | None = None) -> list[str]:
    return ["item,name,colour", *[f"{item},Name {k},red" for k, item in enumerate(items)], *(extra or [])]


def step_of(data: Any, start: str) -> dict[str, Any]:
    (row,) = [row for row in data.source["report"] if row["step"].startswith(start)]
    return row


def test_lines_and_items_that_a_catalogue_lacks(
    put: Callable, purchases: Path, tmp_path: Path, ivbpr: Callable[..., Any]
) -> None:
    lines = [line.encode() for line in catalogue(ITEMS[:-2], [",Nobody,red", "a,b"])]
    lines[6] = f"{ITEMS[5]},Café,red".encode("latin-1")
    path = put(b"\n".join(lines))
    data = prepare(purchases, catalogue=path, title="name")
    row = step_of(data, "catalogue")
    missing = f"3 have none ('{ITEMS[5]}', '{ITEMS[38]}', '{ITEMS[39]}')"
    assert row["why"].startswith(f"37 of 40 items have a row; {missing}; ")
    for words in ("1 × not UTF-8 (line 7)", "1 × item id empty (line 40)", "1 × not 3 fields (line 41)"):
        assert words in row["why"]
    assert row["dropped"] == 0 and data.source["report"][-1]["step"] == "kept"
    wanted = {"item id empty": 40, "not 3 fields": 41, "not UTF-8": 7}
    assert lines_left_out(data) == [
        {"of": "catalogue", "file": path.name, "reason": why, "count": 1, "first": [f"{path.name}:{line}"]}
        for why, line in wanted.items()
    ]
    assert data.source["catalogue"]["rows_of_an_item_seen_before"] == 0
    with pytest.raises(DataError, match="line 7: not UTF-8") as caught:
        prepare(purchases, catalogue=path, title="name", strict=True)
    assert "iconv" in caught.value.hint

    command = ["prepare", purchases, "--catalogue", path, "--title", "name", "-o", tmp_path / "d.h5"]
    table = ivbpr(*command).out
    for words in (missing, f"{path.name}:7", f"{path.name}:40", f"{path.name}:41", "iconv"):
        assert words in table
    document = json.loads(ivbpr(*command, "--format", "json").out)
    assert document["left_out"] == lines_left_out(data) and document["lines_left_out"] == 3


def test_lines_of_purchases_are_named_by_file(
    put: Callable, tmp_path: Path, ivbpr: Callable[..., Any]
) -> None:
    good = CLOTHES["csv"][1](ROWS)
    paths = [put(good), put(good + b",x\n"), put(CLOTHES["json lines"][1](ROWS) + b"{broken\n" * 7)]
    document = json.loads(ivbpr("prepare", *paths, "-o", tmp_path / "d.h5", "--format", "json").out)
    assert [(row["file"], row["count"], row["first"]) for row in document["left_out"]] == [
        (paths[1].name, 1, [f"{paths[1].name}:322"]),
        (paths[2].name, 7, [f"{paths[2].name}:{n}" for n in range(321, 326)]),
    ]
    clean = ivbpr("prepare", paths[0], "-o", tmp_path / "d.h5")
    assert "left out" in clean.out and "Lines left out" not in clean.out and "iconv" not in clean.out


def meta_line(item: str, **more: object) -> str:
    return json.dumps({"asin": item, "title": f"T {item}", "categories": [["Books"]], **more})


def test_broken_and_missing_metadata(put: Callable, purchases: Path) -> None:
    lines = [meta_line(item) for item in ITEMS[:-1]]
    lines[3] = "{broken"
    lines[9] = meta_line(ITEMS[9], title="x" * 500)
    path = put("\n".join(lines))
    for options in ({}, {"category": "women"}):
        if options:
            with pytest.raises(DataError, match="'category'"):
                prepare(purchases, meta=path, **options)
            continue
        data = prepare(purchases, meta=path)
        row = step_of(data, "metadata")
        assert row["why"] == (
            f"38 of 40 items are described; 2 are not ('{ITEMS[3]}', '{ITEMS[39]}'); "
            f"1 titles cut to 200 characters; {path.name}: 1 × broken JSON (line 4)"
        )
        assert lines_left_out(data) == [
            {
                "of": "metadata",
                "file": path.name,
                "reason": "broken JSON",
                "count": 1,
                "first": [f"{path.name}:4"],
            }
        ]


@pytest.mark.parametrize("clothes", ["csv", "tsv without header", "json lines", "reviews 2018", "simple"])
def test_purchases_that_are_not_utf8(put: Callable, clothes: str) -> None:
    """The true cause and the way out, whatever the format."""
    rows = [(f"Aé{u[2:]}", i, r, t) for u, i, r, t in ROWS]
    text = CLOTHES[clothes][1](rows).decode().replace("\\u00e9", "é")
    with pytest.raises(DataError, match=r"line \d is not UTF-8, nor are most of its lines") as caught:
        prepare(put(text.encode("cp1252", "replace")))
    assert "iconv" in caught.value.hint


def test_catalogues_and_metadata_that_are_not_utf8(put: Callable, purchases: Path) -> None:
    def refused(path: Path, words: str, **options: object) -> None:
        with pytest.raises(DataError, match=words) as caught:
            prepare(purchases, **options)
        assert "iconv" in caught.value.hint and str(path) in caught.value.message

    text = "\n".join(catalogue(ITEMS))
    path = put(text.replace("Name", "Café").encode("latin-1"))
    refused(path, "line 2 is not UTF-8, nor are most", catalogue=path, title="name")
    path = put(text.replace("colour", "libellé").encode("latin-1"))
    refused(path, r"names of the columns .* are not UTF-8 \(line 1\)", catalogue=path, title="name")
    path = put("\n".join(meta_line(i, title="é") for i in ITEMS).replace("\\u00e9", "é").encode("latin-1"))
    refused(path, "line 1 is not UTF-8", meta=path)


def test_every_line_wrong_behind_the_head(
    put: Callable, purchases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first lines don't tell is told by the count of the lines left out."""
    from ivbpr_numba.readers import streams

    monkeypatch.setattr(streams, "HEAD", 60)
    monkeypatch.setattr(streams, "_RAW", 20)
    path = put(("item,name,colour\n\n" + "\n" * 60 + f"{ITEMS[0]},Café,red\n" * 9).encode("latin-1"))
    with pytest.raises(DataError, match="no usable line: 9 × not UTF-8") as caught:
        prepare(purchases, catalogue=path, title="name")
    assert "iconv" in caught.value.hint


CHANGES: list[tuple[str, Callable[[str], str]]] = [
    ("blanks", lambda item: f" {item}"),
    ("quotes", lambda item: f"'{item}'"),
    ("leading zeros", lambda item: item.lstrip("0")),
    (r"\.0", lambda item: f"{item}.0"),
    ("several", lambda item: f' "{item.lstrip("0")}.0"'),
]


def feature_file(path: Path, items: list[str]) -> Path:
    matrix = np.ones((len(items), 2), dtype=np.float32)
    write_features(
        path,
        Ids.collect(items, "item"),
        ["a", "b"],
        [Group("all", 0, 2, False)],
        "dense",
        1.0,
        [matrix],
        "float32",
        matrix.shape,
    )
    return path


@pytest.mark.parametrize(("cause", "change"), CHANGES)
def test_ids_that_do_not_meet(
    put: Callable, purchases: Path, tmp_path: Path, cause: str, change: Callable[[str], str]
) -> None:
    """One id of each side, and what seems to have happened to them."""
    theirs = [change(item) for item in ITEMS[1:]]
    quoted = ['"{}"'.format(item.replace('"', '""')) for item in theirs]
    for options, words in (
        ({"features": feature_file(tmp_path / "f.h5", theirs)}, r"step 'features f\.h5': no item"),
        ({"catalogue": put("\n".join(catalogue(quoted))), "title": "name"}, "No item of the data is in"),
        ({"meta": put("\n".join(map(meta_line, theirs)))}, "No item of the purchases is in"),
        ({"meta": put("\n".join(map(meta_line, theirs))), "category": "women"}, "No item of the purchases"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            prepare(purchases, **options)
        assert repr(ITEMS[1])[:40] in caught.value.message or repr(ITEMS[2]) in caught.value.message
        assert any(repr(item) in caught.value.message for item in theirs)
        with pytest.raises(DataError, match=f"cause seems to be .*{cause}"):
            prepare(purchases, **options)


def test_ids_of_something_else(purchases: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"have '{ITEMS[0]}', f.h5 has 'elsewhere'") as caught:
        prepare(purchases, features=feature_file(tmp_path / "f.h5", ["elsewhere"]))
    assert "blanks" in caught.value.hint and "min_interactions=" not in str(caught.value)
    few = feature_file(tmp_path / "few.h5", ITEMS[:2])
    with pytest.raises(DataError, match=r"'features few\.h5' dropped") as caught:
        prepare(purchases, features=few)
    assert "min_interactions=" not in str(caught.value)
    some = prepare(purchases, features=feature_file(tmp_path / "some.h5", ITEMS[:38]))
    why = step_of(some, "features")["why"]
    assert why == f"2 items without a row in some.h5, which has 38 ('{ITEMS[38]}', '{ITEMS[39]}')"


# --- whole numbers stored as floats ---------------------------------------------------------------------


def parquet(path: Path, **columns: Any) -> Path:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
    return path


NUMBERED = [(u, i) for u in range(4) for i in range(9)]


def test_floats_are_the_whole_numbers_they_hold(put: Callable, tmp_path: Path) -> None:
    users, items = zip(*NUMBERED)
    wanted = prepare(parquet(put(b""), user=list(users), item=list(items)))
    floats = parquet(put(b""), user=[float(u) for u in users], item=[float(i) for i in items])
    data = prepare(floats)
    assert data.payload_sha256 == wanted.payload_sha256 and data.items.texts()[0] == "0"
    why = data.source["report"][0]["why"]
    assert "36 user ids stored as floats, read as whole numbers; 36 item ids" in why
    assert "floats" not in wanted.source["report"][0]["why"]
    lines = "".join(json.dumps({"user": float(u), "item": i}) + "\n" for u, i in NUMBERED)
    assert prepare(put(lines)).payload_sha256 == wanted.payload_sha256
    mixed = prepare([floats, put("user,item\n" + "".join(f"{u},{i}\n" for u, i in NUMBERED))])
    assert mixed.payload_sha256 == wanted.payload_sha256
    table = parquet(put(b""), item=[float(i) for i in range(9)], name=[f"n{i}" for i in range(9)])
    assert prepare(floats, catalogue=table, title="name").item_columns["title"][3] == b"n3"


def test_floats_that_are_no_ids(put: Callable) -> None:
    users, items = zip(*NUMBERED)
    bad = parquet(
        put(b""), user=[*map(float, users), None, float("nan"), 0.5, 2.0**53], item=[*items, 1, 1, 1, 1]
    )
    assert prepare(bad).source["inputs"][0]["bad_lines"] == [
        {"reason": "user id empty", "count": 2, "first_rows": [37, 38]},
        {"reason": "user id neither text nor a whole number", "count": 2, "first_rows": [39, 40]},
    ]


def test_numbers_with_a_point_beside_numbers_without(put: Callable) -> None:
    """Within one CSV text stays text; of two the ids would be doubled, so they are refused."""
    whole = put("user,item\n" + "".join(f"{u},{i}\n" for u, i in NUMBERED))
    for user, item, words in (
        ("{}", "{}.0", "The item ids of 'input1' all end in '.0' ('0.0'), those of 'input0' don't ('0')"),
        ("{}.0", "{}", "The user ids of 'input2' all end in '.0'"),
    ):
        text = "".join(f"{user.format(u)},{item.format(i)}\n" for u, i in NUMBERED)
        path = put("user,item\n" + text)
        assert len(prepare(path).items) == 9
        for inputs in ([whole, path], [path, whole]):
            with pytest.raises(DataError) as caught:
                prepare(inputs)
            assert words in caught.value.message and "Int64" in caught.value.hint
    named = put("user,item\n" + "".join(f"{u},B{i}\n" for u, i in NUMBERED))
    pointed = put("user,item\n" + "".join(f"{u},{i}.0\n" for u, i in NUMBERED))
    assert len(prepare([named, pointed]).items) == 18


@pytest.mark.parametrize("what", ["user", "item"])
def test_ids_that_differ_by_blanks_alone(put: Callable, what: str) -> None:
    """Blanks after some of the commas would double the items; where all have one, nothing is doubled."""
    rows = [(f"u{u}", f"i{i}") for u in range(4) for i in range(4)]

    def text(blank: Callable[[int], bool]) -> str:
        cells = [(f" {u}", i) if what == "user" else (u, f" {i}") for u, i in rows]
        lines = (cells[k] if blank(k) else rows[k] for k in range(len(rows)))
        return "user,item\n" + "".join(f"{u},{i}\n" for u, i in lines)

    with pytest.raises(
        DataError, match=f"The {what} ids ' {what[0]}.' and '{what[0]}.' differ by blanks alone"
    ):
        prepare(put(text(lambda k: k % 3 == 0)), min_interactions=3)
    assert len(prepare(put(text(lambda k: True)), min_interactions=3).items) == 4
