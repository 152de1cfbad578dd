"""Networks that take or compute something else than float32, channels first: what exporters write as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import odd_images
import pytest
from photo_files import write_all

from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.graph import parse, with_free_sides
from ivbpr_numba.photos.decoding import decode
from ivbpr_numba.photos.preprocessing import Preprocessing

onnx = pytest.importorskip("onnx", reason="networks for tests are made with onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(3)
KERNEL = RNG.normal(0, 0.3, (4, 3, 1, 1)).astype(np.float32)
RAW = Preprocessing((6, 4), scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
PIXELS = RNG.integers(0, 256, (3, 6, 4, 3), dtype=np.uint8)


def network(path: Path, dtype: int, layout: str = "NCHW", inner: int = TensorProto.FLOAT) -> Network:
    """y = mean over space of a 1 × 1 convolution; `dtype` of the input, `inner` of weights and output."""
    shape = ["n", 3, 6, 4] if layout == "NCHW" else ["n", 6, 4, 3]
    kernel = KERNEL.astype(np.float16) if inner == TensorProto.FLOAT16 else KERNEL
    nodes = [
        helper.make_node("Cast", ["x"], ["cast"], to=inner),
        helper.make_node("Transpose", ["cast"], ["first"], perm=[0, 3, 1, 2])
        if layout == "NHWC"
        else helper.make_node("Identity", ["cast"], ["first"]),
        helper.make_node("Conv", ["first", "k"], ["conv"]),
        helper.make_node("GlobalAveragePool", ["conv"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["y"]),
    ]
    return saved(path, nodes, dtype, shape, inner, {"k": kernel})


def saved(
    path: Path, nodes: list[Any], dtype: int, shape: list[Any], out: int, values: dict[str, np.ndarray]
) -> Network:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", out, ["n", 4])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    path.write_bytes(made.SerializeToString())
    return Network.read(path)


def expected(pixels: np.ndarray) -> np.ndarray:
    """In float64, of pixels (N, H, W, 3)."""
    return pixels.astype(np.float64).mean(axis=(1, 2)) @ KERNEL[:, :, 0, 0].T.astype(np.float64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    files = {f"{k}.png": odd_images.saved(odd_images.photo(k, 4, 6), "PNG") for k in range(5)}
    return write_all(tmp_path / "photos", files)


def pixels_in(photos: Path) -> np.ndarray:
    found = [decode(path.read_bytes()).image for path in sorted(photos.iterdir())]
    return np.stack([np.asarray(image) for image in found])


class TestBytes:
    @pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
    def test_pixels_as_they_are(self, tmp_path: Path, photos: Path, layout: str) -> None:
        taken = network(tmp_path / "n.onnx", TensorProto.UINT8, layout)
        assert taken.input_dtype == "uint8"
        (tmp_path / "p.json").write_text(f'{{"size": [6, 4], "layout": "{layout}"}}')
        extract(photos, taken.path, tmp_path / "f.h5", preprocess=tmp_path / "p.json", batch=2)
        np.testing.assert_allclose(
            Features.read(tmp_path / "f.h5").matrix, expected(pixels_in(photos)), rtol=1e-5
        )

    def test_the_way_out_is_named_and_works(self, tmp_path: Path, photos: Path) -> None:
        taken = network(tmp_path / "n.onnx", TensorProto.UINT8, "NHWC")
        with pytest.raises(UsageError, match=r"preprocess='FILE\.json', a file that holds") as caught:
            extract(photos, taken.path, tmp_path / "f.h5")
        (tmp_path / "p.json").write_text(str(caught.value).partition("holds ")[2].partition("}")[0] + "}")
        assert extract(photos, taken.path, tmp_path / "f.h5", preprocess=tmp_path / "p.json")["columns"] == 4

    def test_other_numbers_are_refused(self, tmp_path: Path) -> None:
        taken = network(tmp_path / "n.onnx", TensorProto.UINT8)
        for wrong in (
            Preprocessing((6, 4)),
            Preprocessing((6, 4), scale=1.0),
            Preprocessing((6, 4), mean=(0.0,) * 3, std=(1.0,) * 3),
        ):
            with pytest.raises(UsageError, match=r"pixels as they are.*scale, mean and std"):
                taken.prepared_by(wrong)
        assert taken.prepared_by(RAW) is RAW
        for value in (-1.0, 256.0, 0.5, np.nan):
            batch = np.full((1, 3, 6, 4), value, dtype=np.float32)
            with pytest.raises(DataError, match="0 to 255"):
                taken.session(["y"], "cpu").run(batch)

    def test_a_fixed_batch(self, tmp_path: Path) -> None:
        path = tmp_path / "n.onnx"
        network(path, TensorProto.UINT8)
        fixed = with_free_sides(parse(path.read_bytes(), path), "x", (2, 3, 6, 4))
        path.write_bytes(fixed.SerializeToString())
        taken = Network.read(path)
        assert (taken.input_dtype, taken.input_shape[0]) == ("uint8", 2)
        (found,) = taken.session(["y"], "cpu").run(RAW.normalise(PIXELS))
        np.testing.assert_allclose(found, expected(PIXELS), rtol=1e-5)


class TestHalf:
    @pytest.mark.parametrize("output", [None, "pool", "conv"])
    def test_features_are_float32(self, tmp_path: Path, photos: Path, output: str | None) -> None:
        """Also of values inside, which the graph doesn't declare."""
        taken = network(tmp_path / "n.onnx", TensorProto.FLOAT16, inner=TensorProto.FLOAT16)
        assert taken.input_dtype == "float16"
        extract(photos, taken.path, tmp_path / "f.h5", preprocess=RAW, output=output)
        found = Features.read(tmp_path / "f.h5").matrix
        assert found.dtype == np.float32
        means = found.reshape(5, 4, -1).mean(axis=2)
        np.testing.assert_allclose(means, expected(pixels_in(photos)), rtol=5e-3, atol=0.3)

    def test_weights_alone(self, tmp_path: Path, photos: Path) -> None:
        taken = network(tmp_path / "n.onnx", TensorProto.FLOAT, inner=TensorProto.FLOAT16)
        (found,) = taken.session(["y"], "cpu").run(RAW.normalise(PIXELS))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected(PIXELS), rtol=5e-3, atol=0.3)

    def test_input_that_float16_cannot_hold(self, tmp_path: Path) -> None:
        taken = network(tmp_path / "n.onnx", TensorProto.FLOAT16, inner=TensorProto.FLOAT16)
        with pytest.raises(DataError, match=r"float16, for which its input is too large: 70000.*scale"):
            taken.session(["y"], "cpu").run(np.full((1, 3, 6, 4), 70_000, dtype=np.float32))


class TestOthers:
    def test_quantised_with_float_input(self, tmp_path: Path, photos: Path) -> None:
        """QDQ: 8 bits between, float32 outside; computed here in whole numbers by hand."""
        scale, step = np.float32(2.0), np.float32(np.abs(KERNEL).max() / 127)
        weights = np.rint(KERNEL / step).astype(np.int8)
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "s", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["k"]),
            helper.make_node("Conv", ["d", "k"], ["conv"]),
            helper.make_node("GlobalAveragePool", ["conv"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["y"]),
        ]
        values = {"s": scale, "zero": np.uint8(0), "w": weights, "ws": step, "wz": np.int8(0)}
        taken = saved(
            tmp_path / "q.onnx", nodes, TensorProto.FLOAT, ["n", 3, 6, 4], TensorProto.FLOAT,
            {name: np.asarray(value) for name, value in values.items()},
        )  # fmt: skip
        extract(photos, taken.path, tmp_path / "f.h5", preprocess=RAW)
        rounded = np.clip(np.rint(pixels_in(photos) / 2.0), 0, 255) * 2
        wanted = rounded.mean(axis=(1, 2)) @ (weights[:, :, 0, 0].T * float(step))
        np.testing.assert_allclose(Features.read(tmp_path / "f.h5").matrix, wanted, rtol=1e-4, atol=1e-3)

    def test_channels_last_float(self, tmp_path: Path, photos: Path) -> None:
        taken = network(tmp_path / "n.onnx", TensorProto.FLOAT, "NHWC")
        with pytest.raises(UsageError, match=r'"layout": "NHWC"'):
            taken.prepared_by(None)
        with pytest.raises(UsageError, match=r'not NCHW.*"layout": "NHWC"'):
            taken.prepared_by(RAW)
        (found,) = taken.session(["y"], "cpu").run(PIXELS.astype(np.float32))
        np.testing.assert_allclose(found, expected(PIXELS), rtol=1e-5)

    @pytest.mark.parametrize("dtype", [TensorProto.DOUBLE, TensorProto.INT8, TensorProto.BFLOAT16])
    def test_what_cannot_be_fed(self, tmp_path: Path, dtype: int) -> None:
        nodes: list[Any] = [
            helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["cast", "k"], ["conv"]),
            helper.make_node("GlobalAveragePool", ["conv"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["y"]),
        ]
        with pytest.raises(DataError, match="uint8, float16 or float32 batches of four dimensions; export"):
            saved(tmp_path / "n.onnx", nodes, dtype, ["n", 3, 6, 4], TensorProto.FLOAT, {"k": KERNEL})


def test_one_photo_of_a_new_product(tmp_path: Path, photos: Path) -> None:
    from ivbpr_numba.questions.new_item import look_at

    taken = network(tmp_path / "n.onnx", TensorProto.UINT8, "NHWC")
    seen = look_at([photos / "2.png"], taken, preprocessing=Preprocessing.from_json(
        '{"size": [6, 4], "layout": "NHWC"}', "here"))  # fmt: skip
    np.testing.assert_allclose(seen.values, expected(pixels_in(photos))[2], rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "inner"),
    [
        (TensorProto.UINT8, TensorProto.FLOAT),
        (TensorProto.FLOAT16, TensorProto.FLOAT16),
        (TensorProto.FLOAT, TensorProto.FLOAT16),
    ],
)
def test_as_a_backbone(tmp_path: Path, dtype: int, inner: int) -> None:
    """Means and maxima of a layer, float32 whatever it computes in."""
    from ivbpr_numba.training.frozen.backbone import open_backbone

    taken = network(tmp_path / "n.onnx", dtype, inner=inner)
    (found,) = open_backbone(taken.path, ["conv"], RAW).session("cpu").run(RAW.normalise(PIXELS))
    maps = PIXELS.astype(np.float64) @ KERNEL[:, :, 0, 0].T.astype(np.float64)
    wanted = np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=5e-3, atol=0.3)
