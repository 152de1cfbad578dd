"""The whole way on a small generated world: photos, files, fits, and every model's AUC beside the truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.errors import UsageError, did_you_mean
from ivbpr_numba.events import Observer
from ivbpr_numba.features.features import Features
from ivbpr_numba.features.layout import Group
from ivbpr_numba.features.tables import build_feature_table
from ivbpr_numba.features.writing import write_features
from ivbpr_numba.models import create
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.format import FEATURES
from ivbpr_numba.network.shipped import shipped_network
from ivbpr_numba.questions.auc import truth_auc
from ivbpr_numba.report import Outcome, tell, write_page
from ivbpr_numba.store.atomic import write_bytes
from ivbpr_numba.worlds.catalogue import TAGS
from ivbpr_numba.worlds.pictures import write_pictures
from ivbpr_numba.worlds.world import generate

__all__ = ["DEMO_MODELS", "DEMO_SIZES", "check_size", "run_demo"]

BLACK_BOX_COLUMNS = 128
TIMELESS = ("rand", "pop", "mm-mf", "bpr-mf", "vbpr", "i-vbpr")
DEMO_MODELS = {"demo": TIMELESS, "tiny": TIMELESS, "drift": (*TIMELESS, "tvbpr", "i-tvbpr")}
DEMO_SIZES = tuple(DEMO_MODELS)


def run_demo(
    folder: str | os.PathLike[str], seed: int = 0, progress: Observer | None = None, size: str = "demo"
) -> dict[str, Any]:
    """Generate, draw, look, prepare, fit, judge, write a page about it; every file stays in `folder`.

    The models with features know the products from drawn photos alone: a small network that comes with the
    package, trained on another world, turns them into probabilities of attributes and into nameless features.

    Parameters
    ----------
    folder : path
        Must exist.
    seed : int
        Of the world and of every fit.
    progress : callable, optional
        Called with ``{"step": …}`` and with the events of the fits.
    size : str
        World: ``demo`` (2,000 shoppers and 3,000 products), ``tiny`` (200 and 300) or ``drift`` (6,000 and
        3,000, three epochs of style), which also has the models in time.

    Returns
    -------
    dict
        ``world`` (sizes), ``photos`` (``items`` and, by group, the network's ``accuracy``), ``models`` (rows
        ``model all all_stderr cold cold_stderr of_the_way seconds``, the truth first), ``features`` (what f
        is for the visual models), ``change`` (planted and learned ``cuts`` and the ``correlation`` of styles;
        None without models in time), ``shopper`` (the user whose list the page steers) and ``files``.
        ``of_the_way``: how much of the AUC between chance (0.5) and the truth the model reaches. Beside
        models in time the truth knows the time too, and a row ``truth without time`` follows it.

    Raises
    ------
    UsageError
        Another size.
    """
    check_size(size)
    step = progress or (lambda event: None)
    directory = Path(folder)
    step({"step": "generating a world"})
    world = generate(size, seed)
    files = {name: str(path) for name, path in world.write(directory).items()}
    files |= {
        "attributes": str(directory / "attributes.h5"),
        "photo_attributes": str(directory / "photo-attributes.h5"),
        "photo_features": str(directory / "photo-features.h5"),
        "black_box": str(directory / "black-box.h5"),
        "dataset": str(directory / "dataset.h5"),
    }
    step({"step": "drawing photos"})
    for photo in (directory / "images").glob("*.jpg"):
        photo.unlink()  # of an earlier demo of another size: it would be looked at too
    images = write_pictures(
        world, directory / "images", lambda done, total: step({"done": done, "total": total})
    )
    files["images"] = str(images)
    network = Network.read(shipped_network())
    files["network"] = str(directory / "world.onnx")
    write_bytes(files["network"], Path(network.path).read_bytes())
    # Always on the CPU, so that the same seed gives the same files on every machine of one type.
    for out, output in ((files["photo_attributes"], None), (files["photo_features"], FEATURES)):
        extract(images, network.path, out, output, device="cpu", overwrite=True, progress=step)
    step({"step": "making features"})
    _write_main_directions(files["photo_features"], files["black_box"])
    build_feature_table(
        files["catalogue"],
        id_column="id",
        columns=[name for name, _ in world.size.groups],
        tags=[TAGS],
        out=files["attributes"],
    )
    step({"step": "preparing the dataset"})
    data = prepare(
        files["purchases"],
        features=[files["photo_attributes"], files["black_box"]],
        catalogue=files["catalogue"],
        catalogue_id="id",
        title="title",
        keep=[name for name, _ in world.size.groups],
        seed=seed,
    )
    data.write(files["dataset"])
    dense, attributes = Features.read(files["black_box"]), Features.read(files["photo_attributes"])
    features = {"vbpr": dense, "i-vbpr": attributes, "tvbpr": dense, "i-tvbpr": attributes}
    in_time = "i-tvbpr" in DEMO_MODELS[size]
    known = {split: truth_auc(world.truth, data, split) for split in ("test", "valid")}
    truth = {split: report["with_time" if in_time else "without_time"] for split, report in known.items()}
    timeless = known["test"]["without_time"] if in_time else None
    models = {}
    for name in DEMO_MODELS[size]:
        step({"step": f"fitting {name}"})
        model = create(name, **({} if name == "pop" else {"seed": seed}))
        files[name] = str(directory / f"{name}.h5")
        model.fit(data, features.get(name), observers=[step], out=files[name], overwrite=True)
        models[name] = model
    step({"step": "writing the report"})
    files["report"] = str(directory / "report.html")
    digests = {
        "dataset.h5": data.payload_sha256,
        "photo-attributes.h5": attributes.payload_sha256,
        "black-box.h5": dense.payload_sha256,
        **{f"{name}.h5": model.payload_sha256_ for name, model in models.items()},
    }
    outcome = Outcome(world, data, truth, models, attributes, network, images, digests, timeless)
    story = tell(outcome)
    write_page(story, files["report"])
    change = story["change"]
    rows = [_row("truth", truth["test"], truth["test"], None)]
    if timeless:
        rows.append(_row("truth without time", timeless, truth["test"], None))
    for name, model in models.items():
        seconds = model.history_[-1]["seconds"] if model.history_ else None
        rows.append(_row(name, story["by_name"][name], truth["test"], seconds))
    return {
        "world": {
            "size": world.size.name,
            "seed": seed,
            "users": len(data.users),
            "items": len(data.items),
            "interactions": len(data.train) + len(data.valid) + len(data.test),
            "attributes": len(world.attributes.names),
        },
        "photos": {
            "items": story["photos"]["items"],
            "accuracy": {group["name"]: group["accuracy"] for group in story["photos"]["groups"]},
        },
        "models": rows,
        "features": {
            "vbpr": f"{dense.shape[1]} nameless features of the photos, from inside that network",
            "i-vbpr": f"{len(attributes.names)} attributes by name, as probable as the network holds them",
            **{name: f"what {name.replace('tv', 'v')} sees, and time" for name in models if "tvbpr" in name},
        },
        "change": change and {key: change[key] for key in ("cuts", "others", "correlation")},
        "shopper": story["why"]["user"],
        "files": files,
    }


def check_size(size: str) -> None:
    """Refuse a size that the demo does not have."""
    if size not in DEMO_SIZES:
        hint = did_you_mean(size, DEMO_SIZES) or f"Use {', '.join(DEMO_SIZES[:-1])} or {DEMO_SIZES[-1]}."
        raise UsageError(f"There is no demo of size '{size}'.", hint)


def _row(name: str, found: dict[str, Any], truth: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name}
    for setting in ("all", "cold"):
        row[setting], row[f"{setting}_stderr"] = found[setting]["auc"], found[setting]["stderr"]
    row["of_the_way"] = (found["all"]["auc"] - 0.5) / (truth["all"]["auc"] - 0.5)
    row["seconds"] = seconds
    return row


def _write_main_directions(source: str, out: str) -> None:
    """Nameless features for the models without names: the principal components of what the network holds.

    Its hundreds of numbers repeat each other, and the least of what is in them concerns the products; the
    main directions say the same in fewer columns. Rounding to half precision hides how BLAS shares sums.
    """
    features = Features.read(source)
    values = features.values(np.arange(len(features))).astype(np.float64)
    spread = values.std(axis=0)
    values = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    directions = np.linalg.eigh(values.T @ values)[1][:, ::-1][:, :BLACK_BOX_COLUMNS]
    # An eigenvector has no sign of its own.
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    # Kept as float32 all the same, like the probabilities, so that one compiled kernel serves both.
    found = (values @ directions).astype(np.float16).astype(np.float32)
    n = found.shape[1]
    write_features(
        out,
        features.items,
        [f"direction {k + 1}" for k in range(n)],
        [Group("black-box", 0, n, exclusive=False)],
        "dense",
        1.0,
        [found],
        found.dtype,
        found.shape,
        source={"command": "demo", "features": os.path.basename(source), "principal components": n},
    )
