"""Answers that are tables by nature: dictionaries and lists that are data frames where one asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AucReport", "TrendRows"]

SETTINGS = ("all", "cold", "stratified")


class AucReport(dict[str, Any]):
    """What `auc` found: a dictionary, ready for JSON; see there for its keys."""

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a scorer and setting, the model first, then the baselines.

        Returns
        -------
        list of dict
            ``scorer setting auc users pairs tied_pairs stderr ci95_low ci95_high``; None where there is no
            user to judge.
        """
        found = []
        for name, scorer in {self["model"]: self, **self.get("baselines", {})}.items():
            for setting in SETTINGS:
                if setting in scorer:
                    result = {key: value for key, value in scorer[setting].items() if key != "cold_below"}
                    low, high = result.pop("ci95", None) or (None, None)
                    found.append(
                        {"scorer": name, "setting": setting, **result, "ci95_low": low, "ci95_high": high}
                    )
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
