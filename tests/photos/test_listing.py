"""Which files are photos of which items, whatever their names, and whatever system packed them."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import odd_images
import pytest
from photo_files import pack_tar, pack_zip, write_all

from ivbpr_numba.errors import DataError
from ivbpr_numba.ids import Ids
from ivbpr_numba.photos import decoding
from ivbpr_numba.photos.kinds import ending_of, image_format, stem_of
from ivbpr_numba.photos.pictures import Picture, Pictures, decode

JPEG = odd_images.saved(odd_images.photo(1), "JPEG")
PNG = odd_images.saved(odd_images.photo(2), "PNG")
COMPOSED, PARTS = "\u00e9", "e\u0301"  # é, as Windows and the web write it and as Macs do
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def places(folder: Path, files: dict[str, bytes]) -> list[Path]:
    """The same files in a folder and every kind of archive."""
    return [
        write_all(folder / "folder", files),
        pack_zip(folder / "p.zip", files),
        pack_tar(folder / "p.tar", files),
        pack_tar(folder / "p.tgz", {f"./{name}": data for name, data in files.items()}, "w:gz"),
    ]


def items(pictures: Pictures) -> list[str]:
    return [picture.item for picture in pictures.pictures]


class TestKinds:
    def test_content_decides(self, tmp_path: Path) -> None:
        """Endings nobody knows, and none at all."""
        files = {"1.jpg_large": JPEG, "2": PNG, "3.5": JPEG, "4.dat": PNG, "5.jfif": JPEG, "6.jpe": JPEG}
        for k, name in enumerate(("PPM", "JPEG2000", "AVIF", "TIFF", "BMP", "GIF", "WEBP")):
            files[f"{k + 7}.x"] = odd_images.saved(odd_images.photo(k, 64, 64), name)
        files["a.HEIC"] = HEIC
        for place in places(tmp_path, files):
            with Pictures.open(place) as pictures:
                wanted = ["1", "10", "11", "12", "13", "2", "3.5", "4", "5", "6", "7", "8", "9", "a"]
                assert items(pictures) == wanted and pictures.others == []
                found = {pictures.pictures[k].item: data for k, data in pictures.read(pictures.order)}
                assert all(decode(bytes(found[item])).image for item in wanted[:-1])

    def test_what_is_none_is_counted(self, tmp_path: Path) -> None:
        files = {
            "1.jpg": JPEG, "notes.txt": JPEG, "labels.CSV": b"a,b", "b/more.csv": b"", "c/last.csv": b"",
            "d/x.csv": b"", "Thumbs.db": b"\xd0\xcf", "film.mp4": b"\0\0\0\x18ftypmp42" + bytes(20),
            "1.jpg.bak": JPEG, "1.jpg~": JPEG, "2.NEF": odd_images.saved(odd_images.photo(1), "TIFF"),
            "README": b"read me", "BMW": b"BM is no header of a picture", ".DS_Store": b"x", "._1.jpg": b"x",
            "__MACOSX/._1.jpg": b"x", "__MACOSX/b/._2.jpg": b"x", "empty": b"",
        }  # fmt: skip
        wanted = [
            (".csv", 4, ["b/more.csv", "c/last.csv", "d/x.csv"]),
            ("hidden", 3, [".DS_Store", "._1.jpg", "__MACOSX"]),
            ("without an ending", 3, ["BMW", "README", "empty"]),
            (".bak", 1, ["1.jpg.bak"]),
            (".db", 1, ["Thumbs.db"]),
            (".jpg~", 1, ["1.jpg~"]),
            (".mp4", 1, ["film.mp4"]),
            (".nef", 1, ["2.NEF"]),
            (".txt", 1, ["notes.txt"]),
        ]
        for place in places(tmp_path, files):
            pictures = Pictures.open(place)
            assert items(pictures) == ["1"] and pictures.missing == []
            assert [(row["kind"], row["files"], row["first"]) for row in pictures.others] == wanted, place

    def test_links_and_pipes_are_counted(self, tmp_path: Path) -> None:
        place = write_all(tmp_path / "p", {"1.jpg": JPEG})
        write_all(tmp_path / "other", {"2.jpg": JPEG})
        (place / "linked").symlink_to(tmp_path / "other")
        os.mkfifo(place / "pipe.jpg")
        assert Pictures.open(place).others == [
            {"kind": "link to a folder", "files": 1, "first": ["linked"]},
            {"kind": "no regular file", "files": 1, "first": ["pipe.jpg"]},
        ]

    def test_nothing_but_others(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no images.*it holds 2 \.csv, 1 without an ending"):
            Pictures.open(write_all(tmp_path, {"a.csv": b"", "b.csv": b"", "c": b"x"}))

    @pytest.mark.parametrize(
        ("start", "found"),
        [
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIF"),
            (b"\0\0\0\x14ftypisom\0\0\0\0mp41heic", None),  # beyond the box
            (b"\0\0\0\x18ftypqt  \0\0\0\0qt  ", None),
            (b"BM" + bytes(12) + struct.pack("<I", 40), "BMP"),
            (b"BM" + bytes(30), None),
            (b"P6\n# made\n2 2", "PPM"),
            (b"P6 is", None),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"", None),
        ],
    )
    def test_first_bytes(self, start: bytes, found: str | None) -> None:
        assert image_format(start) == found

    def test_names(self) -> None:
        assert [ending_of(name) for name in ("a/b.JPG", "b", "12.5", "x.y.jpg_large", ".jpg", "a.", "a.b\\c")] == [
            ".JPG", "", "", ".jpg_large", "", "", ""]  # fmt: skip
        assert [stem_of(name) for name in ("a/b.JPG", "12.5", "x.y.png", "a\\b.png", "a\\b/c.png", "d/")] == [
            "b", "12.5", "x.y", "b", "c", "d"]  # fmt: skip


class TestHeic:
    def test_without_a_reader_the_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding, "heif_package", lambda: None)
        assert decode(HEIC).reason == 'HEIC, which needs the package pillow-heif: pip install "pillow-heif"'

    def test_with_a_reader(self) -> None:
        pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
        from PIL import Image

        before = set(Image.OPEN)
        for turn in (1, 6):
            exif = odd_images.with_orientation(turn).tobytes()
            made = pillow_heif.from_pillow(odd_images.halves(64, 48))
            file = io.BytesIO()
            made.save(file, quality=95, exif=exif)
            image = decode(file.getvalue()).image
            assert image is not None and image.size == ((64, 48) if turn == 1 else (48, 64))
            at = (5, 24) if turn == 1 else (24, 5)
            assert np.abs(np.subtract(image.getpixel(at), odd_images.RED)).max() < 12
        assert set(Image.OPEN) == before
        for data in (HEIC, file.getvalue()[:200]):
            assert "HEIC image whose header is damaged" in str(decode(data).reason)


def zip_of(path: Path, members: list[tuple[bytes, int, bytes, int]]) -> Path:
    """A zip with names as bytes, flags, extra fields and systems that zipfile itself doesn't write."""
    body, directory = b"", b""
    for name, flags, extra, system in members:
        crc = zlib.crc32(PNG)
        common = struct.pack(
            "<HHHHHIIIHH", 20, flags, 0, 0, 0x21, crc, len(PNG), len(PNG), len(name), len(extra)
        )
        entry = struct.pack("<IBB", 0x02014B50, 20, system) + common
        directory += entry + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name + extra
        body += struct.pack("<I", 0x04034B50) + common + name + extra + PNG
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
    return path


class TestNames:
    @pytest.mark.parametrize("system", [0, 3])
    def test_zip_of_windows(self, tmp_path: Path, system: int) -> None:
        names = [b"images\\000\\0001.png", b"C:\\photos\\2.png", b"/abs/3.png", b"images\\000\\", b".\\4.png",
                 b"__MACOSX\\._5.png", b"..\\up\\6.png"]  # fmt: skip
        path = zip_of(tmp_path / "w.zip", [(name, 0, b"", system) for name in names[:3] + names[4:]])
        with Pictures.open(path) as pictures:
            assert [(p.item, p.name) for p in pictures.pictures] == [
                ("0001", "images/000/0001.png"), ("2", "photos/2.png"), ("3", "abs/3.png"), ("4", "4.png"),
                ("6", "../up/6.png")]  # fmt: skip
            assert all(data == PNG for _, data in pictures.read(pictures.order))
            assert [(row["kind"], row["files"]) for row in pictures.others] == [("hidden", 1)]
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            archive.writestr("images\\", b"")
            archive.writestr("images\\1.png", PNG)
        assert Pictures.open(tmp_path / "d.zip").others == []

    def test_letters_of_a_zip(self, tmp_path: Path) -> None:
        text = COMPOSED + "1.png"
        raw = text.encode("cp437")
        extra = struct.pack("<HHBI", 0x7075, 5 + len("ö2.png".encode()), 1, zlib.crc32(b"?2.png"))
        stale = struct.pack("<HHBI", 0x7075, 5 + 1, 1, 7) + b"x"
        members = [
            (raw, 0, b"", 0),  # the rule of the format
            (b"?2.png", 0, extra + "ö2.png".encode(), 3),  # Info-ZIP's field
            ("ü3.png".encode(), 0, b"", 3),  # UTF-8 without the flag
            ("ß4.png".encode(), 0x800, b"", 3),
            (b"5.png", 0, stale, 3),  # a field that belonged to another name
        ]
        pictures = Pictures.open(zip_of(tmp_path / "l.zip", members))
        assert sorted(items(pictures)) == sorted([COMPOSED + "1", "ö2", "ü3", "ß4", "5"])
        assert len(pictures.notes) == 1
        assert f"1 names in '{tmp_path / 'l.zip'}'" in pictures.notes[0] and text in pictures.notes[0]

    def test_tars(self, tmp_path: Path) -> None:
        for number, format in enumerate((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
            path = tmp_path / f"{number}.tar"
            with tarfile.open(path, "w", format=format) as archive:
                for name in ("./a/1.png", "/abs/2.png", "dir\\3.png", f"{COMPOSED}.png", "x" * 99 + "/4.png"):
                    member = tarfile.TarInfo(name)
                    member.size = len(PNG)
                    archive.addfile(member, io.BytesIO(PNG))
            assert items(Pictures.open(path)) == ["1", "2", "3", "4", COMPOSED]

    def test_a_folder_unpacked_without_care(self, tmp_path: Path) -> None:
        """Backslashes in names, as some programs leave them of a zip from Windows."""
        assert items(Pictures.open(write_all(tmp_path, {"images\\000\\1.png": PNG}))) == ["1"]


def test_photos_of_one_name_in_several_folders_are_told(tmp_path: Path) -> None:
    files = {"red/1.png": PNG, "blue/1.png": PNG, "red/2.png": PNG, "red/2.jpg": JPEG, "3.png": PNG}
    for place in places(tmp_path, files):
        pictures = Pictures.open(place)
        assert items(pictures) == ["1", "1", "2", "2", "3"]
        assert len(pictures.notes) == 1
        assert pictures.notes[0].startswith("1 items have photos in several folders, '1' for one (")


class TestUnicode:
    def test_names_of_a_mac(self, tmp_path: Path) -> None:
        files = {f"{PARTS}.png": PNG, "a.png": PNG, f"sub/{PARTS}.jpg": JPEG}
        for place in places(tmp_path, files):
            pictures = Pictures.open(place)
            assert items(pictures) == ["a", COMPOSED, COMPOSED]
            assert len(list(pictures.read(pictures.order))) == 3
            alike, folders = pictures.notes
            assert alike.startswith(f"1 ids, '{COMPOSED}' for one")
            assert folders.startswith(f"1 items have photos in several folders, '{COMPOSED}' for one")

    def test_two_that_only_look_alike_stay_two(self, tmp_path: Path) -> None:
        for place in places(tmp_path, {f"{PARTS}.png": PNG, f"{COMPOSED}.png": JPEG, "ö.png": PNG}):
            pictures = Pictures.open(place)
            assert items(pictures) == [PARTS, COMPOSED, "ö"]
            assert len(pictures.notes) == 1 and pictures.notes[0].startswith("2 ids of images look like")

    def test_unusable_ones_have_the_same_id(self, tmp_path: Path) -> None:
        place = write_all(tmp_path, {"a.png": PNG})
        (place / f"{PARTS}.png").symlink_to("nowhere.png")
        assert [one.item for one, _ in Pictures.open(place).missing] == [COMPOSED]

    def test_rows_among_ids(self, tmp_path: Path) -> None:
        pictures = Pictures.open(write_all(tmp_path / "p", {f"{PARTS}.png": PNG, "a.png": PNG, "ö.png": PNG}))

        def rows(*ids: str) -> dict[str, str | None]:
            known = Ids.collect(ids)
            return {
                one.item: None if row < 0 else known[row]
                for one, row in zip(pictures.pictures, pictures.rows_in(known))
            }

        assert rows("a", COMPOSED) == {"a": "a", COMPOSED: COMPOSED, "ö": None}
        assert rows(PARTS) == {"a": None, COMPOSED: PARTS, "ö": None}
        assert rows(unicodedata.normalize("NFD", "ö"), "a") == {
            "a": "a", COMPOSED: None, "ö": unicodedata.normalize("NFD", "ö")}  # fmt: skip
        # Where both forms are items, the file's own one is meant; without it nothing is guessed.
        assert rows(PARTS, COMPOSED)[COMPOSED] == PARTS
        third = "\u00fc\u0304"  # ǖ has three forms
        one, parts = (unicodedata.normalize(form, third) for form in ("NFC", "NFD"))
        photo = Pictures.open(write_all(tmp_path / "q", {f"{third}.png": PNG}))
        assert items(photo) == [one]
        assert photo.rows_in(Ids.collect([parts, "z"])).tolist() == [0]
        assert photo.rows_in(Ids.collect([parts, third])).tolist() == [1]
        table = tmp_path / "t.csv"
        table.write_text(f"id,file\n{one},{third}.png\n")
        photo = Pictures.open(tmp_path / "q", table, "id", "file")
        assert photo.rows_in(Ids.collect([parts, third])).tolist() == [-1]

    def test_paths_of_a_table(self, tmp_path: Path) -> None:
        files = {f"dir/{PARTS}.png": PNG, "dir/2.png": PNG, "dir/3.png": PNG, f"{PARTS}{PARTS}.png": PNG,
                 f"{PARTS}{COMPOSED}.png": PNG, "rest.txt": b""}  # fmt: skip
        table = tmp_path / "t.csv"
        table.write_text(
            f"id,file\n1,dir/{COMPOSED}.png\n2,dir\\2.png\n2,dir/2.png\n3,dir/3.png\n4,{COMPOSED * 2}.png\n5,..\\x.png\n"
        )
        for place in places(tmp_path, files):
            pictures = Pictures.open(place, table, "id", "file")
            assert pictures.pictures == [
                Picture("1", f"dir/{PARTS}.png"), Picture("2", "dir/2.png"), Picture("3", "dir/3.png")]  # fmt: skip
            # Two files would fit: neither is taken.
            assert [one.item for one, _ in pictures.missing] == ["4", "5"]
            assert len(pictures.notes) == 1 and pictures.notes[0].startswith("2 paths of the table")
            assert [(row["kind"], row["files"]) for row in pictures.others] == [("not in the table", 3)]
