"""The whole way on a small generated world: files, fits, and the AUC of every model beside the truth."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.datasets.feature_import import import_features
from ivbpr_numba.datasets.feature_tables import build_feature_table
from ivbpr_numba.datasets.features import Features
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.datasets.world import generate
from ivbpr_numba.datasets.world_catalogue import TAGS
from ivbpr_numba.evaluation import auc, truth_auc
from ivbpr_numba.models import create
from ivbpr_numba.models.presets import MODELS
from ivbpr_numba.store.atomic import write_bytes

if TYPE_CHECKING:
    from ivbpr_numba.datasets.world import World

__all__ = ["run_demo"]

BLACK_BOX_COLUMNS = 64
BLACK_BOX_NOISE = 0.3

Observer = Callable[[dict[str, Any]], None]


def run_demo(
    folder: str | os.PathLike[str], seed: int = 0, progress: Observer | None = None
) -> dict[str, Any]:
    """Generate, prepare, fit six models, judge them; every file stays in `folder`.

    Parameters
    ----------
    folder : path
        Must exist.
    seed : int
        Of the world and of every fit.
    progress : callable, optional
        Called with ``{"step": …}`` and with the events of the fits.

    Returns
    -------
    dict
        ``world`` (sizes), ``models`` (rows ``model all all_stderr cold cold_stderr of_the_way seconds``, the
        truth first), ``features`` (what f is for the visual models) and ``files``. ``of_the_way``: how much
        of the AUC between chance (0.5) and the truth the model reaches.
    """
    tell = progress or (lambda event: None)
    directory = Path(folder)
    tell({"step": "generating a world"})
    world = generate("tiny", seed)
    files = {name: str(path) for name, path in world.write(directory).items()}
    files |= {
        "attributes": str(directory / "attributes.h5"),
        "black_box": str(directory / "black-box.h5"),
        "dataset": str(directory / "dataset.h5"),
    }
    tell({"step": "making features"})
    build_feature_table(
        files["catalogue"],
        id_column="id",
        columns=[name for name, _ in world.size.groups],
        tags=[TAGS],
        out=files["attributes"],
    )
    _write_black_box(world, directory, files["black_box"], seed)
    tell({"step": "preparing the dataset"})
    data = prepare(
        files["purchases"],
        features=[files["attributes"], files["black_box"]],
        catalogue=files["catalogue"],
        catalogue_id="id",
        title="title",
        keep=[name for name, _ in world.size.groups],
        seed=seed,
    )
    data.write(files["dataset"])
    truth = truth_auc(world.truth, data)["without_time"]
    rows = [_row("truth", truth, truth, None)]
    for name in MODELS:
        tell({"step": f"fitting {name}"})
        features = {
            "vbpr": Features.read(files["black_box"]),
            "i-vbpr": Features.read(files["attributes"]),
        }.get(name)
        model = create(name, **({} if name == "pop" else {"seed": seed}))
        files[name] = str(directory / f"{name}.h5")
        model.fit(data, features, observers=[tell], out=files[name], overwrite=True)
        seconds = model.history_[-1]["seconds"] if model.history_ else None
        rows.append(_row(name, auc(model), truth, seconds))
    return {
        "world": {
            "size": world.size.name,
            "seed": seed,
            "users": len(data.users),
            "items": len(data.items),
            "interactions": len(data.train) + len(data.valid) + len(data.test),
            "attributes": len(world.attributes.names),
        },
        "models": rows,
        "features": {
            "vbpr": f"{BLACK_BOX_COLUMNS} nameless, noisy mixtures of the attributes, as a network has them",
            "i-vbpr": f"{len(world.attributes.names)} attributes by name",
        },
        "files": files,
    }


def _row(name: str, found: dict[str, Any], truth: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name}
    for setting in ("all", "cold"):
        row[setting], row[f"{setting}_stderr"] = found[setting]["auc"], found[setting]["stderr"]
    row["of_the_way"] = (found["all"]["auc"] - 0.5) / (truth["all"]["auc"] - 0.5)
    row["seconds"] = seconds
    return row


def _write_black_box(world: World, folder: Path, path: str, seed: int) -> None:
    """Nameless dense features: a rectified random mixture of the attributes with noise.

    They stand in for the activations of a network: the same content, but no column means anything.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    attributes = world.attributes.dense(np.arange(len(world.items)))
    mixture = rng.normal(0, 1, (attributes.shape[1], BLACK_BOX_COLUMNS))
    noise = rng.normal(0, BLACK_BOX_NOISE, (len(attributes), BLACK_BOX_COLUMNS))
    matrix, ids = folder / "black-box.npy", folder / "black-box.ids.txt"
    np.save(matrix, np.maximum(attributes @ mixture + noise, 0).astype(np.float32))
    write_bytes(ids, b"".join(item + b"\n" for item in world.items.values.tolist()))
    import_features(matrix, ids=ids, out=path)
