"""Networks in ONNX files: what they say of themselves, running, cutting, describing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivbpr_numba import DataError, EnvironmentProblem, UsageError
from ivbpr_numba.network import file as network_room
from ivbpr_numba.network import graph as onnx_graph
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.format import KEYS
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.preprocessing import Preprocessing

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

VOCABULARY = Vocabulary((AttributeGroup("colour", ("dark", "light"), True),))
PREPROCESSING = Preprocessing((6, 4), scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(3, 3, 3, 3)).astype(np.float32)
LAST = RNG.normal(size=(3, 2)).astype(np.float32)


def model(shape: Sequence[Any] = ("n", 3, 6, 4), name: str = "images") -> Any:
    """Convolution, ReLU, mean over space (`features`), linear, soft-max (`probabilities`)."""
    nodes = [
        helper.make_node("Conv", [name, "w"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["features"]),
        helper.make_node("MatMul", ["features", "v"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    values = {"w": WEIGHTS, "v": LAST}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [shape[0], 2]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [shape[0], 3]),
        ],
        [numpy_helper.from_array(value, key) for key, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def expected(images: np.ndarray) -> dict[str, np.ndarray]:
    """The same in plain NumPy, in float64."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = images.shape[2:]
    conv = sum(
        np.einsum("nchw,oc->nohw", padded[:, :, y : y + height, x : x + width], WEIGHTS[:, :, y, x])
        for y in range(3)
        for x in range(3)
    )
    relu = np.maximum(conv, 0)
    features = relu.mean(axis=(2, 3))
    logits = features @ LAST
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return {"relu": relu, "features": features, "probabilities": shares / shares.sum(axis=1, keepdims=True)}


def saved(path: Path, made: Any) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "ours.onnx"
    onnx_graph.write_network(model(), VOCABULARY, PREPROCESSING, {"seed": 3}, path)
    return path


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_outputs_are_those_of_plain_numpy(ours: Path, batch: int) -> None:
    network = Network.read(ours)
    images = RNG.normal(size=(batch, 3, 6, 4)).astype(np.float32)
    session = network.session(["features", "probabilities"], "cpu", threads=1)
    wanted = expected(images)
    for name, found in zip(("features", "probabilities"), session.run(images)):
        np.testing.assert_allclose(found, wanted[name], rtol=1e-5, atol=1e-6)
    assert session.provider == "CPUExecutionProvider"


def test_a_network_of_ours_needs_nothing_else(ours: Path) -> None:
    network = Network.read(ours)
    assert network.vocabulary == VOCABULARY and network.preprocessing == PREPROCESSING
    assert network.record == {"seed": 3} and network.input == "images"
    assert network.input_shape == (None, 3, 6, 4)
    assert network.output_named(None) == "probabilities" and network.output_named("features") == "features"
    assert network.prepared_by(None) == PREPROCESSING


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    path = saved(tmp_path / "fixed.onnx", model((2, 3, 6, 4)))
    images = RNG.normal(size=(5, 3, 6, 4)).astype(np.float32)
    session = Network.read(path).session(["features"])
    np.testing.assert_allclose(session.run(images)[0], expected(images)["features"], rtol=1e-5, atol=1e-6)


def test_inner_values_by_cutting(ours: Path) -> None:
    network = Network.read(ours)
    images = RNG.normal(size=(2, 3, 6, 4)).astype(np.float32)
    (found,) = network.session(["relu"]).run(images)
    np.testing.assert_allclose(found, expected(images)["relu"], rtol=1e-5, atol=1e-5)
    whole = onnx_graph.parse(ours.read_bytes(), ours)
    part = onnx_graph.cut(whole, ["relu"], ours)
    assert [node.op_type for node in part.graph.node] == ["Conv", "Relu"]
    assert [one.name for one in part.graph.initializer] == ["w"]  # weights that nothing reads are gone
    assert len(whole.graph.node) == 6  # the model itself stays
    with pytest.raises(UsageError, match="Did you mean 'relu'"):
        network.session(["rellu"])


def test_cutting_keeps_what_branches_read(tmp_path: Path) -> None:
    """A subgraph's names count as reads of the node that holds it."""
    inner = helper.make_graph(
        [helper.make_node("Mul", ["images", "two"], ["twice"])],
        "then",
        [],
        [helper.make_tensor_value_info("twice", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["once"])],
        "else",
        [],
        [helper.make_tensor_value_info("once", TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(
        [
            helper.make_node("If", ["yes"], ["chosen"], then_branch=inner, else_branch=other),
            helper.make_node("Relu", ["chosen"], ["end"]),
        ],
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 2, 2])],
        [helper.make_tensor_value_info("end", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array(True), "yes"),
            numpy_helper.from_array(np.float32(2), "two"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = saved(tmp_path / "if.onnx", made)
    images = RNG.normal(size=(2, 3, 2, 2)).astype(np.float32)
    (found,) = Network.read(path).session(["chosen"]).run(images)
    np.testing.assert_array_equal(found, images * 2)


def test_free_sides_take_other_sizes(tmp_path: Path) -> None:
    made = onnx_graph.with_free_sides(model((1, 3, 6, 4)), "images", (None, 3, None, None))
    path = saved(tmp_path / "free.onnx", made)
    network = Network.read(path)
    assert network.input_shape == (None, 3, None, None)
    images = RNG.normal(size=(3, 3, 9, 5)).astype(np.float32)
    (found,) = network.session(["features"]).run(images)
    np.testing.assert_allclose(found, expected(images)["features"], rtol=1e-5, atol=1e-6)


def test_strange_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with pytest.raises(UsageError):
        Network.read(path)
    for content in (b"", b"\x00" * 50, b"<html>", model().SerializeToString()[:200]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no network that onnxruntime can load"):
            Network.read(path)
    for dtype, shape in ((TensorProto.DOUBLE, ["n", 3, 6, 4]), (TensorProto.FLOAT, ["n", 3])):
        ends = [helper.make_tensor_value_info(name, dtype, shape) for name in ("in", "out")]
        graph = helper.make_graph([helper.make_node("Relu", ["in"], ["out"])], "net", ends[:1], ends[1:])
        with pytest.raises(DataError, match="float32 batches of four dimensions"):
            Network.read(
                saved(
                    path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
                )
            )
    with pytest.raises(DataError, match="no ONNX file"):
        onnx_graph.parse(b"\xff\xff\xff", path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("vocabulary", "[", "no vocabulary"),
        ("preprocessing", '{"size": 0}', "no preprocessing"),
        ("record", "{", "no JSON"),
        ("format", "2.0", "format 2.0"),
    ],
)
def test_a_broken_description_is_named(tmp_path: Path, key: str, value: str, said: str) -> None:
    made = model()
    helper.set_model_props(made, {KEYS[key]: value})
    with pytest.raises(DataError, match=said):
        Network.read(saved(tmp_path / "x.onnx", made))


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    made = model()
    made.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["n"]))
    with pytest.raises(DataError, match="2 inputs"):
        Network.read(saved(tmp_path / "x.onnx", made))


def test_preprocessing_must_be_there_and_fit(tmp_path: Path) -> None:
    network = Network.read(saved(tmp_path / "foreign.onnx", model()))
    with pytest.raises(UsageError, match="preprocess="):
        network.prepared_by(None)
    with pytest.raises(UsageError, match="6 × 4"):
        network.prepared_by(Preprocessing((224, 224)))
    with pytest.raises(UsageError, match="NHWC"):
        network.prepared_by(Preprocessing((6, 4), layout="NHWC"))
    assert network.prepared_by(PREPROCESSING) is PREPROCESSING


def test_a_device_that_is_not_there_is_an_error(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network.read(ours)
    with pytest.raises(UsageError, match="Did you mean 'cuda'"):
        network.session(device="cud")
    with pytest.raises(UsageError, match="threads"):
        network.session(threads=0)
    monkeypatch.setattr(network_room, "cuda_problem", lambda: "there is no card")
    with pytest.raises(EnvironmentProblem, match="there is no card"):
        network.session(device="cuda")
    session = network.session(device="auto")
    assert (session.provider, session.why) == ("CPUExecutionProvider", "there is no card")


def test_a_silent_fall_back_is_found(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime takes the CPU without a word when CUDA doesn't start: asked for, that is an error."""
    if Network.read(ours).session(device="auto").provider != "CPUExecutionProvider":
        pytest.skip("a CUDA card is at work here")
    monkeypatch.setattr(network_room, "cuda_problem", lambda: None)
    network = Network.read(ours)
    with pytest.raises(EnvironmentProblem, match="could not start"):
        network.session(device="cuda")
    session = network.session(device="auto")
    assert session.provider == "CPUExecutionProvider" and "could not start" in session.why


@pytest.mark.gpu
def test_on_the_card_the_outputs_are_the_same(ours: Path) -> None:
    session = Network.read(ours).session(["features"], "cuda")
    assert session.provider == "CUDAExecutionProvider"
    images = RNG.normal(size=(5, 3, 6, 4)).astype(np.float32)
    np.testing.assert_allclose(session.run(images)[0], expected(images)["features"], rtol=1e-4, atol=1e-5)


def test_a_network_that_changed_is_not_run(ours: Path) -> None:
    network = Network.read(ours)
    ours.write_bytes(ours.read_bytes() + b"\x00")
    with pytest.raises(DataError, match="changed"):
        network.session()


def test_wrong_input_sizes_are_a_data_error(ours: Path) -> None:
    session = Network.read(ours).session()
    with pytest.raises(DataError, match="The network failed"):
        session.run(np.zeros((1, 3, 5, 4), np.float32))


def test_a_graph_of_another_form_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    wrong = Vocabulary((AttributeGroup("colour", ("a", "b", "c"), True),))
    broken = model()
    broken.graph.node[0].input[1] = "nothing"
    cases = [
        (model((1, 3, 6, 4)), VOCABULARY, "no free batch"),
        (model(name="data"), VOCABULARY, "needs 'images'"),
        (model(), wrong, "2 probabilities for 3 values"),
        (broken, VOCABULARY, "not valid"),
    ]
    for made, vocabulary, said in cases:
        with pytest.raises(DataError, match=said):
            onnx_graph.write_network(made, vocabulary, PREPROCESSING, {}, path)
        assert list(tmp_path.iterdir()) == []


def test_weights_outside_are_refused(tmp_path: Path) -> None:
    made = model()
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(DataError, match="in other files"):
        onnx_graph.parse(made.SerializeToString(), "x.onnx")


def test_the_package_onnx_is_only_needed_for_cutting(ours: Path) -> None:
    """In the base install a network of ours runs; an inner value says what to install."""
    code = f"""
import sys
sys.modules["onnx"] = None
from ivbpr_numba.network.file import Network
from ivbpr_numba.errors import EnvironmentProblem
network = Network.read({str(ours)!r})
network.session(["features"])
try:
    network.session(["relu"])
except EnvironmentProblem as problem:
    print(problem)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "ivbpr[onnx]"' in done.stdout and done.stdout.split()[-1] == "False"


def test_the_record_is_json(ours: Path) -> None:
    props = {one.key: one.value for one in onnx.load(ours).metadata_props}
    assert json.loads(props[KEYS["record"]]) == {"seed": 3} and props[KEYS["format"]] == "1.0"


@pytest.mark.real_data
def test_the_real_squeezenet_knows_the_fish(real_data: Path) -> None:
    from PIL import Image

    network = Network.read(real_data / "onnx_squeezenet" / "squeezenet1.1_fp32.onnx")
    how = Preprocessing.read("bgr-raw")
    image = Image.open(real_data / "onnx_squeezenet" / "fish.png").convert("RGB")
    values = network.session().run(how.normalise(np.asarray(how.fit(image))[None]))[0].reshape(-1)
    assert values.argmax() == 0 and abs(values.max() - 0.738) < 5e-4  # the published reference: tench
