"""What rounding to a stored type costs, column by column."""

from __future__ import annotations

import numpy as np

__all__ = ["LEVELS", "Rounding"]

LEVELS = 32  # steps over the range of a column, below which it is lost rather than rounded


class Rounding:
    """How far stored values are from the true ones, beside the range of each column.

    A column is lost where values are off by so much that fewer than `LEVELS` steps remain between its least
    and its largest value (a column of one value: where that is off by as large a share of itself). That is
    what happens to 10⁻⁹ as float16, to seconds since 1970 as float32, or to 0 … 0.1 as uint8.

    Parameters
    ----------
    columns : int
    """

    def __init__(self, columns: int) -> None:
        self.low = np.full(columns, np.inf)
        self.high = np.full(columns, -np.inf)
        self.error = np.zeros(columns)

    def add(self, values: np.ndarray, stored: np.ndarray | None, scale: float = 1.0) -> None:
        """Take rows (n, F) of finite values and what is stored of them; None where nothing is lost."""
        np.minimum(self.low, values.min(axis=0), out=self.low)
        np.maximum(self.high, values.max(axis=0), out=self.high)
        if stored is not None:
            wide = np.dtype(np.float64 if values.dtype.itemsize > 4 else np.float32)
            back: np.ndarray = stored.astype(wide)
            if scale != 1.0:
                back *= scale
            np.subtract(values, back, out=back)  # in place: blocks are large
            np.maximum(self.error, np.abs(back, out=back).max(axis=0), out=self.error)

    def add_entries(
        self,
        columns: np.ndarray,
        values: np.ndarray,
        stored: np.ndarray | None,
        rows: int,
        scale: float = 1.0,
    ) -> None:
        """Take what of so many rows is not zero: columns (n,), finite values (n,), `stored` as in `add`."""
        np.minimum.at(self.low, columns, values)
        np.maximum.at(self.high, columns, values)
        zeros = np.bincount(columns, minlength=len(self.low)) < rows
        self.low[zeros] = np.minimum(self.low[zeros], 0.0)
        self.high[zeros] = np.maximum(self.high[zeros], 0.0)
        if stored is not None:
            wide = np.dtype(np.float64 if values.dtype.itemsize > 4 else np.float32)
            np.maximum.at(self.error, columns, np.abs(values - stored.astype(wide) * wide.type(scale)))

    @property
    def largest_error(self) -> float:
        """How far a stored value is from the true one at most."""
        return float(self.error.max(initial=0.0))

    def lost(self) -> np.ndarray:
        """Numbers of the lost columns."""
        spread = self.high - self.low
        reference = np.where(spread > 0, spread, np.abs(self.high))
        return np.flatnonzero(self.error * (2 * LEVELS) > reference)

    def complaint(self, names: list[str], dtype: str) -> str:
        """Which columns are lost and by how much, in words; empty where none is."""
        lost = self.lost()
        if not len(lost):
            return ""
        first = int(lost[0])
        low, high, off = self.low[first], self.high[first], self.error[first]
        return (
            f"{dtype} keeps next to nothing of {len(lost):,} of {len(names):,} columns; the first is column "
            f"{first + 1:,} ('{names[first]}'), whose values from {low:g} to {high:g} would be off by up to "
            f"{off:g}"
        )
