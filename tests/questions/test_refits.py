"""The spread of trends: refits on halves of the customers, and the bands made of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE, changed

from ivbpr_numba import TVBPR, Dataset, Features, Interrupted, UsageError, load, trends
from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.datasets.drawn import draw_users
from ivbpr_numba.models.start import Start
from ivbpr_numba.models.temporal_learner import TemporalLearner
from ivbpr_numba.questions import refits as room
from ivbpr_numba.questions.refits import default_fits, half_band, refits
from ivbpr_numba.questions.trends import measure

Run = Callable[..., Any]
OPTIONS = {"epochs": 3, "iterations": 6, "eval_every": 2, "segment_every": 2}
T_975 = {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645}  # of Student's distribution, from a printed table


def fit(features: Features = ATTRIBUTES, **options: Any) -> TVBPR:
    return TVBPR(**{**OPTIONS, **options}).fit(DATA, features)


def naive_half(rows: list[int]) -> Dataset:
    """The purchases of some users, put together pair by pair."""
    parts: dict[str, list[tuple[int, int, int]]] = {"train": [], "valid": [], "test": []}
    for name, kept in parts.items():
        part = getattr(DATA, name)
        for n, row in enumerate(rows):
            for place in range(part.indptr[row], part.indptr[row + 1]):
                kept.append((n, int(part.indices[place]), int(part.times[place])))
    found = draw_users(DATA, np.arange(len(rows)))  # its ids; its purchases are replaced
    for name, kept in parts.items():
        counts = np.bincount([u for u, _, _ in kept], minlength=len(rows))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        indices = np.array([i for _, i, _ in kept], np.int32)
        setattr(found, name, type(DATA.train)(indptr, indices, np.array([t for *_, t in kept], np.int64)))
    return found


def naive_response(model: TVBPR, rows: range) -> np.ndarray:
    assert model.features_ is not None
    return np.array(
        [
            np.mean(
                [
                    sensitivities(model.parameters_.at(e), model.features_, model.user_visual_[u]).centred
                    for u in rows
                ],
                axis=0,
            )
            for e in range(3)
        ]
    )


# --- refits ------------------------------------------------------------------------------------------------


def test_bands_are_those_of_fits_to_halves_made_by_hand() -> None:
    model = fit(seed=3)
    found = measure(model, fits=4, seed=5)
    halves = [other.data_ for other in refits(model, ATTRIBUTES, 4, 5)]
    bought = [{tuple(row) for row in _purchases(half)} for half in halves]
    everybody = {tuple(row) for row in _purchases(DATA)}
    differences = []
    for split in range(2):
        one, other = bought[2 * split], bought[2 * split + 1]
        assert one | other == everybody and not one & other
        order = np.random.Generator(np.random.PCG64([5, split])).permutation(60)
        values = []
        for half, rows in enumerate((order[:30], order[30:])):
            seed = int(np.random.Generator(np.random.PCG64([5, split, 1 + half])).integers(0, 2**63 - 1))
            own = TVBPR(**{**OPTIONS, "seed": seed}).fit(
                naive_half(sorted(rows.tolist())), ATTRIBUTES, start=Start(epoch_edges=model.epoch_edges_)
            )
            assert own.epoch_edges_.tolist() == model.epoch_edges_.tolist()
            values.append(naive_response(own, range(30)))
        differences.append(values[0] - values[1])
    squares = np.square(differences).mean(axis=0)
    np.testing.assert_allclose(found.high - found.response, T_975[2] * np.sqrt(squares), 1e-4)
    np.testing.assert_allclose(found.response - found.low, T_975[2] * np.sqrt(squares), 1e-4)
    moved = np.array(differences) - np.mean(differences, axis=1, keepdims=True)
    width = T_975[2] * np.sqrt(np.square(moved).mean(axis=0))
    np.testing.assert_allclose(found.change_high - found.change, width, 1e-4)
    np.testing.assert_array_equal(found.certain, (np.abs(found.change) > width))
    assert found.spread.fits == 4 and found.spread.iterations == 24


def _purchases(data: Dataset) -> np.ndarray:
    """Item and time of each pair; the times of the small data are all different."""
    parts = (data.train, data.valid, data.test)
    return np.concatenate([np.column_stack([part.indices, part.times]) for part in parts])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_for_any_threads(threads: int) -> None:
    found = measure(fit(threads=threads), fits=2, seed=9)
    again, other = measure(fit(), fits=2, seed=9), measure(fit(), fits=2, seed=10)
    np.testing.assert_array_equal(found.change_low, again.change_low)
    assert np.all(found.change_low != other.change_low)
    more = measure(fit(), fits=4, seed=9)  # the first refits stay what they are
    np.testing.assert_array_equal(more.response, found.response)


def test_refits_take_what_the_model_was_fitted_with() -> None:
    model = fit(DENSE, factors=3, item_drift=True, feature_scaling="max", epochs=2)
    other = next(refits(model, DENSE, 2))
    own, of_model = dict(other.config_), dict(model.config_)
    assert own.pop("seed") != of_model.pop("seed") and own == of_model
    assert other.name == "tvbpr" and len(other.data_.users) == 30
    assert other.data_.items.texts() == DATA.items.texts()


def test_observers_hear_the_cost() -> None:
    heard: list[dict[str, Any]] = []
    measure(fit(), fits=2, observers=[heard.append])
    assert [event["event"] for event in heard] == ["start", "refit", "refit"]
    assert heard[0]["fits"] == 2 and heard[0]["seconds_of_fit"] > 0
    assert [event["done"] for event in heard[1:]] == [1, 2] and heard[2]["seconds_left"] == 0
    assert heard[2]["iterations_done"] == 12 and heard[2]["seconds"] > heard[1]["seconds"]


# --- bands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("splits", [1, 2, 3, 4])
def test_half_a_band(splits: int) -> None:
    draws = np.random.default_rng(splits).normal(size=(2 * splits, 3, 2))
    draws[0, 1, 1] = np.nan  # nobody spoke in one half: its split does not count
    found = half_band(draws)
    for place in np.ndindex(3, 2):
        pairs = [(draws[2 * n][place], draws[2 * n + 1][place]) for n in range(splits)]
        squares = [(a - b) ** 2 for a, b in pairs if np.isfinite(a - b)]
        if not squares:
            assert np.isnan(found[place])
        else:
            expected = T_975[len(squares)] * np.sqrt(sum(squares) / len(squares))
            assert found[place] == pytest.approx(expected, rel=1e-5)


def test_a_band_holds_an_independent_half() -> None:
    """Halves of a normal population: the value of the other half is inside in 95 of 100 cases."""
    rng = np.random.default_rng(2)
    draws, mine, other = rng.normal(size=(8, 40_000)), rng.normal(size=40_000), rng.normal(size=40_000)
    inside = np.abs(other - mine) <= half_band(draws)
    assert abs(inside.mean() - 0.95) < 0.005


def test_no_refits_no_bands() -> None:
    found = measure(fit(), fits=0)
    assert np.isnan(found.low).all() and np.isnan(found.change_high).all() and not found.certain.any()
    rows = trends(fit(), "red", fits=0)
    assert {row[key] for row in rows for key in ("low", "high", "change_low", "certain")} == {None}
    assert all(row["change"] is not None for row in rows) and "none was asked for" in str(found.spread)


# --- how many, and from what ---------------------------------------------------------------------------------


def test_how_many_are_made_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit()
    assert default_fits(model) == 8 == measure(model, ["red"]).spread.fits
    monkeypatch.setattr(room, "MOST_PAIRS", len(DATA.train) - 1)
    with pytest.warns(UserWarning, match=r"training pairs take long; ask for 8 of them \(fits=8"):
        assert trends(model, "red")[0]["low"] is None
    few = fit()
    few = changed(few, data=draw_users(DATA, np.arange(19)))
    assert default_fits(few) == 0
    found = measure(model, ["red"], fits=2)
    assert found.spread.fits == 2 and np.isfinite(found.low).all()


def test_a_loaded_model_suffices_while_its_features_are_there(tmp_path: Path) -> None:
    ATTRIBUTES.write(tmp_path / "f.h5")
    fitted = TVBPR(**OPTIONS).fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    wanted = measure(fitted, fits=2)
    np.testing.assert_array_equal(measure(load(tmp_path / "m.h5"), fits=2).low, wanted.low)
    (tmp_path / "f.h5").rename(tmp_path / "elsewhere.h5")
    found = measure(load(tmp_path / "m.h5"))
    assert np.isnan(found.low).all() and "features are not at" in str(found.spread)
    with pytest.warns(UserWarning, match="No spread: it comes from refits"):
        trends(load(tmp_path / "m.h5"), "red")
    with pytest.raises(UsageError, match="features are not at"):
        measure(load(tmp_path / "m.h5"), fits=2)
    given = Features.read(tmp_path / "elsewhere.h5")
    np.testing.assert_array_equal(measure(load(tmp_path / "m.h5"), fits=2, fitted_on=given).low, wanted.low)


def test_an_interrupt_ends_the_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    model, before = fit(), TemporalLearner.iterate

    def iterate(self: TemporalLearner, iteration: int) -> Any:
        if iteration == 2:
            signal.raise_signal(signal.SIGINT)
        return before(self, iteration)

    monkeypatch.setattr(TemporalLearner, "iterate", iterate)
    with pytest.raises(Interrupted, match="in refit 1 of 4; nothing was written") as caught:
        measure(model, fits=4)
    assert caught.value.exit_code == 130 and caught.value.resume_with is None


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    ATTRIBUTES.write(tmp_path / "f.h5")
    TVBPR(**OPTIONS).fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    return tmp_path / "m.h5"


def test_the_command_says_what_the_spread_is_and_costs(ivbpr: Run, model_file: Path) -> None:
    done = ivbpr("trends", model_file, "--fits", "4", "--format", "json", "--feature", "red")
    document = json.loads(done.out)
    assert (document["fits"], document["iterations"]) == (4, 24) and document["seconds"] > 0
    assert "Fitting 4 times again" in done.err and "--fits 0 leaves it out" in done.err
    table = ivbpr("trends", model_file, "--fits", "4").out
    assert "4 refits on random halves" in table and "24 iterations" in table and "±" in table
    silent = ivbpr("trends", model_file, "--fits", "0")
    assert "No spread" in silent.out and "±" not in silent.out and "Fitting" not in silent.err


@pytest.mark.parametrize(
    ("given", "said"),
    [(("--bootstrap", "200"), "--fits N"), (("--fits", "3"), "even"), (("--fits", "-2"), "at least 0")],
)
def test_wrong_numbers_of_refits(ivbpr: Run, model_file: Path, given: tuple[str, str], said: str) -> None:
    done = ivbpr("trends", model_file, *given)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1


def test_an_interrupted_command_leaves_no_figure(
    ivbpr: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = TemporalLearner.iterate

    def iterate(self: TemporalLearner, iteration: int) -> Any:
        signal.raise_signal(signal.SIGINT)
        return before(self, iteration)

    monkeypatch.setattr(TemporalLearner, "iterate", iterate)
    out = model_file.parent / "t.svg"
    done = ivbpr("trends", model_file, "--fits", "2", "--plot", out)
    assert done.code == 130 and not out.exists() and not [*model_file.parent.glob("t*")]


# --- learned ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_more_customers_narrow_the_bands() -> None:
    """On the drifting world, and the changes that are certain have the planted sign."""
    from ivbpr_numba.models.epochs import epoch_of
    from ivbpr_numba.questions.auc import dataset_of
    from ivbpr_numba.questions.planted import PlantedTaste
    from ivbpr_numba.questions.response import changes
    from ivbpr_numba.worlds.world import generate

    widths = []
    for users in (600, 2400):
        world = generate("drift", 1, users=users)
        data = dataset_of(world)
        rows = world.truth.items.find(data.items.values)
        values = world.attributes.dense(rows)
        features = Features.from_arrays(data.items, values, world.attributes.names, kind="attributes")
        model = TVBPR(epochs=3, seed=1).fit(data, features)
        found = measure(model, fits=8)
        widths.append(np.sqrt(np.square(found.change_high - found.change).mean()))
        edges = found.edges
        moments = np.linspace(edges[0], edges[-1] - 1, 1000).astype(np.int64)
        styles = PlantedTaste(world.truth, features, data.items).styles()
        style, own = styles[epoch_of(moments, world.truth.epoch_edges)], epoch_of(moments, edges)
        planted = changes(np.stack([style[own == n].mean(axis=0) for n in range(3)]))
        right = np.sign(planted) == np.sign(found.change)
        assert found.certain.mean() > 0.1 and right[found.certain].mean() > 0.95
    assert widths[1] < 0.75 * widths[0]
