"""MyMediaLite: its files, its program where that is on the PATH, the line that it prints, and its protocol.

MyMediaLite judges otherwise than we do. Its candidates are the union of the training and the test items;
of a user only the training items are removed, so that his validation item counts as one he doesn't want; ties
come in random order; items that it never saw in training are not ranked and come last, where a test item
among them wins against nobody. `auc` here computes the same of any scores, with half of a tie instead of a
drawn order: the mean over the orders.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.peers.interface import Learned, Options
from benchmarks.registry import Missing
from ivbpr_numba import Dataset
from ivbpr_numba.datasets.interactions import Interactions

__all__ = ["PROGRAM", "MyMediaLite", "auc", "parse", "run"]

PROGRAM = "item_recommendation"
NUMBER = re.compile(r"(?<!\S)([A-Za-z_@0-9]+) (\d+(?:\.\d+)?(?:E-?\d+)?)(?!\S)")
TIME = re.compile(r"(?<!\S)(training_time|testing_time) (?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")


class MyMediaLite:
    """See `Peer`."""

    name = "MyMediaLite"

    def version(self) -> str:
        """What the program says of itself; its first line."""
        said = _call(_program(), "--version").strip()
        return said.splitlines()[0] if said else "unknown"

    def learn(self, data: Dataset, options: Options) -> Learned:
        """One thread, whatever `options.threads` says; its time holds all iterations."""
        found = run(data, "BPRMF", settings(options), options.seed)
        seconds = found["training_time"]
        triples = len(data.train) * options.iterations
        return Learned(triples, seconds, seconds, auc=found["AUC"])


def settings(options: Options) -> dict[str, float]:
    """Options of BPRMF: negative items decay a tenth as much, biases not at all, as ours do in its preset."""
    return {
        "num_factors": options.factors,
        "learn_rate": options.rate,
        "reg_u": options.decay,
        "reg_i": options.decay,
        "reg_j": options.decay / 10,
        "bias_reg": 0,
        "num_iter": options.iterations,
    }


def run(data: Dataset, recommender: str, options: dict[str, float], seed: int = 0) -> dict[str, float]:
    """What `item_recommendation` prints about a dataset, by name; times in seconds.

    Raises
    ------
    Missing
        The program is not on the PATH.
    """
    program = _program()
    # It keeps binary copies beside its inputs and never checks their age: a fresh folder each time.
    with tempfile.TemporaryDirectory() as folder:
        files = {part: Path(folder) / f"{part}.tsv" for part in ("train", "test")}
        for part, path in files.items():
            write(getattr(data, part), path)
        said = " ".join(f"{name}={value:g}" for name, value in options.items())
        return parse(
            _call(
                program,
                f"--training-file={files['train']}",
                f"--test-file={files['test']}",
                f"--recommender={recommender}",
                f"--recommender-options={said}",
                f"--random-seed={seed}",
            )
        )


def write(part: Interactions, path: Path) -> None:
    """One line a pair, user and item by their rows, with a tab between."""
    np.savetxt(path, np.column_stack([part.users, part.indices]), fmt="%d", delimiter="\t")


def parse(said: str) -> dict[str, float]:
    """The line with the AUC, as numbers by name.

    Raises
    ------
    ValueError
        There is no such line, or it has no training time.
    """
    lines = [line for line in said.splitlines() if re.search(r"(?<!\S)AUC \d", line)]
    if not lines:
        raise ValueError(f"{PROGRAM} printed no line with an AUC: {said[-500:]!r}")
    found = {name: float(value) for name, value in NUMBER.findall(lines[-1])}
    for name, days, hours, minutes, seconds in TIME.findall(said):
        found[name] = 86400 * int(days or 0) + 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if "training_time" not in found:
        raise ValueError(f"{PROGRAM} printed no training time: {lines[-1]!r}")
    return found


def auc(rows: Callable[[np.ndarray], np.ndarray], data: Dataset) -> float:
    """The AUC by MyMediaLite's protocol: mean over the users with a test item.

    Parameters
    ----------
    rows : callable
        From user rows (n,) to scores (n, I).
    data : Dataset
    """
    trained = data.train_counts > 0
    candidates = trained | (np.bincount(data.test.indices, minlength=len(data.items)) > 0)
    users, targets, values = data.test.users, data.test.indices, []
    for user, target in zip(users, targets):
        own = data.train.indices[data.train.indptr[user] : data.train.indptr[user + 1]]
        asked = candidates.copy()
        asked[own] = False
        others = asked.copy()
        others[target] = False
        if not others.any():
            continue
        if not trained[target]:
            values.append(0.0)
            continue
        scores = rows(np.array([user]))[0]
        ranked = scores[others & trained]
        below = np.count_nonzero(ranked < scores[target]) + np.count_nonzero(ranked == scores[target]) / 2
        values.append((below + np.count_nonzero(others & ~trained)) / np.count_nonzero(others))
    return float(np.mean(values))


def _program() -> str:
    found = shutil.which(PROGRAM)
    if found is None:
        raise Missing(f"'{PROGRAM}' is not on the PATH; compared with what was recorded")
    return found


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(
            f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-500:]}"
        )
    return done.stdout
