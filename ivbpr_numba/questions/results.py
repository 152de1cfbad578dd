"""Answers that are tables by nature: dictionaries and lists that are data frames where one asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULTS", "AucReport", "Comparison", "PerUser", "Repeats", "TrendRows", "flat", "scorers_of"]

RESULTS = ("all", "cold", "stratified")


class AucReport(dict[str, Any]):
    """What `auc` found: a dictionary, ready for JSON; see there for its keys."""

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a scorer and setting, the model first, then the baselines.

        Returns
        -------
        list of dict
            ``scorer setting auc users pairs tied_pairs stderr ci95_low ci95_high``, and for each metric that
            was asked for its value and ``METRIC_stderr``; None where there is no user to judge, and no metric
            in the setting ``stratified``. A baseline of the model's own name is called ``NAME (baseline)``.
        """
        return _rows(scorers_of(self["model"], self))

    def to_frame(self) -> pd.DataFrame:
        """`rows` as a data frame of pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows())


def flat(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result of one setting with its interval as two values."""
    plain = {key: value for key, value in result.items() if key not in ("ci95", "cold_below")}
    low, high = result.get("ci95") or (None, None)
    return {**plain, "ci95_low": low, "ci95_high": high}


def scorers_of(model: str, report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The results of a report by scorer, the model first; a baseline of its name is ``NAME (baseline)``."""
    baselines = report.get("baselines", {})
    named = {f"{name} (baseline)" if name == model else name: found for name, found in baselines.items()}
    return {model: report, **named}


def _rows(scorers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"scorer": name, "setting": setting, **flat(found[setting]), **_metrics_of(found, setting)}
        for name, found in scorers.items()
        for setting in RESULTS
        if setting in found
    ]


def _metrics_of(found: Mapping[str, Any], setting: str) -> dict[str, Any]:
    row = {}
    for metric, by_setting in found.get("metrics", {}).items():
        result = by_setting.get(setting, {})
        row[metric], row[f"{metric}_stderr"] = result.get("value"), result.get("stderr")
    return row


@dataclass
class PerUser:
    """What each user's question came to, so that nothing needs to be asked twice.

    Attributes
    ----------
    users, items : (n,) integers
        Rows of the users and of their held-out items in the dataset.
    bought : (n,) int64
        Training pairs of each held-out item.
    settings : dict of str to (n,) bool
        Which questions belong to a setting.
    auc, stratified : dict of str to (n,) float64
        By model; NaN where there was no candidate. `stratified` is over candidates of the held-out item's
        class.
    """

    users: np.ndarray
    items: np.ndarray
    bought: np.ndarray
    settings: dict[str, np.ndarray]
    auc: dict[str, np.ndarray] = field(default_factory=dict)
    stratified: dict[str, np.ndarray] = field(default_factory=dict)

    def values(self, model: str, setting: str = "all") -> np.ndarray:
        """AUCs of a model in one setting, NaN where there was no candidate."""
        table = self.stratified if setting == "stratified" else self.auc
        return table[model][self.settings[setting]]


class Comparison(dict[str, Any]):
    """What `compare` found: a dictionary, ready for JSON; see there for its keys.

    Attributes
    ----------
    per_user : PerUser
    """

    per_user: PerUser

    def difference(self, a: str, b: str, setting: str = "all") -> dict[str, Any]:
        """The paired difference a − b of two models by name; see `questions.comparing` for the formula.

        Returns
        -------
        dict
            ``a b setting difference stderr ci95 users``; None where there are too few users.
        """
        values = self.per_user.values(a, setting) - self.per_user.values(b, setting)
        values = values[np.isfinite(values)]
        n = len(values)
        mean = float(values.mean()) if n else None
        error = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
        interval = None
        if mean is not None and error is not None:
            interval = [max(-1.0, mean - 1.96 * error), min(1.0, mean + 1.96 * error)]
        known = {"difference": mean, "stderr": error, "ci95": interval, "users": n}
        return {"a": a, "b": b, "setting": setting, **known}

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a model and setting.

        Returns
        -------
        list of dict
            ``scorer file setting auc users pairs tied_pairs stderr ci95_low ci95_high``.
        """
        return [
            {"scorer": one["model"], "file": one["file"], "setting": setting, **flat(one[setting])}
            for one in self["models"]
            for setting in self["settings"]
        ]

    def pairs(self) -> list[dict[str, Any]]:
        """One flat row a pair of models and setting.

        Returns
        -------
        list of dict
            ``a b setting difference stderr users ci95_low ci95_high``.
        """
        return [flat(row) for row in self["differences"]]

    def to_frame(self, what: str = "models") -> pd.DataFrame:
        """`rows` as a data frame of pandas; with ``"differences"`` the `pairs`.

        Raises
        ------
        UsageError
            Neither of the two.
        """
        import pandas as pd

        if what not in ("models", "differences"):
            raise UsageError(f"There is no table '{what}'.", "Ask for 'models' or 'differences'.")
        return pd.DataFrame(self.rows() if what == "models" else self.pairs())


class Repeats(dict[str, Any]):
    """What `repeat` found: a dictionary, ready for JSON; see there for its keys."""

    def rows(self) -> list[dict[str, Any]]:
        """Flat rows: each run's, as `AucReport.rows` has them, then the means, whose ``run`` is "mean".

        Returns
        -------
        list of dict
            ``run split_seed fit_seed scorer setting auc users pairs tied_pairs stderr ci95_low ci95_high``
            and the metrics; of a mean ``auc stderr_runs stderr users`` and of each metric ``METRIC
            METRIC_stderr_runs METRIC_stderr``.
        """
        found = []
        for run in self["runs"]:
            seeds = {key: run[key] for key in ("run", "split_seed", "fit_seed")}
            found += [{**seeds, **row} for row in _rows(scorers_of(self["model"], run))]
        for name, results in self["mean"].items():
            for setting in (s for s in RESULTS if s in results):
                row = {"run": "mean", "scorer": name, "setting": setting, **results[setting]}
                for metric, by_setting in results.get("metrics", {}).items():
                    for key, value in by_setting.get(setting, {}).items():
                        if key != "users":
                            row[metric if key == "value" else f"{metric}_{key}"] = value
                found.append(row)
        return found

    def to_frame(self) -> pd.DataFrame:
        """`rows` as a data frame of pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows())


class TrendRows(list[dict[str, Any]]):
    """What `trends` found: a list of dictionaries, ready for JSON; see there for their keys."""

    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("epoch", "from", "to", "events", "feature", "group"),
        *("influence", "response", "low", "high"),
        *("change", "change_low", "change_high", "certain"),
    )
    NUMBERS: ClassVar[tuple[str, ...]] = COLUMNS[6:-1]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a data frame of pandas: a feature and epoch each, NaN where there is no value."""
        import pandas as pd

        numbers = dict.fromkeys(self.NUMBERS, "float64")
        return pd.DataFrame(self, columns=list(self.COLUMNS)).astype(numbers)
