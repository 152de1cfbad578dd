"""Recommendations, explanations, similar items: exact, identified, leaking nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ATTRIBUTES, DATA, FEATURES, NAMES, fitted, made

from ivbpr_numba import DataError, Dataset, Features, UsageError
from ivbpr_numba.answers.explaining import sensitivities, terms_of
from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.models.specifications import MODELS
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.ranking import ItemSide, RowScorer, VectorScorer, scores, top

Run = Callable[..., Any]
SIDE = np.array(["left" if row[0] else "right" for row in ATTRIBUTES.matrix], dtype="S5")
HUE = np.array(["red blue green".split()[row[2:].argmax()] for row in ATTRIBUTES.matrix], dtype="S5")
SHOWN = {"side": SIDE, "hue": HUE, "title": np.char.add(np.char.add(HUE, b" "), SIDE)}


@cache
def with_columns(name: str) -> Any:
    """A fitted model on data whose items have columns to filter by; not to be changed."""
    model, d = fitted(name), DATA
    shown = replace(model.fitted_, data=Dataset(d.users, d.items, d.train, d.valid, d.test, SHOWN, d.source))
    model.adopt(shown, replace(model.views, fitted=shown))
    return model


def owned_by(u: int, parts: tuple[str, ...] = ("train", "valid", "test")) -> set[int]:
    found: set[int] = set()
    for part in (getattr(DATA, name) for name in parts):
        found |= {*part.indices[part.indptr[u] : part.indptr[u + 1]].tolist()}
    return found


# --- top n -------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(1, 700),
    st.integers(1, 40),
    st.integers(0, 5),
    st.sampled_from([1, 2, 9]),
)
def test_top_n_equals_a_full_sort(seed: int, n_items: int, n: int, length: int, n_users: int) -> None:
    """Integer vectors tie heavily; of equal scores the smaller row comes first."""
    rng = np.random.default_rng(seed)
    scorer = VectorScorer(
        rng.integers(-2, 3, (n_users, length)).astype(np.float32),
        ItemSide(
            rng.integers(-2, 3, (n_items, length)).astype(np.float32),
            rng.integers(0, 3, n_items).astype(np.float32),
        ),
    )
    allowed = rng.random(n_items) < rng.choice([0.1, 0.9, 1.0])
    lists = [np.flatnonzero(rng.random(n_items) < 0.3).astype(np.int32) for _ in range(n_users)]
    owned = (np.cumsum([0, *map(len, lists)]), np.concatenate(lists))
    users = np.arange(n_users)
    finished = scores(scorer, users)
    for one in (scorer, RowScorer(lambda rows: finished[rows], n_items)):
        items, values = top(one, users, n, owned, allowed)
        for u in range(n_users):
            candidates = [i for i in range(n_items) if allowed[i] and i not in set(lists[u].tolist())]
            expected = sorted(candidates, key=lambda i: (-finished[u, i], i))[:n]
            assert items[u].tolist() == expected
            assert values[u].tolist() == finished[u, expected].tolist()


def test_a_score_that_is_no_number_is_never_recommended() -> None:
    scorer = VectorScorer(
        np.zeros((1, 0), np.float32),
        ItemSide(np.zeros((4, 0), np.float32), np.array([1, np.nan, 3, 2.0], np.float32)),
    )
    items, _ = top(
        scorer, np.zeros(1, np.int64), 4, (np.zeros(2, np.int64), np.zeros(0, np.int32)), np.ones(4, bool)
    )
    assert items[0].tolist() == [2, 3, 0]


@pytest.mark.parametrize("name", MODELS)
def test_recommend_is_the_sorted_score_row_without_what_the_user_has(name: str) -> None:
    model = with_columns(name)
    for u in (0, 17, 59):
        row = model.scores([DATA.users[u]])[0]
        free = [i for i in range(len(row)) if i not in owned_by(u)]
        expected = sorted(free, key=lambda i: (-row[i], i))
        found = model.recommend(DATA.users[u], n=1000)
        assert [entry["item"] for entry in found] == [DATA.items[i] for i in expected]
        assert [entry["rank"] for entry in found] == list(range(1, len(free) + 1))
        assert [entry["score"] for entry in found] == [float(row[i]) for i in expected]
        assert found[0]["title"] == SHOWN["title"][expected[0]].decode()
        offline = {entry["item"] for entry in model.recommend(DATA.users[u], n=1000, exclude=["train"])}
        assert offline == {DATA.items[i] for i in range(len(row)) if i not in owned_by(u, ("train",))}


@settings(max_examples=40)
@given(
    st.integers(0, 59),
    st.integers(1, 50),
    st.lists(st.sampled_from(["left", "right"]), max_size=2),
    st.lists(st.sampled_from(["red", "blue", "green"]), max_size=3),
)
def test_filters_and_exclusion_never_leak(u: int, n: int, sides: list[str], hues: list[str]) -> None:
    model = with_columns("i-vbpr")
    where = {key: values for key, values in (("side", sides), ("hue", hues)) if values}
    found = model.recommend(DATA.users[u], n, where=where)
    rows = [DATA.items.row(entry["item"]) for entry in found]
    assert not {*rows} & owned_by(u) and len({*rows}) == len(rows)
    for i in rows:
        assert not sides or SIDE[i].decode() in sides
        assert not hues or HUE[i].decode() in hues
    free = [
        i
        for i in range(len(SIDE))
        if i not in owned_by(u)
        and (not sides or SIDE[i].decode() in sides)
        and (not hues or HUE[i].decode() in hues)
    ]
    assert len(rows) == min(n, len(free))


def test_because_of_one_feature() -> None:
    model = with_columns("i-vbpr")
    user = DATA.users[3]
    found = model.recommend(user, 100, because="red")
    rows = [DATA.items.row(entry["item"]) for entry in found]
    assert {HUE[i] for i in rows} == {b"red"} and not {*rows} & owned_by(3)
    assert [e["score"] for e in found] == sorted((e["score"] for e in found), reverse=True)
    for entry in found:
        first, *others = entry["because"]
        assert first["term"] == "hue=red"
        assert all(t["contribution"] > 0 and t["term"] in {*NAMES} - {"hue=red"} for t in others)
    with pytest.raises(UsageError, match=r"mean '(hue=)?red'"):
        model.recommend(user, because="redd")
    with pytest.raises(UsageError, match="no attributes"):
        with_columns("bpr-mf").recommend(user, because="red")


@pytest.mark.parametrize(
    ("options", "problem", "said"),
    [
        ({"n": 0}, UsageError, "n=0"),
        ({"where": {"colour": ["red"]}}, UsageError, "no column 'colour'"),
        ({"where": {"hue": ["reed"]}}, UsageError, "mean 'red'"),
        ({"exclude": ["tests"]}, UsageError, "mean 'test'"),
    ],
)
def test_wrong_questions(options: dict, problem: type, said: str) -> None:
    with pytest.raises(problem, match=said):
        with_columns("i-vbpr").recommend(DATA.users[0], **options)
    with pytest.raises(DataError, match="Unknown user"):
        with_columns("i-vbpr").recommend("nobody")
    with pytest.raises(DataError, match="Unknown item"):
        with_columns("i-vbpr").explain(DATA.users[0], "nothing")


# --- explanations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MODELS if name != "rand"])
def test_terms_sum_to_the_score(name: str) -> None:
    model = with_columns(name)
    for u in (2, 31):
        row = model.scores([DATA.users[u]])[0]
        for i in range(0, len(row), 4):
            found = model.explain(DATA.users[u], DATA.items[i])
            size = sum(abs(term["contribution"]) for term in found["terms"])
            assert found["score"] == sum(term["contribution"] for term in found["terms"])
            assert abs(found["score"] - row[i]) <= 1e-6 * size
            kinds = [term["kind"] for term in found["terms"]]
            assert kinds == sorted(kinds, key=["item bias", "latent", "attribute", "level"].index)


def world_of(
    seed: int, sizes: list[int], n_items: int = 12
) -> tuple[VisualParameters, FeatureRecord, np.ndarray]:
    """Random parameters, exclusive groups of these sizes and two tags, some items without a group."""
    rng = np.random.default_rng(seed)
    blocks = [
        np.eye(size)[rng.integers(0, size, n_items)] * (rng.random((n_items, 1)) < 0.9) for size in sizes
    ]
    values = np.concatenate([*blocks, rng.random((n_items, 2))], axis=1)
    columns, offsets = values.shape[1], np.cumsum([0, *sizes])
    groups = [Group(f"g{k}", int(offsets[k]), size, True) for k, size in enumerate(sizes)]
    groups.append(Group("tags", int(offsets[-1]), 2, False))
    p = VisualParameters(
        *(rng.normal(size=shape).astype(np.float32) for shape in ((n_items,), (3, 2), (n_items, 2))),
        *(rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, columns), (columns,))),
    )
    shift = rng.choice([0.0, 1.0]) * rng.normal(size=columns).astype(np.float32)
    scaling = Scaling(
        shift.astype(np.float32), rng.random(columns).astype(np.float32), values.mean(0).astype(np.float32)
    )
    names = [f"c{k}" for k in range(columns)]
    return p, FeatureRecord("attributes", names, groups, "", "", scaling), values


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=3)


@given(st.integers(0, 2**32), SIZES, st.integers(0, 2), st.integers(0, 11))
def test_terms_sum_whatever_the_parameters(seed: int, sizes: list[int], u: int, i: int) -> None:
    p, record, values = world_of(seed, sizes)
    f = (values[i] - record.scaling.shift) * record.scaling.multiplier.astype(np.float64)
    parts = [
        np.float64(p.item_bias[i]),
        p.user_factors[u].astype(np.float64) @ p.item_factors[i],
        *(p.user_visual[u].astype(np.float64) @ p.embedding * f),
        *(p.visual_bias * f),
    ]
    felt = sensitivities(p, record, p.user_visual[u])
    found = terms_of(p, p.user_factors[u], i, record, felt, values[i])
    assert sum(t["contribution"] for t in found) == pytest.approx(sum(parts), abs=1e-9)
    for term in found:
        if term["kind"] == "attribute":
            assert term["you"] + term["everyone"] == pytest.approx(term["contribution"], abs=1e-12)


@given(st.integers(0, 2**32), SIZES, st.floats(-50, 50), st.sampled_from(["embedding", "visual_bias"]))
def test_a_constant_within_a_group_changes_no_contribution(
    seed: int, sizes: list[int], constant: float, where: str
) -> None:
    p, record, _ = world_of(seed, sizes)
    group = record.groups[0]
    if record.scaling.mean[group.offset : group.offset + group.size].sum() == 0:
        return
    moved = replace(p, **{where: getattr(p, where).astype(np.float64)})
    part = slice(group.offset, group.offset + group.size)
    # The same amount in units of v: divided by the multiplier, because s_k is a multiple of it.
    scale = record.scaling.multiplier[part].astype(np.float64)
    if (scale < 1e-3).any():
        return
    if where == "embedding":
        moved.embedding[1, part] += constant / scale
    else:
        moved.visual_bias[part] += constant / scale
    for u in range(3):
        before, after = (sensitivities(q, record, q.user_visual[u]).centred for q in (p, moved))
        np.testing.assert_allclose(after, before, atol=1e-7 * (1 + abs(constant)))


@given(st.integers(0, 2**32), SIZES, st.integers(0, 2))
def test_the_average_item_has_nothing_from_an_exclusive_group(seed: int, sizes: list[int], u: int) -> None:
    p, record, _ = world_of(seed, sizes)
    centred = sensitivities(p, record, p.user_visual[u]).centred
    for group in record.groups[:-1]:
        part = slice(group.offset, group.offset + group.size)
        assert abs(float(record.scaling.mean[part].astype(np.float64) @ centred[part])) < 1e-9


# --- similar items -----------------------------------------------------------------------------------------


def test_similar_is_the_cosine_of_styles() -> None:
    model = with_columns("i-vbpr")
    rows = ATTRIBUTES.rows(DATA.items)
    style = ATTRIBUTES.matrix[rows].astype(np.float64) @ model.embedding_.T
    style -= style.mean(0)
    style /= np.linalg.norm(style, axis=1, keepdims=True)
    found = model.similar(DATA.items[5], n=44)
    assert len(found) == 44 and DATA.items[5] not in [entry["item"] for entry in found]
    for entry in found:
        assert entry["score"] == pytest.approx(style[5] @ style[DATA.items.row(entry["item"])], abs=1e-5)
    twins = [e["item"] for e in found if e["score"] > 1 - 1e-6]
    assert twins and all(
        (ATTRIBUTES.matrix[rows[DATA.items.row(t)]] == ATTRIBUTES.matrix[rows[5]]).all() for t in twins
    )
    only = model.similar(DATA.items[5], n=44, where={"side": ["left"]})
    assert {SIDE[DATA.items.row(entry["item"])] for entry in only} == {b"left"}
    assert len(with_columns("bpr-mf").similar(DATA.items[0], 3)) == 3
    for name in ("rand", "pop"):
        with pytest.raises(UsageError, match="nothing about items"):
            with_columns(name).similar(DATA.items[0])


# --- the commands ------------------------------------------------------------------------------------------


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    data = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, SHOWN, DATA.source)
    FEATURES["i-vbpr"].write(tmp_path / "f.h5")
    from ivbpr_numba import create

    model = create("i-vbpr", iterations=4, eval_every=2, patience=4)
    model.fit(data, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    return tmp_path / "m.h5"


def test_recommend_on_the_command_line(ivbpr: Run, model_file: Path) -> None:
    user = DATA.users[4]
    done = ivbpr("recommend", model_file, user, "-n", "3", "--where", "hue=red", "--format", "json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["schema"] == "ivbpr.recommend/1" and document["user"] == user and document["at"] is None
    assert len(document["items"]) == 3 and all("red" in entry["title"] for entry in document["items"])
    assert {"rank", "item", "title", "score", "because"} == {*document["items"][0]}
    assert "because" in ivbpr("recommend", model_file, user, "--explain").out
    assert "because" not in ivbpr("recommend", model_file, user).out
    for arguments, code, said in [
        (["recommend", model_file], 2, "--all-users"),
        (
            ["recommend", model_file, user, "--all-users", "-o", model_file.parent / "x.csv"],
            2,
            "One of the two",
        ),
        (["recommend", model_file, "--all-users"], 2, "--out"),
        (["recommend", model_file, user, "--where", "red"], 2, "COLUMN=VALUE"),
        (["recommend", model_file, "nobody"], 3, "Unknown user"),
        (["recommend", model_file, user, "-n", "0"], 2, "--number 0"),
        (["explain", model_file, user, "nothing"], 3, "Unknown item"),
        (["similar", model_file, "nothing"], 3, "Unknown item"),
        (["similar", model_file.parent / "none.h5", "nothing"], 2, "none.h5"),
    ]:
        done = ivbpr(*arguments)
        assert done.code == code and said in done.err and len(done.err.splitlines()) == 1


def test_a_model_without_attributes_says_why_there_are_no_reasons(ivbpr: Run, tmp_path: Path) -> None:
    made("bpr-mf").fit(DATA, out=tmp_path / "m.h5")
    done = ivbpr("recommend", tmp_path / "m.h5", DATA.users[4], "--explain")
    assert done.out.count("bpr-mf knows no named attributes") == 1 and "because" not in done.out
    assert "no reasons" not in ivbpr("recommend", tmp_path / "m.h5", DATA.users[4]).out


def test_ties_that_the_list_cuts_off_are_said(ivbpr: Run, model_file: Path) -> None:
    item = DATA.items[5]
    every = json.loads(ivbpr("similar", model_file, item, "-n", "44", "--format", "json").out)
    twins = sum(one["score"] > 1 - 1e-6 for one in every["items"])
    assert twins > 1 and every["notes"] == []
    said = f"{twins - 1} more item{' is' if twins == 2 else 's are'} as near as the last of these."
    assert said in ivbpr("similar", model_file, item, "-n", "1").out
    assert "as near" not in ivbpr("similar", model_file, item, "-n", str(twins)).out


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_all_users_are_streamed(ivbpr: Run, model_file: Path, form: str) -> None:
    out = model_file.parent / "all"
    done = ivbpr("recommend", model_file, "--all-users", "-o", out, "-n", "2", "--format", form)
    assert done.code == 0, done.err
    single = json.loads(ivbpr("recommend", model_file, DATA.users[7], "-n", "2", "--format", "json").out)
    expected = [(e["rank"], e["item"], e["score"]) for e in single["items"]]
    if form == "csv":
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert len(rows) == 2 * len(DATA.users)
        found = [(int(r["rank"]), r["item"], float(r["score"])) for r in rows if r["user"] == DATA.users[7]]
    else:
        documents = [json.loads(line) for line in out.read_text().splitlines()]
        assert [d["user"] for d in documents] == DATA.users.texts()
        found = [(e["rank"], e["item"], e["score"]) for e in documents[7]["items"]]
    assert found == expected


def test_explain_ends_with_the_sum(ivbpr: Run, model_file: Path) -> None:
    item = DATA.items[2]
    document = json.loads(ivbpr("explain", model_file, DATA.users[0], item, "--format", "json").out)
    assert document["schema"] == "ivbpr.explain/1" and document["item"] == item
    assert document["score"] == pytest.approx(sum(t["contribution"] for t in document["terms"]), abs=1e-12)
    table = ivbpr("explain", model_file, DATA.users[0], item).out
    lines = [line.split() for line in table.splitlines() if line.startswith("score")]
    assert lines == [["score", "sum", f"{document['score']:.4f}", "–", "–"]]
    assert (
        json.loads(ivbpr("similar", model_file, item, "--format", "json").out)["schema"] == "ivbpr.similar/1"
    )
