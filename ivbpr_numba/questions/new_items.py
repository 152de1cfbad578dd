"""Many products that nobody has bought yet, judged by their photos in a folder or archive."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.events import Observer
from ivbpr_numba.features.features import Features
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.photos.pictures import Pictures
from ivbpr_numba.questions.new_item import Seen, check_question, ordered, stand, values_for
from ivbpr_numba.questions.unbought import NewItems
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.photos.preprocessing import Preprocessing

__all__ = ["judge_many"]


def judge_many(
    model: Model,
    images: PathLike | Pictures,
    network: Network,
    *,
    user: object = None,
    n: int = 10,
    at: object = None,
    output: str | None = None,
    preprocessing: Preprocessing | None = None,
    device: str = "auto",
    items: PathLike | None = None,
    id_column: str | None = None,
    file_column: str | None = None,
    features: Features | None = None,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Judge every product of a folder or archive of photos (``ivbpr score``).

    Photos are looked at as `network.extraction.extract` does, one at a time: what is said of a product does
    not depend on those beside it.

    Parameters
    ----------
    model : Model
        A fitted visual model.
    images : path or Pictures
        A folder, tar or zip; several photos of a product are averaged.
    items, id_column, file_column : path, str, str, optional
        A table that names the product and the file of each photo; without it a product is called as its file
        is.
    network, user, n, at, output, preprocessing, device, features
        See `new_item.judge`.
    progress : callable, optional
        See `network.extraction.extract`.

    Returns
    -------
    dict
        ``network provider model at user bias_from notes warnings``; ``products``: for each, by id, ``item
        images attributes`` and what `new_item.stand` gives; ``bad``, ``others`` and ``left_out``: photos and
        products that can't be used, see `network.extraction.extract`.

    Raises
    ------
    UsageError, DataError, EnvironmentProblem
        See `network.extraction.extract` and `new_item.judge`; a single bad photo is none.
    """
    check_question(model, user, n)
    pictures = images
    if not isinstance(pictures, Pictures):
        pictures = Pictures.open(pictures, items, id_column, file_column)
    with tempfile.TemporaryDirectory(prefix="ivbpr-") as folder:
        file = os.path.join(folder, "seen.h5")
        # Nothing is kept that an interrupted run could go on from, so signals do what they always do.
        report = extract(
            pictures, network, file, output, device=device, preprocess=preprocessing, batch=1,
            progress=progress, stop=lambda: 0,
        )  # fmt: skip
        found = Features.read(file)
        rows = found.values(np.arange(len(found))).astype(np.float64)
    names = found.names if found.kind == "attributes" else None
    seen = Seen(rows, names, report["output"], report["network_sha256"], report["notes"], report["provider"])
    values, notes = values_for(model, seen, features)
    products = NewItems(model, values, at, features)
    bad = {row["image"] for row in report["bad"]}
    photos: dict[str, list[str]] = defaultdict(list)
    for picture in pictures.pictures:
        if picture.name not in bad:
            photos[picture.item].append(picture.name)
    ids = found.items.texts()
    known = [item for item, row in zip(ids, model.data_.items.find(found.items.values)) if row >= 0]
    if known:
        they, are = ("it is", "is") if len(known) == 1 else ("they are", "are")
        notes.append(
            f"{len(known):,} of the products {are} in the catalogue already ({first_of(known)}); {they} "
            "judged by the photos alone."
        )
    answers = stand(model, products, user, n)
    return {
        "network": network.path,
        "provider": report["provider"],
        "model": model.name,
        "at": at,
        "user": None if user is None else answers[0]["user"],
        "bias_from": products.bias_from,
        "products": [
            {"item": item, "images": photos[item], "attributes": ordered(names, row), **answer}
            for item, row, answer in zip(ids, rows, answers)
        ],
        "bad": report["bad"],
        "others": report["others"],
        "left_out": report["left_out"],
        "notes": [*report["notes"], *notes],
        "warnings": products.remarks,
    }
