"""Clocks around a piece of work, and counts that several implementations share."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.inputs import Work
from benchmarks.registry import Run
from ivbpr_numba.ranking import Questions, Scorer, count, item_classes, questions

__all__ = ["counted", "pairs_of", "test_auc", "timed"]


def timed(amount: float, function: Callable[[], dict[str, np.ndarray]]) -> Run:
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Run(amount, wall, amount, cpu, result)


def pairs_of(work: Work) -> float:
    """Candidates of all questions about the test items."""
    asked = questions(work.data, "test")
    return float(len(asked.users) * len(work.data.items) - len(asked.items))


def counted(work: Work, asked: Questions, less: np.ndarray, equal: np.ndarray) -> dict[str, np.ndarray]:
    """Counts of each question, with what the report says of them."""
    pairs = len(work.data.items) - np.diff(asked.indptr)
    return {"less": less, "equal": equal, "auc": np.mean(less / pairs), "ties": equal.sum()}


def test_auc(scorer: Scorer, work: Work) -> float:
    """Test AUC of what was learned: strict ties, mean over the users with a test item."""
    values, _, _ = count(scorer, questions(work.data, "test"), item_classes(work.data.train_counts)).auc()
    return float(values.mean())
