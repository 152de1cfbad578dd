"""The models in time: gradients, blocks, reductions, segmentation, scores at an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import naive
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import DATA, FEATURES, changed

from ivbpr_numba import VBPR, DataError, Dataset, Features, UsageError, create, load
from ivbpr_numba.features.alignment import align, fit_scaling
from ivbpr_numba.models.epochs import bin_edges, bins_of, epoch_edges, epoch_of, segment, start_ends
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.temporal import TVBPR
from ivbpr_numba.models.temporal_learner import TemporalLearner
from ivbpr_numba.models.triples import Triples

LISTS = [DATA.train.indices[a:b].tolist() for a, b in zip(DATA.train.indptr, DATA.train.indptr[1:])]


def learner(features: Any = None, data: Dataset = DATA, **options: Any) -> TemporalLearner:
    """A learner whose tables in time are no longer where they start, so that every term counts."""
    features = features or FEATURES["i-vbpr"]
    own = {"segment_every": 1000, "patience": 10**6, "learning_rate": 0.05, "visual_rate": 1.0}
    given = {"epochs": 3, **own, **options}
    resolved = resolve("i-tvbpr", None, given, features.kind)
    source = align(features, DATA.items)
    made = TemporalLearner(resolved, data, source, fit_scaling(source, resolved["feature_scaling"]))
    rng = np.random.default_rng(5)
    d, f, layout = made.visual, made.columns, made.layout
    t = made.tables
    t["weight"] += rng.normal(0, 0.5, t["weight"].shape).astype(np.float32)
    moved = rng.normal(0, 0.3, (len(t["ends"]), d + 1, f)).astype(np.float32)
    layout.embedding(t["drift"])[:] += moved[:, :d]
    layout.bias(t["drift"])[:] += moved[:, d]
    layout.by_column(t["bias_weight"])[:] += rng.normal(0, 0.5, (len(t["ends"]), f)).astype(np.float32)
    for name in ("item_drift", "category_drift"):
        t[name] += rng.normal(0, 0.3, t[name].shape).astype(np.float32)
    moved = rng.normal(0, 0.3, (d + 1, f)).astype(np.float32)
    layout.embedding(t["embedding"])[:] += moved[:d]
    layout.bias(t["embedding"])[:] += moved[d]
    return made


def with_column(name: str, column: np.ndarray) -> Dataset:
    """The data with one more item column."""
    d = DATA
    return Dataset(d.users, d.items, d.train, d.valid, d.test, {name: column}, d.source)


def as_reference(made: TemporalLearner) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Parameters and features as the slow reference wants them, float64."""
    p = made.parameters(made.tables).arrays()
    p.pop("epoch_edges")
    scaling, columns = made.scaling, made.columns
    v = made.source.projected(np.eye(columns), np.zeros(columns), made.kernels).astype(np.float64)
    v *= made.source.scale
    f = (v - scaling.shift) * scaling.multiplier.astype(np.float64)
    return {name: array.astype(np.float64) for name, array in p.items()}, f


def rule(options: dict[str, Any]) -> naive.Rule:
    names = ("learning_rate", "visual_rate", "lambda_theta", "lambda_visual", "lambda_bias", "reg_scope")
    return naive.Rule(**{name: options[name] for name in names})


PENALTIES = {"lambda_theta": 0.4, "lambda_visual": 0.3, "lambda_bias": 0.2, "visual_rate": 0.6}


@pytest.mark.parametrize(
    "options",
    [
        {"block": 1},
        {"block": 7, **PENALTIES},
        {"block": 64, **PENALTIES, "reg_scope": "user_visual"},
        {"block": 4096, **PENALTIES},
        {"block": 16, "factors": 0, "visual_factors": 3, **PENALTIES},
        {"block": 16, "factors": 20, "visual_factors": 17, **PENALTIES},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["i-vbpr", "vbpr", "drifting items"])
def test_an_iteration_equals_the_reference(kind: str, options: dict) -> None:
    category = None
    if kind == "drifting items":  # some items without a category
        names = np.array([b"", b"boots", b"coats", b"hats"])[
            np.random.default_rng(1).integers(0, 4, len(DATA.items))
        ]
        made = learner(FEATURES["i-vbpr"], with_column("category", names), item_drift=True, **options)
        category = made.category
        assert category.min() == -1 and category.max() == 2
    else:
        made = learner(FEATURES[kind], **options)
    drawn = made.sampler.draw(3)
    triples = list(zip(drawn.users.tolist(), drawn.positives.tolist(), drawn.negatives.tolist()))
    when = {
        (u, i): int(t)
        for u, (a, b) in enumerate(zip(DATA.train.indptr, DATA.train.indptr[1:]))
        for i, t in zip(DATA.train.indices[a:b].tolist(), DATA.train.times[a:b])
    }
    ends = made.tables["ends"].tolist()
    known = np.concatenate([DATA.train.times, DATA.valid.times])
    first, last = int(known.min()), int(known.max())
    epochs = [naive.epoch_of_bin(naive.time_bin(when[u, i], first, last, 80), ends) for u, i, _ in triples]
    assert len({*epochs}) == 3
    params, f = as_reference(made)
    expected = naive.sgd_temporal(params, f, triples, epochs, rule(made.options), options["block"], category)
    made._apply(drawn)
    found, _ = as_reference(made)
    for name, array in expected.items():
        if name == "item_bias" and category is not None:
            continue  # stood in for by item_bias_drift
        moved = np.abs(array - params[name]).max(initial=0.0)
        error = np.abs(found[name] - array).max(initial=0.0)
        # float32 against float64 over some hundred steps; every group moved by far more than that
        assert error <= 2e-4 * max(moved, np.abs(array).max(initial=0.0)), name
        assert array.size == 0 or moved > 1e-2, name


def test_the_loss_is_that_of_the_triples() -> None:
    made = learner(block=1)
    drawn = made.sampler.draw(1).first(1)
    params, f = as_reference(made)
    u, i, j = (int(x[0]) for x in (drawn.users, drawn.positives, drawn.negatives))
    at = int(DATA.train.times[DATA.train.indptr[u] + LISTS[u].index(i)])
    e = int(epoch_of(np.array([at]), epoch_edges(made.tables["ends"], made.edges))[0])
    x = naive.difference(params, u, i, j, f, e)
    assert made._apply(drawn).loss == pytest.approx(-naive.log_sigmoid(x), rel=1e-5)


@pytest.mark.parametrize("rate", [0.05, 3.0])
def test_automatic_blocks_bear_the_terms_in_time(rate: float) -> None:
    made = learner(FEATURES["vbpr"], block="auto", learning_rate=rate)
    params, f = as_reference(made)
    load = naive.temporal_load(params, f)
    assert made._load() == pytest.approx(load, rel=1e-5)
    assert made._steepest() == pytest.approx(naive.steepest_column(params, f), rel=1e-5)
    made._choose_block()
    assert made.block == naive.temporal_block_size(rate, params, f)
    params |= {name: np.zeros_like(params[name]) for name in ("weight", "bias_weight", "visual_bias")}
    theta = (params["user_visual"] ** 2).sum(1).mean()
    params["embedding"][:] = 0
    assert naive.temporal_load(params, f) == pytest.approx(naive.feature_spread(f) * (1 + theta))


def test_one_frequent_attribute_does_not_diverge() -> None:
    """As rentals with their category alone: b and β of the most frequent one drove each other up in a block."""
    rng = np.random.default_rng(4)
    first = np.arange(120) < 40
    taste = np.where(first, 8.0, 1.0) / np.where(first, 8.0, 1.0).sum()
    items = np.concatenate([rng.choice(120, 12, replace=False, p=taste) for _ in range(900)])
    data = Dataset.from_pairs(np.repeat(np.arange(900), 12), items, np.arange(len(items)) * 1000, seed=1)
    known = np.array([int(text) < 40 for text in data.items.texts()])
    one = Features.from_arrays(
        data.items, np.stack([known, ~known], 1).astype(np.float16), ["a", "b"], kind="attributes"
    )
    found = create("i-tvbpr", iterations=4, patience=20, epochs=2, learning_rate=0.2).fit(data, one)
    assert all(np.isfinite(row["loss"]) and row["loss"] < 0.7 for row in found.history_)


def test_epochs_are_not_cut_by_likelihoods_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a search met them, at a rate that is too high: an error about the fit, not one of an index."""
    none = np.full((8, 2), np.nan)
    monkeypatch.setattr(TemporalLearner, "likelihoods", lambda *_: none)
    with pytest.raises(UsageError, match=r"diverged.*likelihood.*learning_rate="):
        create("i-tvbpr", bins=8, epochs=2, segment_every=1, iterations=2, patience=2).fit(
            DATA, FEATURES["i-tvbpr"]
        )


def test_same_bits_for_any_number_of_threads_on_both_paths() -> None:
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this machine has one thread")
    from ivbpr_numba import Features

    wide = Features.from_arrays(
        DATA.items, np.random.default_rng(0).random((len(DATA.items), 700)).astype(np.float16)
    )
    for features in (FEATURES["i-vbpr"], wide):  # 700 columns × 256 triples are shared among threads
        found = []
        for count in (1, 2):
            numba.set_num_threads(count)
            made = learner(features, block=256, segment_every=1)
            made.iterate(1), made.iterate(2)
            found.append({name: table.copy() for name, table in made.tables.items()})
        for name in found[0]:
            np.testing.assert_array_equal(found[0][name], found[1][name])


# --- reductions (model specification 11) -------------------------------------------------------------------


def test_one_epoch_with_unit_weights_is_vbpr() -> None:
    """The shared start scores as VBPR; E and β learn as there while w, b, ΔE, Δβ stand still."""
    made = learner(epochs=1)
    visual = TVBPR(epochs=1, iterations=1, eval_every=1).fit(DATA, FEATURES["i-vbpr"])
    p = visual.parameters_
    p.weight[:], p.drift[:], p.bias_weight[:], p.bias_drift[:] = 1, 0, 1, 0
    own = p.at(0)
    np.testing.assert_array_equal(own.embedding, p.embedding)
    np.testing.assert_array_equal(own.visual_bias, p.visual_bias)
    plain = VBPR(iterations=1, eval_every=1).fit(DATA, FEATURES["i-vbpr"])
    changed(plain, parameters=own)
    changed(visual, parameters=p)
    np.testing.assert_array_equal(visual.scores([DATA.users[0]]), plain.scores([DATA.users[0]]))
    assert made.parameters(made.tables).epoch_edges.shape == (2,)


def test_scores_at_an_epoch_are_equation_2() -> None:
    made = learner()
    params, f = as_reference(made)
    p = made.parameters(made.tables)
    scorer = made.scorer(made.tables)
    for e in range(3):
        one = scorer.at(e)
        for u in (0, 11):
            found = one.items.bias + one.items.vectors @ one.user_vectors[u]
            np.testing.assert_allclose(found, naive.scores(params, u, f, e), rtol=2e-5, atol=2e-5)
    times = np.array([0, p.epoch_edges[1] - 1, p.epoch_edges[1], p.epoch_edges[2], 2**40])
    assert scorer.epochs(times).tolist() == [
        naive.epoch_of_time(int(t), p.epoch_edges.tolist()) for t in times
    ]
    assert scorer.epochs(times).tolist() == [0, 0, 1, 2, 2]


def test_drifting_item_biases_are_scored_saved_and_read(tmp_path: Path) -> None:
    names = np.array([b"", b"boots", b"coats"])[np.arange(len(DATA.items)) % 3]
    data = with_column("category", names)
    options = {"epochs": 3, "iterations": 4, "eval_every": 2, "segment_every": 2, "item_drift": True}
    model = TVBPR(**options).fit(data, FEATURES["i-vbpr"], out=tmp_path / "m.h5")
    assert model.item_bias_drift_.shape == (3, len(names)) and model.category_bias_.shape == (3, 2)
    back = load(tmp_path / "m.h5")
    assert back.get_params()["item_drift"] is True
    params = {n: a.astype(np.float64) for n, a in model.parameters_.arrays().items() if n != "epoch_edges"}
    f = FEATURES["i-vbpr"].values(FEATURES["i-vbpr"].rows(data.items)).astype(np.float64)
    category = np.arange(len(names)) % 3 - 1
    for one in (model, back):
        for e in range(3):
            own = one.scorer().at(e)
            found = own.items.bias + own.items.vectors @ own.user_vectors[5]
            np.testing.assert_allclose(found, naive.scores(params, 5, f, e, category), rtol=2e-5, atol=2e-5)
    assert (
        TVBPR(**{**options, "item_drift": False}).fit(data, FEATURES["i-vbpr"]).parameters_.category is None
    )


def test_temporal_auc_scores_each_event_at_its_epoch() -> None:
    from ivbpr_numba import auc

    model = TVBPR(epochs=3, iterations=4, eval_every=2, segment_every=2).fit(DATA, FEATURES["i-vbpr"])
    arrays = {n: a.astype(np.float64) for n, a in model.parameters_.arrays().items() if n != "epoch_edges"}
    scorer = model.scorer()
    epochs = scorer.epochs(DATA.test.times)
    assert len({*epochs.tolist()}) > 1 and set(arrays) >= {"weight", "drift", "bias_weight", "bias_drift"}

    def row_of(u: int, i: int) -> np.ndarray:
        from ivbpr_numba.ranking import scores

        return scores(scorer.at(int(epochs[u])), np.array([u]))[0]

    expected = naive.auc(
        row_of, LISTS, DATA.valid.indices.tolist(), DATA.test.indices.tolist(), len(DATA.items)
    )
    found = auc(model)
    assert found["all"]["auc"] == pytest.approx(expected["all"]["auc"], abs=1e-12)
    assert found["all"]["pairs"] == expected["all"]["pairs"]


# --- segmentation ------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.data())
def test_the_programme_equals_brute_force_ties_included(data: st.DataObject) -> None:
    n_bins = data.draw(st.integers(1, 9))
    n_epochs = data.draw(st.integers(1, n_bins))
    values = data.draw(st.lists(st.integers(-2, 2), min_size=n_bins * n_epochs, max_size=n_bins * n_epochs))
    table = np.array(values, dtype=np.float64).reshape(n_bins, n_epochs)
    assert segment(table).tolist() == naive.segment_brute_force(table)


@given(st.integers(1, 80), st.integers(1, 12))
def test_the_start_is_the_documented_one(n_bins: int, n_epochs: int) -> None:
    if n_epochs > n_bins:
        with pytest.raises(UsageError, match="epochs"):
            start_ends(n_bins, n_epochs)
        return
    assert start_ends(n_bins, n_epochs).tolist() == naive.start_ends(n_bins, n_epochs)


@given(st.integers(0, 2**33), st.integers(1, 10**9), st.integers(1, 80), st.data())
def test_bins_and_edges_agree_with_the_rule(first: int, span: int, n_bins: int, data: st.DataObject) -> None:
    times = np.array([first, first + span], dtype=np.int64)
    edges = bin_edges(times, n_bins, "width")
    asked = np.array(data.draw(st.lists(st.integers(first - 10, first + span + 10), min_size=1, max_size=20)))
    expected = [naive.time_bin(int(t), first, first + span, n_bins) for t in asked]
    assert bins_of(asked, edges).tolist() == expected
    n_epochs = data.draw(st.integers(1, n_bins))
    ends = naive.start_ends(n_bins, n_epochs)
    own = epoch_edges(np.array(ends), edges)
    assert own[:-1].tolist() == naive.epoch_edges(ends, first, first + span, n_bins)[:-1]
    assert epoch_of(asked, own).tolist() == [naive.epoch_of_bin(b, ends) for b in expected]


def test_quantile_bins_hold_equally_many() -> None:
    times = np.random.default_rng(0).exponential(1e6, 8000).astype(np.int64)
    counts = np.bincount(bins_of(times, bin_edges(times, 80, "quantile")), minlength=80)
    assert counts.min() >= 95 and counts.max() <= 105


@pytest.mark.parametrize("segment_on", ["train", "valid"])
def test_the_table_equals_the_reference(segment_on: str) -> None:
    made = learner(segment_on=segment_on, segment_negatives=4)
    users, items, times = made.events
    params, f = as_reference(made)
    seed = made.options["seed"]
    events = list(zip(users.tolist(), items.tolist()))
    negatives = [
        naive.segment_negatives(LISTS, len(DATA.items), seed, 7, v, u, i, 4)
        for v, (u, i) in enumerate(events)
    ]
    known = np.concatenate([DATA.train.times, DATA.valid.times])
    bins = [naive.time_bin(int(t), int(known.min()), int(known.max()), 80) for t in times]
    expected = naive.segment_table(params, f, events, negatives, bins, 80)
    np.testing.assert_allclose(made.likelihoods(7), expected, rtol=1e-4, atol=1e-4)


def test_segmentation_moves_the_epochs_and_is_kept_with_the_parameters() -> None:
    made = learner(segment_every=2)
    before = made.tables["ends"].copy()
    made.iterate(1)
    np.testing.assert_array_equal(made.tables["ends"], before)
    made.iterate(2)
    np.testing.assert_array_equal(made.tables["ends"], segment(made.likelihoods(2)))
    assert made.tables["ends"][-1] == 79 and np.all(np.diff(made.tables["ends"]) > 0)


def test_auto_keeps_the_number_of_epochs_that_validates_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ivbpr_numba.models.temporal.AUTO_EPOCHS", (1, 2, 4))
    options = {"iterations": 4, "eval_every": 2, "segment_every": 2}
    single = {n: TVBPR(**options, epochs=n).fit(DATA, FEATURES["i-vbpr"]) for n in (1, 2, 4)}
    model = TVBPR(**options, epochs="auto").fit(DATA, FEATURES["i-vbpr"], out=tmp_path / "m.h5")
    tried = {n: one.metrics_["valid"]["all"]["auc"] for n, one in single.items()}
    best = max(tried, key=lambda n: (tried[n], -n))
    assert model.epochs_tried_ == tried and model.config_["epochs"] == best and model.epochs == "auto"
    np.testing.assert_array_equal(model.drift_, single[best].drift_)
    back = load(tmp_path / "m.h5")
    assert back.provenance_["epochs_tried"] == {str(n): value for n, value in tried.items()}
    assert back.get_params()["epochs"] == best


# --- bad input ---------------------------------------------------------------------------------------------


def data_with(times: Any) -> Dataset:
    users = [DATA.users[int(u)] for u in DATA.train.users]
    items = [DATA.items[int(i)] for i in DATA.train.indices]
    return Dataset.from_pairs(users, items, times)


def test_times_that_cannot_be_learned_from() -> None:
    n = len(DATA.train)
    with pytest.raises(DataError, match=r"no times.*time="):
        TVBPR().fit(data_with(None), FEATURES["i-vbpr"])
    with pytest.raises(DataError, match="same time"):
        TVBPR().fit(data_with([1_500_000_000] * n), FEATURES["i-vbpr"])
    for options, said in [
        ({"epochs": 81}, "81 for 80 bins"),
        ({"epochs": 3, "bins": 2}, "3 for 2 bins"),
        ({"epochs": 0}, "whole number"),
        ({"segment_every": 51}, "half of patience=100"),
        ({"update": "hogwild"}, "hogwild"),
        ({"bin_type": "equal"}, "mean 'quantile'"),
        ({"temporal_init": "papers"}, "mean 'paper'"),
        ({"segment_on": "test"}, "train, valid"),
    ]:
        with pytest.raises(UsageError, match=said):
            TVBPR(**options).fit(DATA, FEATURES["i-vbpr"])


def test_bins_without_events_are_no_obstacle() -> None:
    """All purchases at the two ends of the span."""
    n = len(DATA.train)
    times = np.where(np.arange(n) % 2, 1_400_000_000, 1_500_000_000) + np.arange(n)
    model = TVBPR(epochs=4, iterations=6, eval_every=2, segment_every=2).fit(
        data_with(times), FEATURES["i-vbpr"]
    )
    assert np.all(np.diff(model.epoch_edges_) > 0)
    assert 0 < model.metrics_["test"]["all"]["auc"] < 1


def test_triples_type() -> None:
    """Blocks come from whatever triples are drawn, also from none."""
    made = learner()
    nothing = Triples(*(np.zeros(0, np.int32),) * 3, 0)
    assert made._apply(nothing).loss == 0
