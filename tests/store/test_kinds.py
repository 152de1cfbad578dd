"""What an output may replace: nothing of another kind, and a model of another fit only when told to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA, fitted

from ivbpr_numba import BPRMF, Dataset, Features, Popularity, load
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.events import check_log
from ivbpr_numba.store.atomic import write_bytes
from ivbpr_numba.store.verify import verify
from ivbpr_numba.store.writers import writer_of

FOREIGN = {
    "bytes": bytes(range(256)),
    "text": b"Dear diary,\n",
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(500),
    "table": b"user,item\na,b\n",
}
WRITERS: dict[str, Callable[[Path], object]] = {
    "model": lambda path: Popularity().fit(DATA).save(path, overwrite=True),
    "fit": lambda path: Popularity().fit(DATA, out=path, overwrite=True),
    "dataset": DATA.write,
    "features": ATTRIBUTES.write,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("content", FOREIGN)
def test_files_of_others_stay(tmp_path: Path, writer: str, content: str) -> None:
    target = tmp_path / "x.h5"
    target.write_bytes(FOREIGN[content])
    with pytest.raises(UsageError, match=r"no file of ivbpr.*not replaced"):
        WRITERS[writer](target)
    assert target.read_bytes() == FOREIGN[content]
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


@pytest.mark.parametrize("writer", WRITERS)
def test_our_own_kinds_do_not_replace_each_other(tmp_path: Path, writer: str) -> None:
    target = tmp_path / "x.h5"
    kinds = {"fit": "model"}
    for before in ("model", "dataset", "features"):
        target.unlink(missing_ok=True)
        target.touch()  # an empty file is nobody's
        WRITERS[before](target)
        content = target.read_bytes()
        if before == kinds.get(writer, writer):
            WRITERS[writer](target)
        else:
            with pytest.raises(UsageError, match=f"an ivbpr {before} file, which"):
                WRITERS[writer](target)
            assert target.read_bytes() == content


@pytest.mark.parametrize("name", ["x.pkl", "x.CSV", "x.onnx", "x.npz"])
def test_names_that_promise_something_else(tmp_path: Path, name: str) -> None:
    for writer in WRITERS.values():
        with pytest.raises(UsageError, match=r"Name it \.h5"):
            writer(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_model_of_another_fit_stays(tmp_path: Path) -> None:
    target = tmp_path / "m.h5"
    # λ_Θ is said: what `auto` makes of other data would be another difference.
    options: dict[str, Any] = {"iterations": 2, "eval_every": 1, "patience": 2, "lambda_theta": 0.1}
    first = BPRMF(**options).fit(DATA, out=target)
    BPRMF(**options, threads=1).fit(DATA, out=target)  # the same call again, however many threads
    load(target).save(target)
    other = BPRMF(**options, factors=3)
    with pytest.raises(UsageError, match=r"another fit; different: factors\..*overwrite=True"):
        other.fit(DATA, out=target)
    assert not hasattr(other, "fitted_"), "refused before any work"
    with pytest.raises(UsageError, match="different: factors"):
        other.fit(DATA).save(target)
    with pytest.raises(UsageError, match=r"different: .*model"):
        Popularity().fit(DATA).save(target)
    elsewhere = Dataset.from_pairs(["a", "b"] * 3, list("xxyyzz"))
    with pytest.raises(UsageError, match=r"different: dataset\."):
        BPRMF(**options).fit(elsewhere).save(target)
    assert load(target).payload_sha256_ == first.payload_sha256_
    other.save(target, overwrite=True)
    assert load(target).payload_sha256_ == other.payload_sha256_
    BPRMF(**options).fit(DATA, out=target, overwrite=True)
    assert load(target).payload_sha256_ == first.payload_sha256_


def test_epochs_auto_is_the_same_fit_again(tmp_path: Path) -> None:
    run = {"out": tmp_path / "m.h5"}
    options: dict[str, Any] = {"epochs": "auto", "bins": 12, "iterations": 2, "eval_every": 1}
    first = fitted("i-tvbpr", run, segment_every=1, **options)
    assert fitted("i-tvbpr", run, segment_every=1, **options).payload_sha256_ == first.payload_sha256_


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        (b"user,item,time\n", b"user,item,time,cold,auc,pairs,ties\n", False),
        (b"user,rank,item,score\n", b"user,rank,item,title,score\n", True),
        (b'{"user": "a", "item": "b"}\n', b'{"user": "a", "rank": 1, "item": "b", "score": 2}\n', False),
        (b'{"user": "a", "rank": 1}\n', b'{"user": "b", "rank": 2}\n', True),
        (b"", b"a,b\n", True),
        (b"a,b\n", b'{"a": 1, "b": 2}\n', False),
        (b"<!DOCTYPE html><p>", b"<!doctype html><b>", True),
        (b"<!DOCTYPE html><p>", b"<svg></svg>", False),
        (b"<!DOCTYPE html><p>", b"<!DOCTYPE html><!-- generator: ivbpr -->", False),
        (b"<!DOCTYPE html><!-- generator: ivbpr --><p>", b"<!DOCTYPE html><!-- generator: ivbpr -->", True),
        (b'<?xml version="1.0"?><svg></svg>', b"<svg><g/></svg>", True),
        (b"\x89PNG\r\n\x1a\nxx", b"\x89PNG\r\n\x1a\nyy", True),
        (b"\x89PNG\r\n\x1a\nxx", b"a,b\n", False),
        (b"\x08\x07\x12ivbpr.format", b"\x08\x08\x12 \0 ivbpr.format", False),
        (b"\x08\x07\x12\0 resnet", b"\x08\x08\x12\0 ivbpr.format", False),
        (b"\x08\x07\x12\0 ivbpr.format", b"\x08\x08\x12\0 ivbpr.format", True),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), b"user,item\n", False),
    ],
)
def test_texts_and_pictures(tmp_path: Path, old: bytes, new: bytes, replaced: bool) -> None:
    target = tmp_path / "x"
    target.write_bytes(old)
    if replaced:
        write_bytes(target, new)
    else:
        with pytest.raises(UsageError, match="Choose another name"):
            write_bytes(target, iter([new, b"more"]))
    assert target.read_bytes() == (new if replaced else old)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"user,item\na,b\n", "a table of text.*`prepare`"),
        (b'{"user": "a"}\n', "JSON.*`prepare`"),
        (b"\x08\x07\x12\0 resnet", "a network.*no digests"),
        (b"", "not an HDF5 file. Name"),
    ],
)
def test_what_else_a_file_seems_to_be(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=said):
        verify(tmp_path / "x")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UsageError, match="not a regular file"):
            verify(path)
        assert writer_of(path) is None


def test_a_log_replaces_logs_only(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    BPRMF(iterations=2, eval_every=1, patience=2).fit(DATA, log=log)
    check_log(log)
    for content in (b"a,b\n", b'{"user": "a", "item": "b"}\n', b"\x89HDF\r\n\x1a\n"):
        log.write_bytes(content)
        with pytest.raises(UsageError, match=r"no log.*log="):
            Popularity().fit(DATA, log=log)
        assert log.read_bytes() == content


def test_features_again(tmp_path: Path) -> None:
    ATTRIBUTES.write(tmp_path / "f.h5")
    assert Features.read(tmp_path / "f.h5").payload_sha256 == ATTRIBUTES.write(tmp_path / "f.h5")
