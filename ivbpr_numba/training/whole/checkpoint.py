"""``OUT.partial.pt``: the state of an unfinished training, and the best network in it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ivbpr_numba.errors import DataError, UsageError, parameter
from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.store.atomic import Lock, PathLike, os_problem, write_bytes
from ivbpr_numba.training.whole.torch_network import AttributeNetwork
from ivbpr_numba.training.whole.trunks import make_trunk
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["check_identity", "partial_path", "read_checkpoint", "restore_best", "write_checkpoint"]

KIND = "ivbpr-network-checkpoint/"
FORMAT = KIND + "2"
KEYS = ("identity", "about", "network", "average", "optimiser", "scaler", "best", "place", "history")


def partial_path(out: PathLike) -> Path:
    """Where the unfinished training of `out` keeps its state: ``net.onnx`` → ``net.partial.pt``."""
    target = Path(out)
    return target.with_name(f"{target.stem}.partial.pt")


def write_checkpoint(path: PathLike, state: Mapping[str, Any], keep_lock: Lock | None = None) -> None:
    """Write a state atomically; it holds tensors, numbers, texts and what they are kept in."""
    stream = io.BytesIO()
    torch.save({"format": FORMAT, **state}, stream)
    write_bytes(path, stream.getvalue(), keep_lock)


def read_checkpoint(path: PathLike) -> dict[str, Any]:
    """Read a state; nothing in the file is executed.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        It is damaged, or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as problem:
        raise os_problem(problem, path, "read") from problem
    except Exception as problem:  # torch raises many kinds for a damaged file
        raise DataError(
            f"'{path}' is no checkpoint of a training ({type(problem).__name__}).",
            f"Start anew with {parameter('overwrite', True)}.",
        ) from problem
    found = state.get("format") if isinstance(state, dict) else None
    if isinstance(found, str) and found.startswith(KIND) and found != FORMAT:
        raise DataError(
            f"'{path}' is the checkpoint of another version of this program ({found}).",
            f"Finish it there, or start anew with {parameter('overwrite', True)}.",
        )
    if found != FORMAT or not {*KEYS} <= {*state}:
        raise DataError(f"'{path}' is no checkpoint of this program's training.", "Name OUT.partial.pt.")
    return state


def check_identity(
    state: Mapping[str, Any],
    identity: Mapping[str, Any],
    path: PathLike,
    only: Iterable[str] | None = None,
) -> None:
    """Raise UsageError naming what differs between a state and the training that would go on from it.

    `only` names what is compared where not everything is known yet.
    """
    there, here = json.loads(state["identity"]), json.loads(json.dumps(identity))
    names = {*there, *here} if only is None else {*only}
    different = sorted(name for name in names if there.get(name) != here.get(name))
    if different:
        listed = ", ".join(name.replace("_", " ") for name in different)
        raise UsageError(
            f"'{path}' belongs to another training; different: {listed}.",
            f"Repeat the first command with {parameter('resume', True)}, or start anew with "
            f"{parameter('overwrite', True)}.",
        )


def restore_best(
    state: Mapping[str, Any], path: PathLike
) -> tuple[AttributeNetwork, Vocabulary, Preprocessing, list[float], dict[str, Any]]:
    """Network of the best epoch so far, vocabulary, preprocessing, temperatures and training record.

    Raises
    ------
    DataError
        No epoch was finished, or the parts do not fit together.
    """
    if not state["best"]:
        raise DataError(f"'{path}': no epoch was finished yet.", f"Go on with {parameter('resume', True)}.")
    try:
        about = json.loads(state["about"])
        vocabulary = Vocabulary.from_json(json.dumps(about["vocabulary"]), str(path))
        preprocessing = Preprocessing.from_json(json.dumps(about["preprocessing"]), str(path))
        trunk = make_trunk(about["trunk"])
        network = AttributeNetwork(trunk, vocabulary, about["hidden"], 0.0, about["input_factor"])
        network.load_state_dict(state["best"]["network"])
        temperatures = [float(value) for value in state["best"]["temperatures"]]
        # Without times, so that the same training gives the same file.
        history = [{k: v for k, v in row.items() if k != "seconds"} for row in json.loads(state["history"])]
        record = {**about["record"], "best": state["best"]["figures"], "history": history}
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise DataError(
            f"The checkpoint '{path}' contradicts itself ({type(problem).__name__}).",
            f"Start anew with {parameter('overwrite', True)}.",
        ) from problem
    return network, vocabulary, preprocessing, temperatures, record
