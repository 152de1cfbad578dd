"""Boosts, towards and likes on the command line: one session, whatever way it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA, made

from ivbpr_numba import Features, Session, load
from ivbpr_numba.answers.steps import split_amount
from ivbpr_numba.documents import sessions

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steered")
    ATTRIBUTES.write(folder / "f.h5")
    made("i-vbpr", iterations=2).fit(DATA, Features.read(folder / "f.h5"), out=folder / "m.h5")
    made("bpr-mf", iterations=2).fit(DATA, out=folder / "mf.h5")
    return folder / "m.h5"


def test_command_and_python_ask_the_same_session(ivbpr: Run, model_file: Path) -> None:
    model = load(model_file)
    session = (
        Session(model, "u003").boost("hue=red", 0.25).boost("side=left", -1).toward("i010").toward("i004", 2)
    )
    asked = ("--boost", "hue=red=.25", "--boost", "left=-1", "--toward", "i010", "--toward", "i004=2")
    done = ivbpr("recommend", model_file, "u003", *asked, "-n", "7", "--format", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == json.loads(json.dumps(sessions.recommend(session, 7).as_dict()))
    found = model.recommend("u003", 7, boost={"red": 0.25, "left": -1}, toward={"i010": 1, "i004": 2})
    assert found == session.recommend(7) == json.loads(done.out)["items"]
    table = ivbpr("recommend", model_file, "u003", *asked, "--explain")
    assert "more hue=red (0.25), less side=left (1), toward i010 (1), toward i004 (2)" in " ".join(
        table.out.split()
    )
    by_taste = ivbpr("recommend", model_file, "u003", *asked, "--by", "knn", "--format", "json")
    knn = Session(model, "u003", by="knn").boost("hue=red", 0.25).boost("side=left", -1).toward("i010")
    assert json.loads(by_taste.out)["items"] == knn.toward("i004", 2).recommend(10)


def test_a_new_shopper(ivbpr: Run, model_file: Path) -> None:
    model = load(model_file)
    for by in ("model", "knn"):
        done = ivbpr("recommend", model_file, "--likes", "i001,i002", "--by", by, "--format", "json")
        found = json.loads(done.out)
        assert found["user"] is None and found["session"]["likes"] == ["i001", "i002"]
        assert found["items"] == model.recommend(likes=["i001", "i002"], by=by)
        assert not {"i001", "i002"} & {row["item"] for row in found["items"]}
    assert (
        "For a new shopper who likes i001, i002" in ivbpr("recommend", model_file, "--likes", "i001,i002").out
    )
    boosted = ivbpr("recommend", model_file, "--boost", "red", "--format", "json")
    assert json.loads(boosted.out)["items"] == Session(model).boost("red").recommend(10)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["u003", "--likes", "i001"], 2, "--likes is about a new shopper"),
        (["--all-users", "-o", "x.csv", "--likes", "i001"], 2, "--likes is about a new shopper"),
        (["--all-users", "-o", "x.csv", "--boost", "red"], 2, "about one shopper"),
        (["--all-users", "-o", "x.csv", "--by", "knn"], 2, "about one shopper"),
        ([], 2, "Name a user"),
        (["--likes", "i001,i001"], 2, "liked twice"),
        (["--likes", "i001,nothing"], 3, "nothing"),
        (["u003", "--boost", "redd=.5"], 2, "Did you mean"),
        (["u003", "--boost", "red=1e9"], 2, "--boost 1000000000.0"),
        (["u003", "--toward", "i0010"], 3, "i0010"),
        (["u003", "--by", "nearest"], 2, "--by nearest"),
        (["nobody", "--boost", "red"], 3, "nobody"),
    ],
)
def test_contradictions_are_refused(
    ivbpr: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, text: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = ivbpr("recommend", model_file, *arguments)
    assert done.code == code and text in " ".join(done.err.split()), done.err
    assert not list(tmp_path.iterdir())


def test_models_without_attributes_fold_in_and_refuse_boosts(ivbpr: Run, model_file: Path) -> None:
    other = model_file.with_name("mf.h5")
    assert ivbpr("recommend", other, "--likes", "i001").code == 0
    done = ivbpr("recommend", other, "u003", "--boost", "red")
    assert done.code == 2 and "bpr-mf knows no attributes" in done.err


@pytest.mark.parametrize(
    ("text", "known", "found"),
    [
        ("leather", (), ("leather", None)),
        ("leather=0.5", (), ("leather", 0.5)),
        ("material=leather", (), ("material=leather", None)),
        ("material=leather=-1.5e0", (), ("material=leather", -1.5)),
        ("size=38", (), ("size", 38.0)),
        ("size=38", ("size=38",), ("size=38", None)),
        ("size=38=2", ("size=38",), ("size=38", 2.0)),
        ("=3", (), ("=3", None)),
        ("leather=nan", (), ("leather=nan", None)),
        ("leather=", (), ("leather=", None)),
    ],
)
def test_the_last_mark_splits_off_a_number(text: str, known: tuple[str, ...], found: Any) -> None:
    assert split_amount(text, known=known) == found
