"""Paired bootstraps of what two networks see: whole families are drawn, the promises kept."""

from __future__ import annotations

import numpy as np
import pytest
from small_labels import VOCABULARY, drawn, labels_of

from ivbpr_numba.errors import UsageError
from ivbpr_numba.judging.assessment import assess, right_answers
from ivbpr_numba.judging.paired import paired_bootstrap, paired_bootstrap_ap
from ivbpr_numba.training.labels import Labels


def sides(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, Labels, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, labels = drawn(seed, n, 6, 0.8, False)
    b = a.copy()
    b[:, :4] = b[rng.permutation(n), :4]
    b[:, 4:] = np.abs(b[:, 4:] - 0.1)
    return a, b, labels, np.array([f"f{k}" for k in rng.integers(0, 20, n)])


def test_a_bootstrap_resamples_families() -> None:
    """Each resample as if its families were laid side by side, accuracies and average precisions."""
    a, b, labels, families = sides(3)
    right = [right_answers(p, labels, VOCABULARY) for p in (a, b)]
    names, seed, n = np.unique(families), 5, 40
    drawn_weights = np.concatenate(
        [np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)]
    )
    accuracies, precisions = [], []
    for weights in drawn_weights:
        rows = np.concatenate(
            [np.flatnonzero(families == f) for f, w in zip(names, weights) for _ in range(w)]
        )
        accuracies.append([np.nanmean(r[rows, 0]) for r in right])
        taken = labels_of(VOCABULARY, labels.values[0][rows], labels.values[1][rows])
        precisions.append([assess(p[rows], taken, VOCABULARY)["mean_ap"] for p in (a, b)])
    for found, each in (
        (paired_bootstrap(*right, families, n, seed), accuracies),
        (paired_bootstrap_ap(a, b, labels, VOCABULARY, families, n, seed), precisions),
    ):
        apart = np.subtract(*np.array(each).T)
        around = apart - apart.mean() + found["difference"]
        assert found["low"] == pytest.approx(np.quantile(around, 0.025))
        assert found["high"] == pytest.approx(np.quantile(around, 0.975))
        assert found["stderr"] == pytest.approx(apart.std(ddof=1))
        assert found["difference"] == pytest.approx(found["a"] - found["b"]) and found["families"] == len(
            names
        )
    whole = assess(a, labels, VOCABULARY)
    assert paired_bootstrap(*right, families)["a"] == pytest.approx(whole["mean_accuracy"])
    assert paired_bootstrap_ap(a, b, labels, VOCABULARY, families, 2)["a"] == pytest.approx(whole["mean_ap"])


def test_a_bootstrap_keeps_its_promises() -> None:
    a, b, labels, families = sides(4)
    right = right_answers(a, labels, VOCABULARY)
    same = paired_bootstrap(right, right, families)
    assert same["difference"] == same["low"] == same["high"] == same["stderr"] == 0
    one, two = (right_answers(p, labels, VOCABULARY) for p in (a, b))
    assert paired_bootstrap(one, two, families, 99, 1) == paired_bootstrap(one, two, families, 99, 1)
    assert paired_bootstrap(one, two, families, 99, 1) != paired_bootstrap(one, two, families, 99, 2)
    # Copies of a family say nothing new: the spread stays, while single images would halve it.
    many = paired_bootstrap(np.tile(one, (4, 1)), np.tile(two, (4, 1)), np.tile(families, 4), 99, 1)
    assert many["stderr"] == pytest.approx(paired_bootstrap(one, two, families, 99, 1)["stderr"])
    for wrong in (
        lambda: paired_bootstrap(one, two[:-1], families),
        lambda: paired_bootstrap(one, np.full_like(two, np.nan), families),
        lambda: paired_bootstrap(one * np.nan, two * np.nan, families),
        lambda: paired_bootstrap(one, two, families, 1),
        lambda: paired_bootstrap_ap(a, b[:-1], labels, VOCABULARY, families),
    ):
        with pytest.raises(UsageError):
            wrong()
