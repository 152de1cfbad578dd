"""Spaces: the built-in ones, somebody's own, wrong ones; places and values; what is proposed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivbpr_numba.errors import UsageError
from ivbpr_numba.models.specifications import MODELS
from ivbpr_numba.tuning.dimensions import Choice, Dimension, Range
from ivbpr_numba.tuning.proposals import START, propose
from ivbpr_numba.tuning.space import UNTUNED, Space, space_of

TUNED = [name for name in MODELS if name not in UNTUNED]
MUST = {"factors", "learning_rate", "lambda_theta", "lambda_bias", "sampling", "negatives", "average"}


@pytest.mark.parametrize("model", TUNED)
def test_built_in_spaces(model: str) -> None:
    space = space_of(model)
    must = MUST | ({"lambda_visual", "visual_factors", "feature_scaling"} if "vbpr" in model else set())
    must |= {"epochs"} if "tvbpr" in model else set()
    assert must <= set(space.names)
    by_name = {one.name: one for one in space.dimensions}
    for name in ("learning_rate", "lambda_theta", "lambda_bias", "lambda_visual"):
        if name in by_name:
            assert isinstance(by_name[name], Range) and by_name[name].log
    for one in space.dimensions:
        default = space.defaults[one.name]
        if isinstance(one, Choice):
            # The default scaling depends on the features, which nobody named here.
            assert default in one.values or (one.name == "feature_scaling" and default is None)
        else:
            outside = default == "auto" or (one.name == "lambda_bias" and default == 0)
            assert outside or one.low <= default <= one.high, one.name


def test_a_space_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        '[bpr-mf]\nfactors = { low = 5, high = 50, scale = "log" }\nlearning_rate = { low = 0.1, high = 0.2 }\n'
        'negatives = ["trained", "uniform"]\naverage = 0.8\niterations = 60\n[vbpr]\nfactors = [1, 2]\n'
    )
    space = space_of("bpr-mf", path, {"lambda_bias": 0.3, "negatives": "popularity"})
    assert space.names == ["factors", "learning_rate"]
    assert space.fixed == {
        "lambda_bias": 0.3,
        "negatives": "popularity",
        "average": 0.8,
        "iterations": 60,
    }
    assert (space.defaults["iterations"], space.defaults["lambda_theta"]) == (60, "auto")
    assert space.as_document()["factors"] == {"low": 5, "high": 50, "scale": "log"}
    assert space_of("bpr-mf", space.as_document()).as_document() == space.as_document()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[bpr-mf\n", "is not valid TOML"),
        ("factors = [1]\n", "'factors' is not the name of a model"),
        ("[bprmf]\nfactors = [1, 2]\n", "'bprmf' is not the name of a model. Did you mean 'bpr-mf'"),
        ("bpr-mf = 3\n", "bpr-mf holds no table"),
        ("[vbpr]\nfactors = [1, 2]\n", "has no table for bpr-mf, only for vbpr"),
        ("[bpr-mf]\nfactors = 3\n", "leaves nothing to search"),
        ("[bpr-mf]\nfactor = [1, 2]\n", "factor: factor= does not apply to bpr-mf"),
        ("[bpr-mf]\nfactors = []\n", "factors has no value to choose from"),
        ("[bpr-mf]\nfactors = [1, 1]\n", "factors lists a value twice"),
        ("[bpr-mf]\nfactors = [[1], [2]]\n", "is no value of factors"),
        ("[bpr-mf]\nfactors = [0, 2]\n", "factors: factors=0 leaves nothing"),
        ('[bpr-mf]\nnegatives = ["trained", "any"]\n', "negatives: negatives='any' is unknown"),
        ("[bpr-mf]\naverage = { low = 0.5 }\n", "it lacks low or high"),
        ("[bpr-mf]\naverage = { low = 0.5, high = 0.9, step = 0.1 }\n", "it has 'step'"),
        ("[bpr-mf]\naverage = { low = 0.9, high = 0.5 }\n", "holds nothing to search"),
        ("[bpr-mf]\naverage = { low = 0.5, high = 1.5 }\n", "average: average=1.5 must be at least 0"),
        ('[bpr-mf]\naverage = { low = 0.5, high = "x" }\n', "'x' of average is not a finite number"),
        ('[bpr-mf]\naverage = { low = 0.5, high = 0.9, scale = "lg" }\n', "scale 'lg' of average is unknown"),
        ('[bpr-mf]\naverage = { low = 0, high = 0.9, scale = "log" }\n', "can't be spread by ratios"),
        ("[bpr-mf]\nseed = [1, 2]\n", "seed can't be searched"),
        ("[bpr-mf]\nfactors = [1, 2]\npatience = 9\neval_every = -1\n", "eval_every=-1"),
    ],
)
def test_wrong_spaces(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        space_of("bpr-mf", path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_no_such_space(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        space_of("bpr-mf", tmp_path / "none.toml")
    with pytest.raises(UsageError, match="is no path"):
        space_of("bpr-mf", 3)  # type: ignore[arg-type]


RANGES = st.tuples(st.floats(1e-6, 10), st.floats(1.01, 1e4), st.booleans()).map(
    lambda t: Range("x", t[0], t[0] * t[1], t[2])
)
WHOLES = st.tuples(st.integers(1, 50), st.integers(1, 200), st.booleans()).map(
    lambda t: Range("x", t[0], t[0] + t[1], t[2], whole=True)
)
CHOICES = st.lists(st.integers(-9, 99), min_size=1, max_size=6, unique=True).map(
    lambda values: Choice("x", tuple(sorted(values)), ordered=True)
)
WORDS = st.lists(st.text("abc", min_size=1), min_size=1, max_size=5, unique=True).map(
    lambda values: Choice("x", tuple(values), ordered=False)
)


@given(st.one_of(RANGES, WHOLES, CHOICES, WORDS), st.floats(0, 1), st.floats(0, 1))
def test_places_and_values(one: Dimension, a: float, b: float) -> None:
    """A value lies in its dimension, its place leads back to it, and larger places hold no smaller values."""
    first, second = one.value(min(a, b)), one.value(max(a, b))
    for value in (first, second):
        if isinstance(one, Range):
            assert one.low <= value <= one.high and (not one.whole or isinstance(value, int))
            again = one.value(one.place(value))
            assert abs(again - value) <= 0.006 * abs(value) and (not one.whole or again == value)
        else:
            assert value in one.values and one.value(one.place(value)) == value
    if one.ordered:
        assert first <= second


def test_numbers_and_words_that_are_not_listed() -> None:
    assert Choice("x", (5, 10, 40), ordered=True).place(12) == 0.5
    assert Choice("x", ("a", "b"), ordered=False).place("c") == -1
    assert Range("x", 0.01, 1.0, log=True).place(0) == 0
    assert Range("x", 0.01, 1.0, log=True).value(0.5) == 0.1
    assert Range("x", 0.0, 1.0).value(1 / 3) == 0.333


SPACE = space_of("i-vbpr")


def trials(space: Space, count: int) -> list[tuple[dict[str, float], float]]:
    """The first trials, each as good as it is near to the middle of the learning rates, with one law best."""
    known: list[tuple[dict[str, float], float]] = []
    for number in range(1, count + 1):
        places, _ = propose(space, 0, number, [])
        options = space.values(places)
        value = -abs(places["learning_rate"] - 0.5) + 0.1 * (options["negatives"] == "popularity")
        known.append((places, value))
    return known


KNOWN = trials(SPACE, 20)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60))
def test_a_proposal_is_a_function_of_what_is_known(seed: int, number: int) -> None:
    places, origin = propose(SPACE, seed, number, KNOWN)
    assert (places, origin) == propose(SPACE, seed, number, list(KNOWN))
    assert set(places) == set(SPACE.names) and all(0 <= place <= 1 for place in places.values())
    assert origin == ("spread" if number < START or number % 8 == 0 else "model")
    options = SPACE.values(places)
    SPACE.check(options, None)


def test_spread_trials_fill_each_dimension() -> None:
    for block in (1, 5):
        places = [propose(SPACE, 3, number, [])[0] for number in range(8 * block, 8 * block + 8)]
        for name in SPACE.names:
            assert sorted(int(8 * p[name]) for p in places) == list(range(8))
    orders = {tuple(int(8 * p[name]) for p in places) for name in SPACE.names}
    assert len(orders) == len(SPACE.names)  # no two dimensions go together


def test_later_trials_are_like_the_better_ones() -> None:
    known = trials(SPACE, 40)
    told = [propose(SPACE, seed, 41, known)[0] for seed in range(30)]
    near = [abs(p["learning_rate"] - 0.5) < 0.2 for p in told]
    law = [SPACE.values(p)["negatives"] == "popularity" for p in told]
    assert sum(near) >= 22 and sum(law) >= 18  # by chance 12 and 10 of 30


def test_a_default_outside_the_space_is_no_obstacle() -> None:
    known: list[Any] = [({name: -1.0 if name == "sampling" else 0.5 for name in SPACE.names}, 1.0)] * 9
    places, origin = propose(SPACE, 0, 41, [*known, *KNOWN])
    assert origin == "model" and all(0 <= place <= 1 for place in places.values())
