"""Lines that can't be used: counted by reason, the first ones named, fatal on request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ivbpr_numba.errors import DataError, parameter
from ivbpr_numba.wording import first_of

__all__ = ["NOT_UTF8", "RECODE", "BadLines", "summarise"]

_NAMED = 5
NOT_UTF8 = "not UTF-8"
RECODE = "Convert it: iconv -f latin1 -t utf-8, or from whatever encoding it has."


@dataclass
class BadLines:
    """What was wrong in one input.

    Attributes
    ----------
    name : str
        Of the input, for messages.
    strict : bool
        Raise DataError at the first bad line.
    always : bool
        There is no option that makes it count bad lines instead.
    unit : str
        What is counted: ``line``, or ``row`` where the format has no lines.
    reasons : dict of str to (count, first line numbers)
    """

    name: str
    strict: bool = False
    unit: str = "line"
    always: bool = False
    reasons: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    def add(self, line: int, reason: str) -> None:
        """Record one line.

        Raises
        ------
        DataError
            When strict.
        """
        if self.strict:
            hint = RECODE if reason == NOT_UTF8 else "Mend it."
            if not self.always:
                hint = f"{hint.removesuffix('.')}, or leave out {parameter('strict', True)}."
            raise DataError(f"'{self.name}', {self.unit} {line}: {reason}.", hint)
        count, first = self.reasons.get(reason, (0, []))
        self.reasons[reason] = (count + 1, [*first, line] if len(first) < _NAMED else first)

    def add_all(self, lines: Iterable[int], reason: str) -> None:
        """Record several lines with one reason."""
        for line in lines:
            self.add(int(line), reason)

    def join(self, after: BadLines, lines_before: int) -> None:
        """Take over those of the lines behind these, which were counted from 1."""
        for reason, (count, lines) in after.reasons.items():
            own, first = self.reasons.get(reason, (0, []))
            shifted = [line + lines_before for line in lines]
            self.reasons[reason] = (own + count, [*first, *shifted][:_NAMED])

    @property
    def count(self) -> int:
        """All bad lines."""
        return sum(count for count, _ in self.reasons.values())

    @property
    def advice(self) -> str:
        """What helps against the most frequent reason, empty where that is not known."""
        return RECODE if self.reasons and self.rows()[0]["reason"] == NOT_UTF8 else ""

    def rows(self) -> list[dict[str, Any]]:
        """``reason count first`` of each reason, the most frequent first."""
        ordered = sorted(self.reasons.items(), key=lambda entry: (-entry[1][0], entry[0]))
        return [
            {"reason": reason, "count": n, f"first_{self.unit}s": first} for reason, (n, first) in ordered
        ]

    def summary(self) -> str:
        """One sentence about them, empty when there are none."""
        return summarise(self.rows())


def summarise(rows: list[dict[str, Any]]) -> str:
    """One sentence about what `BadLines.rows` gave."""
    parts = []
    for row in rows:
        reason, count, first = row.values()
        unit = list(row)[2].removeprefix("first_").removesuffix("s")
        parts.append(f"{count:,} × {reason} ({unit} {first_of(first, count)})")
    return "; ".join(parts)
