"""Seasons told from trends: a slow change and a yearly wave in what a model in time has learned.

The response of a feature in epoch t, of any length, is read as the mean over that epoch of

    level + trend · y + c · cos 2πy + s · sin 2πy,        y in years of the calendar,

fitted by least squares in which an epoch weighs as much as it has events. Means of a wave over an epoch
are exact integrals, so long epochs, which blur the wave, are not mistaken for a weak one. Amplitude and peak
are those of the wave. Where the data can't tell the two apart, nothing is reported and the reason is said.

How many epochs does it take? In the world `seasons`, three years long, 10 learned epochs (3.3 a year) find
91 % of the planted amplitude and the peak within .1 months; 12 to 24 (4 to 8 a year) a little more, and what
is learned correlates with what is planted by .90 to .92 instead of .89; with 5, seasons pass for noise
(`benchmarks/seasons.py`). So fit with about four epochs a year, a dozen or more: ``--epochs 12``; the default
of five is too few for two years.

Refits on halves of the customers, where there are some, go through the same design: a trend or season is
certain only if it is beyond noise over the epochs and beyond what other customers would change (see
`questions.refits`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.questions.refits import half_band

if TYPE_CHECKING:
    from ivbpr_numba.questions.trends import Trends

__all__ = ["MONTHS", "YEAR", "Seasons", "decompose", "seasons", "year_of"]

YEAR = 365.2425 * 86_400  # seconds, the mean of the calendar
TWO_YEARS = 1.95  # in years: two of them less some days at the ends, in which nobody bought
FEWEST_A_YEAR = 3.0  # epochs; with two a year a wave may hide between them
SPARE = 2  # epochs more than the four unknowns, to judge the errors by
WORST_CONDITION = 10.0  # of the design with columns of length one
CERTAIN = 0.05  # chance of a trend, or a wave, as large in noise
CLEARLY = 2.0  # times as large as the other is the one that a feature is said to show
FITTED = (
    *("trend", "trend_error", "trend_half", "season", "season_error", "season_half", "peak"),
    *("trend_chance", "season_chance", "year_over_year"),
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


@dataclass(frozen=True)
class Seasons:
    """Trend and yearly wave of some features; NaN where the data can't tell.

    Attributes
    ----------
    why : str or None
        Why seasons and trends can't be told apart; None where they can.
    years : float
        From the first edge to the last.
    epochs_a_year : float
        Epochs with a value.
    condition : float
        Of the design, its columns scaled to length one: 1 is best.
    features, groups : list of str, k
    trend, trend_error : (k,) float64
        Score units a year, and its standard error from what the fit leaves over.
    season, season_error : (k,) float64
        Amplitude of the wave, score units: half of what lies between its best and its worst time of the year.
    peak : (k,) float64
        When the wave is highest, as a fraction of the year: 0 is the first of January.
    trend_half, season_half : (k,) float64
        Half the width of the band in which as many other customers would put trend and amplitude, the latter
        at the same peak; NaN without refits.
    trend_chance, season_chance : (k,) float64
        How likely as large a trend, or wave, would be if there were only noise (t and F tests; they take
        what is left over in different epochs as independent).
    year_over_year : (k,) float64
        Mean response over the last year minus that over the year before, in which seasons cancel; NaN also
        where an epoch has no value.
    """

    why: str | None
    years: float
    epochs_a_year: float
    condition: float
    features: list[str]
    groups: list[str]
    trend: np.ndarray
    trend_error: np.ndarray
    season: np.ndarray
    season_error: np.ndarray
    peak: np.ndarray
    trend_half: np.ndarray
    season_half: np.ndarray
    trend_chance: np.ndarray
    season_chance: np.ndarray
    year_over_year: np.ndarray

    @property
    def told(self) -> bool:
        """Whether the data can tell seasons from trends."""
        return self.why is None

    def kind(self, k: int) -> str | None:
        """What feature k shows: ``trend``, ``season``, ``both`` or ``neither``; None where untold.

        Certain is what noise over the epochs would do in less than 5 of 100 cases and, where there are
        refits, what is beyond their band. Of two that are certain the larger one, by its standard deviation
        over the span, if it is twice the other.
        """
        if not self.told:
            return None
        moved = {
            "trend": float(abs(self.trend[k])) * self.years / np.sqrt(12),
            "season": float(self.season[k]) / np.sqrt(2),
        }
        beyond = {
            "trend": self.trend_chance[k] < CERTAIN and not abs(self.trend[k]) <= self.trend_half[k],
            "season": self.season_chance[k] < CERTAIN and not self.season[k] <= self.season_half[k],
        }
        certain = [name for name in moved if beyond[name]]
        if len(certain) < 2:
            return certain[0] if certain else "neither"
        less, more = sorted(moved, key=lambda name: moved[name])
        return more if moved[more] >= CLEARLY * moved[less] else "both"

    def peak_month(self, k: int) -> str | None:
        """The month of feature k's highest time."""
        return MONTHS[int(self.peak[k] * 12) % 12] if np.isfinite(self.peak[k]) else None

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row a feature: ``feature group kind trend_per_year … year_over_year``; None where untold."""
        for k, (feature, group) in enumerate(zip(self.features, self.groups)):
            yield {
                "feature": feature,
                "group": group,
                "kind": self.kind(k),
                "trend_per_year": _number(self.trend[k]),
                "trend_error": _number(self.trend_error[k]),
                "trend_half_band": _number(self.trend_half[k]),
                "season": _number(self.season[k]),
                "season_error": _number(self.season_error[k]),
                "season_half_band": _number(self.season_half[k]),
                "peak_month": self.peak_month(k),
                "year_over_year": _number(self.year_over_year[k]),
            }

    def facts(self) -> dict[str, Any]:
        """What holds for all features: ``told why years epochs_per_year condition``."""
        return {
            "told": self.told,
            "why": self.why,
            "years": self.years,
            "epochs_per_year": self.epochs_a_year,
            "condition": _number(self.condition),
        }


def seasons(found: Trends) -> Seasons:
    """Tell seasons from trends in what `questions.trends.measure` found."""
    return decompose(found.edges, found.events, found.response, found.features, found.groups, found.draws)


def decompose(
    edges: np.ndarray,
    events: np.ndarray,
    response: np.ndarray,
    features: list[str] | None = None,
    groups: list[str] | None = None,
    draws: np.ndarray | None = None,
) -> Seasons:
    """Trend and yearly wave of responses by epoch.

    Parameters
    ----------
    edges : (N + 1,) int64
        Unix seconds.
    events : (N,) int64
        Weights.
    response : (N, k) float64
        NaN in epochs without a value.
    features, groups : list of str, optional
        Names of the k columns.
    draws : (n, N, k) float64, optional
        The same responses by refits, two and two on the halves of one split.
    """
    n_features = response.shape[1]
    names = [str(k) for k in range(n_features)] if features is None else features
    owners = [""] * n_features if groups is None else groups
    untold = np.full(n_features, np.nan)
    known = np.isfinite(response).all(axis=1) & (events > 0)
    years = float(edges[-1] - edges[0]) / YEAR
    count = int(known.sum())
    a_year = count / years if years > 0 else 0.0
    design = _means(edges)[known]
    heavy = np.sqrt(events[known].astype(np.float64))
    scaled = design * heavy[:, None]
    length = np.sqrt(np.square(scaled).sum(axis=0))
    condition = np.inf
    if count and length.all():
        condition = float(np.linalg.cond(scaled / length))
    why = _why_not(years, count, a_year, condition, design.shape[1])
    fitted = dict.fromkeys(FITTED, untold)
    if why is None:
        fitted |= _fitted(scaled, response[known] * heavy[:, None])
        if draws is not None and len(draws):
            weighed = draws[:, known] * heavy[:, None]
            fitted |= _bands(scaled, weighed, float(2 * np.pi) * fitted["peak"])
        if known.all():
            fitted["year_over_year"] = _year_over_year(edges, response)
    return Seasons(why, years, a_year, condition, names, owners, **fitted)


def year_of(seconds: np.ndarray | int) -> np.ndarray:
    """Years of the calendar since the beginning of 1970, whole within a day of each first of January."""
    return np.asarray(seconds, dtype=np.float64) / YEAR


def _means(edges: np.ndarray) -> np.ndarray:
    """Means over each epoch of 1, y − ȳ, cos 2πy and sin 2πy, (N, 4)."""
    years = year_of(edges)
    start, stop = years[:-1], years[1:]
    length = np.where(stop > start, stop - start, 1.0)
    angle = 2 * np.pi * years
    cosine = np.diff(np.sin(angle)) / (2 * np.pi) / length
    sine = -np.diff(np.cos(angle)) / (2 * np.pi) / length
    middle = (start + stop) / 2 - (years[0] + years[-1]) / 2
    return np.column_stack([np.ones(len(length)), middle, cosine, sine])


def _why_not(years: float, count: int, a_year: float, condition: float, unknowns: int) -> str | None:
    if years < TWO_YEARS:
        return f"the data span {years:.1f} years; two are needed to tell seasons from trends"
    need = max(unknowns + SPARE, int(np.ceil(FEWEST_A_YEAR * years)))
    if count < need:
        return (
            f"{count} learned epochs in {years:.1f} years are too few to tell seasons from trends; "
            f"fit with --epochs {_roomy(years, need)}"
        )
    if not condition <= WORST_CONDITION:
        return (
            "the learned epochs lie so that seasons and trends look alike in them "
            f"(condition number {condition:.0f}); fit with more epochs"
        )
    return None


def _roomy(years: float, need: int) -> int:
    """Epochs to advise: about four a year, a dozen or more where that is less, at most the 80 bins."""
    return min(80, max(need, 12, round(4 * years)))


def _fitted(design: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    """Weighted least squares for all features at once; errors from what is left over."""
    from scipy.special import fdtrc, stdtr

    solution, inverse = _solved(design, values)
    left = values - (design[:, :, None] * solution[None]).sum(axis=1)
    spare = len(design) - design.shape[1]
    noise = np.square(left).sum(axis=0) / spare
    trend, cosine, sine = solution[1:]
    trend_error = np.sqrt(noise * inverse[1, 1])
    season = np.hypot(cosine, sine)
    wave = inverse[2:, 2:]
    unit = np.stack([cosine, sine]) / np.where(season > 0, season, 1.0)
    season_error = np.sqrt(noise * (unit[:, None] * unit[None] * wave[:, :, None]).sum(axis=(0, 1)))
    both = np.stack([cosine, sine])
    weighed = (both[:, None] * both[None] * np.linalg.inv(wave)[:, :, None]).sum(axis=(0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        t, f = np.abs(trend) / trend_error, weighed / 2 / noise
    return {
        "trend": trend,
        "trend_error": trend_error,
        "season": season,
        "season_error": season_error,
        "peak": np.arctan2(sine, cosine) / (2 * np.pi) % 1.0,
        # 0/0, a feature that does not move at all, is as likely in noise as anything.
        "trend_chance": np.where(np.isnan(t), 1.0, 2 * stdtr(spare, -np.where(np.isnan(t), 0.0, t))),
        "season_chance": np.where(np.isnan(f), 1.0, fdtrc(2, spare, np.where(np.isnan(f), 0.0, f))),
    }


def _solved(design: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solution (4, k) of the normal equations, and the inverse of their matrix.

    Four unknowns: the equations are small and, below the condition allowed, harmless.
    """
    inverse = np.linalg.inv((design[:, :, None] * design[:, None, :]).sum(axis=0))
    right = (design[:, :, None] * values[:, None, :]).sum(axis=0)
    return (inverse[:, :, None] * right[None]).sum(axis=1), inverse


def _bands(design: np.ndarray, draws: np.ndarray, angle: np.ndarray) -> dict[str, np.ndarray]:
    """Half bands of trend and amplitude at a fixed peak."""
    solved = np.stack([_solved(design, values)[0] for values in draws])
    at_peak = solved[:, 2] * np.cos(angle) + solved[:, 3] * np.sin(angle)
    return {"trend_half": half_band(solved[:, 1]), "season_half": half_band(at_peak)}


def _year_over_year(edges: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Mean over the last year minus mean over the year before (or what there is of it)."""
    end = float(edges[-1])
    last = _mean_between(edges, response, end - YEAR, end)
    before = _mean_between(edges, response, max(float(edges[0]), end - 2 * YEAR), end - YEAR)
    return last - before


def _mean_between(edges: np.ndarray, response: np.ndarray, start: float, stop: float) -> np.ndarray:
    inside = np.clip(edges, start, stop)
    return (np.diff(inside)[:, None] * response).sum(axis=0) / (stop - start)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
