"""The command line itself: formats, settings, exit codes, messages; and each command once."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ivbpr_cli.failures import describe

from ivbpr_numba import backends
from ivbpr_numba.errors import CheckFailed, DataError, EnvironmentProblem, Interrupted, UsageError

Run = Callable[..., Any]

FACTS = {"python": "3", "device": "cpu", "threads": 2, "packages": {"numpy": "2"}, "extras": {"plot": False}}


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ivbpr doctor` without compiling: these tests are about the frame, not about the doctor."""
    monkeypatch.setattr(backends, "describe", lambda: FACTS)


@pytest.mark.usefixtures("facts")
class TestFormats:
    def test_json_has_its_schema(self, ivbpr: Run) -> None:
        done = ivbpr("doctor", "--format", "json")
        assert done.code == 0
        assert json.loads(done.out) == {"schema": "ivbpr.doctor/1", **FACTS}

    def test_jsonl_has_a_document_a_line(self, ivbpr: Run) -> None:
        lines = [json.loads(line) for line in ivbpr("doctor", "--format", "jsonl").out.splitlines()]
        assert {"schema": "ivbpr.doctor/1", "what": "packages numpy", "value": "2"} in lines

    def test_csv_has_a_header(self, ivbpr: Run) -> None:
        rows = list(csv.DictReader(io.StringIO(ivbpr("doctor", "--format", "csv").out)))
        assert {"what": "extras plot", "value": "no"} in rows

    def test_table_is_plain_away_from_a_terminal(self, ivbpr: Run) -> None:
        done = ivbpr("doctor")
        assert "packages numpy" in done.out and "\x1b" not in done.out
        assert done.err == ""

    def test_unknown_format_is_a_usage_error(self, ivbpr: Run) -> None:
        done = ivbpr("doctor", "--format", "xml")
        assert (done.code, done.out) == (2, "")
        assert "--format" in done.err and "xml" in done.err


@pytest.mark.usefixtures("facts")
class TestSettings:
    """--config < environment < flag, before and after the command's name."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Callable[[str], Path]:
        def write(text: str) -> Path:
            path = tmp_path / "run.toml"
            path.write_text(text)
            return path

        return write

    @staticmethod
    def kind(out: str) -> str:
        if out.startswith("{\n"):
            return "json"
        return "jsonl" if out.startswith("{") else "csv" if out.startswith("what,") else "table"

    @pytest.mark.parametrize(
        "text", ['format = "csv"', '[doctor]\nformat = "csv"', 'format = "json"\n[doctor]\nformat = "csv"']
    )
    def test_config_before_and_after(self, ivbpr: Run, config: Run, text: str) -> None:
        assert self.kind(ivbpr("doctor", "--config", config(text)).out) == "csv"
        assert self.kind(ivbpr("--config", config(text), "doctor").out) == "csv"

    def test_another_commands_table_is_not_ours(self, ivbpr: Run, config: Run) -> None:
        assert self.kind(ivbpr("doctor", "--config", config('[fit]\nformat = "csv"')).out) == "table"

    def test_precedence(self, ivbpr: Run, config: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        path = config('format = "csv"')
        monkeypatch.setenv("IVBPR_FORMAT", "jsonl")
        assert self.kind(ivbpr("doctor", "--config", path).out) == "jsonl"
        monkeypatch.setenv("IVBPR_DOCTOR_FORMAT", "csv")
        assert self.kind(ivbpr("doctor").out) == "csv"
        assert self.kind(ivbpr("doctor", "--config", path, "--format", "json").out) == "json"
        assert self.kind(ivbpr("--format", "json", "doctor", "--config", path).out) == "json"

    def test_config_by_environment(self, ivbpr: Run, config: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IVBPR_CONFIG", str(config('format = "csv"')))
        assert self.kind(ivbpr("doctor").out) == "csv"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('fromat = "csv"', "'format'"),
            ('[doctr]\nformat = "csv"', "'doctor'"),
            ("[fit]\nlearningrate = 1", "'learning-rate'"),
            ('[features.inf]\nformat = "csv"', "'info'"),
            ("[doctor", "TOML"),
            ("format = {a = 1}", "'format' is not a command"),
            ('[doctor]\nformat = "xml"', "xml"),
            ('config = "other.toml"', "'config'"),
        ],
    )
    def test_wrong_config(self, ivbpr: Run, config: Run, text: str, said: str) -> None:
        done = ivbpr("doctor", "--config", config(text))
        assert done.code == 2
        assert said in done.err and done.out == ""

    def test_missing_config(self, ivbpr: Run, tmp_path: Path) -> None:
        done = ivbpr("doctor", "--config", tmp_path / "none.toml")
        assert done.code == 2 and "none.toml" in done.err


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (UsageError("a", "b"), 2),
            (DataError("a"), 3),
            (EnvironmentProblem("a"), 4),
            (CheckFailed("a"), 5),
            (Interrupted("a", signal_number=15), 143),
            (MemoryError(), 4),
            (OSError(errno.ENOSPC, "No space left on device", "/x"), 4),
            (PermissionError(errno.EACCES, "Permission denied", "/x"), 4),
            (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), 2),
            (ZeroDivisionError("oops"), 1),
        ],
    )
    def test_of_an_error(self, error: Exception, code: int) -> None:
        got, text = describe(error)
        assert got == code
        assert text and "\n" not in text and "Traceback" not in text

    def test_a_bug_says_so(self, ivbpr: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise ZeroDivisionError("two\nlines")

        monkeypatch.setattr(backends, "describe", fail)
        quiet, loud = ivbpr("doctor"), ivbpr("doctor", "--debug")
        assert (quiet.code, loud.code) == (1, 1)
        assert "bug" in quiet.err and "Traceback" not in quiet.err and len(quiet.err.splitlines()) == 1
        assert "Traceback" in loud.err

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_of_a_signal(self, ivbpr: Run, monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
        monkeypatch.setattr(backends, "describe", lambda: os.kill(os.getpid(), number))
        before = signal.getsignal(signal.SIGTERM)
        assert ivbpr("doctor").code == code
        assert signal.getsignal(signal.SIGTERM) is before

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["docter"], "doctor"),
            (["doctor", "--fromat", "csv"], "--format"),
            (["doctor", "more"], "more"),
            (["inspect"], "file"),
            (["inspect", "nowhere.h5"], "nowhere.h5"),
            (["verify", "nowhere.h5"], "nowhere.h5"),
            (["features", "inf"], "info"),
        ],
    )
    def test_of_wrong_usage(self, ivbpr: Run, arguments: list[str], said: str) -> None:
        done = ivbpr(*arguments)
        assert done.code == 2 and done.out == ""
        assert said in done.err and len(done.err.splitlines()) == 1

    def test_help_and_version(self, ivbpr: Run) -> None:
        assert ivbpr("--help").code == 0
        version = ivbpr("--version")
        assert version.code == 0 and version.out.startswith("ivbpr 0.")


class TestInstalledScript:
    """Through the real console script: what only a process of its own can show."""

    SCRIPT = Path(sys.executable).with_name("ivbpr")

    def test_version(self) -> None:
        done = subprocess.run([self.SCRIPT, "--version"], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith("ivbpr ")

    def test_a_reader_that_leaves_is_no_error(self) -> None:
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([self.SCRIPT, "doctor"], stdout=write, stderr=subprocess.PIPE, text=True)
        os.close(write)
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk_is_the_environment(self) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run([self.SCRIPT, "doctor"], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 4 and "full" in done.stderr and "Traceback" not in done.stderr
