"""About how long a command waits for its kernels where none is compiled yet."""

from __future__ import annotations

__all__ = ["takes"]

# Seconds on an idle core of 2024, nothing compiled; `benchmarks/compile_times.py` measures them. What has no
# line needs a kernel or two.
SECONDS = {
    "demo": 15,
    "demo drift": 20,
    "fit": 8,
    "fit rand": 2,
    "fit pop": 2,
    "fit tvbpr": 11,
    "fit i-tvbpr": 11,
    "trends": 11,
    "warmup": 45,
}
FEW = 3


def takes(command: str, what: str = "") -> int:
    """Seconds of a command, more exactly with its model or size where that makes a difference."""
    return SECONDS.get(f"{command} {what}", SECONDS.get(command, FEW))
