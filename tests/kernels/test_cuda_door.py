"""CUDA stays behind its door: a CPU run imports nothing of it, and what is missing is named."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOM = Path(__file__).parents[2] / "ivbpr_numba" / "kernels" / "cuda"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_cpu_run_imports_nothing_of_cuda() -> None:
    said = run("""
import sys
import numpy as np
from ivbpr_numba import Dataset, auc, create
rng = np.random.default_rng(0)
items = np.concatenate([rng.choice(9, 4, replace=False) for _ in range(6)])
data = Dataset.from_pairs([f"u{u}" for u in np.repeat(np.arange(6), 4)], [f"i{i}" for i in items])
model = create("bpr-mf", iterations=1).fit(data)
model.recommend(data.users[0], 2)
auc(model)
list(model.recommend_all(2))
assert auc(model, device="auto")["device"] == "cpu"  # too little work even to look for a device
assert create("bpr-mf", iterations=1, device="auto").fit(data).provenance_["device"] == "cpu"
parts = ("numba.cuda", "numba_cuda", "cuda", "ivbpr_numba.kernels.cuda")
print(sorted(m for m in sys.modules if m in parts or m.startswith(tuple(p + "." for p in parts))))
""")
    assert said.strip() == "[]"


def test_one_module_imports_numba_cuda() -> None:
    for path in ROOM.parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            if path != ROOM / "target.py":
                assert not [
                    name for name in names if name.startswith(("numba.cuda", "numba_cuda", "cuda."))
                ], path


def test_one_shared_array_a_line() -> None:
    """In the simulator two on one line are one array, silently."""
    for path in ROOM.glob("*.py"):
        lines = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "cuda.shared.array"
        ]
        assert len(lines) == len(set(lines)), path


def test_without_numba_cuda_the_reason_is_told() -> None:
    said = run("""
import importlib.util as util
found = util.find_spec
util.find_spec = lambda name, *more: None if name == "numba_cuda" else found(name, *more)
from ivbpr_numba.errors import EnvironmentProblem
from ivbpr_numba.kernels.cuda import target
print(target.problem())
try:
    from ivbpr_numba.kernels.cuda import ranking
except EnvironmentProblem as error:
    print(error, error.exit_code)
""")
    assert said.splitlines() == [
        "numba-cuda is not installed",
        "CUDA kernels can't be loaded: numba-cuda is not installed. Install it: pip install 'ivbpr[gpu]'. 4",
    ]


class Broken:
    """Attributes that raise what they were made with, calls too."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error

    def version(self) -> None:
        raise self._error


DRIVER = "numba.cuda.cudadrv.driver"
NVVM = "numba.cuda.cudadrv.nvvm"
LINKER = "cuda.bindings.nvjitlink"


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ({}, ""),
        (
            {
                DRIVER: SimpleNamespace(
                    is_available=False, initialization_error="\nNo library.\nInstall it.\n"
                )
            },
            "no NVIDIA driver answers (No library)",
        ),
        ({DRIVER: Broken(RuntimeError("bad\nmore"))}, "the NVIDIA driver can't be used (bad)"),
        ({"gpus": []}, "the NVIDIA driver knows no device"),
        ({NVVM: SimpleNamespace(is_available=lambda: False)}, "libNVVM is missing"),
        ({LINKER: Broken(RuntimeError("no such file"))}, "nvJitLink is missing"),
    ],
)
def test_every_missing_piece_is_named(
    monkeypatch: pytest.MonkeyPatch, spoiled: dict[str, Any], said: str
) -> None:
    from ivbpr_numba.kernels.cuda import target

    pieces = {
        DRIVER: SimpleNamespace(is_available=True),
        NVVM: SimpleNamespace(is_available=lambda: True),
        LINKER: SimpleNamespace(version=lambda: (13, 0)),
        "gpus": [0],
        **spoiled,
    }
    pieces[DRIVER] = SimpleNamespace(driver=pieces[DRIVER])
    monkeypatch.setattr(target, "SIMULATOR", False)
    monkeypatch.setattr(target, "cuda", SimpleNamespace(gpus=pieces["gpus"]))
    monkeypatch.setattr(target, "importlib", SimpleNamespace(import_module=pieces.__getitem__))
    found = target.problem()
    assert found.startswith(said) and (said or not found) and "\n" not in found
