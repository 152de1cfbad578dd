"""What a training writes is checked before a photo is decoded: target, lock, state and log, both ways."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import squares
from tiny_networks import toy

from ivbpr_cli import paths
from ivbpr_numba.errors import UsageError
from ivbpr_numba.photos import pictures
from ivbpr_numba.store.atomic import lock
from ivbpr_numba.training.outputs import claimed

WAYS = {"frozen": "net.partial.frozen", "whole": "net.partial.pt"}
OLD = '{"event": "configuration"}\n{"event": "evaluation", "epoch": 1}\n'


class Shop:
    """Photos, a table, a backbone, and the command that trains on them in one of both ways."""

    def __init__(self, folder: Path, way: str, ivbpr: Callable[..., Any]) -> None:
        self.folder, self.ivbpr = folder, ivbpr
        self.out, self.log, self.partial = folder / "net.onnx", folder / "run.jsonl", folder / WAYS[way]
        self.decoded: list[object] = []
        self.table = squares.write(folder / "photos", 40)
        own = ["--trunk", "small"]
        if way == "frozen":
            own = ["--frozen", toy(folder / "b.onnx"), "--preprocess", "imagenet"]
        self.own = [*own, "--size", "32x32", "--hidden", 8, "--epochs", 1, "--device", "cpu", "--threads", 1]

    def train(self, *more: object, log: object = None, out: object = None) -> Any:
        """Run the command."""
        self.decoded.clear()
        data = ["--images", self.folder / "photos", "--labels", self.table, "--id", "item"]
        data += ["--groups", "colour", "--min-images", 2, "--valid-share", 0.3]
        end = ["-o", out or self.out, "--log", log or self.log]
        return self.ivbpr("network", "train", *data, *self.own, *end, *more)

    def refused(self, code: int, said: str, *more: object, **ends: object) -> None:
        """It ends before a photo is decoded, and leaves everything as it is."""
        before = {path: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
        done = self.train(*more, **ends)
        text = " ".join(done.err.split())
        assert (done.code, self.decoded) == (code, []), text
        assert said in text
        assert {path: path.read_bytes() for path in self.folder.iterdir() if path.is_file()} == before


@pytest.fixture(params=WAYS)
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, ivbpr: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Shop:
    pytest.importorskip("onnx", reason="writing networks needs the extra 'onnx'")
    if request.param == "whole":
        pytest.importorskip("torch", reason="training the whole network needs the extra 'train'")
    made = Shop(tmp_path, request.param, ivbpr)
    decode = pictures.decode
    monkeypatch.setattr(pictures, "decode", lambda *given: (made.decoded.append(given), decode(*given))[1])
    return made


def test_a_leftover_state_is_refused_and_the_log_stays(shop: Shop) -> None:
    # torch's states are zip archives; a file of another kind would stay even with --overwrite.
    shop.partial.write_bytes(b"PK\x03\x04 a state" if shop.partial.suffix == ".pt" else b"a state")
    shop.log.write_text(OLD)
    shop.refused(2, "--resume")
    shop.refused(2, "Give one of the two", "--resume", "--overwrite")
    done = shop.train("--overwrite")
    assert done.code == 0 and len(shop.decoded) >= 40, done.err
    lines = [json.loads(line) for line in shop.log.read_text().splitlines()]
    assert lines[0]["event"] == "configuration" and "way" in lines[0] and lines[-1]["event"] == "end"
    assert not shop.partial.exists()
    assert shop.train("--resume").code == 0  # nothing to go on from: the log keeps what it has
    assert shop.log.read_text().startswith("\n".join(map(json.dumps, lines)) + "\n")


def test_a_state_that_cannot_be_gone_on_from(shop: Shop) -> None:
    shop.log.write_text(OLD)
    shop.partial.write_bytes(b"something else" * 9)
    code = 2 if shop.partial.suffix == ".frozen" else 3  # no journal; no state
    shop.refused(code, "is no ", "--resume")
    shop.partial.unlink()
    shop.partial.mkdir()
    shop.refused(2, "is no file", "--overwrite")


def test_the_log_is_neither_output_nor_input(shop: Shop) -> None:
    (shop.folder / "link").symlink_to(shop.out)
    for log in (shop.out, shop.folder / "link", f"{shop.out}.lock", shop.partial, shop.table):
        shop.refused(2, "same file", log=log)
    shop.out.write_text("an older network")
    os.link(shop.out, shop.folder / "hard")
    shop.refused(2, "same file", log=shop.folder / "hard")
    shop.refused(2, "also an input", out=shop.table)


def test_logs_that_take_no_lines(shop: Shop) -> None:
    os.mkfifo(shop.folder / "pipe")
    shop.refused(2, "nobody", log=shop.folder / "pipe")
    shop.refused(2, "is a folder", log=shop.folder)
    shop.refused(2, "mkdir -p", log=shop.folder / "none" / "run.jsonl")
    reader = os.open(shop.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert shop.train(log=shop.folder / "pipe").code == 0
    read = os.read(reader, 1 << 20).decode().splitlines()
    os.close(reader)
    assert [json.loads(line)["event"] for line in (read[0], read[-1])] == ["configuration", "end"]


def test_targets_that_take_no_network(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(shop.folder / "pipe")
    (shop.folder / "link").symlink_to(shop.folder / "none" / "net.onnx")
    shop.refused(2, "no regular file", out=shop.folder / "pipe")
    shop.refused(2, "is a folder", out=shop.folder / "photos")
    shop.refused(2, "mkdir -p", out=shop.folder / "none" / "net.onnx")
    shop.refused(2, "mkdir -p", out=shop.folder / "link")
    with lock(shop.out):
        shop.refused(2, f"pid {os.getpid()}")
    allowed = os.access
    monkeypatch.setattr(
        paths.os,
        "access",
        lambda path, mode: allowed(path, mode) and not (path == shop.folder and mode & os.W_OK),
    )
    shop.refused(4, "may not be written")


def test_a_log_that_breaks_ends_the_run_and_the_state_is_kept(shop: Shop) -> None:
    done = shop.train(log="/dev/full")
    assert done.code == 4 and "'/dev/full': no space" in " ".join(done.err.split())
    assert not shop.out.exists() and not Path(f"{shop.out}.lock").exists()


def test_a_state_of_other_options_is_refused_before_the_photos(shop: Shop) -> None:
    if shop.partial.suffix != ".pt":
        pytest.skip("the activations that --frozen keeps serve any options")
    assert shop.train("--keep-checkpoint").code == 0
    shop.out.unlink()
    shop.refused(2, "different: options", "--resume", "--seed", 5)
    shop.refused(2, "different: preprocessing", "--resume", "--size", "40x40")
    assert shop.train("--resume").code == 0


def test_export_is_refused_while_a_training_writes(shop: Shop) -> None:
    if shop.partial.suffix != ".pt":
        pytest.skip("there is nothing to export of --frozen")
    assert shop.train("--keep-checkpoint").code == 0
    export = ["network", "export", shop.partial, "-o"]
    with lock(shop.out):
        assert shop.ivbpr(*export, shop.out).code == 2
    assert shop.ivbpr(*export, shop.partial).code == 2
    os.mkfifo(shop.folder / "pipe")
    assert shop.ivbpr(*export, shop.folder / "pipe").code == 2
    assert shop.ivbpr(*export, shop.out).code == 0


def test_both_at_once_contradict_each_other(tmp_path: Path) -> None:
    out = tmp_path / "net.onnx"
    with pytest.raises(UsageError, match="one of the two"), claimed(out, out, resume=True, overwrite=True):
        pass
    with lock(out) as held, claimed(out, tmp_path / "p", keep_lock=held) as same:
        assert same is held
