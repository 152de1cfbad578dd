"""Attributes that are nearly the same items: by the Jaccard index of their sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE

from ivbpr_numba import TVBPR, Features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.questions.overlaps import OVERLAP, overlapping
from ivbpr_numba.questions.trends import measure

NAMES = ["type=a", "type=b", "type=c", "group=a", "group=rest", "tag=x", "tag=none"]


def features(seed: int, dtype: Any = np.float16) -> Features:
    """A type and a coarser group that nearly follow each other, and tags."""
    rng = np.random.default_rng(seed)
    n = len(DATA.items)
    kind = rng.integers(0, 3, n)
    coarse = np.where(rng.random(n) < 0.1, rng.integers(0, 2, n), kind > 0).astype(int)
    values = np.zeros((n, 7), dtype=dtype)
    values[np.arange(n), kind] = 1
    values[np.arange(n), 3 + coarse] = 1
    values[:, 5] = rng.random(n) < 0.5
    groups = [Group("type", 0, 3, True), Group("group", 3, 2, True), Group("tag", 5, 2, False)]
    return Features.from_matrix(values, ids=DATA.items, names=NAMES, groups=groups, kind="attributes")


@pytest.mark.parametrize("seed", range(5))
def test_by_sets(seed: int) -> None:
    given = features(seed)
    having = [set(np.flatnonzero(given.matrix[:, k] >= 0.5).tolist()) for k in range(7)]
    for k, others in enumerate(overlapping(given, DATA.items)):
        near = {
            j: len(having[k] & having[j]) / len(having[k] | having[j])
            for j in range(7)
            if j != k and having[k] | having[j]
        }
        expected = sorted((j for j in near if near[j] >= OVERLAP), key=lambda j: (-near[j], j))
        assert others == expected
    assert 3 in overlapping(given, DATA.items)[0]


def test_probabilities_count_from_a_half() -> None:
    sure = features(1, np.float32)
    rng = np.random.default_rng(0)
    soft = np.where(
        sure.matrix > 0, rng.uniform(0.5, 1, sure.matrix.shape), rng.uniform(0, 0.49, sure.matrix.shape)
    )
    unsure = Features.from_matrix(
        soft.astype(np.float32),
        ids=DATA.items,
        names=NAMES,
        groups=[Group("all", 0, 7, False)],
        kind="attributes",
    )
    assert overlapping(unsure, DATA.items) == overlapping(sure, DATA.items)


def test_dense_features_are_no_sets() -> None:
    assert overlapping(DENSE, DATA.items) == [[] for _ in DENSE.names]


@pytest.fixture(scope="module")
def model() -> TVBPR:
    return TVBPR(epochs=3, iterations=6, eval_every=2, segment_every=2).fit(DATA, features(0))


def test_the_top_has_each_once_with_the_others_named(model: TVBPR) -> None:
    overlaps = overlapping(features(0), DATA.items)
    every = measure(model, top=7, fits=0)
    once = measure(model, top=7, fits=0, overlaps=overlaps)
    each = measure(model, top=7, fits=0, overlaps=overlaps, each=True)
    assert every.also is None and each.features == every.features
    column = {name: k for k, name in enumerate(NAMES)}
    kept: list[str] = []
    for name in every.features:  # in order of change: the first of its like
        if not {column[other] for other in kept} & set(overlaps[column[name]]):
            kept.append(name)
    assert once.features == kept and len(kept) < len(every.features)
    assert once.also == [[NAMES[other] for other in overlaps[column[name]]] for name in kept]
    # The number asked for is reached by others where there are some.
    assert len(measure(model, top=3, fits=0, overlaps=overlaps).features) == 3
    named = measure(model, ["type=a", "group=a"], fits=0, overlaps=overlaps)
    assert named.features == ["type=a", "group=a"]  # what is asked for by name is shown


def test_the_command(ivbpr: Callable[..., Any], tmp_path: Path) -> None:
    given = features(0)
    given.write(tmp_path / "f.h5")
    TVBPR(epochs=3, iterations=6, eval_every=2, segment_every=2).fit(
        DATA, Features.read(tmp_path / "f.h5"), out=tmp_path / "m.h5"
    )
    done = ivbpr("trends", tmp_path / "m.h5", "--format", "json")
    rows = json.loads(done.out)["features"]
    also = {row["feature"]: row["also"] for row in rows}
    assert any(also.values()) and all(other not in also for others in also.values() for other in others)
    listed = json.loads(ivbpr("trends", tmp_path / "m.h5", "--overlapping", "--format", "json").out)[
        "features"
    ]
    assert len(listed) > len(rows)
    table = ivbpr("trends", tmp_path / "m.h5").out
    assert "Overlapping attributes" in table
    (tmp_path / "f.h5").rename(tmp_path / "g.h5")
    done = ivbpr("trends", tmp_path / "m.h5", "--format", "json")
    assert done.code == 0 and "overlap can't be told" in done.err
    assert {row["also"] for row in json.loads(done.out)["features"]} == {None}
    done = ivbpr("trends", tmp_path / "m.h5", "--features", tmp_path / "g.h5", "--format", "json")
    assert {row["feature"]: row["also"] for row in json.loads(done.out)["features"]} == also
    ATTRIBUTES.write(tmp_path / "other.h5")
    done = ivbpr("trends", tmp_path / "m.h5", "--features", tmp_path / "other.h5")
    assert done.code == 3
