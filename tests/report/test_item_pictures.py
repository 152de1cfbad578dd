"""Small pictures of items: out of folders and archives alike, one pass, whatever ids and files are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import pack_tar, pack_zip, write_all
from PIL import Image
from small_models import ATTRIBUTES, DATA

from ivbpr_numba import DataError, UsageError
from ivbpr_numba.photos import sources
from ivbpr_numba.report.item_pictures import open_pictures, pictures_of

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


def photo(colour: str, size: tuple[int, int] = (300, 400), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(out, kind)
    return out.getvalue()


FILES = {
    "a.png": photo("red"),
    "more/b.webp": photo("green", kind="WEBP"),
    "c": photo("blue", (40, 20), "GIF"),  # no ending: known by its first bytes
    "d.jpg": b"no picture",
    "z/a.jpg": photo("green"),
    "notes.txt": b"beside the photos",
}
PACKED = {
    "folder": write_all,
    "p.zip": pack_zip,
    "p.tar": pack_tar,
    "p.tar.gz": lambda path, files: pack_tar(path, files, "w:gz"),
}


@pytest.mark.parametrize("name", PACKED)
def test_folder_and_archives_are_the_same(tmp_path: Path, name: str) -> None:
    found = open_pictures(PACKED[name](tmp_path / name, FILES))  # type: ignore[operator]
    assert [item in found for item in ("a", "b", "c", "d", "notes", "none")] == [True] * 4 + [False] * 2
    made = found.many(["c", "d", "a", "none", "a", "b"])
    assert list(made) == ["c", "a", "b"] and list(found.broken) == ["d"] and found.broken["d"]
    for item, (size, colour) in {"a": ((144, 192), "red"), "b": ((144, 192), "green")}.items():
        one = made[item]
        with Image.open(io.BytesIO(one.jpeg)) as image:
            assert image.format == "JPEG" and image.size == (one.width, one.height) == size
            middle = np.array(image.getpixel((70, 90)), dtype=int)
        assert np.abs(middle - COLOURS[colour]).max() < 12
    assert (made["c"].width, made["c"].height) == (40, 20)  # never enlarged
    assert found.small("a") == made["a"] and found.small("d") is None and found.small("none") is None
    assert any("several photos" in note and "'a' a.png" in note for note in found.notes)


def test_a_compressed_tar_is_read_once_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{n:03d}.png": photo("red", (8, 8)) for n in range(40)}
    found = open_pictures(pack_tar(tmp_path / "p.tar.gz", files, "w:gz"))
    opened: list[list[int]] = []
    real = sources._unpacked

    def watched(path: Any, codec: str) -> Any:
        file, places = real(path, codec), []
        opened.append(places)
        seek = file.seek

        def noted(place: int) -> int:
            places.append(place)
            return seek(place)

        file.seek = noted  # type: ignore[method-assign,assignment]
        return file

    monkeypatch.setattr(sources, "_unpacked", watched)
    assert len(found.many(f"{n:03d}" for n in (31, 2, 17, 5, 38))) == 5
    assert len(opened) == 1 and opened[0] == sorted(opened[0]) and len(opened[0]) == 5
    found.many(["031", "005"])  # kept
    assert len(opened) == 1


def test_ids_and_names_that_leave_the_place(tmp_path: Path) -> None:
    write_all(tmp_path, {"secret.png": photo("red"), "in/a.png": photo("green")})
    inside = open_pictures(tmp_path / "in")
    for item in ("../secret", "..\\secret", str(tmp_path / "secret"), "in/../../secret", "a\0", "", ".."):
        assert item not in inside and inside.small(item) is None
    packed = open_pictures(
        pack_tar(tmp_path / "p.tar", {"../../secret.png": photo("blue"), "/a.png": photo("green")})
    )
    for item in ("secret", "a"):  # an archive's own members, wherever they would have been unpacked to
        assert packed.small(item) is not None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "p.tar", "secret.png"]


def test_ids_in_another_unicode_form(tmp_path: Path) -> None:
    decomposed = "cafe\u0301"
    found = open_pictures(pack_zip(tmp_path / "p.zip", {f"{decomposed}.png": photo("red")}))
    assert "caf\u00e9" in found and decomposed in found


def test_places_without_photos(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="do not exist"):
        open_pictures(tmp_path / "none")
    with pytest.raises(DataError, match="no images"):
        open_pictures(tmp_path)
    cut = tmp_path / "p.tar.gz"
    cut.write_bytes(pack_tar(tmp_path / "q.tar.gz", FILES, "w:gz").read_bytes()[:-400])
    with pytest.raises(DataError, match="damaged"):
        open_pictures(cut)


@pytest.mark.parametrize("name", PACKED)
def test_pictures_are_of_the_items_with_the_highest_value(tmp_path: Path, name: str) -> None:
    items = DATA.items.texts()
    files = {f"{item}.png": photo("red") for n, item in enumerate(items) if n % 4}
    having = [item for k, item in enumerate(items) if ATTRIBUTES.matrix[k, 0]]
    bad = next(item for item in having if items.index(item) % 4)
    files[f"{bad}.png"] = b"no picture"
    place = PACKED[name](tmp_path / name, files)  # type: ignore[operator]
    found, notes = pictures_of(ATTRIBUTES, ["side=left", "hue=red"], open_pictures(place))
    expected = [item for item in having if items.index(item) % 4 and item != bad][:4]
    assert [one.item for one in found["side=left"]] == expected
    assert all((one.width, one.height) == (144, 192) for kept in found.values() for one in kept)
    assert any("no picture in" in note for note in notes)
    assert any("can't be used" in note and bad in note for note in notes)


def test_features_without_any_picture(tmp_path: Path) -> None:
    place = write_all(tmp_path, {"somebody.png": photo("red")})
    found, notes = pictures_of(ATTRIBUTES, ["side=left"], open_pictures(place))
    assert found == {"side=left": []} and "no picture at all" in notes[-1]
