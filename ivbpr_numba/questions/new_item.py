"""A product that nobody has bought yet, judged by its photos: attributes, score, rank, reasons."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.shoppers import row_of_user
from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.format import PROBABILITIES
from ivbpr_numba.photos.kinds import stem_of
from ivbpr_numba.photos.pictures import decode
from ivbpr_numba.questions.unbought import NewItem, NewItems, record_of
from ivbpr_numba.store.atomic import PathLike, os_problem

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.photos.preprocessing import Preprocessing

__all__ = [
    "Looker",
    "NewItem",
    "Seen",
    "check_question",
    "judge",
    "look_at",
    "ordered",
    "stand",
    "values_for",
]


@dataclass(frozen=True)
class Seen:
    """What a network sees in the photos of one product, or of several.

    Attributes
    ----------
    values : ndarray of float64, shape (F,) or (P, F)
        Mean over the photos of each.
    names : list of str or None
        Attributes ``group=value``; None for nameless outputs.
    output : str
        The network's output.
    sha256 : str
        Of the network.
    notes : list of str
        What was unusual about the photos.
    provider : str
        What ran the network.
    """

    values: np.ndarray
    names: list[str] | None
    output: str
    sha256: str
    notes: list[str]
    provider: str


def look_at(
    photos: Sequence[PathLike],
    network: Network,
    *,
    output: str | None = None,
    preprocessing: Preprocessing | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Seen:
    """Run a network on the photos of one product.

    Raises
    ------
    UsageError
        No photo, a file that doesn't exist, a network without preprocessing, or an unknown output.
    DataError
        A photo that can't be decoded.
    EnvironmentProblem
        A device that can't be used.
    """
    if not photos:
        raise UsageError("There is no photo.", f"Name at least one with {parameter('images')}.")
    looker = Looker.of(network, output=output, preprocessing=preprocessing, device=device, threads=threads)
    contents = []
    for photo in photos:
        try:
            contents.append((f"'{photo}'", Path(photo).read_bytes()))
        except OSError as problem:
            raise os_problem(problem, photo, "read") from problem
    return looker.look(contents)


@dataclass(frozen=True)
class Looker:
    """A network that is ready to look at photos; made by `of`, for one look or many.

    Attributes
    ----------
    network : Network
    prepared : Preprocessing
        Of the photos.
    output : str
        Of the network.
    session : Session
    """

    network: Network
    prepared: Preprocessing
    output: str
    session: Any

    @classmethod
    def of(
        cls,
        network: Network,
        *,
        output: str | None = None,
        preprocessing: Preprocessing | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> Looker:
        """Make a network ready; the parameters are those of `look_at`.

        Raises
        ------
        UsageError
            A network without preprocessing, or an unknown output.
        EnvironmentProblem
            A device that can't be used.
        """
        prepared, name = network.prepared_by(preprocessing), network.output_named(output)
        return cls(network, prepared, name, network.session([name], device, threads))

    def look(self, photos: Sequence[tuple[str, bytes]]) -> Seen:
        """What the network sees in photos of one product: pairs of what to call one, and its content.

        Raises
        ------
        DataError
            A photo that can't be decoded, or values that are not finite.
        """
        pixels, notes = [], []
        for called, content in photos:
            found = decode(content, self.prepared.size)
            if found.image is None:
                raise DataError(f"The photo {called} can't be used: {found.reason}.", "Give a JPEG or PNG.")
            if found.note:
                notes.append(f"{called}: {found.note}.")
            pixels.append(np.asarray(self.prepared.fit(found.image)))
        # One after the other, so that a photo's numbers don't depend on its neighbours.
        rows = [self.session.run(self.prepared.normalise(image[None]))[0].reshape(-1) for image in pixels]
        values = np.mean(np.array(rows, dtype=np.float64), axis=0)
        network = self.network
        if not np.isfinite(values).all():
            raise DataError(f"The network '{network.path}' gives values that are not finite.", "Check it.")
        names = network.vocabulary.names if network.vocabulary and self.output == PROBABILITIES else None
        return Seen(values, names, self.output, network.sha256, notes, self.session.provider)


def values_for(model: Model, seen: Seen, features: Features | None = None) -> tuple[np.ndarray, list[str]]:
    """What was seen as the model's features: values (F,) or (P, F), and notes.

    Attributes are matched by name. Nameless features must come from the very network and output that made
    the model's feature file.

    Raises
    ------
    DataError
        The network doesn't know an attribute of the model, or is another one than that of the fit.
    UsageError
        The model uses no features.
    """
    record = record_of(model)
    if seen.names is not None and record.kind == "attributes":
        number = {name: k for k, name in enumerate(seen.names)}
        missing = [name for name in record.names if name not in number]
        if missing:
            raise DataError(
                f"The network doesn't know {len(missing):,} of the model's {len(record.names):,} attributes, "
                f"'{missing[0]}' for one.",
                "Use the network that made the model's features, or fit a model on its probabilities.",
            )
        values = seen.values[..., [number[name] for name in record.names]]
        spare = len(number) - len(record.names)
        return values, [f"{spare:,} attributes of the network are unknown to the model."] if spare else []
    if record.kind == "attributes" or seen.names is not None:
        raise DataError(
            f"The model's features are of the kind '{record.kind}', and the output '{seen.output}' of the "
            "network is of the other kind.",
            f"Name the output that made the model's features with {parameter('output')}.",
        )
    found = model.find_features(features)
    made_by, output = found.attrs.get("network_sha256"), found.source.get("output")
    if (
        made_by != seen.sha256
        or output not in (None, seen.output)
        or len(record.names) != seen.values.shape[-1]
    ):
        raise DataError(
            f"The model's features come from the output '{output}' of the network {str(made_by)[:12]}…, "
            f"these from '{seen.output}' of {seen.sha256[:12]}….",
            f"Name the same network and {parameter('output')}.",
        )
    return seen.values, []


def judge(
    model: Model,
    photos: Sequence[PathLike],
    network: Network,
    *,
    user: object = None,
    n: int = 10,
    at: object = None,
    output: str | None = None,
    preprocessing: Preprocessing | None = None,
    device: str = "auto",
    features: Features | None = None,
) -> dict[str, Any]:
    """Judge a product by its photos (``ivbpr score``).

    Parameters
    ----------
    model : Model
        A fitted visual model.
    photos : sequence of path
        Of the one product.
    network : Network
    user : id, optional
        Whose score and rank; without it the `n` users who would rank it best.
    n : int
    at : date, optional
        For models in time.
    output, preprocessing, device
        See `look_at`.
    features : Features, optional
        Those of the fit, where they aren't at the recorded path.

    Returns
    -------
    dict
        ``images network provider model at attributes bias_from notes warnings``, attributes being rows
        ``feature value``, the most probable first, and empty for nameless features; then what `stand` gives,
        and with a user ``terms``.

    Raises
    ------
    UsageError, DataError, EnvironmentProblem
        See `look_at`, `values_for` and `NewItem`; an unknown user.
    """
    check_question(model, user, n)
    seen = look_at(photos, network, output=output, preprocessing=preprocessing, device=device)
    values, notes = values_for(model, seen, features)
    products = NewItems(model, values[None], at, features)
    (answer,) = stand(model, products, user, n)
    if user is not None:
        answer["terms"] = products.terms(row_of_user(model.data_, user))
    return {
        "images": [str(photo) for photo in photos],
        "network": network.path,
        "provider": seen.provider,
        "model": model.name,
        "at": at,
        "attributes": ordered(seen.names, seen.values),
        "bias_from": products.bias_from,
        "notes": [*seen.notes, *notes, *_already_there(model, photos)],
        "warnings": products.remarks,
        **answer,
    }


def check_question(model: Model, user: object, n: int) -> None:
    """Refuse what can't be answered before a photo is looked at.

    Raises
    ------
    UsageError
        No user is asked for, or the model uses no features.
    DataError
        An unknown user.
    """
    if n < 1:
        raise UsageError(
            f"{parameter('n', n)}: at least one user must be asked for.", "Give a positive number."
        )
    record_of(model)
    if user is not None:
        row_of_user(model.data_, user)


def _already_there(model: Model, photos: Sequence[PathLike]) -> list[str]:
    """A sentence for each catalogue item whose name a photo has."""
    items = model.data_.items
    found = []
    for name in dict.fromkeys(stem_of(os.fspath(photo)) for photo in photos):
        if name in items:
            bought = int(model.data_.train_counts[items.row(name)])
            pairs = "1 training purchase" if bought == 1 else f"{bought:,} training purchases"
            there = f"{name} is in the catalogue already, with {pairs}"
            found.append(f"{there}; it is judged by its photos alone.")
    return found


def ordered(names: Sequence[str] | None, values: np.ndarray) -> list[dict[str, Any]]:
    """Attributes as rows ``feature value``, the most probable first; none without names."""
    if names is None:
        return []
    order = np.argsort(-values, kind="stable").tolist()
    return [{"feature": names[k], "value": float(values[k])} for k in order]


def stand(model: Model, products: NewItems, user: object, n: int) -> list[dict[str, Any]]:
    """Where each product stands: for one user, or the `n` users who would rank it best.

    Returns
    -------
    list of dict
        ``user score rank of percentile`` (see `NewItems.ranks`); without a user ``user`` is None, and
        ``users`` has such rows.
    """
    users = model.data_.users
    if user is not None:
        row = row_of_user(model.data_, user)
        ranks = products.ranks(np.array([row]))
        return [
            {"user": users[row], **dict(zip(ranks, of_product))}
            for of_product in zip(*(values[0].tolist() for values in ranks.values()))
        ]
    best = products.best_users(n)
    found = []
    for of_product in zip(*(values.T.tolist() for values in best.values())):
        rows = [dict(zip(best, figures)) for figures in zip(*of_product)]
        found.append({"user": None, "users": [{"user": users[row.pop("row")], **row} for row in rows]})
    return found
