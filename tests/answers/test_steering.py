"""Steering: equations 5 to 7 and both rankings as the slow reference has them, and what a session promises."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ATTRIBUTES, DATA, DENSE, N_ITEMS, NAMES, fitted, made

from ivbpr_numba import DataError, Features, Session, UsageError, load
from ivbpr_numba.answers.affinity import boosted, toward
from ivbpr_numba.answers.visits import KEPT
from ivbpr_numba.features.inputs import DenseInput, SparseInput

USERS = DATA.users.texts()
ITEMS = DATA.items.texts()
COLUMNS = len(NAMES)
EXCLUSIVE = [range(0, 2), range(2, 5)]


def probable() -> Features:
    """Values in steps of a quarter, few of them 0, so that they are computed with dense; one item has none."""
    values = np.random.default_rng(4).integers(0, 5, (N_ITEMS, COLUMNS)) / 4
    values[7] = 0
    return Features.from_arrays(DATA.items, values.astype(np.float32), NAMES, kind="attributes")


@cache
def model_of(kind: str) -> Any:
    """Fitted models, not to be changed: on sparse and on dense rows, in time, without names."""
    if kind == "dense":
        return made("i-vbpr").fit(DATA, probable())
    if kind == "time":
        return fitted("i-tvbpr", epochs=3, bins=12)
    return fitted({"sparse": "i-vbpr", "nameless": "vbpr"}[kind])


def values_of(kind: str) -> np.ndarray:
    features = {"dense": probable(), "nameless": DENSE}.get(kind, ATTRIBUTES)
    return features.values(np.arange(N_ITEMS)).astype(np.float64)


def groups_of(kind: str) -> list[range]:
    groups = model_of(kind).features_.groups
    return [range(one.offset, one.offset + one.size) for one in groups if one.exclusive]


def parameters_of(kind: str) -> tuple[dict[str, np.ndarray], int | None]:
    """As float64, and the last epoch."""
    arrays = model_of(kind).parameters_.arrays()
    epoch = len(arrays["weight"]) - 1 if "weight" in arrays else None
    return {name: array.astype(np.float64) for name, array in arrays.items()}, epoch


def owned(u: int) -> set[int]:
    parts = (DATA.train, DATA.valid, DATA.test)
    return {i for part in parts for i in part.indices[part.indptr[u] : part.indptr[u + 1]].tolist()}


Step = tuple[str, int, float]
amounts = st.sampled_from([-1.5, -0.5, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0, 2.0])
boosts = st.tuples(st.just("boost"), st.integers(0, COLUMNS - 1), amounts)
towards = st.tuples(st.just("toward"), st.integers(0, N_ITEMS - 1), amounts)
steps = st.lists(boosts | towards, max_size=6)
users = st.integers(0, len(USERS) - 1)
named = st.sampled_from(["sparse", "dense", "time"])


def walked(session: Session, walk: list[Step]) -> Session:
    names = session.model.features_.names
    for kind, row, amount in walk:
        if kind == "boost":
            session = session.boost(names[row], amount)
        else:
            session = session.toward(ITEMS[row], amount)
    return session


def list_of(session: Session, n: int = N_ITEMS) -> list[tuple[str, float]]:
    return [(row["item"], row["score"]) for row in session.recommend(n)]


def test_the_models_here_are_sparse_and_dense() -> None:
    assert isinstance(model_of("sparse").views.aligned(), SparseInput)
    assert isinstance(model_of("dense").views.aligned(), DenseInput)


# --- the model's own ranking -------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.sampled_from(["sparse", "dense", "time", "nameless"]), users, steps)
def test_scores_of_a_steered_shopper_are_those_of_the_reference(kind: str, u: int, walk: list[Step]) -> None:
    model, values = model_of(kind), values_of(kind)
    session = walked(Session(model, USERS[u]), walk)
    plain = model.scores([USERS[u]])[0].astype(np.float64)
    asked = [[(row, amount) for kind, row, amount in walk if kind == what] for what in ("boost", "toward")]
    expected = naive.steered_scores(plain, values, *asked)
    found = session.recommend(N_ITEMS)
    assert {row["item"] for row in found} == {ITEMS[i] for i in range(N_ITEMS) if i not in owned(u)}
    size = np.abs(plain).max() + np.abs(expected - plain).max() + 1e-9
    for row in found:
        assert row["score"] == pytest.approx(expected[ITEMS.index(row["item"])], abs=3e-6 * size)
    scores = [row["score"] for row in found]
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=40)
@given(named, users, steps, st.randoms(use_true_random=False))
def test_the_order_of_steps_does_not_matter(kind: str, u: int, walk: list[Step], random: Any) -> None:
    session = Session(model_of(kind), USERS[u])
    other = list(walk)
    random.shuffle(other)
    assert walked(session, walk).recommend(20) == walked(session, other).recommend(20)


@settings(max_examples=40)
@given(named, users, steps)
def test_terms_sum_to_the_score(kind: str, u: int, walk: list[Step]) -> None:
    session = walked(Session(model_of(kind), USERS[u]), walk)
    for row in session.recommend(3):
        told = session.explain(row["item"])
        size = sum(abs(term["contribution"]) for term in told["terms"])
        assert told["score"] == sum(term["contribution"] for term in told["terms"])
        assert told["score"] == pytest.approx(row["score"], abs=2e-6 * size + 1e-9)
        asked = {term["term"]: term["contribution"] for term in told["terms"] if term["kind"] == "boost"}
        assert set(asked) == {
            NAMES[row] if kind == "boost" else f"toward {ITEMS[row]}" for kind, row, _ in walk
        } - {f"toward {item}" for item in _as_the_average(session)}
        for reason in row["because"]:
            if reason.get("kind") == "boost":
                assert reason["contribution"] == pytest.approx(asked[reason["term"]], rel=1e-9)


def _as_the_average(session: Session) -> list[str]:
    steering = session.visit.steering
    return [] if steering is None else steering.without_direction


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_an_item_gains_phi_spreads_over_the_average_item(kind: str) -> None:
    """And one that surely has a feature is lifted by the amount."""
    model, values = model_of(kind), values_of(kind)
    spread = model.scores(["u004"])[0].std(dtype=np.float64)
    session = Session(model, "u004")
    plain = session.explain("i011")["score"]
    told = session.toward("i011", 2).explain("i011")
    (gain,) = (term["contribution"] for term in told["terms"] if term["kind"] == "boost")
    assert gain == pytest.approx(2 * spread, rel=1e-5)
    lifted = session.boost(NAMES[0], -0.5).explain("i011")["score"]
    assert lifted - plain == pytest.approx(-0.5 * spread * values[ITEMS.index("i011"), 0], abs=1e-6)


def test_boosts_that_cancel_leave_the_scores_as_they_were() -> None:
    session = Session(model_of("sparse"), "u001")
    back = session.boost("red", 0.1).boost("red", 0.2).boost("hue=red", -0.1).boost("red", -0.2)
    assert list_of(back) == list_of(session)


def test_a_catalogue_of_one_kind_leads_nowhere() -> None:
    same = np.tile(np.array([1, 0, 0, 1, 0], np.float32), (N_ITEMS, 1))
    model = made("i-vbpr").fit(DATA, Features.from_arrays(DATA.items, same, NAMES, kind="attributes"))
    session = Session(model, "u001").toward("i003")
    assert list_of(session) == list_of(session.undo())
    assert "i003 is as the average item" in session.remarks[-1]


# --- equations 5 to 7 --------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    named, users, steps, st.sampled_from(["shift", "softmax"]), st.booleans(), st.sampled_from([0.05, 1.0])
)
def test_the_affinity_is_that_of_the_reference(
    kind: str, u: int, walk: list[Step], normalise: str, literal: bool, temperature: float
) -> None:
    model, values = model_of(kind), values_of(kind)
    parameters, epoch = parameters_of(kind)
    scaling = model.features_.scaling
    s = naive.sensitivities(parameters, u, scaling.multiplier.astype(np.float64), epoch)
    p = naive.affinity(
        naive.centred(s, scaling.mean.astype(np.float64), groups_of(kind)), normalise, temperature
    )
    session = Session(model, USERS[u], normalise=normalise, literal=literal, temperature=temperature)
    for kind_of, row, amount in walk:
        if kind_of == "boost":
            p = naive.click_boost(p, row, amount / COLUMNS)
        else:
            p = naive.click_toward(p, values[row], amount / COLUMNS, literal)
    found = walked(session, walk)
    assert found.p == pytest.approx(p, abs=1e-6)
    assert found.p.sum() == pytest.approx(1, abs=1e-12)
    rows = found.affinity()
    assert [row["share"] for row in rows] == sorted(found.p.tolist(), reverse=True)
    assert {row["feature"] for row in rows} == set(NAMES)


@pytest.mark.parametrize("kind", ["sparse", "dense", "time"])
def test_equation_5_as_printed(kind: str) -> None:
    model = model_of(kind)
    parameters, epoch = parameters_of(kind)
    told = 0
    for u in range(0, len(USERS), 7):
        s = naive.sensitivities(parameters, u, model.features_.scaling.multiplier.astype(np.float64), epoch)
        session = Session(model, USERS[u], normalise="paper")
        total = sum(s) + COLUMNS * np.mean(naive.scores(
            {name: parameters[name] for name in ("item_bias", "user_factors", "item_factors")}, u
        ))  # fmt: skip
        if total <= 1e-4:
            with pytest.raises(UsageError, match="as printed divides by"):
                _ = session.p
            told += 1
        else:
            expected = naive.affinity_as_printed(parameters, u, s, range(N_ITEMS), epoch)
            assert session.p == pytest.approx(expected, rel=1e-3, abs=1e-3)
            told += 1
    assert told


shares = st.lists(st.floats(0, 1), min_size=COLUMNS, max_size=COLUMNS).filter(lambda p: sum(p) > 0.01)


@given(shares, shares, st.floats(0.01, 3))
def test_equation_6_moves_toward_the_item(start: list[float], item: list[float], phi: float) -> None:
    p, v = naive.shared(start), np.array(item)
    moved = toward(p, v, phi)
    assert moved.sum() == pytest.approx(1)
    before, after = np.abs(p - v / v.sum()).sum(), np.abs(moved - v / v.sum()).sum()
    assert after == pytest.approx(before / (1 + phi), abs=1e-9)


@given(shares, st.integers(0, COLUMNS - 1), st.floats(0.01, 3))
def test_equation_7_raises_the_share_and_keeps_the_others_in_proportion(
    start: list[float], k: int, phi: float
) -> None:
    p = naive.shared(start)
    moved = boosted(p, k, phi)
    assert moved.sum() == pytest.approx(1)
    assert moved[k] == pytest.approx((p[k] + phi) / (1 + phi))
    assert moved[k] > p[k] or p[k] > 1 - 1e-9
    others = np.delete(np.arange(COLUMNS), k)
    assert moved[others] == pytest.approx(p[others] / (1 + phi))


@given(shares, st.integers(0, COLUMNS - 1), st.floats(0.01, 2))
def test_less_ends_at_nothing(start: list[float], k: int, phi: float) -> None:
    moved = boosted(naive.shared(start), k, -phi)
    assert moved.min() >= 0
    assert moved.sum() == pytest.approx(1)


def test_less_of_all_there_is_leaves_no_preference() -> None:
    p = boosted(np.array([1.0, 0, 0, 0]), 0, -2)
    assert p.tolist() == [0.25] * 4


# --- the nearest items -------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(named, users, steps, st.sampled_from(["cosine", "euclid"]), st.integers(1, N_ITEMS))
def test_the_nearest_items_are_those_of_the_reference(
    kind: str, u: int, walk: list[Step], metric: str, n: int
) -> None:
    session = walked(Session(model_of(kind), USERS[u], by="knn", metric=metric), walk)
    clicked = {row for kind, row, _ in walk if kind == "toward"}
    expected = naive.nearest(session.p, values_of(kind), metric, owned(u) | clicked)[:n]
    found = session.recommend(n)
    assert [row["item"] for row in found] == [ITEMS[i] for i, _ in expected]
    assert [row["score"] for row in found] == pytest.approx([s for _, s in expected], abs=1e-9)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_ties_are_in_order_of_the_rows(kind: str) -> None:
    """A new shopper's affinity is uniform: every item with as many attributes is as near."""
    session = Session(model_of(kind), by="knn")
    expected = naive.nearest(session.p, values_of(kind), "cosine", set())
    assert len({score for _, score in expected}) < len(expected) / 1.2
    assert list_of(session) == [(ITEMS[i], pytest.approx(score, abs=1e-9)) for i, score in expected]


@settings(max_examples=30)
@given(named, users, st.integers(0, COLUMNS - 1), st.floats(0.01, 2))
def test_what_a_boost_keeps_under_the_cosine(kind: str, u: int, k: int, phi: float) -> None:
    """i before j stays so where v_ik / |v_i| is not below v_jk / |v_j|."""
    values = values_of(kind)
    session = Session(model_of(kind), USERS[u], by="knn")
    before, after = list_of(session), dict(list_of(session.boost(NAMES[k], phi)))
    share = {
        ITEMS[i]: values[i, k] / np.sqrt(values[i] @ values[i]) for i in range(N_ITEMS) if values[i].any()
    }
    for place, (i, _) in enumerate(before):
        for j, _ in before[place + 1 :]:
            if share[i] >= share[j]:
                assert after[i] >= after[j] - 2e-12


def test_reasons_by_nearness_are_parts_of_the_cosine() -> None:
    session = Session(model_of("sparse"), "u003", by="knn").boost("red", 0.4)
    for row in session.recommend(N_ITEMS):
        parts = row["because"]
        assert sum(part["contribution"] for part in parts) == pytest.approx(row["score"], abs=1e-9)
        assert [part.get("kind") for part in parts] == [
            "boost" if part["term"] == "hue=red" else None for part in parts
        ]
    assert all(not row["because"] for row in session.recommend(3, reasons=False))


def test_negative_values_are_no_shares() -> None:
    with pytest.raises(UsageError, match="values below 0"):
        Session(model_of("nameless"), "u003", by="knn")


# --- what a session promises -------------------------------------------------------------------------------


@settings(max_examples=30)
@given(named, st.sampled_from(["model", "knn"]), users, steps.filter(len), st.data())
def test_undo_reset_without_and_replay_are_exact(
    kind: str, by: str, u: int, walk: list[Step], data: st.DataObject
) -> None:
    model = model_of(kind)
    start = Session(model, USERS[u], by=by)
    session = walked(start, walk)
    assert session.undo().recommend(20) == walked(start, walk[:-1]).recommend(20)
    place = data.draw(st.integers(0, len(walk) - 1))
    left = walk[:place] + walk[place + 1 :]
    assert session.without(place).recommend(20) == walked(start, left).recommend(20)
    assert session.reset().recommend(20) == start.recommend(20)
    again = Session.from_json(session.to_json(), model)
    assert again.steps == session.steps
    assert again.recommend(20) == session.recommend(20)
    assert again.to_json() == session.to_json()
    assert len(start.steps) == 0


def test_another_process_gives_the_same_list(tmp_path: Path) -> None:
    features = tmp_path / "attributes.h5"
    ATTRIBUTES.write(features)
    made("i-vbpr", iterations=2).fit(DATA, Features.read(features), out=tmp_path / "m.h5")
    lists = []
    for by in ("model", "knn"):
        session = Session(load(tmp_path / "m.h5"), "u003", by=by).boost("red").toward("i010", -0.3)
        (tmp_path / f"{by}.json").write_text(session.to_json())
        lists.append(session.recommend(20))
    code = (
        "import json, sys; from ivbpr_numba import Session, load; m = load(sys.argv[1]);"
        "print(json.dumps([Session.from_json(open(f).read(), m).recommend(20) for f in sys.argv[2:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *(tmp_path / name for name in ("m.h5", "model.json", "knn.json"))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == lists


def test_steps_have_canonical_names() -> None:
    session = Session(model_of("sparse"), "u003").boost("red").toward("i010").by("knn").boost("side=left")
    assert session.steps == (
        {"step": "boost", "feature": "hue=red", "amount": 1.0},
        {"step": "toward", "item": "i010", "amount": 1.0},
        {"step": "boost", "feature": "side=left", "amount": 1.0},
    )


def test_at_another_time() -> None:
    session = Session(model_of("time"), "u003").boost("red")
    early = session.at(DATA.train.times.min())
    assert early.steps == session.steps
    assert early.recommend(5) == Session(session.model, "u003", at=early.moment).boost("red").recommend(5)
    assert early.at(None).recommend(5) == session.recommend(5)


@pytest.mark.parametrize("name", ["rand", "pop", "bpr-mf"])
def test_models_without_attributes_say_so(name: str) -> None:
    model = fitted(name)
    session = Session(model, "u003")
    assert session.recommend(5) == model.recommend("u003", 5)
    for ask in (
        lambda: session.boost("red"),
        lambda: session.toward("i003"),
        lambda: session.by("knn"),
        lambda: session.p,
    ):
        with pytest.raises(UsageError, match=f"{name} knows no attributes"):
            ask()


def test_a_session_without_steps_is_recommend() -> None:
    for kind in ("sparse", "dense", "time", "nameless"):
        model = model_of(kind)
        assert Session(model, "u017").recommend(9) == model.recommend("u017", 9)
        assert Session(model, "u017").explain("i003") == model.explain("u017", "i003")


def test_a_new_shopper_without_likes_gets_what_everybody_likes() -> None:
    model = model_of("sparse")
    vectors = model.item_vectors().vectors
    found = list_of(Session(model))
    assert dict(found) == {item: float(bias) for item, bias in zip(ITEMS, vectors[:, -1])}


@pytest.mark.parametrize("by", ["model", "knn"])
@pytest.mark.parametrize("kind", ["sparse", "dense", "time"])
def test_a_new_shopper_who_likes_and_unlikes(kind: str, by: str) -> None:
    model, values = model_of(kind), values_of(kind)
    session = Session(model, likes=["i001", "i007"], by=by).boost("red").like("i003").unlike("i001")
    assert session.likes == ["i007", "i003"]
    assert list_of(session) == list_of(Session(model, likes=["i003", "i007"], by=by).boost("red"))
    assert not {"i003", "i007"} & {item for item, _ in list_of(session)}
    again = Session.from_json(session.to_json(), model)
    assert again.steps == session.steps and again.recommend(9) == session.recommend(9)
    assert again.reset().likes == ["i001", "i007"]
    assert list_of(again.undo()) == list_of(
        Session(model, likes=["i001", "i003", "i007"], by=by).boost("red")
    )
    liked = [values[i] / values[i].sum() for i in (3, 7) if values[i].any()]
    expected = naive.click_boost(np.mean(liked, axis=0), 2, 1 / COLUMNS)
    assert session.p == pytest.approx(expected, abs=1e-9)
    with pytest.raises(UsageError, match="liked already"):
        session.like("i003")
    with pytest.raises(UsageError, match="not among the likes"):
        session.unlike("i001")


def test_what_a_long_session_keeps_is_bounded() -> None:
    session = Session(model_of("sparse"), likes=["i000"]).boost("red")
    for item in ITEMS[1:9]:
        session = session.like(item)
        session.recommend(1)
    assert len(session.visit.kept) == KEPT
    fresh = Session(model_of("sparse"), likes=ITEMS[:9]).boost("red")
    assert session.recommend(9) == fresh.recommend(9)


def test_likes_that_have_no_attributes_are_no_taste() -> None:
    assert Session(model_of("dense"), likes=["i007"]).p.tolist() == [1 / COLUMNS] * COLUMNS


def test_a_new_shopper_scores_as_one_who_was_folded_in() -> None:
    model = model_of("sparse")
    vector, items = model.fold_in(["i001", "i003"]), model.item_vectors().vectors.astype(np.float64)
    z = np.concatenate([vector.user_factors, vector.user_visual]).astype(np.float64)
    found = list_of(Session(model, likes=["i001", "i003"]))
    expected = dict(zip(ITEMS, items[:, :-1] @ z + items[:, -1]))
    assert dict(found) == pytest.approx({item: expected[item] for item, _ in found}, abs=1e-5)


def test_because_ranks_a_steered_list_by_the_term_then_by_the_steered_score() -> None:
    session = Session(model_of("sparse"), "u003").boost("left", 3).toward("i040")
    scores, plain = dict(list_of(session)), Session(model_of("sparse"), "u003")
    found = session.recommend(N_ITEMS, because="green")
    assert {row["item"] for row in found} == {
        row["item"] for row in plain.recommend(N_ITEMS, because="green")
    }
    assert [row["score"] for row in found] == [scores[row["item"]] for row in found]
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"by": "model2"}, "Did you mean 'model'"),
        ({"metric": "l2"}, "Known: cosine, euclid"),
        ({"normalise": "sum"}, "Known: shift, paper, softmax"),
        ({"temperature": 0}, "temperature=0"),
        ({"literal": 1}, "literal=1"),
        ({"exclude": ["tests"]}, "Did you mean 'test'"),
        ({"likes": ["i001"]}, "two shoppers"),
        ({"likes": "i001"}, "takes a list"),
        ({"at": "2020-01-01"}, "knows no time"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Session(model_of("sparse"), "u003", **options)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda s: s.boost("hue=redd"), "Did you mean 'hue=red'"),
        (lambda s: s.boost("red", float("nan")), "an amount is a number"),
        (lambda s: s.boost("red", "much"), "boost='much'"),
        (lambda s: s.boost("red", 1e9), "from -1000 to 1000"),
        (lambda s: s.boost(3), "must be text"),
        (lambda s: s.toward("i001", True), "an amount is a number"),
        (lambda s: s.like("i001"), "is a user of the model"),
        (lambda s: s.undo(), "no step to undo"),
        (lambda s: s.without(0), "no step to take back"),
        (lambda s: s.boost("red").without(1), "from 0 to 0"),
        (lambda s: s.by("knn").explain("i001"), "no score"),
        (lambda s: s.by("knn").recommend(3, because="red"), "because"),
    ],
)
def test_wrong_steps_are_refused(ask: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        ask(Session(model_of("sparse"), "u003"))


def test_unknown_users_and_items_are_refused() -> None:
    model = model_of("sparse")
    with pytest.raises(DataError, match="Users to try"):
        Session(model, "nobody")
    with pytest.raises(DataError, match="i0011"):
        Session(model, "u003").toward("i0011")
    with pytest.raises(DataError, match="i0011"):
        Session(model, likes=["i0011"])


def test_odd_values_in_a_session_are_refused_or_mean_something() -> None:
    """Never another error than those that are told in a sentence."""
    model = model_of("time")
    written = json.loads(Session(model, "u003").boost("red").to_json())
    refused = 0
    for key in written:
        for odd in (None, 3, -1, 2.5, "x", "", [], {}, [[]], [None], ["i001"], True, {"step": "boost"}):
            try:
                with warnings.catch_warnings(action="ignore"):
                    found = Session.from_json(json.dumps({**written, key: odd}), model)
                    assert found.recommend(2)
            except DataError:
                refused += 1
            except UsageError:  # of the right kind, but unknown to the model
                assert key in ("at", "exclude", "likes")
            else:
                assert key == "model" or json.loads(found.to_json())[key] == odd
    assert refused > 100


def test_sessions_that_cant_be_read_are_refused() -> None:
    model = model_of("sparse")
    text = Session(model, "u003").boost("red").to_json()
    with pytest.raises(DataError, match="belongs to another model"):
        Session.from_json(text, model_of("dense"))
    for change in (
        lambda d: d.update(schema="ivbpr.session/2"),
        lambda d: d.update(steps=3),
        lambda d: d.update(steps=[3]),
        lambda d: d.update(steps=[{"step": ["boost"]}]),
        lambda d: d.update(steps=[{"step": "boost", "feature": "hue=red"}]),
        lambda d: d.update(steps=[{"step": "like", "item": "i001"}]),
        lambda d: d.pop("at"),
    ):
        content = json.loads(text)
        change(content)
        with pytest.raises(DataError):
            Session.from_json(json.dumps(content), model)
    for broken in ("{", "[" * 100_000):
        with pytest.raises(DataError, match="no session"):
            Session.from_json(broken, model)
