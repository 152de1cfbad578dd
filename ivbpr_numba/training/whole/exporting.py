"""A trained torch network as one ONNX file, checked against torch before anybody uses it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ivbpr_numba.network.format import FEATURES, PROBABILITIES
from ivbpr_numba.network.graph import check_outputs, onnx_package, parse, write_network
from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.store.atomic import Lock, PathLike, lock
from ivbpr_numba.training.whole.checkpoint import read_checkpoint, restore_best
from ivbpr_numba.training.whole.torch_network import AttributeNetwork, Deployed
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["OPSET", "export_checkpoint", "export_network"]

OPSET = 18
BATCHES = (1, 5)


def export_network(
    network: AttributeNetwork,
    vocabulary: Vocabulary,
    preprocessing: Preprocessing,
    temperatures: Sequence[float],
    record: Mapping[str, Any],
    out: PathLike,
    keep_lock: Lock | None = None,
) -> dict[str, Any]:
    """Write a network whose probabilities are calibrated; input ``images`` (batch, 3, H, W).

    Parameters
    ----------
    network : AttributeNetwork
        Stays as it is.
    vocabulary, preprocessing
        Written into the file.
    temperatures : sequence of float
        One a group, folded into the last layers.
    record : mapping
        How it was trained.
    out : path
    keep_lock : Lock, optional
        See `ivbpr_numba.store.atomic.replacing`.

    Returns
    -------
    dict
        ``parameters``, ``opset``, ``bytes``, ``largest_difference`` from torch.

    Raises
    ------
    DataError
        onnxruntime's results are further than 1e-4 from torch's (features: relative to the largest one).
    """
    deployed = Deployed(network, vocabulary, temperatures).eval()
    content = _graph(deployed, preprocessing)
    difference = _largest_difference(deployed, content, preprocessing, out)
    parameters = sum(value.numel() for value in deployed.parameters())
    facts = {"parameters": parameters, "opset": OPSET, "largest_difference": difference}
    write_network(parse(content, out), vocabulary, preprocessing, {**record, **facts}, out, keep_lock)
    return {**facts, "bytes": len(content)}


def export_checkpoint(checkpoint: PathLike, out: PathLike) -> dict[str, Any]:
    """Write the best network so far of a checkpoint; see `export_network`."""
    onnx_package()
    with lock(out) as held:
        network, vocabulary, preprocessing, temperatures, record = restore_best(
            read_checkpoint(checkpoint), checkpoint
        )
        facts = export_network(network, vocabulary, preprocessing, temperatures, record, out, keep_lock=held)
    return {"trunk": record["trunk"], **record["best"], **facts}


def _graph(deployed: Deployed, preprocessing: Preprocessing) -> bytes:
    stream: Any = io.BytesIO()  # torch's annotation of its own parameter leaves streams out
    names = [PROBABILITIES, FEATURES]
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by tracing gives a small graph with normalisations folded in, and needs no package
        # besides torch; torch says that it will be replaced one day.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deployed,
            (torch.zeros(2, 3, *preprocessing.size),),
            stream,
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ("images", *names)},
        )
    return stream.getvalue()


def _largest_difference(
    deployed: Deployed, content: bytes, preprocessing: Preprocessing, out: PathLike
) -> float:
    """How far onnxruntime is from torch on random images, once the file is known to be acceptable."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator, worst = np.random.default_rng(0), 0.0
    for size in BATCHES:
        pixels = generator.integers(0, 256, (size, *preprocessing.size, 3), dtype=np.uint8)
        images = preprocessing.normalise(pixels)
        with torch.no_grad():
            wanted = [value.numpy() for value in deployed(torch.from_numpy(images))]
        found = session.run([PROBABILITIES, FEATURES], {"images": images})
        worst = max(worst, check_outputs(found, wanted, "torch", out))
    return worst
