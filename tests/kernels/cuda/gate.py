"""Compile every CUDA kernel for compute capability 9.0, without a device; print what came out as JSON.

A program of its own: the simulator, in which the tests beside it run, compiles nothing.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CAPABILITY = (9, 0)


def ptxas() -> str | None:
    """The assembler, of the package nvidia-cuda-nvcc or of a CUDA installation."""
    for folder in map(Path, sys.path):
        found = sorted(folder.glob("nvidia/*/bin/ptxas")) if folder.is_dir() else []
        if found:
            return str(found[0])
    return shutil.which("ptxas")


def assembled(program: str, ptx: str) -> dict[str, Any]:
    """What ptxas says about one kernel."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        command = [
            program,
            "-v",
            f"-arch=sm_{CAPABILITY[0]}{CAPABILITY[1]}",
            str(path),
            "-o",
            f"{path}.cubin",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    numbers = {
        "stack": r"(\d+) bytes stack frame",
        "spilled": r"(\d+) bytes spill stores",
        "reloaded": r"(\d+) bytes spill loads",
        "registers": r"Used (\d+) registers",
    }
    found = {name: re.search(pattern, done.stderr) for name, pattern in numbers.items()}
    shared = re.search(r"(\d+) bytes smem", done.stderr)
    assert all(found.values()), done.stderr
    return {name: int(match[1]) for name, match in found.items() if match} | {
        "shared": int(shared[1]) if shared else 0
    }


def main() -> None:
    from ivbpr_numba.kernels import cuda as room
    from ivbpr_numba.kernels.cuda import target

    sigutils = importlib.import_module("numba.cuda.core.sigutils")
    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
    program, results = ptxas(), []
    wanted = sys.argv[1:]  # kernels or files; all where none is named
    for name, kernel in target.KERNELS.items():
        if wanted and not any(word in name for word in wanted):
            continue
        for signature in kernel.signatures or [None]:
            result: dict[str, Any] = {"kernel": name, "signature": signature, "double": kernel.double}
            results.append(result)
            if signature is None:
                continue
            try:
                result |= gated(target, kernel, signature, program, sigutils)
            except Exception as error:  # the others are still worth knowing
                result["error"] = f"{type(error).__name__}: {error}"[-600:]
            print(name, result, file=sys.stderr, flush=True)
    json.dump({"ptxas": program is not None, "kernels": results}, sys.stdout)


def gated(target: Any, kernel: Any, signature: str, program: str | None, sigutils: Any) -> dict[str, Any]:
    """What compiling one kernel for one signature gives."""
    arguments, _ = sigutils.normalize_signature(signature)
    ptx, _ = target.cuda.compile_ptx(kernel.body, arguments, cc=CAPABILITY, launch_bounds=kernel.bounds)
    found: dict[str, Any] = {"f64": len(re.findall(r"\.f64", ptx))}
    return found | assembled(program, ptx) if program is not None else found


if __name__ == "__main__":
    main()
