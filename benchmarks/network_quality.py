"""Attribute networks on photos that nobody trained with: every network, the most frequent value, and a
logistic regression on dense features; paired differences over families of items.

    python benchmarks/network_quality.py --images images.tar.gz --labels articles.csv --id article_id \\
        --groups product_type_name,colour_group_name --family 7 \\
        --dense features.npy --ids features.ids.txt --network tuned=tuned.onnx --network frozen=frozen.onnx

The split is `ivbpr network train`'s: a network must have been trained with the same `--seed`, shares, family
and `--min-images`. The regression (scikit-learn; multinomial, standardised features, l2) trains on the same
items; its C is chosen by the accuracy on the validation part, group by group. Families are the first so many
characters of an id; all groups of a family are drawn together.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba.features.features import Features
from ivbpr_numba.ids import encode_ids
from ivbpr_numba.judging.assessment import assess, columns_of, right_answers
from ivbpr_numba.judging.evaluating import evaluate
from ivbpr_numba.judging.paired import paired_bootstrap, paired_bootstrap_ap
from ivbpr_numba.network.file import Network
from ivbpr_numba.photos.pictures import Pictures
from ivbpr_numba.training.labels import Labels
from ivbpr_numba.training.task import Task, make_task

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)
FIGURES = ("accuracy", "mean_ap", "calibration_error", "log_loss")
TITLES = {
    "accuracy": "accuracy",
    "mean_ap": "mean average precision",
    "calibration_error": "calibration error",
}
TITLES["log_loss"] = "log loss"


@dataclass(frozen=True)
class Exam:
    """The items of the test part, and those that train and choose; only items with dense features."""

    task: Task
    dense: np.ndarray  # a row an item of the task
    covered: np.ndarray

    def rows(self, part: int) -> np.ndarray:
        """Rows of the task's items in a part."""
        return np.flatnonzero((self.task.part == part) & self.covered)

    @property
    def test(self) -> Labels:
        return self.task.labels.take(self.rows(2))

    @property
    def training(self) -> Labels:
        return self.task.labels.take(self.rows(0))


def majority(exam: Exam) -> np.ndarray:
    """The shares of the training labels, alike for every item."""
    shares = []
    for number, (group, _) in enumerate(columns_of(exam.test.vocabulary)):
        values = exam.training.values[number]
        if group.exclusive:
            count = np.bincount(values[values >= 0], minlength=len(group.values)).astype(float)
            shares.append(count / count.sum())
        else:
            known = np.maximum((values >= 0).sum(axis=0), 1)
            shares.append((values == 1).sum(axis=0) / known)
    return np.tile(np.concatenate(shares), (len(exam.test), 1))


def regression(exam: Exam) -> np.ndarray:
    """Logistic regressions on the dense features, one a group (or a tag)."""
    from sklearn.preprocessing import StandardScaler

    train, valid, test = (exam.rows(part) for part in range(3))
    values = StandardScaler().fit(exam.dense[train]).transform(exam.dense)
    found = np.zeros((len(test), exam.test.vocabulary.size))
    for number, (group, columns) in enumerate(columns_of(exam.test.vocabulary)):
        labels = exam.task.labels.values[number]
        targets = [labels] if group.exclusive else list(labels.T)
        for k, target in enumerate(targets):
            place = columns if group.exclusive else slice(columns.start + k, columns.start + k + 1)
            begun = time.perf_counter()
            chances, chosen = _regression(values, target, train, valid, test, place.stop - place.start)
            found[:, place] = chances
            print(f"  {group.name}: C {chosen}, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return found


def _regression(
    values: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    valid: np.ndarray,
    test: np.ndarray,
    size: int,
) -> tuple[np.ndarray, float]:
    """Probabilities (test, size), of the value 1 where size is 1 and of each value else; and the C."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    train, valid = train[target[train] >= 0], valid[target[valid] >= 0]
    best: tuple[float, float, Any] = (-1.0, 0.0, None)
    model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
    for strength in STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(C=strength).fit(values[train], target[train])
        right = float(np.mean(model.predict(values[valid]) == target[valid]))
        if right > best[0]:
            best = (right, strength, (model.classes_.copy(), model.predict_proba(values[test])))
    classes, chances = best[2]
    if size == 1:
        return chances[:, classes.tolist().index(1)][:, None], best[1]
    found = np.zeros((len(test), size))
    found[:, classes] = chances
    return found, best[1]


def network(exam: Exam, path: Path, labels: Path, options: Mapping[str, Any]) -> np.ndarray:
    """What a network says of the test part."""
    own = Network.read(path)
    recorded = own.record.get("split")
    if recorded != exam.task.split:
        raise SystemExit(f"{path} was trained with the split {recorded}, not {exam.task.split}.")
    judged = evaluate(own, labels, images=exam.task.pictures, split="test", **options)
    rows = judged.labels.items.find(exam.test.items.values)
    place = {name: k for k, name in enumerate(judged.labels.vocabulary.names)}
    found = np.zeros((len(rows), exam.test.vocabulary.size), dtype=np.float32)
    for k, name in enumerate(exam.test.vocabulary.names):
        if name in place:  # of a value that it wasn't taught it says nothing
            found[:, k] = judged.probabilities[rows, place[name]]
    return found


def table(found: Mapping[str, dict[str, Any]], groups: Sequence[str]) -> str:
    """A block for each figure: groups by contenders, and the means."""
    wide = max([13, *(len(name) + 2 for name in found)])
    lines = []
    for figure in FIGURES:
        lines.append(f"{TITLES[figure]:32}" + "".join(f"{name:>{wide}}" for name in found))
        rows = [(group, [judged["groups"][group][figure] for judged in found.values()]) for group in groups]
        rows.append(("mean over groups", [_mean(judged, figure) for judged in found.values()]))
        if figure == "mean_ap":
            rows.append(("mean over values", [judged["mean_ap_of_values"] for judged in found.values()]))
        for name, cells in rows:
            lines.append(f"  {name:30}" + "".join(f"{_cell(cell):>{wide}}" for cell in cells))
    return "\n".join(lines)


def _mean(judged: dict[str, Any], figure: str) -> float | None:
    known = [group[figure] for group in judged["groups"].values() if group[figure] is not None]
    return float(np.mean(known)) if known else None


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def differences(
    exam: Exam, said: Mapping[str, np.ndarray], family: int | None, resamples: int
) -> list[dict[str, Any]]:
    """Every pair of contenders: mean accuracy and mean average precision over values."""
    test = exam.test
    families = np.array([item[:family] for item in test.items.texts()])
    right = {name: right_answers(values, test, test.vocabulary) for name, values in said.items()}
    rows = []
    for b, a in combinations(said, 2):
        accuracy = paired_bootstrap(right[a], right[b], families, resamples)
        precision = paired_bootstrap_ap(said[a], said[b], test, test.vocabulary, families, resamples)
        rows.append({"a": a, "b": b, "mean accuracy": accuracy, "mean ap": precision})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--groups", default="", help="columns with commas")
    parser.add_argument("--tags", nargs="*", default=[])
    parser.add_argument("--min-images", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--valid-share", type=float, default=0.1)
    parser.add_argument("--test-share", type=float, default=0.2)
    parser.add_argument("--family", type=int)
    parser.add_argument("--dense", type=Path, help=".npy, a row an item")
    parser.add_argument("--ids", type=Path, help="the items of --dense, one a line")
    parser.add_argument("--network", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--features", action="append", default=[], metavar="NAME=FILE", help="of attributes")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="folder: the regression is kept here and used again")
    parser.add_argument("--json", type=Path, help="everything that was found")
    chosen = parser.parse_args()
    columns = {"groups": [name for name in chosen.groups.split(",") if name], "tags": chosen.tags}
    with Pictures.open(chosen.images) as pictures:
        task = make_task(
            pictures,
            chosen.labels,
            id_column=chosen.id,
            min_images=chosen.min_images,
            seed=chosen.seed,
            valid_share=chosen.valid_share,
            test_share=chosen.test_share,
            family=chosen.family,
            **columns,
        )
        dense, covered = np.zeros((len(task.labels), 0)), np.ones(len(task.labels), dtype=bool)
        if chosen.dense is not None:
            ids = encode_ids(chosen.ids.read_text().split())
            order = np.argsort(ids)
            place = np.searchsorted(ids[order], task.labels.items.values).clip(max=len(ids) - 1)
            covered = ids[order][place] == task.labels.items.values
            dense = np.load(chosen.dense, mmap_mode="r")[order[place]].astype(np.float32)
        exam = Exam(task, dense, covered)
        sizes = " · ".join(f"{len(exam.rows(k)):,}" for k in range(3))
        print(f"{len(task.labels):,} items with photo and label; train, valid, test with features: {sizes}")
        said = {"most frequent": majority(exam)}
        if chosen.dense is not None:
            kept = chosen.keep / "regression.npy" if chosen.keep is not None else None
            if kept is not None and kept.exists():
                said["regression"] = np.load(kept)
            else:
                said["regression"] = regression(exam)
                if kept is not None:
                    np.save(kept, said["regression"])
        for text in chosen.network:
            name, _, path = text.partition("=")
            begun = time.perf_counter()
            said[name] = network(exam, Path(path), chosen.labels, {"id_column": chosen.id, **columns})
            print(f"  {name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        for text in chosen.features:
            name, _, path = text.partition("=")
            read = Features.read(path)
            order = [read.column(column) for column in exam.test.vocabulary.names]
            said[name] = read.values(read.rows_of_all(exam.test.items))[:, order]
    test = exam.test
    found = {name: assess(values, test, test.vocabulary, exam.training) for name, values in said.items()}
    print(table(found, [group.name for group in test.vocabulary.groups]))
    rows = differences(exam, said, chosen.family, chosen.resamples)
    print(f"paired over {rows[0]['mean accuracy']['families']:,} families; 95 % intervals in brackets")
    for row in rows:
        cells = [
            f"{key} {row[key]['difference']:+.4f} [{row[key]['low']:+.4f}, {row[key]['high']:+.4f}]"
            for key in ("mean accuracy", "mean ap")
        ]
        print(f"  {row['a']} − {row['b']}: {'; '.join(cells)}")
    if chosen.json is not None:
        document = {"split": task.split, "report": task.report, "assessments": found, "differences": rows}
        chosen.json.write_text(json.dumps(document, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
