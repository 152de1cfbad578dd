"""The page of a table: its figures are those of the file, its sections those that have something to show."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import Node, check_page, tree
from small_models import DATA

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.report import page, render, tell_table, write_table_report
from ivbpr_numba.report.numbers import figure3, percent, plain, signed
from ivbpr_numba.report.tables import charts
from ivbpr_numba.report.tables.runs import _held, luck
from ivbpr_numba.report.tables.standing import label_of
from ivbpr_numba.table2 import Table, table2
from ivbpr_numba.table2.cells import Cell
from ivbpr_numba.table2.paper import paper_rows

SETTINGS = ("all", "cold", "stratified")
PHONE = 390 - 2 * 16  # pixels between the margins of the page


@pytest.fixture(scope="module")
def story(table: Table) -> dict[str, Any]:
    return tell_table(table, paper=True)


@pytest.fixture(scope="module")
def shown(story: dict[str, Any]) -> Node:
    return tree(render(story))


def captioned(found: Node, words: str) -> list[Node]:
    """The tables whose caption begins with some words."""
    return [one for one in found.all("table") if one.all("caption")[0].words().startswith(words)]


def body(table: Node) -> Iterator[tuple[str, list[Node]]]:
    """The name and the other cells of each row."""
    for row in table.all("tbody")[0].all("tr"):
        yield row.all("th")[0].words(), row.all("td")


# --- the whole ---------------------------------------------------------------------------------------------


def test_sections(story: dict[str, Any]) -> None:
    names = [one["name"] for one in story["sections"]]
    assert names == ["table", "order", "spread", "warmth", "curves", "runs", "trends", "costs", "origin"]
    check_page(render(story), names)


def test_one_run_of_what_learns_nothing() -> None:
    table = table2(DATA, runs=1, processes=1, models=["pop"], min_users=2)
    story = tell_table(table)
    names = [one["name"] for one in story["sections"]]
    assert names == ["table", "spread", "warmth", "costs", "origin"]
    words = check_page(render(story), names).words()
    assert "over shoppers and runs" not in words and "1 run, the first" in words
    (row,) = [row for row in table.rows if row["setting"] == "all"]
    assert f"{100 * row['auc']:.1f}\xa0%" in tree(render(story)).all("h1")[0].text()


def test_from_the_file_alone_and_equal_each_time(made: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(made / "table.h5", alone / "table.h5")
    found = [write_table_report(alone / "table.h5", alone / f"{n}.html") for n in "ab"]
    assert (alone / "a.html").read_bytes() == (alone / "b.html").read_bytes()
    assert found[0]["bytes"] == (alone / "a.html").stat().st_size < 300_000
    assert str(made) not in (alone / "a.html").read_text()  # no paths of ours on a page that is handed on


# --- figures -----------------------------------------------------------------------------------------------


def test_the_tables_hold_the_rows(table: Table, shown: Node) -> None:
    for subset in table.subsets:
        (found,) = captioned(shown, f"{subset['name']}: AUC")
        cells = dict(body(found))
        assert len(cells) == len(table.columns)
        for column in table.columns:
            own = next(cells[name] for name in cells if name.split(" ")[0] == label_of(column))
            for cell, setting in zip(own, SETTINGS):
                (row,) = [
                    row for row in table.rows
                    if (row["subset"], row["model"], row["setting"]) == (subset["name"], column, setting)
                ]  # fmt: skip
                interval = f"{figure3(row['ci95_low'])}–{figure3(row['ci95_high'])}"
                assert cell.words() == figure3(row["auc"]) + (interval if row["ci95_low"] is not None else "")


def test_the_best_is_named(table: Table, shown: Node) -> None:
    rows = [row for row in table.rows if row["subset"] == "all items" and row["setting"] == "all"]
    best = max(rows, key=lambda row: row["auc"])
    said = shown.all("h1")[0].words()
    assert said.startswith(label_of(best["model"])) and percent(best["auc"], 1).replace("\xa0", " ") in said
    (table_of_all,) = captioned(shown, "all items: AUC")
    (strong,) = table_of_all.all("tr", "strong")
    assert strong.all("th")[0].words().startswith(label_of(best["model"]))


def test_the_ordering_in_words_and_drawn(table: Table, story: dict[str, Any], shown: Node) -> None:
    said = [p.words() for p in shown.all("section")[1].all("p")]
    (all_items,) = [p for p in said if p.startswith("All Items.")][:1]
    drawn = next(svg for svg in shown.all("svg") if "gaps-all" in svg.classes()).all("desc")[0].words()
    claims = [row for row in table.orderings if row["subset"] == "all items" and row["setting"] == "all"]
    assert claims
    for row in claims:
        lower, higher = label_of(row["lower"]), label_of(row["higher"])
        assert f"{lower} < {higher}" in all_items
        assert f"{signed(row['difference'], 3)} ±{figure3(row['stderr'])}" in all_items.replace("\xa0", " ")
        assert f"{lower} < {higher} {signed(row['difference'], 3)}" in drawn
    counted = [all_items.count(words) for words in ("shown for", "not shown for", "the other way round for")]
    verdicts = {
        name: [row for row in claims if row["verdict"] == name] for name in ("holds", "reversed", "not shown")
    }
    assert counted[1] == len({row["about"] == "time" for row in verdicts["not shown"]})
    assert bool(counted[2]) == bool(verdicts["reversed"])
    assert any("nothing can be told about any order" in p for p in said)  # hardly anybody is cold here
    tile = shown.all("dl", "tiles")[0].all("dd")[2].words()
    assert tile == str(len(verdicts["holds"]))
    for one in story["order"][0]["pairs"]:
        low, high = one["all"]["ci95"]
        assert low <= one["all"]["difference"] <= high


def test_every_difference_is_there(table: Table, shown: Node) -> None:
    tables = captioned(shown, "Paired differences")
    found = [row for one in tables for row in body(one)]
    assert len(found) == len(table.differences)
    for (name, cells), row in zip(found, table.differences):
        assert name == f"{label_of(row['b'])} less {label_of(row['a'])}"
        assert cells[1].words() == signed(row["difference"], 4) and cells[5].words() == plain(
            row["p_holm"], 4
        )


def test_the_paper_only_where_asked(table: Table, shown: Node) -> None:
    assert "AUC in the paper" not in tree(render(tell_table(table))).words()
    (found,) = captioned(shown, "AUC in the paper, another corpus")
    rows = dict(body(found))
    for column in table.columns:
        known = [row["auc"] for row in paper_rows() if row["model"] == column]
        assert [cell.words() for cell in rows[label_of(column)]] == [
            figure3(one) for one in known or [None] * 6
        ]
    assert "Another corpus." in shown.words()
    drawn = next(svg for svg in shown.all("svg") if "distances" in svg.classes()).all("desc")[0].words()
    auc = {
        row["model"]: row["auc"]
        for row in table.rows
        if (row["subset"], row["setting"]) == ("all items", "all")
    }
    assert (
        f"I-VBPR here {signed(auc['i-vbpr'] - auc['bpr-mf'], 3)}, in the paper +0.099, +0.118, +0.095"
        in drawn
    )


# --- shoppers ----------------------------------------------------------------------------------------------


def test_distributions(table: Table, story: dict[str, Any]) -> None:
    for column, row in zip(table.columns, story["spread"]):
        every = sorted(
            float(value)
            for run in range(table.runs)
            for value in table.cells[Cell(0, run, column)].auc
            if not math.isnan(value)
        )
        assert row["label"] == label_of(column)
        assert row["below"] == pytest.approx(sum(value < 0.5 for value in every) / len(every))
        assert row["quantiles"][2] == pytest.approx(np.median(every))
        assert sum(row["shares"]) == pytest.approx(1)
        last = sum(value >= 1 - 1 / len(row["shares"]) for value in every) / len(every)
        assert row["shares"][-1] == pytest.approx(last)


@pytest.mark.parametrize("of", ["bought", "owned"])
def test_warmth(table: Table, story: dict[str, Any], of: str) -> None:
    """The mean over runs of the means over the shoppers of a bin."""
    warmth = story["warmth"][of]
    asked = 0
    for n, bin in enumerate(warmth["bins"]):
        low, _, high = bin["label"].rstrip("+").partition("–")
        last = 10**9 if bin["label"].endswith("+") else int(high or low)
        for column, line in zip(table.columns, warmth["lines"]):
            means = []
            for run in range(table.runs):
                counts = getattr(table.questions[0, run], of)
                inside = (counts >= int(low)) & (counts <= last)
                if inside.any():
                    means.append(table.cells[Cell(0, run, column)].auc[inside].mean(dtype=float))
                if run == 0 and column == table.columns[0]:
                    assert bin["users"] == inside.sum()
                    asked += bin["users"]
            assert line["points"][n]["auc"] == pytest.approx(np.mean(means))
    assert asked == len(table.questions[0, 0].user)


# --- certainty ---------------------------------------------------------------------------------------------


def test_luck_by_hand() -> None:
    values = np.array([[0.2, 0.9, 0.4, 0.7], [0.3, 0.5, 0.9, 0.8], [0.1, 0.6, 0.6, 1.0]])
    runs, users = values.shape
    left = 0.0
    for r in range(runs):
        for u in range(users):
            left += (values[r, u] - values[r].mean() - values[:, u].mean() + values.mean()) ** 2
    means = [row.mean() for row in values]
    seen = math.sqrt(sum((mean - values.mean()) ** 2 for mean in means) / (runs - 1))
    expected = math.sqrt(left / ((users - 1) * (runs - 1) * users))
    assert luck(values) == pytest.approx((seen, expected))
    gaps = np.column_stack([values, [0.5, np.nan, 0.1]])  # who misses a run does not count
    assert luck(gaps) == pytest.approx((seen, expected))
    assert luck(values[:1]) is None and luck(values[:, :1]) is None


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.8, 1.25), (0.05, 3.0, 9.0)])
def test_luck_tells_runs_that_move_everybody(shift: float, low: float, high: float) -> None:
    rng = np.random.default_rng(4)
    ratios = []
    for _ in range(60):
        users = rng.uniform(0.3, 0.9, 200)  # shoppers differ, whatever the run
        together = shift * rng.standard_normal((3, 1))
        seen, expected = luck(users + together + 0.1 * rng.standard_normal((3, 200)))  # type: ignore[misc]
        ratios.append((seen / expected) ** 2)
    assert low < math.sqrt(np.mean(ratios)) < high


def test_runs_that_differ_by_luck_are_held_as_often_as_told(table: Table) -> None:
    """Over many tables whose runs differ by luck alone, more cases than told are rare, and fewer too."""
    rng = np.random.default_rng(8)
    inside = expected = asked = 0.0
    for _ in range(60):
        values = 0.05 * rng.standard_normal(150) + 0.2 * rng.standard_normal((3, 150))
        told = _held(values, luck(values)[1])  # type: ignore[index]
        inside += sum(held for held, _ in told)
        expected += sum(chance for _, chance in told)
        asked += len(told)
    assert (
        asked == 180 and 0.85 < expected / asked < 0.93
    )  # far from the 95 % that the runs alone would suggest
    assert abs(inside - expected) < 3 * math.sqrt(3 * expected * (1 - expected / asked))


def test_the_errors_are_those_of_the_table(table: Table, shown: Node) -> None:
    (found,) = captioned(shown, "Errors of the means over 2 runs")
    for name, cells in body(found):
        (row,) = [
            row for row in table.rows
            if (row["subset"], row["setting"]) == ("all items", "all") and label_of(row["model"]) == name
        ]  # fmt: skip
        told = [row["auc"], row["stderr_users"], row["stderr_runs"], row["stderr"]]
        assert [cell.words() for cell in cells[:4]] == [
            figure3(told[0]),
            *(plain(one, 4) for one in told[1:]),
        ]


# --- what was learned ----------------------------------------------------------------------------------------


def test_curves_and_costs(table: Table, story: dict[str, Any], shown: Node) -> None:
    assert [line["label"] for line in story["curves"]] == ["BPR-MF", "I-VBPR", "I-TVBPR"]
    for line in story["curves"]:
        about = table.cells[Cell(0, 0, line["name"])].about
        assert line["points"] == [(row["iteration"], row["valid_auc"]) for row in about["history"]]
        assert len(line["again"]) == 1 and line["valid"][0] == about["valid_auc"]
    svg = next(svg for svg in shown.all("svg") if "curves" in svg.classes())
    assert len(svg.all("polyline", "curve")) == 6 and len(svg.all("polyline", "again")) == 3
    (found,) = captioned(shown, "Time and parameters")
    rows = dict(body(found))
    for column in table.columns:
        parameters = table.cells[Cell(0, 0, column)].about["parameters"]
        told = [cell.words() for cell in rows[label_of(column)][1:3]]
        assert told == [f"{parameters['all']:,}", f"{parameters['features']:,}"]


def test_trends(table: Table, story: dict[str, Any], shown: Node) -> None:
    figure = story["trends"]["figure"]
    told = [table.cells[Cell(0, run, "i-tvbpr")].about["trends"] for run in range(2)]
    assert figure["features"] == told[0]["features"][: len(figure["features"])]
    assert figure["again"] == [len(set(figure["features"]) & set(told[1]["features"]))]
    (epochs,) = captioned(shown, "Epochs that I-TVBPR learned")
    events = [int(row.all("td")[3].words().replace(",", "")) for row in epochs.all("tbody")[0].all("tr")]
    assert events == told[0]["events"] + told[1]["events"]


def test_tuning(table: Table) -> None:
    """A table that remembers a search, whose own test is where it was made."""
    tuned = copy.copy(table)
    tuned.cells = dict(table.cells)
    shares = ([0.5, -0.1], [0.7, 0.1])
    for run in range(2):
        found = copy.copy(table.cells[Cell(0, run, "i-vbpr")])
        rows = [
            {"option": name, "share": share, "stderr": 0.2, "best_half": [1, 2]}
            for name, share in zip(("learning_rate", "factors"), shares[run])
        ]
        told = {"trials": 9, "valid_auc": 0.7 + run / 10, "default_valid_auc": 0.6, "importance": rows}
        found.about = {**found.about, "tuning": told, "chosen": {"factors": 5 + run}}
        tuned.cells[Cell(0, run, "i-vbpr")] = found
    tuned.judge()
    story = tell_table(tuned)
    (row,) = story["tuning"]
    assert [one["option"] for one in row["importance"]] == ["learning_rate", "factors"]
    assert [one["share"] for one in row["importance"]] == pytest.approx([0.6, 0.0])
    assert [one["stderr"] for one in row["importance"]] == pytest.approx([0.1, 0.1])
    words = check_page(render(story), [one["name"] for one in story["sections"]]).words()
    assert "factors 5 / 6" in words and "0.700–0.800" in words and "60 % ± 10" in words
    assert "What tuning found" not in tree(render(tell_table(table))).words()


# --- on a phone --------------------------------------------------------------------------------------------


def test_charts_are_readable_on_a_phone(shown: Node) -> None:
    svgs = [svg for svg in shown.all("svg") if "chart" in svg.classes()]
    assert len(svgs) >= 7
    for svg in svgs:
        width, height = map(float, svg.attributes["viewbox"].split()[2:])
        assert PHONE / width * 12.5 >= 11
        for text in svg.all("text"):
            assert 0 <= text.number("x") <= width and 0 <= text.number("y") <= height
        for dot in svg.all("circle"):
            assert 0 <= dot.number("cx") <= width and 0 <= dot.number("cy") <= height
    assert set(page.DRAW.values()) >= {getattr(charts, name) for name in charts.__all__}


# --- the commands ------------------------------------------------------------------------------------------


def test_the_commands(ivbpr: Callable[..., Any], made: Path, table: Table, tmp_path: Path) -> None:
    out, other = tmp_path / "r.html", tmp_path / "s.html"
    done = ivbpr("report", made / "table.h5", "-o", out, "--paper", "--title", "a < b", "--format", "json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == "ivbpr.report/1" and found["bytes"] == out.stat().st_size
    assert found["runs"] == 2 and found["subsets"] == [one["name"] for one in table.subsets]
    assert tree(out.read_text()).all("h1")[0].words() == "a < b"
    shutil.copy(made / "table.h5", tmp_path / "t.h5")
    again = [
        "table2", made / "data.h5", "--attributes", made / "attributes.h5", "--by", "side", "--runs", 2, "--seed", 3,
        "--min-users", 20, "--models", ",".join(table.columns), "-o", tmp_path / "t.h5",
        *(word for name, value in table.asked["options"].items() for word in ("--option", f"{name}={value}")),
    ]  # fmt: skip
    done = ivbpr(*again, "--paper", "--report", other)
    assert done.code == 0, done.err
    ivbpr("report", made / "table.h5", "-o", out, "--paper")
    assert other.read_text().replace("t.h5", "table.h5") == out.read_text().replace("table.h5", "table.h5")


def test_what_the_commands_refuse(ivbpr: Callable[..., Any], made: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "r.html", made / "table.h5"
    assert ivbpr("report", table, "-o", table).code == 2
    assert ivbpr("report", table, table, "-o", out).code == 2
    assert ivbpr("report", table, "-o", out, "--user", "u001").code == 2
    assert ivbpr("report", table, "-o", out, "--data", made / "data.h5").code == 2
    assert ivbpr("report", made / "data.h5", "-o", out).code == 3
    assert ivbpr("report", made / "data.h5", "-o", out, "--paper").code == 2
    done = ivbpr("table2", made / "data.h5", "-o", tmp_path / "t.h5", "--report", out, "--latex", out)
    assert done.code == 2 and "--latex and --report name one file" in done.err
    assert not out.exists()
    with pytest.raises(UsageError, match="takes a table, not"):
        write_table_report(3, out)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no such file"):
        write_table_report(tmp_path / "none.h5", out)
    with pytest.raises(DataError):
        write_table_report(made / "data.h5", out)
