"""Reasons and rankings by one attribute: the same for one shopper and for all, and those of the terms."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ATTRIBUTES, DATA, N_ITEMS, NAMES, changed, fitted, made

from ivbpr_numba import DataError, Dataset, Features, UsageError, load
from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.answers.reasons import BECAUSE, _largest
from ivbpr_numba.models.specifications import MODELS

Run = Callable[..., Any]
USERS = DATA.users.texts()
TITLED = Dataset(
    DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test,
    {"title": np.array([f"thing {k}" if k % 3 else "" for k in range(N_ITEMS)], dtype="S8")}, DATA.source,
)  # fmt: skip


def probable() -> Features:
    """Values in steps of a quarter, so that some items tie and others don't."""
    values = np.random.default_rng(4).integers(0, 5, (len(DATA.items), len(NAMES))) / 4
    return Features.from_arrays(DATA.items, values.astype(np.float32), NAMES, kind="attributes")


@pytest.fixture(scope="module")
def model() -> Any:
    return made("i-vbpr").fit(TITLED, probable())


def owned(u: int) -> set[int]:
    parts = (DATA.train, DATA.valid, DATA.test)
    return {i for part in parts for i in part.indices[part.indptr[u] : part.indptr[u + 1]].tolist()}


# --- all users ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_all_users_get_what_each_gets_alone(name: str) -> None:
    model = fitted(name)
    visual = model.features_ is not None
    for more in ({}, {"because": model.features_.names[1]}) if visual else ({},):
        everybody = dict(model.recommend_all(4, reasons=None, **more))
        assert list(everybody) == USERS
        for user in USERS[::7]:
            assert everybody[user] == model.recommend(user, 4, **more)
    assert all(not row["because"] for _, rows in model.recommend_all(2) for row in rows)


def test_wrong_questions_of_all_users_are_refused_before_the_first_answer(model: Any) -> None:
    for options, problem in (({"n": 0}, UsageError), ({"exclude": ["trian"]}, UsageError),
                             ({"because": "hue=rd"}, UsageError), ({"where": {"x": ["y"]}}, UsageError)):  # fmt: skip
        with pytest.raises(problem):
            model.recommend_all(**options)


# --- reasons -----------------------------------------------------------------------------------------------


def test_reasons_are_the_strongest_terms(model: Any) -> None:
    for user in USERS[::11]:
        for row in model.recommend(user, 5):
            terms = model.explain(user, row["item"])["terms"]
            good = [t for t in terms if t["kind"] == "attribute" and t["contribution"] > 0][:BECAUSE]
            assert row["because"] == [{"term": t["term"], "contribution": t["contribution"]} for t in good]


@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([None, 0]))
def test_the_largest_contributions_come_first_whatever_they_are(
    seed: int, columns: int, first: int | None
) -> None:
    rng = np.random.default_rng(seed)
    contribution = rng.integers(-2, 3, (4, columns)).astype(float)
    names = [f"c{k}" for k in range(columns)]
    every = np.tile(np.arange(columns), (4, 1))
    for row, found in zip(contribution.tolist(), _largest(contribution.copy(), every, names, first)):
        others = sorted((k for k in range(columns) if k != first and row[k] > 0), key=lambda k: (-row[k], k))
        expected = ([] if first is None else [first]) + others
        assert [r["term"] for r in found] == [names[k] for k in expected[: min(BECAUSE, columns)]]
        assert [r["contribution"] for r in found] == [row[k] for k in expected[: min(BECAUSE, columns)]]


# --- by one attribute --------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(0, len(USERS) - 1), st.integers(1, 50), st.sampled_from(NAMES))
def test_because_sorts_by_contribution_then_score_then_row(model: Any, u: int, n: int, name: str) -> None:
    k = NAMES.index(name)
    value = probable().values(np.arange(N_ITEMS))[:, k].astype(np.float64)
    theta = model.parameters_.user_visual[u]
    weight = np.sign(sensitivities(model.parameters_, model.features_, theta).centred[k])
    row = model.scores([USERS[u]])[0]
    free = [i for i in range(N_ITEMS) if value[i] and i not in owned(u)]
    expected = sorted(free, key=lambda i: (-weight * value[i], -row[i], i))[:n]
    found = model.recommend(USERS[u], n, because=name)
    assert [entry["item"] for entry in found] == [DATA.items[i] for i in expected]
    assert [entry["score"] for entry in found] == [float(row[i]) for i in expected]
    assert all(entry["because"][0]["term"] == name for entry in found)


def test_without_any_liking_the_score_alone_decides() -> None:
    model = fitted("i-vbpr")
    p = model.parameters_
    nothing = changed(model, parameters=replace(p, embedding=p.embedding * 0, visual_bias=p.visual_bias * 0))
    found = nothing.recommend(USERS[2], 50, because="hue=red", reasons=True)
    assert [e["score"] for e in found] == sorted((e["score"] for e in found), reverse=True)
    assert {e["because"][0]["contribution"] for e in found} == {0.0}


def test_nobody_has_the_attribute_that_is_asked_for() -> None:
    names = [*NAMES, "hue=black"]
    values = np.concatenate([ATTRIBUTES.values(np.arange(N_ITEMS)), np.zeros((N_ITEMS, 1))], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        features = Features.from_arrays(DATA.items, values.astype(np.float32), names, kind="attributes")
        model = made("i-vbpr").fit(DATA, features)
    for ask in (
        lambda: model.recommend(USERS[0], because="black"),
        lambda: model.recommend_all(because="black"),
    ):
        with pytest.raises(DataError, match="No item is left that has 'hue=black'"):
            ask()


# --- the files ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("titled")
    ATTRIBUTES.write(folder / "f.h5")
    model = made("i-vbpr", iterations=4).fit(TITLED, Features.read(folder / "f.h5"))
    model.save(folder / "m.h5")
    return folder / "m.h5"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("more", [["--explain"], ["--because", "red"], []])
def test_the_file_of_all_users_has_titles_and_reasons(
    ivbpr: Run, file: Path, tmp_path: Path, form: str, more: list[str]
) -> None:
    out = tmp_path / "all"
    done = ivbpr("recommend", file, "--all-users", "-o", out, "-n", "2", "--format", form, *more)
    assert done.code == 0, done.err
    single = json.loads(ivbpr("recommend", file, USERS[7], "-n", "2", "--format", "json", *more).out)["items"]
    if form == "csv":
        rows = [row for row in csv.DictReader(out.read_text().splitlines()) if row["user"] == USERS[7]]
        assert [*rows[0]] == ["user", "rank", "item", "title", "score", *(["because"] if more else [])]
        assert [(r["item"], r["title"]) for r in rows] == [(e["item"], e["title"] or "") for e in single]
        if more:
            first = single[0]["because"][0]
            assert rows[0]["because"].startswith(f"{first['term']} {first['contribution']:+.2f}")
    else:
        documents = [json.loads(line) for line in out.read_text().splitlines()]
        brief = [{k: v for k, v in e.items() if more or k != "because"} for e in single]
        assert documents[7]["items"] == brief and documents[7]["schema"] == "ivbpr.recommend/1"


def test_ties_behind_because_are_told(ivbpr: Run, file: Path) -> None:
    found = json.loads(ivbpr("recommend", file, USERS[3], "--because", "red", "--format", "json").out)
    red = int((ATTRIBUTES.matrix[:, 2] > 0).sum()) - sum(bool(ATTRIBUTES.matrix[i, 2]) for i in owned(3))
    assert found["notes"] == [f"{red} items have hue=red equally; among them the score decides."]
    table = ivbpr("recommend", file, USERS[3], "--because", "red")
    assert found["notes"][0] in table.out and "hue=red " in table.out  # reasons are shown unasked
    assert json.loads(ivbpr("recommend", file, USERS[3], "--format", "json").out)["notes"] == []


def test_a_value_of_several_groups_asks_which(ivbpr: Run, tmp_path: Path) -> None:
    names = ["body=black", "body=white", "trim=black", "trim=red", "sole=black"]
    values = np.eye(5)[np.arange(N_ITEMS) % 5].astype(np.float32)
    Features.from_arrays(DATA.items, values, names, kind="attributes").write(tmp_path / "f.h5")
    made("i-tvbpr", epochs=2, bins=5).fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    for words in (
        ("recommend", tmp_path / "m.h5", USERS[0], "--because", "black"),
        ("recommend", tmp_path / "m.h5", "--all-users", "-o", tmp_path / "x.csv", "--because", "black"),
        ("trends", tmp_path / "m.h5", "--feature", "black"),
        ("features", "examples", tmp_path / "f.h5", "black"),
    ):
        done = ivbpr(*words)
        assert done.code == 2 and "'body=black' or 'trim=black' or 'sole=black'" in done.err, (
            words,
            done.err,
        )
    assert not (tmp_path / "x.csv").exists()


# --- what a reader must know -------------------------------------------------------------------------------


def test_a_time_outside_the_data_says_so(ivbpr: Run, tmp_path: Path) -> None:
    model = fitted("i-tvbpr", epochs=2, bins=5)
    with pytest.warns(
        UserWarning, match=r"2031-01-01 lies after the last purchase \(2017-07-20\); the last ep"
    ):
        late = model.recommend(USERS[0], 3, at="2031-01-01")
    with pytest.warns(
        UserWarning, match=r"1999-12-31 lies before the first purchase \(2017-07-14\); the first"
    ):
        early = model.item_vectors(at="1999-12-31")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert late == model.recommend(USERS[0], 3)
        first = model.item_vectors(at=1_500_000_000)
    assert np.array_equal(early.vectors, first.vectors)
    ATTRIBUTES.write(tmp_path / "f.h5")
    made("i-tvbpr", epochs=2, bins=5).fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    for words in (("recommend", USERS[0]), ("explain", USERS[0], DATA.items[0])):
        line = (words[0], tmp_path / "m.h5", *words[1:], "--at", "2031-01-01")
        done = ivbpr(*line)
        assert (
            done.code == 0
            and done.err.startswith("Warning: 2031-01-01 lies after")
            and done.err.count("\n") == 1
        )
        document = json.loads(ivbpr(*line, "--format", "json").out)
        assert [text in done.err for text in document["warnings"]] == [True]


def test_a_time_outside_the_data_names_epochs_as_trends_do() -> None:
    """The edge lies within a day: the epoch begins with the next one."""
    from ivbpr_numba.answers.views import outside_the_data
    from ivbpr_numba.questions.trends import measure

    found = measure(fitted("i-tvbpr", epochs=2, bins=5), fits=0)
    edges = np.array([1_500_000_000, 1_500_000_000 + 86_400 * 3 + 7, 1_500_000_000 + 86_400 * 6])
    dates = replace(found, edges=edges).dates
    assert [dates[0][1], dates[1][0]] == ["2017-07-17", "2017-07-18"]
    times = np.concatenate([part.times for part in (DATA.train, DATA.valid, DATA.test)])
    for moment in (times.min(), times.max()):  # nor is the midnight of the first day before it
        day = int(moment) // 86_400 * 86_400
        assert outside_the_data(DATA, day, edges) == outside_the_data(DATA, day + 86_399, edges) == ""
        assert outside_the_data(DATA, int(times.min()) // 86_400 * 86_400 - 1, edges)
    late, early = (outside_the_data(DATA, moment, edges) for moment in (4_000_000_000, 1_000_000_000))
    assert f"from {dates[-1][0]} on" in late and f"until {dates[0][1]}" in early


@pytest.fixture
def apart(tmp_path: Path) -> tuple[Path, Path]:
    """A model file and the features beside it."""
    ATTRIBUTES.write(tmp_path / "f.h5")
    made("i-vbpr", iterations=4).fit(DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5")
    return tmp_path / "m.h5", tmp_path / "f.h5"


@pytest.mark.parametrize("how", ["absent", "damaged", "text"])
def test_scores_need_no_features_and_reasons_do(ivbpr: Run, apart: tuple[Path, Path], how: str) -> None:
    file, features = apart
    before = json.loads(ivbpr("recommend", file, USERS[0], "--format", "json").out)["items"]
    if how == "absent":
        features.unlink()
    else:
        content = features.read_bytes()
        features.write_bytes(content[: len(content) // 2] if how == "damaged" else b"not HDF5")
    table = ivbpr("recommend", file, USERS[0])
    assert table.code == 0 and ("Warning" in table.err) == (how != "absent")
    done = ivbpr("recommend", file, USERS[0], "--format", "json")
    document = json.loads(done.out)
    assert document["items"] == [{**row, "because": []} for row in before]
    assert len(document["warnings"]) == 1 and "no reasons" in document["warnings"][0]
    assert done.code == 0 and done.err == f"Warning: {document['warnings'][0]}\n"
    with pytest.warns(UserWarning, match="no reasons"):
        assert load(file).recommend(USERS[0]) == document["items"]
    code = 2 if how == "absent" else 3
    for words in (("--explain",), ("--because", "red")):
        assert ivbpr("recommend", file, USERS[0], *words).code == code
    assert ivbpr("explain", file, USERS[0], DATA.items[0]).code == code
    with pytest.raises((UsageError, DataError)):
        load(file).recommend(USERS[0], reasons=True)


def test_other_features_in_the_place_of_those_of_the_fit_are_refused(
    ivbpr: Run, apart: tuple[Path, Path]
) -> None:
    file, features = apart
    probable().write(features)
    for more in ([], ["--format", "json"], ["--explain"]):
        done = ivbpr("recommend", file, USERS[0], *more)
        assert done.code == 3 and "not those of the fit" in done.err


# --- who and what to ask about -----------------------------------------------------------------------------


def test_users_to_try_are_named(ivbpr: Run, file: Path) -> None:
    for words, code in (
        (["recommend", file], 2),
        (["recommend", file, "u03"], 3),
        (["explain", file], 2),
        (["explain", file, "u03", DATA.items[0]], 3),
    ):
        done = ivbpr(*words)
        named = [user for user in USERS if f"'{user}'" in done.err.partition("Users to try")[2]]
        assert done.code == code and len(named) == 3, done.err
        assert f"'ivbpr inspect {file} --users 5'" in done.err
        assert ("Did you mean 'u0" in done.err) == (code == 3)
    done = ivbpr("explain", file, USERS[0])
    assert done.code == 2 and f"'ivbpr recommend {file} {USERS[0]}'" in done.err


# --- the table of terms ------------------------------------------------------------------------------------


def test_what_changes_no_ranking_is_one_line(ivbpr: Run, file: Path) -> None:
    item = DATA.items[4]
    document = json.loads(ivbpr("explain", file, USERS[0], item, "--format", "json").out)
    levels = [t for t in document["terms"] if t["kind"] == "level"]
    assert [t["term"] for t in levels] == ["side", "hue"] and all(t["every_item"] for t in levels)
    folded = ivbpr("explain", file, USERS[0], item).out
    total = sum(t["contribution"] for t in levels)
    line = next(row for row in folded.splitlines() if row.startswith("the same for every item"))
    assert float(line.split()[6]) == pytest.approx(total, abs=6e-5)
    assert not [row for row in folded.splitlines() if row.startswith(("side ", "hue "))]
    full = ivbpr("explain", file, USERS[0], item, "--full").out
    assert [row.split()[0] for row in full.splitlines() if "  level  " in row] == ["side", "hue"]
    assert "-0.0000" not in folded + full


def test_a_level_that_some_items_lack_is_not_the_same_for_every_item() -> None:
    values = ATTRIBUTES.values(np.arange(N_ITEMS)).copy()
    values[3, :2] = 0  # neither left nor right
    model = made("i-vbpr").fit(DATA, Features.from_arrays(DATA.items, values, NAMES, kind="attributes"))
    terms = model.explain(USERS[0], DATA.items[4])["terms"]
    assert {t["term"]: t["every_item"] for t in terms if t["kind"] == "level"} == {"side": False, "hue": True}
