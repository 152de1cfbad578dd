"""Arrays on the device: put there, fetched, and kept there while what they were made of lives."""

import functools
import weakref

import numpy as np

from ivbpr_numba.errors import EnvironmentProblem, parameter
from ivbpr_numba.kernels.cuda.target import SIMULATOR, cuda, kernel, launch, spread

__all__ = ["copy", "empty", "facts", "get", "guarded", "put", "resident", "take", "zeros"]

FULL = "OUT_OF_MEMORY"  # how the driver calls it
GIB = 2**30

_kept = {}  # by the id of an array: a reference that tells when it is gone, and its copy on the device


def _parts(value, of_part):
    """A tuple, named or not, of what `of_part` makes of its parts."""
    parts = [of_part(part) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def put(value):
    """A copy on the device of an array, or of every array of a tuple; other values as they are."""
    if isinstance(value, tuple):
        return _parts(value, put)
    if not isinstance(value, np.ndarray):
        return value
    return _made(lambda: cuda.to_device(np.ascontiguousarray(value)), value.nbytes)


def resident(value):
    """As `put`, made once of an array that never changes, and given back to the device when it is gone."""
    if isinstance(value, tuple):
        return _parts(value, resident)
    if not isinstance(value, np.ndarray):
        return value
    key = id(value)
    if key not in _kept or _kept[key][0]() is not value:
        _kept[key] = weakref.ref(value, lambda gone: _forget(key, gone)), put(value)
    return _kept[key][1]


def _forget(key, gone):
    if key in _kept and _kept[key][0] is gone:
        del _kept[key]


def get(value):
    """A copy where Python reads it; an array that is there already is given back."""
    return value.copy_to_host() if hasattr(value, "copy_to_host") else value


def copy(array):
    """A copy where the array is."""
    if isinstance(array, np.ndarray):
        return array.copy()
    made = empty(array.shape, array.dtype)
    made.copy_to_device(array)
    return made


def empty(shape, dtype):
    """Room on the device."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return _made(lambda: cuda.device_array(shape, dtype), size)


def zeros(shape, dtype):
    """Zeros on the device."""
    return put(np.zeros(shape, dtype))


@kernel("void(i2[::1], i4[::1], i2[::1])")
def take_numbers(values, places, out):
    """One thread for each number."""
    for n in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        out[n] = values[places[n]]


def take(values, places, shape=None):
    """values[places] of (n,) int16 and (m,) int32."""
    out = empty(places.shape[0], np.int16)
    launch(take_numbers, spread(out.shape[0], 256, shape), values, places, out)
    return out


def guarded(function):
    """The function, whose need of more memory than there is becomes our error."""

    @functools.wraps(function)
    def call(*given, **options):
        return _made(lambda: function(*given, **options))

    return call


def _made(make, size=None):
    try:
        return make()
    except Exception as error:  # the driver's errors have no kind of their own for it
        if FULL not in str(error).upper():
            raise
        raise _full(size) from error


def _full(size):
    needed = "more is needed" if size is None else f"{size / GIB:.2f} GiB more are needed"
    free, total = cuda.current_context().get_memory_info()
    return EnvironmentProblem(
        f"The memory of the CUDA device is full: {needed}, and {free / GIB:.2f} of {total / GIB:.2f} GiB are "
        "free.",
        f"Use {parameter('device', 'cpu')}, or end what else uses the device.",
    )


def facts():
    """Name, compute capability and memory of the device in use, as text by name."""
    if SIMULATOR:
        return {"name": "numba-cuda's simulator"}
    found = cuda.get_current_device()
    name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
    free, total = cuda.current_context().get_memory_info()
    return {
        "name": name,
        "compute_capability": ".".join(map(str, found.compute_capability)),
        "memory": f"{free / GIB:.1f} of {total / GIB:.1f} GiB free",
    }
