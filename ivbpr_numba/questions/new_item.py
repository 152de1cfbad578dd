"""A product that nobody has bought yet, judged by its photos: attributes, score, rank, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import sensitivities, terms_of
from ivbpr_numba.answers.shoppers import PARTS, owned_items
from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.format import PROBABILITIES
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.photos.pictures import decode
from ivbpr_numba.ranking import scores
from ivbpr_numba.store.atomic import PathLike, os_problem

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.features.record import FeatureRecord
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.photos.preprocessing import Preprocessing

__all__ = ["NewItem", "Seen", "judge", "look_at", "values_for"]

SCORE_BYTES = 64 << 20  # scores of a block of users held at once


@dataclass(frozen=True)
class Seen:
    """What a network sees in the photos of one product.

    Attributes
    ----------
    values : ndarray of float64, shape (F,)
        Mean over the photos.
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
    prepared = network.prepared_by(preprocessing)
    name = network.output_named(output)
    pixels, notes = [], []
    for photo in photos:
        try:
            content = Path(photo).read_bytes()
        except OSError as problem:
            raise os_problem(problem, photo, "read") from problem
        found = decode(content, prepared.size)
        if found.image is None:
            raise DataError(f"The photo '{photo}' can't be used: {found.reason}.", "Give a JPEG or PNG.")
        if found.note:
            notes.append(f"'{photo}': {found.note}.")
        pixels.append(np.asarray(prepared.fit(found.image)))
    session = network.session([name], device, threads)
    # One after the other, so that a photo's numbers don't depend on its neighbours.
    rows = [session.run(prepared.normalise(image[None]))[0].reshape(-1) for image in pixels]
    values = np.mean(np.array(rows, dtype=np.float64), axis=0)
    if not np.isfinite(values).all():
        raise DataError(f"The network '{network.path}' gives values that are not finite.", "Check it.")
    names = network.vocabulary.names if network.vocabulary and name == PROBABILITIES else None
    return Seen(values, names, name, network.sha256, notes, session.provider)


class NewItem:
    """A product outside the catalogue, as a model sees it.

    It has no latent factors, and the item bias that the model gives to products nobody has bought: the mean
    over the catalogue's items without a training purchase, or over all items where every one has some.

    Parameters
    ----------
    model : Model
        A fitted visual model.
    values : ndarray of float64, shape (F,)
        In the order of the model's features, on their scale.
    at : date, optional
        For a model in time; the last epoch by default.
    features : Features, optional
        Those of the fit, where they aren't at the recorded path.

    Attributes
    ----------
    item_bias : float
    bias_from : str
        In words, where it comes from.

    Raises
    ------
    UsageError
        The model uses no features, or a time for a model without time.
    """

    def __init__(
        self, model: Model, values: np.ndarray, at: object = None, features: Features | None = None
    ) -> None:
        self._model = model
        self._record = record_of(model)
        self._values = np.asarray(values, dtype=np.float64)
        self._now = model.view(at, features)
        parameters = self._now.parameters
        assert isinstance(parameters, VisualParameters)
        self._parameters = parameters
        unbought = np.flatnonzero(model.data_.train_counts == 0)
        if len(unbought):
            self.bias_from = f"the mean of the {len(unbought):,} catalogue items that nobody bought"
        else:
            unbought = np.arange(len(parameters.item_bias))
            self.bias_from = f"the mean of all {len(unbought):,} catalogue items"
        self.item_bias = float(parameters.item_bias[unbought].astype(np.float64).mean())

    def scores(self, user_rows: np.ndarray) -> np.ndarray:
        """x̂ of users for the product (equation 1, γ_i = 0), float64 (n,)."""
        scaling = self._record.scaling
        f = (self._values - scaling.shift) * scaling.multiplier
        style = (self._parameters.embedding.astype(np.float64) * f).sum(axis=1)
        taste = self._parameters.user_visual[user_rows].astype(np.float64)
        everyone = float((self._parameters.visual_bias.astype(np.float64) * f).sum())
        found: np.ndarray = self.item_bias + everyone + (taste * style).sum(axis=1)
        return found

    def ranks(self, user_rows: np.ndarray) -> dict[str, np.ndarray]:
        """Where the product stands among all catalogue items that each user doesn't have.

        Returns
        -------
        dict of str to ndarray, shape (n,)
            ``score`` float64; ``rank`` int64, 1 for the best, ties behind; ``of`` int64, the product and
            its rivals; ``percentile`` float64, the share of rivals that rank below it, ties as half.
        """
        user_rows = np.asarray(user_rows, dtype=np.int64)
        own = self.scores(user_rows)
        better, equal, rivals = (np.zeros(len(user_rows), dtype=np.int64) for _ in range(3))
        step = max(1, SCORE_BYTES // (4 * max(1, len(self._model.data_.items))))
        for start in range(0, len(user_rows), step):
            rows = user_rows[start : start + step]
            indptr, items = owned_items(self._model.data_, rows, PARTS)
            for k, row in enumerate(scores(self._now.scorer, rows)):
                # The product's own score in the precision of its rivals.
                mine = np.float32(own[start + k])
                row[items[indptr[k] : indptr[k + 1]]] = -np.inf
                better[start + k] = np.count_nonzero(row > mine)
                equal[start + k] = np.count_nonzero(row == mine)
                rivals[start + k] = len(row) - (indptr[k + 1] - indptr[k])
        below = rivals - better - equal
        percentile = (below + equal / 2) / np.maximum(rivals, 1)
        return {"score": own, "rank": better + equal + 1, "of": rivals + 1, "percentile": percentile}

    def terms(self, user_row: int) -> list[dict[str, Any]]:
        """The terms of a user's score, which sum to it; see `answers.explaining.terms_of`."""
        alone = replace(
            self._parameters,
            item_bias=np.array([self.item_bias]),
        )
        taste = sensitivities(alone, self._record, alone.user_visual[user_row])
        return terms_of(alone, np.zeros(0, np.float32), 0, self._record, taste, self._values)


def record_of(model: Model) -> FeatureRecord:
    """What a model knows of its features.

    Raises
    ------
    UsageError
        It uses none.
    """
    if model.features_ is None:
        raise UsageError(
            f"{model.name} knows products by their purchases alone and can't judge a photo.",
            "Fit i-vbpr, vbpr or one of them in time.",
        )
    return model.features_


def values_for(model: Model, seen: Seen, features: Features | None = None) -> tuple[np.ndarray, list[str]]:
    """What was seen as the model's features: values (F,) and notes.

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
        values = seen.values[[number[name] for name in record.names]]
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
    if made_by != seen.sha256 or output not in (None, seen.output) or len(record.names) != len(seen.values):
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
        ``images network provider model at attributes bias_from notes``, attributes being rows ``feature
        value``, the most probable first, and empty for nameless features. With a user ``user score rank of
        percentile terms`` (see `NewItem`); without one ``user`` is None and ``users`` has rows ``user score
        rank of percentile``.

    Raises
    ------
    UsageError, DataError, EnvironmentProblem
        See `look_at`, `values_for` and `NewItem`; an unknown user.
    """
    if n < 1:
        raise UsageError(f"-n {n}: at least one user must be asked for.", "Give a positive number.")
    record_of(model)
    rows = None if user is None else np.array([model.data_.users.row(user)])
    seen = look_at(photos, network, output=output, preprocessing=preprocessing, device=device)
    values, notes = values_for(model, seen, features)
    product = NewItem(model, values, at, features)
    names = seen.names or []
    order = np.argsort(-seen.values, kind="stable").tolist() if names else []
    found: dict[str, Any] = {
        "images": [str(photo) for photo in photos],
        "network": network.path,
        "provider": seen.provider,
        "model": model.name,
        "at": at,
        "attributes": [{"feature": names[k], "value": float(seen.values[k])} for k in order],
        "bias_from": product.bias_from,
        "notes": [*seen.notes, *notes],
        "user": None,
    }
    if rows is not None:
        asked = {key: value[0].item() for key, value in product.ranks(rows).items()}
        terms = product.terms(int(rows[0]))
        return {**found, "user": model.data_.users[int(rows[0])], **asked, "terms": terms}
    everybody = product.ranks(np.arange(len(model.data_.users)))
    best = np.lexsort((-everybody["score"], -everybody["percentile"]))[:n]
    found["users"] = [
        {
            "user": model.data_.users[row],
            **{key: everybody[key][row].item() for key in ("score", "rank", "of", "percentile")},
        }
        for row in best.tolist()
    ]
    return found
