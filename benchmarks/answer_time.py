"""How long an answer takes: `recommend` for one user from a warm process and from the command line.

    python benchmarks/answer_time.py --items 100000 1400000 --attributes 400

A random I-VBPR model of that size (K = D = 10, one-hot attributes as float16) is written as a user would have
it, features and model file; then each way of asking is timed several times.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ivbpr_numba import Dataset, Features, load
from ivbpr_numba.datasets.interactions import Interactions
from ivbpr_numba.features.alignment import Scaling
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.features.writing import write_features
from ivbpr_numba.fitted.fitted import Fitted
from ivbpr_numba.ids import Ids
from ivbpr_numba.models import VBPR
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.parameters import VisualParameters

USERS, OWNED = 1000, 20
K = D = 10
SCRIPT = Path(sys.executable).with_name("ivbpr")


def build(folder: Path, n_items: int, n_attributes: int) -> None:
    """Write f.h5 and m.h5."""
    rng = np.random.default_rng(0)
    items = Ids(np.array([f"p{i:08}".encode() for i in range(n_items)]), "item")
    groups = [
        Group(f"g{k}", k * 40, min(40, n_attributes - k * 40), True) for k in range(-(-n_attributes // 40))
    ]
    names = [f"{g.name}=v{c}" for g in groups for c in range(g.size)]

    def blocks():
        for start in range(0, n_items, 10_000):
            block = np.zeros((min(10_000, n_items - start), n_attributes), np.float16)
            for g in groups:
                block[np.arange(len(block)), g.offset + rng.integers(0, g.size, len(block))] = 1
            yield block

    shape = (n_items, n_attributes)
    write_features(folder / "f.h5", items, names, groups, "attributes", 1.0, blocks(), "float16", shape)
    features = Features.read(folder / "f.h5")
    model = random_model(features, np.full(n_attributes, 1 / 40, np.float32), rng)
    model.scorer(features)  # so that the projections are kept, as after a fit
    model.save(folder / "m.h5")


def random_model(features: Features, mean: np.ndarray, rng: np.random.Generator) -> VBPR:
    """An I-VBPR of random parameters for items with these features, `mean` (F,) being their mean."""
    n_items, n_attributes = features.shape
    users = Ids(np.array([f"u{u:06}".encode() for u in range(USERS)]), "user")

    def part(size: int) -> Interactions:
        rows = [np.sort(rng.choice(n_items, size, replace=False)).astype(np.int32) for _ in range(USERS)]
        return Interactions(
            np.arange(USERS + 1) * size, np.concatenate(rows), np.zeros(USERS * size, np.int64)
        )

    scaling = Scaling(np.zeros(n_attributes, np.float32), np.ones(n_attributes, np.float32), mean)
    shapes = ((n_items,), (USERS, K), (n_items, K), (USERS, D), (D, n_attributes), (n_attributes,))
    arrays = (rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes)
    fitted = Fitted.sealed(
        name="i-vbpr",
        data=Dataset(users, features.items, part(OWNED), part(1), part(1)),
        parameters=VisualParameters(*arrays),
        config=resolve("i-vbpr", None, {"factors": K, "visual_factors": D}, "attributes"),
        features=FeatureRecord.of(features, scaling),
        history=[],
        metrics={},
        provenance={},
    )
    return VBPR(kind="attributes").adopt(fitted)


def timed(what: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median and largest of several calls in seconds, after one that isn't counted."""
    what()
    spent = []
    for _ in range(rounds):
        begun = time.perf_counter()
        what()
        spent.append(time.perf_counter() - begun)
    return float(np.median(spent)), max(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[100_000])
    parser.add_argument("--attributes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    print(f"{'items':>10}  {'question':58}{'median':>9}{'largest':>9}  seconds")
    for n_items in chosen.items:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            build(folder, n_items, chosen.attributes)
            begun = time.perf_counter()
            model = load(folder / "m.h5")
            loading = time.perf_counter() - begun
            users = iter(np.random.default_rng(1).permutation(USERS).tolist())

            def ask(reasons: bool, model: object = model, users: object = users) -> object:
                return model.recommend(f"u{next(users):06}", 10, reasons=reasons)

            command = [str(SCRIPT), "recommend", str(folder / "m.h5"), "u000007", "-n", "10"]

            def run(*more: str, command: list[str] = command) -> None:
                subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)

            rows = [
                ("warm process, scores only", timed(lambda: ask(False), chosen.rounds)),
                ("warm process, with reasons", timed(lambda: ask(True), chosen.rounds)),
                ("command line, whole process", timed(run, max(3, chosen.rounds // 2))),
                ("command line, --explain", timed(lambda: run("--explain"), max(3, chosen.rounds // 2))),
            ]
            print(f"{n_items:10,}  {'load the model file (once)':58}{loading:9.4f}")
            for question, (median, largest) in rows:
                print(f"{n_items:10,}  {question:58}{median:9.4f}{largest:9.4f}")
            size = sum(path.stat().st_size for path in folder.iterdir()) / 1e9
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{n_items:10,}  files {size:.2f} GB, peak memory of the command {peak:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
