"""What the table says, as plain data: figures by corpus, the paper's own, differences, the ordering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ivbpr_numba.report.standing import SEES
from ivbpr_numba.table2.columns import COSINE, SETTINGS, learns, title_of
from ivbpr_numba.table2.ordering import NAMES
from ivbpr_numba.table2.paper import CORPUS, paper_rows
from ivbpr_numba.table2.resampling import FEWEST
from ivbpr_numba.table2.table import Table

__all__ = ["SETTING_NAMES", "best_column", "corpora", "label_of", "order", "pairs", "paper", "rows_of"]

SETTING_NAMES = {**NAMES, "stratified": "Stratified"}
LIKENESS = "nothing learned: likeness to what the shopper bought"
FROM = "bpr-mf"  # where distances are measured from
SHOWN = ("all", "cold")  # settings in which the paper claims an order
GROUPS = (
    ("The paper’s order", ("popularity", "learning", "loss", "looks")),
    ("Time helps", ("time",)),
    ("Interpretable against black box", ("interpretable",)),
)


def label_of(column: str) -> str:
    """A column's name on the page."""
    return "Cosine" if column == COSINE else title_of(column)


def rows_of(table: Table, subset: str, setting: str) -> dict[str, Mapping[str, Any]]:
    """Rows of a corpus and setting by column."""
    return {row["model"]: row for row in table.rows if row["subset"] == subset and row["setting"] == setting}


def best_column(table: Table) -> str:
    """The column with the highest AUC on All Items of the first corpus; of equal ones the first."""
    rows = rows_of(table, table.subsets[0]["name"], "all")
    return max(table.columns, key=lambda column: rows[column]["auc"] or 0.0)


def corpora(table: Table) -> list[dict[str, Any]]:
    """The corpora: ``name users items train settings rows best``, a row a column.

    ``settings``: users who count in each; a row: ``name label sees best beside`` and by setting ``auc ci95
    stderr stderr_users stderr_runs users``.
    """
    found = []
    for subset in table.subsets:
        by_setting = {setting: rows_of(table, subset["name"], setting) for setting in SETTINGS}
        most = {
            setting: max((row["auc"] or 0.0 for row in rows.values()), default=0.0)
            for setting, rows in by_setting.items()
        }
        rows = [
            {
                "name": column,
                "label": label_of(column),
                "sees": SEES.get(column, LIKENESS),
                "best": by_setting["all"][column]["auc"] == most["all"],
                "beside": not learns(column),
                **{setting: _figures(by_setting[setting][column]) for setting in SETTINGS},
            }
            for column in table.columns
        ]
        users = {setting: max(row[setting]["users"] for row in rows) for setting in SETTINGS}
        sizes = {key: subset[key] for key in ("name", "users", "items", "train")}
        found.append({**sizes, "settings": users, "most": most, "rows": rows})
    return found


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    known = ("auc", "stderr", "stderr_users", "stderr_runs", "users")
    interval = None if row["ci95_low"] is None else (row["ci95_low"], row["ci95_high"])
    return {**{key: row[key] for key in known}, "ci95": interval}


def paper(table: Table) -> dict[str, Any]:
    """The paper's own numbers, of another corpus: ``corpus heads rows distances``, a row a column.

    A row has its ``label`` and the AUC of each head, None where the paper has no such column; ``distances``,
    of All Items from BPR-MF, has also what was found ``here``, and is None without that column.
    """
    known = paper_rows()
    heads = list(dict.fromkeys((row["subset"], row["setting"]) for row in known))
    auc = {(row["subset"], row["setting"], row["model"]): row["auc"] for row in known}
    return {
        "corpus": CORPUS,
        "heads": [
            {"subset": subset.split()[0].replace("'", "’"), "setting": SETTING_NAMES[setting]}
            for subset, setting in heads
        ],
        "rows": [
            {"label": label_of(column), "values": [auc.get((*head, column)) for head in heads]}
            for column in table.columns
        ],
        "distances": _distances(table, auc) if FROM in table.columns else None,
    }


def _distances(table: Table, auc: Mapping[tuple[str, str, str], float]) -> list[dict[str, Any]]:
    """How far each column is above BPR-MF on All Items, here and in the paper's corpora."""
    own = rows_of(table, table.subsets[0]["name"], "all")
    subsets = dict.fromkeys(subset for subset, _, _ in auc)
    return [
        {
            "label": label_of(column),
            "here": own[column]["auc"] - own[FROM]["auc"],
            "paper": [auc[subset, "all", column] - auc[subset, "all", FROM] for subset in subsets],
        }
        for column in table.columns
        if column != FROM and column != COSINE and own[column]["auc"] is not None
    ]


def order(table: Table) -> list[dict[str, Any]]:
    """Whether the paper's ordering holds: a corpus each, with its settings in words and its pairs.

    Returns
    -------
    list of dict
        ``name settings pairs``; a setting: ``name users few groups`` with the pairs of each group by verdict;
        a pair: ``label about`` and by setting ``difference ci95 p_holm verdict shown``, the difference
        being that of the column named last.
    """
    differences = {(row["subset"], row["setting"], row["a"], row["b"]): row for row in table.differences}
    found = []
    for subset in table.subsets:
        own = [row for row in table.orderings if row["subset"] == subset["name"]]
        pairs: dict[tuple[str, str], dict[str, Any]] = {}
        for row in own:
            key = (row["lower"], row["higher"])
            against = row["about"] == "interpretable"
            labels = [label_of(column) for column in (key[::-1] if against else key)]
            label = f"{labels[0]} against {labels[1]}" if against else f"{labels[0]} < {labels[1]}"
            pair = pairs.setdefault(key, {"label": label, "about": row["about"]})
            pair[row["setting"]] = _verdict(row, differences)
        if pairs:
            settings = [_in_words(setting, own) for setting in SHOWN]
            found.append({"name": subset["name"], "settings": settings, "pairs": list(pairs.values())})
    return found


def _verdict(row: Mapping[str, Any], differences: Mapping[tuple[str, str, str, str], Any]) -> dict[str, Any]:
    subset, setting, lower, higher = (row[name] for name in ("subset", "setting", "lower", "higher"))
    known = differences.get((subset, setting, lower, higher))
    sign = 1.0 if known is not None else -1.0
    known = known if known is not None else differences[subset, setting, higher, lower]
    ends = [known["ci95_low"], known["ci95_high"]]
    return {
        "difference": row["difference"],
        "ci95": None if ends[0] is None else tuple(sorted(sign * end for end in ends)),
        "p_holm": row["p_holm"],
        "users": row["users"],
        "verdict": row["verdict"],
        "shown": row["verdict"] != "not shown",
        "words": _words(row),
    }


def _words(row: Mapping[str, Any]) -> str:
    if row["about"] == "interpretable":
        return {"holds": "better", "reversed": "worse", "not shown": "not shown"}[row["verdict"]]
    return {"holds": "holds", "reversed": "reversed", "not shown": "not shown"}[row["verdict"]]


def _in_words(setting: str, own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The pairs of a setting, by group and verdict."""
    rows = [row for row in own if row["setting"] == setting]
    users = max((row["users"] for row in rows), default=0)
    groups = []
    for title, abouts in GROUPS:
        inside = [row for row in rows if row["about"] in abouts]
        if inside:
            verdicts = {
                verdict: [_pair(row) for row in inside if row["verdict"] == verdict]
                for verdict in ("holds", "reversed", "not shown")
            }
            groups.append({"title": title, "against": "interpretable" in abouts, **_keys(verdicts)})
    return {"name": SETTING_NAMES[setting], "users": users, "few": users < FEWEST, "groups": groups}


def _keys(verdicts: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace(" ", "_"): rows for name, rows in verdicts.items()}


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("difference", "stderr")
    return {
        "lower": label_of(row["lower"]),
        "higher": label_of(row["higher"]),
        **{key: row[key] for key in keys},
    }


def pairs(table: Table) -> Iterator[dict[str, Any]]:
    """Every paired difference of the table, corpus by corpus: ``name rows``."""
    for subset in table.subsets:
        rows = [
            {
                "label": f"{label_of(row['b'])} less {label_of(row['a'])}",
                "setting": SETTING_NAMES[row["setting"]],
                "ci95": None if row["ci95_low"] is None else (row["ci95_low"], row["ci95_high"]),
                **{key: row[key] for key in ("difference", "stderr_users", "stderr_runs", "p_holm")},
            }
            for row in table.differences
            if row["subset"] == subset["name"]
        ]
        if rows:
            yield {"name": subset["name"], "rows": rows}
