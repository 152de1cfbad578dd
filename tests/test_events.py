"""The log of a run: what is refused before it is touched, whole lines, pipes, and what JSON can't say."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ivbpr_numba.errors import EnvironmentProblem, UsageError
from ivbpr_numba.events import JsonLines, check_log, same_file


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_file_begins_with_the_first_line_not_before(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"event": 1}\n')
    with JsonLines(path) as log:
        assert path.read_text() == '{"event": 1}\n'
        log.write({"a": 1})
        assert path.read_text() == '{"a": 1}\n'  # at once
        log.write({"ü": "\udce9"})  # a name that is no UTF-8
    assert lines(path) == [{"a": 1}, {"ü": "\udce9"}]
    with JsonLines(tmp_path / "never.jsonl"):
        pass
    assert not (tmp_path / "never.jsonl").exists()


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("", []),
        ('{"event": 1}\n{"b": 2}\n', [{"event": 1}, {"b": 2}]),
        ('{"event": 1}\n{"b": 2', [{"event": 1}]),  # killed within a line
        ('{"event": 1}\n{"b": 2}', [{"event": 1}, {"b": 2}]),  # killed before its end
        ('{"event": 1', []),
        ('{"event": 1}\n{"event": "' + "x" * 300_000, [{"event": 1}]),
        ('{"event": "' + "x" * 300_000 + '"}', [{"event": "x" * 300_000}]),
        ('{"event": "' + "x" * 300_000, []),
    ],
)
def test_going_on_keeps_whole_lines(tmp_path: Path, before: str, kept: list[dict]) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(before)
    with JsonLines(path, append=True) as log:
        log.write({"c": 3})
    assert lines(path) == [*kept, {"c": 3}]


def test_what_json_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    document = {
        "loss": math.nan,
        "rates": [np.float32(0.5), math.inf],
        "array": np.array([1.0, math.nan]),
        "count": np.int64(7),
        "path": tmp_path,
        3: True,
    }
    with JsonLines(path) as log:
        log.write(document)
    wanted = {
        "loss": None,
        "rates": [0.5, None],
        "array": [1.0, None],
        "count": 7,
        "path": str(tmp_path),
        "3": True,
    }
    assert lines(path) == [wanted]


def test_the_output_is_no_log(tmp_path: Path) -> None:
    """By whatever name, and also where neither exists yet."""
    out = tmp_path / "net.onnx"
    (tmp_path / "link").symlink_to(out)
    (tmp_path / "folder").symlink_to(tmp_path)
    names = [out, tmp_path / "link", tmp_path / "folder" / "net.onnx", tmp_path / "folder/../net.onnx"]
    for name in names[:3]:
        with pytest.raises(UsageError, match="same file"):
            check_log(name, None, tmp_path / "other", out)
    out.write_text("")
    os.link(out, tmp_path / "hard")
    for name in (*names[:3], tmp_path / "hard"):
        with pytest.raises(UsageError, match="same file"):
            JsonLines(name, others=(out,))
    assert same_file(out, tmp_path / "hard") and not same_file(out, tmp_path / "other")


def test_places_that_take_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="folder"):
        check_log(tmp_path)
    with pytest.raises(UsageError, match="mkdir"):
        check_log(tmp_path / "none" / "run.jsonl")
    (tmp_path / "dangling").symlink_to(tmp_path / "none" / "run.jsonl")
    with pytest.raises(UsageError, match="mkdir"):
        check_log(tmp_path / "dangling")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        with pytest.raises(UsageError, match="no file"):
            check_log("s")
    os.mkfifo("pipe")
    with pytest.raises(UsageError, match="nobody"):
        JsonLines("pipe")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for name in ("new.jsonl", "pipe"):
        with pytest.raises(EnvironmentProblem, match="may not be written") as caught:
            check_log(name)
        assert caught.value.exit_code == 4


def test_a_pipe_is_written_until_its_reader_goes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with JsonLines(path) as log:
        log.write({"a": 1})
        assert os.read(reader, 100) == b'{"a": 1}\n'
    log = JsonLines(path)
    os.close(reader)
    with pytest.raises(EnvironmentProblem, match=r"pipe.*reader has gone"):
        log.write({"a": 2})
    log.close()


def test_a_full_disk_is_named() -> None:
    with JsonLines("/dev/full") as log, pytest.raises(EnvironmentProblem, match=r"/dev/full.*no space"):
        log.write({"a": 1})


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr"])
def test_the_own_output_is_shared(tmp_path: Path, name: str) -> None:
    """Neither of the two overwrites what the other one has written, also where both end in a file."""
    code = (
        "import sys; from ivbpr_numba.events import JsonLines\n"
        f"stream = sys.{name[5:]}\n"
        "print('before', file=stream, flush=True)\n"
        f"log = JsonLines({name!r}); log.write({{'a': 1}}); log.close()\n"
        "print('after', file=stream, flush=True)\n"
    )
    with open(tmp_path / "shown", "wb") as shown:
        subprocess.run([sys.executable, "-c", code], check=True, **{name[5:]: shown})
    assert (tmp_path / "shown").read_text() == 'before\n{"a": 1}\nafter\n'
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout + done.stderr == 'before\n{"a": 1}\nafter\n'
