"""Fashion trends: what a model in time has learned about each feature in each epoch (specification 8).

Two figures speak about feature k in epoch t. The *influence* is equation (8), T = W E: not identified, since
θ_u/c, c E and c ΔE score alike and change it; it belongs to one fit and leaves out ΔE and the visual bias.
The *response* is the mean over users of the sensitivity s_k(u, t), compared with the average item of the
catalogue within exclusive groups; of it the changes over time mean something.

The room is not named after its function `trends`: importing it would put the module in the function's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.errors import UsageError, did_you_mean, not_fitted, parameter
from ivbpr_numba.features.layout import Columns
from ivbpr_numba.models.epochs import epoch_of
from ivbpr_numba.parameters import TemporalParameters
from ivbpr_numba.questions.results import TrendRows

if TYPE_CHECKING:
    from ivbpr_numba.features.record import FeatureRecord
    from ivbpr_numba.models.base import Model

__all__ = ["Trends", "measure", "trends"]

USERS = ("all", "active")
MIN_SHARE, MIN_ITEMS = 0.01, 5  # of the items must have a feature that `top` may choose
INTERVAL = (0.025, 0.975)
DAY = 86_400


@dataclass(frozen=True)
class Trends:
    """Influence and response of some features over the epochs; NaN where no user speaks.

    Attributes
    ----------
    model : str
        Its name.
    edges : (N + 1,) int64
        Seconds; epoch t holds the times with ``edges[t] <= time < edges[t + 1]``.
    events : (N,) int64
        Training and validation pairs in each epoch.
    users : int
        Users of the model.
    active : bool
        Whether only those with an event in the epoch speak in it.
    features, groups : list of str, k
    influence : (N, k) float64
        Equation (8), on the values of the feature file.
    response : (N, k) float64
        In units of the score.
    low, high : (N, k) float64
        The middle 95 % of the response over resamples of the users; NaN without a bootstrap. This is the
        spread of a mean under one fit. How much another fit would differ it does not say.
    change : (N, k) float64
        Response minus its mean over the epochs: what is identified.
    change_low, change_high : (N, k) float64
        As `low` and `high`, of the change; every resample is compared with its own mean.
    also : list of list of str, or None
        Of each feature those that overlap with it highly (see `questions.overlaps`); None where `measure`
        was not told.
    """

    model: str
    edges: np.ndarray
    events: np.ndarray
    users: int
    active: bool
    features: list[str]
    groups: list[str]
    influence: np.ndarray
    response: np.ndarray
    low: np.ndarray
    high: np.ndarray
    change: np.ndarray
    change_low: np.ndarray
    change_high: np.ndarray
    also: list[list[str]] | None = None

    @property
    def dates(self) -> list[tuple[str, str]]:
        """First and last date of each epoch: the days whose beginning lies in it.

        With an epoch of less than two days, its first and last second instead.
        """
        edges = self.edges.tolist()
        whole = min(np.diff(self.edges), default=0) >= 2 * DAY
        found = []
        for n, (start, stop) in enumerate(pairwise(edges)):
            first, last = _moment(start), _moment(stop - 1)
            if whole:
                # Times before the first epoch count to it, so it has its day from the beginning.
                begins = first if n == 0 or start % DAY == 0 else first + timedelta(days=1)
                found.append((begins.date().isoformat(), last.date().isoformat()))
            else:
                found.append((f"{first:%Y-%m-%dT%H:%M:%S}", f"{last:%Y-%m-%dT%H:%M:%S}"))
        return found

    @property
    def speakers(self) -> str:
        """Whose mean the response is, in words."""
        return f"those of {self.users:,} users active in an epoch" if self.active else f"{self.users:,} users"

    def scaled(self) -> Trends:
        """The same with changes as multiples of each feature's standard deviation over the epochs.

        A feature that does not change stays at 0.
        """
        deviation = np.sqrt(np.nanmean(np.square(self.change), axis=0))
        unit = np.where(deviation > 0, deviation, 1.0)
        return replace(
            self,
            change=self.change / unit,
            change_low=self.change_low / unit,
            change_high=self.change_high / unit,
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per feature and epoch, the epochs of a feature together; None where there is no value."""
        for k, (feature, group) in enumerate(zip(self.features, self.groups)):
            for n, (first, last) in enumerate(self.dates):
                yield {
                    "epoch": n,
                    "from": first,
                    "to": last,
                    "events": int(self.events[n]),
                    "feature": feature,
                    "group": group,
                    "influence": float(self.influence[n, k]),
                    "response": _number(self.response[n, k]),
                    "low": _number(self.low[n, k]),
                    "high": _number(self.high[n, k]),
                }


def trends(
    model: Model,
    features: Iterable[str] | str | None = None,
    *,
    top: int | None = None,
    users: str = "all",
    bootstrap: int = 200,
    seed: int = 0,
) -> TrendRows:
    """How the liking of features changed from epoch to epoch of a model in time (specification 8).

    Parameters
    ----------
    model : Model
        A fitted TVBPR or I-TVBPR; its feature file is not needed.
    features : sequence of str, optional
        Full names, or values that are unique ("leather"). Without them and without `top`: every feature.
    top : int, optional
        Add the features whose response changes most: by the standard deviation over epochs, each weighted
        by its events. Only features that 1 % of the items (and at least five) have take part; of dense
        features all do.
    users : str
        Whom the response is a mean of: ``all``, or those ``active`` (with a training or validation event)
        in the epoch.
    bootstrap : int
        Resamples of the users for `low` and `high`; 0: none.
    seed : int
        Of the resamples.

    Returns
    -------
    TrendRows
        A list with one dictionary per feature and epoch: ``epoch`` (from 0), ``from`` and ``to`` (ISO
        dates), ``events`` (training and validation), ``feature``, ``group``, ``influence`` (equation 8,
        within this fit only), ``response`` (score units, centred within exclusive groups; its changes over
        time mean something), ``low`` and ``high`` (95 % of the bootstrap over users: the spread of the mean
        under this one fit, not the uncertainty of the fit). Its method `to_frame` makes a data frame of it.

    Raises
    ------
    UsageError
        A model without time or not fitted; an unknown feature or option.
    """
    found = measure(model, features, top=top, users=users, bootstrap=bootstrap, seed=seed)
    return TrendRows(found.rows())


def measure(
    model: Model,
    features: Iterable[str] | str | None = None,
    *,
    top: int | None = None,
    users: str = "all",
    bootstrap: int = 200,
    seed: int = 0,
    overlaps: Sequence[Sequence[int]] | None = None,
    each: bool = False,
) -> Trends:
    """What `trends` returns, as arrays.

    With `overlaps`, what `questions.overlaps.overlapping` found, `top` passes over a feature that overlaps
    highly with one already chosen, unless `each` is asked for.
    """
    parameters, record = _in_time(model)
    _check(users, top, bootstrap)
    edges = parameters.epoch_edges
    parts = (model.data_.train, model.data_.valid)
    epochs = [epoch_of(part.times, edges) for part in parts]
    events = np.bincount(np.concatenate(epochs), minlength=len(edges) - 1)
    active = None
    if users == "active":
        who = np.concatenate([part.users for part in parts])
        active = [np.unique(who[np.concatenate(epochs) == n]) for n in range(len(events))]
    theta = parameters.user_visual.astype(np.float64)
    by_taste, common = _centred(parameters, record)
    response = _respond(_means(theta, active), by_taste, common)
    aside = None if each else overlaps
    columns = _choose(record, features, top, response, events, len(model.data_.items), aside)
    by_taste, common, response = by_taste[:, :, columns], common[:, columns], response[:, columns]
    draws = np.full((max(bootstrap, 1), *response.shape), np.nan)
    for n in range(bootstrap):
        # Each resample keeps its users over all epochs, so what they have in common drops out of a change.
        drawn = np.random.Generator(np.random.PCG64([seed, n])).integers(0, len(theta), len(theta))
        weights = np.bincount(drawn, minlength=len(theta)).astype(np.float64)
        draws[n] = _respond(_means(theta, active, weights), by_taste, common)
    low, high = _interval(draws)
    change_low, change_high = _interval(draws - _mean(draws, axis=1)[:, None])
    owner = np.repeat([group.name for group in record.groups], [group.size for group in record.groups])
    weight = parameters.weight.astype(np.float64)
    of_columns = parameters.embedding[:, columns].astype(np.float64)
    # Equation (8): T = W E, summed over the D visual factors; times the multiplier it speaks of values.
    influence = _product(weight, of_columns) * record.scaling.multiplier[columns]
    return Trends(
        model.name,
        edges,
        events,
        len(theta),
        active is not None,
        [record.names[k] for k in columns],
        [str(name) for name in owner[columns]],
        influence,
        response,
        low,
        high,
        response - _mean(response, axis=0),
        change_low,
        change_high,
        None if overlaps is None else [[record.names[other] for other in overlaps[k]] for k in columns],
    )


def _in_time(model: Model) -> tuple[TemporalParameters, FeatureRecord]:
    expected.model(model, "trends")
    parameters = getattr(model, "parameters_", None)
    if parameters is None:
        raise not_fitted(model)
    if not isinstance(parameters, TemporalParameters) or model.features_ is None:
        raise UsageError(
            f"{model.name} knows no time, so it has no trends.", "Fit tvbpr or i-tvbpr, and ask that model."
        )
    return parameters, model.features_


def _check(users: str, top: int | None, bootstrap: int) -> None:
    if users not in USERS:
        raise UsageError(f"Unknown users '{users}'.", did_you_mean(users, USERS) or "Use all or active.")
    if top is not None and top < 1:
        raise UsageError(
            f"{parameter('top', top)}: at least one feature must be asked for.", "Give a positive number."
        )
    if bootstrap < 0:
        raise UsageError(f"{parameter('bootstrap', bootstrap)} is negative.", "Give 0 or more resamples.")


def _centred(parameters: TemporalParameters, record: FeatureRecord) -> tuple[np.ndarray, np.ndarray]:
    """The parts of s̃_k(u, t) = θ_u · taste[t, :, k] + common[t, k]: (N, D, F) and (N, F) float64.

    Centring within exclusive groups is linear, so it is done here, once for all users.
    """
    multiplier = record.scaling.multiplier.astype(np.float64)
    now = [parameters.at(epoch) for epoch in range(len(parameters.weight))]
    taste = np.stack([one.embedding for one in now]) * multiplier
    common = np.stack([one.visual_bias for one in now]) * multiplier
    mean = record.scaling.mean.astype(np.float64)
    for group in record.groups:
        part = slice(group.offset, group.offset + group.size)
        weight = mean[part].sum()
        if group.exclusive and weight > 0:
            for values in (taste, common):
                values[..., part] -= (values[..., part] * mean[part]).sum(axis=-1, keepdims=True) / weight
    return taste, common


def _means(
    theta: np.ndarray, active: list[np.ndarray] | None, weights: np.ndarray | None = None
) -> np.ndarray:
    """Mean θ of each epoch's users, (N, D); (1, D) where all users speak in every epoch."""
    means = []
    for rows in [None] if active is None else active:
        own = theta if rows is None else theta[rows]
        heavy = np.ones(len(own)) if weights is None else weights if rows is None else weights[rows]
        total = heavy.sum()
        means.append((own * heavy[:, None]).sum(axis=0) / (total if total > 0 else np.nan))
    return np.stack(means)


def _respond(means: np.ndarray, taste: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Response (N, k) of users whose mean tastes are `means`; s̃ is linear in θ_u."""
    return (means[:, :, None] * taste).sum(axis=1) + common


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Matrix product without BLAS: the same bits for any number of threads."""
    return np.stack([(row[:, None] * right).sum(axis=0) for row in left])


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over epochs that have a value; NaN where none has."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of the resamples that have a value."""
    if not draws.size:  # no feature at all, and NumPy gives one array for none
        return np.full(draws.shape[1:], np.nan), np.full(draws.shape[1:], np.nan)
    empty = ~np.isfinite(draws).any(axis=0)
    low, high = np.nanquantile(np.where(empty, 0.0, draws), INTERVAL, axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def _choose(
    record: FeatureRecord,
    features: Iterable[str] | str | None,
    top: int | None,
    response: np.ndarray,
    events: np.ndarray,
    n_items: int,
    overlaps: Sequence[Sequence[int]] | None,
) -> list[int]:
    """Columns: the named ones in their order, then the `top` that change most, each standing for its like."""
    names = Columns(record.names, record.groups)
    asked = [features] if isinstance(features, str) else list(features or ())
    chosen = list(dict.fromkeys(names.find(name) for name in asked))
    if top is None:
        return chosen if features is not None else list(range(len(record.names)))
    weight = np.where(np.isfinite(response), events[:, None], 0.0)
    known = np.where(np.isfinite(response), response, 0.0)
    total = np.maximum(weight.sum(axis=0), 1.0)
    centre = (weight * known).sum(axis=0) / total
    spread = np.sqrt((weight * np.square(known - centre)).sum(axis=0) / total)
    if record.kind == "attributes":
        # The mean value of an attribute is the share of the items that have it.
        having = record.scaling.mean.astype(np.float64) * n_items
        spread[having < max(MIN_ITEMS, MIN_SHARE * n_items)] = -1.0
    order = np.argsort(-spread, kind="stable")
    most: list[int] = []
    for k in order[spread[order] >= 0].tolist():
        if len(most) == top:
            break
        if overlaps is None or not {*most, *chosen}.intersection(overlaps[k]):
            most.append(k)
    return list(dict.fromkeys([*chosen, *most]))


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
