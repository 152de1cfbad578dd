"""Measurements as text for the screen and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.goals import THREADS
from benchmarks.recorded import recorded

__all__ = ["compared", "comparison", "markdown", "shown", "table"]

Row = dict[str, Any]
MYMEDIALITE = {
    "bpr-mf S1": "MyMediaLite BPRMF S1",
    "bpr-mf S2": "MyMediaLite BPRMF S2",
    "mm-mf S1": "MyMediaLite SoftMargin S1",
    "auc D=20": "MyMediaLite AUC",
}


def shown(rate: float) -> str:
    """A rate with a unit that people can read."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.3g} {letter}"
    return f"{rate:.3g}  "


def table(what: str, rows: list[Row], goals: list[Row]) -> str:
    """One case as text.

    Parameters
    ----------
    what : str
        Of the case.
    rows, goals : list of dict
        See `measuring.measured`.
    """
    unit, name = rows[0]["unit"], rows[0]["case"]
    lines = [
        f"{name}: {what}",
        f"  {unit + ' a second':28} {'threads':>7} {'wall':>9} {'lowest … highest':>21} "
        f"{'per CPU s':>10} {'ours / it':>10} {'AUC':>6}",
    ]
    first = rows[0]["label"]
    base = {row["threads"]: row.get("per_second") for row in rows if row["label"] == first}
    for row in rows:
        start = f"  {row['label']:28} {row['threads']:7}"
        if "missing" in row:
            lines.append(f"{start}   not measured: {row['missing']}")
            continue
        spread = f"{shown(row['lowest'])} … {shown(row['highest'])}"
        numbers = f"{shown(row['per_second']):>9} {spread:>21} {shown(row['per_cpu_second']):>10}"
        quality = f"{row['auc']:.4f}" if "auc" in row else ""
        ratio = base[row["threads"]] / row["per_second"]
        lines.append(f"{start} {numbers} {ratio:10.3g} {quality:>6}".rstrip())
    for goal in goals:
        lines.append(
            f"  {goal['label']}: {_plain(goal['reached'])} × {goal['of']} ({goal['how']}), per CPU second "
            f"{_plain(goal['reached_per_cpu_second'])} ×; goal {_plain(goal['times'])} ×: "
            f"{goal['fraction']:.0%}"
        )
    return "\n".join(lines)


def _plain(number: float) -> str:
    """Three digits, never as a power."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def markdown(document: dict[str, Any], whats: dict[str, str], picture: str | None = None) -> str:
    """The report: one table of all cases and goals, then every measurement.

    Parameters
    ----------
    document : dict
        See `measuring.measured`.
    whats : dict of str to str
        What each case is.
    picture : str, optional
        File of the scaling curves, beside the report.
    """
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines = [
        "# How fast it is",
        "",
        f"{document['started']}; {machine['processor']}, {machine['cores']} cores, load {machine['load']} "
        f"at the beginning; {versions}. Medians of {document['rounds']} interleaved rounds, amounts a second "
        f"by the clock; {document['seconds']:.0f} s in all.",
    ]
    if document["tiny"]:
        lines += ["", "**Sizes of a test: the figures mean nothing.**"]
    plain = [row for row in document["rows"] if "curve" not in row]
    cases = {name: [row for row in plain if row["case"] == name] for name in _names(plain)}
    lines += ["", "## Cases and goals", "", *_overview(cases, document["goals"])]
    if picture is not None:
        lines += ["", "## How time grows", "", f"![Seconds against sizes, both axes logarithmic]({picture})"]
    lines += ["", "## Every measurement"]
    for name, rows in cases.items():
        lines += ["", f"**{name}**: {whats.get(name, '')}", "", *_details(rows)]
    curves = [row for row in document["rows"] if "curve" in row]
    if curves:
        lines += ["", "**curves**: seconds of one iteration over all training pairs, or of one AUC", ""]
        lines += _grid(
            ("curve", "value", "threads", "seconds", "a second", "per CPU second"),
            [
                (
                    row["curve"],
                    f"{row['value']:,}",
                    row["threads"],
                    f"{row['seconds']:.3g}",
                    shown(row["per_second"]),
                    shown(row["per_cpu_second"]),
                )
                for row in curves
            ],
        )
    return "\n".join(lines) + "\n"


def _names(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["case"] for row in rows))


def _overview(cases: dict[str, list[Row]], goals: list[Row]) -> list[str]:
    """One line a goal; the measurements stand in the first line of their case."""
    lines = []
    for name, rows in cases.items():
        cells = (f"{name}, {rows[0]['unit']}", *_figures(name, rows))
        own = [goal for goal in goals if goal["case"] == name]
        for goal in own or [None]:
            lines.append((*cells, *_goal(goal)))
            cells = ("",) * len(cells)
    head = ("case", "ours, 1 and 2 threads", "hogwild, 1 and 2", "best other program", "MyMediaLite", "bound")
    return _grid((*head, "goal", "reached"), lines)


def _figures(name: str, rows: list[Row]) -> tuple[str, ...]:
    ours = [row for row in rows if row["role"] == "ours"]
    first = ours[0]["label"] if ours else ""
    racing = next((row["label"] for row in ours if "hogwild" in row["label"]), "")
    peers = [
        row for row in rows if row["role"] == "peer" and row["threads"] == THREADS and "per_second" in row
    ]
    best = max(peers, key=lambda row: row["per_second"], default=None)
    media = [row for row in rows if row["label"] == "MyMediaLite" and "per_second" in row]
    media_rate = shown(media[0]["per_second"]) if media else ""
    if not media and name in MYMEDIALITE:
        media_rate = f"{shown(recorded(MYMEDIALITE[name]).rate)} a CPU second (recorded)"
    bounds = [row for row in rows if row["role"] == "bound"]
    labels = dict.fromkeys(row["label"] for row in bounds)
    several = "; ".join(f"{label.removeprefix('bound: ')}: {_by_threads(rows, label)}" for label in labels)
    return (
        _by_threads(rows, first),
        _by_threads(rows, racing),
        f"{best['label']} {shown(best['per_second'])}" if best else "",
        media_rate,
        several,
    )


def _by_threads(rows: list[Row], label: str) -> str:
    """Rates of one label, fewest threads first."""
    known = sorted((row["threads"], row) for row in rows if row["label"] == label and "per_second" in row)
    return " / ".join(shown(row["per_second"]) for _, row in known)


def _goal(goal: Row | None) -> tuple[str, str]:
    if goal is None:
        return "", ""
    whose = "" if goal["label"] in ("ours, ordered", "ours, top 10", "ours, counts alone") else goal["label"]
    how = "" if goal["how"] == "measured" else f" ({goal['how']})"
    aim = f"{whose} ≥ {_plain(goal['times'])} × {goal['of']}{how}".strip()
    verdict = "yes" if goal["fraction"] >= 1 else "no"
    reached, by_cpu = _plain(goal["reached"]), _plain(goal["reached_per_cpu_second"])
    return aim, f"{verdict}: {reached} ×, {by_cpu} × a CPU second"


def _details(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        start = (row["label"], row["threads"])
        if "missing" in row:
            lines.append((*start, f"not measured: {row['missing']}", "", "", ""))
            continue
        spread = f"{shown(row['lowest'])} … {shown(row['highest'])}"
        quality = f"{row['auc']:.4f}" if "auc" in row else ""
        lines.append((*start, shown(row["per_second"]), spread, shown(row["per_cpu_second"]), quality))
    head = (f"{rows[0]['unit']} a second", "threads", "median", "lowest … highest", "per CPU second", "AUC")
    return _grid(head, lines)


def _grid(head: tuple[str, ...], lines: Iterable[tuple[Any, ...]]) -> list[str]:
    """A Markdown table."""
    rows = [head, ("---",) * len(head), *lines]
    return ["| " + " | ".join(str(cell).strip() for cell in row) + " |" for row in rows]


def compared(old: dict[str, Any], new: dict[str, Any]) -> list[Row]:
    """What two documents have in common: rates of the new one over those of the old.

    Returns
    -------
    list of dict
        ``case label role threads wall cpu apart``; `apart`: the two spreads of rounds don't touch.
    """
    before = {_key(row): row for row in old["rows"] if "per_second" in row}
    found = []
    for row in new["rows"]:
        if "per_second" not in row or _key(row) not in before:
            continue
        then = before[_key(row)]
        found.append(
            {
                **{name: row[name] for name in ("case", "label", "role", "threads")},
                "wall": row["per_second"] / then["per_second"],
                "cpu": row["per_cpu_second"] / then["per_cpu_second"],
                "apart": row["lowest"] > then["highest"] or row["highest"] < then["lowest"],
            }
        )
    return found


def _key(row: Row) -> tuple[str, str, int]:
    return row["case"], row["label"], row["threads"]


def comparison(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Two documents as text; bounds and other programs show how much of it is the machine."""
    rows = compared(old, new)
    lines = [
        f"old: {old['started']}, {old['machine']['processor']}, {old['rounds']} rounds",
        f"new: {new['started']}, {new['machine']['processor']}, {new['rounds']} rounds",
        "",
        f"{'new / old':32} {'':28} {'threads':>7} {'wall':>7} {'CPU':>7}",
    ]
    for row in rows:
        mark = "" if row["apart"] else "  spreads touch"
        start = f"{row['case']:32} {row['label']:28} {row['threads']:7}"
        lines.append(f"{start} {row['wall']:7.2f} {row['cpu']:7.2f}{mark}")
    if not rows:
        lines.append("nothing was measured in both")
    return "\n".join(lines)
