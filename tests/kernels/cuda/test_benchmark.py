"""`benchmarks/gpu.py`, which is for a GPU, runs whole in the simulator."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cuda

ROOT = Path(__file__).parents[3]


def test_every_section_of_the_benchmark_runs(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--simulator", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads(out.read_text())
    assert kept["left_out"] == [] and kept["machine"]["multiply_adds_per_second"] > 0
    assert all(check["held"] for name in ("parity", "bits", "band") for check in kept[name])
    compared = {check["what"] for name in ("parity", "bits") for check in kept[name]}
    for model in ("BPR-MF", "VBPR", "I-VBPR", "TVBPR", "I-TVBPR"):
        assert {f"an iteration of {model}", f"two runs of {model}"} <= compared
        row = next(row for row in kept["timings"] if row["work"] == model)
        assert row["launches"] > 0 and row["floor_ms"] > 0 and f"{model} " in done.stdout
    assert {row["what"].partition(",")[0] for row in kept["band"]} == {
        f"AUC of {name}" for name in ("bpr-mf", "vbpr", "i-vbpr", "i-tvbpr")
    }
    for row in kept["extraction"]:  # of each network, unless it can't be made here
        assert "not_run" in row or (row["cpu"]["images"] == 12 and "simulator" in row["cuda"]["not_run"])
    assert "not_run" in kept["compile"] and "not_run" in kept["sanitizer"][0]
