"""The table as text to take away: CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.table2.columns import SETTINGS, title_of
from ivbpr_numba.table2.ordering import NAMES
from ivbpr_numba.table2.paper import CORPUS, paper_rows

if TYPE_CHECKING:
    from ivbpr_numba.table2.table import Table

__all__ = ["Line", "csv_of", "lines_of", "markdown_of", "three"]

Line = tuple[str, str, dict[str, Mapping[str, Any]]]


def lines_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """Corpus, setting and the rows by column: a line of the paper's layout."""
    for subset in dict.fromkeys(row["subset"] for row in rows):
        for setting in SETTINGS:
            own = [row for row in rows if row["subset"] == subset and row["setting"] == setting]
            if own:
                yield subset, setting, {row["model"]: row for row in own}


def three(value: float | None) -> str:
    """A figure below 1 as the paper's field writes it: .781."""
    if value is None:
        return "–"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def csv_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def markdown_of(table: Table, paper: bool) -> str:
    """The paper's layout, the best of each line bold; then what the figures rest on."""
    columns = table.columns
    sizes = "; ".join(
        f"{_plain(one['name'])}: {one['users']:,} users, {one['items']:,} items" for one in table.subsets
    )
    parts = [f"AUC ± standard error. {sizes}.", "\n".join(_lines(table.rows, columns, errors=True))]
    if paper:
        shown = [name for name in columns if any(row["model"] == name for row in paper_rows())]
        parts.append(f"Beside it: {CORPUS}.")
        parts.append("\n".join(_lines(paper_rows(), shown, errors=False)))
    parts.append("\n".join(_costs(table)))
    parts += table.words()
    parts += table.notes()
    return "\n\n".join(parts) + "\n"


def _lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], errors: bool) -> Iterator[str]:
    yield _joined(["corpus", "setting", *map(title_of, columns)])
    yield _joined(["---", "---", *["---:"] * len(columns)])
    for subset, setting, own in lines_of(rows):
        best = max((own[c]["auc"] or 0.0 for c in columns if c in own), default=0.0)
        cells = []
        for column in columns:
            row = own.get(column)
            text = "–" if row is None else three(row["auc"])
            if row is not None and row["auc"] is not None and row["auc"] == best:
                text = f"**{text}**"
            error = row.get("stderr") if row is not None and errors else None
            cells.append(text if error is None else f"{text} ±{three(error)}")
        yield _joined([_plain(subset), NAMES[setting], *cells])


def _costs(table: Table) -> Iterator[str]:
    """Of the first corpus: parameters, seconds, what tuning chose."""
    first = table.subsets[0]["name"]
    rows = [row for row in table.rows if row["subset"] == first and row["setting"] == "all"]
    tuned = any(row["chosen"] for row in rows)
    yield _joined(["model", "parameters", "of features", "seconds a fit", *(["chosen"] if tuned else [])])
    yield _joined(["---", "---:", "---:", "---:", *(["---"] if tuned else [])])
    for row in rows:
        cells = [title_of(row["model"]), f"{row['parameters']:,}", f"{row['feature_parameters']:,}"]
        cells.append(f"{row['seconds']:.1f}")
        yield _joined([*cells, *([_plain(chosen_words(row["chosen"]))] if tuned else [])])


def chosen_words(chosen: Mapping[str, Sequence[Any]]) -> str:
    """What tuning chose: each option with its value, or its values run by run."""
    parts = []
    for name, values in chosen.items():
        different = list(dict.fromkeys(map(_value, values)))
        parts.append(f"{name} {different[0] if len(different) == 1 else ' / '.join(map(_value, values))}")
    return ", ".join(parts)


def _value(value: Any) -> str:
    if value is None:
        return "default"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _joined(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text in which nothing is Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)
