"""What people see while they wait: compilation said once and counted apart, plain lines without a terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_models import DATA, made

from ivbpr_cli.app import _COMMANDS
from ivbpr_cli.compiling import SECONDS, takes
from ivbpr_cli.output import Screen
from ivbpr_cli.progress import FIRST, NEXT, observe
from ivbpr_numba.demo import DEMO_SIZES
from ivbpr_numba.kernels import compilation
from ivbpr_numba.models.specifications import MODELS

Run = Callable[..., Any]


class Clock:
    """Seconds that a test decides."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of compilation, with nothing compiled so far."""
    own = Clock()
    monkeypatch.setattr(compilation, "_COMPILATION", type(compilation._COMPILATION)())
    monkeypatch.setattr(compilation.time, "perf_counter", own)
    return own


# --- compilation --------------------------------------------------------------------------------------------


def test_computing_stands_still_while_kernels_compile(clock: Clock) -> None:
    begun = compilation.computing_clock()
    clock.now += 2
    compilation.began("outer")
    clock.now += 5
    compilation.began("inner")  # a kernel that the first one calls: counted once
    clock.now += 7
    compilation.ended()
    compilation.ended()
    clock.now += 3
    assert compilation.compile_seconds() == 12
    assert compilation.computing_clock() - begun == 5


def test_watchers_hear_of_the_outermost_kernel_and_leave(clock: Clock) -> None:
    heard: list[str] = []
    with compilation.watching(heard.append):
        for name in ("a", "b"):
            compilation.began(name)
            compilation.began("within")
            compilation.ended()
            compilation.ended()
    compilation.began("later")
    assert heard == ["a", "b"]


def test_numba_tells_of_our_kernels_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function compiled here for the first time; as one of ours it is told, as somebody else's not."""
    import numba

    from ivbpr_numba.kernels import compiling  # noqa: F401 - registers the listener

    heard: list[str] = []
    for module in ("somebody.elses", "ivbpr_numba.kernels.cpu.invented"):

        def double(x: float) -> float:
            return 2 * x

        double.__module__ = module
        before = compilation.compile_seconds()
        with compilation.watching(heard.append):
            assert numba.njit(double)(2.0) == 4.0
        assert (compilation.compile_seconds() > before) == module.startswith("ivbpr_numba.")
    assert heard == ["double"]


def test_compiling_is_said_once_and_not_with_quiet(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        screen = Screen(quiet=quiet, compiling_takes=12.4)
        with screen.waiting():
            for name in ("a", "b"):
                compilation.began(name)
                compilation.ended()
    assert capsys.readouterr().err.splitlines() == [
        "Compiling once (about 12 s); later runs start at once. 'ivbpr warmup' compiles everything."
    ]


def test_every_command_says_how_long_it_compiles() -> None:
    """The table's lines are commands, with what of them takes another time, and models are those there are."""
    commands = {line.split()[0] for line in SECONDS}
    assert commands <= set(_COMMANDS)
    whats = {line.split()[1] for line in SECONDS if " " in line}
    assert whats <= {*MODELS, *DEMO_SIZES}
    assert takes("fit", "i-tvbpr") > takes("fit", "bpr-mf") > takes("fit", "pop") > 0
    assert takes("demo", "drift") > takes("demo", "tiny") == takes("demo") > takes("fit", "vbpr")
    assert takes("auc") == takes("recommend", "anything") > 0


def test_a_fit_counts_compilation_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit during which something is compiled for a long time: its seconds don't hold that."""
    told: list[dict[str, Any]] = []

    def compile_something(event: dict[str, Any]) -> None:
        told.append(event)
        if event["event"] == "iteration":
            compilation._COMPILATION.seconds += 1000.0

    made("bpr-mf").fit(DATA, observers=[compile_something], log=tmp_path / "log.jsonl")
    end = next(event for event in told if event["event"] == "end")
    assert end["compile_seconds"] >= 4000 and end["seconds"] < 1000
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()[1:]]
    assert [round(line["compile_seconds"] / 1000) for line in lines] == [1, 2, 3, 4]
    assert all(line["seconds"] < 1000 for line in lines)


# --- progress -----------------------------------------------------------------------------------------------


def plain(clock: Clock, events: list[tuple[float, dict[str, Any]]]) -> list[str]:
    """What is printed for events at these seconds after the start."""
    out, begun = io.StringIO(), clock.now
    console = Console(file=out, width=1000, soft_wrap=True)
    with observe(console, "fit", clock) as observer:
        for seconds, event in events:
            clock.now = begun + seconds
            observer(event)
    return out.getvalue().splitlines()


def test_plain_lines_come_now_and_then() -> None:
    every = [
        (float(t), {"event": "iteration", "iteration": t, "iterations": 200, "seconds_left": 200.0 - t})
        for t in range(1, 100)
    ]
    lines = plain(Clock(), every)
    times = [int(FIRST + k * NEXT) for k in range(3)]
    assert lines == [f"fit: {t}/200 · {(200 - t) // 60}:{(200 - t) % 60:02d} left" for t in times]
    assert plain(Clock(), every[: int(FIRST) - 1]) == []


def test_plain_lines_name_the_step() -> None:
    events = [
        (1.0, {"step": "reading"}),
        (11.0, {"done": 1, "total": 4}),
        (50.0, {"step": "writing"}),
        (51.0, {"event": "warning", "message": "no progress"}),
        (90.0, {"event": "end", "iterations": 5}),
    ]
    assert plain(Clock(), events) == ["fit (reading): 25%", "fit (writing) …"]


def test_quiet_has_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(quiet=True).progress("fit") as observer:
        observer({"done": 1, "total": 2})
    assert capsys.readouterr().err == ""


# --- the learning curve -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("curve") / "d.h5"
    DATA.write(path)
    return path


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_fit_draws_its_learning_curve(ivbpr: Run, dataset: Path, tmp_path: Path, suffix: str) -> None:
    plot = tmp_path / f"curve.{suffix}"
    options = ("--model", "bpr-mf", "--iterations", "12", "--eval-every", "2", "-o", tmp_path / "m.h5")
    done = ivbpr("fit", dataset, *options, "--plot", plot)
    assert done.code == 0 and f"The learning curve is in {plot}." in done.err
    content = plot.read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == "png" else b"<svg")
    if suffix == "svg":
        ivbpr("fit", dataset, *options, "--plot", tmp_path / "again.svg")
        assert (tmp_path / "again.svg").read_bytes() == content


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "pop", "--plot", "c.svg"), "no learning curve"),
        (("--model", "bpr-mf", "--plot", "c.gif"), "not a kind of plot"),
        (("--model", "bpr-mf", "--plot", "m.h5.svg/x.svg"), "does not exist"),
        (("--model", "bpr-mf", "--log", "-"), "--log - names no file"),
        (("--model", "bpr-mf", "--plot", "run.toml"), "configuration of --config"),
        (("--model", "bpr-mf", "--log", "run.toml"), "configuration of --config"),
    ],
)
def test_what_fit_refuses_to_write(
    ivbpr: Run,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text('format = "json"\n')
    done = ivbpr("fit", dataset, "-o", "m.h5", "--config", "run.toml", *arguments)
    assert done.code == 2 and said in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]
    assert Path("run.toml").read_text() == 'format = "json"\n'


def test_the_output_is_not_the_configuration(ivbpr: Run, dataset: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('format = "json"\n')
    for words in (("--config", config, "fit"), ("fit", "--config", config)):
        done = ivbpr(*words, dataset, "--model", "pop", "-o", config)
        assert done.code == 2 and "configuration of --config" in done.err
    assert config.read_text() == 'format = "json"\n'
