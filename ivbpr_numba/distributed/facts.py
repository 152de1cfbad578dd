"""What decides about bits beside data and options: versions, and the CPU that kernels are compiled for."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata

__all__ = ["differing", "facts_here"]

PACKAGES = ("ivbpr", "numpy", "numba", "llvmlite", "scipy")
Facts = Mapping[str, str]


@cache
def facts_here() -> dict[str, str]:
    """Of this process, by name."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    able = ",".join(sorted(name for name, there in features.items() if there))
    found = {"python": platform.python_version(), "cpu": llvm.get_host_cpu_name()}
    found["cpu features"] = hashlib.sha256(able.encode()).hexdigest()[:12]
    return found | {name: metadata.version(name) for name in PACKAGES}


def differing(ours: Facts, theirs: Facts) -> str:
    """What differs, as in "numba 0.61 here, 0.62 there"; empty where nothing does."""
    names = [name for name in ours if ours[name] != theirs.get(name)]
    return "; ".join(f"{name} {ours[name]} here, {theirs.get(name, 'none')} there" for name in names)
