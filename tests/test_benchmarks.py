"""What the benchmarks time is right: every implementation of a case gives the same result at a tiny size."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import cases
import implementations
import inputs
import speed

CASES = list(cases.CASES.values())
BY_NAME = {"argnames": "case", "argvalues": CASES, "ids": [case.name for case in CASES]}
OTHER_LAW = {"implicit", "ours, AUC counts"}  # draws its own triples; answers another question


@pytest.mark.parametrize(**BY_NAME)
def test_implementations_agree(case: cases.Case) -> None:
    work = case.work(case.tiny)
    runs = {
        label: implementation(work, 1)
        for label, implementation in case.implementations.items()
        if label not in OTHER_LAW
    }
    expected = next(iter(runs.values())).result
    for label, run in runs.items():
        assert run.amount > 0 and run.seconds > 0 and run.cpu_seconds >= 0, label
        shared = expected.keys() & run.result.keys()
        assert shared
        for name in shared:
            if case.unit == "pairs":
                np.testing.assert_array_equal(run.result[name], expected[name], f"{label}: {name}")
            else:
                np.testing.assert_allclose(
                    run.result[name], expected[name], 0, 2e-6, err_msg=f"{label}: {name}"
                )


@pytest.mark.parametrize(**BY_NAME)
def test_the_parameters_move(case: cases.Case) -> None:
    """Two implementations that do nothing would agree as well."""
    work = case.work(case.tiny)
    result = next(iter(case.ours.values()))(work, 1).result
    if case.unit == "triples":
        for name, before in work.start().items():
            assert np.abs(result[name] - before).max() > 1e-4, name
    elif "items" in result:
        assert len({tuple(row) for row in result["items"].tolist()}) > len(result["items"]) // 2
    else:
        assert 0.3 < result["auc"] < 0.7


def test_counts_of_the_auc_hold_ties() -> None:
    case = cases.CASES["auc D=20"]
    result = case.ours["ours, counts alone"](case.work(replace(case.tiny, items=3000, factors=0)), 1).result
    assert result["ties"] > 0


def test_mini_batches_of_a_block_learn_the_same() -> None:
    """The vectorised batches that are timed rank as the definition does: the popular items first."""
    case = cases.CASES["bpr-mf S1"]
    size = replace(case.tiny, users=400, asked=400, iterations=20, every=20, batch=1)
    work = case.work(size)
    bias = {batch: work.start() for batch in (1, 64)}
    for batch, tables in bias.items():
        for _ in range(20):
            implementations.numpy_batches(tables, work.triples, batch, 0.05, 0.0025)
    popularity = work.data.train_counts
    aucs = [ranked(tables["item_bias"], popularity) for tables in bias.values()]
    aucs.append(ranked(case.ours["ours, ordered"](work, 1).result["item_bias"], popularity))
    aucs.append(ranked(case.ours["ours, hogwild"](work, 2).result["item_bias"], popularity))
    assert min(aucs) > 0.9
    assert max(aucs) - min(aucs) < 0.05


def test_implicit_learns_the_same_law() -> None:
    pytest.importorskip("implicit")
    case = cases.CASES["bpr-mf S1"]
    work = case.work(replace(case.tiny, users=400, asked=400, iterations=20, every=20))
    run = case.references["implicit"](work, 1)
    assert run.amount == 19 * len(work.data.train)
    # Negatives drawn by popularity hold the bias back; the order is still that of the purchases.
    scores = run.result["user_factors"] @ run.result["item_factors"].T + run.result["item_bias"]
    assert ranked(scores.mean(axis=0), work.data.train_counts) > 0.55


def ranked(scores: np.ndarray, popularity: np.ndarray) -> float:
    """Share of the pairs of items, one clearly more popular, that the scores put in that order."""
    more = popularity[:, None] > 2 * popularity[None, :] + 4
    return float((scores[:, None] > scores[None, :])[more].mean())


def test_random_purchases() -> None:
    data = inputs.random_purchases(300, 200, 15, 100, seed=3)
    assert (len(data.train), len(data.valid), len(data.test)) == (300 * 15, 100, 100)
    own = np.concatenate([data.train.users, data.valid.users, data.test.users]).astype(np.int64) * 200
    own += np.concatenate([data.train.indices, data.valid.indices, data.test.indices])
    assert len(np.unique(own)) == len(own)
    counts = np.sort(data.train_counts)[::-1]
    assert counts[:20].sum() > counts[-100:].sum() > 0
    same = inputs.random_purchases(300, 200, 15, 100, seed=3)
    assert data.payload_sha256 == same.payload_sha256
    assert data.payload_sha256 != inputs.random_purchases(300, 200, 15, 100, seed=4).payload_sha256


class Here:
    """An executor that computes in this process, at once."""

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments))
        return done


def absent(work: inputs.Work, threads: int) -> implementations.Run:
    raise implementations.Missing("the package 'other' is not installed")


def test_the_runner_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = cases.CASES["bpr-mf S1"]
    tiny = replace(case, full=case.tiny, references={"implicit": absent})
    monkeypatch.setitem(speed.CASES, case.name, tiny)
    rows = speed.rows_of(tiny, {2: Here()}, 2)  # type: ignore[dict-item]
    goals = speed.goals_of(tiny, rows, None)
    text = speed.table(tiny, rows, goals)
    assert "not measured: the package 'other' is not installed" in text
    assert [row["label"] for row in rows] == ["ours, ordered", "ours, hogwild", "implicit"]
    assert {goal["how"] for goal in goals} == {"recorded"}


def test_goals_are_carried_over_by_implicit() -> None:
    def row(label: str, wall: float, cpu: float) -> dict[str, Any]:
        return {"label": label, "threads": 2, "per_second": wall, "per_cpu_second": cpu}

    goals = (cases.Goal(4, "implicit"), cases.Goal(30, cases.Peer("P", 1e6, implicit=2e6)))
    case = replace(cases.CASES["bpr-mf S1"], goals=goals)
    # implicit is now twice as fast by the clock as recorded (2 × 2e6), and three times per CPU second.
    rows = [row("ours, ordered", 16e6, 12e6), row("implicit", 8e6, 6e6)]
    of_implicit, of_peer = speed.goals_of(case, rows, None)
    assert (of_implicit["reached"], of_implicit["fraction"]) == (2.0, 0.5)
    assert (of_peer["reached"], of_peer["reached_per_cpu_second"]) == (16e6 / 4e6, 12e6 / 3e6)
    recorded = speed.goals_of(case, rows[:1], None)
    assert [(goal["reached"], goal["how"]) for goal in recorded] == [(8.0, "recorded")]


@pytest.mark.parametrize(("rate", "text"), [(2.5e9, "2.5 G"), (31e6, "31 M"), (999.0, "999  ")])
def test_rates_are_readable(rate: float, text: str) -> None:
    assert speed.shown(rate) == text
