"""The attribute network trained in torch: trunks, loss, initial weights, training, export, commands."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import squares
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from ivbpr_cli.app import run
from ivbpr_numba.errors import DataError, EnvironmentProblem, Interrupted, UsageError
from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.photos.preprocessing import PRESETS
from ivbpr_numba.training.calibration import fit_temperature, log_loss
from ivbpr_numba.training.whole.batches import augment, balanced_weights, epoch_order, holders

torch = pytest.importorskip("torch", reason="training the whole network needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="exporting needs the extra 'train'")

from ivbpr_numba.network.file import Network  # noqa: E402
from ivbpr_numba.training.training_set import TrainingSet, judge, only_trainable  # noqa: E402
from ivbpr_numba.training.whole.checkpoint import partial_path, read_checkpoint  # noqa: E402
from ivbpr_numba.training.whole.exporting import export_checkpoint, export_network  # noqa: E402
from ivbpr_numba.training.whole.initialising import initialise, starting_preprocessing  # noqa: E402
from ivbpr_numba.training.whole.options import TorchOptions, choose_device, choose_precision  # noqa: E402
from ivbpr_numba.training.whole.torch_network import AttributeNetwork, Deployed, masked_loss  # noqa: E402
from ivbpr_numba.training.whole.trainer import train_torch  # noqa: E402
from ivbpr_numba.training.whole.trunks import TRUNKS, make_trunk  # noqa: E402

PRE = PRESETS["imagenet"].with_size((32, 32))
# One thread: the numbers of these tests do not depend on the machine's load, nor does their time.
QUICK = TorchOptions(trunk="small", hidden=16, epochs=2, batch=32, dropout=0.1, threads=1, device="cpu")
REAL = Path(os.environ.get("IVBPR_REAL_DATA", "")) / "onnx_squeezenet"


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Trunks

# Parameters of torchvision's models, less those of their classifiers.
CONVOLUTIONS = {
    "squeezenet1_1": 1_235_496 - (512 * 1000 + 1000),
    "alexnet": 61_100_840 - (9216 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000),
    "resnet18": 11_689_512 - (512 * 1000 + 1000),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_trunks_have_as_many_parameters_as_the_published_ones(name: str) -> None:
    assert sum(value.numel() for value in make_trunk(name).parameters()) == CONVOLUTIONS[name]


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("squeezenet1_1", "features.0.weight", (64, 3, 3, 3)),
        ("squeezenet1_1", "features.12.expand3x3.bias", (256,)),
        ("squeezenet1_1", "features.7.squeeze.weight", (32, 256, 1, 1)),
        ("alexnet", "features.0.weight", (64, 3, 11, 11)),
        ("alexnet", "features.10.bias", (256,)),
        ("resnet18", "conv1.weight", (64, 3, 7, 7)),
        ("resnet18", "layer2.0.downsample.0.weight", (128, 64, 1, 1)),
        ("resnet18", "layer4.1.bn2.running_var", (512,)),
        ("resnet18", "layer3.0.downsample.1.num_batches_tracked", ()),
    ],
)
def test_layers_are_named_as_published(name: str, layer: str, shape: tuple[int, ...]) -> None:
    assert tuple(make_trunk(name).state_dict()[layer].shape) == shape


@pytest.mark.parametrize("name", TRUNKS)
def test_levels_have_the_channels_they_announce(name: str) -> None:
    trunk = make_trunk(name).eval()
    side = trunk.smallest
    levels = trunk(torch.rand(2, 3, side, side + 5))
    assert tuple(maps.shape[1] for maps in levels) == trunk.channels
    assert all(maps.shape[0] == 2 and min(maps.shape[2:]) >= 1 and maps.min() >= 0 for maps in levels)
    names = [one[0] for one in trunk.convolutions()]
    convolutions = [one for one, module in trunk.named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert sorted(names) == sorted(convolutions)


def test_an_unknown_trunk_has_a_near_miss() -> None:
    with pytest.raises(UsageError, match="resnet18"):
        make_trunk("resnet")


# The loss


@st.composite
def labelled(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    n = draw(st.integers(1, 5))
    logits, targets = [], []
    for exclusive in draw(st.lists(st.booleans(), min_size=1, max_size=3)):
        size = draw(st.integers(1, 4))
        logits.append(draw(hn.arrays(np.float64, (n, size), elements=st.floats(-5, 5))))
        shape, top = ((n,), size - 1) if exclusive else ((n, size), 1)
        targets.append(
            draw(hn.arrays(np.int32 if exclusive else np.int8, shape, elements=st.integers(-1, top)))
        )
    return logits, targets, draw(st.sampled_from([0.0, 0.1]))


def naive_loss(logits: list, targets: list, smoothing: float) -> tuple[float, int]:
    """Label by label, as model specification 6 says it."""
    total, known = 0.0, 0
    for found, target in zip(logits, targets):
        for n in range(len(found)):
            if target.ndim == 1 and target[n] >= 0:
                logs = found[n] - math.log(sum(math.exp(v) for v in found[n]))
                total -= (1 - smoothing) * logs[target[n]] + smoothing * sum(logs) / len(logs)
                known += 1
            elif target.ndim == 2 and max(target[n]) >= 0:
                for value, label in zip(found[n], target[n]):
                    if label >= 0:
                        wanted = label * (1 - smoothing) + smoothing / 2
                        total += math.log1p(math.exp(value)) - wanted * value
                known += 1
    return total, known


@settings(deadline=None, max_examples=60)
@given(labelled(), st.integers(0, 2**31))
def test_masked_labels_change_neither_loss_nor_gradient(given_labels: tuple, seed: int) -> None:
    logits, targets, smoothing = given_labels

    def both(values: list[np.ndarray]) -> tuple[float, int, list[np.ndarray]]:
        leaves = [torch.tensor(value, requires_grad=True) for value in values]
        total, known = masked_loss(leaves, [torch.tensor(t) for t in targets], smoothing)
        total.backward()
        return float(total.detach()), known, [leaf.grad.numpy() for leaf in leaves]

    total, known, slopes = both(logits)
    wanted = naive_loss(logits, targets, smoothing)
    assert known == wanted[1]
    assert total == pytest.approx(wanted[0], rel=1e-4, abs=1e-4)
    # Whatever the network says where nothing is known: neither sum nor slope anywhere else moves.
    generator = np.random.default_rng(seed)
    hidden = [
        np.broadcast_to((t < 0)[:, None] if t.ndim == 1 else t < 0, v.shape) for v, t in zip(logits, targets)
    ]
    others = [np.where(mask, generator.normal(0, 9, v.shape), v) for v, mask in zip(logits, hidden)]
    again, _, moved = both(others)
    assert again == pytest.approx(total, rel=1e-6, abs=1e-6)
    for before, after, mask in zip(slopes, moved, hidden):
        assert np.array_equal(before[~mask], after[~mask])
        assert not before[mask].any() and not after[mask].any()


def test_gradient_of_the_loss_equals_central_differences() -> None:
    torch.manual_seed(0)
    vocabulary = Vocabulary(
        (AttributeGroup("a", ("x", "y", "z"), True), AttributeGroup("b", ("p", "q"), False))
    )
    network = AttributeNetwork(make_trunk("small"), vocabulary, 5).double().eval()
    images = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    targets = [torch.tensor([0, -1, 2]), torch.tensor([[1, 0], [-1, -1], [0, -1]])]

    def loss() -> torch.Tensor:
        # masked_loss computes in float32, whose rounding would drown the differences
        total, known = torch.zeros((), dtype=torch.float64), 0
        logits = network(images)
        total = total - torch.log_softmax(logits[0], 1)[[0, 2], [0, 2]].sum()
        signs = torch.tensor([[1.0, -1.0], [0.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        total = total + (torch.nn.functional.softplus(-signs * logits[1]) * (signs != 0)).sum()
        known += 2 + 2
        assert torch.allclose(total.float(), masked_loss(logits, targets)[0], rtol=1e-5)
        return total / known

    loss().backward()
    generator = np.random.default_rng(1)
    checked = 0
    for value in network.parameters():
        flat, slope = value.data.view(-1), value.grad.view(-1)
        for place in generator.integers(0, len(flat), 2):
            before, step = flat[place].item(), 1e-6
            ends = []
            for moved in (before + step, before - step):
                flat[place] = moved
                ends.append(float(loss().detach()))
            flat[place] = before
            assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(slope[place]), rel=1e-3, abs=1e-6)
            checked += 1
    assert checked > 30


# Calibration


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(exclusive: bool, truth: float) -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, (20_000, 3))
    if exclusive:
        chances = np.exp(logits / truth)
        chances /= chances.sum(axis=1, keepdims=True)
        targets = (generator.random((len(logits), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    else:
        targets = (generator.random(logits.shape) < 1 / (1 + np.exp(-logits / truth))).astype(int)
    assert fit_temperature(logits, targets, exclusive) == pytest.approx(truth, rel=0.05)
    hidden = np.where(generator.random(targets.shape) < 0.3, -1, targets)
    found = fit_temperature(logits, hidden, exclusive)
    assert found == pytest.approx(truth, rel=0.08)
    assert log_loss(logits, hidden, exclusive, found) <= log_loss(logits, hidden, exclusive) + 1e-9


def test_few_labels_without_an_error_claim_no_certainty() -> None:
    logits, targets = np.array([[4.0, 0.0], [0.0, 3.0]] * 5), np.array([0, 1] * 5)
    temperature = fit_temperature(logits, targets, True)
    assert 0.2 < temperature < 3
    assert fit_temperature(logits[:, :1], targets * 0, True) == 1.0
    assert fit_temperature(logits, targets * 0 - 1, True) == 1.0
    assert math.isnan(log_loss(logits, targets * 0 - 1, True))


# Batches


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_every_value_is_represented_in_every_epoch(exponent: float) -> None:
    generator = np.random.default_rng(0)
    target = np.where(generator.random(500) < 0.98, 0, generator.integers(1, 6, 500))
    target[:5] = [1, 2, 3, 4, 5]
    target[7] = -1
    having = holders([target], [6])
    for epoch in range(5):
        order = epoch_order(having, 500, exponent, np.random.default_rng(epoch))
        assert set(target[order].tolist()) >= {0, 1, 2, 3, 4, 5}
        assert 500 <= len(order) <= 505
        if exponent == 0:
            assert np.array_equal(np.sort(order), np.arange(500))
    counts = np.bincount(target[order] + 1, minlength=7)[1:]
    if exponent == 1:
        assert counts.max() < 3 * counts.min()  # about equally often


def test_weights_of_balanced_sampling() -> None:
    having = [np.array([0, 1, 2]), np.array([3]), np.array([], dtype=int)]
    assert balanced_weights(having, 5, 0.0) == pytest.approx(np.ones(5))
    weights = balanced_weights(having, 5, 1.0)
    assert weights.mean() == pytest.approx(1)
    assert weights[3] == pytest.approx(3 * weights[0])
    assert weights[4] == pytest.approx(weights[0])  # nothing known: like the most frequent


def test_changed_pictures() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 7, 3), dtype=np.uint8)
    same = augment(pixels, np.random.default_rng(1), flip=False)
    assert np.array_equal(same, pixels)
    flipped = augment(pixels, np.random.default_rng(1), flip=True)
    whole = [np.array_equal(a, b) or np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, pixels)]
    assert all(whole) and not np.array_equal(flipped, pixels)
    moved = augment(pixels, np.random.default_rng(1), flip=False, shift=0.2, zoom=0.2)
    assert not np.array_equal(moved, pixels)
    for k in range(8):  # colours are labels: no new ones come in
        known = {tuple(c) for c in pixels[k].reshape(-1, 3).tolist()}
        assert {tuple(c) for c in moved[k].reshape(-1, 3).tolist()} <= known
    assert not np.array_equal(augment(pixels, np.random.default_rng(1), flip=False, jitter=0.1), pixels)


# Initial weights


def state_of(name: str) -> OrderedDict:
    """A state dict with the trunk's layers and a classifier behind them."""
    torch.manual_seed(7)
    state = make_trunk(name).state_dict()
    for key, value in state.items():
        if key.endswith("running_mean"):
            state[key] = torch.randn_like(value) * 0.1
        elif key.endswith("running_var"):
            state[key] = torch.rand_like(value) + 0.5
    return OrderedDict({**state, "classifier.1.weight": torch.zeros(3, 3)})


@pytest.mark.parametrize("name", TRUNKS)
def test_a_state_dict_fills_a_trunk(name: str, tmp_path: Path) -> None:
    state = state_of(name)
    torch.save(state, tmp_path / "state.pt")
    trunk = make_trunk(name)
    assert initialise(trunk, tmp_path / "state.pt") == []
    for key, value in trunk.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(value, state[key])


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("name", TRUNKS)
def test_an_onnx_file_fills_a_trunk(name: str, folded: bool, tmp_path: Path) -> None:
    source = make_trunk(name)
    state = state_of(name)
    state.pop("classifier.1.weight")
    source.load_state_dict(state)
    side = max(48, source.smallest)
    images = torch.rand(1, 3, side, side)
    folding = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(
            source.eval(), (images,), tmp_path / "net.onnx", dynamo=False, training=folding,
            do_constant_folding=folded, opset_version=18,
        )  # fmt: skip
    kinds = {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    trunk = make_trunk(name).eval()
    assert initialise(trunk, tmp_path / "net.onnx") == []
    with torch.no_grad():
        for one, other in zip(trunk(images), source(images)):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)
    assert ("BatchNormalization" in kinds) == (not folded and name in ("small", "resnet18"))


def test_weights_of_another_trunk_are_refused(tmp_path: Path) -> None:
    torch.save(state_of("alexnet"), tmp_path / "state.pt")
    with pytest.raises(DataError, match=r"features\.0\.weight.*\(64, 3, 11, 11\).*\(64, 3, 3, 3\)"):
        initialise(make_trunk("squeezenet1_1"), tmp_path / "state.pt")
    with pytest.raises(DataError, match=r"no layer 'conv1.weight' of shape \(64, 3, 7, 7\)"):
        initialise(make_trunk("resnet18"), tmp_path / "state.pt")
    with pytest.raises(UsageError, match="no file"):
        initialise(make_trunk("small"), tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(DataError, match="no state dict"):
        initialise(make_trunk("small"), tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="a list"):
        initialise(make_trunk("small"), tmp_path / "list.pt")
    vocabulary = squares.VOCABULARY
    export_network(
        AttributeNetwork(make_trunk("small"), vocabulary, 4), vocabulary, PRE, [1, 1], {}, tmp_path / "s.onnx"
    )
    with pytest.raises(
        DataError, match=r"has shape \(24, 3, 3, 3\) instead of the \(64, 3, 3, 3\) of .*features\.0"
    ):
        initialise(make_trunk("squeezenet1_1"), tmp_path / "s.onnx")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_code_is_not_executed(tmp_path: Path) -> None:
    import pickle

    class Harmful:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "harmed",)

    (tmp_path / "state.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(DataError):
        initialise(make_trunk("small"), tmp_path / "state.pt")
    assert not (tmp_path / "harmed").exists()


def test_what_an_onnx_file_expects_must_be_known(tmp_path: Path) -> None:
    vocabulary = squares.VOCABULARY
    bgr = PRESETS["bgr-raw"].with_size((40, 32))
    ours = tmp_path / "ours.onnx"
    export_network(AttributeNetwork(make_trunk("small"), vocabulary, 4), vocabulary, bgr, [1, 1], {}, ours)
    assert starting_preprocessing(ours, None, None, "small") == bgr
    assert starting_preprocessing(ours, None, (24, 24), "small") == bgr.with_size((24, 24))
    model = onnx.load(ours)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(UsageError, match="preprocess="):
        starting_preprocessing(tmp_path / "bare.onnx", None, None, "small")
    assert starting_preprocessing(tmp_path / "bare.onnx", "bgr-raw", None, "small") == PRESETS["bgr-raw"]
    assert starting_preprocessing(None, None, None, "resnet18") == PRESETS["imagenet"]
    assert starting_preprocessing(None, None, None, "small").size == (64, 64)


@pytest.mark.real_data
@pytest.mark.parametrize("size", [(224, 224), (192, 128)])
def test_the_real_squeezenet_gives_the_same_activations(size: tuple[int, int]) -> None:
    from PIL import Image

    from ivbpr_numba.network.graph import cut, parse, with_free_sides

    path = REAL / "squeezenet1.1_fp32.onnx"
    trunk = make_trunk("squeezenet1_1").eval()
    assert initialise(trunk, path) == []
    prepared = PRESETS["bgr-raw"].with_size(size)
    picture = prepared.fit(Image.open(REAL / "fish.png").convert("RGB"))
    images = prepared.normalise(np.asarray(picture)[None])
    import onnxruntime

    names = [f"fire{k}/concat_1" for k in range(2, 10)]
    model = with_free_sides(cut(parse(path.read_bytes(), path), names, path), "data_0", (None, 3, *size))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        levels = trunk(torch.from_numpy(images))
    assert len(levels) == len(names)
    for found, wanted in zip(levels, session.run(names, {"data_0": images})):
        assert found.shape == wanted.shape
        assert np.abs(found.numpy() - wanted).max() <= 1e-5 * np.abs(wanted).max()


# Export


@pytest.mark.parametrize("name", TRUNKS)
def test_torch_and_onnxruntime_agree(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = make_trunk(name)
    trunk.load_state_dict({k: v for k, v in state_of(name).items() if not k.startswith("classifier")})
    side = max(48, trunk.smallest)
    prepared = PRESETS["imagenet"].with_size((side, side + 8))
    vocabulary = squares.VOCABULARY
    network = AttributeNetwork(trunk, vocabulary, 8, 0.5, input_factor=0.25).eval()
    with torch.no_grad():
        network.shift.normal_()
        network.spread.uniform_(0.5, 2)
    out = tmp_path / "net.onnx"
    facts = export_network(network, vocabulary, prepared, [0.5, 2.0], {"way": "test"}, out)
    assert facts["largest_difference"] <= 1e-4
    read = Network.read(out)
    assert (read.vocabulary, read.preprocessing, read.record["way"]) == (vocabulary, prepared, "test")
    assert read.input_shape == (None, 3, side, side + 8)
    pixels = np.random.default_rng(1).integers(0, 256, (7, side, side + 8, 3), dtype=np.uint8)
    images = prepared.normalise(pixels)
    probabilities, features = read.session(["probabilities", "features"], device="cpu", threads=1).run(images)
    # What was trained, with nothing folded.
    with torch.no_grad():
        pooled = network.features(torch.from_numpy(images))
        colour, marks = network.logits(pooled)
        wanted = torch.cat([torch.softmax(colour / 0.5, 1), torch.sigmoid(marks / 2.0)], 1).numpy()
    assert features.shape == (7, 2 * sum(trunk.channels)) and probabilities.shape == (7, 6)
    assert np.abs(probabilities - wanted).max() <= 1e-4
    assert np.abs(features - pooled.numpy()).max() <= 1e-4 * np.abs(features).max()
    assert np.allclose(probabilities[:, :4].sum(axis=1), 1, atol=1e-5)
    alone = read.session(["probabilities"], device="cpu", threads=1).run(images[3:4])[0]
    assert np.allclose(alone, probabilities[3:4], atol=1e-5)


def test_a_graph_that_differs_from_torch_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = squares.VOCABULARY
    network = AttributeNetwork(make_trunk("small"), vocabulary, 4).eval()
    plain = Deployed.forward

    def wrong(self: Deployed, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        probabilities, features = plain(self, images)
        return probabilities, features if torch.onnx.is_in_onnx_export() else features * 1.01

    monkeypatch.setattr(Deployed, "forward", wrong)
    with pytest.raises(DataError, match="differ by"):
        export_network(network, vocabulary, PRE, [1, 1], {}, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_small_network_is_small(tmp_path: Path) -> None:
    values = tuple(f"v{k}" for k in range(20))
    vocabulary = Vocabulary(tuple(AttributeGroup(f"g{k}", values, True) for k in range(5)))
    network = AttributeNetwork(make_trunk("small"), vocabulary, 64).eval()
    prepared = PRE.with_size((64, 64))
    export_network(network, vocabulary, prepared, [1] * 5, {}, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_size < 2e6


# Training


def test_drawn_squares_are_learned(tmp_path: Path) -> None:
    data = squares.training_set(500)
    events: list[dict] = []
    options = replace(QUICK, epochs=16, average=0.9)
    report = train_torch(data, PRE, tmp_path / "net.onnx", options, progress=events.append)
    assert {row["group"]: row["valid_accuracy"] > 0.9 for row in report["groups"]} == {
        "colour": True,
        "marks": True,
    }
    assert "starts from random ones" in report["notes"][0]
    pixels, colour, marks = squares.draw(200, seed=9)
    network = Network.read(tmp_path / "net.onnx")
    found = network.session(["probabilities"], device="cpu", threads=1).run(PRE.normalise(pixels))[0]
    assert np.mean(found[:, :4].argmax(axis=1) == colour) > 0.9
    assert np.mean((found[:, 4:] > 0.5) == (marks == 1)) > 0.9
    assert network.record["options"]["seed"] == 0 and network.record["best"]["epoch"] == report["best_epoch"]
    shown = [event for event in events if event.get("event") == "evaluation"]
    assert [event["epoch"] for event in shown] == list(range(1, len(shown) + 1))
    assert set(shown[0]["groups"]) == {"colour", "marks"}
    assert events[-1]["event"] == "end"
    assert not partial_path(tmp_path / "net.onnx").exists()


def test_a_trained_trunk_makes_branches_learn_first(tmp_path: Path) -> None:
    data = squares.training_set(300)
    train_torch(data, PRE, tmp_path / "first.onnx", replace(QUICK, epochs=4))
    options = replace(QUICK, head_epochs=3, epochs=1)
    events: list[dict] = []
    out = tmp_path / "second.onnx"
    train_torch(data, PRE, out, options, init=tmp_path / "first.onnx", progress=events.append)
    phases = [event["phase"] for event in events if event.get("event") == "evaluation"]
    assert phases == ["branches"] * 3 + ["all"]
    assert Network.read(out).record["init"]["name"] == "first.onnx"


def bits(path: Path) -> list[bytes]:
    """Weights of a network."""
    return [bytes(one.raw_data) for one in onnx.load(path).graph.initializer]


class _Stop(Exception):
    pass


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_training_that_goes_on_ends_at_the_same_bits(pretrained: bool, tmp_path: Path) -> None:
    data = squares.training_set(200)
    options = replace(QUICK, head_epochs=2, epochs=2, batch=48, dropout=0.3)
    init = None
    if pretrained:
        init = tmp_path / "state.pt"
        torch.save(state_of("small"), init)
    whole, parts = tmp_path / "whole.onnx", tmp_path / "parts.onnx"
    train_torch(data, PRE, whole, options, init=init)
    seen: list[str] = []
    for when in (2, 3, 7) if pretrained else (1, 3):  # steps of each part
        steps = [0]

        def stop(event: dict, when: int = when, steps: list[int] = steps) -> None:
            steps[0] += event.get("total") in (120, 200) and "done" in event
            if event.get("step", "").endswith(("of 2",)):
                seen.append(event["step"])
            if steps[0] == when and event.get("done"):
                os.kill(os.getpid(), signal.SIGTERM if when == 3 else signal.SIGINT)

        with pytest.raises(Interrupted) as stopped:
            train_torch(
                data,
                PRE,
                parts,
                options,
                init=init,
                resume=parts.with_name("parts.partial.pt").exists(),
                progress=stop,
            )
        assert stopped.value.exit_code == (143 if when == 3 else 130)
        assert partial_path(parts).exists() and not parts.exists()
    with pytest.raises(UsageError, match=r"resume=True.*overwrite=True"):
        train_torch(data, PRE, parts, options, init=init)
    train_torch(data, PRE, parts, options, init=init, resume=True)
    assert parts.read_bytes() == whole.read_bytes()
    assert len(bits(parts)) > 5 and seen
    again = tmp_path / "again.onnx"
    train_torch(data, PRE, again, options, init=init)
    assert again.read_bytes() == whole.read_bytes()
    train_torch(data, PRE, again, replace(options, seed=1), init=init)
    assert bits(again) != bits(whole)


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    data, out = squares.training_set(100, 20), tmp_path / "net.onnx"
    train_torch(data, PRE, out, QUICK, keep_checkpoint=True)
    partial = partial_path(out)
    for other, named in (
        ({"options": replace(QUICK, epochs=9)}, "options"),
        ({"data": squares.training_set(100, 20, seed=5)}, "images or labels"),
    ):
        chosen = {"data": data, "options": QUICK, **other}
        with pytest.raises(UsageError, match=f"different: {named}"):
            train_torch(chosen["data"], PRE, out, chosen["options"], resume=True)
    state = partial.read_bytes()
    partial.write_bytes(state[: len(state) // 2])
    with pytest.raises(DataError, match="no checkpoint"):
        train_torch(data, PRE, out, QUICK, resume=True)
    train_torch(data, PRE, out, QUICK, overwrite=True)
    report = train_torch(data, PRE, out, QUICK, resume=True)
    assert any("starts anew" in note for note in report["notes"])


def test_a_checkpoint_is_exported_again(tmp_path: Path) -> None:
    data, out = squares.training_set(100, 20), tmp_path / "net.onnx"
    report = train_torch(data, PRE, out, QUICK, keep_checkpoint=True)
    found = export_checkpoint(partial_path(out), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == out.read_bytes()
    assert found["epoch"] == report["best_epoch"]
    state = read_checkpoint(partial_path(out))
    assert torch.load(partial_path(out), weights_only=True)["format"] == state["format"]
    torch.save({**state, "best": {}}, tmp_path / "early.pt")
    with pytest.raises(DataError, match="no epoch"):
        export_checkpoint(tmp_path / "early.pt", tmp_path / "x.onnx")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(DataError, match="no checkpoint"):
        export_checkpoint(tmp_path / "other.pt", tmp_path / "x.onnx")


def test_a_vocabulary_with_one_value(tmp_path: Path) -> None:
    data = squares.training_set(80, 20)
    one = Vocabulary((AttributeGroup("thing", ("drawing",), True),))
    only = TrainingSet(one, data.pixels, (np.zeros(80, np.int32),), data.train, data.valid)
    report = train_torch(only, PRE, tmp_path / "net.onnx", replace(QUICK, epochs=1))
    assert report["groups"][0]["valid_accuracy"] == 1.0
    run_ = Network.read(tmp_path / "net.onnx").session(["probabilities"], device="cpu", threads=1).run
    assert np.array_equal(run_(PRE.normalise(data.pixels[:3]))[0], np.ones((3, 1), np.float32))


def test_a_group_without_labels_is_left_out(tmp_path: Path) -> None:
    data = squares.training_set(80, 20)
    colour, marks = (target.copy() for target in data.targets)
    marks[data.train] = -1
    some = replace(data, targets=(colour, marks))
    report = train_torch(some, PRE, tmp_path / "net.onnx", replace(QUICK, epochs=1))
    assert [row["group"] for row in report["groups"]] == ["colour"]
    assert any("'marks'" in note for note in report["notes"])
    assert Network.read(tmp_path / "net.onnx").vocabulary == Vocabulary(squares.VOCABULARY.groups[:1])
    with pytest.raises(DataError, match="No training picture has a label"):
        only_trainable(replace(data, targets=(colour * 0 - 1, marks)))
    with pytest.raises(DataError, match="no picture to train on"):
        only_trainable(replace(data, train=data.train[:0]))


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    data = squares.training_set(80, 0)
    report = train_torch(data, PRE, tmp_path / "net.onnx", QUICK)
    assert report["best_epoch"] == QUICK.epochs == 2 and report["valid_accuracy"] is None
    assert report["groups"][0]["temperature"] == 1.0
    assert any("not calibrated" in note for note in report["notes"])


def test_two_thousand_tags(tmp_path: Path) -> None:
    data = squares.training_set(60, 20)
    generator = np.random.default_rng(0)
    tags = (generator.random((60, 2000)) < 0.01).astype(np.int8)
    tags[generator.random(tags.shape) < 0.2] = -1
    vocabulary = Vocabulary((AttributeGroup("tag", tuple(f"t{k}" for k in range(2000)), False),))
    many = TrainingSet(vocabulary, data.pixels, (tags,), data.train, data.valid)
    report = train_torch(many, PRE, tmp_path / "net.onnx", replace(QUICK, epochs=2, balance=0.5))
    assert report["groups"][0]["values"] == 2000
    found = Network.read(tmp_path / "net.onnx").session(["probabilities"], device="cpu", threads=1)
    values = found.run(PRE.normalise(data.pixels[:2]))[0]
    assert values.shape == (2, 2000) and (values >= 0).all() and (values <= 1).all()


def test_early_stopping(tmp_path: Path) -> None:
    data = squares.training_set(60, 20)
    noise = np.random.default_rng(0).integers(0, 4, 60).astype(np.int32)
    hopeless = replace(data, targets=(noise, data.targets[1] * 0 - 1))
    options = replace(QUICK, epochs=200, patience=2, scratch_rate=0.02)
    report = train_torch(hopeless, PRE, tmp_path / "net.onnx", options)
    assert report["epochs"] < 200
    assert report["epochs"] == report["best_epoch"] + 2


def test_a_loss_that_is_not_finite_is_reported(tmp_path: Path) -> None:
    data = squares.training_set(60, 20)
    with pytest.raises(UsageError, match=r"diverged.*learning_rate="):
        train_torch(data, PRE, tmp_path / "n.onnx", replace(QUICK, scratch_rate=1e30, precision="float32"))
    assert not (tmp_path / "n.onnx").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0}, {"dropout": 1.0}, {"epochs": 0, "head_epochs": 0}, {"threads": 0}, {"device": "tpu"},
        {"precision": "int8"}, {"balance": -1.0}, {"criterion": "beauty"}, {"trunk": "vgg"},
    ],
)  # fmt: skip
def test_options_without_sense(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        train_torch(squares.training_set(40, 10), PRE, tmp_path / "n.onnx", replace(QUICK, **wrong))


def test_what_is_not_given_depends_on_the_start() -> None:
    scratch, started = (TorchOptions(trunk="small").resolved(pretrained) for pretrained in (False, True))
    assert scratch.head_epochs == 0 < started.head_epochs
    assert scratch.epochs > started.epochs > 0 and scratch.hidden == 64
    assert TorchOptions(trunk="resnet18", epochs=2).resolved(True).epochs == 2


def test_pictures_must_fit_trunk_and_preprocessing(tmp_path: Path) -> None:
    data = squares.training_set(40, 10)
    with pytest.raises(UsageError, match="size="):
        train_torch(data, PRE, tmp_path / "n.onnx", replace(QUICK, trunk="alexnet"))
    with pytest.raises(UsageError, match="32 × 32"):
        train_torch(data, PRE.with_size((64, 64)), tmp_path / "n.onnx", QUICK)


def test_devices_and_precisions() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(EnvironmentProblem, match="device='cuda'") as problem:
            choose_device("cuda")
        assert problem.value.exit_code == 4
        assert choose_device("auto").type == "cpu"
    cpu = choose_device("cpu")
    assert choose_precision("auto", cpu) in ("float32", "bfloat16")
    assert choose_precision("float32", cpu) == "float32"
    with pytest.raises(UsageError):
        choose_precision("float16", cpu)


def test_accuracy_of_known_labels() -> None:
    logits = [np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]]), np.array([[1.0], [-1.0], [1.0]])]
    assert judge(logits, [np.array([0, 0, -1]), np.array([[1], [1], [-1]])]) == [0.5, 0.5]
    assert math.isnan(judge(logits[:1], [np.array([-1, -1, -1])])[0])


# Commands


def test_the_command_trains_stops_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = squares.write(tmp_path / "photos", 60)
    (tmp_path / "photos" / "p003.png").write_bytes(b"no picture")
    out, log = tmp_path / "net.onnx", tmp_path / "run.jsonl"
    command = [
        *("network", "train", "--images", str(tmp_path / "photos"), "--labels", str(table), "--id", "item"),
        *("--groups", "colour", "--tags", "marks", "-o", str(out), "--trunk", "small", "--size", "32x32"),
        *("--min-images", "3", "--epochs", "2", "--hidden", "8", "--threads", "1", "--valid-share", "0.3"),
        *("--log", str(log), "--format", "json", "--keep-checkpoint", "--device", "cpu"),
    ]
    assert run(command) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["schema"] == "ivbpr.network-train/1"
    assert set(found["groups"]) == {"colour", "marks"}
    assert [row["item"] for row in found["bad_images"]] == ["p003"]
    assert sum(found["images"].values()) == 60
    assert "starts from random ones" in captured.err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    kinds = [line["event"] for line in lines]
    assert kinds.count("evaluation") == 2 and kinds[-1] == "end" and "configuration" in kinds
    assert run(command) == 2
    assert "--resume" in capsys.readouterr().err
    again = ["network", "export", str(partial_path(out)), "-o", str(tmp_path / "again.onnx")]
    assert run(again) == 0
    assert bits(tmp_path / "again.onnx") == bits(out)
    if not torch.cuda.is_available():
        assert run([*command[:-1], "cuda", "--overwrite"]) == 4
    assert run([*command, "--overwrite", "--size", "32"]) == 2


def test_without_torch_the_command_says_what_to_install(tmp_path: Path) -> None:
    table = squares.write(tmp_path / "photos", 4)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from ivbpr_cli.app import run\n"
        f"sys.exit(run(['network', 'train', '--images', {str(tmp_path / 'photos')!r}, '--labels', {str(table)!r}, "
        f"'--id', 'item', '--groups', 'colour', '-o', {str(tmp_path / 'net.onnx')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert 'pip install "ivbpr[train]"' in done.stderr
