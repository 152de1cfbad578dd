"""The table: its figures against `auc`, corpora, columns that are left out, the file, resuming, made again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA
from table2_small import MODELS, QUICK, asked, divided

import ivbpr_numba.table2.making as making
from ivbpr_numba import Dataset, Features, auc, create
from ivbpr_numba.datasets.resplit import split_again
from ivbpr_numba.errors import DataError, EnvironmentProblem, UsageError
from ivbpr_numba.store.verify import inspect, verify
from ivbpr_numba.table2 import Table, table2
from ivbpr_numba.table2.again import compare_tables, make_again
from ivbpr_numba.table2.cells import Cell, Found
from ivbpr_numba.table2.columns import COLUMNS, pairs_of
from ivbpr_numba.table2.ordering import orderings
from ivbpr_numba.table2.parts import parts_path
from ivbpr_numba.table2.text import chosen_words
from ivbpr_numba.tuning import tune


def row_of(table: Table, model: str, setting: str = "all", subset: str = "all items") -> dict[str, Any]:
    (row,) = [
        row for row in table.rows if (row["model"], row["setting"], row["subset"]) == (model, setting, subset)
    ]
    return row


class TestFigures:
    @pytest.mark.parametrize("model", ["pop", "i-vbpr", "i-tvbpr"])
    def test_a_cell_is_what_fit_and_auc_give(self, table: Table, model: str) -> None:
        """Each run by hand: the data's own split, then another seed for split and start."""
        for run in range(2):
            data = split_again(divided(), 5 + run) if run else divided()
            known = create(model).option_names()
            options = {name: value for name, value in QUICK.items() if name in known}
            fitted = create(model, **options, seed=3 + run) if "seed" in known else create(model)
            report = auc(fitted.fit(data, ATTRIBUTES if "vbpr" in model else None))
            for setting in ("all", "cold", "stratified"):
                found = row_of(table, model, setting)["each_run"][run]
                assert found == pytest.approx(report[setting]["auc"], abs=1e-6)
            about = table.cells[Cell(0, run, model)].about
            assert about["payload_sha256"] == fitted.payload_sha256_
            assert about["parameters"]["all"] == fitted.parameters_.count() - (3 if "tvbpr" in model else 0)
            assert [row["valid_auc"] for row in about["history"]] == [
                row["valid_auc"] for row in fitted.history_
            ]

    def test_the_cosine_is_that_of_auc(self, table: Table) -> None:
        report = auc(create("pop").fit(divided()), features=ATTRIBUTES, baselines=["cosine"])
        found = row_of(table, "cosine")["each_run"][0]
        assert found == pytest.approx(report["baselines"]["cosine"]["all"]["auc"], abs=1e-6)

    def test_every_row_and_pair_is_there(self, table: Table) -> None:
        assert table.columns == MODELS
        assert [s["name"] for s in table.subsets] == ["all items", "side=right", "side=left"]
        assert len(table.rows) == 3 * 3 * len(MODELS)
        assert len(table.differences) == 3 * 3 * len(pairs_of(MODELS))
        row = row_of(table, "i-vbpr")
        assert row["feature_parameters"] == 5 * 41 and row["runs"] == 2 and row["chosen"] == {}
        assert row["stderr"] == pytest.approx(np.hypot(row["stderr_users"], row["stderr_runs"]))

    def test_a_difference_is_that_of_the_rows(self, table: Table) -> None:
        for row in table.differences:
            values = [row_of(table, row[key], row["setting"], row["subset"])["auc"] for key in ("b", "a")]
            assert row["difference"] == pytest.approx(values[0] - values[1], abs=1e-12)

    def test_what_a_page_needs_is_in_the_file(self, table: Table) -> None:
        asked_ = table.questions[0, 1]
        data = split_again(divided(), 6)
        assert np.array_equal(asked_.bought, data.train_counts[asked_.item])
        assert np.array_equal(asked_.owned, np.diff(data.train.indptr)[asked_.user])
        assert set(asked_.classes) <= {0, 1, 2} and np.all((asked_.classes < 2) == asked_.cold(5))
        trends = table.cells[Cell(0, 0, "i-tvbpr")].about["trends"]
        assert len(trends["edges"]) == 3 and len(trends["change"]) == 2
        assert sum(trends["events"]) == len(DATA.train) + len(DATA.valid)

    def test_the_number_of_processes_changes_nothing(self, folder: Path, table: Table) -> None:
        again = table2(
            folder / "data.h5",
            attributes=folder / "attributes.h5",
            out=folder / "b.h5",
            processes=2,
            **asked(),
        )
        assert again.payload_sha256 == table.payload_sha256
        assert json.dumps(again.differences) == json.dumps(table.differences)
        assert not parts_path(folder / "b.h5").exists()

    def test_data_in_memory(self, table: Table) -> None:
        found = table2(
            divided(), attributes=ATTRIBUTES, processes=2, **{**asked(), "models": ["pop", "cosine"]}
        )
        assert found.path is None and found.rows[0]["auc"] == row_of(table, "pop")["auc"]


class TestTuning:
    def test_each_run_is_tuned_on_its_own_split(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As `tune` and `fit` would by hand; a search that was killed goes on, to the same figures."""
        data = folder / "data.h5"
        small: dict[str, Any] = {"models": ["pop", "bpr-mf"], "runs": 2, "tune": 3, "processes": 1}
        small["options"] = {"iterations": 8, "eval_every": 2}
        found = table2(data, **small, out=folder / "t.h5")
        for run in range(2):
            own = split_again(divided(), 5 + run)
            fixed = {**small["options"], "seed": run}
            tuned = tune("bpr-mf", own, trials=3, seed=run, processes=1, options=fixed)
            about = found.cells[Cell(0, run, "bpr-mf")].about
            assert about["tuning"]["valid_auc"] == tuned.valid_auc >= about["tuning"]["default_valid_auc"]
            assert about["payload_sha256"] == tuned.create().fit(own).payload_sha256_
            assert set(about["chosen"]) <= set(tuned.best)
            assert about["tuning"]["importance"] == tuned.importance
        assert found.cells[Cell(0, 0, "pop")].about["tuning"] is None
        row = row_of(found, "bpr-mf")
        assert row["tune_seconds"] > 0 and all(len(values) == 2 for values in row["chosen"].values())

        fits = []

        def stopped(trial: dict[str, Any]) -> None:
            if trial.get("event") == "trial":
                fits.append(trial)
                if len(fits) == 2:
                    raise EnvironmentProblem("The power is off.")

        with pytest.raises(EnvironmentProblem):
            table2(data, **small, out=folder / "again.h5", observers=stopped)
        again = table2(data, **small, out=folder / "again.h5")
        assert again.payload_sha256 == found.payload_sha256
        assert not parts_path(folder / "again.h5").exists()

    def test_what_was_chosen_in_words(self) -> None:
        assert chosen_words({"factors": [10, 10], "average": [0.9, None], "negatives": ["trained"]}) == (
            "factors 10, average 0.9 / default, negatives trained"
        )


class TestCorpora:
    def test_a_corpus_is_one_of_its_own(self, table: Table) -> None:
        """Its users have five items there, and its split is that of the purchases alone."""
        data = divided()
        left = data.item_columns["side"] == b"left"
        users, items = [], []
        for part in (data.train, data.valid, data.test):
            own = left[part.indices]
            users += [data.users[u] for u in part.users[own].tolist()]
            items += [data.items[i] for i in part.indices[own].tolist()]
        alone = Dataset.from_pairs(users, items, seed=5, min_interactions=5)
        subset = table.subsets[2]
        assert (subset["users"], subset["items"]) == (len(alone.users), len(alone.items))
        found = row_of(table, "pop", subset="side=left")["each_run"][0]
        assert found == pytest.approx(auc(create("pop").fit(alone))["all"]["auc"], abs=1e-6)

    def test_small_ones_are_named(self, table: Table) -> None:
        rows = {row["subset"]: row for row in table.left_out["subsets"]}
        assert rows["side=none"]["users"] == 0 and "2 items have no value" in rows["side="]["why"]
        assert any("side=none" in note for note in table.notes())

    def test_wrong_ones(self) -> None:
        for options, words in (
            ({"by": "sid"}, "Did you mean 'side'"),
            ({"category": "women"}, "Prepare them with the metadata"),
            ({"category": "wimen"}, "Did you mean 'women'"),
            ({"category": "women", "by": "side"}, "Choose one"),
        ):
            with pytest.raises(UsageError, match=words):
                table2(divided(), models="pop", **options)


class TestColumns:
    def test_what_is_missing_is_said(self) -> None:
        found = table2(DATA, runs=1, processes=1, models=["pop", "vbpr", "cosine"], min_users=2)
        assert found.columns == ["pop"]
        why = {row["model"]: row["why"] for row in found.left_out["columns"]}
        assert set(why) == {"vbpr", "cosine"} and "'dense'" in why["vbpr"]
        assert row_of(found, "pop")["stderr_runs"] is None and found.differences == []

    def test_wrong_options(self) -> None:
        for options, words in (
            ({"models": ["popp"]}, "Did you mean 'pop'"),
            ({"dense": ATTRIBUTES}, "of the kind 'attributes'"),
            ({"options": {"seed": 1}}, "sets the option 'seed' itself"),
            ({"options": {"facters": 1}, "models": ["bpr-mf"]}, "Did you mean 'factors'"),
            ({"runs": 0}, "runs=0"),
            ({"models": ["vbpr"]}, "No column is left"),
            ({"ties": "none"}, "rule for ties"),
        ):
            with pytest.raises(UsageError, match=words):
                table2(DATA, **options)

    def test_pairs(self) -> None:
        pairs = pairs_of(COLUMNS)
        assert ("vbpr", "tvbpr") in pairs and ("bpr-mf", "vbpr") in pairs
        assert len({frozenset(pair) for pair in pairs}) == len(pairs)


class TestOrdering:
    def row(
        self, difference: float, p: float, low: float, a: str = "bpr-mf", b: str = "vbpr"
    ) -> dict[str, Any]:
        known = {"subset": "all items", "setting": "all", "a": a, "b": b, "difference": difference}
        return known | {"stderr": 0.01, "p_holm": p, "ci95_low": low, "ci95_high": low + 0.04, "users": 50}

    @pytest.mark.parametrize(
        ("difference", "p", "low", "verdict"),
        [
            (0.05, 0.01, 0.03, "holds"),
            (-0.05, 0.01, -0.07, "reversed"),
            (0.05, 0.06, 0.03, "not shown"),
            (0.01, 0.01, -0.01, "not shown"),  # other runs might turn it round
        ],
    )
    def test_verdicts(self, difference: float, p: float, low: float, verdict: str) -> None:
        (found,) = orderings([self.row(difference, p, low)])
        assert (found["verdict"], found["difference"]) == (verdict, difference)

    def test_a_pair_the_other_way_round(self) -> None:
        (found,) = orderings([self.row(-0.2, 0.001, -0.22, "rand", "pop")])
        assert (found["lower"], found["higher"]) == ("pop", "rand")
        assert (found["verdict"], found["difference"]) == ("holds", 0.2)

    def test_words(self, table: Table) -> None:
        words = "\n".join(table.words())
        assert "all items, All Items. The paper's order: POP < RAND" in words
        assert "users nothing can be told about any order." in words  # hardly anybody is cold here


class TestFile:
    def test_there_and_back(self, made: Path, table: Table) -> None:
        report = verify(made / "table.h5")
        assert report.ok and report.payload_sha256 == table.payload_sha256
        copy = Table.read(made / "table.h5")
        assert copy.report() == table.report()
        assert np.array_equal(copy.values(1, "cold", "pop"), table.values(1, "cold", "pop"), equal_nan=True)
        rows = list(copy.rows)
        copy.judge()
        assert copy.rows == rows, "the figures are not those of the users in the file"
        documents = inspect(made / "table.h5")["documents"]
        assert {"/asked", "/rows", "/differences", "/inputs", "/cells/0/0/pop/about"} <= set(documents)

    def test_seconds_are_no_part_of_the_payload(self, table: Table, tmp_path: Path) -> None:
        other = Table.read(table.path)
        other.cells[Cell(0, 0, "pop")].seconds["fit"] = 99.0
        other.judge()
        assert other.save(tmp_path / "t.h5") == table.payload_sha256

    def test_one_that_contradicts_itself(self, table: Table, tmp_path: Path) -> None:
        other = Table.read(table.path)
        cell = other.cells[Cell(0, 0, "pop")]
        other.cells[Cell(0, 0, "pop")] = Found(cell.auc[:-1], cell.stratified, cell.about, cell.seconds)
        other.save(tmp_path / "t.h5")
        with pytest.raises(DataError, match="contradicts itself: auc of /cells/0/0/pop"):
            Table.read(tmp_path / "t.h5")


class TestResuming:
    def options(self, folder: Path) -> dict[str, Any]:
        return {"attributes": folder / "attributes.h5", "out": folder / "t.h5", "processes": 1, **asked()}

    def stop_after(self, monkeypatch: pytest.MonkeyPatch, cells: int) -> list[Cell]:
        """Fail at a later cell; the list grows by each that was begun."""
        begun, fill = [], making.fill

        def counted(shop: Any, cell: Cell, tell: Callable[..., None]) -> Found:
            if len(begun) == cells:
                raise EnvironmentProblem("The power is off.")
            begun.append(cell)
            return fill(shop, cell, tell)

        monkeypatch.setattr(making, "fill", counted)
        return begun

    def test_finished_cells_stay(self, folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            first = self.stop_after(patch, 7)
            with pytest.raises(EnvironmentProblem, match="power"):
                table2(folder / "data.h5", **self.options(folder))
        assert len(list(parts_path(folder / "t.h5").glob("*.h5"))) == 7
        damaged = next(parts_path(folder / "t.h5").glob("*.h5"))
        damaged.write_bytes(damaged.read_bytes()[:-100])  # as a machine that lost its power may leave it
        with monkeypatch.context() as patch:
            rest = self.stop_after(patch, 99)
            found = table2(folder / "data.h5", **self.options(folder))
        assert found.payload_sha256 == table.payload_sha256
        assert len(first) + len(rest) == 3 * 2 * len(MODELS) + 1
        assert not parts_path(folder / "t.h5").exists()

    def test_another_question(self, folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            self.stop_after(patch, 1)
            with pytest.raises(EnvironmentProblem):
                table2(folder / "data.h5", **self.options(folder))
        other = {**self.options(folder), "models": ["pop"], "seed": 4}
        with pytest.raises(UsageError, match="another table; different: models, seed"):
            table2(folder / "data.h5", **other)
        found = table2(folder / "data.h5", **other, overwrite=True)
        with pytest.raises(UsageError, match="another question; different: models, seed"):
            table2(folder / "data.h5", **self.options(folder))
        with monkeypatch.context() as patch:
            begun = self.stop_after(patch, 0)
            assert table2(folder / "data.h5", **other).payload_sha256 == found.payload_sha256
            assert begun == []  # the finished table was read

    def test_a_folder_of_somebody_else_stays(self, folder: Path) -> None:
        parts_path(folder / "t.h5").mkdir()
        (parts_path(folder / "t.h5") / "thesis.txt").write_text("!")
        with pytest.raises(UsageError, match="holds other things"):
            table2(folder / "data.h5", **self.options(folder), overwrite=True)
        assert (parts_path(folder / "t.h5") / "thesis.txt").exists()


class TestAgain:
    def test_it_is_the_same(self, made: Path, tmp_path: Path, table: Table) -> None:
        found, comparison = make_again(made / "table.h5", tmp_path / "again.h5", 2)
        assert comparison.equal and found.payload_sha256 == table.payload_sha256
        assert comparison.in_words().startswith("The same as")
        comparison.raise_for_difference()

    def test_a_difference_is_named(self, table: Table) -> None:
        other = Table.read(table.path)
        cell = other.cells[Cell(1, 1, "pop")]
        auc_ = cell.auc.copy()
        auc_[0] += 0.25
        other.cells[Cell(1, 1, "pop")] = dataclasses.replace(cell, auc=auc_)
        other.payload_sha256 = "0"
        found = compare_tables(table, other)
        assert found.different == ["POP on side=right, run 2"] and found.largest == pytest.approx(0.25)
        assert "1 of 36 cells (POP on side=right, run 2)" in found.in_words()

    def test_inputs_that_changed_or_went(self, folder: Path, tmp_path: Path) -> None:
        small = {**asked(), "models": ["pop", "cosine"]}
        table2(folder / "data.h5", attributes=folder / "attributes.h5", out=folder / "t.h5", **small)
        moved = folder.rename(tmp_path / "moved")  # all together: found beside the table
        _, comparison = make_again(moved / "t.h5", tmp_path / "again.h5", 1)
        assert comparison.equal
        split_again(divided(), 9).write(moved / "data.h5")
        with pytest.raises(DataError, match="is not the dataset of the table"):
            make_again(moved / "t.h5", tmp_path / "again2.h5", 1)
        (moved / "data.h5").unlink()
        with pytest.raises(UsageError, match="no longer at"):
            make_again(moved / "t.h5", tmp_path / "again2.h5", 1)

    def test_what_was_in_memory_is_said(self, tmp_path: Path) -> None:
        table2(DATA, models="pop", runs=1, out=tmp_path / "t.h5", min_users=2)
        with pytest.raises(UsageError, match="was in memory"):
            make_again(tmp_path / "t.h5", tmp_path / "again.h5")


def test_features_of_some_items_only_are_refused() -> None:
    few = Features.from_arrays(
        DATA.items.values[:10], np.eye(10, 3), ["a=1", "a=2", "a=3"], kind="attributes"
    )
    with pytest.raises(DataError, match="have no row in the features"):
        table2(DATA, attributes=few, models=["i-vbpr"], processes=1)
