"""The command `ivbpr features extract`: what it shows, its options, everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import odd_images
import pytest
from photo_files import write_all
from tiny_networks import PREPROCESSING

from ivbpr_numba.errors import IvbprError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network

Run = Callable[..., Any]

pytest.importorskip("onnx", reason="networks for tests are made with onnx")


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
