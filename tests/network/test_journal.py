"""The journal of an extraction: every cut, every damage and any interruptions leave what is whole."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extracting import loop, stop_after
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import write_all
from tiny_networks import PREPROCESSING

from ivbpr_numba.errors import DataError, Interrupted, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.journal import MAGIC, Journal, journal_path

pytest.importorskip("onnx", reason="networks for tests are made with onnx")


class TestJournal:
    IDENTITY = {"a": 1, "b": "ü"}  # noqa: RUF012

    def filled(self, path: Path) -> list[np.ndarray]:
        rng = np.random.default_rng(1)
        rows = [rng.normal(size=(k, 3)).astype(np.float32) for k in (2, 0, 4)]
        with Journal(path, self.IDENTITY) as journal:
            for number, block in enumerate(rows):
                journal.append({"bad": [[number, "reason é"]], "columns": 3}, block)
        return rows

    def test_round_trip(self, tmp_path: Path) -> None:
        rows = self.filled(tmp_path / "j")
        with Journal(tmp_path / "j", self.IDENTITY) as journal:
            assert [document["batch"] for document in journal.documents] == [0, 1, 2]
            assert journal.documents[2]["bad"] == [[2, "reason é"]]
            offsets = np.array([journal.offsets[2] + 12 * k for k in (3, 0, 1)] + [journal.offsets[0]])
            assert np.array_equal(journal.rows_at(offsets, 3), [*rows[2][[3, 0, 1]], rows[0][0]])
            assert journal.rows_at(offsets[:0], 3).shape == (0, 3)

    def test_every_cut_leaves_whole_records(self, tmp_path: Path) -> None:
        path = tmp_path / "j"
        self.filled(path)
        whole = path.read_bytes()
        with Journal(path, self.IDENTITY) as journal:
            ends = [offset + 12 * n for offset, n in zip(journal.offsets, (2, 0, 4))]
        lengths = {*range(0, len(whole), 5), *ends, *(end - 1 for end in ends), len(whole)}
        for length in sorted(lengths):
            path.write_bytes(whole[:length])
            with Journal(path, self.IDENTITY) as journal:
                assert len(journal.documents) == sum(end <= length for end in ends)
                journal.append({}, np.zeros((1, 3), dtype=np.float32))
            with Journal(path, self.IDENTITY) as journal:
                assert len(journal.documents) == sum(end <= length for end in ends) + 1

    @given(st.integers(0, 10**6), st.integers(1, 255))
    @settings(max_examples=80)
    def test_damage_is_never_believed(self, at: int, flip: int) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "j"
            self.filled(path)
            with Journal(path, self.IDENTITY) as journal:
                documents = journal.documents
            data = bytearray(path.read_bytes())
            at %= len(data)
            data[at] ^= flip
            path.write_bytes(data)
            if at < len(MAGIC):
                with pytest.raises(UsageError, match="no journal"):
                    Journal(path, self.IDENTITY)
                assert path.read_bytes() == bytes(data)
                return
            with Journal(path, self.IDENTITY) as journal:
                found = journal.documents
                assert found == documents[: len(found)] and len(found) < 3

    def test_damaged_first_record_of_much_work(self, tmp_path: Path) -> None:
        path = tmp_path / "j"
        with Journal(path, self.IDENTITY) as journal:
            journal.append({}, np.zeros((1000, 50), dtype=np.float32))
        data = bytearray(path.read_bytes())
        data[len(MAGIC) + 50] ^= 1
        path.write_bytes(data)
        with pytest.raises(DataError, match="overwrite=True"):
            Journal(path, self.IDENTITY)
        with Journal(path, self.IDENTITY, overwrite=True) as journal:
            assert journal.documents == []

    def test_somebody_elses_file_stays(self, folder: Path, net: Path, out: Path) -> None:
        journal_path(out).write_text("my thesis")
        with pytest.raises(UsageError, match="no journal"):
            extract(folder, net, out)
        assert journal_path(out).read_text() == "my thesis" and not out.exists()

    def test_damaged_tail_is_done_again(self, folder: Path, net: Path, out: Path) -> None:
        wanted = extract(folder, net, out, batch=4)["payload_sha256"]
        for spoil in (lambda data: data[:-7], lambda data: data[:-1] + b"?", lambda data: data + b"\0" * 99):
            with pytest.raises(Interrupted):
                extract(folder, net, out, batch=4, stop=stop_after(3))
            path = journal_path(out)
            path.write_bytes(spoil(path.read_bytes()))
            report = extract(folder, net, out, batch=4)
            assert report["payload_sha256"] == wanted and report["resumed"] in (8, 12)

    @given(
        st.lists(st.booleans(), min_size=1, max_size=14),
        st.integers(1, 6),
        st.lists(st.integers(1, 3), max_size=3),
        st.lists(st.integers(0, 3), min_size=14, max_size=14),
    )
    @settings(max_examples=30)
    def test_like_a_plain_loop(
        self, folder: Path, net: Path, usable: list[bool], batch: int, stops: list[int], owners: list[int]
    ) -> None:
        """Any images bad, any batch, any interruptions: the means of the rows of a plain loop."""
        import tempfile

        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            data = [
                path.read_bytes() if good else b"bad" for good, path in zip(usable, sorted(folder.iterdir()))
            ]
            names = [f"{owner}-{k:02}.png" for k, owner in enumerate(owners[: len(data)])]
            order = sorted(range(len(data)), key=lambda k: names[k])
            write_all(place / "p", dict(zip(names, data)))
            table = "".join(f"{name[0]},{name}\n" for name in names)
            (place / "t.csv").write_text(f"id,file\n{table}")
            options: dict[str, Any] = {
                "items": place / "t.csv", "id_column": "id", "file_column": "file", "batch": batch}  # fmt: skip
            for batches in stops:
                with contextlib.suppress(Interrupted, DataError):
                    extract(place / "p", net, place / "f.h5", stop=stop_after(batches), **options)
            if not any(usable):
                with pytest.raises(DataError):
                    extract(place / "p", net, place / "f.h5", **options)
                return
            report = extract(place / "p", net, place / "f.h5", **options)
            rows = loop(net, [data[k] for k in order], PREPROCESSING, "probabilities", batch)
            items = np.array([names[k][0] for k in order if usable[k]])
            wanted = []
            for item in np.unique(items):
                total = np.zeros(5)
                for row in rows[items == item]:
                    total += row
                wanted.append((total / (items == item).sum()).astype(np.float32))
            assert np.array_equal(Features.read(place / "f.h5").matrix, np.clip(wanted, 0, 1))
            assert len(report["bad"]) == usable.count(False)
