"""Models on the same questions: differences against the slow reference, names, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ATTRIBUTES, DATA, DENSE, FEATURES, N_ITEMS, fitted

from ivbpr_numba import DataError, Dataset, UsageError, auc, compare, create, load
from ivbpr_numba.questions.comparing import STARTS, bins_of, distinct_names
from ivbpr_numba.questions.protocol import Protocol
from ivbpr_numba.ranking import RowScorer

Run = Callable[..., Any]
LISTS = [DATA.train.indices[a:b].tolist() for a, b in zip(DATA.train.indptr, DATA.train.indptr[1:])]
VALID, TEST = DATA.valid.indices.tolist(), DATA.test.indices.tolist()
COUNTS = naive.training_counts(LISTS, N_ITEMS)


class Finished:
    """Scores of any program under a name."""

    def __init__(self, name: str, matrix: np.ndarray) -> None:
        self.name, self.matrix = name, np.asarray(matrix, np.float32)

    def scorer(self) -> RowScorer:
        return RowScorer(lambda users: self.matrix[users], N_ITEMS)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: fitted(name) for name in ("i-vbpr", "bpr-mf", "pop")}


def naive_rows(matrix: np.ndarray, setting: str, ties: str, split: str, cold_below: int) -> list[tuple]:
    rows = naive.per_user(
        lambda u, i: matrix[u], LISTS, VALID, TEST, N_ITEMS, split, ties, setting == "stratified"
    )
    if setting == "cold":
        return [row for row in rows if COUNTS[row[1]] < cold_below]
    if setting.startswith("bought"):
        low, _, high = setting.removeprefix("bought ").partition("-")
        limits = (int(low), int(high)) if high else (int(low.rstrip("+")),) * 2
        last = np.inf if low.endswith("+") else limits[1]
        return [row for row in rows if int(low.rstrip("+")) <= COUNTS[row[1]] <= last]
    return rows


@pytest.mark.parametrize(("split", "ties", "cold_below"), [("test", "strict", 8), ("valid", "half", 12)])
def test_differences_equal_the_slow_reference(
    models: dict[str, Any], split: str, ties: str, cold_below: int
) -> None:
    found = compare([*models.values()], split=split, ties=ties, cold_below=cold_below)
    assert (found["split"], found["ties"], found["cold_below"]) == (split, ties, cold_below)
    matrices = {name: model.scores(DATA.users.texts()) for name, model in models.items()}
    assert len(found["settings"]) >= 5
    pairs = iter(found["differences"])
    for a, b in combinations(models, 2):
        for setting in found["settings"]:
            row = next(pairs)
            rows = [naive_rows(matrices[name], setting, ties, split, cold_below) for name in (a, b)]
            wanted = naive.paired_difference(*rows)
            assert (row["a"], row["b"], row["setting"], row["users"]) == (a, b, setting, wanted["users"])
            for key in ("difference", "stderr", "ci95"):
                assert row[key] == pytest.approx(wanted[key], abs=1e-12), (setting, key)
    assert next(pairs, None) is None


def test_each_figure_is_the_one_that_auc_gives(models: dict[str, Any]) -> None:
    found = compare([*models.values()], baselines=["pop", "cosine"], ties="half", cold_below=7)
    names = ["i-vbpr", "bpr-mf", "pop", "pop (baseline)", "cosine"]
    assert [one["model"] for one in found["models"]] == names
    assert [one["baseline"] for one in found["models"]] == [False, False, False, True, True]
    alone = [auc(model, ties="half", cold_below=7) for model in models.values()]
    beside = auc(models["i-vbpr"], ties="half", cold_below=7, baselines=["pop", "cosine"])["baselines"]
    for one, report in zip(found["models"], [*alone, beside["pop"], beside["cosine"]], strict=True):
        for setting in ("all", "cold", "stratified"):
            assert one[setting] == {k: v for k, v in report[setting].items() if k != "cold_below"}
    inverse = compare([models["pop"]], baselines=["inverse_popularity"])["models"][1]
    assert inverse["all"] == auc(models["pop"])["baselines"]["inverse_popularity"]["all"]


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_turned_round_every_difference_changes_its_sign(seed: int, coarse: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (Finished(name, np.round(rng.normal(size=(len(LISTS), N_ITEMS)), coarse)) for name in "ab")
    there, back = (compare(two, DATA, cold_below=10) for two in ([a, b], [b, a]))
    for one, other in zip(there["differences"], back["differences"], strict=True):
        assert (one["a"], one["b"], one["users"]) == (other["b"], other["a"], other["users"])
        assert one["difference"] == -other["difference"] and one["stderr"] == other["stderr"]
        assert one["ci95"] == [-x for x in reversed(other["ci95"])]
        means = [{m["model"]: m for m in there["models"]}[name][one["setting"]]["auc"] for name in "ab"]
        assert one["difference"] == pytest.approx(means[0] - means[1], abs=1e-12)
    same = compare([a, Finished("c", a.matrix)], DATA).difference("a", "c")
    assert same["difference"] == same["stderr"] == 0.0


def test_what_each_user_came_to_is_kept(models: dict[str, Any], tmp_path: Path) -> None:
    found = compare([*models.values()])
    auc(models["bpr-mf"], per_user=tmp_path / "u.csv")
    rows = list(csv.DictReader((tmp_path / "u.csv").open()))
    kept = found.per_user
    assert [float(row["auc"]) for row in rows] == kept.auc["bpr-mf"].tolist()
    assert [row["item"] for row in rows] == [DATA.items[i] for i in kept.items.tolist()]
    assert kept.bought.tolist() == [COUNTS[i] for i in TEST]
    own = kept.values("pop", "stratified")
    assert np.nanmean(own) == pytest.approx(auc(models["pop"])["stratified"]["auc"], abs=1e-15)
    assert found.difference("pop", "i-vbpr")["difference"] == -found.difference("i-vbpr", "pop")["difference"]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.integers(0, 12), st.integers(0, 30_000)), max_size=80))
def test_bins_share_the_users_out(bought: list[int]) -> None:
    protocol = Protocol(DATA, "test", "strict", 5, Protocol.of(DATA).asked, np.array(bought, int), COUNTS)
    bins = bins_of(protocol)
    assert (np.sum([*bins.values()], axis=0) == 1).all()
    assert len(bins) == 1 or min(mask.sum() for mask in bins.values()) >= 10
    ends = []
    for name, mask in bins.items():
        low, _, high = name.removeprefix("bought ").rstrip("+").partition("-")
        assert int(low) in STARTS
        if name != [*bins][-1]:
            assert (mask == [int(low) <= n <= int(high or low) for n in bought]).all()
            ends.append(int(high or low) + 1)
        assert name.endswith("+") == (name == [*bins][-1])
    assert [0, *ends] == [int(name.removeprefix("bought ").rstrip("+").split("-")[0]) for name in bins]


@pytest.mark.parametrize(
    ("names", "files", "wanted"),
    [
        (["a", "b"], ["x/1.h5", "x/2.h5"], ["a", "b"]),
        (["a", "a"], ["x/1.h5", "x/2.h5"], ["1", "2"]),
        (["a", "a", "b"], ["x/1.h5", "y/1.h5", "b.h5"], ["x/1.h5", "y/1.h5", "b"]),
        (["a", "a", "b"], ["x/b.h5", "x/2.h5", "y/3.h5"], ["x/b.h5", "2", "3"]),
        (["a", "a"], [None, None], ["a (1)", "a (2)"]),
        (["a", "a"], [None, "x/1.h5"], ["a", "1"]),
    ],
)
def test_models_of_one_name_are_told_apart(names: list, files: list, wanted: list) -> None:
    assert distinct_names(names, files) == wanted


def test_a_mapping_gives_the_names(models: dict[str, Any]) -> None:
    found = compare({"mine": models["bpr-mf"], "yours": models["pop"]})
    assert [row["scorer"] for row in found.rows()][:: len(found["settings"])] == ["mine", "yours"]


def test_a_comparison_is_a_dictionary_and_two_frames(models: dict[str, Any]) -> None:
    found = compare([*models.values()])
    assert json.loads(json.dumps(found)) == found
    frame, pairs = found.to_frame(), found.to_frame("differences")
    assert frame.shape == (3 * len(found["settings"]), 10)
    assert [*pairs.columns] == [
        *("a", "b", "setting", "difference", "stderr", "users", "ci95_low", "ci95_high")
    ]
    assert len(pairs) == 3 * len(found["settings"])
    with pytest.raises(UsageError, match="differences"):
        found.to_frame("pairs")


# --- files and the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Any]) -> Path:
    """Model files on one dataset, one on another, and the features of the visual one."""
    folder = tmp_path_factory.mktemp("compare")
    DATA.write(folder / "d.h5")
    ATTRIBUTES.write(folder / "f.h5")
    DENSE.write(folder / "dense.h5")
    for name, model in models.items():
        model.save(folder / f"{name}.h5")
    fitted("bpr-mf", seed=4).save(folder / "second.h5")
    users = [DATA.users[int(u)] for u in DATA.train.users]
    items = [DATA.items[int(i)] for i in DATA.train.indices]
    create("pop").fit(Dataset.from_pairs(users, items)).save(folder / "fewer.h5")
    parts = [DATA.train, DATA.valid, DATA.test]
    pairs = [(DATA.users[int(u)], DATA.items[int(i)]) for p in parts for u, i in zip(p.users, p.indices)]
    times = np.concatenate([part.times for part in parts])
    other = Dataset.from_pairs(*zip(*pairs, strict=True), times, seed=6)
    create("pop").fit(other).save(folder / "seed6.h5")
    return folder


def test_the_command_in_every_format(ivbpr: Run, folder: Path) -> None:
    line = ("compare", folder / "bpr-mf.h5", folder / "second.h5", folder / "i-vbpr.h5", "--baseline", "pop")
    line = (*line, "--cold-below", "8")
    found = compare(line[1:4], baselines=["pop"], cold_below=8)
    assert [one["model"] for one in found["models"]] == ["bpr-mf", "second", "i-vbpr", "pop"]
    document = json.loads(ivbpr(*line, "--format", "json").out)
    assert document.pop("schema") == "ivbpr.compare/1"
    wanted = json.loads(json.dumps({k: v for k, v in found.items() if k != "warnings"}))
    assert {**document, "seconds": 0} == {**wanted, "seconds": 0}
    rows = list(csv.DictReader(ivbpr(*line, "--format", "csv").out.splitlines()))
    assert len(rows) == len(found.rows()) + len(found.pairs())
    assert [row["scorer"] for row in rows if not row["against"]] == [r["scorer"] for r in found.rows()]
    differences = [float(row["difference"]) for row in rows if row["against"]]
    assert differences == [row["difference"] for row in found["differences"]]
    shown = ivbpr(*line)
    assert max(map(len, shown.out.splitlines())) <= 80 and shown.code == 0
    first = found["differences"][0]
    assert f"{first['difference']:+.4f}" in shown.out and "bpr-mf minus" in shown.out
    assert "second minus" not in shown.out
    everything = ivbpr(*line, "--all-pairs").out
    assert "second minus" in everything and "i-vbpr minus" in everything
    assert max(map(len, everything.splitlines())) <= 80


BAD = [
    (["pop.h5"], 2, "two or more"),
    (["pop.h5", "pop.h5"], 2, "twice"),
    (["pop.h5", "none.h5"], 2, "none.h5"),
    (["pop.h5", "d.h5"], 3, "ivbpr-model"),
    (["pop.h5", "fewer.h5"], 3, "'pop.h5' and 'fewer.h5' can't be compared"),
    (
        ["pop.h5", "seed6.h5"],
        3,
        "'seed6.h5' can't be compared, because they were fitted to different data: split/",
    ),
    (["pop.h5", "bpr-mf.h5", "--data", "f.h5"], 3, "ivbpr-dataset"),
    (["pop.h5", "bpr-mf.h5", "--features", "dense.h5"], 3, "none of the models"),
    (["pop.h5", "bpr-mf.h5", "--baseline", "cosine"], 2, "features"),
    (["pop.h5", "bpr-mf.h5", "--split", "tset"], 2, "mean 'test'"),
    (["pop.h5", "bpr-mf.h5", "--baseline", "popp"], 2, "mean 'pop'"),
    ([], 2, ""),
]


@pytest.mark.parametrize(("arguments", "code", "said"), BAD, ids=[" ".join(a) for a, *_ in BAD])
def test_what_cannot_be_compared(
    ivbpr: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list, code: int, said: str
) -> None:
    monkeypatch.chdir(folder)
    done = ivbpr("compare", *arguments)
    assert done.code == code and said in done.err and done.out == ""
    assert len(done.err.splitlines()) <= 1 and "Traceback" not in done.err


def test_features_are_given_to_whom_they_belong(folder: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for name, path in zip(("i-vbpr", "vbpr"), paths):
        fitted(name).save(path)
    found = compare(paths, features=[DENSE, ATTRIBUTES])
    assert [one["all"]["auc"] for one in found["models"]] == [
        auc(load(path), features=FEATURES[name])["all"]["auc"]
        for path, name in zip(paths, ("i-vbpr", "vbpr"))
    ]


def test_what_is_no_model_and_what_knows_no_data(models: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="float"):
        compare([models["pop"], 0.5])
    with pytest.raises(UsageError, match="two or more"):
        compare(models["pop"])
    with pytest.raises(UsageError, match="not fitted"):
        compare([models["pop"], create("bpr-mf")])
    blind = [Finished(name, np.zeros((len(LISTS), N_ITEMS))) for name in "ab"]
    with pytest.raises(UsageError, match="dataset"):
        compare(blind)
    assert compare([models["pop"], blind[0]])["models"][1]["all"]["auc"] == 0
    with pytest.raises(DataError, match="'pop'"):
        compare([models["pop"], blind[0]], Dataset.from_pairs(["a"] * 3, [1, 2, 3]))
