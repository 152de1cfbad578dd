"""Tables for people: rows laid out in columns that fit the screen, and what that cost.

On a terminal a table is as wide as the terminal, elsewhere as wide as the variable ``COLUMNS`` says; where
neither tells, each row is one line, whatever its length, so that it can be searched with grep. Where a table
doesn't fit, its texts are wrapped or shortened a little, then the columns of `Table.drop` are left out, then
texts are shortened more, then columns are left out from the right; the first column and ids stay. Numbers
(also signed ones, intervals and dates), headers and ids are never split or cut: a line of nothing but those
may be too long.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ivbpr_numba.documents.document import Row, columns_of

__all__ = ["Layout", "Table", "as_cell", "facts", "lay_out", "percent", "screen_width"]

GAP = "  "
RULE = "─"
LISTED = 10  # of a list; the rest is a number
READABLE = (
    24  # characters of a text that is shortened or goes over several lines, while columns can be spared
)
SHORTEST = 12  # the same at the end
SPARED = ("tied_pairs", "pairs")
IDS = frozenset({"user", "item", "id"})
WRAPPED = frozenset({"value", "because", "first", "reason", "why", "step"})
OF_NUMBERS = frozenset("0123456789 .,:+-\N{MINUS SIGN}±%*–/×()")


@dataclass
class Table:
    """Rows for people: a column for every key that a row has.

    Parameters
    ----------
    rows : sequence of mappings
    title : str
    drop : sequence of str, or of tuples of str
        Columns to do without on a narrow screen, the first one first; `SPARED` where it says nothing.
        Those of a tuple go together.
    whole : collection of str
        Columns of text that are never cut, besides users and items.
    wrap : collection of str
        Columns of text that go over several lines instead of being cut, besides values and reasons.
    formats : mapping of str to callable
        How to write the values of a column, such as `percent`; the usual way where it says nothing.
    heads : mapping of str to str
        What to call a column; its key, with spaces, where it says nothing.
    """

    rows: Sequence[Row]
    title: str = ""
    drop: Sequence[str | tuple[str, ...]] = SPARED
    whole: Collection[str] = ()
    wrap: Collection[str] = ()
    formats: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    heads: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """A table as lines of text.

    Attributes
    ----------
    head : sequence of str
        The line of headers and the rule below it.
    body : sequence of str
    dropped, shortened : sequence of str
        Headers of the columns that are not there, or not whole.
    """

    head: Sequence[str]
    body: Sequence[str]
    dropped: Sequence[str] = ()
    shortened: Sequence[str] = ()


@dataclass
class _Column:
    head: str
    cells: list[str]
    right: bool = False  # numbers
    rigid: bool = False
    wraps: bool = False
    word: int = 0  # the longest word of one that wraps
    own: int = 0
    width: int = 0


def facts(document: Row, title: str = "", leave: Collection[str] = ()) -> Table:
    """The single values of a document as two columns; what is nested, a digest, or in `leave` is left out."""
    plain = {
        key: value
        for key, value in document.items()
        if not isinstance(value, dict | list) and key not in leave and not key.endswith("sha256")
    }
    return Table([{"what": key.replace("_", " "), "value": value} for key, value in plain.items()], title)


def screen_width(stream: Any) -> int | None:
    """Columns of the screen behind a stream; None where lines may have any length.

    ``COLUMNS`` decides where it is a positive number, else the terminal, else nothing.
    """
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdecimal() and int(named):
        return int(named)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def percent(value: float | None, digits: int = 1) -> str:
    """A share as 99.6 %."""
    return as_cell(None) if value is None else f"{_unsigned(f'{100 * value:.{digits}f}')} %"


def as_cell(value: object) -> str:
    """One value as people read it."""
    if value is None or value == "" or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _unsigned(f"{value:.4f}") if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        more = [f"and {len(value) - LISTED:,} more"] if len(value) > LISTED else []
        return ", ".join([*map(as_cell, value[:LISTED]), *more]) or "–"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def lay_out(table: Table, width: int | None = None) -> Layout:
    """The rows of a table as lines of at most `width` characters, where its ids and numbers allow that.

    Parameters
    ----------
    table : Table
    width : int, optional
        Without it every row is one line.
    """
    columns = {name: _column(table, name) for name in columns_of(table.rows)}
    kept = list(columns)
    if width is not None:
        for gone, least in _ways(list(columns), table):
            kept = [name for name in columns if name not in gone]
            if _fit([columns[name] for name in kept], width, least):
                break
    shown = [columns[name] for name in kept]
    return Layout(
        _head(shown),
        list(_body(shown)),
        [columns[name].head for name in columns if name not in kept],
        [one.head for one in shown if one.width < one.own and not one.wraps],
    )


def _ways(names: list[str], table: Table) -> Iterator[tuple[set[str], int]]:
    """Which columns to leave out, and how short texts may become; what loses least comes first."""
    spared: list[str] = []
    yield set(), READABLE
    for together in table.drop:
        together = (together,) if isinstance(together, str) else together
        spared += [name for name in together if name in names[1:]]
        yield set(spared), READABLE
    fixed = {names[0], *spared, *table.whole} | IDS
    last = [name for name in reversed(names) if name not in fixed]
    for count in range(len(last) + 1):
        yield {*spared, *last[:count]}, SHORTEST


def _column(table: Table, name: str) -> _Column:
    from rich.cells import cell_len

    values = [row.get(name) for row in table.rows]
    write = table.formats.get(name, as_cell)
    column = _Column(table.heads.get(name, str(name).replace("_", " ")), [write(value) for value in values])
    column.right = all(_is_number(value) for value in values)
    column.wraps = not column.right and (name in WRAPPED or name in table.wrap)
    if column.wraps:
        column.word = max((cell_len(w) for text in column.cells for w in text.split()), default=0)
    column.own = column.width = max(cell_len(text) for text in (column.head, *column.cells))
    figures = all(set(text.replace(" to ", " ")) <= OF_NUMBERS for text in column.cells)
    column.rigid = column.right or figures or name in IDS or name in table.whole
    return column


def _fit(columns: list[_Column], width: int, least: int) -> bool:
    """Narrow the widest texts until all columns fit; whether they do."""
    for one in columns:
        one.width = one.own
    room = width - len(GAP) * (len(columns) - 1)
    while (excess := sum(one.width for one in columns) - room) > 0:
        soft = [one for one in columns if not one.rigid and one.width > _lowest(one, least)]
        if not soft:
            return False
        widest = max(soft, key=lambda one: one.width)
        second = max((one.width for one in soft if one is not widest), default=0)
        widest.width = max(_lowest(widest, least), widest.width - excess, min(second, widest.width - 1))
    return True


def _lowest(column: _Column, least: int) -> int:
    """How narrow a text may become; while columns can be left out instead, its words stay in one line."""
    from rich.cells import cell_len

    word = column.word if least == READABLE else min(column.word, READABLE)
    return max(least, cell_len(column.head), word)


def _head(columns: list[_Column]) -> list[str]:
    line = GAP.join(_padded(one.head, one.width, one.right) for one in columns).rstrip()
    return [line, RULE * (sum(one.width for one in columns) + len(GAP) * (len(columns) - 1))]


def _body(columns: list[_Column]) -> Iterator[str]:
    for cells in zip(*(one.cells for one in columns)):
        pieces = [_pieces(text, one) for text, one in zip(cells, columns)]
        for n in range(max(len(piece) for piece in pieces)):
            line = [piece[n] if n < len(piece) else "" for piece in pieces]
            yield GAP.join(_padded(t, one.width, one.right) for t, one in zip(line, columns)).rstrip()


def _pieces(text: str, column: _Column) -> list[str]:
    """The lines of one cell."""
    from rich.cells import cell_len, set_cell_size
    from rich.console import Console
    from rich.text import Text

    if cell_len(text) <= column.width:
        return [text]
    if column.wraps:
        console = Console(width=column.width)
        text = " ".join(_breakable(word, column.width) for word in text.split(" "))
        return [str(line).rstrip() for line in Text(text).wrap(console, column.width, overflow="fold")]
    return [set_cell_size(text, column.width - 1).rstrip() + "…"]


def _breakable(word: str, width: int) -> str:
    """A word longer than the column, in parts that end after ``=``, or else ``_``, where that is possible."""
    from rich.cells import cell_len

    if cell_len(word) <= width:
        return word
    for sign in "=_":
        ends = [n for n, one in enumerate(word, 1) if one == sign and cell_len(word[:n]) <= width]
        if ends and ends[-1] < len(word):
            return f"{word[: ends[-1]]} {_breakable(word[ends[-1] :], width)}"
    return word


def _padded(text: str, width: int, right: bool) -> str:
    from rich.cells import cell_len

    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _unsigned(text: str) -> str:
    """A number without the minus of a zero."""
    return text.lstrip("-") if float(text) == 0 else text
