"""From a photo to a network's input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ivbpr_numba import DataError, UsageError
from ivbpr_numba.photos.preprocessing import PRESETS, Preprocessing


def test_values_are_pixel_times_scale_minus_mean_over_std() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    how = Preprocessing((3, 4), channels="bgr", scale=0.5, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 5.0))
    expected = (pixels[..., ::-1].astype(np.float64) * 0.5 - [1, 2, 3]) / [2, 4, 5]
    found = how.normalise(pixels)
    assert found.dtype == np.float32 and found.flags.c_contiguous and found.shape == (2, 3, 3, 4)
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), rtol=1e-6, atol=1e-5)
    last = Preprocessing((3, 4), "none", "NHWC", "rgb", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(last.normalise(pixels), pixels.astype(np.float32))


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
    st.sampled_from(["none", "center", "pad"]),
    st.sampled_from([None, 1, 40, 200]),
)
@settings(max_examples=150, deadline=None)
def test_every_photo_fits(
    width: int, height: int, size: tuple[int, int], crop: str, resize: int | None
) -> None:
    how = Preprocessing(size, crop, resize=resize if crop == "center" else None)
    found = how.fit(Image.new("RGB", (width, height), (10, 20, 30)))
    assert found.size == (size[1], size[0]) and found.mode == "RGB"
    colours = {colour for _, colour in found.getcolors(1 << 20)}
    # One colour stays one colour; only padding adds white.
    assert (10, 20, 30) in colours and colours <= {(10, 20, 30), (255, 255, 255)}
    assert crop == "pad" or len(colours) == 1


def test_long_strips_do_not_become_gigantic() -> None:
    for shape in ((100_000, 1), (1, 100_000)):
        found = Preprocessing((224, 224), "center", resize=256).fit(Image.new("RGB", shape, (9, 9, 9)))
        assert found.size == (224, 224) and found.getcolors() == [(224 * 224, (9, 9, 9))]


def test_center_takes_the_middle() -> None:
    page = Image.new("RGB", (40, 20), (0, 0, 0))
    page.paste((255, 0, 0), (10, 0, 30, 20))
    found = Preprocessing((20, 20), "center").fit(page)
    assert found.getcolors() == [(400, (255, 0, 0))]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_round_trip(name: str, tmp_path: Path) -> None:
    how = Preprocessing.read(name)
    assert Preprocessing.from_json(how.to_json(), "here") == how
    path = tmp_path / "p.json"
    path.write_text(how.to_json())
    assert Preprocessing.read(path) == how


def test_short_forms() -> None:
    how = Preprocessing.from_json('{"size": 256, "crop": 224, "channels": "BGR", "layout": "nhwc"}', "here")
    assert (how.size, how.resize, how.crop, how.channels, how.layout) == (
        *((224, 224), 256, "center", "bgr"),
        "NHWC",
    )
    plain = Preprocessing.from_json('{"size": [192, 128], "mean": 3}', "here")
    assert plain.crop == "none" and plain.mean == (3.0, 3.0, 3.0) and plain.scale == 1.0
    assert Preprocessing.from_json('{"size": 8, "crop": true}', "here").crop == "center"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": [3]},
        {"size": "big"},
        {"size": 100_000},
        {"size": None},
        {"size": True},
        {"crop": "middle"},
        {"crop": -5},
        {"layout": "CHWN"},
        {"channels": "rgba"},
        {"scale": 0},
        {"scale": "x"},
        {"mean": [1, 2]},
        {"std": 0},
        {"std": [1, 0, 1]},
        {"mean": float("nan")},
        {"sise": 3},
        {"resize": 300},
    ],
)
def test_wrong_values_are_named(change: dict[str, object]) -> None:
    text = json.dumps({"size": 224, **change})
    with pytest.raises(DataError, match="'here' is no preprocessing"):
        Preprocessing.from_json(text, "here")


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="imagenet"):
        Preprocessing.read("imagenett")
    with pytest.raises(UsageError):
        Preprocessing.read(tmp_path)
    for content in (b"\xff\xfe\x00", b"[]", b"{", b"{}"):
        path = tmp_path / "p.json"
        path.write_bytes(content)
        with pytest.raises(DataError):
            Preprocessing.read(path)


def test_a_file_as_editors_save_it(tmp_path: Path) -> None:
    path, how = tmp_path / "p.json", PRESETS["imagenet"]
    path.write_bytes(b"\xef\xbb\xbf" + how.to_json().encode())
    assert Preprocessing.read(path) == how
    path.write_bytes(b'{\n"size": "\xfc"}')
    with pytest.raises(DataError, match=r"p\.json', line 2 is not UTF-8"):
        Preprocessing.read(path)
