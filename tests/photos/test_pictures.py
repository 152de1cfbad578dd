"""Images of folders and archives: which are found, how they are decoded, and what is said about the others."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import odd_images
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import pack_tar, pack_zip, write_all
from PIL import Image

from ivbpr_numba.errors import DataError, EnvironmentProblem, UsageError
from ivbpr_numba.photos import decoding
from ivbpr_numba.photos import sources as picture_sources
from ivbpr_numba.photos.pictures import Picture, Pictures, decode, load_pixels, pixels_of
from ivbpr_numba.photos.pipeline import in_order
from ivbpr_numba.photos.preprocessing import Preprocessing

BROKEN = odd_images.broken()
CONVERTED = odd_images.converted()
SMALL = Preprocessing((6, 4))


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    """Seven photos in two folders, not in the order of their names."""
    names = ["b/3.png", "1.png", "a/2.png", "10.png", "b/1.png", "é.png", "x y.z.png"]
    return {name: odd_images.saved(odd_images.photo(k), "PNG") for k, name in enumerate(names)}


class TestDecode:
    @pytest.mark.parametrize("name", BROKEN)
    def test_broken(self, name: str) -> None:
        found = decode(BROKEN[name].data)
        assert found.image is None and found.note is None
        assert BROKEN[name].reason in str(found.reason)
        assert str(found.reason).isprintable()

    @pytest.mark.parametrize("name", CONVERTED)
    def test_converted(self, name: str) -> None:
        found = decode(CONVERTED[name].data)
        assert found.reason is None and found.image is not None and found.image.mode == "RGB"
        note = CONVERTED[name].note
        assert found.note is None if note is None else note in str(found.note)

    def near(self, name: str, at: tuple[int, int], colour: tuple[int, int, int], within: int = 30) -> None:
        image = decode(CONVERTED[name].data).image
        assert image is not None
        assert np.abs(np.subtract(image.getpixel(at), colour)).max() <= within, image.getpixel(at)

    @pytest.mark.parametrize(
        "name",
        ["cmyk.jpg", "cmyk.tif", "ycbcr.tif", "moving.gif", "moving.webp", "moving.png", "pages.tif",
         "stereo.jpg", "opaque.png", "palette.png", "progressive.jpg", "really_png.jpg", "LOUD.JPEG",
         "plain.ppm", "plain.jp2", "really_jpeg.jfif", "copied.jpg_large", "nameless"],
    )  # fmt: skip
    def test_colours_stay(self, name: str) -> None:
        self.near(name, (2, 8), odd_images.RED)
        self.near(name, (21, 8), odd_images.BLUE)

    def test_transparency_is_white(self) -> None:
        self.near("clear.png", (2, 8), (255, 255, 255), 0)
        self.near("clear.webp", (2, 8), (255, 255, 255), 0)
        grey = odd_images.halves().convert("L").getpixel((2, 8))
        self.near("glassy.png", (2, 8), ((grey * 128 + 255 * 127) // 255,) * 3, 2)
        for name in ("hole.gif", "hole.png"):
            image = decode(CONVERTED[name].data).image
            assert image is not None
            colours = {image.getpixel((2, 8)), image.getpixel((21, 8))}
            assert (255, 255, 255) in colours and len(colours) == 2

    def test_sixteen_bits_are_scaled_not_clipped(self) -> None:
        wanted = np.linspace(0, 255, 24 * 16).reshape(16, 24)
        for name in ("grey16.png", "grey16.tif", "float.tif"):
            image = decode(CONVERTED[name].data).image
            assert np.abs(np.asarray(image)[..., 0] - wanted).max() <= 1, name
        self.near("rgb16.png", (3, 2), (255, 128, 0), 1)

    @pytest.mark.parametrize("format", ["JPEG", "TIFF", "PNG"])
    @pytest.mark.parametrize("number", range(1, 9))
    def test_orientation(self, format: str, number: int) -> None:
        """Stored pixels and tag together always show the same scene."""
        scene = odd_images.halves()
        scene.paste((250, 250, 250), (0, 0, 12, 8))  # no symmetry is left
        back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that undo each
        stored = scene if number == 1 else scene.transpose(Image.Transpose(back[number]))
        options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
        data = odd_images.saved(stored, format, exif=odd_images.with_orientation(number), **options)
        found = decode(data)
        assert (found.note is None) == (number == 1)
        assert found.image is not None and found.image.size == scene.size
        difference = np.abs(np.asarray(found.image, dtype=int) - np.asarray(scene, dtype=int))
        assert difference.mean() < 6

    def test_large_jpegs_are_decoded_small(self) -> None:
        scene = odd_images.photo(1, 1600, 1200)
        data = odd_images.saved(scene, "JPEG", quality=95, exif=odd_images.with_orientation(6))
        found = decode(data, (160, 120)).image
        assert found is not None and found.size == (300, 400)  # at least twice the target, upright
        whole = decode(data).image
        assert whole is not None and whole.size == (1200, 1600)
        fit = Preprocessing((160, 120)).fit
        difference = np.asarray(fit(found), dtype=int) - np.asarray(fit(whole), dtype=int)
        assert np.abs(difference).max() <= 6

    def test_a_gigantic_image_costs_no_memory(self, tmp_path: Path) -> None:
        code = (
            "import resource, sys; from ivbpr_numba.photos.decoding import decode\n"
            "data = open(sys.argv[1], 'rb').read(); decode(data[:20])\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "assert 'gigantic' in decode(data).reason\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
        )
        for name in ("bomb.png", "bomb.jpg", "bomb.gif", "bomb.webp", "bomb.ppm"):
            path = tmp_path / name
            path.write_bytes(BROKEN[name].data)
            done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
            assert done.returncode == 0 and done.stderr == "", done.stderr
            assert int(done.stdout) < 100_000, name  # KiB; the pixels would be gigabytes

    def test_limit_is_exact(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = odd_images.saved(odd_images.halves(), "PNG")
        monkeypatch.setattr(decoding, "LARGEST_IMAGE", 24 * 16)
        assert decode(data).image is not None
        monkeypatch.setattr(decoding, "LARGEST_IMAGE", 24 * 16 - 1)
        assert decode(data).image is None

    def test_large_ones_go_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding, "_LARGE", 100)
        data = [odd_images.saved(odd_images.photo(k), "PNG") for k in range(8)]
        found = list(in_order(data, decode, 4, 8))
        assert all(one.image is not None for one in found)

    def test_no_warnings_and_filters_are_put_back(self) -> None:
        before = list(warnings.filters)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            inside = list(warnings.filters)
            list(in_order([odd.data for odd in (*BROKEN.values(), *CONVERTED.values())], decode, 4, 8))
            assert list(warnings.filters) == inside
        assert caught == [] and list(warnings.filters) == before

    @given(st.integers(0, 10**9))
    @settings(max_examples=150)
    def test_damage_never_raises(self, seed: int) -> None:
        rng = random.Random(seed)
        odd = rng.choice([*BROKEN.values(), *CONVERTED.values()])
        data = bytearray(odd.data)
        for _ in range(rng.randrange(1, 6)):
            if data:
                data[rng.randrange(min(len(data), 400))] = rng.randrange(256)
        found = decode(bytes(data[: rng.randrange(len(data) + 1)]) if rng.random() < 0.3 else bytes(data))
        assert (found.image is None) == (found.reason is not None)
        assert found.image is None or (found.image.mode == "RGB" and min(found.image.size) > 0)


class TestListing:
    def names(self, pictures: Pictures) -> list[str]:
        return [picture.name for picture in pictures.pictures]

    def test_every_container_gives_the_same(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        folder = write_all(tmp_path / "folder", photos)
        places = [
            folder,
            pack_zip(tmp_path / "p.zip", photos),
            *(pack_tar(tmp_path / f"p.tar.{k}", photos, mode) for k, mode in
              enumerate(["w", "w:gz", "w:bz2", "w:xz"])),
            pack_tar(tmp_path / "p.dot.tar", {f"./{name}": data for name, data in photos.items()}),
        ]  # fmt: skip
        wanted = [("1", "1.png"), ("1", "b/1.png"), ("10", "10.png"), ("2", "a/2.png"), ("3", "b/3.png"),
                  ("x y.z", "x y.z.png"), ("é", "é.png")]  # fmt: skip
        for place in places:
            with Pictures.open(place) as pictures:
                assert [(p.item, p.name) for p in pictures.pictures] == wanted
                assert pictures.missing == []
                contents = dict(pictures.read(pictures.order))
                assert [contents[k] for k in range(7)] == [photos[name] for _, name in wanted]
                assert pictures.sizes == [len(photos[name]) for _, name in wanted]

    def test_reading_order(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        packed = Pictures.open(pack_tar(tmp_path / "p.tar.gz", photos, "w:gz"))
        assert [packed.pictures[k].name for k in packed.order] == list(photos)
        assert packed.kind == "tar, gzip"
        # Whatever is asked for is read in one pass.
        assert [k for k, _ in packed.read(packed.order[4:0:-1])] == packed.order[1:5]
        plain = Pictures.open(pack_tar(tmp_path / "p.tar", photos))
        assert plain.order == list(range(7)) and plain.kind == "tar"
        assert [k for k, _ in plain.read([3, 1])] == [3, 1]

    def test_a_member_that_comes_twice_is_the_later_one(self, tmp_path: Path) -> None:
        old, new = (odd_images.saved(odd_images.photo(k), "PNG") for k in (1, 2))
        for mode in ("w", "w:gz"):
            with tarfile.open(tmp_path / "t.tar", mode) as archive:
                for data in (old, new):
                    member = tarfile.TarInfo("a.png")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
            pictures = Pictures.open(tmp_path / "t.tar")
            assert list(pictures.read([0])) == [(0, new)]

    def test_what_is_no_image_is_left_out(self, tmp_path: Path) -> None:
        good = odd_images.saved(odd_images.photo(1), "PNG")
        names = ["a.PNG", "b.jpeg", "notes.txt", "a.png.bak", ".hidden.png", "._a.png", "__MACOSX/c.png",
                 ".thumbs/d.png"]  # fmt: skip
        files = dict.fromkeys(names, good)
        for place in (
            write_all(tmp_path / "f", files),
            pack_zip(tmp_path / "f.zip", files),
            pack_tar(tmp_path / "f.tgz", files, "w:gz"),
        ):
            assert self.names(Pictures.open(place)) == ["a.PNG", "b.jpeg"]

    def test_special_files_do_not_hang(self, tmp_path: Path) -> None:
        write_all(tmp_path, {"a.png": odd_images.saved(odd_images.photo(1), "PNG")})
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "loop.png").symlink_to("loop.png")
        (tmp_path / "dangling.png").symlink_to("nowhere.png")
        (tmp_path / "link.png").symlink_to("a.png")
        (tmp_path / "inner").mkdir()
        (tmp_path / "inner" / "up").symlink_to("..")
        (tmp_path / "pipe_link.png").symlink_to("pipe.png")
        with open(os.fsencode(tmp_path) + b"/\xff.png", "wb"):
            pass
        pictures = Pictures.open(tmp_path)
        assert self.names(pictures) == ["a.png", "link.png"]
        reasons = {picture.name: reason for picture, reason in pictures.missing}
        assert set(reasons) == {"loop.png", "dangling.png", "\\xff.png", "pipe_link.png"}
        assert "circle" in reasons["loop.png"] and "no such file" in reasons["dangling.png"]

    def test_a_table_may_name_special_files(self, tmp_path: Path) -> None:
        write_all(tmp_path, {"a.png": odd_images.saved(odd_images.photo(1), "PNG")})
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "t.csv").write_text("id,file\n1,a.png\n2,pipe.png\n3,.\n")
        pictures = Pictures.open(tmp_path, tmp_path / "t.csv", "id", "file")
        assert [(p.item, reason) for p, reason in pictures.missing] == [
            ("2", "not a regular file"), ("3", "not a regular file")]  # fmt: skip

    def test_a_pipe_that_takes_the_place_of_a_file(self, tmp_path: Path) -> None:
        write_all(tmp_path, {"a.png": b"x", "b.png": b"y", "c.png": b"z"})
        pictures = Pictures.open(tmp_path)
        (tmp_path / "a.png").unlink()
        os.mkfifo(tmp_path / "a.png")
        (tmp_path / "b.png").unlink()
        assert dict(pictures.read([0, 1, 2])) == {
            0: "not a regular file",
            1: "there is no such file",
            2: b"z",
        }

    def test_too_large_a_file(self, tmp_path: Path) -> None:
        with open(tmp_path / "a.jpg", "wb") as file:
            file.truncate(300 << 20)  # a hole: it takes no space
        assert "256 MiB" in str(dict(Pictures.open(tmp_path).read([0]))[0])

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_no_permission(self, tmp_path: Path) -> None:
        write_all(tmp_path, {"a.png": b"x", "inner/b.png": b"y", "c.png": b"z"})
        (tmp_path / "inner").chmod(0)
        (tmp_path / "a.png").chmod(0)
        pictures = Pictures.open(tmp_path)
        assert [reason for _, reason in pictures.missing] == ["the folder can't be read (Permission denied)"]
        assert "permissions" in str(dict(pictures.read([0]))[0])
        tmp_path.chmod(0)
        with pytest.raises(EnvironmentProblem):
            Pictures.open(tmp_path)

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="do not exist"):
            Pictures.open(tmp_path / "nowhere")
        with pytest.raises(DataError, match="no images"):
            Pictures.open(tmp_path)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UsageError, match="regular file"):
            Pictures.open(tmp_path / "pipe")
        (tmp_path / "one.png").write_bytes(odd_images.saved(odd_images.photo(1), "PNG"))
        with pytest.raises(DataError, match="neither a folder"):
            Pictures.open(tmp_path / "one.png")
        (tmp_path / "empty.tar").write_bytes(b"")
        with pytest.raises(DataError, match="neither a folder"):
            Pictures.open(tmp_path / "empty.tar")
        with pytest.raises(DataError, match="no images"):
            Pictures.open(pack_tar(tmp_path / "nothing.tar", {}))
        with pytest.raises(DataError, match="no images"):
            Pictures.open(pack_zip(tmp_path / "nothing.zip", {"a.txt": b""}))


class TestDamagedArchives:
    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_cut_tar(self, tmp_path: Path, photos: dict[str, bytes], mode: str, share: float) -> None:
        path = pack_tar(tmp_path / "p.tar", photos, mode)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        if mode == "w" and share == 0.9:  # only zeros after the end mark are gone
            path.write_bytes(data[: data.rindex(b"IEND") + 4])
        with pytest.raises(DataError, match="damaged"):
            Pictures.open(path)

    def test_tar_cut_between_two_files(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        """Python's tarfile takes that, and a damaged header, for the end."""
        path = pack_tar(tmp_path / "p.tar", photos)
        with tarfile.open(path) as archive:
            third = archive.getmembers()[2].offset
        data = path.read_bytes()
        path.write_bytes(data[:third])
        with pytest.raises(DataError, match="end mark after 2 files"):
            Pictures.open(path)
        path.write_bytes(data[:third] + b"\x07" * 300 + data[third + 300 :])
        with pytest.raises(DataError, match="end mark after 2 files"):
            Pictures.open(path)

    def test_wrong_checksum_at_the_end(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        path = pack_tar(tmp_path / "p.tar.gz", photos, "w:gz")
        data = bytearray(path.read_bytes())
        data[-6] ^= 1
        path.write_bytes(data)
        with pytest.raises(DataError, match="damaged"):
            Pictures.open(path)

    def test_gzip_without_a_tar(self, tmp_path: Path) -> None:
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"no tar" * 500))
        with pytest.raises(DataError, match="damaged"):
            Pictures.open(tmp_path / "a.tar.gz")

    def test_cut_zip(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        path = pack_zip(tmp_path / "p.zip", photos)
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(DataError, match="damaged"):
            Pictures.open(path)

    def test_members_of_a_zip_that_cannot_be_read(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        path = pack_zip(tmp_path / "p.zip", photos)
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
        data = bytearray(path.read_bytes())
        spoilt = infos["1.png"]
        data[spoilt.header_offset + 40 + len("1.png")] ^= 0xFF
        for name, offset, value in (("10.png", 8, 1), ("a/2.png", 10, 99)):  # flag: encrypted; unknown method
            entry = data.rindex(name.encode()) - 46
            data[entry + offset] = value
            data[infos[name].header_offset + offset - 2] = value
        path.write_bytes(data)
        pictures = Pictures.open(path)
        found = {pictures.pictures[k].name: content for k, content in pictures.read(pictures.order)}
        assert "damaged in the archive" in str(found["1.png"])
        assert found["10.png"] == "encrypted in the archive"
        assert "packed in a way" in str(found["a/2.png"])
        assert sum(isinstance(content, bytes) for content in found.values()) == 4

    def test_links_in_archives(self, tmp_path: Path) -> None:
        data = odd_images.saved(odd_images.photo(1), "PNG")
        with tarfile.open(tmp_path / "t.tar", "w") as archive:
            member = tarfile.TarInfo("a.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            link = tarfile.TarInfo("b.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
            pipe = tarfile.TarInfo("c.png")
            pipe.type = tarfile.FIFOTYPE
            archive.addfile(pipe)
        assert [(p.name, reason) for p, reason in Pictures.open(tmp_path / "t.tar").missing] == [
            ("b.png", "a link inside the archive"), ("c.png", "not a regular file")]  # fmt: skip
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as packed:
            packed.writestr("a.png", data)
            info = zipfile.ZipInfo("b.png")
            info.external_attr = 0o120777 << 16
            packed.writestr(info, "/etc/passwd")
        assert [p.name for p, _ in Pictures.open(tmp_path / "t.zip").missing] == ["b.png"]

    def test_archive_that_changes_while_it_is_read(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        path = pack_tar(tmp_path / "p.tar", photos)
        pictures = Pictures.open(path)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(DataError, match="shorter"):
            list(pictures.read(pictures.order))


class TestTable:
    @pytest.fixture
    def folder(self, tmp_path: Path, photos: dict[str, bytes]) -> Path:
        return write_all(tmp_path / "folder", {**photos, "odd.dat": photos["1.png"]})

    def open(self, folder: Path, text: str) -> Pictures:
        table = folder.parent / "items.csv"
        table.write_text(text)
        return Pictures.open(folder, table, "article", "path")

    def test_items_and_files(self, folder: Path) -> None:
        found = self.open(
            folder, "article,path,x\n007,b/3.png,1\n007,./1.png,2\n7,odd.dat,3\n007,b/3.png,4\n"
        )
        assert found.pictures == [Picture("007", "1.png"), Picture("007", "b/3.png"), Picture("7", "odd.dat")]

    def test_one_image_of_two_items(self, folder: Path, photos: dict[str, bytes]) -> None:
        for place in (folder, pack_tar(folder.parent / "t.tgz", photos, "w:gz")):
            found = self.open(place, "article,path\n1,1.png\n2,1.png\n")
            assert [data for _, data in found.read(found.order)] == [photos["1.png"]] * 2

    def test_what_is_missing_is_listed(self, folder: Path) -> None:
        found = self.open(
            folder,
            "article,path\na,1.png\nb,nowhere.png\nc,../secret.png\nd,/etc/passwd\n,1.png\nf,\ng,a\n",
        )
        assert [p.item for p in found.pictures] == ["a"]
        reasons = {p.item: reason for p, reason in found.missing}
        assert set(reasons) == {"b", "c", "d", "", "f", "g"}
        assert "no such file" in reasons["b"] and "no file" in reasons["f"]
        assert "leads out" in reasons["c"] and "leads out" in reasons["d"]
        assert "no item id" in reasons[""] and "regular" in reasons["g"]

    def test_same_in_archives(self, folder: Path, photos: dict[str, bytes]) -> None:
        text = "article,path\na,1.png\nb,nowhere.png\nc,../x.png\nd,b/1.png\n"
        for place in (
            folder,
            pack_zip(folder.parent / "z.zip", photos),
            pack_tar(folder.parent / "z.tar", photos),
        ):
            found = self.open(place, text)
            assert [p.item for p in found.pictures] == ["a", "d"]
            assert sorted(p.item for p, _ in found.missing) == ["b", "c"]

    def test_wrong_use(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="items_table="):
            Pictures.open(folder, None, "article", "path")
        (tmp_path / "t.csv").write_text("article,path\n1,1.png\n")
        with pytest.raises(UsageError, match="columns"):
            Pictures.open(folder, tmp_path / "t.csv", "article")
        with pytest.raises(DataError, match="no column 'file'"):
            Pictures.open(folder, tmp_path / "t.csv", "article", "file")
        with pytest.raises(UsageError):
            Pictures.open(folder, tmp_path / "nowhere.csv", "article", "path")
        with pytest.raises(DataError, match=r"no images.*nowhere\.png"):
            self.open(folder, "article,path\n1,nowhere.png\n")

    def test_digest_knows_items_names_and_sizes(self, folder: Path, photos: dict[str, bytes]) -> None:
        digests = {self.open(folder, f"article,path\n{rows}\n").digest() for rows in
                   ("1,1.png", "2,1.png", "1,10.png", "1,1.png\n1,10.png")}  # fmt: skip
        assert len(digests) == 4
        before = Pictures.open(folder).digest()
        assert Pictures.open(folder).digest() == before
        (folder / "1.png").write_bytes(photos["1.png"] + b"x")
        assert Pictures.open(folder).digest() != before


class TestPixels:
    def test_rows_in_the_order_asked_for(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        files = {**photos, "bad.png": b"nothing"}
        chosen = [5, 0, 6, 2]
        wanted = None
        for place in (write_all(tmp_path / "f", files), pack_tar(tmp_path / "f.tgz", files, "w:gz")):
            pictures = Pictures.open(place)
            assert pictures.pictures[5].name == "bad.png"
            seen: list[dict] = []
            pixels, ok, problems = load_pixels(pictures, chosen, SMALL.fit, SMALL.size, 2, seen.append)
            assert pixels.shape == (4, 6, 4, 3) and ok.tolist() == [False, True, True, True]
            assert not pixels[0].any() and "not an image" in problems[0]["reason"]
            assert problems[0] | {"reason": ""} == {"image": "bad.png", "item": "bad", "reason": ""}
            for row, index in list(enumerate(chosen))[1:]:
                image = decode(files[pictures.pictures[index].name]).image
                assert image is not None and np.array_equal(pixels[row], np.asarray(SMALL.fit(image)))
            assert wanted is None or np.array_equal(pixels, wanted)
            wanted = pixels
            assert seen[-1] == {"done": 4, "total": 4}

    @pytest.mark.parametrize("threads", [1, 2, 5])
    def test_order_does_not_depend_on_threads(
        self, tmp_path: Path, photos: dict[str, bytes], threads: int
    ) -> None:
        pictures = Pictures.open(write_all(tmp_path, photos))
        found = list(pixels_of(pictures, pictures.order, SMALL.fit, SMALL.size, threads, 3))
        assert [one.index for one in found] == pictures.order

    def test_an_error_of_the_caller_is_no_bad_image(self, tmp_path: Path, photos: dict[str, bytes]) -> None:
        def fit(image: Image.Image) -> Image.Image:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            load_pixels(Pictures.open(write_all(tmp_path, photos)), [0, 1], fit, SMALL.size)


class TestInOrder:
    def test_bounded(self) -> None:
        """The source is never more than `ahead` items before the caller, however slow that one is."""
        taken: list[int] = []
        lead = 0

        def source():
            for k in range(60):
                taken.append(k)
                yield k

        for used, value in enumerate(in_order(source(), lambda k: k, 3, 5)):
            time.sleep(0.001)
            assert value == used
            lead = max(lead, len(taken) - used)
        assert 1 <= lead <= 5 and len(taken) == 60

    def test_closing_early_ends_all_threads(self) -> None:
        before = threading.active_count()
        closed = []

        def source():
            try:
                yield from range(10**9)
            finally:
                closed.append(True)

        stream = in_order(source(), lambda k: k, 3, 5)
        assert [next(stream) for _ in range(4)] == [0, 1, 2, 3]
        stream.close()
        assert threading.active_count() == before and closed == [True]

    def test_errors_of_source_and_work_arrive(self) -> None:
        def source():
            yield 1
            raise DataError("broken")

        found = in_order(source(), lambda k: k, 1, 2)
        assert next(found) == 1
        with pytest.raises(DataError, match="broken"):
            next(found)
        with pytest.raises(ZeroDivisionError):
            list(in_order([1, 0, 2], lambda k: 1 // k, 2, 2))

    @given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 6))
    @settings(max_examples=40)
    def test_is_map(self, n: int, threads: int, ahead: int) -> None:
        assert list(in_order(range(n), lambda k: k * k, threads, ahead)) == [k * k for k in range(n)]


def test_visible() -> None:
    assert picture_sources.visible("a/b.c/d.png")
    assert not any(map(picture_sources.visible, [".a", "a/.b/c", "__MACOSX/a", "a/__MACOSX/b"]))
