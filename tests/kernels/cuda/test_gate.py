"""Every CUDA kernel is compiled for the types that it is launched with, though there is no device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cuda

HERE = Path(__file__).parent
MOST_SHARED = 48 * 1024  # what a block may declare


def without_simulator(code_or_file, *more):
    """Run Python in a process that has numba-cuda itself."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [sys.executable, *more, code_or_file],
        capture_output=True,
        text=True,
        env=environment,
        cwd=HERE.parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def gated():
    return json.loads(without_simulator(str(HERE / "gate.py")))


def test_every_kernel_has_a_gate(gated):
    """A kernel without the types it is launched with would first be compiled on somebody's GPU."""
    assert [result["kernel"] for result in gated["kernels"] if result["signature"] is None] == []
    assert [result for result in gated["kernels"] if "error" in result] == []
    assert len(gated["kernels"]) > 40


def test_float64_stays_out(gated):
    """But where a kernel says why; and a reason that nothing needs any more is no reason."""
    for result in gated["kernels"]:
        if not result["double"]:
            assert result["f64"] == 0, result
    reasons = {result["kernel"]: 0 for result in gated["kernels"] if result["double"]}
    for result in gated["kernels"]:
        if result["double"]:
            reasons[result["kernel"]] += result["f64"]
    assert all(reasons.values()), reasons


def test_nothing_spills(gated):
    if not gated["ptxas"]:
        pytest.skip("ptxas is not installed (package nvidia-cuda-nvcc)")
    wrong = [r for r in gated["kernels"] if r["stack"] or r["spilled"] or r["reloaded"]]
    assert wrong == []
    assert all(result["shared"] <= MOST_SHARED for result in gated["kernels"])


def test_numpy_without_row_stack():
    """NumPy 2.5 took np.row_stack away, which numba-cuda looks up while it is imported."""
    code = """
import numpy as np
if hasattr(np, "row_stack"):
    del np.row_stack
    np.__all__.remove("row_stack")
from ivbpr_numba.kernels.cuda import target
from numba.cuda import types
target.cuda.compile_ptx(target.fill_numbers.body, (types.f4[::1], types.f4), cc=(9, 0))
print(hasattr(np, "row_stack"), target.problem())
"""
    said = without_simulator(code, "-c")
    assert said.startswith("False ")
