"""The warm-up compiles every kernel for every type: whatever is done afterwards compiles nothing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ivbpr_numba import backends
from ivbpr_numba.models.warmup import warmup

PROGRAM = Path(__file__).parents[1] / "everything.py"
ROOM = Path(backends.__file__).parent / "kernels" / "cpu"


def everything(folder: Path, *words: str, **environment: str) -> None:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_is_left_to_compile(tmp_path: Path) -> None:
    """No kernel is cold after the warm-up, and none meets a type it was not compiled for."""
    everything(tmp_path / "out", "--compiled")
    assert json.loads((tmp_path / "out" / "compiled.json").read_text()) == {"cold": [], "new": {}}


@pytest.mark.slow
@pytest.mark.parametrize("plain", ["", "1"])
def test_a_warm_cache_stays_as_it_is(tmp_path: Path, plain: str) -> None:
    """The same by the files of a cache that a warm-up has just filled: a second process adds none."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "IVBPR_PLAIN": plain}
    code = "from ivbpr_numba.models.warmup import warmup; warmup()"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **cache}, check=True)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.nb[ci]")}
    assert len(kept) > 2 * len(backends.KERNELS)
    everything(tmp_path / "out", **cache)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.nb[ci]")} == kept


def test_the_list_of_kernels_is_complete() -> None:
    """Every kernel that a file of the room offers, and that no other file there takes, is on the list."""
    trees = {path.stem: ast.parse(path.read_text()) for path in ROOM.glob("*.py")}
    taken: dict[str, set[str]] = {name: set() for name in trees}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ivbpr_numba.kernels.cpu."):
                taken[str(node.module).rsplit(".", 1)[1]].update(alias.name for alias in node.names)
    offered = {name: offers(tree) - taken[name] for name, tree in trees.items()}
    assert {name: found for name, found in offered.items() if found} == {
        name: set(kernels) for name, kernels in backends.KERNELS.items()
    }


def offers(tree: ast.Module) -> set[str]:
    """The compiled functions in a module's `__all__`."""
    compiled, names = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any("kernel" in ast.unparse(d) for d in node.decorator_list):
            compiled.add(node.name)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names.update(ast.literal_eval(node.value))
    return compiled & names


def test_progress_and_report() -> None:
    told: list[dict[str, int]] = []
    report = warmup(told.append)
    assert [event["done"] for event in told] == list(range(len(told)))
    assert {event["total"] for event in told} == {len(told)}
    assert report["device"] == "cpu" and report["files"] > 0
