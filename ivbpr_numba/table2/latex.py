"""The table as LaTeX, with booktabs: a line a corpus and setting, the errors small below the figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.table2.columns import title_of
from ivbpr_numba.table2.ordering import LEVEL, NAMES
from ivbpr_numba.table2.paper import paper_rows
from ivbpr_numba.table2.text import lines_of, three

if TYPE_CHECKING:
    from ivbpr_numba.table2.table import Table

__all__ = ["latex_of"]

HEAD = "% Made by ivbpr table2; needs \\usepackage{booktabs,graphicx}."
_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
}


def latex_of(table: Table, paper: bool) -> str:
    """A ``table`` environment; see `Table.latex`."""
    columns = table.columns
    lines = [
        HEAD,
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_caption(table)}}}",
        "  \\label{tab:auc}",
        "  \\smallskip",
        "  \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
        f"  \\begin{{tabular}}{{@{{}}ll{'r' * len(columns)}@{{}}}}",
        "    \\toprule",
        f"    Corpus & Setting & {' & '.join(escape(title_of(one)) for one in columns)} \\\\",
        *_body(table.rows, columns, _better(table)),
    ]
    if paper:
        known = paper_rows()
        width = len(columns) + 2
        lines += [
            "    \\midrule",
            f"    \\multicolumn{{{width}}}{{@{{}}l}}{{\\emph{{Another corpus: Amazon, as Packer "
            "et al.\\ (2018) report it}} \\\\",
            *_body(known, columns, {}),
        ]
    lines += ["    \\bottomrule", "  \\end{tabular}}", "\\end{table}", ""]
    return "\n".join(lines)


def _better(table: Table) -> dict[tuple[str, str, str], bool]:
    """Which columns are better than their left neighbour beyond chance."""
    return {
        (row["subset"], row["setting"], row["b"]): True
        for row in table.differences
        if row["neighbours"] and row["p_holm"] is not None and row["p_holm"] < LEVEL and row["ci95_low"] > 0
    }


def _body(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], better: Mapping[tuple[str, str, str], bool]
) -> Iterator[str]:
    before = None
    for subset, setting, own in lines_of(rows):
        if subset != before:
            yield "    \\midrule"
        best = max((own[c]["auc"] or 0.0 for c in columns if c in own), default=0.0)
        figures, errors = [], []
        for column in columns:
            row = own.get(column)
            value = None if row is None else row["auc"]
            text = "--" if value is None else three(value)
            if value is not None and value == best:
                text = f"\\textbf{{{text}}}"
            star = "\\rlap{$^*$}" if better.get((subset, setting, column)) else ""
            error = None if row is None else row.get("stderr")
            figures.append(text + star)
            errors.append("" if error is None else f"{{\\scriptsize$\\pm${three(error)}}}")
        head = escape(subset) if subset != before else ""
        yield f"    {head} & {NAMES[setting]} & {' & '.join(figures)} \\\\"
        if any(errors):
            yield f"     & & {' & '.join(errors)} \\\\"
        before = subset


def _caption(table: Table) -> str:
    asked = table.asked
    users = ", ".join(f"{escape(one['name'])}: {one['users']:,} users" for one in table.subsets[:3])
    more = "" if len(table.subsets) <= 3 else ", \\dots"
    runs = f"mean of {table.runs} runs" if table.runs > 1 else "one run"
    tuned = f", options tuned by validation ({asked['tune']} trials)" if asked["tune"] else ""
    both = "over users and runs" if table.runs > 1 else "over users"
    return (
        f"AUC on held-out purchases ({users}{more}), {runs}{tuned}; below it the standard error {both}. "
        "Bold: the highest of a line. $^*$: better than the column to its left, paired bootstrap over users "
        "with Holm's correction, $p < .05$."
    )


def escape(text: str) -> str:
    """Text in which nothing is a command of LaTeX."""
    return "".join(_SPECIAL.get(c, c) for c in text)
