"""Inputs read in spans and files of their own: the very same as one after the other, errors included."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivbpr_numba.datasets import sharing
from ivbpr_numba.datasets.reading import read_pairs
from ivbpr_numba.datasets.sharing import Shares
from ivbpr_numba.errors import EnvironmentProblem, IvbprError
from ivbpr_numba.processes import Processes
from ivbpr_numba.readers import streams
from ivbpr_numba.readers.id_index import IdIndex
from ivbpr_numba.readers.recognise import recognise

TIMES = {
    "seconds": ["1500000000", "1400000001", "1500000000.5"],
    "units": ["1500000000", "1500000000000", "1500000000000000", "1500000000000000000"],
    "days": ["03/04/2019", "05/06/2018", "13/01/2019"],
    "months": ["03/04/2019", "05/06/2018", "01/13/2019"],
    "either": ["03/04/2019", "05/06/2018"],
    "both": ["03/04/2019", "13/01/2019", "01/13/2019"],
    "iso": ["2019-04-03", "2019-04-03T10:00:00Z", "20190403", "1960-01-01", "2150-01-01", "never"],
}
ODD = [
    *(b"", b"x", b"a,b,c,d,e", b",i1,1500000000", b"u1,,1500000000", b"u1,i1,", b"\xff\xfeu,i,1500000000"),
    *(b'"u,i,1500000000', b'u1,"i\n2",1500000000', b'"u""1",i2,1500000000', b'u"1,i2,1500000000', b'"'),
    *(b"u1,i\r2,1500000000", b"u\x001,i1,1500000000", b"u" * 2000 + b",i1,1500000000", b"u1, i1,1500000000"),
]


def files_of(rng: np.random.Generator, folder: Path) -> list[Path]:
    """A few files of one random form, with random defects."""
    form = str(rng.choice(["csv", "plain", "json", "simple", "ratings"]))
    times = TIMES[str(rng.choice(list(TIMES)))]
    if form in ("simple", "ratings"):
        times = TIMES["seconds"]
    odd = float(rng.choice([0.0, 0.0, 0.05, 0.3]))
    end = b"\r\n" if rng.random() < 0.3 else b"\n"
    ids = "{}.0" if rng.random() < 0.1 else "u{}"
    paths = []
    for number in range(int(rng.integers(1, 4))):
        lines = [b"user,item,time"] if form == "csv" else []
        for _ in range(int(rng.integers(3, 60))):
            user, item = ids.format(rng.integers(9)), f"B00000000{rng.integers(9)}"
            time = str(rng.choice(times))
            if rng.random() < odd:
                lines.append(ODD[rng.integers(len(ODD))])
            elif form == "json":
                given: Any = rng.choice(
                    [f'"{user}"', "7", "8.0", "null", "[1]"], p=[0.8, 0.05, 0.05, 0.05, 0.05]
                )
                lines.append(f'{{"user": {given}, "item": "{item}", "time": "{time}"}}'.encode())
            elif form == "simple":
                lines.append(
                    f"{user} {item} 4.0 {time.partition('.')[0]} 2 good  bad".replace("  ", " ").encode()
                )
            elif form == "ratings":
                lines.append(f"A{user:0>13},{item},5.0,{time}".upper().encode())
            else:
                lines.append(f"{user},{item},{time}".encode())
        data = end.join(lines) + (end if rng.random() < 0.7 else b"")
        data = (b"\xef\xbb\xbf" if rng.random() < 0.2 else b"") + data
        path = folder / f"f{number}.txt"
        path.write_bytes(gzip.compress(data) if rng.random() < 0.1 else data)
        paths.append(path)
    return paths


def read(paths: Sequence[Path], strict: bool, shared: bool, **options: Any) -> Any:
    """Everything that comes out, or the error."""
    opened = partial(recognise, **options)
    try:
        readers = [opened(path) for path in paths]
        if shared:
            with Shares(Processes(1), opened, readers, strict) as shares:
                pairs, about = read_pairs(readers, strict, shares=shares)
        else:
            pairs, about = read_pairs(readers, strict)
    except IvbprError as problem:
        return type(problem), problem.message, problem.hint
    assert isinstance(pairs.user_ids, IdIndex) and isinstance(pairs.item_ids, IdIndex)
    times = None if pairs.times is None else pairs.times.tolist()
    numbers = pairs.users.tolist(), pairs.items.tolist(), times
    return *numbers, pairs.user_ids.text(), pairs.item_ids.text(), about, pairs.report


def test_random_files_in_random_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file holds, where it is cut decides nothing."""
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0, "cut": 0, "here": 0}
    into = Shares.into

    def noted(self: Shares, number: int, *more: Any) -> bool:
        found = into(self, number, *more)
        outcomes["cut" if found and len(self._places[number]) > 2 else "here"] += 1
        return found

    monkeypatch.setattr(Shares, "into", noted)
    for _ in range(90):
        paths = files_of(rng, tmp_path)
        monkeypatch.setattr(sharing, "SPAN", int(rng.choice([1, 20, 100, 400, 1 << 20])))
        strict = bool(rng.random() < 0.2)
        monkeypatch.setattr(streams, "BLOCK", int(rng.choice([40, 200, 1 << 17])))
        alone = read(paths, strict, shared=False)
        if not strict:  # of several bad lines in a block, any may be the one that is told
            monkeypatch.setattr(streams, "BLOCK", int(rng.choice([40, 200, 1 << 17])))
        assert read(paths, strict, shared=True) == alone
        outcomes["refused" if isinstance(alone[0], type) else "read"] += 1
    assert min(outcomes.values()) > 15, outcomes


@pytest.mark.parametrize("quoted", [True, False])
def test_quotes_that_hold_line_ends(quoted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header, and then a record, that a cut goes through."""
    path = tmp_path / "f.csv"
    header = '"user","the\nitem","time"' if quoted else "user,item,time"
    rows = [f'u{k},"i\n{k}",150000000{k}' if quoted else f'"u{k}",i{k},150000000{k}' for k in range(9)]
    path.write_text("\n".join([header, *rows]))
    monkeypatch.setattr(sharing, "SPAN", 10)
    options = {"user": "user", "item": "the\nitem" if quoted else "item", "time": "time"}
    assert read([path], False, True, **options) == read([path], False, False, **options)


def test_lines_that_are_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.csv"
    rows = [f"u{k},i{k},150000000{k}" for k in range(9)]
    rows[4:4] = ["u" * 300 + ",i,1500000000"]
    path.write_text("\n".join(["user,item,time", *rows]))
    monkeypatch.setattr(sharing, "SPAN", 30)
    for limit in (100, 200, 310, 320, 400):
        monkeypatch.setattr(streams, "LONGEST_LINE", limit)
        assert read([path], False, True) == read([path], False, False)


def test_spans_are_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    rng = np.random.default_rng(1)
    for size in (1, 3, 5000, 20_000):
        lines = [b"x" * int(n) for n in rng.integers(0, size, 50)]
        data = b"\xef\xbb\xbfuser,item\n" + b"\n".join(lines)
        path.write_bytes(data)
        for about in (1, 7, 4096, 10_000):
            spans = list(streams.ByteStream(path).spans(about))
            assert b"".join(data[begin:end] for begin, end in spans) == data[3:]
            assert all(data[end - 1 : end] == b"\n" for _, end in spans[:-1])


def test_other_files_by_the_same_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker finds is compared with what was opened here."""
    path = tmp_path / "f.csv"
    text = "user,item,time\n" + "".join(f"u{k},i{k},150000000{k % 9}\n" for k in range(200))
    monkeypatch.setattr(sharing, "SPAN", 500)
    monkeypatch.setattr(streams, "HEAD", 100)
    task = sharing._Task
    changes = {
        "longer": (text + "u,i,1500000000\n", "finds another one"),
        "head": (text.replace("u0", "v0"), "finds another one"),
        "gone": ("", "not exist|no such|does not"),
    }
    for change, message in changes.values():
        path.write_text(text)
        readers = [recognise(path)]
        with Shares(Processes(1), recognise, readers, False) as shares:
            if change:
                path.write_text(change)
            else:
                path.unlink()
            with pytest.raises(EnvironmentProblem, match=message) as caught:
                read_pairs(readers, shares=shares)
        assert caught.value.exit_code == 4 and str(path) in str(caught.value)
    path.write_text(text)
    readers = [recognise(path)]
    digests = sharing._digests

    def later(given: task) -> Any:
        path.write_text(text.replace("u150", "v150"))  # after the other workers, or before them
        return digests(given)

    monkeypatch.setattr(sharing, "_digests", later)
    with Shares(Processes(1), recognise, readers, False) as shares:
        shares._tasks.append(shares._tasks.pop(0))  # the digests come last
        shares._places[0] = range(len(shares._tasks))
        with pytest.raises(EnvironmentProblem, match="different bytes"):
            read_pairs(readers, shares=shares)


def test_ids_stored_as_floats_are_those_of_each_input(tmp_path: Path) -> None:
    for name, ids in (("a.jsonl", "1.0"), ("b.jsonl", "2.0")):
        rows = [f'{{"user": {ids}, "item": "i{k}", "time": 1500000000}}\n' for k in range(3)]
        (tmp_path / name).write_text("".join(rows))
    pairs, _ = read_pairs([recognise(tmp_path / name) for name in ("a.jsonl", "b.jsonl")])
    assert [row["why"].split("; ")[-1] for row in pairs.report] == [
        "3 user ids stored as floats, read as whole numbers"
    ] * 2


def test_ids_as_text() -> None:
    index = IdIndex()
    index.add(["b", "a", "b", "ä" * 20, "c"])
    again = IdIndex()
    again.add(["c"])
    assert index.text() == b"\0".join([b"b", b"a", ("ä" * 20).encode(), b"c", b""])
    assert again.add_text(index.text(), len(index)).tolist() == [1, 2, 3, 0]
    assert IdIndex().text() == b"" and not len(again.add_text(b"", 0))
