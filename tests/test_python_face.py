"""Arguments of the wrong kind get a sentence and the right call; frames go in and come out."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from small_models import ATTRIBUTES, DATA, DENSE, FEATURES, fitted, made

import ivbpr_numba
from ivbpr_numba import (
    VBPR,
    Dataset,
    Features,
    Popularity,
    auc,
    auc_of_scores,
    compare,
    create,
    load,
    prepare,
    trends,
    write_report,
)
from ivbpr_numba.datasets import dataset as dataset_module
from ivbpr_numba.errors import DataError, IvbprError, UsageError
from ivbpr_numba.features import features as features_module
from ivbpr_numba.network.file import Network

POP = Popularity().fit(DATA)
FRAME = pd.DataFrame({"u": ["a"] * 3, "i": [1, 2, 3]})
BOUGHT = pd.DataFrame(np.eye(2, 3, dtype=int) + 1, index=["a", "b"], columns=["x", "y", "z"])
LONG = pd.DataFrame({"a": range(200), "b": range(200)})
VISUAL = fitted("i-vbpr")
SCORES = np.zeros((len(DATA.users), len(DATA.items)))
USER = DATA.users[0]

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "frame": (lambda: POP.fit(FRAME), r"fit takes a Dataset, not a DataFrame\. .*from_frame"),  # type: ignore[arg-type]
    "array": (lambda: POP.fit(SCORES), r"not an ndarray\. .*from_matrix"),  # type: ignore[arg-type]
    "path": (lambda: POP.fit("d.h5"), r"not a str\. .*Dataset\.read"),  # type: ignore[arg-type]
    "features path": (lambda: VBPR().fit(DATA, "f.h5"), r"Features, not a str\. .*Features\.read"),  # type: ignore[arg-type]
    "features frame": (lambda: VBPR().fit(DATA, FRAME), r"not a DataFrame\. .*Features\.from_frame"),  # type: ignore[arg-type]
    "features asked": (lambda: VISUAL.recommend(USER, features="f.h5"), r"A model takes Features, not a str\. .*Features\.read"),  # type: ignore[arg-type]
    "features folded": (lambda: VISUAL.fold_in([], features=FRAME), r"A model takes Features, not a DataFrame\."),  # type: ignore[arg-type]
    "one user": (lambda: POP.scores("ann"), r"a list of ids, not one id\. .*\['ann'\]"),
    "n text": (lambda: POP.recommend(USER, n="3"), r"n='3': it must be a whole number\. Give one, at least 1"),  # type: ignore[arg-type]
    "n part": (lambda: POP.recommend(USER, n=1.5), r"n=1\.5"),  # type: ignore[arg-type]
    "n none": (lambda: POP.similar(DATA.items[0], n=None), r"n=None|no vectors"),  # type: ignore[arg-type]
    "least": (lambda: Dataset.from_frame(FRAME, "u", "i", min_interactions=2.5), r"min_interactions=2\.5"),  # type: ignore[arg-type]
    "seed part": (lambda: Dataset.from_frame(FRAME, "u", "i", seed=1.5), r"seed=1\.5"),  # type: ignore[arg-type]
    "seed none": (lambda: Dataset.from_pairs("aaa", "xyz", seed=None), r"seed=None"),  # type: ignore[arg-type]
    "no frame": (lambda: Dataset.from_frame("x.csv", "u", "i"), r"a data frame, not a str\. Files go to prepare"),
    "observer": (lambda: POP.fit(DATA, observers=3), r"observers= are functions"),  # type: ignore[arg-type]
    "observers": (lambda: POP.fit(DATA, observers=["print"]), r"observers= are functions"),  # type: ignore[list-item]
    "no path": (lambda: POP.fit(DATA, out=""), r"out='' is no path"),
    "number": (lambda: POP.fit(DATA, out=3), r"out=3 is no path"),  # type: ignore[arg-type]
    "no out": (lambda: POP.fit(DATA, checkpoint_every=3), r"checkpoint_every=3 needs a file.*out="),
    "every": (lambda: POP.fit(DATA, out="m.h5", checkpoint_every=0.5), r"checkpoint_every=0\.5"),  # type: ignore[arg-type]
    "model path": (lambda: auc("m.h5"), r"auc takes a model, not a str\. Load the file first"),  # type: ignore[arg-type]
    "trends of a path": (lambda: trends("m.h5"), r"trends takes a model, not a str"),  # type: ignore[arg-type]
    "auc of a frame": (lambda: auc(POP, FRAME), r"auc takes a Dataset, not a DataFrame"),  # type: ignore[arg-type]
    "settings": (lambda: auc(POP, settings=3), r"settings=3: it is neither"),  # type: ignore[arg-type]
    "cold": (lambda: auc(POP, cold_below=2.5), r"cold_below=2\.5"),  # type: ignore[arg-type]
    "scores list": (lambda: auc_of_scores([1, 2], DATA), r"a list, not a table of users × items"),
    "scores ragged": (lambda: auc_of_scores([[1], [2, 3]], DATA), r"a list, not a table"),
    "scores sparse": (lambda: auc_of_scores(sparse.csr_array(SCORES), DATA), r"sparse.*toarray"),
    "scores masked": (lambda: auc_of_scores(np.ma.masked_equal(SCORES, 0), DATA), r"masked"),
    "scores data": (lambda: auc_of_scores(SCORES, FRAME), r"takes a Dataset"),  # type: ignore[arg-type]
    "masked": (lambda: Features.from_matrix(np.ma.masked_equal(np.eye(2), 0), ids="ab"), r"masked.*filled"),
    "masked purchases": (lambda: Dataset.from_matrix(np.ma.masked_equal(np.eye(3), 0)), r"masked"),
    "no ids": (lambda: Features.from_matrix(np.eye(2)), r"which row is which item"),
    "no share": (lambda: Features.from_matrix([[2.0]], ids="a", kind="attributes"), r"'0' of item 'a' is 2;.*dense"),
    "features as data": (lambda: POP.fit(ATTRIBUTES), r"a Dataset, not Features\."),  # type: ignore[arg-type]
    "an int": (lambda: auc(3), r"a model, not an int\."),  # type: ignore[arg-type]
    "where frame": (lambda: POP.recommend(USER, where=FRAME), r"where=<DataFrame>: it is no mapping"),  # type: ignore[arg-type]
    "where pairs": (lambda: POP.similar(USER, where=[("a", "b")]), r"no mapping|Unknown item"),  # type: ignore[arg-type]
    "where none": (lambda: POP.recommend(USER, where={"hue": None}), r"None is no text\. .*\{.colour."),  # type: ignore[dict-item]
    "where int": (lambda: POP.recommend(USER, where={"hue": 3}), r": 3 is no text"),  # type: ignore[dict-item]
    "where ints": (lambda: POP.recommend_all(where={"hue": [3]}), r": 3 is no text"),  # type: ignore[list-item]
    "where bytes": (lambda: POP.recommend(USER, where={"hue": b"red"}), r"b'red' is no text"),
    "where column": (lambda: POP.recommend(USER, where={"hue": "red"}), r"no column 'hue'.*keep=.*Dataset\.with_items"),
    "because": (lambda: VISUAL.recommend(USER, because=3), r"3 is no name of a feature"),  # type: ignore[arg-type]
    "exclude": (lambda: POP.recommend(USER, exclude=[1, 2]), r"Unknown part '1'"),  # type: ignore[list-item]
    "at": (lambda: fitted("tvbpr", epochs=2, bins=4).recommend(USER, at=LONG), r"^<DataFrame> is not a date\."),
    "ids set": (lambda: Features.from_matrix(np.eye(2), ids={"a", "b"}), r"ids were given as a set"),
    "users set": (lambda: Dataset.from_matrix(np.eye(2), users={"a", "b"}), r"users were given as a set"),
    "items set": (lambda: Dataset.from_matrix(np.eye(2), items=frozenset("ab")), r"items were given as a frozenset"),
    "pairs of sets": (lambda: Dataset.from_pairs({"a"}, {"b"}), r"Users were given as a set"),
    "scores of a set": (lambda: POP.scores({USER}), r"as a set.*list"),
    "other rows": (lambda: Dataset.from_matrix(BOUGHT, users=["b", "a"]), r"rows of the frame.*users=frame\.index"),
    "other columns": (lambda: Dataset.from_matrix(BOUGHT, items=["y", "z", "x"]), r"columns of the frame.*items=frame\.columns"),
    "other times": (lambda: Dataset.from_matrix(BOUGHT, times=BOUGHT[["z", "y", "x"]]), r"frame of times"),
    "pairs of nothing": (lambda: Dataset.from_pairs(None, "a"), r"Users are None\."),  # type: ignore[arg-type]
    "pairs of frames": (lambda: Dataset.from_pairs(FRAME, FRAME), r"Users are a data frame\. .*from_frame"),
    "column itself": (lambda: Dataset.from_frame(FRAME, FRAME["u"], "i"), r"user=<Series>: .*name of a column"),  # type: ignore[arg-type]
    "twice": (lambda: Dataset.from_frame(FRAME[["u", "i", "i"]], "u", "i"), r"twice the column 'i'\. It has u, i, i"),
    "no catalogue": (lambda: Features.from_frame("c.csv", id="id"), r"a data frame, not a str\."),  # type: ignore[arg-type]
    "no columns": (lambda: Features.from_frame(FRAME, id="i", columns=None), r"columns=None: it is neither"),  # type: ignore[arg-type]
    "no tags": (lambda: Features.from_frame(FRAME, id="i", tags=None), r"tags=None: it is neither"),  # type: ignore[arg-type]
    "id itself": (lambda: Features.from_frame(FRAME, id=FRAME["i"], columns="u"), r"id=<Series>: "),
    "compare none": (lambda: compare(None), r"compare takes models, not None\."),  # type: ignore[arg-type]
    "compare int": (lambda: compare(3), r"compare takes models, not an int\."),  # type: ignore[arg-type]
    "compare nothing": (lambda: compare([]), r"There is no model to compare"),
    "compare unfitted": (lambda: compare([Popularity(), Popularity()]), r"not fitted"),
    "prepare none": (lambda: prepare(None), r"inputs=None is no path"),  # type: ignore[arg-type]
    "prepare numbers": (lambda: prepare([1, 2]), r"inputs=\[1, 2\] is no path"),  # type: ignore[list-item]
    "prepare frame": (lambda: prepare(FRAME), r"files, not frames\. .*from_frame"),  # type: ignore[arg-type]
    "prepare features": (lambda: prepare("p.csv", features=ATTRIBUTES), r"features=<Features> is no path"),  # type: ignore[arg-type]
    "prepare catalogue": (lambda: prepare("p.csv", catalogue=LONG), r"^catalogue=<DataFrame> is no path"),  # type: ignore[arg-type]
    "create": (lambda: create(None), r"Unknown model 'None'"),  # type: ignore[arg-type]
    "device": (lambda: VBPR(device=3.5).fit(DATA, ATTRIBUTES), r"device"),  # type: ignore[arg-type]
    "fits": (lambda: trends(fitted("tvbpr", epochs=2, bins=4), fits="2"), r"fits='2': it must be a whole number"),  # type: ignore[arg-type]
    "report nothing": (lambda: write_report([1, 2], "x.html"), r"write_report takes a model, not an int"),  # type: ignore[list-item]
    "report out": (lambda: write_report([POP], 3), r"out=3 is no path"),  # type: ignore[arg-type]
    "metric": (lambda: auc(POP, metrics="recall"), r"Did you mean 'recall@10'"),
    "negative": (lambda: Features.from_matrix([[-0.1]], ids="a", kind="attributes"), r"is -0\.1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_kinds_get_the_right_call(case: str) -> None:
    call, said = WRONG[case]
    with pytest.raises(IvbprError, match=said) as caught:
        call()
    assert caught.value.hint and "--" not in str(caught.value)


@pytest.mark.parametrize("path", [1, 2.5, None, [1], b"x", "x\0.h5", "a" * 300 + ".h5"])
def test_what_is_no_path(path: Any) -> None:
    """A number would be taken for an open file and closed."""
    calls: list[Callable[[], object]] = [
        lambda: load(path),
        lambda: Dataset.read(path),
        lambda: Features.read(path),
        lambda: Network.read(path),
        lambda: prepare(path),
        lambda: DATA.write(path),
        lambda: ATTRIBUTES.write(path),
        lambda: POP.save(path),
        lambda: write_report(POP, path),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=r"no path|NUL|too long") as caught:
            call()
        assert caught.value.hint


def test_one_value_of_a_column_is_a_list_of_one() -> None:
    items = pd.DataFrame({"id": DATA.items.texts(), "hue": ["red", "r"] * 22 + ["red"]})
    model = Popularity().fit(DATA.with_items(items, id="id", keep="hue"))
    alone, listed = ({"hue": "red"}, {"hue": ["red"]})
    assert model.recommend(USER, 50, where=alone) == model.recommend(USER, 50, where=listed) != []
    assert list(model.recommend_all(3, where=alone)) == list(model.recommend_all(3, where=listed))
    visual = fitted("i-vbpr")
    assert visual.similar(DATA.items[0], where={}) == visual.similar(DATA.items[0])


def test_labels_of_a_frame_that_agree() -> None:
    wanted = Dataset.from_matrix(BOUGHT)
    assert wanted.users == ["a", "b"] and wanted.items == ["x", "y", "z"]
    for users in (None, ["a", "b"], BOUGHT.index):
        assert Dataset.from_matrix(BOUGHT, users=users).payload_sha256 == wanted.payload_sha256
    plain = pd.DataFrame(BOUGHT.to_numpy())
    assert Dataset.from_matrix(plain, "ab", "xyz").payload_sha256 == wanted.payload_sha256


def test_series_belong_together_by_their_labels() -> None:
    frame = pd.DataFrame({"u": ["a"] * 4, "i": [1, 2, 3, 4]})
    wanted = Dataset.from_pairs(frame["u"], frame["i"]).payload_sha256
    other = frame["i"].iloc[::-1]
    with pytest.raises(DataError, match=r"Users and items have different indexes\. .*to_numpy"):
        Dataset.from_pairs(frame["u"], other)
    with pytest.raises(DataError, match="Users and times have different indexes"):
        Dataset.from_pairs(frame["u"], [1, 2, 3, 4], other + 1_600_000_000)
    assert Dataset.from_pairs(frame["u"], other.to_numpy()).payload_sha256 == wanted
    assert Dataset.from_pairs(frame["u"], [1, 2, 3, 4]).payload_sha256 == wanted


def test_columns_that_are_not_guessed_are_parameters(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(DataError, match=r"Name it with user=") as caught:
        prepare(tmp_path / "p.csv")
    assert caught.value.told(lambda mention: f"--{mention.name}").endswith("Name it with --user.")


def test_a_report_of_one_model(tmp_path: Path) -> None:
    assert write_report(POP, tmp_path / "p.html")["models"] == ["POP"]


@pytest.mark.parametrize("order", ["sklearn, ivbpr_numba", "ivbpr_numba, sklearn"])
def test_who_catches_what_is_not_fitted(order: str) -> None:
    code = (
        f"import sys, {order}\n"
        "sys.modules.pop('sklearn.exceptions', None)\n"  # where scikit-learn loads it late
        "try: ivbpr_numba.BPRMF().recommend('a')\n"
        "except __import__('importlib').import_module('sklearn.exceptions').NotFittedError: print('caught')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["caught"]


def test_one_name_is_a_list_of_one() -> None:
    for name, one in (("settings", "cold"), ("baselines", "pop"), ("metrics", "recall@5")):
        alone, listed = auc(POP, **{name: one}), auc(POP, **{name: [one]})  # type: ignore[arg-type]
        assert {**alone, "seconds": 0} == {**listed, "seconds": 0}
    assert POP.recommend(USER, exclude="train") == POP.recommend(USER, exclude=["train"])
    events: list[dict[str, Any]] = []
    Popularity().fit(DATA, observers=events.append)
    assert [event["event"] for event in events] == ["start", "end"]


def test_items_without_features_say_what_to_do() -> None:
    few = Features.from_matrix(np.eye(2), ids=DATA.items[:2])
    with pytest.raises(DataError, match=r"43 of 45 items.*prepare\(features=…\).*leave out the purchases"):
        VBPR().fit(DATA, few)


def test_scores_at_a_time() -> None:
    model = fitted("tvbpr", epochs=2, bins=4)
    times = DATA.test.times
    for at in (int(times.min()), int(times.max())):
        np.testing.assert_array_equal(
            model.scores(DATA.users[:3], at=at)[:, 0],
            model.scores(DATA.users[:3], [DATA.items[0]] * 3, at=at),
        )
    with pytest.raises(UsageError, match="knows no time"):
        POP.scores([USER], at="2020-01-01")


def test_items_from_a_frame() -> None:
    items = pd.DataFrame(
        {
            "id": [*DATA.items[:40], DATA.items[0]],
            "name": [f"n{k}" for k in range(41)],
            "half": ["a", "b"] * 20 + ["a"],
        }
    )
    data = DATA.with_items(items, id="id", title="name", keep="half")
    assert DATA.item_columns == {} and data.train is DATA.train
    assert data.item_columns["title"][:2].tolist() == [b"n0", b"n1"] and data.item_columns["half"][44] == b""
    model = Popularity().fit(data)
    best = model.recommend(USER, 50, where={"half": ["a"]})
    assert best and all(item["title"] == f"n{data.items.row(item['item'])}" for item in best)
    assert all(data.items.row(item["item"]) % 2 == 0 for item in best)
    for wrong, said in (
        ({"id": "ident", "title": "name"}, "It has id, name, half"),
        ({"id": "id"}, "Nothing of the frame"),
        ({"id": "name", "title": "id"}, "No item of the data"),
    ):
        with pytest.raises(IvbprError, match=said):
            DATA.with_items(items, **wrong)
    with pytest.raises(DataError, match=r"row 1, column 'half', holds several"):
        DATA.with_items(items.assign(half=[["a", "b"]] * 41), id="id", keep="half")


@pytest.mark.parametrize("features", [ATTRIBUTES, DENSE])
def test_features_through_a_frame(features: Features) -> None:
    frame = features.to_frame()
    assert frame.attrs["kind"] == features.kind and list(frame.columns) == features.names
    assert list(frame.index) == DATA.items.texts()
    again = Features.from_matrix(frame)
    assert again.payload_sha256 == features.payload_sha256
    scaled = Features.from_matrix(np.array([[51]], np.uint8), ids="a", scale=1 / 255)
    assert scaled.to_frame().iloc[0, 0] == pytest.approx(0.2)


def test_ids_as_floats_in_both_builders() -> None:
    frame = pd.DataFrame({"id": [1.0, 2.0, 3.0], "hue": ["a", "b", "a"]})
    data = Dataset.from_pairs(["u", "u", "u"], frame["id"])
    assert Features.from_frame(frame, id="id", columns="hue").items == data.items == ["1", "2", "3"]
    assert Features.from_matrix(np.eye(3), ids=frame["id"]).items == data.items
    with pytest.raises(DataError, match="the first is data row 2"):
        Features.from_frame(frame.assign(id=[1.0, None, 3.0]), id="id", columns=["hue"])


def test_features_in_memory_are_spoken_of_when_saved(tmp_path: Path) -> None:
    model = made("i-vbpr").fit(DATA, FEATURES["i-vbpr"])
    with pytest.warns(UserWarning, match=r"in memory only.*features="):
        model.save(tmp_path / "m.h5")
    loaded = load(tmp_path / "m.h5")
    best = loaded.recommend(USER, 3)
    assert [one["item"] for one in best] == [one["item"] for one in model.recommend(USER, 3)]
    assert not any(one.get("because") for one in best)
    assert loaded.recommend(USER, 3, features=ATTRIBUTES)[0]["because"]


def test_vectors_as_frames() -> None:
    vectors = fitted("bpr-mf").user_vectors()
    assert repr(vectors) == f"Vectors(60 ids × {vectors.vectors.shape[1]} columns, float32)"
    assert list(vectors.to_frame().index) == DATA.users.texts()


@pytest.mark.parametrize("module", [dataset_module, features_module])
def test_examples_of_the_builders_run(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted >= 6 and not found.failed


def test_the_package_names_what_is_raised() -> None:
    assert issubclass(ivbpr_numba.NotFittedError, UsageError) and "NotFittedError" in dir(ivbpr_numba)
