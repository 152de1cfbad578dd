"""Does the paper's ordering hold here? Each pair with its paired difference, from the table alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ivbpr_numba.table2.columns import CLAIMS, title_of
from ivbpr_numba.table2.resampling import FEWEST

__all__ = ["LEVEL", "in_words", "orderings"]

LEVEL = 0.05  # of Holm's p over all comparisons of the table
SHOWN = ("all", "cold")
NAMES = {"all": "All Items", "cold": "Cold Start", "stratified": "stratified"}


def orderings(differences: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the paper says of a pair, and what the table says.

    Parameters
    ----------
    differences : sequence of mappings
        As `Table.differences` has them.

    Returns
    -------
    list of dict
        ``subset setting lower higher about difference stderr p_holm users verdict``: the difference is that
        of `higher`, which is better by the paper, less `lower`. Of ``about`` "interpretable" the paper claims
        no order: there `higher` is the interpretable one. ``verdict``: ``holds`` or ``reversed`` where Holm's
        p is below .05 and the combined 95 % interval leaves out 0, else ``not shown``.
    """
    known = {(row["subset"], row["setting"], row["a"], row["b"]): row for row in differences}
    rows = []
    for subset, setting in dict.fromkeys((row["subset"], row["setting"]) for row in differences):
        for lower, higher, about in CLAIMS:
            sign, row = 1.0, known.get((subset, setting, lower, higher))
            if row is None:
                sign, row = -1.0, known.get((subset, setting, higher, lower))
            if row is None:
                continue
            value = None if row["difference"] is None else sign * row["difference"]
            rows.append(
                {
                    "subset": subset,
                    "setting": setting,
                    "lower": lower,
                    "higher": higher,
                    "about": about,
                    "difference": value,
                    "stderr": row["stderr"],
                    "p_holm": row["p_holm"],
                    "users": row["users"],
                    "verdict": _verdict(value, row),
                }
            )
    return rows


def _verdict(difference: float | None, row: Mapping[str, Any]) -> str:
    if difference is None or row["p_holm"] is None or row["p_holm"] >= LEVEL:
        return "not shown"
    if row["ci95_low"] <= 0 <= row["ci95_high"]:
        return "not shown"
    return "holds" if difference > 0 else "reversed"


def in_words(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One sentence a corpus and setting, All Items and Cold Start."""
    for subset in dict.fromkeys(row["subset"] for row in found):
        for setting in SHOWN:
            own = [row for row in found if row["subset"] == subset and row["setting"] == setting]
            users = max((row["users"] for row in own), default=0)
            if own and users < FEWEST:
                yield f"{subset}, {NAMES[setting]}. With {users} users nothing can be told about any order."
                continue
            chain = [
                _claim(row) for row in own if row["about"] in ("popularity", "learning", "loss", "looks")
            ]
            time = [_claim(row) for row in own if row["about"] == "time"]
            against = [_against(row) for row in own if row["about"] == "interpretable"]
            parts = [
                *(["The paper's order: " + ", ".join(chain)] if chain else []),
                *(["time: " + ", ".join(time)] if time else []),
                *(["interpretable against black box: " + ", ".join(against)] if against else []),
            ]
            if parts:
                yield f"{subset}, {NAMES[setting]}. {'; '.join(parts)}."


def _claim(row: Mapping[str, Any]) -> str:
    says = {"holds": "holds", "reversed": "is the other way round", "not shown": "is not shown"}
    return f"{title_of(row['lower'])} < {title_of(row['higher'])} {says[row['verdict']]} ({_figure(row)})"


def _against(row: Mapping[str, Any]) -> str:
    says = {"holds": "better", "reversed": "worse", "not shown": "no difference shown"}
    return f"{title_of(row['higher'])} {says[row['verdict']]} ({_figure(row)})"


def _figure(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "nobody to judge"
    if row["stderr"] is None:
        return f"{row['difference']:+.3f}"
    digits = 3 if row["stderr"] >= 0.001 else 4
    return f"{row['difference']:+.{digits}f} ±{row['stderr']:.{digits}f}"
