"""The ring `gpu`: on a CUDA device the kernels are the CPU's, and give the same bits in every run and shape."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.gpu
def test_parity_and_bits_on_a_device(tmp_path: Path) -> None:
    code = "from ivbpr_numba.kernels.cuda.target import problem; print(problem())"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    if asked.stdout.strip():
        pytest.skip(f"no CUDA here: {asked.stdout.strip()}")
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "-o", str(out), "--tiny"]
    done = subprocess.run([*command, "--only", "machine", "parity", "bits"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads(out.read_text())
    assert all(check["held"] for check in kept["parity"] + kept["bits"])
