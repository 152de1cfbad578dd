"""Runs of the demo that several tests look at; none of them changes the folder."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ivbpr_cli.app import run
from ivbpr_numba import demo


@dataclass(frozen=True)
class DemoRun:
    """What one run left: its folder, the facts of its page, what `run_demo` returned, what was printed."""

    folder: Path
    story: dict[str, Any]
    found: dict[str, Any]
    out: str


def run_and_keep(folder: Path, size: str) -> DemoRun:
    """Run ``ivbpr demo`` in this process."""
    stories: list[dict[str, Any]] = []
    reports: list[dict[str, Any]] = []
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in [name for name in os.environ if name.startswith("IVBPR_")]:
            patch.delenv(name)
        for name, kept in (("tell", stories), ("run_demo", reports)):
            patch.setattr(demo, name, keeping(getattr(demo, name), kept))
        code = run(["demo", "-o", str(folder), "--size", size])
    assert code == 0, err.getvalue()
    return DemoRun(folder, stories[0], reports[0], out.getvalue())


def keeping(function: Any, kept: list[Any]) -> Any:
    """The function, whose answers are also appended to `kept`."""

    def call(*arguments: Any, **options: Any) -> Any:
        kept.append(function(*arguments, **options))
        return kept[-1]

    return call
