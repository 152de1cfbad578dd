"""AUC reports against the slow reference, other programs' scores, and the truth of a built-in world."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from demo_runs import DemoRun
from small_models import ATTRIBUTES, DATA, FEATURES, N_ITEMS, ONE_HOT, fitted

from ivbpr_numba import DataError, Dataset, Features, UsageError, auc, load
from ivbpr_numba.demo import DEMO_MODELS
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.specifications import MODELS
from ivbpr_numba.questions.auc import auc_of_scores, truth_auc
from ivbpr_numba.questions.metrics import METRICS
from ivbpr_numba.ranking import TemporalScorer, scores
from ivbpr_numba.worlds.world import generate, truth_vectors

Run = Callable[..., Any]
LISTS = [DATA.train.indices[a:b].tolist() for a, b in zip(DATA.train.indptr, DATA.train.indptr[1:])]
VALID, TEST = DATA.valid.indices.tolist(), DATA.test.indices.tolist()


def reference(matrix: np.ndarray, **options: Any) -> dict[str, Any]:
    """naive.auc of finished scores (U, I)."""
    return naive.auc(lambda u, i: matrix[u], LISTS, VALID, TEST, N_ITEMS, **options)


def matrix_of(model: Model, split: str) -> np.ndarray:
    """The product's own scores (U, I); in time, each user's at the epoch of the held-out event."""
    scorer = model.scorer()
    if not isinstance(scorer, TemporalScorer):
        return model.scores(DATA.users.texts())
    times = {"test": DATA.test, "valid": DATA.valid}[split].times
    rows = [scores(scorer.at(int(e)), np.array([u]))[0] for u, e in enumerate(scorer.epochs(times))]
    return np.array(rows)


def agrees(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key in ("users", "pairs", "tied_pairs"):
        assert found[key] == expected[key], key
    for key in ("auc", "stderr"):
        if expected[key] is None:
            assert found[key] is None
        else:
            assert found[key] == pytest.approx(expected[key], abs=1e-12), key


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("split", "ties", "cold_below"), [("test", "strict", 5), ("valid", "half", 12)])
def test_auc_equals_a_brute_force_count(name: str, split: str, ties: str, cold_below: int) -> None:
    model = fitted(name)
    matrix = matrix_of(model, split)
    found = auc(model, DATA, split=split, ties=ties, cold_below=cold_below)
    expected = reference(matrix, split=split, ties=ties, cold_below=cold_below)
    for setting in ("all", "cold", "stratified"):
        agrees(found[setting], expected[setting])
    assert (found["model"], found["split"], found["ties"]) == (name, split, ties)
    assert found["cold"]["cold_below"] == cold_below


def test_ties_of_popularity_are_counted_and_told() -> None:
    found = auc(fitted("pop"))
    assert found["all"]["tied_pairs"] > 0.02 * found["all"]["pairs"]
    assert any("ties" in text for text in found["warnings"])
    assert not any("ties" in text for text in auc(fitted("rand"))["warnings"])
    half = auc(fitted("pop"), ties="half")["all"]["auc"]
    assert half > found["all"]["auc"]


def test_baselines_equal_their_definitions() -> None:
    found = auc(fitted("bpr-mf"), features=ATTRIBUTES, baselines=["pop", "cosine"])["baselines"]
    counts = naive.training_counts(LISTS, N_ITEMS)
    agrees(found["pop"]["all"], reference(np.tile(counts, (len(LISTS), 1)))["all"])
    inverse = reference(np.tile(naive.inverse_popularity(LISTS, N_ITEMS), (len(LISTS), 1)), ties="half")
    agrees(found["inverse_popularity"]["all"], inverse["all"])
    agrees(found["inverse_popularity"]["stratified"], inverse["stratified"])
    rows = ATTRIBUTES.rows(DATA.items)
    cosine = np.array([naive.cosine_scores(LISTS, u, ONE_HOT[rows]) for u in range(len(LISTS))])
    expected = reference(np.round(cosine, 6))["all"]
    # float32 sums break some ties of the exact cosine, in either direction
    assert found["cosine"]["all"]["auc"] == pytest.approx(expected["auc"], abs=0.02)
    assert found["cosine"]["all"]["pairs"] == expected["pairs"]


@pytest.mark.parametrize("kind", ["attributes", "dense"])
def test_the_cosine_of_features_that_no_item_is_without(kind: str) -> None:
    """A network's probabilities are never quite 0: weights by the number of values above 0 would all be 0."""
    rng = np.random.default_rng(3)
    soft = (0.8 * ONE_HOT + 0.1 * rng.random(ONE_HOT.shape) + 0.01).astype(np.float32)
    features = Features.from_arrays(DATA.items, soft, ATTRIBUTES.names, kind=kind)
    found = auc(fitted("bpr-mf"), features=features, baselines=["cosine"])["baselines"]["cosine"]["all"]
    users = range(len(LISTS))
    expected = reference(np.array([naive.cosine_scores(LISTS, u, soft, kind == "attributes") for u in users]))
    assert found["auc"] == pytest.approx(expected["all"]["auc"], abs=1e-3) and found["tied_pairs"] == 0


def is_metric(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["users"] == expected["users"]
    for key in ("value", "stderr"):
        wanted = expected[key]
        assert found[key] == (wanted if wanted is None else pytest.approx(wanted, abs=1e-12)), key


def test_metrics_at_k_of_the_model_and_every_baseline() -> None:
    model = fitted("i-vbpr")
    pop = np.tile(naive.training_counts(LISTS, N_ITEMS), (len(LISTS), 1))
    asked = [f"{name}@{k}" for name in METRICS for k in (1, 3, 45)]
    found = auc(model, metrics=asked, baselines=["pop"], cold_below=8)
    assert 3 < found["cold"]["users"] < len(LISTS)
    for scorer, matrix in ((found, model.scores(DATA.users.texts())), (found["baselines"]["pop"], pop)):
        assert list(scorer["metrics"]) == asked
        for text in asked:
            name, _, k = text.partition("@")
            for setting, limit in (("all", None), ("cold", 8)):
                expected = naive.metric(
                    lambda u, i, m=matrix: m[u], LISTS, VALID, TEST, N_ITEMS, name, int(k), cold_below=limit
                )
                is_metric(scorer["metrics"][text][setting], expected)
    assert found["metrics"]["recall@45"]["all"]["value"] == 1.0
    assert found["metrics"]["map@3"] == found["metrics"]["mrr@3"]
    assert "metrics" not in auc(model) and [*auc(model, metrics=["recall@3"] * 2)["metrics"]] == ["recall@3"]


def test_metrics_are_in_every_format(ivbpr: Run, tmp_path: Path) -> None:
    model = fitted("i-vbpr")
    model.save(tmp_path / "m.h5")
    found = auc(model, metrics=["recall@3", "mrr@3"], baselines=["pop"], cold_below=8)
    frame = found.to_frame().set_index(["scorer", "setting"])
    assert [*frame.columns][-4:] == ["recall@3", "recall@3_stderr", "mrr@3", "mrr@3_stderr"]
    wanted = found["baselines"]["pop"]["metrics"]["mrr@3"]["cold"]
    for key, column in (("value", "mrr@3"), ("stderr", "mrr@3_stderr")):
        assert frame.loc[("pop", "cold"), column] == wanted[key]
    assert frame["recall@3"].isna().tolist() == [False, False, True] * 3
    line = ("auc", tmp_path / "m.h5", "--metrics", "recall@3,mrr@3", "--baseline", "pop")
    line = (*line, "--cold-below", "8")
    rows = list(csv.DictReader(ivbpr(*line, "--format", "csv").out.splitlines()))
    assert float(rows[0]["recall@3"]) == found["metrics"]["recall@3"]["all"]["value"]
    assert rows[2]["recall@3"] == "" and float(rows[4]["mrr@3_stderr"]) == wanted["stderr"]
    assert json.loads(ivbpr(*line, "--format", "jsonl").out.splitlines()[4])["mrr@3"] == wanted["value"]
    shown = ivbpr(*line).out
    assert f"{wanted['value']:.4f} ±{wanted['stderr']:.4f}" in shown
    assert max(map(len, shown.split("at the head of the list")[1].splitlines())) <= 80


def test_rows_never_share_a_name() -> None:
    found = auc(fitted("pop"), baselines=["pop"], ties="half")
    assert [row["scorer"] for row in found.rows()][::3] == ["pop", "pop (baseline)", "inverse_popularity"]
    assert found.rows()[0]["auc"] == found.rows()[3]["auc"]


def test_a_single_setting() -> None:
    found = auc(fitted("bpr-mf"), settings=["cold"], cold_below=0)
    assert "all" not in found and found["cold"]["users"] == 0 and found["cold"]["auc"] is None
    assert found["cold"]["stderr"] is None and found["cold"]["ci95"] is None
    assert any("No user" in text for text in found["warnings"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "tset"}, "mean 'test'"),
        ({"settings": ["warm"]}, "Unknown setting"),
        ({"ties": "random"}, "strict or half"),
        ({"baselines": ["cosin"]}, "mean 'cosine'"),
        ({"baselines": ["cosine"]}, "features="),
        ({"metrics": ["recall"]}, "recall@10"),
        ({"metrics": ["recall@0"]}, "recall@10"),
        ({"metrics": ["recal@10"]}, "mean 'recall'"),
        ({"cold_below": -1}, "at least 0"),
    ],
)
def test_wrong_questions(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        auc(fitted("bpr-mf"), **options)


def test_other_data_than_those_of_the_fit() -> None:
    users = [DATA.users[int(u)] for u in DATA.train.users] * 1
    items = [DATA.items[int(i)] for i in DATA.train.indices]
    other = Dataset.from_pairs(users, items)
    with pytest.raises(DataError, match=r"split/|ids/"):
        auc(fitted("bpr-mf"), other)


def test_per_user_file(tmp_path: Path) -> None:
    model = fitted("i-vbpr")
    found = auc(model, per_user=tmp_path / "u.csv")
    with open(tmp_path / "u.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["user", "item", "time", "cold", "auc", "pairs", "ties"]
    assert [row["user"] for row in rows] == DATA.users.texts()
    assert np.mean([float(row["auc"]) for row in rows]) == pytest.approx(found["all"]["auc"], abs=1e-15)
    assert [row["item"] for row in rows] == [DATA.items[i] for i in TEST]
    assert [int(row["time"]) for row in rows] == DATA.test.times.tolist()
    assert sum(int(row["pairs"]) for row in rows) == found["all"]["pairs"]
    assert sum(int(row["cold"]) for row in rows) == found["cold"]["users"]


# --- scores of other programs ------------------------------------------------------------------------------


def test_finished_scores_are_judged_alike(tmp_path: Path) -> None:
    matrix = np.round(fitted("bpr-mf").scores(DATA.users.texts()), 2)
    expected = reference(matrix)
    np.save(tmp_path / "s.npy", matrix)
    with open(tmp_path / "s.csv", "w") as file:
        file.write("user,item,score\n")
        for u, user in enumerate(DATA.users.texts()):
            for i, item in enumerate(DATA.items.texts()):
                if i not in LISTS[u]:
                    file.write(
                        f"{user},{item},{matrix[u, i]!r}\n".replace("np.float32(", "").replace(")", "")
                    )
    text = (tmp_path / "s.csv").read_bytes()
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    (tmp_path / "s.tsv.gz").write_bytes(gzip.compress(text.replace(b",", b"\t")))
    names = ("s.npy", "s.csv", "bom.csv", "s.tsv.gz")
    for given in (matrix, *(tmp_path / name for name in names)):
        found = auc_of_scores(given, DATA)
        for setting in ("all", "cold", "stratified"):
            agrees(found[setting], expected[setting])


def test_scores_that_cannot_be_judged(tmp_path: Path) -> None:
    good = np.zeros((len(DATA.users), N_ITEMS))
    missing = good.copy()
    missing[4, TEST[4]] = np.nan
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object))
    (tmp_path / "s.txt").write_text("")
    (tmp_path / "no.npy").write_bytes(b"nothing")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("user,score\nu000,1\n")
    (tmp_path / "unknown.csv").write_text("user,item,score\nu000,nothing,1\n")
    (tmp_path / "text.csv").write_text("user,item,score\nu000,i000,high\n")
    (tmp_path / "twice.csv").write_text("user,item,score\nu000,i000,1\nu000,i000,1\n")
    (tmp_path / "few.csv").write_text("user,item,score\nu000,i000,1\n")
    (tmp_path / "gap.csv").write_text("user,item,score\nu000,i000,1\n\nu000,i001,high\n")
    (tmp_path / "wide.csv").write_text("user,item,score\nu000,i000,1\nu000,i001,1,2\n")
    (tmp_path / "latin.csv").write_bytes("user,item,score\nu000,i000,1\nü,i001,1\n".encode("latin-1"))
    for given, said in [
        (good[:5], "shape"),
        (missing, f"'{DATA.users[4]}'.*no score"),
        (good.astype("U3"), "type"),
        (tmp_path / "object.npy", "not a NumPy file"),
        (tmp_path / "no.npy", "not a NumPy file"),
        (tmp_path / "empty.csv", "not a readable table"),
        (tmp_path / "header.csv", "no column 'item'"),
        (tmp_path / "unknown.csv", "line 2: an unknown item"),
        (tmp_path / "text.csv", "line 2: a score that is no number"),
        (tmp_path / "twice.csv", "twice"),
        (tmp_path / "few.csv", "no score"),
        (tmp_path / "gap.csv", "line 4: a score that is no number"),
        (tmp_path / "wide.csv", "line 3: not 3 fields"),
        (tmp_path / "latin.csv", "line 3: not UTF-8"),
    ]:
        with pytest.raises(DataError, match=said):
            auc_of_scores(given, DATA)
    for path in (tmp_path / "s.txt", tmp_path / "none.npy"):
        with pytest.raises(UsageError):
            auc_of_scores(path, DATA)
    # A training item needs no score: it is no candidate.
    owned = good.copy()
    owned[0, LISTS[0]] = np.nan
    assert auc_of_scores(owned, DATA)["all"]["users"] == len(DATA.users)


# --- the truth ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "overrides"), [("tiny", {}), ("drift", {"users": 150, "items": 120})])
def test_truth_auc_equals_the_slow_count(size: str, overrides: dict) -> None:
    world = generate(size, 4, **overrides)
    p = world.purchases
    data = Dataset.from_pairs(
        world.users.values[p.users].tolist(),
        world.items.values[p.items].tolist(),
        p.times,
        min_interactions=5,
    )
    found = truth_auc(world.truth, data)
    lists = [data.train.indices[a:b].tolist() for a, b in zip(data.train.indptr, data.train.indptr[1:])]
    valid, test = data.valid.indices.tolist(), data.test.indices.tolist()
    for name, with_time in (("with_time", True), ("without_time", False)):
        v = truth_vectors(world, data.users.values, data.items.values, with_time)
        epochs = world.truth.epoch_of(data.test.times) if with_time else np.zeros(len(lists), int)

        def row_of(u: int, i: int, v: Any = v, epochs: np.ndarray = epochs) -> list[float]:
            return (v.item_bias[epochs[u]] + v.items @ v.users[u]).tolist()

        expected = naive.auc(row_of, lists, valid, test, len(data.items))
        for setting in ("all", "cold"):
            assert found[name][setting]["auc"] == pytest.approx(expected[setting]["auc"], abs=1e-4)
            assert found[name][setting]["pairs"] == expected[setting]["pairs"]
    assert truth_auc(world.truth, data, users=50)["users"] == 50


# --- the commands ------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    DATA.write(tmp_path / "d.h5")
    ATTRIBUTES.write(tmp_path / "attributes.h5")
    FEATURES["vbpr"].write(tmp_path / "dense.h5")
    return tmp_path


FEW = ("--iterations", "4", "--eval-every", "2")


@pytest.mark.parametrize("name", MODELS)
def test_fit_and_auc(ivbpr: Run, files: Path, name: str) -> None:
    out, options = files / "m.h5", []
    if name in FEATURES:
        options += ["--features", files / ("attributes.h5" if name.startswith("i-") else "dense.h5")]
    if name not in ("rand", "pop"):
        options += FEW
    done = ivbpr("fit", files / "d.h5", "--model", name, "-o", out, *options, "--format", "json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["schema"] == "ivbpr.fit/1" and document["model"] == name
    assert document["payload_sha256"] == load(out).payload_sha256_
    done = ivbpr("auc", out, "--format", "json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["schema"] == "ivbpr.auc/1" and report["all"]["users"] == len(DATA.users)
    assert {"auc", "users", "pairs", "tied_pairs", "stderr", "ci95", "cold_below"} == {*report["cold"]}
    assert {"all", "cold", "stratified"} == {*report["baselines"]["inverse_popularity"]}
    assert ivbpr("auc", out, "--data", files / "d.h5", "--split", "valid", "--fail-under", "0.01").code == 0
    assert ivbpr("verify", out).code == 0
    assert sorted(p.name for p in files.iterdir()) == ["attributes.h5", "d.h5", "dense.h5", "m.h5"]


def test_fail_under(ivbpr: Run, files: Path) -> None:
    ivbpr("fit", files / "d.h5", "--model", "pop", "-o", files / "m.h5")
    assert ivbpr("auc", files / "m.h5", "--fail-under", "0.99").code == 5
    assert (
        ivbpr("auc", files / "m.h5", "--setting", "cold", "--cold-below", "0", "--fail-under", "0.1").code
        == 5
    )
    assert ivbpr("auc", files / "m.h5", "--fail-under", "2").code == 2


def test_several_models_at_once(ivbpr: Run, files: Path) -> None:
    names = ("pop", "bpr-mf", "i-vbpr")
    paths = [files / f"{name}.h5" for name in names]
    for name, path in zip(names, paths):
        fitted(name).save(path)
    line = ("auc", *paths, "--metrics", "ndcg@5", "--baseline", "pop")
    together = json.loads(ivbpr(*line, "--format", "json").out)
    assert [*together] == ["schema", "models"] and together["schema"] == "ivbpr.auc/1"
    for path, found in zip(paths, together["models"], strict=True):
        alone = json.loads(ivbpr("auc", path, *line[4:], "--format", "json").out)
        assert alone.pop("schema") == "ivbpr.auc/1"
        assert {**found, "seconds": 0} == {"file": str(path), **alone, "seconds": 0}
    rows = list(csv.DictReader(ivbpr(*line, "--format", "csv").out.splitlines()))
    assert [row["file"] for row in rows][::9] == [str(path) for path in paths] and len(rows) == 27
    assert [row["scorer"] for row in rows][::3][:3] == ["pop", "pop (baseline)", "inverse_popularity"]
    shown = ivbpr(*line)
    assert all(shown.out.count(f"\n{path.name}") == 9 + 6 for path in paths)
    assert f"{paths[0]}: " in shown.err and "ties" in shown.err


def test_fail_under_concerns_each_of_several(ivbpr: Run, files: Path) -> None:
    for name in ("pop", "i-vbpr"):
        fitted(name).save(files / f"{name}.h5")
    line = ("auc", files / "i-vbpr.h5", files / "pop.h5", "--fail-under")
    reached = {name: auc(fitted(name))["all"]["auc"] for name in ("pop", "i-vbpr")}
    assert reached["pop"] < reached["i-vbpr"]
    between = ivbpr(*line, sum(reached.values()) / 2)
    assert between.code == 5 and "i-vbpr.h5" in between.out
    assert "pop.h5: the AUC (all)" in between.err and "i-vbpr.h5" not in between.err.splitlines()[-1]
    assert ivbpr(*line, reached["pop"] - 0.01).code == 0
    both = ivbpr(*line, 0.99)
    assert both.code == 5 and "pop.h5" in both.err and "i-vbpr.h5" in both.err
    assert ivbpr("auc", files / "pop.h5", files / "pop.h5").code == 2
    assert ivbpr("auc", files / "pop.h5", files / "i-vbpr.h5", "--per-user", files / "u.csv").code == 2
    done = ivbpr("auc", files / "pop.h5", files / "d.h5")
    assert done.code == 3 and done.out == "" and "d.h5" in done.err


def test_auc_of_scores_on_the_command_line(ivbpr: Run, files: Path) -> None:
    np.save(files / "s.npy", np.tile(DATA.train_counts, (len(DATA.users), 1)))
    done = ivbpr("auc", "--scores", files / "s.npy", "--data", files / "d.h5", "--format", "json")
    expected = auc(fitted("pop"))["all"]
    assert json.loads(done.out)["all"] == {**expected, "ci95": pytest.approx(expected["ci95"])}
    assert ivbpr("auc", "--scores", files / "s.npy").code == 2
    assert ivbpr("auc").code == 2
    assert ivbpr("auc", files / "m.h5", "--scores", files / "s.npy", "--data", files / "d.h5").code == 2


BAD_FITS = [
    (["d.h5", "--model", "bprmf"], 2, "bpr-mf"),
    (["none.h5", "--model", "pop"], 2, "none.h5"),
    (["d.h5", "--model", "i-vbpr"], 2, "--features"),
    (["d.h5", "--model", "i-vbpr", "--features", "none.h5"], 2, "none.h5"),
    (["d.h5", "--model", "i-vbpr", "--features", "dense.h5"], 3, "attributes"),
    (["d.h5", "--model", "i-vbpr", "--features", "d.h5"], 3, "ivbpr-features"),
    (["attributes.h5", "--model", "pop"], 3, "ivbpr-dataset"),
    (["d.h5", "--model", "bpr-mf", "--learning-rate", "nan"], 2, "--learning-rate"),
    (["d.h5", "--model", "bpr-mf", "--learning-rate", "soon"], 2, "learning-rate"),
    (["d.h5", "--model", "bpr-mf", "--learning-rate", "1e9", "--lambda-theta", "0.1"], 2, "diverged"),
    (["d.h5", "--model", "bpr-mf", "--factors", "-3"], 2, "--factors"),
    (["d.h5", "--model", "bpr-mf", "--device", "cuda"], 4, "cuda"),
    (["d.h5", "--model", "bpr-mf", "--margin", "1"], 2, "--margin"),
    (["d.h5", "--model", "bpr-mf", "--log", "no/such/folder.jsonl"], 2, "no/such"),
    (["garbage.h5", "--model", "bpr-mf"], 3, "not an HDF5 file"),
    (["empty.h5", "--model", "bpr-mf"], 3, "not an HDF5 file"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), BAD_FITS, ids=[" ".join(a) for a, *_ in BAD_FITS])
def test_bad_fits_leave_nothing_and_keep_what_was(
    ivbpr: Run, files: Path, monkeypatch: pytest.MonkeyPatch, arguments: list, code: int, said: str
) -> None:
    monkeypatch.chdir(files)
    (files / "garbage.h5").write_bytes(b"no model at all")
    (files / "empty.h5").write_bytes(b"")
    ivbpr("fit", "d.h5", "--model", "pop", "-o", "m.h5")
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    done = ivbpr("fit", *arguments, "-o", "m.h5", "--overwrite")
    assert done.code == code and said in done.err and done.out == ""
    assert len(done.err.splitlines()) == 1 and "Traceback" not in done.err
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_output_that_cannot_be_written(ivbpr: Run, files: Path) -> None:
    for out, said in (
        (files / "no" / "m.h5", "does not exist"),
        (files, "folder"),
        (files / "d.h5", "input"),
    ):
        done = ivbpr("fit", files / "d.h5", "--model", "pop", "-o", out)
        assert done.code == 2 and said in done.err


def test_changed_features_and_data_are_refused(ivbpr: Run, files: Path) -> None:
    features = files / "attributes.h5"
    ivbpr("fit", files / "d.h5", "--model", "i-vbpr", "--features", features, "-o", files / "m.h5", *FEW)
    Features.from_arrays(
        DATA.items, 1 - ONE_HOT.astype(np.float16), ATTRIBUTES.names, kind="attributes"
    ).write(files / "other.h5")
    done = ivbpr("auc", files / "m.h5", "--features", files / "other.h5")
    assert done.code == 3 and "other.h5" in done.err and "attributes.h5" in done.err
    (files / "other.h5").replace(features)
    assert ivbpr("auc", files / "m.h5").code == 3
    features.unlink()
    assert ivbpr("auc", files / "m.h5").code == 0  # the projections in the model file are enough
    assert ivbpr("auc", files / "m.h5", "--baseline", "cosine").code == 2
    users = [DATA.users[int(u)] for u in DATA.train.users]
    Dataset.from_pairs(users, [DATA.items[int(i)] for i in DATA.train.indices]).write(files / "d2.h5")
    assert ivbpr("auc", files / "m.h5", "--data", files / "d2.h5").code == 3


def test_demo(ivbpr: Run, tiny_demo: DemoRun, tmp_path: Path) -> None:
    (tmp_path / "demo" / "images").mkdir(parents=True)  # as an earlier, larger demo leaves it
    (tmp_path / "demo" / "truth.h5").touch()
    photo = next((tiny_demo.folder / "images").glob("*.jpg"))
    (tmp_path / "demo" / "images" / "i999999.jpg").write_bytes(photo.read_bytes())
    done = ivbpr("demo", "-o", tmp_path / "demo", "--size", "tiny", "--format", "json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    share = {row["model"]: row["of_the_way"] for row in document["models"]}
    assert list(share) == ["truth", *DEMO_MODELS["tiny"]] and share["truth"] == 1
    assert abs(share["rand"]) < 0.15 < share["pop"] < share["bpr-mf"] < share["i-vbpr"] < 1
    cold = {row["model"]: row["cold"] for row in document["models"]}
    assert cold["i-vbpr"] > cold["bpr-mf"] + 0.1
    for path in document["files"].values():
        assert Path(path).exists()
    assert ivbpr("auc", tmp_path / "demo" / "i-vbpr.h5").code == 0
    pages = [(folder / "report.html").read_bytes() for folder in (tmp_path / "demo", tiny_demo.folder)]
    assert pages[0] == pages[1]
    # Again into the same folder.
    assert ivbpr("demo", "-o", tmp_path / "demo", "--size", "tiny", "--quiet").code == 0


@pytest.mark.slow
def test_demo_of_drift(ivbpr: Run, tmp_path: Path) -> None:
    done = ivbpr("demo", "-o", tmp_path / "demo", "--size", "drift", "--format", "json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    rows = {row["model"]: row for row in document["models"]}
    assert list(rows) == ["truth", "truth without time", *MODELS]
    share = {name: row["of_the_way"] for name, row in rows.items()}
    assert share["i-vbpr"] < share["truth without time"] < share["i-tvbpr"] < share["truth"] == 1
    assert share["vbpr"] + 0.01 < share["tvbpr"] and share["i-vbpr"] + 0.03 < share["i-tvbpr"]
    assert len(document["change"]["cuts"]) == 2
    assert all(cut["bins"] < 1 for cut in document["change"]["cuts"])
    assert document["change"]["correlation"] > 0.95


def test_warmup(ivbpr: Run) -> None:
    done = ivbpr("warmup", "--format", "json")
    report = json.loads(done.out)
    assert done.code == 0 and report["files"] > 10 and report["device"] == "cpu"
