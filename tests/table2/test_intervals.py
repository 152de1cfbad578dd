"""The benchmark of intervals: its truth against counting, and that it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import intervals
from ivbpr_numba.questions.auc import auc_of_scores, dataset_of
from ivbpr_numba.ranking import ItemSide, VectorScorer
from ivbpr_numba.table2 import Table
from ivbpr_numba.worlds.world import generate


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> intervals.Population:
    world = generate("tiny", 1, users=60, items=80)
    return intervals.population(world, tmp_path_factory.mktemp("world"))


def test_the_auc_of_a_purchase_is_that_of_auc() -> None:
    """With the test item as the next purchase, and everything else but it owned or not as there."""
    data = dataset_of(generate("tiny", 1, users=60, items=80))
    rng = np.random.default_rng(2)
    users, items = (
        rng.random((len(data.users), 3)).astype("f4"),
        rng.random((len(data.items), 3)).astype("f4"),
    )
    owned = np.zeros((len(data.users), len(data.items)), bool)
    for part in (data.train, data.valid):
        owned[part.users, part.indices] = True
    scorer = VectorScorer(users, ItemSide(items, np.zeros(len(items), np.float32)))
    found = intervals.aucs(scorer, owned, np.zeros(len(items), np.int8))
    report = auc_of_scores(users @ items.T, data)
    assert found[data.test.users, data.test.indices].mean() == pytest.approx(report["all"]["auc"], abs=1e-6)


@pytest.mark.parametrize("setting", ["all", "cold", "stratified"])
def test_the_truth_is_what_many_draws_come_to(people: intervals.Population, setting: str) -> None:
    rng = np.random.default_rng(3)
    users = rng.integers(0, len(people.law), 40_000)
    values = people.values("bpr-mf", setting, users, people.draw(users, rng))
    error = np.nanstd(values) / np.sqrt(np.isfinite(values).sum())
    assert np.nanmean(values) == pytest.approx(people.truth("bpr-mf", setting), abs=4 * error)
    assert np.allclose(people.chance.sum(axis=1), 1) and (np.diff(people.law, axis=1) >= 0).all()


def test_intervals_hold_the_truth_most_times(people: intervals.Population) -> None:
    rows = list(intervals.of_events(people, 60, 10, 0, False))
    assert {row["figure"] for row in rows} >= {"pop", "i-vbpr − bpr-mf", "i-vbpr − bpr-mf, 10 sets resampled"}
    assert all(row["all"] >= 0.8 for row in rows)


def test_the_rest_runs(table: Table) -> None:
    assert [row["figure"] for row in intervals.of_users(table, 20, 0)] == table.columns
    rows = [*intervals.of_tables(2, 0), *intervals.of_noise(20, 0)]
    assert len(rows) == 8 and intervals.markdown(rows[2:]).count("\n") == 7


def test_shares_are_shown_in_per_cent() -> None:
    shown = intervals.markdown([{"figure": "pop", "all": 0.95}])
    assert shown.splitlines() == ["| figure | all |", "| --- | --- |", "| pop | 95.0 |"]
    assert Path(intervals.__file__).name != "coverage.py"  # numba would take it for the package
