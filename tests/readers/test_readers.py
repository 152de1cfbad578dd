"""Readers: one content in many clothes, recognition, times, ids, categories."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from clothes import CLOTHES, CODECS, ROWS, delimited_text, writer
from hypothesis import given
from hypothesis import strategies as st

from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.readers import delimited, streams
from ivbpr_numba.readers.badlines import BadLines
from ivbpr_numba.readers.id_index import IdIndex
from ivbpr_numba.readers.jsonl import parse_literal
from ivbpr_numba.readers.metadata import category_paths, is_in_category
from ivbpr_numba.readers.tables import read_table
from ivbpr_numba.readers.times import LATEST, MISSING, parse_moment, parse_times, settle_times

put = pytest.fixture(writer)


@pytest.mark.parametrize("clothes", CLOTHES)
def test_one_content_in_many_clothes(put: Callable, clothes: str) -> None:
    wanted = prepare(put(CLOTHES["csv"][1](ROWS)))
    source, make = CLOTHES[clothes]
    for codec, compress in CODECS.items():
        if clothes == "parquet" and codec != "plain":
            continue
        data = prepare(put(compress(make(ROWS))))
        assert data.payload_sha256 == wanted.payload_sha256, codec
        about = data.source["inputs"][0]
        assert data.source["recognised"] == about["recognised"] == source
        assert data.source["why"] and about["compression"] == codec.split()[0]
        assert about["used"] == len(ROWS) and about["bad_lines"] == []
        declared = prepare(put(compress(make(ROWS))), source=source)
        assert declared.payload_sha256 == wanted.payload_sha256


@pytest.mark.parametrize("clothes", [name for name in CLOTHES if name != "parquet"])
def test_crlf_bom_and_missing_last_line_end(put: Callable, clothes: str) -> None:
    plain = CLOTHES[clothes][1](ROWS)
    wanted = prepare(put(plain)).payload_sha256
    for data in (plain.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + plain, plain[:-1], plain + b"\n\n"):
        got = prepare(put(data))
        assert got.payload_sha256 == wanted
        assert got.source["inputs"][0]["bad_lines"] == []


def test_small_blocks_change_nothing(put: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = prepare(put(CLOTHES["csv"][1](ROWS))).payload_sha256
    monkeypatch.setattr(streams, "BLOCK", 100)
    monkeypatch.setattr(streams, "PIECE", 333)
    monkeypatch.setattr(streams, "HEAD", 2000)
    monkeypatch.setattr(streams, "_RAW", 700)
    for clothes, (_, make) in CLOTHES.items():
        for compress in CODECS.values():
            if clothes != "parquet":
                assert prepare(put(compress(make(ROWS)))).payload_sha256 == wanted, clothes


def test_several_inputs_are_one(put: Callable) -> None:
    wanted = prepare(put(CLOTHES["csv"][1](ROWS)))
    events: list[dict] = []
    parts = [
        put(CLOTHES["reviews 2018"][1](ROWS[:100])),
        put(gzip.compress(CLOTHES["simple"][1](ROWS[100:200]))),
        put(CLOTHES["ratings 2014"][1](ROWS[200:])),
    ]
    data = prepare(parts, progress=events.append)
    assert data.payload_sha256 == wanted.payload_sha256
    assert data.source["recognised"] == "amazon-2018; simple; amazon-2014"
    assert [row["interactions"] for row in data.source["report"][:3]] == [100, 200, 300]
    blocks = [event for event in events if "done" in event]
    assert blocks[-1]["done"] == blocks[-1]["total"] == sum(path.stat().st_size for path in parts)
    assert blocks[-1]["lines"] == 300
    with pytest.raises(UsageError, match="twice"):
        prepare([parts[0], parts[0]])
    with pytest.raises(DataError, match="has times"):
        prepare([parts[0], put("user,item\na,b\n")])


@pytest.mark.parametrize(
    "clothes", ["reviews 2014", "reviews 2023", "ratings 2014", "ratings 2018", "simple"]
)
@pytest.mark.parametrize("source", ["amazon-2014", "amazon-2018", "amazon-2023", "simple"])
def test_a_declared_format_is_checked(put: Callable, clothes: str, source: str) -> None:
    path = put(CLOTHES[clothes][1](ROWS))
    same_keys = clothes == "reviews 2014" and source == "amazon-2018"
    if source == CLOTHES[clothes][0] or same_keys:
        assert prepare(path, source=source).source["recognised"] == source
    else:
        with pytest.raises(DataError, match=source) as caught:
            prepare(path, source=source)
        assert caught.value.hint


def test_declared_seconds_that_are_milliseconds(put: Callable) -> None:
    rows = [(u, i, r, 1000 * t) for u, i, r, t in ROWS]
    for clothes in ("reviews 2014", "ratings 2014"):
        path = put(CLOTHES[clothes][1](rows))
        with pytest.raises(DataError, match="milliseconds"):
            prepare(path, source="amazon-2014")
        data = prepare(path)
        assert data.source["inputs"][0]["milliseconds"] == len(ROWS)
        assert data.train.times.max() < LATEST


def test_unknown_ids_need_a_declared_order(put: Callable) -> None:
    rows = [(f"user {u[-2:]}", f"item {i[-2:]}", r, t) for u, i, r, t in ROWS]
    path = put(CLOTHES["ratings 2018"][1](rows))
    assert prepare(path, source="amazon-2018").users[0].startswith("user")
    assert prepare(path).source["recognised"] == "table"  # the first column is the user there


def test_swapped_columns_are_caught(put: Callable) -> None:
    by_name = put("customer_id,article_id\n" + "".join(f"u{k % 3},i{k}\n" for k in range(30)))
    by_ids = put(delimited_text(ROWS, (0, 1, 3), ["x", "y", "z"]))
    for path, user, item in ((by_name, "article_id", "customer_id"), (by_ids, "y", "x")):
        with pytest.raises(DataError, match="swapped"):
            prepare(path, user=user, item=item)
        assert len(prepare(path, user=item, item=user).users)


def test_columns_by_name_and_by_number(put: Callable) -> None:
    rows = ROWS[:200]
    wanted = prepare(put(delimited_text(rows, (0, 1, 3), ["user", "item", "time"]))).payload_sha256
    path = put(delimited_text(rows, (3, 1, 0), ["when", "what", "who"]))
    assert prepare(path, user="who", item="what", time="when").payload_sha256 == wanted
    path = put(delimited_text(rows, (3, 1, 0), None))
    assert prepare(path, user="3", item="2", time="1").payload_sha256 == wanted
    words = put("".join(f"u{k % 3}\ti{k}\n" for k in range(30)))  # a first line that looks like a header
    assert prepare(words, user="1", item="2").source["inputs"][0]["used"] == 30


def test_strange_ids_survive(put: Callable) -> None:
    strange = [
        "a,b",
        'say "x"',
        "two\nlines",
        "tab\there",
        "𝄞🎷",
        "\u202eright to left",
        "שלום",
        "007",
        "٣",
        " x ",
    ]
    rows = [(u, i, 1_500_000_000 + k) for u in strange for k, i in enumerate(strange)]
    as_json = "\n".join(json.dumps({"user": u, "item": i, "time": t}) for u, i, t in rows)
    quoted = "user,item,time\n" + "".join(
        '"{}","{}",{}\n'.format(u.replace('"', '""'), i.replace('"', '""'), t) for u, i, t in rows
    )
    for text in (as_json, quoted):
        data = prepare(put(text))
        assert data.users.texts() == data.items.texts() == sorted(strange, key=str.encode)


def test_whole_numbers_are_ids(put: Callable) -> None:
    text = "\n".join(json.dumps({"user": k % 3, "item": 10**18 + k, "time": 5}) for k in range(20))
    assert prepare(put(text)).users.texts() == ["0", "1", "2"]


FIELD = st.text(st.sampled_from('ab",;\n\té𝄞 '), max_size=6)


@given(st.lists(st.lists(FIELD, min_size=3, max_size=3), min_size=1, max_size=30), st.integers(5, 60))
def test_csv_is_read_as_the_csv_module_writes_it(tmp_path_factory, rows: list, block: int) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([["x", "y", "z"], *rows])
    path = tmp_path_factory.mktemp("csv") / "table"
    path.write_bytes(out.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        patch.setattr(streams, "HEAD", 20)
        patch.setattr(streams, "_RAW", 7)
        bad = BadLines("table", strict=True)
        blocks = list(delimited.columns(streams.ByteStream(path), ",", 3, [0, 1, 2], bad, skip=1))
    got = [list(row) for _, values in blocks for row in zip(*values)]
    assert got == rows
    starts = 2 + np.cumsum([0, *[1 + sum(field.count("\n") for field in row) for row in rows]])[:-1]
    assert np.concatenate([numbers for numbers, _ in blocks]).tolist() == starts.tolist()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'x', 'b': [['y']]}", {"a": "x", "b": [["y"]]}),
        ("{'a': True, 'b': None, 'c': (1, 2)}", {"a": True, "b": None, "c": (1, 2)}),
        ("{'a': \"it's\", 'b': 'say \"x\"'}", {"a": "it's", "b": 'say "x"'}),
        ("{'a': 'x' 'y', 'b': u'z'}", {"a": "xy", "b": "z"}),
        ("{'a': '\\n\\x41'}", {"a": "\nA"}),
    ],
)
def test_python_literals(text: str, value: object) -> None:
    assert parse_literal(text.encode()) == value


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.dictionaries(WORDS, WORDS | st.integers(-(2**53), 2**53), max_size=4))
def test_a_literal_is_what_python_printed(value: dict) -> None:
    assert parse_literal(repr(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1500000000", 1_500_000_000),
        ("1500000000.9", 1_500_000_000),
        (" 1.5e9 ", 1_500_000_000),
        ("1500000000123", 1_500_000_000),
        ("0", 0),
        ("2020-09-01", 1_598_918_400),
        ("2020/9/1", 1_598_918_400),
        ("2020-09-01 12:30", 1_598_963_400),
        ("2020-09-01T12:30:00Z", 1_598_963_400),
        ("2020-09-01T14:30:00.250+02:00", 1_598_963_400),
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert parse_moment(text) == seconds
    numbers = parse_times([text, "1"])
    assert settle_times(numbers)[0].tolist() == [seconds, 1]


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-1", "0.5", "2020-13-01", "5000000000", "1e300"])
def test_no_times(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a date|before 1970 or after 2099"):
        parse_moment(text)


@pytest.mark.parametrize("text", ["1900-01-01", "2500-01-01", "-1"])
def test_times_out_of_range_are_told_from_what_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' lies before 1970 or after 2099"):
        parse_moment(text)


def test_eight_digits_are_dates_if_all_are(put: Callable) -> None:
    rows = [(f"u{k % 3}", f"i{k}", f"201809{k % 28 + 1:02d}") for k in range(30)]
    data = prepare(put("user,item,time\n" + "".join(",".join(row) + "\n" for row in rows)))
    assert str(np.datetime64(int(data.train.times.max()), "s")).startswith("2018-09")
    assert "eight digits" in data.source["why"]
    assert parse_times(["20180920"]).tolist() == [20_180_920]
    assert parse_times(["20180920", "20181399"], compact=True).tolist() == [1_537_401_600, MISSING]


@given(st.lists(st.lists(st.text(max_size=3) | st.integers() | st.none(), max_size=12), max_size=6))
def test_id_index_numbers_like_a_dictionary(blocks: list[list]) -> None:
    index, known = IdIndex(), {}
    for block in blocks:
        codes = index.add(block)
        for value, code in zip(block, codes.tolist()):
            text = "" if value is None else str(value)
            if not text.strip("".join(map(chr, range(33)))) and "\0" not in text:
                assert code == -1
            elif "\0" in text:
                assert code == -3
            elif any(0xD800 <= ord(c) < 0xE000 for c in text):
                assert code == -5
            else:
                assert known.setdefault(text, len(known)) == code
    assert [v.decode() for v in index.take(np.arange(len(index))).tolist()] == list(known)
    if known:
        assert index.find(list(known)).tolist() == list(range(len(known)))
    assert index.find(["not there at all"]).tolist() == [-1]


def test_id_index_grows() -> None:
    index = IdIndex()
    ids = [f"id {k * 2654435761 % 2**32}" for k in range(50_000)]
    for k in range(0, len(ids), 777):
        assert index.add(ids[k : k + 777]).tolist() == list(range(k, min(k + 777, len(ids))))
    assert index.add(ids[::-1]).tolist() == list(range(len(ids)))[::-1]
    assert index.take(np.array([49_999, 0])).tolist() == [ids[49_999].encode(), ids[0].encode()]


def test_category_paths() -> None:
    old = {"categories": [["Clothing, Shoes & Jewelry", "Men", "Shirts"], ["Baby"]]}
    new = {"category": ["Clothing, Shoes &amp; Jewelry", "Women", "Shoes"]}
    newest = {"categories": ["Clothing Shoes & Jewelry"]}
    named = [
        is_in_category(category_paths(r), c) for r in (old, new, newest) for c in ("clothing", "men", "baby")
    ]
    assert named == [True, True, False, True, False, False, True, False, False]
    assert is_in_category(category_paths(new), "women")
    assert category_paths({}) == []
    for wrong in ({"category": "Women"}, {"categories": [["a"], "b"]}, {"category": [1]}):
        with pytest.raises(TypeError):
            category_paths(wrong)


def test_read_table(put: Callable) -> None:
    text = 'id,name,n\n007,"a, ""b""",1\n008,,2.50\n'
    for data in (text, gzip.compress(text.encode()), text.replace("\n", "\r\n"), "\ufeff" + text):
        table = read_table(put(data))
        assert list(table.columns) == ["id", "name", "n"]
        assert table.to_numpy().tolist() == [["007", 'a, "b"', "1"], ["008", "", "2.50"]]
    lines = '{"id": "007", "n": 1, "tags": ["a"]}\n{"id": 8, "n": null, "ok": true}\n'
    table = read_table(put(lines), columns=["id", "n", "tags", "ok"])
    assert table.to_numpy().tolist() == [["007", "1", '["a"]', ""], ["8", "", "", "true"]]
    with pytest.raises(DataError, match="mean 'name'"):
        read_table(put(text), columns=["nama"])
    with pytest.raises(DataError, match="line 3: not 3 fields"):
        read_table(put("id,name,n\n1,2,3\n1,2\n"))
