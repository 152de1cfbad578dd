"""Finding users and items by a part of their id or title, over millions of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ivbpr_numba.ids import Ids

__all__ = ["Found", "TextIndex"]

MOST = 10_000  # lines that a search looks at; a word of one letter is in nearly all

END = b"\n"


class Found(NamedTuple):
    """What a search found.

    Attributes
    ----------
    rows : (m,) int64
        The best first.
    total : int
        How many fit.
    more : bool
        Whether there are still others, which weren't looked at.
    """

    rows: np.ndarray
    total: int
    more: bool


class TextIndex:
    """The texts of rows as one block of bytes, searched as a whole.

    Parameters
    ----------
    ids : Ids
    titles : (n,) array of UTF-8 bytes, optional
    weight : (n,) numbers, optional
        Of two rows that fit equally well the one with more of it comes first.
    """

    def __init__(self, ids: Ids, titles: np.ndarray | None = None, weight: np.ndarray | None = None) -> None:
        own = ids.values.tolist()
        shown: Sequence[bytes] = [b""] * len(own) if titles is None else titles.tolist()
        lines = [_folded(one.decode()) + b"\t" + _folded(title.decode()) for one, title in zip(own, shown)]
        self._text = END.join([b"", *lines, b""])
        sizes = np.fromiter((len(line) + 1 for line in lines), np.int64, len(lines))
        self._begin = np.concatenate([[1], 1 + np.cumsum(sizes)])  # of each line, and the end of the last
        self._weight = np.zeros(len(lines)) if weight is None else np.asarray(weight, dtype=np.float64)

    def search(self, text: str, n: int, allowed: np.ndarray | None = None) -> Found:
        """Rows whose id or title has every word of `text`, capital or small.

        First comes the id itself, then ids that begin with the text, then titles in which a word does, then
        the rest; of equals those of more weight, then the smaller row.

        Parameters
        ----------
        text : str
        n : int
            At most so many.
        allowed : (n,) bool, optional
            Rows that may be found.
        """
        words = _folded(text).split()
        if not words:
            return Found(np.zeros(0, np.int64), 0, False)
        longest = max(words, key=len)
        rows, more = self._with(longest)
        if allowed is not None:
            rows = rows[allowed[rows]]
        others = [word for word in words if word is not longest]
        lines = {row: self._line(row) for row in rows.tolist()}
        if others:
            rows = np.array([row for row in lines if all(w in lines[row] for w in others)], np.int64)
        whole = b" ".join(words)
        rank = np.array([_rank(lines[row], whole) for row in rows.tolist()], np.int64)
        order = np.lexsort((rows, -self._weight[rows], rank))
        return Found(rows[order][:n], len(rows), more)

    def _line(self, row: int) -> bytes:
        return self._text[self._begin[row] : self._begin[row + 1] - 1]

    def _with(self, word: bytes) -> tuple[np.ndarray, bool]:
        """The first rows whose line holds a word, ascending, at most `MOST`; and whether there are more."""
        # What comes after a hit in its line is skipped, so that a line counts once.
        pattern = re.compile(re.escape(word) + rb"[^\n]*")
        places: list[int] = []
        for hit in pattern.finditer(self._text):
            if len(places) == MOST:
                return self._rows_at(places), True
            places.append(hit.start())
        return self._rows_at(places), False

    def _rows_at(self, places: list[int]) -> np.ndarray:
        return np.searchsorted(self._begin, np.array(places, np.int64), side="right") - 1


def _folded(text: str) -> bytes:
    """As texts are compared: small letters, one space between words, no line end."""
    return " ".join(text.casefold().split()).encode("utf-8", "replace")


def _rank(line: bytes, text: bytes) -> int:
    own, _, title = line.partition(b"\t")
    if own == text:
        return 0
    if own.startswith(text):
        return 1
    if title.startswith(text) or b" " + text in title:
        return 2
    return 3
