"""About how long a command waits for its kernels where none is compiled yet."""

from __future__ import annotations

__all__ = ["takes"]

# Seconds with nothing compiled: demo and fits four fifths of what `benchmarks/compile_times.py --wall` found
# beside other work on two cores of a cloud server; drift, trends and warmup by what they use. What has no
# line needs a kernel or two.
SECONDS = {
    "demo": 25,
    "demo drift": 30,
    "fit": 15,
    "fit rand": 2,
    "fit pop": 2,
    "fit mm-mf": 10,
    "fit bpr-mf": 10,
    "fit tvbpr": 17,
    "fit i-tvbpr": 17,
    "table2": 20,
    "trends": 17,
    "update": 15,
    "warmup": 45,
}
FEW = 3


def takes(command: str, what: str = "") -> int:
    """Seconds of a command, more exactly with its model or size where that makes a difference."""
    return SECONDS.get(f"{command} {what}", SECONDS.get(command, FEW))
