"""Fashion trends: what a model in time has learned about each feature in each epoch (specification 8).

Two figures speak about feature k in epoch t. The *influence* is equation (8), T = W E: not identified, since
θ_u/c, c E and c ΔE score alike and change it; it belongs to one fit and leaves out ΔE and the visual bias.
The *response* is the mean over users of the sensitivity s_k(u, t), compared with the average item of the
catalogue within exclusive groups; of it the changes over time mean something.

Its spread comes from refits on random halves of the customers (see `questions.refits`): other customers, as
many, would put the value inside the band in about 95 of 100 cases, fitted on their own with the same epochs.

The room is not named after its function `trends`: importing it would put the module in the function's place.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import expected
from ivbpr_numba.answers.epochs import epoch_dates
from ivbpr_numba.errors import UsageError, did_you_mean, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.features.layout import Columns
from ivbpr_numba.questions.refits import Spread, default_fits, half_band, refits, why_no_fits
from ivbpr_numba.questions.response import changes, epochs_of_events, in_time, influence, response
from ivbpr_numba.questions.results import TrendRows

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.features.record import FeatureRecord
    from ivbpr_numba.models.base import Model

__all__ = ["Trends", "measure", "trends"]

USERS = ("all", "active")
MIN_SHARE, MIN_ITEMS = 0.01, 5  # of the items must have a feature that `top` may choose


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
        The band of the response: where as many other customers, fitted on their own with these epochs, would
        put it in about 95 of 100 cases; NaN without refits. See `questions.refits.half_band`.
    change : (N, k) float64
        Response minus its mean over the epochs: what is identified.
    change_low, change_high : (N, k) float64
        As `low` and `high`, of the change; every refit is compared with its own mean.
    also : list of list of str, or None
        Of each feature those that overlap with it highly (see `questions.overlaps`); None where `measure`
        was not told.
    spread : Spread
        What the bands are made of.
    draws : (n, N, k) float64
        The responses of the refits.
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
    spread: Spread = field(default_factory=Spread)
    draws: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))

    @property
    def certain(self) -> np.ndarray:
        """Changes whose band leaves out 0: another sample would likely show the same sign, (N, k) bool."""
        return (self.change_low > 0) | (self.change_high < 0)

    @property
    def dates(self) -> list[tuple[str, str]]:
        """First and last date of each epoch; see `answers.epochs`."""
        return epoch_dates(self.edges)

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
                    "change": _number(self.change[n, k]),
                    "change_low": _number(self.change_low[n, k]),
                    "change_high": _number(self.change_high[n, k]),
                    "certain": bool(self.certain[n, k]) if np.isfinite(self.change_low[n, k]) else None,
                }


def trends(
    model: Model,
    features: Iterable[str] | str | None = None,
    *,
    top: int | None = None,
    users: str = "all",
    fits: int | None = None,
    seed: int = 0,
    fitted_on: Features | None = None,
    observers: Sequence[Observer] = (),
) -> TrendRows:
    """How the liking of features changed from epoch to epoch of a model in time (specification 8).

    Parameters
    ----------
    model : Model
        A fitted TVBPR or I-TVBPR. For refits its features must be at hand.
    features : sequence of str, optional
        Full names, or values that are unique ("leather"). Without them and without `top`: every feature.
    top : int, optional
        Add the features whose response changes most: by the standard deviation over epochs, each weighted
        by its events. Only features that 1 % of the items (and at least five) have take part; of dense
        features all do.
    users : str
        Whom the response is a mean of: ``all``, or those ``active`` (with a training or validation event)
        in the epoch.
    fits : int, optional
        Refits on halves of the customers for the bands: an even number, or 0 for none. By default 8 with 20
        users or more and up to 50,000 training pairs, else none. Each takes about as long as the fit of the
        model did, or less.
    seed : int
        Of the halves and refits.
    fitted_on : Features, optional
        The features of the fit, where they aren't at the recorded path.
    observers : sequence of callables
        Called with ``{"event": "refit", …}`` after every refit; see `questions.refits.refits`.

    Returns
    -------
    TrendRows
        A list with one dictionary per feature and epoch: ``epoch`` (from 0), ``from`` and ``to`` (ISO
        dates), ``events`` (training and validation), ``feature``, ``group``, ``influence`` (equation 8,
        within this fit only), ``response`` (score units, centred within exclusive groups), ``low`` and
        ``high`` (its band), ``change`` (the response minus its mean over the epochs: this is what means
        something), ``change_low`` and ``change_high`` (its band), ``certain`` (whether that band leaves out
        0). Bands are None without refits. Its method `to_frame` makes a data frame of it.

    Raises
    ------
    UsageError
        A model without time or not fitted; an unknown feature or option; refits are asked for and the
        features of the fit aren't found.
    Interrupted
        After SIGINT or SIGTERM during a refit.

    Notes
    -----
    A band is the value ± t √(Σ d²/m). d is the difference between fits on two halves of the customers that
    have nobody in common, over m random splits (two refits each); t is the 97.5 % quantile of Student's
    distribution with m degrees of freedom. So it is no confidence interval of a truth: it is where as many
    other customers of the same shop, fitted on their own, would put the value for the same epochs and
    catalogue, chance of the fit included. It leans to the wide side, because fits on half as many customers
    differ more. A feature picked because it changes most has changed by luck too: expect less of it from
    others, the more so where the band holds 0.
    """
    found = measure(
        model,
        features,
        top=top,
        users=users,
        fits=fits,
        seed=seed,
        fitted_on=fitted_on,
        observers=observers,
    )
    if found.spread.why_none and fits is None:
        warnings.warn(str(found.spread), stacklevel=2)
    return TrendRows(found.rows())


def measure(
    model: Model,
    features: Iterable[str] | str | None = None,
    *,
    top: int | None = None,
    users: str = "all",
    fits: int | None = None,
    seed: int = 0,
    fitted_on: Features | None = None,
    observers: Sequence[Observer] = (),
    overlaps: Sequence[Sequence[int]] | None = None,
    each: bool = False,
) -> Trends:
    """What `trends` returns, as arrays; it warns of nothing, `Trends.spread` says why there are no bands.

    With `overlaps`, what `questions.overlaps.overlapping` found, `top` passes over a feature that overlaps
    highly with one already chosen, unless `each` is asked for.
    """
    parameters, record = in_time(model)
    _check(users, top, fits)
    edges = parameters.epoch_edges
    events = np.bincount(epochs_of_events(model.data_, edges)[1], minlength=len(edges) - 1)
    found = response(model, users)
    aside = None if each else overlaps
    columns = _choose(record, features, top, found, events, len(model.data_.items), aside)
    owner = np.repeat([group.name for group in record.groups], [group.size for group in record.groups])
    draws, spread = _refitted(model, users, fits, seed, fitted_on, observers, columns)
    found = found[:, columns]
    change = changes(found)
    half, half_change = half_band(draws), half_band(changes(draws))
    return Trends(
        model.name,
        edges,
        events,
        len(model.data_.users),
        users == "active",
        [record.names[k] for k in columns],
        [str(name) for name in owner[columns]],
        influence(parameters, record)[:, columns],
        found,
        found - half,
        found + half,
        change,
        change - half_change,
        change + half_change,
        None if overlaps is None else [[record.names[other] for other in overlaps[k]] for k in columns],
        spread,
        draws,
    )


def _refitted(
    model: Model,
    users: str,
    fits: int | None,
    seed: int,
    fitted_on: Features | None,
    observers: Sequence[Observer],
    columns: list[int],
) -> tuple[np.ndarray, Spread]:
    """Responses (n, N, k) of the refits, and what they cost; none at all are (0, N, k)."""
    none = np.empty((0, len(model.parameters_.epoch_edges) - 1, len(columns)))
    wanted = default_fits(model) if fits is None else fits
    if not wanted:
        return none, Spread(why_none="none was asked for." if fits == 0 else why_no_fits(model))
    try:
        given = model.find_features(fitted_on)
    except UsageError as problem:
        if fits is not None or fitted_on is not None:
            raise
        return none, Spread(why_none=f"it comes from refits. {problem}")
    last: dict[str, float] = {}
    draws = []
    for other in refits(model, given, wanted, seed, [last.update, *observers]):
        draws.append(response(other, users)[:, columns])
    return np.stack(draws), Spread(wanted, int(last["iterations_done"]), last["seconds"])


def _check(users: str, top: int | None, fits: int | None) -> None:
    if users not in USERS:
        raise UsageError(f"Unknown users '{users}'.", did_you_mean(users, USERS) or "Use all or active.")
    if top is not None:
        expected.whole("top", top, 1)
    if fits is not None and expected.whole("fits", fits, 0) % 2:
        raise UsageError(
            f"{parameter('fits', fits)}: refits come in pairs, one for each half of the customers.",
            "Give an even number, or 0 for no spread.",
        )


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
    asked = [] if features is None else expected.names("features", features)
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


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
