"""``ivbpr report``: one page about anybody's models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba import expected
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.report.item_pictures import open_pictures
from ivbpr_numba.report.page import write_page
from ivbpr_numba.report.subject import subject_of
from ivbpr_numba.report.telling import tell_models
from ivbpr_numba.store.atomic import PathLike

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.report.item_pictures import ItemPictures

__all__ = ["MOST_MODELS", "MOST_USERS", "write_report"]

MOST_MODELS, MOST_USERS = 12, 20  # more would make neither a readable nor a small page


def write_report(
    models: Model | str | os.PathLike[str] | Sequence[Model | str | os.PathLike[str]],
    out: PathLike,
    *,
    data: Dataset | None = None,
    features: Features | Iterable[Features] = (),
    images: PathLike | None = None,
    users: Sequence[str] = (),
    title: str | None = None,
) -> dict[str, Any]:
    """Write one self-contained HTML page about fitted models of one split.

    Parameters
    ----------
    models : Model or path, or sequence of them
        The page speaks of the first and compares it with the others; at most 12.
    out : path
        The page to write. It loads nothing and contains no script.
    data : Dataset, optional
        The dataset of the fits: with it the page says what was dropped when the data were prepared.
    features : iterable of Features
        Where they aren't at the places that the models remember.
    images : path, optional
        Photos of the products, ``ITEM.jpg`` or so, in a folder, zip or tar; a product without one is a card
        with its attributes.
    users : sequence of str
        Shoppers to explain beside those that are chosen; at most 20.
    title : str, optional
        Headline; by default what was found.

    Returns
    -------
    dict
        ``out models sections users photos products bytes notes``: the labels of the models, those explained
        of the users, how many of the products shown have a photo, and what is odd about photos.

    Raises
    ------
    UsageError
        No models or too many; features that aren't found; too many users.
    DataError
        Models of different splits, an unknown user, features of another fit.
    EnvironmentProblem
        The page can't be written.
    """
    if isinstance(models, str | os.PathLike) or hasattr(models, "scorer"):
        models = [models]  # type: ignore[list-item]
    if not isinstance(models, Iterable):
        raise UsageError(
            f"write_report takes models, not {expected.kind_of(models)}.",
            "Give fitted models or paths of model files, in a list.",
        )
    models = list(models)
    for one in models:
        if not isinstance(one, str | os.PathLike):
            expected.model(one, "write_report")
    expected.path(out, parameter("out", out))
    users = expected.names("users", users)
    if len(models) > MOST_MODELS:
        raise UsageError(f"{len(models)} models are too many for one page.", f"Name at most {MOST_MODELS}.")
    if len(users) > MOST_USERS:
        raise UsageError(f"{len(users)} users are too many for one page.", f"Name at most {MOST_USERS}.")
    known: list[Any] = [features] if hasattr(features, "rows_of_all") else list(features)
    for given in known:
        expected.features(given, "write_report")
    subject = subject_of(models, data, known)
    photos = None if images is None else open_pictures(images)
    story = tell_models(subject, users, title, None if photos is None else photos.many)
    write_page(story, out)
    explained = [story["why"], *story["shoppers"]]
    return {
        "out": str(out),
        "models": [row["label"] for row in story["models"]],
        "sections": [section["name"] for section in story["sections"]],
        "users": [{"user": one["user"], "why": one["why"]} for one in explained],
        "photos": sum("jpeg" in (card or {}) for card in story["cards"].values()),
        "products": len(story["cards"]),
        "notes": [] if photos is None else _notes(photos),
        "bytes": os.path.getsize(out),
    }


def _notes(photos: ItemPictures) -> list[str]:
    notes = list(photos.notes)
    if photos.broken:
        item = min(photos.broken)
        notes.append(
            f"{len(photos.broken):,} photos in {photos.path} can't be used, the first is that of '{item}': "
            f"{photos.broken[item]}."
        )
    return notes
