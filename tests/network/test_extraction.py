"""`ivbpr features extract`: rows, averages, reports; kills, signals and damage in between."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kills
import numpy as np
import odd_images
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import pack_tar, pack_zip, write_all
from PIL import Image
from tiny_networks import PREPROCESSING, SIZE, VOCABULARY, named_network, plain_network

from ivbpr_numba.errors import DataError, EnvironmentProblem, Interrupted, IvbprError, UsageError
from ivbpr_numba.features.describing import describe
from ivbpr_numba.features.features import Features
from ivbpr_numba.network import averaging
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network, NetworkSession
from ivbpr_numba.network.journal import MAGIC, Journal, journal_path
from ivbpr_numba.photos.pictures import decode
from ivbpr_numba.photos.preprocessing import Preprocessing

Run = Callable[..., Any]

pytest.importorskip("onnx", reason="networks for tests are made with onnx")

RAW = Preprocessing(SIZE, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23 photos, a.png to w.png."""
    files = {f"{chr(97 + k)}.png": odd_images.saved(odd_images.photo(k), "PNG") for k in range(23)}
    return write_all(tmp_path_factory.mktemp("photos"), files)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return named_network(tmp_path_factory.mktemp("net") / "net.onnx")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_network(tmp_path_factory.mktemp("net") / "plain.onnx")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "attrs.h5"


def loop(network: Path, images: list[bytes], prepared: Preprocessing, output: str, batch: int) -> np.ndarray:
    """The plain way: every `batch` images at once, unusable ones left out."""
    session = Network.read(network).session([output], "cpu")
    rows = []
    for start in range(0, len(images), batch):
        found = [decode(data).image for data in images[start : start + batch]]
        usable = [np.asarray(prepared.fit(image)) for image in found if image is not None]
        if usable:
            (values,) = session.run(prepared.normalise(np.stack(usable)))
            rows.append(values.reshape(len(usable), -1))
    return np.concatenate(rows)


def stop_after(batches: int, number: int = signal.SIGTERM) -> Callable[[], int]:
    """A signal that is seen after so many batches."""
    calls = [0]

    def stopped() -> int:
        calls[0] += 1
        return number if calls[0] >= batches else 0

    return stopped


def contents_of(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


class TestRows:
    def test_what_the_network_says(self, folder: Path, net: Path, out: Path) -> None:
        report = extract(folder, net, out, batch=5)
        features = Features.read(out)
        assert features.items.texts() == [chr(97 + k) for k in range(23)]
        wanted = loop(net, contents_of(folder), PREPROCESSING, "probabilities", 5)
        assert np.array_equal(features.matrix, wanted) and wanted.std(axis=0).min() > 0.001
        assert features.names == VOCABULARY.names and features.groups == VOCABULARY.layout
        assert features.kind == "attributes" and features.scale == 1.0
        assert features.attrs == {"network_sha256": Network.read(net).sha256}
        assert features.source["command"] == "features extract"
        assert features.source["model"] == "net.onnx" and features.source["images_used"] == 23
        expected = {
            "images": 23, "items": 23, "columns": 5, "kind": "attributes", "dtype": "float32",
            "output": "probabilities", "provider": "CPUExecutionProvider", "batch": 5, "resumed": 0,
            "payload_sha256": features.payload_sha256, "bad": [], "converted": [], "left_out": [],
        }  # fmt: skip
        assert {key: report[key] for key in expected} == expected
        assert report["why"] and report["images_per_second"] > 0 and report["network_images_per_second"] > 0
        assert not journal_path(out).exists()
        assert sorted(p.name for p in out.parent.iterdir()) == ["attrs.h5"]
        assert describe(features)["network_sha256"] == report["network_sha256"]

    def test_every_container_gives_the_same(self, folder: Path, net: Path, tmp_path: Path) -> None:
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        shuffled = dict(sorted(files.items(), key=lambda entry: entry[1]))
        places = {
            "folder": folder,
            "zip": pack_zip(tmp_path / "p.zip", shuffled),
            "tar": pack_tar(tmp_path / "p.tar", shuffled),
            "tgz": pack_tar(tmp_path / "p.tgz", files, "w:gz"),
            "txz": pack_tar(tmp_path / "p.txz", files, "w:xz"),
        }
        found = {
            name: extract(place, net, tmp_path / f"{name}.h5", batch=4)["payload_sha256"]
            for name, place in places.items()
        }
        assert len(set(found.values())) == 1
        # A compressed tar is read as it lies: other batches, the same rows but for rounding.
        other = tmp_path / "other.h5"
        extract(pack_tar(tmp_path / "q.tgz", shuffled, "w:gz"), net, other, batch=4)
        first, second = Features.read(tmp_path / "zip.h5"), Features.read(other)
        assert first.items.texts() == second.items.texts()
        assert np.abs(first.matrix - second.matrix).max() < 1e-6

    def test_several_images_of_an_item_are_averaged(self, folder: Path, net: Path, tmp_path: Path) -> None:
        owners = ["one", "three", "three", "three", "two", "two"]
        rows = "".join(f"{owner},{chr(97 + k)}.png\n" for k, owner in enumerate(owners))
        single = "".join(f"{owner}-{k},{chr(97 + k)}.png\n" for k, owner in enumerate(owners))
        for name, text in (("items", rows), ("single", single)):
            (tmp_path / f"{name}.csv").write_text(f"id,file\n{text}")
            report = extract(
                folder, net, tmp_path / f"{name}.h5", items=tmp_path / f"{name}.csv", id_column="id",
                file_column="file", batch=4,
            )  # fmt: skip
            assert report["images"] == 6
        alone = Features.read(tmp_path / "single.h5").matrix.astype(np.float64)
        means = [alone[0], (alone[1] + alone[2] + alone[3]) / 3, (alone[4] + alone[5]) / 2]
        found = Features.read(tmp_path / "items.h5")
        assert found.items.texts() == ["one", "three", "two"]
        assert np.array_equal(found.matrix, np.array(means).astype(np.float32))

    def test_averages_do_not_depend_on_blocks(
        self, folder: Path, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = np.random.default_rng(0)
        rows = [f"{rng.integers(0, 7)},{chr(97 + k)}.png\n" for k in range(23)]
        (tmp_path / "items.csv").write_text("id,file\n" + "".join(rows))
        found = set()
        for block in (1, 100, 8 << 20):
            monkeypatch.setattr(averaging, "_BLOCK_BYTES", block)
            for pack in (
                folder,
                pack_tar(tmp_path / "p.tar", {p.name: p.read_bytes() for p in folder.iterdir()}),
            ):
                report = extract(pack, net, tmp_path / "f.h5", items=tmp_path / "items.csv",
                                 id_column="id", file_column="file", batch=3)  # fmt: skip
                found.add(report["payload_sha256"])
        assert len(found) == 1

    def test_odd_and_broken_images(self, net: Path, out: Path, tmp_path: Path) -> None:
        """More than fifty kinds in one folder: the run ends, each has its reason or note."""
        broken, converted = odd_images.broken(), odd_images.converted()
        assert len(broken) >= 20 and len(converted) >= 20
        place = write_all(tmp_path / "odd", {name: odd.data for name, odd in {**broken, **converted}.items()})
        (place / "loop.png").symlink_to("loop.png")
        os.mkfifo(place / "pipe.png")
        report = extract(place, net, out, batch=8)
        reasons = {entry["image"]: entry["reason"] for entry in report["bad"]}
        assert set(reasons) == {*broken, "loop.png"}
        for name, odd in broken.items():
            assert str(odd.reason) in reasons[name]
        notes = {entry["image"]: entry["note"] for entry in report["converted"]}
        assert set(notes) == {name for name, odd in converted.items() if odd.note}
        for name, note in notes.items():
            assert str(converted[name].note) in note
        stems = {Path(name).stem for name in converted}
        assert set(Features.read(out).items.texts()) == stems
        assert set(report["left_out"]) == {Path(name).stem for name in reasons} - stems
        assert report["images"] == len(converted) and report["items"] == len(stems)

    def test_network_without_metadata(self, folder: Path, plain: Path, out: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="preprocess="):
            extract(folder, plain, out)
        (tmp_path / "raw.json").write_text(RAW.to_json())
        report = extract(folder, plain, out, preprocess=tmp_path / "raw.json", batch=8)
        features = Features.read(out)
        assert np.array_equal(features.matrix, loop(plain, contents_of(folder), RAW, "y", 8))
        assert (features.kind, features.names) == ("dense", ["0", "1", "2", "3"])
        assert [(group.name, group.size) for group in features.groups] == [("dense", 4)]
        assert report["output"] == "y"

    def test_inner_value(self, folder: Path, plain: Path, out: Path, tmp_path: Path) -> None:
        extract(folder, plain, tmp_path / "y.h5", preprocess=PREPROCESSING)
        report = extract(folder, plain, out, output="inner", preprocess=PREPROCESSING)
        inner = Features.read(out).matrix
        assert inner.shape == (23, 4 * 12 * 8) and report["kind"] == "dense"
        pooled = inner.reshape(23, 4, -1).mean(axis=2)
        assert np.abs(np.tanh(pooled) - Features.read(tmp_path / "y.h5").matrix).max() < 1e-6
        with pytest.raises(UsageError, match="'inner'"):
            extract(folder, plain, out, output="iner", preprocess=PREPROCESSING)

    def test_other_output_of_our_network_is_dense(self, folder: Path, net: Path, out: Path) -> None:
        report = extract(folder, net, out, output="features")
        assert (report["kind"], report["columns"]) == ("dense", 4)
        assert Features.read(out).names == ["0", "1", "2", "3"]
        with pytest.raises(UsageError, match="isn't its probabilities"):
            extract(folder, net, out, output="features", kind="attributes")

    def test_fixed_batch(self, folder: Path, plain: Path, out: Path, tmp_path: Path) -> None:
        for size in (1, 4):
            fixed = plain_network(tmp_path / "fixed.onnx", batch=size)
            extract(folder, fixed, out, preprocess=PREPROCESSING, batch=10)
            wanted = loop(plain, contents_of(folder), PREPROCESSING, "y", 10)
            assert np.abs(Features.read(out).matrix - wanted).max() < 1e-6

    def test_float16(self, folder: Path, net: Path, out: Path, tmp_path: Path) -> None:
        extract(folder, net, out, dtype="float16")
        extract(folder, net, tmp_path / "whole.h5")
        half = Features.read(out).matrix
        assert half.dtype == np.float16
        assert np.array_equal(half, Features.read(tmp_path / "whole.h5").matrix.astype(np.float16))

    def test_too_large_for_float16(self, folder: Path, plain: Path, out: Path) -> None:
        large = Preprocessing(SIZE, scale=1e4, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        with pytest.raises(DataError, match=r"item 'a'.*dtype='float32'"):
            extract(folder, plain, out, output="inner", preprocess=large, dtype="float16")
        assert not out.exists()
        report = extract(folder, plain, out, output="inner", preprocess=large)  # no image is run again
        assert report["resumed"] == 23 and report["images_per_second"] is None

    @pytest.mark.parametrize("threads", [1, 2, 4])
    def test_threads_change_no_bit(self, folder: Path, net: Path, out: Path, threads: int) -> None:
        extract(folder, net, out, batch=5, threads=threads)
        wanted = loop(net, contents_of(folder), PREPROCESSING, "probabilities", 5)
        assert np.array_equal(Features.read(out).matrix, wanted)

    def test_progress(self, folder: Path, net: Path, out: Path) -> None:
        seen: list[dict] = []
        extract(folder, net, out, batch=10, progress=seen.append)
        assert [event["step"] for event in seen if "step" in event] == [
            "listing images", "running the network", "writing"]  # fmt: skip
        assert [(event["done"], event["total"]) for event in seen if "done" in event] == [
            (10, 23), (20, 23), (23, 23)]  # fmt: skip

    def test_same_images_twice_is_the_same_payload(self, folder: Path, net: Path, out: Path) -> None:
        first = extract(folder, net, out)["payload_sha256"]
        assert extract(folder, net, out)["payload_sha256"] == first

    def test_images_are_decoded_only_a_little_ahead(
        self, net: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The queue is bounded: a slow network doesn't fill the memory."""
        data = odd_images.saved(odd_images.photo(1), "PNG")
        place = write_all(tmp_path / "many", {f"{k:03}.png": data for k in range(300)})
        decoded, used, lead = [0], [0], [0]
        fit, run = Preprocessing.fit, NetworkSession.run

        def counting(self: Preprocessing, image: Image.Image) -> Image.Image:
            decoded[0] += 1
            return fit(self, image)

        def slow(self: NetworkSession, batch: np.ndarray) -> list[np.ndarray]:
            time.sleep(0.01)
            used[0] += len(batch)
            lead[0] = max(lead[0], decoded[0] - used[0])
            return run(self, batch)

        monkeypatch.setattr(Preprocessing, "fit", counting)
        monkeypatch.setattr(NetworkSession, "run", slow)
        extract(place, net, out, batch=4, threads=2)
        assert used[0] == decoded[0] == 300
        assert lead[0] <= 40


class TestUnusable:
    def test_all_bad(self, net: Path, out: Path, tmp_path: Path) -> None:
        place = write_all(tmp_path / "bad", {f"{k}.jpg": b"no" * k for k in range(9)})
        with pytest.raises(DataError, match=r"None of the 9 images.*'0\.jpg'.*empty"):
            extract(place, net, out, batch=4)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["bad"]

    def test_whole_batches_of_bad_ones(self, folder: Path, net: Path, out: Path, tmp_path: Path) -> None:
        files = {f"a{k}.jpg": b"no" for k in range(10)} | {"b.png": (folder / "a.png").read_bytes()}
        report = extract(write_all(tmp_path / "p", files), net, out, batch=3)
        assert report["items"] == 1 and len(report["bad"]) == 10 and len(report["left_out"]) == 10

    def test_nan_names_the_image(self, folder: Path, out: Path, tmp_path: Path) -> None:
        nan = named_network(tmp_path / "nan.onnx", "nan")
        bright = {p.name: p.read_bytes() for p in sorted(folder.iterdir())[:6]}
        black = odd_images.saved(Image.new("RGB", (9, 9)), "PNG")
        place = write_all(tmp_path / "p", bright)
        assert extract(place, nan, out, batch=4)["items"] == 6
        out.unlink()
        write_all(place, {"broken.jpg": b"", "ce.png": black})
        with pytest.raises(DataError, match=r"NaN or infinity for 'ce\.png' \(item 'ce'\)"):
            extract(place, nan, out, batch=4)
        assert not out.exists()

    @pytest.mark.parametrize(("wrong", "said"), [("sum", "sum to"), ("range", "no probability")])
    def test_no_probabilities(self, folder: Path, out: Path, tmp_path: Path, wrong: str, said: str) -> None:
        network = named_network(tmp_path / "wrong.onnx", wrong)
        with pytest.raises(DataError, match=rf"{said}.*kind='dense'"):
            extract(folder, network, out)
        assert not out.exists()
        report = extract(folder, network, out, kind="dense", overwrite=True)
        assert report["kind"] == "dense" and Features.read(out).names == VOCABULARY.names

    def test_missing_ones_of_a_table(self, folder: Path, net: Path, out: Path, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("id,file\n1,a.png\n1,nowhere.png\n2,none.png\n3,b.png\n")
        report = extract(folder, net, out, items=tmp_path / "t.csv", id_column="id", file_column="file")
        assert [entry["image"] for entry in report["bad"]] == ["nowhere.png", "none.png"]
        assert report["left_out"] == ["2"] and report["items"] == 2


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


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1500 images of 500 items in a tar, some of them broken."""
    rng = np.random.default_rng(2)
    files = {}
    for k in range(1500):
        data = odd_images.saved(odd_images.photo(k), "JPEG")
        files[f"{k % 3}/{k // 3:04}.jpg"] = data[: len(data) // 2] if rng.random() < 0.05 else data
    return pack_tar(tmp_path_factory.mktemp("many") / "many.tar", dict(sorted(files.items())))


class TestProcesses:
    """The installed `ivbpr`, in processes of its own."""

    def words(self, images: Path, net: Path, out: Path, *more: str) -> list[str]:
        return [
            str(kills.SCRIPT),
            "features",
            "extract",
            str(images),
            "--model",
            str(net),
            "-o",
            str(out),
            *more,
        ]

    def struck(self, words: list[str], out: Path, size: int, number: int) -> tuple[int, str]:
        """Send a signal once the journal has `size` bytes; exit code and stderr."""
        process = kills.start(words)
        journal = journal_path(out)
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                if journal.stat().st_size >= size:
                    process.send_signal(number)
                    break
            time.sleep(0.0005)
        return kills.finish(process)

    def test_killed_twice(self, many: Path, net: Path, tmp_path: Path) -> None:
        whole, out = tmp_path / "whole.h5", tmp_path / "attrs.h5"
        assert kills.call(self.words(many, net, whole, "--batch", "2")) == (0, "")
        words = self.words(many, net, out, "--batch", "2")
        for size in (30_000, 60_000):
            assert self.struck(words, out, size, signal.SIGKILL)[0] == 128 + signal.SIGKILL
            assert not out.exists() and journal_path(out).stat().st_size >= size
        done = subprocess.run(
            [*words, "--format", "json"], capture_output=True, text=True, env=kills.environment()
        )
        report = json.loads(done.stdout)
        assert 200 < report["resumed"] < 1500
        assert kills.payload_of(out) == kills.payload_of(whole) == report["payload_sha256"]
        assert {p.name for p in tmp_path.iterdir()} == {"whole.h5", "attrs.h5"}

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals(self, many: Path, net: Path, tmp_path: Path, number: int) -> None:
        out = tmp_path / "attrs.h5"
        words = self.words(many, net, out, "--batch", "2", "--overwrite")
        code, err = self.struck(words, out, 40_000, number)
        assert code == 128 + number and len(err.splitlines()) == 1
        assert f"Go on with: ivbpr features extract {many} --model {net} -o {out} --batch 2\n" in err
        assert "--resume" not in err
        assert {p.name for p in tmp_path.iterdir()} == {"attrs.h5.partial"}
        assert kills.call(self.words(many, net, out, "--batch", "2"))[0] == 0

    @pytest.mark.slow
    def test_killed_often(self, many: Path, net: Path, tmp_path: Path) -> None:
        out = tmp_path / "attrs.h5"
        command = [*self.words(many, net, out)[1:-2], "--batch", "4"]
        task = kills.Task(command, out, may_stay=("attrs.h5.partial",))
        print(kills.kill_often(task, 40, seed=7))

    def test_no_torch_no_onnx(self, folder: Path, net: Path, tmp_path: Path) -> None:
        code = (
            "import sys\nfrom ivbpr_cli.app import run\n"
            "assert run(sys.argv[1:]) == 0\n"
            "print(*sorted({'torch', 'onnx', 'scipy', 'numba', 'pandas'} & {m.partition('.')[0] for m in sys.modules}))"
        )
        words = self.words(folder, net, tmp_path / "f.h5", "-q", "--format", "csv")[1:]
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == ""

    def test_inner_output_without_onnx(self, folder: Path, plain: Path, tmp_path: Path) -> None:
        code = (
            "import sys\nsys.modules['onnx'] = None\nfrom ivbpr_cli.app import run\n"
            "sys.exit(run(sys.argv[1:]))"
        )
        words = self.words(folder, plain, tmp_path / "f.h5", "--preprocess", str(tmp_path / "p.json"))[1:]
        (tmp_path / "p.json").write_text(PREPROCESSING.to_json())
        for more, wanted in ([], 0), (["--output", "inner"], 4):
            done = subprocess.run([sys.executable, "-c", code, *words, *more], capture_output=True, text=True)
            assert done.returncode == wanted, done.stderr
            assert wanted == 0 or "ivbpr[onnx]" in done.stderr

    def test_memory_does_not_grow_with_the_number_of_images(
        self, many: Path, net: Path, tmp_path: Path
    ) -> None:
        """Peak memory of 1500 large pictures, beside that of 30."""
        data = odd_images.saved(odd_images.photo(1, 512, 512), "JPEG")
        large = tmp_path / "large.json"
        large.write_text(Preprocessing(SIZE).to_json())
        peaks = []
        for count in (40, 400):
            place = write_all(tmp_path / str(count), {f"{k}.jpg": data for k in range(count)})
            code = (
                "import resource, sys\nfrom ivbpr_cli.app import run\nassert run(sys.argv[1:]) == 0\n"
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
            )
            words = self.words(place, net, tmp_path / "f.h5", "-q", "--batch", "4", "--threads", "2")[1:]
            done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
            peaks.append(int(done.stderr.split()[-1]))
        assert peaks[1] - peaks[0] < 20_000  # KiB; 360 decoded pictures would take 360 MB


class TestCommand:
    def test_table_and_json(self, ivbpr: Run, folder: Path, net: Path, tmp_path: Path) -> None:
        files = {p.name: p.read_bytes() for p in folder.iterdir()}
        files |= {f"x{k:02}.jpg": b"" for k in range(25)} | {
            name: odd_images.converted()[name].data for name in ("cmyk.jpg", "moving.gif")
        }
        place = write_all(tmp_path / "p", files)
        out = tmp_path / "f.h5"
        done = ivbpr("features", "extract", place, "--model", net, "-o", out)
        assert done.code == 0, done.err
        assert "CPUExecutionProvider" in done.out and "sha256" not in done.out
        assert "Images that can't be used: 25" in done.out and "the first 20" in done.out
        assert done.out.count("the file is empty") == 20
        assert "cmyk.jpg: CMYK: converted to RGB." in done.err and "25 items have no usable image" in done.err
        done = ivbpr("features", "extract", place, "--model", net, "-o", out, "--format", "json")
        document = json.loads(done.out)
        assert document["schema"] == "ivbpr.features-extract/1"
        assert len(document["bad"]) == 25 and len(document["converted"]) == 2
        assert document["bad"][0] == {"image": "x00.jpg", "item": "x00", "reason": "the file is empty"}
        done = ivbpr("features", "extract", place, "--model", net, "-o", out, "--quiet", "--format", "csv")
        assert done.code == 0 and done.err == "" and len(done.out.splitlines()) == 2
        assert ivbpr("features", "info", out).code == 0
        assert ivbpr("verify", out).code == 0

    def test_items_table(self, ivbpr: Run, folder: Path, net: Path, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("article,photo\n01,a.png\n01,b.png\n")
        done = ivbpr(
            "features", "extract", folder, "--model", net, "--items", tmp_path / "t.csv", "--id", "article",
            "--file", "photo", "-o", tmp_path / "f.h5", "--format", "json",
        )  # fmt: skip
        assert done.code == 0, done.err
        assert Features.read(tmp_path / "f.h5").items.texts() == ["01"]

    def test_what_is_wrong(self, ivbpr: Run, folder: Path, net: Path, plain: Path, tmp_path: Path) -> None:
        out = tmp_path / "f.h5"
        (tmp_path / "t.csv").write_text("id,file\n1,a.png\n2,nowhere.png\n")
        (tmp_path / "gone.csv").write_text("id,file\n1,nowhere.png\n")
        (tmp_path / "bad.json").write_text('{"size": [0, 0]}')
        (tmp_path / "large.json").write_text('{"size": [224, 224]}')
        (tmp_path / "text.onnx").write_text("no network")
        (tmp_path / "text.tar").write_text("no tar")
        (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and nothing else")
        (tmp_path / "empty").mkdir()
        write_all(tmp_path / "bad", {"a.jpg": b"nothing"})
        table = ["--items", tmp_path / "t.csv", "--id", "id", "--file", "file"]
        gone = ["--items", tmp_path / "gone.csv", "--id", "id", "--file", "file"]
        ours = [folder, "--model", net]
        cases: list[tuple[int, str, list[Any]]] = [
            (2, "do not exist", [tmp_path / "nowhere", "--model", net]),
            (2, "does not exist", [folder, "--model", tmp_path / "no.onnx"]),
            (2, "is a folder", [folder, "--model", folder]),
            (2, "--model", [folder]),
            (2, "--preprocess", [folder, "--model", plain]),
            (2, "is no file", [folder, "--model", plain, "--preprocess", tmp_path / "no.json"]),
            (2, "imagenet", [folder, "--model", plain, "--preprocess", "imagenett"]),
            (2, "Change the size", [folder, "--model", plain, "--preprocess", "imagenet"]),
            (3, "no preprocessing", [folder, "--model", plain, "--preprocess", tmp_path / "bad.json"]),
            (2, "'probabilities'", [*ours, "--output", "probabilites"]),
            (2, "vocabulary", [folder, "--model", plain, "--preprocess", tmp_path / "ok.json", "--kind",
                               "attributes"]),
            (2, "--kind", [*ours, "--output", "features", "--kind", "attributes"]),
            (2, "'dense'", [*ours, "--kind", "dence"]),
            (2, "'cuda'", [*ours, "--device", "cud"]),
            (4, "cuda", [*ours, "--device", "cuda"]),
            (2, "--batch", [*ours, "--batch", "0"]),
            (2, "--threads", [*ours, "--threads", "0"]),
            (2, "'float16'", [*ours, "--dtype", "float1"]),
            (2, "--id COL", [*ours, "--items", tmp_path / "t.csv"]),
            (2, "--items", [*ours, "--id", "id"]),
            (2, "does not exist", [*ours, "--items", tmp_path / "no.csv", *table[2:]]),
            (3, "no column", [*ours, *table[:3], "article", *table[4:]]),
            (3, "no images", [*ours, *gone]),
            (3, "no images", [tmp_path / "empty", "--model", net]),
            (3, "None of the 1 images", [tmp_path / "bad", "--model", net]),
            (3, "neither a folder", [tmp_path / "text.tar", "--model", net]),
            (3, "damaged", [tmp_path / "cut.zip", "--model", net]),
            (3, "no network", [folder, "--model", tmp_path / "text.onnx"]),
        ]  # fmt: skip
        (tmp_path / "ok.json").write_text(PREPROCESSING.to_json())
        if "CUDAExecutionProvider" == Network.read(net).session(None, "auto").provider:
            cases = [case for case in cases if case[0] != 4]
        before = sorted(p.name for p in tmp_path.iterdir())
        for code, said, arguments in cases:
            done = ivbpr("features", "extract", *arguments, "-o", out)
            assert (done.code, done.out) == (code, ""), (arguments, done.err)
            assert said in done.err and len(done.err.splitlines()) == 1, (arguments, done.err)
            assert sorted(p.name for p in tmp_path.iterdir()) == before, arguments
        for place in (tmp_path / "nowhere" / "f.h5", tmp_path, net):
            before_net = net.read_bytes()
            assert ivbpr("features", "extract", *ours, "-o", place).code == 2
            assert net.read_bytes() == before_net

    def test_unknown_names_of_python(self, folder: Path, net: Path, out: Path) -> None:
        for options in ({"kind": "x"}, {"dtype": "uint8"}, {"batch": 0}, {"threads": 0}, {"device": "tpu"}):
            with pytest.raises(UsageError):
                extract(folder, net, out, **options)  # type: ignore[arg-type]
        with pytest.raises(IvbprError):
            extract(folder, out, out)


@pytest.mark.gpu
def test_cuda_gives_the_same(folder: Path, net: Path, tmp_path: Path) -> None:
    here = extract(folder, net, tmp_path / "cpu.h5", device="cpu")
    there = extract(folder, net, tmp_path / "cuda.h5", device="cuda")
    assert here["provider"] == "CPUExecutionProvider" and there["provider"] == "CUDAExecutionProvider"
    one, other = Features.read(tmp_path / "cpu.h5"), Features.read(tmp_path / "cuda.h5")
    assert np.abs(one.matrix - other.matrix).max() < 1e-4
    again = extract(folder, net, tmp_path / "again.h5", device="cuda")
    assert again["payload_sha256"] == there["payload_sha256"]


@pytest.mark.real_data
class TestRealData:
    def test_reference_fish(self, ivbpr: Run, real_data: Path, tmp_path: Path) -> None:
        """SqueezeNet 1.1 sees a tench (label 0) in the reference photo, with 0.738."""
        place = write_all(tmp_path / "p", {"fish.png": (real_data / "onnx_squeezenet/fish.png").read_bytes()})
        (tmp_path / "p.json").write_text(
            '{"size": [224, 224], "crop": "none", "layout": "NCHW", "channels": "bgr", "scale": 1, "mean": [0, 0, 0], '
            '"std": [1, 1, 1]}'
        )
        done = ivbpr(
            "features", "extract", place, "--model", real_data / "onnx_squeezenet/squeezenet1.1_fp32.onnx",
            "--preprocess", tmp_path / "p.json", "-o", tmp_path / "f.h5", "--format", "json",
        )  # fmt: skip
        assert done.code == 0, done.err
        row = Features.read(tmp_path / "f.h5").matrix[0]
        assert row.argmax() == 0 and row[0] == pytest.approx(0.738, abs=0.0005)
        assert row.sum() == pytest.approx(1, abs=1e-5) and json.loads(done.out)["output"] == "softmaxout_1"

    @pytest.mark.slow
    def test_killed_twice_on_real_photos(self, real_data: Path, tmp_path: Path) -> None:
        whole, out = tmp_path / "whole.h5", tmp_path / "f.h5"
        (tmp_path / "p.json").write_text('{"size": [96, 64], "channels": "bgr"}')
        network = real_data / "onnx_squeezenet/squeezenet1.1_fp32.onnx"
        from ivbpr_numba.network.graph import parse, with_free_sides

        small = tmp_path / "small.onnx"
        model = parse(network.read_bytes(), network)
        small.write_bytes(with_free_sides(model, "data_0", (None, 3, None, None)).SerializeToString())
        images = real_data / "hm/images_96x144.tar.gz"
        test = TestProcesses()
        options = ["--preprocess", str(tmp_path / "p.json"), "--output", "fire5/concat_1"]
        assert kills.call(test.words(images, small, whole, *options))[0] == 0
        size = Features.read(whole).matrix.nbytes
        for share in (0.3, 0.7):
            words = test.words(images, small, out, *options)
            assert test.struck(words, out, int(share * size), signal.SIGKILL)[0] == 137
        assert kills.call(test.words(images, small, out, *options))[0] == 0
        assert kills.payload_of(out) == kills.payload_of(whole)
        assert len(Features.read(out)) == 10_695
        print(kills.payload_of(out), "uninterrupted and killed twice")
