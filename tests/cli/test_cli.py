"""The command line itself: formats, settings, exit codes, messages; and each command once."""

from __future__ import annotations

import csv
import errno
import fnmatch
import importlib.metadata
import importlib.resources
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ivbpr_numba
from ivbpr_cli.failures import describe
from ivbpr_numba import backends
from ivbpr_numba.errors import CheckFailed, DataError, EnvironmentProblem, Interrupted, UsageError
from ivbpr_numba.network import shipped
from ivbpr_numba.worlds.truth import Truth

Run = Callable[..., Any]

FACTS: dict[str, Any] = {
    **{"python": "3", "device": "cpu", "threads": 2, "packages": {"numpy": "2"}, "extras": {"plot": False}},
    "networks": {"device": "cpu"},
}


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ivbpr doctor` without compiling: these tests are about the frame, not about the doctor."""
    monkeypatch.setattr(backends, "describe", lambda: {n: FACTS[n] for n in FACTS if n != "networks"})
    monkeypatch.setattr(shipped, "network_facts", lambda: FACTS["networks"])


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

    def test_config_as_editors_save_it(self, ivbpr: Run, tmp_path: Path) -> None:
        path = tmp_path / "run.toml"
        path.write_bytes(b'\xef\xbb\xbfformat = "csv"\r\n[doctor]\r\n')
        assert self.kind(ivbpr("doctor", "--config", path).out) == "csv"
        path.write_bytes(b'format = "csv"\nuser = "\xfc"\n')
        done = ivbpr("doctor", "--config", path)
        assert done.code == 2 and "run.toml', line 2 is not UTF-8" in done.err

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

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def compiled(cls) -> None:
        """Nobody is told that something is compiled: it was, once."""
        subprocess.run([cls.SCRIPT, "doctor"], capture_output=True)

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

    @pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
    def test_a_closed_stream_leads_nowhere(self, closed: str) -> None:
        number = ("stdin", "stdout", "stderr").index(closed)
        for line, code in (("guide evaluation", 0), ("nope", 2)):
            done = subprocess.run(
                ["/bin/sh", "-c", f'exec "$0" {line} {number}>&-', str(self.SCRIPT)], capture_output=True
            )
            assert done.returncode == code
            assert b"Internal error" not in done.stderr

    def test_letters_that_stdout_lacks_are_replaced(self) -> None:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run([self.SCRIPT, "guide", "evaluation"], env=environment, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"") and b"?" in done.stdout

    @pytest.mark.parametrize("line", [["--help"], ["--version"], ["fit", "--help"]])
    def test_a_reader_that_left_before_the_help(self, line: list[str]) -> None:
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([self.SCRIPT, *line], stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert (done.returncode, done.stderr) == (0, b"")


class TestFeatureFiles:
    """`features import`, `info`, `examples`, `inspect`, `verify` on one small file."""

    @pytest.fixture
    def matrix(self, tmp_path: Path) -> Path:
        np.save(tmp_path / "x.npy", np.array([[0.5, 2.0], [1.5, 0.0], [0.25, 1.0]], dtype=np.float32))
        (tmp_path / "ids.txt").write_text("007\nb\na\n")
        return tmp_path / "x.npy"

    @pytest.fixture
    def file(self, ivbpr: Run, matrix: Path) -> Path:
        out = matrix.parent / "f.h5"
        done = ivbpr(
            "features", "import", matrix, "--ids", matrix.parent / "ids.txt", "-o", out, "--format", "json"
        )
        assert done.code == 0, done.err
        report = json.loads(done.out)
        assert report["schema"] == "ivbpr.features-import/1" and report["items"] == 3
        return out

    def test_info(self, ivbpr: Run, file: Path) -> None:
        facts = json.loads(ivbpr("features", "info", file, "--format", "json").out)
        assert (facts["items"], facts["columns"], facts["kind"], facts["max"]) == (3, 2, "dense", 2.0)
        assert "zero share" in ivbpr("features", "info", file).out

    def test_examples_keep_leading_zeros(self, ivbpr: Run, file: Path) -> None:
        done = ivbpr("features", "examples", file, "1", "-n", "2", "--format", "jsonl")
        assert [json.loads(line)["item"] for line in done.out.splitlines()] == ["007", "a"]

    def test_what_a_table_leaves_out_is_counted_and_named(self, ivbpr: Run, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text(
            "id,colour,tags\n1,red,\"['a', 'b']\"\n2,red,a\n3,blue,\n4,,\n1,green,b\n", encoding="utf-8"
        )
        options = ("--id", "id", "--columns", "colour", "--tags", "tags", "--min-count", "2")
        out = tmp_path / "a.h5"
        done = ivbpr("features", "table", tmp_path / "t.csv", *options, "--aggregate", "first", "-o", out)
        assert done.code == 0
        assert done.err.splitlines() == [
            "tags: the text of 1 cells was read as a list, the first is ['a', 'b'].",
            "1 items have rows that disagree; the first row counts: 1.",
            "colour: 2 values are too rare for --min-count: blue (1 items), green (0 items).",
            "colour: 1 items have no value: 4.",
            "colour: 1 items lost their last value to --min-count: 3.",
            "tags: 1 values are too rare for --min-count: b (1 items).",
            "tags: 2 items have no value: 3, 4.",
            "2 items have no value in any group and keep a row of zeros: 3, 4.",
        ]
        assert ivbpr("features", "info", out).err == "2 items have only zeros: 3, 4.\n"
        done = ivbpr("features", "examples", out, "red")
        assert done.err == "2 of 4 items have 'red'; the others have none of it.\n"
        assert ivbpr("features", "examples", out, "red", "-n", "0").code == 2
        quiet = ivbpr(
            "features", "table", tmp_path / "t.csv", *options, "--aggregate", "first", "-o", out, "-q"
        )
        assert (quiet.code, quiet.err) == (0, "")

    def test_a_wider_type_is_said(self, ivbpr: Run, matrix: Path) -> None:
        np.save(matrix, np.load(matrix) * 1e-9)
        command = (
            "features",
            "import",
            matrix,
            "--ids",
            matrix.parent / "ids.txt",
            "-o",
            matrix.parent / "f.h5",
        )
        done = ivbpr(*command, "--format", "json")
        assert json.loads(done.out)["dtype"] == "float32"
        assert done.err.startswith("Stored as float32: float16 keeps next to nothing of 2 of 2 columns")
        done = ivbpr(*command, "--dtype", "float16")
        assert done.code == 3 and "--dtype float32" in done.err

    def test_a_file_that_is_being_made_is_not_called_missing(self, ivbpr: Run, tmp_path: Path) -> None:
        code = (
            "import sys, time; from ivbpr_numba.store.atomic import lock\n"
            "with lock(sys.argv[1]): print(flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "f.h5")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            done = ivbpr("features", "info", tmp_path / "f.h5")
            writer.kill()
        assert done.code == 2 and f"being written by another process (pid {writer.pid})" in done.err

    def test_unknown_feature(self, ivbpr: Run, file: Path) -> None:
        assert ivbpr("features", "examples", file, "no-such").code == 2

    def test_verify_goes_through_all_files(self, ivbpr: Run, file: Path) -> None:
        """Each is checked and named; the exit code is that of the worst."""
        changed, short = file.with_name("changed.h5"), file.with_name("short.h5")
        image = bytearray(file.read_bytes())
        image[image.rindex(np.array([2.0], dtype="<f2").tobytes())] ^= 1
        changed.write_bytes(image)
        short.write_bytes(image[: len(image) // 2])
        for named, code in (([file], 0), ([changed], 5), ([short], 3)):
            assert ivbpr("verify", *named).code == code
        done = ivbpr("verify", file, changed, "--format", "json")
        assert done.code == 5 and "1 of 2 files" in done.err and str(changed) in done.err
        found = json.loads(done.out)
        assert found["schema"] == "ivbpr.verify/1" and [one["ok"] for one in found["files"]] == [True, False]
        alone = json.loads(ivbpr("verify", file, "--format", "json").out)
        assert found["files"][0] == {key: value for key, value in alone.items() if key != "schema"}
        done = ivbpr("verify", short, changed, file, "--format", "jsonl")
        assert done.code == 3 and str(short) in done.err and str(changed) in done.err
        assert [json.loads(line)["ok"] for line in done.out.splitlines()] == [False, False, True]
        assert len(done.err.splitlines()) == 1
        done = ivbpr("verify", file.with_name("none.h5"), file, changed, "--format", "json")
        assert done.code == 2 and "none.h5 does not exist" in done.err and str(changed) in done.err
        assert [one["ok"] for one in json.loads(done.out)["files"]] == [False, True, False]
        shown = ivbpr("verify", file, short, changed)
        assert all(path.name in shown.out for path in (file, short, changed))

    def test_inspect_and_verify(self, ivbpr: Run, file: Path) -> None:
        objects = {
            row["path"]: row for row in json.loads(ivbpr("inspect", file, "--format", "json").out)["objects"]
        }
        assert objects["/matrix"]["shape"] == [3, 2]
        assert "/ids/items" in ivbpr("inspect", file, "--full").out
        assert ivbpr("verify", file).code == 0
        image = bytearray(file.read_bytes())
        at = image.rindex(np.array([2.0], dtype="<f2").tobytes())
        image[at] ^= 1
        file.write_bytes(image)
        done = ivbpr("verify", file, "--format", "json")
        assert done.code == 5 and json.loads(done.out)["ok"] is False and "/matrix" in done.err
        file.write_bytes(image[: len(image) // 2])
        assert ivbpr("verify", file).code == 3

    @pytest.mark.parametrize("divisor", ["0", "nan", "-1"])
    def test_bad_divisor(self, ivbpr: Run, matrix: Path, divisor: str) -> None:
        out, ids = matrix.parent / "f.h5", matrix.parent / "ids.txt"
        assert ivbpr("features", "import", matrix, "--ids", ids, "--divide-by", divisor, "-o", out).code == 2
        assert not out.exists()

    def test_paths_are_checked_first(self, ivbpr: Run, matrix: Path) -> None:
        ids, nowhere = matrix.parent / "ids.txt", matrix.parent / "nowhere"
        for arguments in (
            [matrix, "--ids", ids, "-o", nowhere / "f.h5"],
            [matrix, "--ids", ids, "-o", matrix.parent],
            [matrix, "--ids", ids, "-o", matrix],
            [matrix, "--ids", nowhere, "-o", matrix.parent / "f.h5"],
            [nowhere, "--ids", ids, "-o", matrix.parent / "f.h5"],
        ):
            before = matrix.read_bytes()
            done = ivbpr("features", "import", *arguments)
            assert done.code == 2 and len(done.err.splitlines()) == 1
            assert matrix.read_bytes() == before
            assert sorted(p.name for p in matrix.parent.iterdir()) == ["ids.txt", "x.npy"]


class TestWorld:
    def test_writes_what_a_user_would_have(self, ivbpr: Run, tmp_path: Path) -> None:
        done = ivbpr("world", "tiny", "-o", tmp_path / "w", "--seed", "3", "--format", "json")
        assert done.code == 0, done.err
        document = json.loads(done.out)
        assert (document["users"], document["items"], document["seed"]) == (200, 300, 3)
        assert {p.name for p in (tmp_path / "w").iterdir()} >= {"purchases.csv", "catalogue.csv", "truth.h5"}
        assert 0.88 < document["truth_auc_without_time_all"] < 0.98
        assert Truth.read(tmp_path / "w" / "truth.h5").metrics["truth_auc/without_time/all"] == pytest.approx(
            document["truth_auc_without_time_all"]
        )

    def test_other_numbers_of_shoppers_and_products(self, ivbpr: Run, tmp_path: Path) -> None:
        sizes = ("--users", 12, "--items", 70)
        done = ivbpr("world", "paper", *sizes, "-o", tmp_path / "w", "--format", "json")
        assert done.code == 0, done.err
        document = json.loads(done.out)
        assert (document["users"], document["items"], document["attributes"]) == (12, 70, 200)
        assert len(set((tmp_path / "w" / "catalogue.csv").read_text().splitlines())) == 71

    def test_refuses_pictures_of_what_nobody_has_drawn(self, ivbpr: Run, tmp_path: Path) -> None:
        done = ivbpr("world", "paper", "--images", "-o", tmp_path / "w")
        assert done.code == 2 and "neckline" in done.err
        assert not (tmp_path / "w").exists()

    def test_refuses_a_folder_of_somebody_else(self, ivbpr: Run, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("mine")
        done = ivbpr("world", "tiny", "-o", tmp_path)
        assert done.code == 2 and list(tmp_path.iterdir()) == [tmp_path / "thesis.txt"]

    def test_unknown_size(self, ivbpr: Run, tmp_path: Path) -> None:
        done = ivbpr("world", "tinny", "-o", tmp_path / "w")
        assert done.code == 2 and "'tiny'" in done.err and not (tmp_path / "w").exists()


class TestInstallation:
    """What the package says of itself, and shells that complete its commands."""

    def test_version(self, ivbpr: Run) -> None:
        found = ivbpr_numba.__version__
        assert found == importlib.metadata.version("ivbpr")
        assert ivbpr("--version").out == f"ivbpr {found}\n"
        with pytest.raises(AttributeError, match="no attribute '__verison__'"):
            ivbpr_numba.__verison__  # noqa: B018

    def test_the_package_is_typed(self) -> None:
        """The marker lies inside the folder that the wheel takes whole, and git does not ignore it."""
        root = Path(__file__).parents[2]
        assert (importlib.resources.files(ivbpr_numba) / "py.typed").is_file()
        wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
            "wheel"
        ]
        assert wheel == {"packages": ["ivbpr_numba", "cli/ivbpr_cli"]}
        ignored = [line.lstrip("!") for line in (root / ".gitignore").read_text().splitlines()]
        assert not any(fnmatch.fnmatch("py.typed", pattern) for pattern in ignored)

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("ivbpr fe", ["features"]),
            ("ivbpr features ex", ["extract", "examples"]),
            ("ivbpr fit --visual-f", ["--visual-factors"]),
        ],
    )
    def test_shells_complete(self, words: str, expected: list[str]) -> None:
        shell = {"_IVBPR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [TestInstalledScript.SCRIPT], env={**os.environ, **shell}, capture_output=True, text=True
        )
        assert sorted(done.stdout.split()) == sorted(expected) and done.stderr == ""

    def test_completion_is_installed(self, tmp_path: Path) -> None:
        home = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(
            [TestInstalledScript.SCRIPT, "--install-completion", "bash"],
            env=home,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "_ivbpr_completion" in (tmp_path / ".bash_completions" / "ivbpr.sh").read_text()
