"""The one boundary for dtypes and shapes: behind it kernels get exactly what they are compiled for."""

from __future__ import annotations

import math

import numpy as np

from ivbpr_numba.errors import DataError

__all__ = ["LINE", "aligned", "as_float32", "padded", "stored_bits", "zeros"]

LINE = 16  # float32 numbers in a cache line; tables are padded to whole lines


def padded(size: int, multiple: int = LINE) -> int:
    """Smallest multiple of `multiple` that holds `size` (and at least one multiple)."""
    return max(multiple, -(-size // multiple) * multiple)


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Room for float32 that begins with a cache line, so that no vector of it lies in two lines."""
    size = math.prod(shape)
    room = np.empty(size + LINE, np.float32)
    skipped = -room.ctypes.data // room.itemsize % LINE
    return room[skipped : skipped + size].reshape(shape)


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that begin with a cache line: a row of one line is one access to memory, not two."""
    room = aligned(shape)
    room[...] = 0
    return room


def as_float32(name: str, array: object, shape: tuple[int, ...]) -> np.ndarray:
    """Return `array` as C-contiguous float32 of `shape`.

    Raises
    ------
    DataError
        When the shape differs or a value is not finite.
    """
    values = np.ascontiguousarray(array, dtype=np.float32)
    if values.shape != shape:
        raise DataError(
            f"{name} has shape {values.shape}, expected {shape}.", "The file is damaged or of another model."
        )
    if not np.isfinite(values).all():
        raise DataError(f"{name} holds NaN or infinity.", "The file is damaged or the fit diverged.")
    return values


def stored_bits(matrix: np.ndarray) -> np.ndarray:
    """View a stored feature matrix the way kernels read it: float16 as its uint16 bits."""
    if matrix.dtype == np.float16:
        return matrix.view(np.uint16)
    if matrix.dtype in (np.float32, np.uint8):
        return matrix
    raise DataError(
        f"Feature matrices of dtype {matrix.dtype} are not supported.", "Use float16, float32 or uint8."
    )
