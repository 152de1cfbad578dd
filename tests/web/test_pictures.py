"""Drawn cards, and photos kept for many visitors."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path
from threading import Thread

import pytest
from photo_files import pack_tar, pack_zip, write_all
from PIL import Image
from web_shop import ODD, odd_model, photo

from ivbpr_numba.documents.shop import Shop
from ivbpr_numba.report.item_pictures import open_pictures
from ivbpr_numba.report.swatch import swatch

FILES = {f"{n}.png": photo("red", (60 + n, 80)) for n in range(30)}


def test_a_card_is_drawn_of_colour_and_words() -> None:
    drawn = ET.fromstring(swatch({"colour": "#3566b0", "words": ["dress", "blue", "cotton\x07 & <wool>"]}))
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert texts == ["dress", "blue", "cotton & <wool>"]
    assert "#3566b0" in {element.get("fill") for element in drawn.iter()}
    bare = ET.fromstring(swatch({"colour": None, "words": []}))
    assert not [element for element in bare.iter() if element.tag.endswith("text")]


def test_drawings_are_kept_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from ivbpr_cli.web import pictures

    monkeypatch.setattr(pictures, "KEPT_DRAWINGS", 2)
    drawings = pictures.Drawings(Shop(odd_model()))
    first = [drawings.of(item) for item in ODD]
    assert len(drawings._made) == 2
    assert [drawings.of(item) for item in ODD] == first


@pytest.mark.parametrize("pack", [write_all, pack_zip, pack_tar])
def test_what_is_kept_is_bounded_and_the_same(tmp_path: Path, pack: object) -> None:
    path = pack(tmp_path / "photos", FILES)  # type: ignore[operator]
    once = open_pictures(path).many(str(n) for n in range(30))
    size = sum(len(one.jpeg) for one in once.values())
    held = open_pictures(path, kept_bytes=size // 3, hold=True)
    for _ in range(2):
        for n in range(30):
            assert held.small(str(n)) == once[str(n)]
    assert sum(len(one.jpeg) for one in held._made.values()) == held._bytes <= size // 3
    assert list(held._made)[-1] == "29"
    assert held.many(str(n) for n in range(30)) == once  # more than is kept


def test_several_threads_may_ask(tmp_path: Path) -> None:
    path = pack_zip(tmp_path / "p.zip", FILES)
    once = open_pictures(path).many(str(n) for n in range(30))
    held = open_pictures(path, kept_bytes=2000, hold=True)
    wrong: list[str] = []

    def ask(step: int) -> None:
        for k in range(90):
            name = str(k * step % 30)
            if held.small(name) != once[name]:
                wrong.append(name)

    threads = [Thread(target=ask, args=(step,)) for step in (1, 7, 11, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and not held.broken


def test_pictures_are_as_large_as_asked(tmp_path: Path) -> None:
    path = write_all(tmp_path / "photos", {"a.jpg": photo("blue", (1000, 3000), "JPEG")})
    picture = open_pictures(path, largest=(600, 500)).small("a")
    assert picture is not None and Image.open(io.BytesIO(picture.jpeg)).size == (200, 600)


def test_a_compressed_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ivbpr_cli.web.pictures import open_photos
    from ivbpr_numba.photos import sources

    packed = pack_tar(tmp_path / "p.tar.gz", {**FILES, "l.png": b"x"}, "w:gz")
    held, plain = open_photos(packed), open_photos(pack_tar(tmp_path / "p.tar", FILES))
    monkeypatch.setattr(sources, "_unpacked", None)  # nothing opens the archive any more
    for name in ("7", "0", "29", "7"):
        assert held.small(name) is not None
    assert held.small("l") is None and "l" in held.broken
    monkeypatch.undo()
    assert all(held.small(name) == plain.small(name) for name in ("7", "0", "29"))


def test_no_room_for_an_unpacked_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from ivbpr_cli.web.pictures import open_photos
    from ivbpr_numba import EnvironmentProblem
    from ivbpr_numba.photos import sources

    class Full(io.BytesIO):
        def write(self, piece: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    packed = pack_tar(tmp_path / "p.tar.gz", FILES, "w:gz")
    monkeypatch.setattr(sources.tempfile, "TemporaryFile", lambda prefix: Full())
    with pytest.raises(EnvironmentProblem):
        open_photos(packed)
