"""Networks whose weights are in files beside them: found there, covered by the digest, never looked for elsewhere."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import odd_images
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo_files import write_all

from ivbpr_numba.errors import DataError, IvbprError, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.network import weights
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.graph import parse
from ivbpr_numba.photos.preprocessing import Preprocessing

onnx = pytest.importorskip("onnx", reason="networks for tests are made with onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RAW = Preprocessing((6, 4), scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
IMAGES = np.random.default_rng(1).normal(size=(2, 3, 6, 4)).astype(np.float32)


def model(factor: float = 1.0) -> Any:
    """y = mean over space · (`inner` + `outer`) · factor, weights as initializer, constant, and in a branch."""
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["b"], value=tensor("in_branch", 3 * factor))],
        "then",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [3, 200])],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["o"])],
        "else",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [3, 200])],
        [tensor("unread", 7)],
    )
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Constant", [], ["c"], value=tensor("constant", 2 * factor)),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=inner, else_branch=other),
        helper.make_node("Sum", ["w", "c", "chosen"], ["all"]),
        helper.make_node("MatMul", ["flat", "all"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 200])],
        [tensor("w", factor), numpy_helper.from_array(np.array(True), "yes")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tensor(name: str, value: float) -> Any:
    return numpy_helper.from_array(np.full((3, 200), value, dtype=np.float32), name)


def tensors(graph: Any) -> list[Any]:
    """All tensors of a graph, those of nodes and branches too."""
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                found.append(attribute.t)
            if attribute.HasField("g"):
                found += tensors(attribute.g)
    return found


def moved_out(made: Any, folder: Path, location: str = "net.onnx.data") -> Path:
    """Write a model with all its large tensors in one file, as exporters do it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = bytearray()
    for one in tensors(made.graph):
        if len(one.raw_data) < 100:
            continue
        values = one.raw_data
        one.ClearField("raw_data")
        one.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", len(data)), ("length", len(values))):
            one.external_data.add(key=key, value=str(value))
        data += values
    place = folder / location.replace("\\", "/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    (folder / "net.onnx").write_bytes(made.SerializeToString())
    return folder / "net.onnx"


def run(path: Path) -> np.ndarray:
    return Network.read(path).session(["y"], "cpu").run(IMAGES)[0]


def expected(factor: float = 1.0) -> np.ndarray:
    return np.repeat(IMAGES.mean(axis=(2, 3)).sum(axis=1)[:, None] * 6 * factor, 200, axis=1)


def refused(path: Path, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Network.read(path)


class TestFound:
    @pytest.mark.parametrize("location", ["net.onnx.data", "parts/weights.bin", "parts\\weights.bin"])
    def test_beside_the_network_wherever_one_stands(
        self, tmp_path: Path, location: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file of the same name in the current folder is somebody else's."""
        path = moved_out(model(), tmp_path / "own", location)
        stray = moved_out(model(100), tmp_path / "stray", location)
        for place in (tmp_path, stray.parent, path.parent):
            monkeypatch.chdir(place)
            np.testing.assert_allclose(run(path), expected(), rtol=1e-5)
        np.testing.assert_allclose(run(Path("net.onnx")), expected(), rtol=1e-5)
        np.testing.assert_allclose(run(stray), expected(100), rtol=1e-5)

    def test_the_model_is_the_one_with_weights_inside(self, tmp_path: Path) -> None:
        path = moved_out(model(), tmp_path)
        found = weights.read_network(path)
        assert found.files == ("net.onnx.data",) and weights.outside_weights(found.content) == []
        outside = weights.outside_weights(path.read_bytes())
        assert sorted(outside) == ["constant", "in_branch", "unread", "w"]
        ours, theirs = parse(found.content, path), model()
        assert [one.name for one in tensors(ours.graph)] == [one.name for one in tensors(theirs.graph)]
        for one, other in zip(tensors(ours.graph), tensors(theirs.graph)):
            assert np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other)), one.name
        onnx.checker.check_model(ours, full_check=True)

    def test_as_the_package_onnx_writes_it(self, tmp_path: Path) -> None:
        """One file for all, and one a tensor; the checker of onnx loads both."""
        for single in (True, False):
            path = tmp_path / f"{single}.onnx"
            onnx.save(
                model(), path, save_as_external_data=True, all_tensors_to_one_file=single,
                location="all.bin" if single else None, size_threshold=100, convert_attribute=True,
            )  # fmt: skip
            np.testing.assert_allclose(run(path), expected(), rtol=1e-5)
            assert len(weights.read_network(path).files) == (1 if single else 4)

    def test_inner_values_and_sparse_and_functions(self, tmp_path: Path) -> None:
        path = moved_out(model(), tmp_path)
        (found,) = Network.read(path).session(["flat"], "cpu").run(IMAGES)
        np.testing.assert_allclose(found, IMAGES.mean(axis=(2, 3)), rtol=1e-5)
        made = model()
        values = numpy_helper.from_array(np.arange(3, dtype=np.float32), "s")
        values.ClearField("raw_data")
        values.data_location = TensorProto.EXTERNAL
        values.external_data.add(key="location", value="s.bin")
        indices = numpy_helper.from_array(np.arange(3), "i")
        made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
        node = helper.make_node("Constant", [], ["v"])
        node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(values)
        made.functions.append(
            helper.make_function("own", "f", [], ["v"], [node], [helper.make_opsetid("", 17)])
        )
        (tmp_path / "s.bin").write_bytes(np.arange(3, dtype="<f4").tobytes())
        (tmp_path / "s.onnx").write_bytes(made.SerializeToString())
        whole = onnx.load_model_from_string(weights.read_network(tmp_path / "s.onnx").content)
        for one in (whole.graph.sparse_initializer[0].values, whole.functions[0].node[0].attribute[0].t):
            assert numpy_helper.to_array(one).tolist() == [0, 1, 2]

    def test_without_the_package_onnx(self, tmp_path: Path) -> None:
        path = moved_out(model(), tmp_path / "own")
        code = f"""
import sys
sys.modules["onnx"] = None
from ivbpr_numba.network.file import Network
print(Network.read({str(path)!r}).session(["y"], "cpu")._session is not None)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert done.stdout == "True\n"


class TestDigest:
    def test_covers_both_files(self, tmp_path: Path) -> None:
        paths = [moved_out(model(factor), tmp_path / str(factor)) for factor in (1, 2)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        digests = [Network.read(path).sha256 for path in paths]
        for path, digest in zip(paths, digests):
            parts = [hashlib.sha256(path.with_name(name).read_bytes()).digest() for name in
                     ("net.onnx", "net.onnx.data")]  # fmt: skip
            assert digest == hashlib.sha256(b"".join(parts)).hexdigest()
        assert digests[0] != digests[1]

    def test_of_one_file_is_that_of_its_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "net.onnx"
        path.write_bytes(model().SerializeToString())
        assert Network.read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert weights.read_network(path).content == path.read_bytes()

    def test_weights_that_changed_are_not_run(self, tmp_path: Path) -> None:
        path = moved_out(model(), tmp_path)
        network = Network.read(path)
        other = moved_out(model(2), tmp_path / "other")
        path.with_name("net.onnx.data").write_bytes(other.with_name("net.onnx.data").read_bytes())
        with pytest.raises(DataError, match="changed"):
            network.session(["y"])

    def test_stands_in_the_feature_file(self, tmp_path: Path) -> None:
        images = write_all(tmp_path / "p", {"a.png": odd_images.saved(odd_images.photo(1), "PNG")})
        found = []
        for factor in (1, 2):
            path = moved_out(model(factor), tmp_path / str(factor))
            report = extract(images, path, tmp_path / f"{factor}.h5", preprocess=RAW)
            features = Features.read(tmp_path / f"{factor}.h5")
            assert features.attrs["network_sha256"] == report["network_sha256"] == Network.read(path).sha256
            found.append((report["network_sha256"], features.matrix[0, 0]))
        assert found[0][0] != found[1][0] and found[1][1] == pytest.approx(2 * found[0][1], rel=1e-5)


class TestRefused:
    @pytest.mark.parametrize(
        "location", ["../net.onnx.data", "/etc/passwd", "a/../../x", "..\\x", "C:\\x", "c:x", "\\\\host\\x"]
    )
    def test_outside_the_folder(self, tmp_path: Path, location: str) -> None:
        made = model()
        made.graph.initializer[0].ClearField("raw_data")
        made.graph.initializer[0].data_location = TensorProto.EXTERNAL
        made.graph.initializer[0].external_data.add(key="location", value=location)
        folder = tmp_path / "own"
        folder.mkdir()
        (tmp_path / "net.onnx.data").write_bytes(bytes(2400))
        (folder / "net.onnx").write_bytes(made.SerializeToString())
        refused(folder / "net.onnx", "outside its own folder")

    def test_the_true_cause_is_named(self, tmp_path: Path) -> None:
        path = moved_out(model(), tmp_path)
        data = path.with_name("net.onnx.data")
        whole = data.read_bytes()
        data.write_bytes(whole[:-1])
        refused(path, r"end at byte 9,600 of 'net\.onnx\.data', which has 9,599")
        data.unlink()
        refused(path, rf"'net\.onnx\.data', which is not in '{tmp_path}'.*Put it there")
        os.mkfifo(data)
        refused(path, "no regular file")
        data.unlink()
        data.mkdir()
        refused(path, "no regular file")
        with pytest.raises(UsageError):
            Network.read(tmp_path / "none.onnx")

    @pytest.mark.parametrize(
        ("entries", "said"),
        [
            ({}, "doesn't name"),
            ({"location": ""}, "doesn't name"),
            ({"location": "d", "offset": "-4"}, "nothing that makes sense"),
            ({"location": "d", "length": "many"}, "nothing that makes sense"),
            ({"location": "d", "offset": "2401"}, "nothing that makes sense"),
            ({"location": "d", "length": "4"}, "no network that onnxruntime can load"),
            ({"location": "*/_ORT_MEM_ADDR_/*", "offset": "4096"}, "is not in"),
        ],
    )
    def test_entries_without_sense(self, tmp_path: Path, entries: dict[str, str], said: str) -> None:
        made = model()
        made.graph.initializer[0].ClearField("raw_data")
        made.graph.initializer[0].data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            made.graph.initializer[0].external_data.add(key=key, value=value)
        (tmp_path / "d").write_bytes(bytes(2400))
        (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
        refused(tmp_path / "net.onnx", said)

    def test_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = moved_out(model(), tmp_path)
        monkeypatch.setattr(weights, "LARGEST", 9_700)
        refused(path, "smaller weights")
        monkeypatch.setattr(weights, "LARGEST", 9_599)
        refused(path, "has 9,600 bytes")
        with open(path.with_name("net.onnx.data"), "wb") as file:
            file.truncate(3 << 30)  # a hole: it takes no space, and must take no memory
        monkeypatch.undo()
        refused(path, "has 3,221,225,472 bytes")

    def test_entries_that_do_not_count_are_left_alone(self, tmp_path: Path) -> None:
        """Only data_location makes a tensor external."""
        made = model()
        made.graph.initializer[0].external_data.add(key="location", value="../x")
        path = tmp_path / "net.onnx"
        path.write_bytes(made.SerializeToString())
        assert weights.read_network(path).content == path.read_bytes()

    @given(st.integers(0, 10**9))
    def test_damage_ends_with_a_paragraph(self, seed: int) -> None:
        import tempfile

        rng = random.Random(seed)
        with tempfile.TemporaryDirectory() as place:
            path = moved_out(model(), Path(place))
            data = bytearray(path.read_bytes())
            for _ in range(rng.randrange(1, 5)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data)
            try:
                found = weights.read_network(path)
            except IvbprError as problem:
                assert "\n" not in str(problem)
            else:
                assert weights.outside_weights(found.content) == []
