"""Documents: what commands print is what the library's functions return; columns of rows that differ."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from small_models import ATTRIBUTES, DATA, fitted

from ivbpr_cli.output import Answer, Format, Screen, Table
from ivbpr_numba import Dataset, Features, Session, auc, create, load, trends
from ivbpr_numba.documents import datasets, items, models, sessions
from ivbpr_numba.documents.document import Document, columns_of
from ivbpr_numba.questions.overlaps import overlapping
from ivbpr_numba.questions.trends import measure

Run = Callable[..., Any]

# Some items have a title, others none; i000 is the first of the catalogue.
TITLED = np.array([b"" if n % 3 == 0 else b"Item %d" % n for n in range(len(DATA.items))])


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in time of a dataset with some titles."""
    folder = tmp_path_factory.mktemp("documents")
    data = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, {"title": TITLED}, DATA.source)
    ATTRIBUTES.write(folder / "f.h5")
    options = {"epochs": 3, "iterations": 4, "eval_every": 2, "segment_every": 2}
    create("i-tvbpr", **options).fit(data, Features.read(folder / "f.h5"), out=folder / "m.h5")
    return folder / "m.h5"


def plain(document: Document) -> Any:
    """As JSON has it; how long it took differs."""
    return without_seconds(json.loads(orjson.dumps(document.as_dict(), option=orjson.OPT_SERIALIZE_NUMPY)))


def without_seconds(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "seconds"}


# --- a command prints what a function returns --------------------------------------------------------------


def test_commands_print_the_documents_of_the_library(ivbpr: Run, model_file: Path) -> None:
    model, user, item = load(model_file), DATA.users[4], DATA.items[2]
    overlaps = overlapping(model.find_features(), DATA.items)
    wanted = {
        ("recommend", user, "-n", "4"): sessions.recommend(Session(model, user), 4),
        ("similar", item): items.similar(model, item),
        ("explain", user, item): sessions.explain(Session(model, user), item),
        ("auc", "--baseline", "pop"): models.auc(auc(model, baselines=["pop"])),
        ("trends", "--feature", "red"): models.trends(measure(model, ["red"], overlaps=overlaps)),
    }
    for (command, *arguments), document in wanted.items():
        done = ivbpr(command, model_file, *arguments, "--format", "json")
        assert done.code == 0, done.err
        assert without_seconds(json.loads(done.out)) == plain(document), command
        assert json.loads(done.out)["schema"] == f"ivbpr.{command}/1"
        lines = [
            json.loads(line)
            for line in ivbpr(command, model_file, *arguments, "--format", "jsonl").out.splitlines()
        ]
        assert lines == json.loads(orjson.dumps([*document.lines()])), command


def test_ids_are_text_in_documents_whatever_was_asked() -> None:
    numbers = Dataset.from_pairs([1, 1, 1, 2, 2, 2], [7, 8, 9, 7, 8, 11])
    model = create("pop").fit(numbers)
    assert sessions.recommend(Session(model, 1), 2).content["user"] == "1"


def test_what_prepare_prints(ivbpr: Run, tmp_path: Path) -> None:
    lines = [f"u{k % 4},i{k},{1_500_000_000 + k}" for k in range(40)]
    (tmp_path / "p.csv").write_text("\n".join(["user,item,time", *lines, "u0,,5"]))
    out = tmp_path / "d.h5"
    done = ivbpr("prepare", tmp_path / "p.csv", "-o", out, "--format", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == plain(datasets.prepare(Dataset.read(out), out))
    assert json.loads(done.out)["lines_left_out"] == 1


# --- columns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "named", "columns"),
    [
        ([{"a": 1}, {"a": 2, "b": 3}], (), ["a", "b"]),
        ([{"b": 1}, {"a": 2}], ("a",), ["b", "a"]),
        ([], ("a", "b"), ["a", "b"]),
        ([], (), []),
    ],
)
def test_columns_are_those_of_all_rows(rows: list[dict], named: tuple[str, ...], columns: list[str]) -> None:
    assert Document("x", {}, rows, columns=named).header == columns
    assert columns_of(rows) == (columns if rows else [])


def printed(capsys: pytest.CaptureFixture[str], form: Format, answer: Answer) -> str:
    capsys.readouterr()
    Screen(form).show(answer)
    return capsys.readouterr().out


def test_no_format_takes_its_columns_from_the_first_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"rank": 1}, {"rank": 2, "title": "Dress"}]
    answer = Answer("x", {}, rows)
    table = printed(capsys, Format.table, answer).splitlines()
    assert table[0].split() == ["rank", "title"]
    assert [line.split() for line in table[2:4]] == [["1", "–"], ["2", "Dress"]]
    assert printed(capsys, Format.csv, answer) == "rank,title\n1,\n2,Dress\n"
    own = Answer("x", {}, [], tables=[Table(rows, "Two")])
    assert "Dress" in printed(capsys, Format.table, own)


def test_csv_of_nothing_has_the_header_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Format.csv, Answer("x", {}, [], columns=("a", "b"))) == "a,b\n"
    assert printed(capsys, Format.csv, Answer("x", {}, [])) == ""


@pytest.mark.parametrize("command", ["recommend", "similar"])
def test_titles_are_shown_where_the_first_item_has_none(ivbpr: Run, model_file: Path, command: str) -> None:
    """Asked for enough items of any user, the first one sometimes has a title and sometimes not."""
    ids = DATA.users.texts() if command == "recommend" else DATA.items.texts()
    titles = dict(zip(DATA.items.texts(), (title.decode() for title in TITLED)))
    model = load(model_file)
    first = {one: getattr(model, command)(one, 5)[0]["title"] for one in ids}
    without, having = (next(one for one in ids if (first[one] is None) == none) for none in (True, False))
    for one in (without, having):
        done = ivbpr(command, model_file, one, "-n", "5", "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(done.out)))
        assert [*rows[0]] == ["rank", "item", "title", "score"]
        assert [row["title"] for row in rows] == [titles[row["item"]] for row in rows]
        assert any(row["title"] for row in rows)
        table = ivbpr(command, model_file, one, "-n", "5").out.splitlines()
        assert table[1].split() == ["rank", "item", "title", "score"]
        assert sum("Item" in line for line in table[3:]) == sum(bool(row["title"]) for row in rows)


def test_without_any_title_there_is_no_such_column(ivbpr: Run, tmp_path: Path) -> None:
    fitted("bpr-mf").save(tmp_path / "m.h5")
    done = ivbpr("recommend", tmp_path / "m.h5", DATA.users[0], "--format", "csv")
    assert done.out.splitlines()[0] == "rank,item,score"


# --- data frames -------------------------------------------------------------------------------------------


def test_an_auc_report_is_a_dictionary_and_a_frame() -> None:
    report = auc(fitted("i-vbpr"), baselines=["pop"])
    assert isinstance(report, dict) and json.loads(json.dumps(report)) == report
    frame = report.to_frame()
    assert [*frame.columns] == [
        *("scorer", "setting", "auc", "users", "pairs", "tied_pairs", "stderr", "ci95_low", "ci95_high"),
    ]
    assert frame.shape == (9, 9) and frame.index.tolist() == list(range(9))
    found = frame.set_index(["scorer", "setting"]).loc[("pop", "all")]
    wanted = report["baselines"]["pop"]["all"]
    assert found["auc"] == wanted["auc"] and found["ci95_high"] == wanted["ci95"][1]
    one = auc(fitted("bpr-mf"), settings=["cold"], cold_below=0).to_frame()
    assert one.loc[0, "users"] == 0 and pd.isna(one.loc[0, "auc"])


def test_trends_are_a_list_and_a_frame(model_file: Path) -> None:
    model = load(model_file)
    rows = trends(model, ["red", "left"])
    assert isinstance(rows, list) and json.loads(json.dumps(rows)) == rows
    frame = rows.to_frame()
    assert frame.shape == (6, 14) and frame["response"].tolist() == [row["response"] for row in rows]
    assert frame.loc[4, "feature"] == "side=left" and frame.loc[4, "epoch"] == 1
    silent = trends(model, ["red"], fits=0).to_frame()
    assert silent["low"].isna().all() and silent["low"].dtype == "float64"
    none = trends(model, [])  # also where no feature is common enough for `top`
    assert none == [] and [*none.to_frame().columns] == [*frame.columns]


def test_recommendations_become_a_frame() -> None:
    frame = pd.DataFrame(fitted("i-vbpr").recommend(DATA.users[0], 3))
    assert [*frame.columns] == ["rank", "item", "title", "score", "because"] and len(frame) == 3
