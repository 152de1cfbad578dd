"""From the text of a query to what is asked: bounded, checked against the table of routes, in order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from ivbpr_cli.web.refusals import Refused
from ivbpr_cli.web.routes import LONGEST, Route
from ivbpr_numba.errors import did_you_mean

__all__ = ["Query", "conditions", "read_query"]

MOST_PAIRS = 200
MOST_QUERY = 12_000  # bytes


@dataclass(frozen=True)
class Query:
    """The parameters of one request, as they came.

    Attributes
    ----------
    route : Route
    pairs : tuple of (str, str)
        Name and value; the order tells in which order steps were taken.
    """

    route: Route
    pairs: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for own, value in self.pairs if own == name]

    def one(self, name: str) -> str | None:
        """The value of a parameter that stands once; None where it is absent or empty."""
        return next((value for value in self.all(name) if value), None)

    def number(self, name: str) -> int:
        """A whole number within its bounds, or the default."""
        known = self.route.parameters[name]
        text = self.one(name)
        if text is None:
            assert known.default is not None
            return known.default
        if not re.fullmatch(r"[0-9]{1,9}", text) or not known.low <= int(text) <= known.high:
            raise Refused(
                400, f"{name}={text}: not a number from {known.low} to {known.high}.", "Give such a number."
            )
        return int(text)

    def link(self, *without: str) -> str:
        """The same as the query of an address, without some parameters."""
        kept = [(name, value) for name, value in self.pairs if value and name not in without]
        return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in kept)


def read_query(route: Route, text: bytes) -> Query:
    """Read what stands behind the ``?`` of an address.

    Raises
    ------
    Refused
        414 where it is too long; 400 for what is no text, an unknown parameter, one that stands too often or
        whose value is too long or none of its choices.
    """
    if len(text) > MOST_QUERY:
        raise Refused(414, f"The query has {len(text):,} bytes.", f"At most {MOST_QUERY:,} are read.")
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PAIRS
        )
    except UnicodeDecodeError:
        raise Refused(400, "The query is no UTF-8 text.", "Encode it as a URL.") from None
    except ValueError:
        raise Refused(400, "The query has too many parameters.", f"At most {MOST_PAIRS}.") from None
    for name, value in pairs:
        _check(route, name, value)
    for name, count in Counter(name for name, _ in pairs).items():
        most = route.parameters[name].most
        if count > most:
            raise Refused(400, f"{name} stands {count} times.", f"It may stand {most} times.")
    return Query(route, tuple(pairs))


def _check(route: Route, name: str, value: str) -> None:
    known = route.parameters.get(name)
    if known is None:
        hint = did_you_mean(name[:LONGEST], route.parameters)
        if not hint:
            hint = f"Known: {', '.join(route.parameters)}." if route.parameters else "It takes none."
        raise Refused(400, f"{route.path} has no parameter '{name[:40]}'.", hint)
    if len(value) > LONGEST or "\0" in value:
        raise Refused(
            400, f"The value of {name} is no text of up to {LONGEST} characters.", "Give a shorter one."
        )
    if value and known.choices and value not in known.choices:
        hint = did_you_mean(value, known.choices) or f"Use {' or '.join(known.choices)}."
        raise Refused(400, f"{name}={value}: there is no such choice.", hint)


def conditions(query: Query, columns: Iterable[str]) -> dict[str, list[str]]:
    """Values by column from every ``where=COLUMN:VALUE``.

    Parameters
    ----------
    query : Query
    columns : iterable of str
        Those of the items: where the name of one has a colon, as ``g:color``, the longest that fits is meant.

    Raises
    ------
    Refused
        A condition without colon.
    """
    known = sorted(columns, key=len, reverse=True)
    found: dict[str, list[str]] = {}
    for text in query.all("where"):
        column, colon, value = text.partition(":")
        for one in known:
            if text.startswith(f"{one}:"):
                column, value = one, text[len(one) + 1 :]
                break
        if not (column and colon):
            raise Refused(400, f"where={text}: not of the form COLUMN:VALUE.", "Write where=colour:Black.")
        found.setdefault(column, []).append(value)
    return found
