"""Inputs that are wrong: refused in one paragraph, or line by line, counted and named."""

from __future__ import annotations

import gzip
import json
import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from clothes import CLOTHES, CODECS, ROWS, writer
from mutations import mutated

from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.errors import DataError, IvbprError, UsageError
from ivbpr_numba.readers import streams
from ivbpr_numba.readers.jsonl import parse_literal
from ivbpr_numba.store.files import check_format

put = pytest.fixture(writer)


@pytest.mark.parametrize(
    ("content", "options", "problem", "text"),
    [
        ("", {}, DataError, "is empty"),
        (" \n\n", {}, DataError, "is empty"),
        (gzip.compress(b"", mtime=0), {}, DataError, "is empty"),
        ("user,item,user\na,b,c\n", {}, DataError, "twice"),
        ("who,what\na,b\n", {}, DataError, "Which column"),
        ("customer,item,time\na,b,3\n", {"user": "custommer", "item": "item"}, DataError, "mean 'customer'"),
        ("user,item\na,b\n", {"user": "user", "item": "user"}, UsageError, "two roles"),
        (
            "user,item,price\na,b,cheap\n",
            {"user": "user", "item": "item", "time": "price"},
            DataError,
            "no times",
        ),
        (
            "user,item,price\na,b,0.5\n",
            {"user": "user", "item": "item", "time": "price"},
            DataError,
            "no times",
        ),
        ("user,item\n", {}, DataError, "no usable line"),
        ("user,item\n,b\na,\n", {}, DataError, "no usable line"),
        ("[1, 2]\n", {}, DataError, "JSON"),
        ('[{"user": 1},\n{"user": 2}]\n', {}, DataError, "jq"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), {}, DataError, "HDF5"),
        (b"PK\x03\x04" + bytes(100), {}, DataError, "zip"),
        (b"PAR1" + bytes(100), {}, DataError, "Parquet"),
        ("user,item\na,b\n".encode("utf-16"), {}, DataError, "iconv"),
        (gzip.compress(bytes(500), mtime=0)[:-20], {}, DataError, "end too early"),
        (gzip.compress(bytes(500), mtime=0) + b"more", {}, DataError, "damaged"),
        (zstandard.compress(bytes(500))[:-3], {}, DataError, "end too early"),
        (bytes(range(256)) * 20, {}, DataError, "no usable line|no table|Which column"),
        ("user,item\na,b\n", {"source": "amazon"}, UsageError, "Unknown source"),
        ("user,item\na,b\n", {"source": "simple", "user": "user"}, UsageError, "own columns"),
        ("user,item\na,b\n", {"category": "women"}, UsageError, "meta="),
        ("user,item\na,b\n", {"title": "name"}, UsageError, "catalogue="),
        ("user,item\na,b\n", {"split": "time", "valid_from": "tomorrow"}, UsageError, "not a date"),
        ("user,item\na,b\n", {"test_from": "2020-01-01"}, UsageError, "takes no dates"),
    ],
)
def test_refusals(put: Callable, content: bytes, options: dict, problem: type[IvbprError], text: str) -> None:
    with pytest.raises(problem, match=text) as caught:
        prepare(put(content), **options)
    assert caught.value.hint and "\n" not in str(caught.value)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path / "no" / "none.csv", tmp_path):
        with pytest.raises(UsageError):
            prepare(path)
    with pytest.raises(UsageError, match="no input"):
        prepare([])


GOOD = [json.dumps({"user": f"u{k % 4}", "item": f"i{k}", "time": 1_500_000_000 + k}) for k in range(40)]
BAD_JSON = {
    '{"user": "u0", "item": ': "broken JSON",
    '{"user": "u0", "item": "x", "time": NaN}': "broken JSON",
    "{'user': 'u0', 'item': 'x', 'time': 1500000000}": "broken JSON",
    '["u0", "x", 1500000000]': "not a JSON object",
    '{"user": "", "item": "x", "time": 1500000000}': "user id empty",
    '{"user": " ", "item": "x", "time": 1500000000}': "user id empty",
    '{"item": "x", "time": 1500000000}': "user id empty",
    '{"user": null, "item": "x", "time": 1500000000}': "user id empty",
    '{"user": 1.5, "item": "x", "time": 1500000000}': "user id neither text nor a whole number",
    '{"user": true, "item": "x", "time": 1500000000}': "user id neither text nor a whole number",
    '{"user": ["u0"], "item": "x", "time": 1500000000}': "user id neither text nor a whole number",
    '{"user": "u0", "item": {}, "time": 1500000000}': "item id neither text nor a whole number",
    '{"user": "u0", "item": "x\\u0000y", "time": 1500000000}': "item id with NUL",
    '{"user": "u0", "item": "' + 1025 * "x" + '", "time": 1500000000}': "item id longer than 1024 bytes",
    '{"user": "u0", "item": "x"}': "no time",
    '{"user": "u0", "item": "x", "time": null}': "no time",
    '{"user": "u0", "item": "x", "time": "soon"}': "time that can't be read",
    '{"user": "u0", "item": "x", "time": true}': "time that can't be read",
    '{"user": "u0", "item": "x", "time": [1]}': "time that can't be read",
    '{"user": "u0", "item": "x", "time": -5}': "time before 1970 or after 2099",
    '{"user": "u0", "item": "x", "time": 9e99}': "time that can't be read",
    '{"user": "u0", "item": "x", "time": 99999999999}': "time before 1970 or after 2099",
}
BAD_CSV = {
    "u0,x": "not 3 fields",
    "u0,x,1500000000,4": "not 3 fields",
    ",x,1500000000": "user id empty",
    "u0,,1500000000": "item id empty",
    "u0,x,": "no time",
    "u0,x,yesterday": "time that can't be read",
    "u0,x,1e30": "time that can't be read",
    "u0,x\0,1500000000": "item id with NUL",
    f"u0,{'é' * 513},1500000000": "item id longer than 1024 bytes",
    "u0,x\ry,1500000000": "broken quoting",
}


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [(GOOD, line, reason) for line, reason in BAD_JSON.items()]
    + [
        (["user,item,time"] + [",".join(map(str, json.loads(g).values())) for g in GOOD], line, reason)
        for line, reason in BAD_CSV.items()
    ],
)
def test_bad_lines_are_counted_and_named(put: Callable, good: list[str], bad: str, reason: str) -> None:
    wanted = prepare(put("\n".join(good)))
    lines = [*good[:7], bad, *good[7:-1], bad, good[-1]]
    path = put("\n".join(lines))
    data = prepare(path)
    assert data.payload_sha256 == wanted.payload_sha256
    (row,) = data.source["inputs"][0]["bad_lines"]
    assert row["count"] == 2 and row["reason"].startswith(reason)
    assert row["first_lines"] == [8, len(lines) - 1]
    assert data.source["report"][0]["dropped"] == 2
    with pytest.raises(DataError, match=f"line 8: {reason}"):
        prepare(path, strict=True)


def test_lines_in_another_encoding(put: Callable) -> None:
    for good, bad in ((GOOD, '{"user": "é"}'), (["user,item,time", "u,i,5"], "é,x,5")):
        lines = [line.encode() for line in good * 1]
        if good is not GOOD:
            lines += [f"u{k % 4},i{k},{k}".encode() for k in range(40)]
        path = put(b"\n".join([*lines[:5], bad.encode("latin-1"), *lines[5:]]))
        assert prepare(path).source["inputs"][0]["bad_lines"] == [
            {"reason": "not UTF-8", "count": 1, "first_lines": [6]}
        ]


def test_a_line_above_the_limit_is_left_out(put: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = prepare(put("\n".join(GOOD)))
    monkeypatch.setattr(streams, "LONGEST_LINE", 5000)
    monkeypatch.setattr(streams, "PIECE", 1000)
    monkeypatch.setattr(streams, "HEAD", 1000)
    monkeypatch.setattr(streams, "_RAW", 1000)
    long = '{"user": "u0", "item": "x", "time": 1500000000, "text": "' + 20_000 * "x" + '"}'
    data = prepare(put("\n".join([*GOOD[:7], long, *GOOD[7:], long])))
    assert data.payload_sha256 == wanted.payload_sha256
    assert data.source["inputs"][0]["bad_lines"] == [
        {"reason": "too long", "count": 2, "first_lines": [8, 42]}
    ]


def test_an_open_quote_costs_its_line_only(put: Callable) -> None:
    lines = ["user,item,note,time", *[f"u{k % 3},i{k},n,{k}" for k in range(30)]]
    lines[5] = 'u1,i4,"open,4'
    path = put("\n".join(lines) + "\n")
    assert prepare(path).source["inputs"][0]["bad_lines"][0]["first_lines"] == [6]
    assert prepare(path).source["inputs"][0]["used"] == 29
    big = "\n".join([lines[0], 'u1,i,"open,4', *[f"u{k % 3},i{k},{'x' * 50},{k}" for k in range(6000)]])
    assert prepare(put(big)).source["inputs"][0]["used"] == 6000


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('false')",
        "{'a': open('/etc/passwd')}",
        "[x for x in (1,)]",
        "(" * 5000,
        "-" * 100_000 + "1",
        "{'a': '" + "x" * 2_000_000 + "\\n'}",
        "{'a': 1",
        "",
        "\0",
    ],
)
def test_literals_are_never_evaluated(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError):
            parse_literal(text.encode())


def test_no_digit_but_those_of_ascii(put: Callable, ivbpr: Callable[..., Any]) -> None:
    """Python finds "²" a digit and "٣" a decimal; what becomes a number is neither."""
    path = put("a,b,5\n" * 4)
    for name in ("²", "٢", "2" * 5000):
        done = ivbpr("prepare", path, "--user", "1", "--item", name, "-o", path.parent / "d.h5")
        assert done.code == 3 and "no column" in done.err
    simple = put(
        "\n".join([*[f"u{k % 4} i{k} 5 {k} 1 word" for k in range(40)], "u0 x 5 7 ² word", "u0 x 5 7 ١ word"])
    )
    assert prepare(simple).source["inputs"][0]["bad_lines"] == [
        {"reason": "a word count that is no number", "count": 2, "first_lines": [41, 42]}
    ]
    from ivbpr_cli.commands.network import _size

    assert _size("192x128") == _size(" 192 × 0128") == (192, 128)
    for size in ("²x²", "٣x3", "0x3", "3", "3x3x3", "-3x3", "9" * 5000 + "x3"):
        with pytest.raises(UsageError, match="is no size"):
            _size(size)
    for version in ("²", "٣.0", "", "1" * 5000):
        attributes = {"format": "ivbpr-dataset", "format_version": version}
        with pytest.raises(DataError, match="format version"):
            check_format(attributes, "x.h5", None)


def test_digits_are_asked_for_in_ascii() -> None:
    """`isdigit` and its like hold for characters that `int` refuses, or that nobody means."""
    found = [
        f"{path.name}:{number}"
        for folder in ("ivbpr_numba", "cli")
        for path in (Path(__file__).parents[2] / folder).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(r"\.is(digit|numeric|decimal)\(", line) and ".isascii()" not in line
    ]
    assert found == []


@pytest.mark.parametrize("clothes", CLOTHES)
@pytest.mark.parametrize("codec", ["plain", "gzip", "zstd"])
def test_damaged_files_end_well(put: Callable, clothes: str, codec: str) -> None:
    """A dataset or a DataError of one paragraph, nothing else; without warnings. See `test_mutations.py`."""
    data = CODECS[codec](CLOTHES[clothes][1](ROWS))
    rng = random.Random(f"{clothes} {codec}")
    path = put(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(25):
            path.write_bytes(mutated(data, rng))
            try:
                prepared = prepare(path, strict=rng.random() < 0.1)
            except DataError as problem:
                assert "\n" not in str(problem) and len(str(problem)) < 2500
            else:
                assert len(prepared.users) and prepared.train.indices.max() < len(prepared.items)
