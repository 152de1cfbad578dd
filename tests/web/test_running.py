"""The command from its start to its end: exit codes, what it says, and how it stops."""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ivbpr_numba.models.base import Model


@pytest.fixture(scope="module")
def file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.h5"
    with pytest.warns(UserWarning, match="in memory"):
        model.save(path)
    model.find_features().write(path.with_name("f.h5"))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_ends_it(file: Path, number: int) -> None:
    words = [sys.executable, "-c", "from ivbpr_cli.app import main; main()", "serve", str(file)]
    words += ["--port", "0", "--quiet", "--features", str(file.with_name("f.h5"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "http://" in line:  # also with --quiet: nobody else knows the port
                break
        place = urlsplit(next(word for word in line.split() if word.startswith("http://")))
        idle = socket.create_connection((place.hostname, place.port))  # somebody who says nothing
        asking = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
        asking.request("GET", "/healthz")
        assert asking.getresponse().read() == b'{"status":"ok"}'
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(30) == 128 + number
        idle.close()
    assert "Traceback" not in rest and rest == ""


def test_a_port_in_use(file: Path, ivbpr: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ivbpr("serve", file, "--port", port)
    assert done.code == 4 and f"Port {port} of 127.0.0.1 is in use." in done.err and "--port" in done.err


def test_a_port_is_taken_before_anything_is_served(file: Path, ivbpr: Callable[..., Any]) -> None:
    """Two servers that start at once: the second one is refused, not surprised after it read its model."""
    from ivbpr_cli.web.running import listening

    with listening("127.0.0.1", 0) as first:
        done = ivbpr("serve", file, "--port", first.getsockname()[1])
    assert done.code == 4 and "is in use" in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--port", "70000"), 2, "65535"),
        (("--host", "no.such.host.invalid"), 2, "no such address"),
        (("--host", "203.0.113.7"), 2, "doesn't have that address"),
        (("--images", "nothing"), 2, "nothing"),
        (("--network", "nothing.onnx"), 2, "nothing.onnx"),
    ],
)
def test_what_can_not_be_served(
    file: Path, ivbpr: Callable[..., Any], words: tuple[str, ...], code: int, said: str
) -> None:
    done = ivbpr("serve", file, "--port", "0", *words)
    assert done.code == code and said in " ".join(done.err.split())


def test_without_the_extra(file: Path, ivbpr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    usual = importlib.util.find_spec

    def find(name: str, *more: Any) -> Any:
        return None if name in ("starlette", "uvicorn") else usual(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    done = ivbpr("serve", file)
    assert done.code == 4 and 'pip install "ivbpr[web]"' in done.err


def test_no_other_command_needs_the_extra(ivbpr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, ivbpr_cli.app; print(*[m for m in ('starlette', 'uvicorn', 'anyio') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == []


def test_others_are_let_in_only_with_a_warning(
    file: Path, ivbpr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ivbpr_cli.web import running

    monkeypatch.setattr(running, "serve", lambda app, bound, started: started())
    quiet = ivbpr("serve", file, "--port", "0", "--features", file.with_name("f.h5"))
    assert quiet.code == 0 and "Warning" not in quiet.err and "http://127.0.0.1:" in quiet.err
    told = ivbpr("serve", file, "--port", "0", "--host", "0.0.0.0", "--features", file.with_name("f.h5"))
    assert told.code == 0 and "Warning: --host 0.0.0.0" in told.err


def test_a_missing_feature_file_is_told(
    file: Path, ivbpr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ivbpr_cli.web import running

    monkeypatch.setattr(running, "serve", lambda app, bound, started: started())
    done = ivbpr("serve", file, "--port", "0")
    assert done.code == 0 and done.err.count("Warning: ") == 1 and "no reasons and no steering" in done.err
