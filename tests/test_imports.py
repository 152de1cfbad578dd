"""Imports point only downward, and importing the package costs nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Room → floor. A module may import rooms of lower floors and its own room, nothing else. Parts of
# floors order the rooms inside a floor.
FLOORS = {
    "ivbpr_numba.errors": 0.0,
    "ivbpr_numba.expected": 0.1,
    "ivbpr_numba.ids": 0.1,
    "ivbpr_numba.signals": 0.1,
    "ivbpr_numba.notebook": 0.1,
    "ivbpr_numba.wording": 0.1,
    "ivbpr_numba.guides": 0.1,
    "ivbpr_numba.arrays": 0.2,
    "ivbpr_numba.parameters": 0.3,
    "ivbpr_numba.kernels.arguments": 1.0,
    "ivbpr_numba.kernels.scalar": 1.0,
    "ivbpr_numba.kernels.compilation": 1.0,
    "ivbpr_numba.kernels.dispatching": 1.0,
    "ivbpr_numba.kernels.compiling": 1.1,
    "ivbpr_numba.kernels.cpu": 1.2,
    "ivbpr_numba.kernels.cuda": 1.2,
    "ivbpr_numba.backends": 2.0,
    "ivbpr_numba.store": 2.0,
    "ivbpr_numba.events": 2.05,
    "ivbpr_numba.processes": 2.06,
    "ivbpr_numba.dataflow": 2.06,
    "ivbpr_numba.distributed": 2.07,
    "ivbpr_numba.readers": 2.1,
    "ivbpr_numba.features": 3.0,
    "ivbpr_numba.ranking": 3.0,
    "ivbpr_numba.datasets": 3.1,
    "ivbpr_numba.worlds": 3.2,
    "ivbpr_numba.fitted": 3.3,
    "ivbpr_numba.answers": 3.4,
    "ivbpr_numba.models": 4.0,
    "ivbpr_numba.photos": 4.0,
    "ivbpr_numba.network": 4.1,
    "ivbpr_numba.training": 4.2,
    "ivbpr_numba.judging": 4.3,
    "ivbpr_numba.questions": 5.0,
    "ivbpr_numba.documents": 5.5,
    "ivbpr_numba.tuning": 6.0,
    "ivbpr_numba.table2": 6.5,
    "ivbpr_numba.report": 7.0,
    "ivbpr_numba.demo": 7.1,
    "ivbpr_cli": 8.0,
}
# These hold no code that imports: a room's door is nobody's floor.
DOORS = {"ivbpr_numba": ("ivbpr_numba.errors",), "ivbpr_numba.kernels": ()}

# Only these know that there is a CPU and what else may compute: others ask `backends.kernels` (see there).
DEVICE_ROOMS = ("ivbpr_numba.kernels.cpu", "ivbpr_numba.kernels.cuda")
MAY_NAME_A_DEVICE = ("ivbpr_numba.backends", "ivbpr_numba.kernels")
MEASURE_A_DEVICE = ("benchmarks.gpu", "benchmarks.gpu_inputs", "benchmarks.gpu_work")

SCALAR_MAY_USE = {"__future__", "math", "numpy", "typing", "collections.abc"}


def room_of(module: str) -> str | None:
    """The room that holds `module`: the longest name of the map that starts it."""
    rooms = [room for room in FLOORS if module == room or module.startswith(room + ".")]
    return max(rooms, key=len, default=None)


def modules() -> Iterator[tuple[str, Path]]:
    for base in (ROOT, ROOT / "cli"):
        for package in ("ivbpr_numba", "ivbpr_cli"):
            for path in sorted((base / package).rglob("*.py")):
                parts = path.relative_to(base).with_suffix("").parts
                yield ".".join(p for p in parts if p != "__init__"), path


MODULES = dict(modules())


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Every module an import statement reaches, with its line; annotations-only blocks are left out."""
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                # "from package import module" reaches the module, "from module import name" the module itself.
                inner = f"{base}.{alias.name}"
                yield (inner if inner in MODULES else base), node.lineno


def upward(module: str, path: Path) -> list[str]:
    """The imports of one module that break the rule."""
    wrong = []
    own = room_of(module)
    for target, line in imported(ast.parse(path.read_text()), module, path.name == "__init__.py"):
        if target.split(".")[0] not in ("ivbpr_numba", "ivbpr_cli"):
            continue
        if module in DOORS:
            allowed = target in DOORS[module]
        else:
            room = room_of(target)
            allowed = target in DOORS or (
                own is not None and room is not None and (room == own or FLOORS[room] < FLOORS[own])
            )
        if not allowed:
            wrong.append(f"{path.relative_to(ROOT)}:{line}: {module} must not import {target}")
    return wrong


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_has_a_floor(module: str) -> None:
    assert module in DOORS or room_of(module) is not None, f"give {module} a floor in {Path(__file__).name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_downward(module: str) -> None:
    assert upward(module, MODULES[module]) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("ivbpr_numba.store.files", "from ivbpr_numba.models import base"),
        ("ivbpr_numba.store.files", "def f():\n    import ivbpr_numba.questions.auc"),
        ("ivbpr_numba.models.base", "from ..questions.auc import auc"),
        ("ivbpr_numba.kernels.cpu.visual", "from ivbpr_numba.kernels.cuda import visual"),
        ("ivbpr_numba.kernels.scalar.bpr", "from ivbpr_numba.kernels import compiling"),
        ("ivbpr_numba", "from ivbpr_numba.models import base"),
        ("ivbpr_numba.ranking", "import ivbpr_numba.datasets"),
    ],
)
def test_a_wrong_import_is_found(module: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: each of these lines would break a rule."""
    path = ROOT / "example.py"
    monkeypatch.setattr(Path, "read_text", lambda self: line)
    assert len(upward(module, path)) == 1


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other (Tarjan's strongly connected components of two or more)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for target in sorted(edges.get(module, ())):
            if target not in number:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], number[target])
        if low[module] == number[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1 or module in edges.get(module, ()):
                found.append(sorted(group))

    for module in sorted(edges):
        if module not in number:
            visit(module)
    return found


def test_no_circle_of_modules() -> None:
    """No module reaches itself through imports, those inside functions counted, those for types only not."""
    edges = {}
    for module, path in MODULES.items():
        reached = imported(ast.parse(path.read_text()), module, path.name == "__init__.py")
        edges[module] = {target for target, _ in reached if target in MODULES} - set(DOORS)
    assert circles(edges) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def past_the_seam(module: str, path: Path) -> list[str]:
    """The imports of one device's kernels by a module that should ask `backends.kernels` for them."""
    if inside(module, MAY_NAME_A_DEVICE + MEASURE_A_DEVICE):
        return []
    reached = imported(ast.parse(path.read_text()), module, path.name == "__init__.py")
    where = path.relative_to(ROOT)
    return [f"{where}:{line} imports {target}" for target, line in reached if inside(target, DEVICE_ROOMS)]


def inside(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


BENCHMARKS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
}


@pytest.mark.parametrize("module", sorted(MODULES | BENCHMARKS))
def test_kernels_come_from_backends(module: str) -> None:
    assert past_the_seam(module, (MODULES | BENCHMARKS)[module]) == []


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        ("ivbpr_numba.ranking", "from ivbpr_numba.kernels.cpu.top import top_items", 1),
        ("ivbpr_numba.ranking", "def f():\n    from ivbpr_numba.kernels.cpu import top", 1),
        ("ivbpr_numba.models.learners", "import ivbpr_numba.kernels.cuda", 1),
        ("ivbpr_numba.models.learners", "from ..kernels import cpu", 1),
        ("ivbpr_numba.models.learners", "from ivbpr_numba.kernels import arguments", 0),
        ("ivbpr_numba.backends", "from ivbpr_numba.kernels.cpu import top", 0),
        ("ivbpr_numba.kernels.cpu.top", "from ivbpr_numba.kernels.cpu.ranking import score_tile", 0),
    ],
)
def test_a_way_past_the_seam_is_found(
    module: str, line: str, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: line)
    assert len(past_the_seam(module, ROOT / "example.py")) == wrong


def test_scalar_mathematics_needs_only_numpy_and_math() -> None:
    for module, path in MODULES.items():
        if not module.startswith("ivbpr_numba.kernels.scalar"):
            continue
        for target, line in imported(ast.parse(path.read_text()), module, path.name == "__init__.py"):
            own = target.startswith("ivbpr_numba.kernels.scalar")
            assert own or target in SCALAR_MAY_USE, f"{path.relative_to(ROOT)}:{line} imports {target}"


@pytest.mark.parametrize(
    "module", ["ivbpr_numba", "ivbpr_cli.app", "ivbpr_numba.backends", "ivbpr_numba.kernels.arguments"]
)
def test_import_is_light(module: str) -> None:
    heavy = ["numba", "llvmlite", "torch", "pandas", "scipy", "onnxruntime", "matplotlib", "h5py"]
    code = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
