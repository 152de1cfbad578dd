"""Rungs and promotions, estimates, and what mattered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivbpr_numba.tuning.importance import importance
from ivbpr_numba.tuning.rungs import Result, Rung, Trial, estimates, promoted, rungs_of
from ivbpr_numba.tuning.space import space_of


def trial(number: int, *reached: float | None) -> Trial:
    results = {r: Result(auc, None, 1, 1, 1, 0.0) for r, auc in enumerate(reached)}
    return Trial(number, "spread", {}, results)


@pytest.mark.parametrize(
    ("iterations", "every", "ends"),
    [
        (300, 5, [50, 300]),
        (500, 5, [85, 500]),
        (300, None, [300]),
        (1000, 20, [180, 1000]),
        (10, 5, [5, 10]),
        (4, 5, [4]),
        (8, 2, [2, 8]),
    ],
)
def test_rungs(iterations: int, every: int | None, ends: list[int]) -> None:
    rungs = rungs_of(iterations, every)
    assert rungs == [*(Rung(n, False) for n in ends[:-1]), Rung(ends[-1], True)]


AUCS = st.one_of(st.none(), st.sampled_from([0.4, 0.5, 0.6, 0.7, 0.8]))


@given(st.lists(AUCS, max_size=20), st.integers(0, 20))
def test_promotions(aucs: list[float | None], gone: int) -> None:
    """At most a quarter, the best of all, nobody twice, nobody who diverged."""
    trials = [trial(n, auc) for n, auc in enumerate(aucs)]
    first = promoted(trials, 0)
    assert len(first) <= len(aucs) // 4 and all(one.valid_auc is not None for one in first)
    worst = min((one.valid_auc for one in first), default=1.0)
    left = [one.valid_auc for one in trials if one not in first and one.valid_auc is not None]
    assert worst >= max(left, default=0.0) or len(first) < len(aucs) // 4
    for one in first[:gone]:
        one.results[1] = Result(0.5, None, 1, 1, 1, 0.0)
    assert [one.number for one in promoted(trials, 0)] == [one.number for one in first[gone:]]


def test_estimates() -> None:
    trials = [trial(0, 0.5, 0.6, 0.8), trial(1, 0.4, 0.6), trial(2, 0.3), trial(3, None), trial(4)]
    found = estimates(trials, 3)
    assert found == pytest.approx({0: 0.8, 1: 0.8, 2: 0.3 + 0.15 + 0.2})


def test_what_mattered() -> None:
    """One option decides, one helps, the others do nothing; shares are adjusted for chance."""
    rng = np.random.default_rng(4)
    space = space_of("bpr-mf")
    places = [{one.name: rng.random() for one in space.dimensions} for _ in range(80)]
    options = [space.values(place) for place in places]
    by_law = {"uniform": 0.0, "trained": 0.2, "popularity": 0.4}
    values = [
        -4 * (space.places(own)["learning_rate"] - 0.6) ** 2 + by_law[own["negatives"]] + rng.normal(0, 0.05)
        for own in options
    ]
    rows = {row["option"]: row for row in importance(space, options, values)}
    assert list(rows)[:2] == ["learning_rate", "negatives"]
    assert rows["learning_rate"]["share"] > 0.5 and rows["negatives"]["share"] > 0.1
    for name in ("factors", "lambda_theta", "lambda_bias", "sampling", "average"):
        assert abs(rows[name]["share"]) < 0.06 and rows[name]["stderr"] < 0.06
    assert rows["learning_rate"]["share"] > 4 * rows["learning_rate"]["stderr"]
    assert "popularity" in rows["negatives"]["best_half"] and " to " in rows["learning_rate"]["best_half"]


def test_shares_add_up_to_what_all_options_explain() -> None:
    """With two options and all orders there are, by hand."""
    space = space_of("bpr-mf", {"sampling": ["users", "interactions"], "average": {"low": 0.1, "high": 0.9}})
    rng = np.random.default_rng(8)
    options = [space.values({name: rng.random() for name in space.names}) for _ in range(9)]
    values = [row["average"] + 0.3 * (row["sampling"] == "users") + rng.random() for row in options]
    y = np.argsort(np.argsort(values)).astype(float)
    place = np.array([(row["average"] - 0.1) / 0.8 for row in options])
    columns = [
        [np.array([row["sampling"] == "users" for row in options], float)],
        [place, (place - 0.5) ** 2],
    ]
    r2 = {(): 0.0}
    for used in ((0,), (1,), (0, 1)):
        x = np.stack([np.ones(9), *(column for k in used for column in columns[k])], axis=1)
        rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        r2[used] = 1 - (rest @ rest / (9 - x.shape[1])) / (((y - y.mean()) ** 2).sum() / 8)
    by_hand = {
        "sampling": (r2[0,] + r2[0, 1] - r2[1,]) / 2,
        "average": (r2[1,] + r2[0, 1] - r2[0,]) / 2,
    }
    rows = importance(space, options, values)
    assert {row["option"]: row["share"] for row in rows} == pytest.approx(by_hand)
    assert sum(row["share"] for row in rows) == pytest.approx(r2[0, 1])


def test_chance_has_no_share_on_average() -> None:
    space = space_of("bpr-mf", {"factors": [1, 2, 3], "learning_rate": {"low": 0.1, "high": 0.2}})
    shares = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        options = [space.values({name: rng.random() for name in space.names}) for _ in range(20)]
        shares += [row["share"] for row in importance(space, options, list(rng.random(20)))]
    assert abs(np.mean(shares)) < 0.02


def test_a_word_among_the_best_is_named_beside_the_numbers() -> None:
    """The default of an option may be one that is nowhere in its range."""
    space = space_of("i-vbpr", {"visual_rate": {"low": 0.1, "high": 0.9}, "factors": [5, 10]})
    rng = np.random.default_rng(1)
    options = [space.values({name: rng.random() for name in space.names}) for _ in range(20)]
    options[0]["visual_rate"] = "auto"
    spans = {
        row["option"]: row["best_half"] for row in importance(space, options, [1.0, *rng.random(19) / 2])
    }
    assert spans["visual_rate"].startswith("auto, 0.") and " to " in spans["visual_rate"]
    for own in options:
        own["visual_rate"] = "auto" if own is options[0] else 0.2
    values = [1.0, *rng.random(19)]
    assert {row["best_half"] for row in importance(space, options, values)} >= {"auto, 0.2"}


def test_too_few_trials_say_nothing() -> None:
    space = space_of("bpr-mf")
    options = [space.values(dict.fromkeys(space.names, n / 9)) for n in range(9)]
    assert importance(space, options, [0.5] * 9) == []
