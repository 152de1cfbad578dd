"""What `gpu.py` runs as a user would: photos through a network, fits over ten seeds, the paper's size."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper_scale import ITEMS
from ivbpr_numba import Dataset, Features, auc, create
from ivbpr_numba.errors import EnvironmentProblem
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.shipped import shipped_network
from ivbpr_numba.questions.auc import dataset_of
from ivbpr_numba.worlds.world import generate

BAND = 0.002  # how far an AUC may be from that of the CPU's fit
NEAR = 1e-3  # of the largest output of a network
GOAL_SECONDS = 120.0  # of I-VBPR at the paper's size: the fit, and the AUC of all users
DRAWN = 32  # different photos
MODELS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "bpr-mf": (None, {"lambda_theta": 0.1}),
    "vbpr": ("dense", {"lambda_theta": 0.1}),
    "i-vbpr": ("attributes", {"lambda_theta": 0.1}),
    "i-tvbpr": ("attributes", {"lambda_theta": 0.1, "epochs": 2}),
}


# --- photos through a network


def photos(folder: Path, count: int, side: int) -> Path:
    """A folder of JPEG files, soft patches of colour; DRAWN of them differ."""
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir()
    for k in range(count):
        path = folder / f"{k:06}.jpg"
        if k < DRAWN:
            patches = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))
            patches.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
        else:
            path.write_bytes((folder / f"{k % DRAWN:06}.jpg").read_bytes())
    return folder


def drawn_network(path: Path, side: int, widths: tuple[int, ...]) -> Path:
    """A network of two convolutions for each width, the first of which halves the picture; drawn weights."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights, last, channels = [], [], "images", 3
    for stage, width in enumerate(widths):
        for stride in (2, 1):
            name = f"{stage}_{stride}"
            values = rng.normal(0, (2 / (9 * channels)) ** 0.5, (width, channels, 3, 3)).astype(np.float32)
            weights.append(numpy_helper.from_array(values, f"w{name}"))
            convolved = {"pads": [1, 1, 1, 1], "strides": [stride, stride]}
            nodes.append(helper.make_node("Conv", [last, f"w{name}"], [f"c{name}"], **convolved))
            nodes.append(helper.make_node("Relu", [f"c{name}"], [f"r{name}"]))
            last, channels = f"r{name}", width
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, side, side])
    made = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", channels])
    graph = helper.make_graph(nodes, "drawn", [given], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def extraction(tiny: bool, simulator: bool) -> Iterator[dict[str, Any]]:
    """Photos a second by onnxruntime's provider for CUDA beside the CPU's, and whether both see the same.

    The network of the package, and where the package onnx is there one as large as those people use.
    """
    missing = [name for name in ("onnxruntime", "PIL") if importlib.util.find_spec(name) is None]
    if missing:
        yield {"what": "extraction", "not_run": f"not installed: {', '.join(missing)}"}
        return
    count, side = (12, 24) if tiny else (2_048, 320)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = photos(folder / "images", count, side)
        yield extracted("the network of the package", images, shipped_network(), simulator)
        if importlib.util.find_spec("onnx") is None:
            yield {"what": "extraction, a drawn network", "not_run": "not installed: onnx"}
            return
        side, widths = (16, (4, 8)) if tiny else (224, (64, 128, 256, 512))
        network = drawn_network(folder / "drawn.onnx", side, widths)
        prepared = folder / "drawn.json"
        prepared.write_text(json.dumps({"size": side, "scale": 1 / 255, "mean": 0.5, "std": 0.25}))
        yield extracted("a drawn network", images, network, simulator, prepared)


def extracted(
    name: str, images: Path, network: Path, simulator: bool, preprocess: Path | None = None
) -> dict[str, Any]:
    """One network on both."""
    found: dict[str, Any] = {"what": f"extraction, {name}"}
    values = {}
    for device in ("cpu", "cuda"):
        if device == "cuda" and simulator:
            found[device] = {"not_run": "the simulator has no provider for CUDA"}
            continue
        out = images.parent / f"{network.stem}-{device}.h5"
        try:
            report = extract(images, network, out, device=device, preprocess=preprocess)
        except EnvironmentProblem as error:
            if device == "cpu":
                raise
            found[device] = {"not_run": str(error)}
            continue
        kept = ("images", "images_per_second", "network_images_per_second", "batch", "provider")
        found[device] = {key: report[key] for key in kept}
        features = Features.read(out)
        values[device] = features.values(features.rows_of_all(features.items))
    if len(values) == 2:
        scale = float(np.abs(values["cpu"]).max())
        found["difference"] = float(np.abs(values["cuda"] - values["cpu"]).max()) / scale
        found["held"] = found["difference"] <= NEAR
    return found


# --- fits over ten seeds


def band(tiny: bool) -> Iterator[dict[str, Any]]:
    """AUCs of fits on the device beside those of the CPU's, on a generated world."""
    sizes: dict[str, int] = {"users": 12, "items": 24, "max_purchases": 8} if tiny else {}
    world = generate("tiny" if tiny else "demo", 0, **sizes)
    matrix = world.attributes.dense()
    features = {
        "attributes": Features.from_arrays(
            world.items, matrix.astype(np.float16), world.attributes.names, kind="attributes"
        ),
        "dense": Features.from_arrays(world.items, (matrix + 0.25).astype(np.float16), kind="dense"),
    }
    iterations, seeds = (1, 1) if tiny else (30, 10)
    for name, (kind, options) in MODELS.items():
        given = {**options, "iterations": iterations, "eval_every": iterations}
        pairs = [
            both(name, given, seed, dataset_of(world), features.get(kind or "")) for seed in range(seeds)
        ]
        differences = [cuda - cpu for cpu, cuda in pairs]
        yield {
            "what": f"AUC of {name}, seeds 0 to {seeds - 1}",
            "cpu_auc": float(np.mean([cpu for cpu, _ in pairs])),
            "cuda_auc": float(np.mean([cuda for _, cuda in pairs])),
            "difference": max(differences, key=abs),
            "mean_difference": float(np.mean(differences)),
            "held": max(map(abs, differences)) <= BAND,
        }


def both(
    name: str, options: dict[str, Any], seed: int, data: Dataset, features: Features | None
) -> tuple[float, float]:
    """Test AUC of all users after a fit on the CPU, and on the device."""
    found = []
    for device in ("cpu", "cuda"):
        model = create(name, **options, seed=seed, device=device).fit(data, features)
        found.append(auc(model, device=device)["all"]["auc"])
    return found[0], found[1]


# --- the paper's size


def paper(tiny: bool, root: Path) -> dict[str, Any]:
    """I-VBPR at the paper's size on the device, by the command line: the fit, then the AUC of all users.

    The purchases are generated first, by the CPU; `paper_scale.py` tells what else is needed.
    """
    command = [sys.executable, str(root / "benchmarks" / "paper_scale.py")]
    options = ["--models", "i-vbpr", "--device", "cuda"]
    if tiny:
        options += ["--part", str(ITEMS // 140), "--iterations", "2"]
    paths = [str(root), str(root / "cli"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, folder, *options], env=environment, capture_output=True, text=True)
        if done.returncode:
            return {"failed": (done.stderr or done.stdout)[-500:]}
        stages = json.loads((Path(folder) / "stages.json").read_text())
    seconds = stages["fit i-vbpr"]["seconds"] + stages["auc i-vbpr"]["seconds"]
    return {"seconds": seconds, "goal_seconds": GOAL_SECONDS, "stages": stages}
