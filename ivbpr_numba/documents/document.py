"""A result as a document: JSON with the name of its layout, and the same as flat rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Document", "Row", "columns_of", "schema_of"]

Row = Mapping[str, Any]


def schema_of(command: str) -> str:
    """Name and version of the layout of a command's document."""
    return f"ivbpr.{command}/1"


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Names of the columns that any row has, in the order in which they first appear."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return list(names)


@dataclass(frozen=True)
class Document:
    """The result of one command.

    Parameters
    ----------
    command : str
        Name in the schema: ``ivbpr.<command>/1``.
    content : mapping
        The JSON document without its schema.
    rows : sequence of mappings
        The same result as flat rows: the lines of ``csv`` and ``jsonl``.
    columns : sequence of str
        What to call the columns where there is no row that would tell.
    """

    command: str
    content: Mapping[str, Any]
    rows: Sequence[Row]
    columns: Sequence[str] = field(default=(), kw_only=True)

    @property
    def schema(self) -> str:
        """The name and version of the document's layout."""
        return schema_of(self.command)

    @property
    def header(self) -> list[str]:
        """Names of the columns of all rows."""
        return columns_of(self.rows) or list(self.columns)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {"schema": self.schema, **self.content}

    def lines(self) -> Iterator[dict[str, Any]]:
        """The rows as JSON documents of their own."""
        for row in self.rows:
            yield {"schema": self.schema, **row}
