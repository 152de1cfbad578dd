"""What the network says of every image: rows, averages, and images that give none."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import odd_images
import pytest
from extracting import RAW, loop
from photo_files import pack_tar, pack_zip, write_all
from PIL import Image
from tiny_networks import PREPROCESSING, SIZE, VOCABULARY, named_network, plain_network

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.describing import describe
from ivbpr_numba.features.features import Features
from ivbpr_numba.network import averaging
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network, NetworkSession
from ivbpr_numba.network.journal import journal_path
from ivbpr_numba.photos.preprocessing import Preprocessing

pytest.importorskip("onnx", reason="networks for tests are made with onnx")


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


@pytest.mark.gpu
def test_cuda_gives_the_same(folder: Path, net: Path, tmp_path: Path) -> None:
    here = extract(folder, net, tmp_path / "cpu.h5", device="cpu")
    there = extract(folder, net, tmp_path / "cuda.h5", device="cuda")
    assert here["provider"] == "CPUExecutionProvider" and there["provider"] == "CUDAExecutionProvider"
    one, other = Features.read(tmp_path / "cpu.h5"), Features.read(tmp_path / "cuda.h5")
    assert np.abs(one.matrix - other.matrix).max() < 1e-4
    again = extract(folder, net, tmp_path / "again.h5", device="cuda")
    assert again["payload_sha256"] == there["payload_sha256"]
