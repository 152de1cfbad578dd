"""Arrays on the device and back, for the ring `cuda`: tuples of arrays keep their kind."""

from typing import Any

import numpy as np

from ivbpr_numba.kernels.cuda.target import Shape, cuda

# Launches that must give the same bits: one block, several, and threads that leave work for a second round.
SHAPES = (Shape(1, 32), Shape(3, 16))
PANEL_SHAPES = (Shape(1, (4, 1)), Shape(3, (2, 2)))


def on(value: Any) -> Any:
    """A copy on the device of an array, or of every array of a named tuple."""
    if isinstance(value, tuple):
        return type(value)(*(on(part) for part in value))
    return cuda.to_device(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


def back(value: Any) -> Any:
    """A copy on the host."""
    if isinstance(value, tuple):
        return type(value)(*(back(part) for part in value))
    return value.copy_to_host() if hasattr(value, "copy_to_host") else value
