"""What `features extract` and `network evaluate` leave out stands in what they print; photos are closed again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import odd_images
import pytest
from photo_files import pack_tar, pack_zip, write_all
from tiny_networks import named_network

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.judging.evaluating import evaluate
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network, NetworkSession
from ivbpr_numba.photos.pictures import Pictures

Run = Callable[..., Any]

pytest.importorskip("onnx", reason="networks for tests are made with onnx")

COMPOSED, PARTS = "\u00e9", "e\u0301"


@pytest.fixture
def files() -> dict[str, bytes]:
    photos = {f"{k}.png": odd_images.saved(odd_images.photo(k), "PNG") for k in range(40)}
    return {
        **photos,
        f"{PARTS}.png": photos["1.png"],
        "copy.jpg_large": photos["2.png"],
        "broken.jpg": b"no",
        "phone.HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
        "list.csv": b"",
        "film.mp4": b"x",
    }


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return named_network(tmp_path / "net.onnx")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Of 39 of the photos, of é, and of one item without any; 0 has none."""
    rows = [f"{k},Red" for k in range(1, 40)] + [f"{COMPOSED},Black", "nowhere,White"]
    (tmp_path / "labels.csv").write_text("id,colour\n" + "\n".join(rows) + "\n")
    return tmp_path / "labels.csv"


def open_files(path: Path) -> list[str]:
    """The descriptors of this process that are `path`."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.path.samefile(f"/proc/self/fd/{number}", path):
                found.append(number)
        except OSError:
            continue
    return found


def test_extract_says_what_it_leaves_out(
    ivbpr: Run, files: dict[str, bytes], net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ivbpr_numba.photos.decoding.heif_package", lambda: None)
    documents = []
    for place in (write_all(tmp_path / "p", files), pack_zip(tmp_path / "p.zip", files)):
        command = ["features", "extract", place, "--model", net, "-o", tmp_path / "f.h5"]
        done = ivbpr(*command)
        assert done.code == 0, done.err
        assert (
            "Images that can't be used: 2" in done.out
            and "Files that are not taken for photos: 2" in done.out
        )
        for said in ("list.csv", ".mp4", "pillow-heif"):
            assert said in done.out, done.out
        assert f"1 ids, '{COMPOSED}' for one" in done.err
        assert "2 items have no usable image and are left out: broken, phone." in done.err
        documents.append(json.loads(ivbpr(*command, "--format", "json").out))
        assert {COMPOSED, "copy"} <= set(Features.read(tmp_path / "f.h5").items.texts())
    for document in documents:
        assert document["others"] == [
            {"kind": ".csv", "files": 1, "first": ["list.csv"]},
            {"kind": ".mp4", "files": 1, "first": ["film.mp4"]},
        ]
        assert document["left_out"] == ["broken", "phone"] and len(document["notes"]) == 1
    assert documents[0]["payload_sha256"] == documents[1]["payload_sha256"]


def test_evaluate_says_what_it_leaves_out(
    ivbpr: Run, files: dict[str, bytes], net: Path, labels: Path, tmp_path: Path
) -> None:
    with labels.open("a") as file:
        file.write("broken,Red\n")
    place = pack_tar(tmp_path / "p.tgz", files, "w:gz")
    command = [
        "network",
        "evaluate",
        net,
        "--images",
        place,
        "--labels",
        labels,
        "--id",
        "id",
        "--groups",
        "colour",
    ]
    done = ivbpr(*command)
    assert done.code == 0, done.err
    for said in (
        "Images that can't be used: 1", "broken.jpg", "Files that are not taken for photos: 2", "film.mp4",
        "1 labelled item left out: there is no image of", "3 images left out: their items have no label",
        f"1 ids, '{COMPOSED}' for one",
    ):  # fmt: skip
        assert said in " ".join(done.out.split()), (said, done.out)
    found = json.loads(ivbpr(*command, "--format", "json").out)
    assert (found["items"], found["images_without_label"], found["items_without_image"]) == (40, 3, 1)
    assert [row["kind"] for row in found["others"]] == [".csv", ".mp4"] and len(found["notes"]) == 1


class TestClosed:
    def test_by_the_command(
        self,
        ivbpr: Run,
        files: dict[str, bytes],
        net: Path,
        labels: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ended = []
        monkeypatch.setattr(Pictures, "__exit__", lambda self, *problem: ended.append(problem[0]))
        command = [
            "network",
            "evaluate",
            net,
            "--images",
            pack_zip(tmp_path / "p.zip", files),
            "--labels",
            labels,
        ]
        assert ivbpr(*command, "--id", "id", "--groups", "colour").code == 0
        assert ivbpr(*command, "--id", "id", "--groups", "size").code == 2
        assert ended[0] is None and len(ended) == 2 and issubclass(ended[1], Exception)

    @pytest.mark.parametrize("pack", [pack_zip, pack_tar, lambda path, files: pack_tar(path, files, "w:gz")])
    def test_when_the_network_fails(
        self, files: dict[str, bytes], net: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        pack: Callable[[Path, dict[str, bytes]], Path],
    ) -> None:  # fmt: skip
        """In the middle of an archive, its file is closed and no thread is left."""
        path = pack(tmp_path / "p", files)

        def fails(self: NetworkSession, batch: Any) -> Any:
            assert open_files(path)
            raise DataError("no")

        monkeypatch.setattr(NetworkSession, "run", fails)
        before = threading.active_count()
        big = {**files, **{f"x{k}.png": files["1.png"] for k in range(400)}}
        pack(tmp_path / "p", big)
        with labels.open("a") as file:
            file.writelines(f"x{k},Red\n" for k in range(400))
        with pytest.raises(DataError, match="no"), Pictures.open(path) as pictures:
            evaluate(Network.read(net), labels, images=pictures, id_column="id", groups=["colour"])
        assert open_files(path) == [] and threading.active_count() == before
        with pytest.raises(DataError, match="no"):
            extract(path, net, tmp_path / "f.h5")
        assert open_files(path) == [] and threading.active_count() == before

    def test_a_reading_that_is_left(self, files: dict[str, bytes], tmp_path: Path) -> None:
        for path in (pack_zip(tmp_path / "p.zip", files), pack_tar(tmp_path / "p.tar", files)):
            pictures = Pictures.open(path)
            assert open_files(path) == []
            reading: Any = pictures.read(pictures.order)
            next(reading)
            assert open_files(path)
            reading.close()
            assert open_files(path) == []


class TestLibrary:
    def test_what_is_open_already(self, files: dict[str, bytes], net: Path, tmp_path: Path) -> None:
        place = write_all(tmp_path / "p", files)
        wanted = extract(place, net, tmp_path / "f.h5")
        with Pictures.open(place) as pictures:
            found = extract(pictures, Network.read(net), tmp_path / "g.h5", batch=32)
            assert found["payload_sha256"] == wanted["payload_sha256"]
            with pytest.raises(UsageError, match="have their items already"):
                extract(pictures, net, tmp_path / "g.h5", items=tmp_path / "t.csv")
        assert Features.read(tmp_path / "g.h5").source["images"] == "p"

    def test_in_another_thread(self, files: dict[str, bytes], net: Path, tmp_path: Path) -> None:
        """Where signals can't be watched."""
        found: list[Any] = []
        place = write_all(tmp_path / "p", files)
        work = threading.Thread(target=lambda: found.append(extract(place, net, tmp_path / "f.h5")))
        work.start()
        work.join()
        assert found[0]["images"] == 42

    def test_options_have_names(self, net: Path, tmp_path: Path) -> None:
        with pytest.raises(TypeError):
            extract(tmp_path, net, tmp_path / "f.h5", None, "cpu")  # type: ignore[misc]
