"""Ids numbered in the order in which they come, for files too large to keep their ids as Python text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.ids import id_text

__all__ = ["LONGEST_ID", "REASONS", "IdIndex"]

LONGEST_ID = 1024  # bytes
# What is wrong with an id, by the negative number it gets instead of a code.
REASONS = {
    -1: "empty",
    -2: f"longer than {LONGEST_ID} bytes",
    -3: "with NUL",
    -4: "neither text nor a whole number",
    -5: "no valid text",
}


class IdIndex:
    """A growing table of distinct ids; 20 to 45 bytes an id, besides its own bytes.

    Codes are 0, 1, … in the order of first appearance.

    Attributes
    ----------
    floats : int
        How many of the ids that were added came as floats (17.0, taken as 17).
    """

    def __init__(self) -> None:
        self.floats = 0
        self._count = 0
        self._arena = np.zeros(1 << 12, np.uint8)
        self._offsets = np.zeros(1 << 8, np.int64)
        self._slots = np.full(1 << 9, -1, np.int64)

    @classmethod
    def of(cls, values: np.ndarray) -> IdIndex:
        """Number distinct ids, fixed-width UTF-8, by their position."""
        index = cls()
        index.add_text(b"\0".join(values.tolist()) + b"\0", len(values))
        return index

    def __len__(self) -> int:
        return self._count

    def add(self, values: Sequence[Any]) -> np.ndarray:
        """Number the ids of `values`, text or whole numbers.

        Returns
        -------
        (n,) int32
            Codes; negative for unusable ids, see `REASONS`.
        """
        return self._number(values, add=True)

    def add_text(self, text: bytes, n: int) -> np.ndarray:
        """Number n ids, given as UTF-8 with NUL behind each; see `add`."""
        return self._number_text(text, n, add=True) if n else np.zeros(0, np.int32)

    def text(self) -> bytes:
        """All ids, in their order, as UTF-8 with NUL behind each."""
        lengths = np.diff(self._offsets[: self._count + 1])
        total = int(lengths.sum())
        out = np.zeros(total + self._count, np.uint8)
        out[np.arange(total) + np.repeat(np.arange(self._count), lengths)] = self._arena[:total]
        return out.tobytes()

    def find(self, values: Sequence[Any]) -> np.ndarray:
        """Codes (int32) of `values`, negative where unknown or unusable."""
        return self._number(values, add=False)

    def find_bytes(self, values: np.ndarray) -> np.ndarray:
        """Codes (int32) of ids given as fixed-width UTF-8, negative where unknown."""
        if not len(values):
            return np.zeros(0, np.int32)
        return self._number_text(b"\0".join(values.tolist()) + b"\0", len(values), add=False)

    def take(self, codes: np.ndarray) -> np.ndarray:
        """Ids of these codes as fixed-width UTF-8."""
        codes = np.asarray(codes, dtype=np.int64)
        lengths = np.diff(self._offsets[: self._count + 1])[codes]
        width = int(lengths.max(initial=1))
        out = np.zeros((len(codes), width), np.uint8)
        backends.kernels().gather_ids(self._arena, self._offsets, codes, out)
        return out.reshape(-1).view(f"S{width}")

    def _number(self, values: Sequence[Any], add: bool) -> np.ndarray:
        if not len(values):
            return np.zeros(0, np.int32)
        try:
            text = "\0".join(values).encode() + b"\0"
        except (TypeError, UnicodeEncodeError):
            return self._number_one_by_one(values, add)
        if text.count(b"\0") != len(values):
            return self._number_one_by_one(values, add)
        return self._number_text(text, len(values), add)

    def _number_one_by_one(self, values: Sequence[Any], add: bool) -> np.ndarray:
        good: list[bytes] = []
        wrong = np.zeros(len(values), np.int32)
        for k, value in enumerate(values):
            data, wrong[k] = _encode(value)
            good.append(data)
            self.floats += add and isinstance(value, float) and wrong[k] == 0
        codes = self._number_text(b"\0".join(good) + b"\0", len(good), add)
        return np.where(wrong < 0, wrong, codes).astype(np.int32)

    def _number_text(self, text: bytes, n: int, add: bool) -> np.ndarray:
        out = np.empty(n, np.int32)
        if add:
            self._make_room(n, len(text))
        self._count = backends.kernels().number_ids(
            np.frombuffer(text, np.uint8),
            n,
            LONGEST_ID,
            add,
            self._arena,
            self._offsets,
            self._slots,
            self._count,
            np.empty((4, n), np.int64),
            out,
        )
        return out

    def _make_room(self, n: int, size: int) -> None:
        used = int(self._offsets[self._count])
        # resize() extends in place: no second copy of a large table.
        if used + size > len(self._arena):
            self._arena.resize(max(used + size, len(self._arena) * 3 // 2), refcheck=False)
        if self._count + n + 1 > len(self._offsets):
            larger = max(self._count + n + 1, len(self._offsets) * 3 // 2)
            self._offsets.resize(larger, refcheck=False)
        if 3 * (self._count + n) > 2 * len(self._slots):
            slots = np.full(1 << (3 * (self._count + n) // 2).bit_length(), -1, np.int64)
            backends.kernels().rebuild_slots(self._slots, slots)
            self._slots = slots


def _encode(value: Any) -> tuple[bytes, int]:
    """UTF-8 of an id and 0, or nothing and the negative number of what is wrong with it."""
    try:
        text = id_text(value)
        data = (text or "").encode()
    except TypeError:
        return b"", -4
    except UnicodeEncodeError:
        return b"", -5
    except ValueError:  # Python refuses to print whole numbers of thousands of digits
        return b"", -2
    if text is None:
        return b"", -1
    return (b"", -3) if b"\0" in data else (data, 0)
