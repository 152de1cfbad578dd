"""Everything that calls a kernel, on small data: every model, every stored type, questions, files, a world.

    python tests/everything.py FOLDER             # do it all
    python tests/everything.py FOLDER --compiled  # after a warm-up; FOLDER/compiled.json says what was compiled for new types

Run as a program by `tests/models/test_warmup.py`, because a process compiles a kernel only once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from small_models import ATTRIBUTES, DATA, DENSE, ONE_HOT

from ivbpr_cli.app import run as command
from ivbpr_numba import Dataset, Features, Session, backends, create, load
from ivbpr_numba.models import triples
from ivbpr_numba.models.warmup import warmup
from ivbpr_numba.questions.auc import auc, auc_of_scores
from ivbpr_numba.questions.new_item import NewItem
from ivbpr_numba.questions.trends import trends
from ivbpr_numba.worlds.world import generate

FEATURES: dict[str, list[Features]] = {
    name: [DENSE, *(Features.from_arrays(DATA.items, ONE_HOT.astype(t)) for t in (np.float32, np.uint8))]
    for name in ("vbpr", "tvbpr")
} | {
    name: [
        Features.from_arrays(DATA.items, ONE_HOT.astype(t), ATTRIBUTES.names, kind="attributes")
        for t in (np.float16, np.float32, np.uint8)
    ]
    for name in ("i-vbpr", "i-tvbpr")
}


def fits(folder: Path) -> None:
    """Fit every model in every way, and ask it everything, also as read from its file."""
    for name in ("rand", "pop", "mm-mf", "bpr-mf", *FEATURES):
        ways: list[dict[str, Any]] = [{}]
        if name not in ("rand", "pop"):
            ways = [{"update": "ordered"}, {"update": "hogwild"}, {"negatives": "popularity", "factors": 20}]
        if "tvbpr" in name:
            ways = [{"epochs": 2, "bins": 5}, {"segment_on": "valid", "item_drift": True, "epochs": 3}]
            ways = [{**way, "segment_every": 1} for way in ways]
        for n, features in enumerate(FEATURES.get(name, [None])):
            path = None if features is None else folder / f"{name}-{n}-features.h5"
            if features is not None:
                features.write(path)
                features = Features.read(path)
            for way in ways:
                options = {"iterations": 2, **way} if name not in ("rand", "pop") else {}
                out = folder / f"{name}.h5"
                model = create(name, **options).fit(DATA, features, out=out, overwrite=True)
                for one in (model, load(out)):
                    ask(one)
            if name != "rand":
                later = DATA.with_pairs(["new", "u000"], DATA.items[:2], [1_600_000_000] * 2)
                model.partial_fit(later)


def large() -> None:
    """What is done with large data, on small."""
    with patch.multiple(triples, LARGE=1, LEAST_ITEMS=1):
        for way in ({}, {"negatives": "uniform"}, {"negatives": "popularity", "factors": 20}):
            create("bpr-mf", iterations=2, **way).fit(DATA)


def ask(model: Any) -> None:
    """Every question of a model."""
    user, item = DATA.users.texts()[0], DATA.items.texts()[0]
    auc(model)
    model.scores([user])
    model.recommend(user, 3)
    list(model.recommend(user, 3, exclude=()))
    if model.name != "rand":
        model.fold_in([item])
    if model.name not in ("rand", "pop"):
        model.similar(item, 3)
        model.explain(user, item)
    if model.features_ is not None:
        values = model.find_features().values(np.array([0]))[0]
        NewItem(model, values).ranks(np.arange(3))
        session = Session(model, user).boost(model.features_.names[0]).toward(item)
        session.recommend(3)
        session.recommend(3, because=model.features_.names[0])
        if model.features_.kind == "attributes":
            session.by("knn").recommend(3)
    if "tvbpr" in model.name and model.features_.kind == "attributes":
        trends(model)


def files(folder: Path) -> None:
    """Prepare, recommend for all and judge scores by the command line, whose ids go through the id table."""
    rng = np.random.default_rng(0)
    rows = [f"u{u},i{i},{1_500_000_000 + n}" for n, (u, i) in enumerate(rng.integers(0, 400, (9000, 2)))]
    (folder / "bought.csv").write_text("\n".join(["user,item,time", *rows]))
    columns = ("--user", "user", "--item", "item", "--time", "time")
    for line in (
        ("prepare", folder / "bought.csv", *columns, "-o", folder / "data.h5"),
        ("fit", folder / "data.h5", "--model", "bpr-mf", "--iterations", "2", "-o", folder / "model.h5"),
        ("recommend", folder / "model.h5", "--all-users", "-n", "2", "-o", folder / "best.csv"),
        ("auc", folder / "model.h5"),
        ("similar", folder / "model.h5", "i1"),
        ("doctor",),
    ):
        assert command([str(word) for word in (*line, "--quiet")]) == 0, line
    data = Dataset.read(folder / "data.h5")
    for dtype in (np.float32, np.float64, np.int64):
        auc_of_scores(np.ones((len(data.users), len(data.items)), dtype), data)


def main() -> None:
    folder = Path(sys.argv[1])
    compiled = "--compiled" in sys.argv
    if compiled:
        warmup()
    before = signatures()
    fits(folder)
    large()
    files(folder)
    generate("tiny", users=3)
    after = signatures()
    new = {name: [str(s) for s in after[name] if s not in before[name]] for name in after}
    found = {"cold": [n for n in before if not before[n]], "new": {n: s for n, s in new.items() if s}}
    (folder / "compiled.json").write_text(json.dumps(found))


def signatures() -> dict[str, list[Any]]:
    """For which types each kernel is compiled in this process."""
    kernels = backends.kernels()
    return {
        name: list(getattr(kernels, name).signatures) for names in backends.KERNELS.values() for name in names
    }


if __name__ == "__main__":
    main()
