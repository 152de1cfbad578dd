"""What all tests share: repeatable Hypothesis runs, the real-data folder, the command line in-process."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_runs import DemoRun, run_and_keep
from hypothesis import HealthCheck, settings

# The same examples in every run: a red test is red for everyone. No deadline, because the first
# example of a kernel test also pays for compilation.
settings.register_profile(
    "ivbpr", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ivbpr")

# Rooms whose tests compile most kernels. They go first: xdist gives each worker one stretch of the list, so
# that one worker fills the empty cache while the others run what needs few kernels.
COMPILING = (
    "kernels",
    "answers",
    "models",
    "questions",
    "report",
    "docs",
    "test_benchmarks.py",
    "test_peers.py",
)
TOO_LONG = 300  # seconds after which a test hangs; those marked slow may take longer
MOST_WORKERS = 4  # each compiles what it needs first; more of them mostly compile the same

_terminal = 2


def pytest_configure(config: pytest.Config) -> None:
    """The ring `cuda` runs in numba-cuda's simulator, for which numba looks when it is first imported."""
    global _terminal
    if config.option.markexpr == "cuda":
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    # Behind an `&` a shell's jobs are deaf to Ctrl-C, and programs that we start would be too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _terminal = os.dup(2)  # nothing is captured yet


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that hangs ends its process with the lines at which its threads are; xdist names the test."""
    if item.get_closest_marker("slow") is None:
        faulthandler.dump_traceback_later(TOO_LONG, file=_terminal, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Spread the fast ring over the cores; the others fill the machine themselves or measure it."""
    asked = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    if asked:
        return int(asked)
    if "not slow" not in config.option.markexpr:
        return 0
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return min(len(allowed), MOST_WORKERS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order for speed alone: every test stands for itself."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in COMPILING)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder named by ``IVBPR_REAL_DATA``; tests that ask for it are skipped where it is absent."""
    named = os.environ.get("IVBPR_REAL_DATA")
    if not named:
        pytest.skip("IVBPR_REAL_DATA is not set")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"IVBPR_REAL_DATA={named} is not a folder")
    return folder


@pytest.fixture(scope="session")
def tiny_demo(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """A finished ``ivbpr demo --size tiny``; its folder is not to be changed."""
    return run_and_keep(tmp_path_factory.mktemp("tiny") / "demo", "tiny")


@dataclass
class Outcome:
    """What one command line left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def ivbpr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a command line of ``ivbpr`` in this process, without COLUMNS and IVBPR_* of its caller."""
    monkeypatch.delenv("COLUMNS", raising=False)
    for name in list(os.environ):
        if name.startswith("IVBPR_"):
            monkeypatch.delenv(name)

    def run(*arguments: object) -> Outcome:
        from ivbpr_cli.app import run as run_command

        capsys.readouterr()
        code = run_command([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
