"""Our implementations, as users meet them.

A fit is timed by its own log: the triples_per_second of its evaluation rows, without the first; its CPU
seconds are those of the iterations that no validation follows. For the AUC the seconds of the report count,
which hold the AUC baseline of every report as well, or the counting alone.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inputs import Work
from benchmarks.registry import Implementation, Run
from benchmarks.timing import counted, pairs_of, test_auc, timed
from ivbpr_numba import create
from ivbpr_numba.backends import threads as using
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.temporal_learner import TemporalLearner
from ivbpr_numba.questions.auc import judge
from ivbpr_numba.ranking import count, item_classes, questions, top

__all__ = ["auc_count", "auc_report", "best_items", "fit", "segmentation"]

SEGMENT_NEGATIVES = 1000


@cache
def fit(model: str, update: str = "ordered", **more: Any) -> Implementation:
    """Fits of a model, timed by their own log.

    Parameters
    ----------
    model : str
        As on the command line.
    update : str
    **more
        Other options of the model.
    """

    def run(work: Work, threads: int) -> Run:
        options = work.options() | {"update": update, "threads": threads} | more
        features = None
        if model.endswith("mf"):
            for name in VISUAL_OPTIONS:
                options.pop(name, None)
        else:
            features = work.features("attributes" if model.startswith("i-") else "dense")
        if model.endswith("tvbpr"):
            del options["update"]
            options["epochs"] = work.size.epochs
        return _timed_by_its_log(work, create(model, **options), features)

    return run


VISUAL_OPTIONS = ("visual_factors", "visual_rate", "block", "lambda_visual", "reg_scope", "feature_scaling")


def _timed_by_its_log(work: Work, model: Any, features: Any) -> Run:
    marks: list[tuple[str, float]] = []

    def mark(event: Mapping[str, Any]) -> None:
        marks.append((event["event"], time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        model.fit(work.data, features, observers=[mark], log=log)
        rows = [json.loads(line) for line in log.read_text().splitlines()][1:]
    before = [0, *(row["triples"] for row in rows)]
    windows = [(after["triples"] - b, after["triples_per_second"]) for b, after in zip(before, rows)]
    windows = windows[1:] or windows
    per_iteration = rows[-1]["triples"] / rows[-1]["iteration"]
    # Between two of these events lies one iteration; before an evaluation there is a validation too. A fit
    # that validates after every iteration has no other.
    each = [(kind, b - a) for (_, a), (kind, b) in pairwise(marks)]
    steps = [seconds for kind, seconds in each[1:] if kind == "iteration"] or [s for _, s in each]
    return Run(
        sum(amount for amount, _ in windows),
        sum(amount / rate for amount, rate in windows),
        per_iteration * len(steps),
        sum(steps),
        dict(model.parameters_.arrays()),
        test_auc(model.scorer(), work),
    )


def segmentation(work: Work, threads: int) -> Run:
    """Likelihoods that epochs are chosen by: every event against 1,000 negatives in every epoch."""
    options = work.options() | {"epochs": work.size.epochs, "segment_negatives": SEGMENT_NEGATIVES}
    del options["sampling"]
    with using(threads):
        learner = TemporalLearner(resolve("tvbpr", None, options, "dense"), work.data, *work.aligned())
        learner.likelihoods(1)
        amount = len(learner.events[0]) * SEGMENT_NEGATIVES * work.size.epochs
        return timed(amount, lambda: {"table": learner.likelihoods(2)})


def auc_report(work: Work, threads: int) -> Run:
    """The whole report, as `auc` and the command make it."""
    cpu = time.process_time()
    with using(threads):
        report = judge("vectors", lambda: work.vectors, work.data)
    cpu = time.process_time() - cpu
    pairs = pairs_of(work)
    result = {"auc": np.array(report["all"]["auc"]), "ties": np.array(report["all"]["tied_pairs"])}
    return Run(pairs, report["seconds"], pairs, cpu, result)


def auc_count(work: Work, threads: int) -> Run:
    """The counts alone, without baselines and means."""
    asked, classes = questions(work.data, "test"), item_classes(work.data.train_counts)

    def counts() -> dict[str, np.ndarray]:
        found = count(work.vectors, asked, classes)
        return counted(work, asked, found.less.sum(axis=1), found.equal.sum(axis=1))

    with using(threads):
        return timed(pairs_of(work), counts)


def best_items(work: Work, threads: int) -> Run:
    """Ten best items of every user, without those of the training part."""
    train, everything = work.data.train, np.ones(work.size.items, bool)
    users = questions(work.data, "test").users

    def best() -> dict[str, np.ndarray]:
        found, scores = top(work.vectors, users, 10, (train.indptr, train.indices), everything)
        return {"items": np.array(found), "scores": np.array(scores)}

    with using(threads):
        return timed(len(users) * work.size.items, best)
