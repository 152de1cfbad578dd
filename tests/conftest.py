"""What all tests share: repeatable Hypothesis runs, the real-data folder, the command line in-process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run: a red test is red for everyone. No deadline, because the first
# example of a kernel test also pays for compilation.
settings.register_profile(
    "ivbpr", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ivbpr")


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


@dataclass
class Outcome:
    """What one command line left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def ivbpr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a command line of ``ivbpr`` in this process, without IVBPR_* of the caller's environment."""
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
