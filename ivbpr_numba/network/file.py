"""A network in an ONNX file, run by onnxruntime; what really runs is asked of it and reported."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, EnvironmentProblem, UsageError, did_you_mean, parameter
from ivbpr_numba.network.cards import CUDA, cuda_options, cuda_problem, load_libraries, unstarted
from ivbpr_numba.network.format import KEYS, PROBABILITIES, VERSION
from ivbpr_numba.network.vocabulary import Vocabulary
from ivbpr_numba.network.weights import read_network
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.store.atomic import PathLike

__all__ = ["Network", "NetworkSession", "start_session"]

DEVICES = ("auto", "cpu", "cuda")
CPU = "CPUExecutionProvider"
# What a network may take: pixels as they are, or numbers in either precision.
INPUTS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


@dataclass(frozen=True)
class Network:
    """An ONNX file and what it says about itself.

    Attributes
    ----------
    path : str
    sha256 : str
        Of the file, and of those that hold its weights; see `weights.NetworkBytes`.
    vocabulary : Vocabulary or None
        Names of the output ``probabilities``; None in a file that isn't ours.
    preprocessing : Preprocessing or None
    record : dict
        How it was trained, as the training wrote it; empty in a file that isn't ours.
    input : str
        Name of its one input.
    input_shape : tuple
        Numbers, or None where any number fits.
    outputs : tuple of str
        Declared outputs.
    input_dtype : str
        ``float32``, ``float16`` or, for pixels as they are, ``uint8``.
    """

    path: str
    sha256: str
    vocabulary: Vocabulary | None
    preprocessing: Preprocessing | None
    record: dict[str, Any] = field(repr=False)
    input: str
    input_shape: tuple[int | None, ...]
    outputs: tuple[str, ...]
    input_dtype: str = "float32"

    @classmethod
    def read(cls, path: PathLike) -> Network:
        """Read and check an ONNX file.

        Raises
        ------
        UsageError
            The file does not exist.
        DataError
            onnxruntime can't load it, it hasn't exactly one input of images, its description is broken, or
            its weights are in a file that is not beside it.
        """
        found = read_network(path)
        session = _load(found.content, path, [CPU], None)
        inputs = session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(f"'{one.name}'" for one in inputs)
            raise DataError(
                f"'{path}' has {len(inputs)} inputs ({names}).", "A network of images has exactly one."
            )
        shape = tuple(side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape)
        dtype = INPUTS.get(inputs[0].type)
        if len(shape) != 4 or dtype is None:
            raise DataError(
                f"'{path}': the input '{inputs[0].name}' is {inputs[0].type} {inputs[0].shape}.",
                "Images are uint8, float16 or float32 batches of four dimensions; export it so.",
            )
        described = dict(session.get_modelmeta().custom_metadata_map)
        version = described.get(KEYS["format"])
        if version is not None and version.partition(".")[0] != VERSION.partition(".")[0]:
            raise DataError(f"'{path}' has format {version}; this program knows {VERSION}.", "Update ivbpr.")
        vocabulary = described.get(KEYS["vocabulary"])
        preprocessing = described.get(KEYS["preprocessing"])
        try:
            record = json.loads(described.get(KEYS["record"], "{}"))
        except ValueError:
            raise DataError(f"'{path}': its training record is no JSON.", "Export it again.") from None
        return cls(
            os.fspath(path),
            found.sha256,
            None if vocabulary is None else Vocabulary.from_json(vocabulary, os.fspath(path)),
            None if preprocessing is None else Preprocessing.from_json(preprocessing, os.fspath(path)),
            record if isinstance(record, dict) else {},
            inputs[0].name,
            shape,
            tuple(one.name for one in session.get_outputs()),
            dtype,
        )

    def prepared_by(self, given: Preprocessing | None) -> Preprocessing:
        """The preprocessing to use: `given`, or the network's own.

        Raises
        ------
        UsageError
            There is neither, or it doesn't make what the network takes: another size or layout, or numbers
            where it takes pixels as they are.
        """
        found = given or self.preprocessing
        if found is None:
            raise UsageError(
                f"'{self.path}' doesn't say how photos become its input.",
                f"Describe it with {self._way_out()}",
            )
        sides = self.input_shape[2:] if found.layout == "NCHW" else self.input_shape[1:3]
        channels = self.input_shape[1] if found.layout == "NCHW" else self.input_shape[3]
        if channels not in (3, None):
            raise UsageError(
                f"'{self.path}' takes {self.input_shape}, which is not {found.layout}.",
                f'Write "layout": "{_other(found.layout)}" into the description, '
                f"{parameter('preprocess', 'FILE.json')}.",
            )
        if any(wanted not in (side, None) for side, wanted in zip(found.size, sides)):
            raise UsageError(
                f"'{self.path}' takes images of {sides[0]} × {sides[1]}, the preprocessing makes "
                f"{found.size[0]} × {found.size[1]}.",
                "Change the size.",
            )
        if self.input_dtype == "uint8" and not found.keeps_pixels:
            raise UsageError(
                f"'{self.path}' takes pixels as they are, 0 to 255 (uint8); the preprocessing makes other "
                "numbers of them.",
                f"Leave scale, mean and std out of the description ({parameter('preprocess', 'FILE.json')}): "
                "they are 1, 0 and 1 then.",
            )
        return found

    def _way_out(self) -> str:
        """What a network without description may need."""
        nhwc = self.input_shape[3] == 3 and self.input_shape[1] != 3
        if self.input_dtype == "uint8":
            height, width = (side or 224 for side in self.input_shape[slice(1, 3) if nhwc else slice(2, 4)])
            layout = "NHWC" if nhwc else "NCHW"
            return (
                f"{parameter('preprocess', 'FILE.json')}, a file that holds "
                f'{{"size": [{height}, {width}], "layout": "{layout}"}}: '
                "it takes pixels as they are (uint8)."
            )
        more = '"layout": "NHWC", ' if nhwc else "layout, "
        presets = "" if nhwc else ", or name a preset: imagenet or bgr-raw"
        return (
            f"{parameter('preprocess', 'FILE.json')} (size, crop, {more}channels, scale, mean, std){presets}."
        )

    def output_named(self, name: str | None) -> str:
        """The output to take: `name`, else ``probabilities``, else the first."""
        if name is not None:
            return name
        return PROBABILITIES if PROBABILITIES in self.outputs else self.outputs[0]

    def session(
        self, outputs: Sequence[str] | None = None, device: str = "auto", threads: int | None = None
    ) -> NetworkSession:
        """Start the network.

        Parameters
        ----------
        outputs : sequence of str, optional
            Declared outputs, or any inner values, for which the extra ``onnx`` must be installed; by default
            all declared outputs.
        device : str
            ``auto`` takes a CUDA card where one works; ``cpu``; ``cuda``.
        threads : int, optional
            Of the CPU; all by default.

        Raises
        ------
        UsageError
            An unknown output or device.
        EnvironmentProblem
            ``cuda`` was asked for and can't run.
        DataError
            The file changed since it was read.
        """
        names = list(self.outputs if outputs is None else outputs)
        content = self.content(names)
        return start_session(content, self.path, self.input, names, self.input_shape[0], device, threads)

    def content(self, outputs: Sequence[str] = ()) -> bytes:
        """The bytes of the file, all weights inside; cut to these outputs where some are inner values.

        Raises
        ------
        UsageError
            An unknown output.
        DataError
            The file changed since it was read.
        """
        found = read_network(self.path)
        if found.sha256 != self.sha256:
            raise DataError(f"'{self.path}' changed while it was in use.", "Run the command again.")
        if set(outputs) <= set(self.outputs):
            return found.content
        from ivbpr_numba.network.graph import cut, parse

        whole: bytes = cut(parse(found.content, self.path), list(outputs), self.path).SerializeToString()
        return whole


def start_session(
    content: bytes,
    where: PathLike,
    input: str,
    outputs: Sequence[str],
    batch: int | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> NetworkSession:
    """Start a network that is not, or not yet, a file.

    Parameters
    ----------
    content : bytes
        An ONNX model, all weights inside (see `weights.read_network`).
    where : path
        What to call it in messages.
    input : str
    outputs : sequence of str
    batch : int, optional
        The only number of images that it takes at once.
    device, threads
        See `Network.session`, as for the errors.
    """
    if device not in DEVICES:
        hint = did_you_mean(device, DEVICES) or "Use auto, cpu or cuda."
        raise UsageError(f"Unknown device '{device}'.", hint)
    if threads is not None and threads < 1:
        raise UsageError(
            f"{parameter('threads', threads)}: at least one is needed.", "Leave it out to use all."
        )
    reason = "asked for"
    providers: list[Any] = [CPU]
    if device != "cpu":
        problem = cuda_problem()
        if problem and device == "cuda":
            raise EnvironmentProblem(
                f"{parameter('device', 'cuda')}: {problem}.", f"Use {parameter('device', 'cpu')}."
            )
        reason = problem or "a card was found"
        if not problem:
            load_libraries()
            providers = [(CUDA, cuda_options()), CPU]
    session = _load(content, where, providers, threads)
    running = session.get_providers()[0]
    # onnxruntime falls back to the CPU without a word when a provider doesn't start.
    if len(providers) > 1 and running != CUDA:
        reason = unstarted()
        if device == "cuda":
            raise EnvironmentProblem(f"{parameter('device', 'cuda')}: {reason}.", 'pip install "ivbpr[gpu]".')
    kinds = {one.name: one.type for one in session.get_inputs()}
    dtype = INPUTS.get(kinds.get(input, ""), "float32")
    return NetworkSession(session, input, list(outputs), batch, running, reason, dtype)


class NetworkSession:
    """A started network.

    Attributes
    ----------
    provider : str
        The execution provider that really runs.
    why : str
        The reason for it.
    """

    def __init__(
        self,
        session: Any,
        input: str,
        outputs: list[str],
        batch: int | None,
        provider: str,
        why: str,
        dtype: str = "float32",
    ) -> None:
        self._session = session
        self._input = input
        self._outputs = outputs
        self._batch = batch
        self._dtype = dtype
        self.provider = provider
        self.why = why

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run a batch.

        Parameters
        ----------
        batch : ndarray of float32, shape (n, …)
            A network made for batches of another size gets it in pieces, the last one filled up; one that
            takes float16 or uint8 gets that.

        Returns
        -------
        list of ndarray, shape (n, …)
            One for each output; float32 where the network gives float16.

        Raises
        ------
        DataError
            onnxruntime fails on it, or the values don't fit into what the network takes.
        """
        batch = self._input_of(batch)
        if self._batch is None or len(batch) == self._batch:
            return self._run(batch)
        pieces = []
        for start in range(0, len(batch), self._batch):
            piece = batch[start : start + self._batch]
            short = self._batch - len(piece)
            filled = np.concatenate([piece, np.repeat(piece[:1], short, axis=0)]) if short else piece
            pieces.append([value[: len(piece)] for value in self._run(np.ascontiguousarray(filled))])
        return [np.concatenate(values) for values in zip(*pieces)]

    def _input_of(self, batch: np.ndarray) -> np.ndarray:
        """The batch in the network's own type; nothing is clipped or rounded silently."""
        if self._dtype == "float32":
            return batch
        with np.errstate(over="ignore", invalid="ignore"):
            own = batch.astype(self._dtype)
        if self._dtype == "float16" and not np.isfinite(own).all():
            raise DataError(
                f"The network takes float16, for which its input is too large: {np.abs(batch).max():g}.",
                "Check scale, mean and std of the preprocessing.",
            )
        if self._dtype == "uint8" and not (own == batch).all():
            raise DataError(
                f"The network takes pixels of 0 to 255 (uint8), and its input goes from {batch.min():g} to "
                f"{batch.max():g}, or between whole numbers.",
                "Leave scale, mean and std out of the preprocessing.",
            )
        return own

    def _run(self, batch: np.ndarray) -> list[np.ndarray]:
        try:
            found = self._session.run(self._outputs, {self._input: batch})
        except Exception as problem:  # onnxruntime's exceptions have no common base but this
            raise DataError(
                f"The network failed: {_first_line(problem)}.", "Check its input size and layout."
            ) from None
        for name, value in zip(self._outputs, found):
            if not isinstance(value, np.ndarray) or value.ndim < 1 or len(value) != len(batch):
                shape = getattr(value, "shape", "no array")
                raise DataError(
                    f"The output '{name}' is {shape} for {len(batch)} images.",
                    "Name one with a row an image.",
                )
        return [value.astype(np.float32) if value.dtype == np.float16 else value for value in found]


def _other(layout: str) -> str:
    return "NHWC" if layout == "NCHW" else "NCHW"


def _load(content: bytes, path: PathLike, providers: list[Any], threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised; the rest is noise on stderr
    # Threads that spin while they wait take the cores from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as problem:  # onnxruntime's exceptions have no common base but this
        raise DataError(
            f"'{path}' is no network that onnxruntime can load: {_first_line(problem)}.",
            "Name an ONNX file.",
        ) from None


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return lines[0][:300].rstrip(". ")
