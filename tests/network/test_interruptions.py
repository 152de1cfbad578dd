"""Extractions that are interrupted go on where they stopped, or say why they can't."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import odd_images
import pytest
from extracting import RAW, stop_after
from photo_files import write_all
from tiny_networks import named_network

from ivbpr_numba.errors import EnvironmentProblem, Interrupted, UsageError
from ivbpr_numba.network import averaging
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import NetworkSession
from ivbpr_numba.network.journal import journal_path

pytest.importorskip("onnx", reason="networks for tests are made with onnx")


class TestInterrupted:
    @pytest.mark.parametrize("batches", range(1, 6))
    def test_goes_on_where_it_stopped(self, folder: Path, net: Path, out: Path, batches: int) -> None:
        wanted = extract(folder, net, out, batch=4)["payload_sha256"]
        out.unlink()
        with pytest.raises(Interrupted) as caught:
            extract(folder, net, out, batch=4, stop=stop_after(batches, signal.SIGINT))
        assert caught.value.exit_code == 130 and caught.value.resume_with == ""
        assert sorted(p.name for p in out.parent.iterdir()) == ["attrs.h5.partial"]
        report = extract(folder, net, out, batch=4)
        assert report["resumed"] == 4 * batches and report["payload_sha256"] == wanted
        assert sorted(p.name for p in out.parent.iterdir()) == ["attrs.h5"]

    def test_done_batches_are_not_run_again(
        self, folder: Path, net: Path, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(Interrupted):
            extract(folder, net, out, batch=4, stop=stop_after(3))
        seen, run = [], NetworkSession.run
        monkeypatch.setattr(
            NetworkSession, "run", lambda self, batch: (seen.append(len(batch)), run(self, batch))[1]
        )
        extract(folder, net, out, batch=4)
        assert seen == [4, 4, 3]

    def test_an_old_file_stays_until_the_end(self, folder: Path, net: Path, out: Path) -> None:
        extract(folder, net, out)
        before = out.read_bytes()
        with pytest.raises(Interrupted):
            extract(folder, net, out, batch=4, stop=stop_after(2))
        assert out.read_bytes() == before

    def test_notes_and_reasons_survive(self, net: Path, out: Path, tmp_path: Path) -> None:
        odd = {**odd_images.broken(), **odd_images.converted()}
        place = write_all(tmp_path / "odd", {name: entry.data for name, entry in odd.items()})
        whole = extract(place, net, tmp_path / "whole.h5", batch=7)
        with pytest.raises(Interrupted):
            extract(place, net, out, batch=7, stop=stop_after(5))
        again = extract(place, net, out, batch=7)
        for key in ("bad", "converted", "left_out", "items", "images", "payload_sha256"):
            assert again[key] == whole[key]

    def test_while_writing(self, folder: Path, net: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(averaging, "_BLOCK_BYTES", 100)
        with pytest.raises(Interrupted, match="all images are done"):
            extract(folder, net, out, batch=23, stop=stop_after(3))
        assert sorted(p.name for p in out.parent.iterdir()) == ["attrs.h5.partial"]
        assert extract(folder, net, out, batch=23)["resumed"] == 23

    def test_other_storage_goes_on(self, folder: Path, net: Path, out: Path) -> None:
        """What doesn't decide about rows may change in between."""
        with pytest.raises(Interrupted):
            extract(folder, net, out, batch=4, stop=stop_after(3))
        report = extract(folder, net, out, batch=4, dtype="float16", kind="dense", threads=1)
        assert report["resumed"] == 12 and report["dtype"] == "float16"

    def test_another_configuration_is_refused(
        self, folder: Path, net: Path, out: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(Interrupted):
            extract(folder, net, out, batch=4, stop=stop_after(3))
        journal = journal_path(out).read_bytes()
        less = write_all(tmp_path / "less", {"a.png": (folder / "a.png").read_bytes()})
        others: list[tuple[str, dict[str, Any]]] = [
            ("batch", {"batch": 5}),
            ("output", {"output": "features", "batch": 4}),
            ("images", {"images": less, "batch": 4}),
            ("preprocessing", {"preprocess": RAW, "batch": 4}),
            ("network sha256", {"model": named_network(tmp_path / "n.onnx", seed=3), "batch": 4}),
        ]
        for what, options in others:
            with pytest.raises(UsageError, match=rf"different: {what}\..*overwrite=True"):
                extract(**{"images": folder, "model": net, "out": out, **options})
            assert journal_path(out).read_bytes() == journal
        report = extract(folder, net, out, batch=5, overwrite=True)
        assert report["resumed"] == 0 and not journal_path(out).exists()

    def test_full_disk(self, folder: Path, net: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = extract(folder, net, out, batch=4)["payload_sha256"]
        write, calls = os.pwrite, [0]

        def full(fd: int, data: Any, offset: int) -> int:
            calls[0] += 1
            if calls[0] > 6:
                write(fd, data[: len(data) // 2], offset)  # half of a record is on the disk
                raise OSError(28, "No space left on device")
            return write(fd, data, offset)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(EnvironmentProblem, match="no space"):
                extract(folder, net, out, batch=4)
        report = extract(folder, net, out, batch=4)
        assert report["payload_sha256"] == wanted and report["resumed"] > 0

    def test_two_at_once(self, folder: Path, net: Path, out: Path) -> None:
        def nested() -> int:
            with pytest.raises(UsageError, match="being written by another"):
                extract(folder, net, out)
            return 0

        extract(folder, net, out, stop=nested)
