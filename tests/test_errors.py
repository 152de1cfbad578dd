"""Errors name parameters as each side types them: ``factors=-5`` in Python, ``--factors -5`` in a command."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import DATA

import ivbpr_numba
from ivbpr_cli.app import build
from ivbpr_cli.failures import describe
from ivbpr_numba.errors import DataError, IvbprError, UsageError, parameter, shown

LIBRARY = Path(ivbpr_numba.__file__).parent
# They make command lines to type, and notes (no errors) that name both sides.
ALLOWED = ("documents/summaries.py", "questions/refits.py", "questions/seasons.py")
PYTHON_ONLY = {  # parameters without a flag
    "criterion",
    "index",
    "literal",
    "metric",
    "normalise",
    "observers",
    "temperature",
}
COMMAND_ONLY = {"frozen"}  # in Python a function of its own


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(LIBRARY.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def texts(tree: ast.Module) -> Iterator[str]:
    """Every string but the docstrings."""
    documentation = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                documentation.add(id(first.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def mentions() -> Iterator[tuple[Path, str, str]]:
    """Parameters that the library mentions by a literal name: file, name, function it belongs to."""
    for path, tree in sources():
        for node in ast.walk(tree):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if called and node.func.id == "parameter" and isinstance(node.args[0], ast.Constant):  # type: ignore[attr-defined]
                of = [one.value.value for one in node.keywords if one.arg == "of"]  # type: ignore[attr-defined]
                yield path, node.args[0].value, (of or [""])[0]  # type: ignore[attr-defined]


def commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path} {name}".strip())


def test_the_library_knows_no_flags() -> None:
    found = {
        text: path.name
        for path, tree in sources()
        for text in texts(tree)
        if re.search(r"(?<![\w-])--[a-z]", text) and path.relative_to(LIBRARY).as_posix() not in ALLOWED
    }
    assert not found, "mention parameters with errors.parameter"


def test_what_is_mentioned_exists_on_both_sides() -> None:
    arguments = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                arguments.add(node.arg)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                arguments.add(node.target.id)  # of a dataclass
    root = build()
    flags = dict(commands(root))
    named = list(mentions())
    assert len(named) > 80
    for path, name, of in named:
        assert name in arguments | COMMAND_ONLY, f"{path}: no function has {name}="
        if name in PYTHON_ONLY:
            continue
        problem = UsageError(parameter(name, of=of))
        where = [flags[of]] if of else flags.values()
        told = {describe(problem, command, root)[1] for command in where}
        assert any(text != str(problem) for text in told), f"{path}: no command has {name}"


@pytest.mark.parametrize(
    ("value", "python", "command"),
    [
        (-5, "factors=-5", "--factors -5"),
        (np.float32(0.5), "factors=0.5", "--factors 0.5"),
        ("a b", "factors='a b'", "--factors 'a b'"),
        ("it's", 'factors="it\'s"', "--factors 'it'\"'\"'s'"),
        (Path("x y"), "factors='x y'", "--factors 'x y'"),
        (None, "factors=None", "--factors None"),
        (np.zeros(3), "factors=<ndarray>", "--factors '<ndarray>'"),
        (list(range(99)), "factors=<list>", "--factors '<list>'"),
        ("x" * 200, "factors='" + "x" * 70 + "…'", "--factors '" + "'" + '"' + "'" + '"' + "'"),
    ],
)
def test_values(value: object, python: str, command: str) -> None:
    problem = UsageError(f"{parameter('factors', value)} is wrong.")
    root = build()
    assert str(problem) == problem.message == f"{python} is wrong."
    assert describe(problem, root.commands["fit"], root)[1].startswith(command)


def test_flags_arguments_and_other_commands() -> None:
    root = build()
    fit, prepare = root.commands["fit"], root.commands["prepare"]

    def both(text: str, command: Any) -> tuple[str, str]:
        problem = DataError("", text)
        return str(problem), describe(problem, command, root)[1]

    assert both(parameter("resume", True), fit) == ("resume=True", "--resume")
    assert both(parameter("strict", False), prepare) == ("strict=False", "--no-strict")
    assert both(parameter("id_column"), root.commands["features"].commands["table"]) == ("id_column=", "--id")
    assert both(parameter("inputs"), prepare) == ("inputs=", "INPUTS")
    assert both(parameter("unheard"), fit) == ("unheard=", "unheard=")  # never a flag that does not exist
    assert both(parameter("unheard"), None) == ("unheard=", "unheard=")
    assert both(parameter("time", of="prepare"), fit) == ("prepare(time=…)", "ivbpr prepare --time")
    assert both(parameter("resume", True, of="fit"), prepare) == ("fit(resume=True)", "ivbpr fit --resume")


def test_errors_travel_between_processes() -> None:
    problem = UsageError(f"{parameter('factors', 3)}.", f"Lower {parameter('factors')}.")
    copy = pickle.loads(pickle.dumps(problem))
    assert str(copy) == str(problem) == "factors=3. Lower factors=."
    assert copy.told(lambda mention: mention.name) == "factors. Lower factors."


def test_shown() -> None:
    assert [shown(value) for value in (1.5, "a", [1, 2], np.int64(3), object(), 10**6000)] == [
        *("1.5", "'a'", "[1, 2]", "3", "<object>", "<int>")
    ]


def fitting(model: str = "bpr-mf", **options: Any) -> Callable[[], object]:
    return lambda: ivbpr_numba.create(model, **options).fit(DATA)


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("bpr-mf", {"factors": -5}, "factors=-5: it must be", "--factors -5: it must be"),
    ("bpr-mf", {"factors": 0}, "factors=0 leaves", "--factors 0 leaves"),
    ("bpr-mf", {"learning_rate": 0.0}, "learning_rate=0.0 must", "--learning-rate 0.0 must"),
    ("bpr-mf", {"learning_rate": float("nan")}, "learning_rate=nan is", "--learning-rate nan is"),
    ("bpr-mf", {"lambda_theta": -1.0}, "lambda_theta=-1.0 must", "--lambda-theta -1.0 must"),
    ("bpr-mf", {"average": 1.0}, "average=1.0 must", "--average 1.0 must"),
    ("bpr-mf", {"init": "zeros"}, "init='zeros' is unknown", "--init zeros is unknown"),
    ("bpr-mf", {"negatives": "non"}, "negatives='non' is unknown", "--negatives non is unknown"),
    ("bpr-mf", {"preset": "papre"}, "preset='papre' is unknown", "--preset papre is unknown"),
    ("bpr-mf", {"seed": -1}, "seed=-1: it must", "--seed -1: it must"),
    ("bpr-mf", {"threads": 10_000}, "threads=10000: this machine", "--threads 10000: this machine"),
    ("bpr-mf", {"device": "cuda"}, "device='cuda': ", "--device cuda: "),
    (
        "bpr-mf",
        {"preset": "mymedialite", "patience": 3},
        "patience= needs eval_every=",
        "--patience needs --eval-every",
    ),
    ("bpr-mf", {"margin": 1.0}, "margin= does not apply", "--margin does not apply"),
    ("vbpr", {}, "Give them with features=", "Give them with --features"),
    ("vbpr", {"block": "many"}, "features=", "--features"),
]


@pytest.mark.parametrize(("model", "options", "python", "command"), WRONG)
def test_both_faces(
    model: str, options: dict, python: str, command: str, ivbpr: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(IvbprError) as caught:
        fitting(model, **options)()
    assert python in str(caught.value) and "--" not in str(caught.value)
    DATA.write(tmp_path / "d.h5")
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    done = ivbpr("fit", tmp_path / "d.h5", "--model", model, "-o", tmp_path / "m.h5", *flags)
    assert done.code == caught.value.exit_code and command in done.err
    assert python not in done.err


@pytest.mark.parametrize(
    "text", ["\ufdd0at\ufdd2", "\ufdd0", "\ufdd1\ufdd1", "\ufdd0a\ufdd1b\ufdd1c\ufdd1d\ufdd1e\ufdd2"]
)
def test_what_users_type_is_no_mention(text: str) -> None:
    """The characters that mark a mention may stand in a text from outside; it is quoted, and nothing breaks."""
    problem = UsageError(f"Unknown feature '{text}'.", f"Leave out {parameter('at', text)}.")
    assert text in problem.message
    assert problem.told(lambda mention: f"--{mention.name}").endswith("Leave out --at.")
