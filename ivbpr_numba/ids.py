"""Ids of users and items: text outside, row numbers inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from ivbpr_numba.errors import DataError, did_you_mean

__all__ = ["Ids", "encode_ids", "id_text"]


LARGEST_FLOAT = 2**53  # from here on neighbouring whole numbers are one and the same float


def id_text(value: object) -> str | None:
    """The one text of an id, wherever it comes from; None where it is missing (None, NaN, NaT, NA).

    Text stays as it is, so leading zeros survive. Whole numbers become their decimals, also where they are
    stored as floats, as pandas does to a column of integers in which one is missing: 1 and 1.0 are one id.

    Raises
    ------
    TypeError
        It is neither text nor a whole number: a truth value, 1.5, a list, a float above 2⁵³.
    """
    if isinstance(value, str):
        return value
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if number != number:
            return None
        if number.is_integer() and abs(number) < LARGEST_FLOAT:
            return str(int(number))
    raise TypeError("neither text nor a whole number")


def encode_ids(texts: Iterable[object]) -> np.ndarray:
    """Turn ids into a fixed-width UTF-8 byte array, in the order given; see `id_text`.

    Raises
    ------
    DataError
        For an id that is missing or empty, neither text nor a whole number, or holds NUL (fixed-width storage
        cannot keep it).
    """
    encoded = [t if isinstance(t, bytes) else _encoded(t, n) for n, t in enumerate(texts)]
    for position, value in enumerate(encoded):
        if not value:
            raise DataError(f"The id at position {position} is empty.", "Give every row an id.")
        if b"\0" in value:
            raise DataError(
                f"The id {value!r} at position {position} contains NUL.", "Remove NUL bytes from ids."
            )
    width = max((len(v) for v in encoded), default=1)
    return np.array(encoded, dtype=f"S{width}")


def _encoded(value: object, position: int) -> bytes:
    try:
        return (id_text(value) or "").encode()
    except TypeError as problem:
        raise DataError(
            f"The id {str(value)[:80]!r} at position {position} is {problem}.", "Give ids as text."
        ) from None
    except ValueError:  # half a character, or a number of thousands of digits
        raise DataError(f"The id at position {position} is no valid text.", "Give ids as text.") from None


class Ids(Sequence[str]):
    """A sorted set of ids and the way between ids and row numbers; to the outside a sequence of texts.

    ``ids[:3]`` and ``ids[rows]`` are lists, ``"17" in ids`` and ``list(ids)`` do what they say, and NumPy and
    pandas take it as it is.

    Parameters
    ----------
    values : ndarray of bytes, shape (n,)
        Distinct UTF-8 ids in ascending byte order.
    what : str
        "user" or "item", for messages.
    """

    def __init__(self, values: np.ndarray, what: str = "id") -> None:
        values = np.asarray(values)
        if values.dtype.kind != "S":
            values = encode_ids(values.tolist())
        if len(values) > 1 and not bool(np.all(values[1:] > values[:-1])):
            raise DataError(
                f"The {what} ids are not distinct and sorted by their UTF-8 bytes.", "Rebuild the file."
            )
        self.values = values
        self.what = what

    @classmethod
    def collect(cls, texts: Iterable[object], what: str = "id") -> Ids:
        """Build from ids in any order, with repetitions."""
        return cls(np.unique(encode_ids(texts)), what)

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice | Sequence[int] | np.ndarray) -> list[str]: ...

    def __getitem__(self, row: int | slice | Sequence[int] | np.ndarray) -> str | list[str]:
        if isinstance(row, slice | list) or (isinstance(row, np.ndarray) and row.ndim):
            return [value.decode() for value in self.values[row].tolist()]
        return bytes(self.values[row]).decode()

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts())

    def __contains__(self, identifier: object) -> bool:
        try:
            return int(self.find([identifier])[0]) >= 0
        except DataError:  # what can't be an id is none
            return False

    def __eq__(self, other: object) -> bool:
        """The same ids in the same order, whatever they are ids of; a list of texts may be compared too."""
        if isinstance(other, list):
            return self.texts() == other
        if not isinstance(other, Ids):
            return NotImplemented
        return len(self) == len(other) and bool(np.all(self.values == other.values))

    def __hash__(self) -> int:
        return hash((len(self), self.values.tobytes()))

    def __repr__(self) -> str:
        begin = ", ".join(repr(text if len(text) <= 40 else f"{text[:40]}…") for text in self[:3])
        return f"Ids({len(self):,} {self.what}s: {begin}{', …' if len(self) > 3 else ''})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The texts, as NumPy and pandas ask for them."""
        return np.array(self.texts(), dtype=object if dtype is None else dtype)

    def texts(self) -> list[str]:
        """All ids as text, by row."""
        return [v.decode() for v in self.values.tolist()]

    def tolist(self) -> list[str]:
        """All ids as text, by row: `texts` by the name that NumPy and pandas have for it."""
        return self.texts()

    def find(self, ids: np.ndarray | Iterable[object]) -> np.ndarray:
        """Row numbers (int64) of `ids`, −1 where unknown."""
        wanted = ids if isinstance(ids, np.ndarray) and ids.dtype.kind == "S" else encode_ids(ids)
        if len(self.values) == 0:
            return np.full(len(wanted), -1, dtype=np.int64)
        # searchsorted needs one common width; numpy widens S arrays by itself.
        rows = np.minimum(np.searchsorted(self.values, wanted), len(self.values) - 1)
        return np.where(self.values[rows] == wanted, rows, -1).astype(np.int64)

    def row(self, identifier: object) -> int:
        """Row number of one id.

        ``index`` of a list, with an error that helps.

        Raises
        ------
        DataError
            When the id is unknown; the hint names a near miss.
        """
        found = int(self.find([identifier])[0])
        if found < 0:
            known = self.texts() if len(self) <= 200_000 else []
            hint = did_you_mean(str(identifier), known) or f"This data knows {len(self):,} {self.what}s."
            raise DataError(f"Unknown {self.what} '{identifier}'.", hint)
        return found
