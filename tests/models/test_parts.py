"""Fits in parts: the rule beside the reference, and every promise that a fit in one part keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import DATA, FEATURES, fitted, made, saved

from ivbpr_numba import Dataset, UsageError
from ivbpr_numba.dataflow import Here, Lost
from ivbpr_numba.errors import EnvironmentProblem
from ivbpr_numba.features.alignment import align, fit_scaling
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.joint import joint_spread
from ivbpr_numba.models import parts as module
from ivbpr_numba.models.epochs import epoch_of
from ivbpr_numba.models.joining import Changes, Pull, changes_of, joined
from ivbpr_numba.models.parts import Parts, deal, part_seed
from ivbpr_numba.models.specifications import SPECIFICATIONS
from ivbpr_numba.models.start import Start

LEARNED = ["mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr"]
RATES = {"learning_rate": 0.1, "lambda_theta": 0.2, "lambda_bias": 0.1}
N_ITEMS = len(DATA.items)
LISTS = [DATA.train.indices[a:b].tolist() for a, b in zip(DATA.train.indptr, DATA.train.indptr[1:])]


def options_of(name: str, **options: Any) -> dict[str, Any]:
    in_time = {"segment_every": 2, "epochs": 3, "bins": 6} if "tvbpr" in name else {}
    return {"parts": 3, "factors": 3, **in_time, **options}


# --- the rule ---


@pytest.mark.parametrize("item_drift", [False, True])
@pytest.mark.parametrize("law", [("trained", "interactions"), ("uniform", "users")])
@pytest.mark.parametrize("name", LEARNED)
def test_two_iterations_beside_the_reference(name: str, law: tuple[str, str], item_drift: bool) -> None:
    """From the same start, with blocks of four triples: parameters of the reference after two iterations."""
    data, options = DATA, {**RATES, "negatives": law[0], "sampling": law[1], "factors": 3}
    if "vbpr" in name:
        options |= {"visual_factors": 2, "visual_rate": 0.5, "lambda_visual": 0.01, "block": 4}
    start, category, epochs = Start(), None, None
    if "tvbpr" in name:
        times = np.sort(DATA.train.times)
        edges = np.array([times[0], times[100], times[300], times[-1] + 1])
        options |= {"epochs": 3, "segment_every": 20}
        epochs = epoch_of(DATA.train.times, edges)
        start = Start(epoch_edges=edges)
        if item_drift:
            names = np.array([b"a", b"b", b""] * 15)
            meta = {"has_times": True}
            data = Dataset(
                DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, {"category": names}, meta
            )
            options["item_drift"], category = True, np.array([0, 1, -1] * 15)
    elif item_drift:
        pytest.skip("nothing drifts")
    still = {"iterations": 1, "learning_rate": 1e-30, "eval_every": None, "patience": None, "average": 0}
    begun = made(name, **{**options, **still}, seed=3).fit(data, FEATURES.get(name), start=start)
    rng = np.random.default_rng(5)
    parameters = type(begun.parameters_)(
        **{
            part: values
            if part in ("epoch_edges", "category")
            else rng.normal(0, 0.3, values.shape).astype(np.float32)
            for part, values in begun.parameters_.__dict__.items()
            if values is not None
        }
    )
    start = Start(parameters, epoch_edges=start.epoch_edges)
    run = {"iterations": 2, "eval_every": None, "patience": None, "average": 0, "seed": 3, "parts": 3}
    found = made(name, **options, **run).fit(data, FEATURES.get(name), start=start).parameters_.arrays()

    f = None
    if "vbpr" in name:
        scaling = begun.features_.scaling
        values = FEATURES[name].values(FEATURES[name].rows_of_all(DATA.items)).astype(np.float64)
        f = (values - scaling.shift) * scaling.multiplier
    of_epoch = None
    if epochs is not None:
        owners = np.repeat(np.arange(len(LISTS)), np.diff(DATA.train.indptr))
        of_epoch = dict(zip(zip(owners.tolist(), DATA.train.indices.tolist()), epochs.tolist()))
    rule = naive.Rule(
        **RATES,
        visual_rate=options.get("visual_rate", 1.0),
        lambda_visual=options.get("lambda_visual", 0.0),
        **({"loss": "hinge", "margin": 1.0} if name == "mm-mf" else {}),
    )
    expected = {part: values.astype(np.float64) for part, values in parameters.arrays().items()}
    expected.pop("epoch_edges", None)
    for t in (1, 2):
        expected = naive.iteration_in_parts(
            expected,
            LISTS,
            3,
            t,
            3,
            rule,
            {"negatives": law[0], "sampling": law[1]},
            f,
            4,
            of_epoch,
            category,
        )
    if item_drift:
        expected["item_bias"][:] = 0  # those of the epochs are there instead
    for part, values in expected.items():
        np.testing.assert_allclose(found[part], values, rtol=2e-4, atol=2e-5, err_msg=part)
        assert np.abs(values - getattr(parameters, part)).max() > 1e-4 or item_drift, part


@given(seed=st.integers(0, 999), parts=st.integers(1, 5), few=st.booleans())
def test_changes_are_joined_number_by_number(seed: int, parts: int, few: bool) -> None:
    """Whole or as rows, in one block or several: the reference's rule."""
    rng = np.random.default_rng(seed)
    before = {"items": rng.normal(size=(6, 3)), "embedding": rng.normal(size=(2, 2))}
    before = {name: table.astype(np.float32) for name, table in before.items()}
    moves, pulled = [], []
    sent: list[list[Changes]] = []
    for _ in range(parts):
        touches = rng.integers(0, 2 if few else 40, 6).astype(np.int32)[:, None]
        rates = rng.uniform(0, 0.5, 3).astype(np.float32)
        pulls = {
            "items": Pull(touches, rates),
            "embedding": Pull(np.full((1, 1), 7), rng.uniform(0, 0.5, (2, 2)).astype(np.float32)),
        }
        after = {
            name: table + rng.normal(size=table.shape).astype(np.float32) for name, table in before.items()
        }
        after["items"][touches[:, 0] == 0] = before["items"][touches[:, 0] == 0]
        moves.append({name: after[name] - before[name] for name in before})
        pulled.append({name: np.multiply(*one, dtype=np.float64) for name, one in pulls.items()})
        sent.append(changes_of(before, after, pulls, [0, 2, 6]))
    found = {"items": []}
    for b, (low, high) in enumerate(((0, 2), (2, 6))):
        block = {"items": before["items"][low:high]} | ({} if b else {"embedding": before["embedding"]})
        after = joined(block, [one[b] for one in sent])
        found["items"] += after["items"].tolist()
        found |= {name: table for name, table in after.items() if name != "items"}
    for name, table in before.items():
        for place in np.ndindex(table.shape):
            move = naive.joined_moves([m[name][place] for m in moves], [x[name][place] for x in pulled])
            assert np.array(found[name])[place] == pytest.approx(table[place] + move, rel=1e-5, abs=1e-5)


def test_few_touches_are_a_sum_and_many_a_mean() -> None:
    moves = [0.1, 0.3, 0.2]
    assert naive.joined_moves(moves, [1e-9] * 3) == pytest.approx(0.6)
    assert naive.joined_moves(moves, [60.0] * 3) == pytest.approx(0.2)
    assert naive.joined_moves([0.1, 0.0, 0.0], [2.0, 0.0, 0.0]) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["vbpr", "i-vbpr"])
def test_columns_that_move_together(name: str) -> None:
    source = align(FEATURES[name], DATA.items)
    scaling = fit_scaling(source, "standard")
    values = FEATURES[name].values(FEATURES[name].rows_of_all(DATA.items)).astype(np.float64)
    wanted = naive.joint_spread((values - scaling.shift) * scaling.multiplier)
    np.testing.assert_allclose(joint_spread(source, scaling), wanted, rtol=1e-4)


def test_columns_of_many_items_and_of_any_kind() -> None:
    """Twins count twice, constants not at all, and of many items some are looked at: always the same."""
    rng = np.random.default_rng(0)
    column = rng.integers(0, 2, 3000)
    values = np.stack([column, column, np.ones(3000), rng.integers(0, 2, 3000)], 1)
    features = Features.from_arrays([f"i{n}" for n in range(3000)], values.astype(np.float16))
    source = align(features, features.items)
    found = joint_spread(source, fit_scaling(source, "none"))
    assert found == pytest.approx([0.5, 0.5, 0, 0.25], abs=0.02)
    np.testing.assert_array_equal(found, joint_spread(source, fit_scaling(source, "none")))


@given(seed=st.integers(0, 999), parts=st.integers(1, 7))
def test_users_are_dealt_out(seed: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    lists = [rng.choice(4, rng.integers(0, 5), replace=False).tolist() for _ in range(20)]
    eligible = np.array(naive.eligible_users(lists, 4))
    found = deal(eligible, 20, parts)
    assert [users.tolist() for users in found] == naive.users_of_parts(lists, 4, parts)
    sizes = [np.isin(users, eligible).sum() for users in found]
    assert max(sizes) - min(sizes) <= 1 and sorted(np.concatenate(found)) == list(range(20))
    assert part_seed(seed, parts) == naive.mix64(seed, naive.PART, parts) >> 1


# --- promises of a fit ---


@pytest.mark.parametrize("name", LEARNED)
def test_one_part_is_the_fit_as_ever(name: str) -> None:
    assert fitted(name, parts=1).payload_sha256_ == fitted(name).payload_sha256_
    assert (
        fitted(name, **options_of(name)).payload_sha256_
        != fitted(name, **options_of(name, parts=1)).payload_sha256_
    )


@pytest.mark.parametrize("name", LEARNED)
def test_the_bits_do_not_depend_on_threads_or_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(name)
    before = fitted(name, threads=1, **options).payload_sha256_
    assert fitted(name, threads=min(2, numba.config.NUMBA_NUM_THREADS), **options).payload_sha256_ == before
    monkeypatch.setattr(module, "BLOCK", 600)
    assert fitted(name, **options).payload_sha256_ == before


class Stop(Exception):
    pass


@pytest.mark.parametrize("average", [0.0, 0.7])
@pytest.mark.parametrize("name", LEARNED)
def test_it_goes_on(name: str, average: float, tmp_path: Path) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event.get("iteration") == 5:
            raise Stop

    options = options_of(name, average=average)
    wanted, out = fitted(name, **options), tmp_path / "m.h5"
    with pytest.raises(Stop):
        fitted(name, {"out": out, "observers": stop, "checkpoint_every": 1}, **options)
    found = fitted(name, {"out": out, "resume": True}, **options)
    assert found.payload_sha256_ == wanted.payload_sha256_
    with pytest.raises(UsageError, match="parts"):
        fitted(name, {"out": out, "overwrite": False}, **{**options, "parts": 2})


class Forgetful:
    """A flow here, but it loses everything when it is asked for the n-th time, and for some later ones."""

    def __init__(self, *when: int) -> None:
        self.when, self.taken = when, 0

    def take(self, held: Any) -> list[Any]:
        self.taken += 1
        if self.taken in self.when:
            raise Lost(EnvironmentProblem("Gone.", "Again."))
        return list(held)


@pytest.mark.parametrize("average", [0.0, 0.7])
@pytest.mark.parametrize("name", LEARNED)
def test_what_was_lost_is_learned_again(name: str, average: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost in the first iteration, twice in a row, while tables are fetched: the same bits."""
    options = options_of(name, average=average)
    wanted = fitted(name, **options).payload_sha256_
    for when in ((1,), (2,), (3,), (4,), (5, 6, 7), (9, 11), (12,)):
        flow = Forgetful(*when)
        monkeypatch.setattr(Here, "take", lambda self, held, flow=flow: flow.take(held))
        assert fitted(name, **options).payload_sha256_ == wanted
        assert flow.taken > max(when)
    flow = Forgetful(*range(3, 99))
    monkeypatch.setattr(Here, "take", lambda self, held: flow.take(held))
    with pytest.raises(EnvironmentProblem, match="Gone"):
        fitted(name, **options)


def test_a_part_learns_and_others_too(tmp_path: Path) -> None:
    """Worth what it learned, and saved as one model like any other."""
    one, parts = fitted("i-vbpr", iterations=30), fitted("i-vbpr", iterations=30, parts=4)
    assert parts.metrics_["test"]["all"]["auc"] == pytest.approx(one.metrics_["test"]["all"]["auc"], abs=0.05)
    assert parts.metrics_["test"]["all"]["auc"] > 0.6 and parts.config_["parts"] == 4
    assert saved(tmp_path / "m.h5", "i-vbpr", parts=4, iterations=30) == parts.payload_sha256_


def test_large_data_in_parts_are_learned_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The triples of a part that is large come class by class, and every one of them is counted as a touch."""
    monkeypatch.setattr("ivbpr_numba.models.triples.LARGE", 100)
    monkeypatch.setattr("ivbpr_numba.models.triples.LEAST_ITEMS", 8)
    seen: list[int] = []
    learn = module._learn

    def noted(learner: Any, *given: Any) -> Any:
        found = learn(learner, *given)
        assert learner.in_rounds
        seen.append(int(found[2].pulls["items"].touches.sum()) if found[2].rows is None else -1)
        assert found[1][0].triples * 2 == seen[-1] or seen[-1] < 0
        return found

    monkeypatch.setattr(module, "_learn", noted)
    model = fitted("bpr-mf", parts=2)
    assert model.config_["parts"] == 2 and len(seen) == 16 and max(seen) > 0


@pytest.mark.parametrize(
    ("option", "value"),
    [("update", "hogwild"), ("ensemble", 2), ("device", "auto"), ("negatives", "popularity")],
)
def test_what_parts_exclude(option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"parts.*{option}.*exclude"):
        fitted("bpr-mf", parts=2, **{option: value})


@pytest.mark.parametrize("parts", [0, -1, 1.5, "two", 10**9])
def test_what_is_no_number_of_parts(parts: Any) -> None:
    with pytest.raises(UsageError, match="parts"):
        fitted("bpr-mf", parts=parts)


def test_more_parts_than_users() -> None:
    assert fitted("bpr-mf", parts=len(LISTS)).config_["parts"] == len(LISTS)
    with pytest.raises(UsageError, match="61 for 60 users"):
        fitted("bpr-mf", parts=len(LISTS) + 1)


def test_every_model_that_learns_has_parts() -> None:
    for name, specification in SPECIFICATIONS.items():
        for preset in specification.presets.values():
            assert preset.get("parts", math.nan) == 1 or name in ("rand", "pop")


def test_parts_know_what_they_move() -> None:
    """Bytes of a round: what all parts send of the item side."""
    model = made("i-vbpr", parts=3)
    seen: list[int] = []
    advance = Parts._advance

    def noted(self: Parts, iteration: int) -> Any:
        found = advance(self, iteration)
        seen.append(self.bytes_a_round)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parts, "_advance", noted)
        model.fit(DATA, FEATURES["i-vbpr"])
    width, columns = 16, 5
    rows = N_ITEMS * (4 * width + 4)
    rest = 3 * (width * 4 + 2 * (1 + columns) * model_row(model) * 4 + 8)
    assert max(seen) <= 3 * rows + rest and min(seen) > rows


def model_row(model: Any) -> int:
    """Numbers of a column of E and β."""
    d: int = model.config_["visual_factors"]
    return -(-(d + 2) // 16) * 16
