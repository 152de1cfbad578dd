"""Training of the whole attribute network: branches first, then all layers (paper, section 3.1).

Same seed, data, options, number of threads, machine type and versions: same bits, whether or not the training
was interrupted between two steps. Another number of threads or another machine sums in another order; on a
GPU some of torch's operations have no deterministic form, and nothing is promised there.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, Interrupted, UsageError
from ivbpr_numba.network.graph import onnx_package
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.signals import stop_signals
from ivbpr_numba.store.atomic import PathLike, lock, os_problem
from ivbpr_numba.training.calibration import fit_temperature, log_loss
from ivbpr_numba.training.training_set import TrainingSet, judge, only_trainable
from ivbpr_numba.training.whole.batches import augment, epoch_order, holders
from ivbpr_numba.training.whole.checkpoint import (
    check_identity,
    partial_path,
    read_checkpoint,
    restore_best,
    write_checkpoint,
)
from ivbpr_numba.training.whole.exporting import export_network
from ivbpr_numba.training.whole.initialising import initialise
from ivbpr_numba.training.whole.options import (
    PRECISIONS,
    TorchOptions,
    choose_device,
    choose_precision,
    quiet_settings,
)
from ivbpr_numba.training.whole.torch_network import AttributeNetwork, masked_loss
from ivbpr_numba.training.whole.trunks import make_trunk
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["train_torch"]

Event = dict[str, Any]
Observer = Callable[[Event], None]

JUDGED_AT_ONCE = 64
WARM_UP = 0.05  # share of a phase in which the rates rise
AHEAD = 10  # steps after which the average of weights reaches far back
LOOKED_AT = 256  # pictures that tell the scale of the input


def train_torch(
    data: TrainingSet,
    preprocessing: Preprocessing,
    out: PathLike,
    options: TorchOptions | None = None,
    *,
    init: PathLike | None = None,
    about: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    keep_checkpoint: bool = False,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Train, calibrate on the validation pictures, and export to ONNX.

    The loss is that of model specification 6: the sum of the cross-entropies of all known labels over their
    number. Without initial weights all layers learn from the start.

    Parameters
    ----------
    data : TrainingSet
    preprocessing : Preprocessing
        Its size is that of the pixels; it is written into the network. The layout is always NCHW.
    out : path
        The ONNX file; beside it ``OUT.partial.pt`` holds the state after every epoch until the end.
    options : TorchOptions, optional
    init : path, optional
        See `initialising.initialise`.
    about : dict, optional
        More for the training record, such as the split.
    resume, overwrite : bool
        Go on from ``OUT.partial.pt``, or throw it away.
    keep_checkpoint : bool
        Leave ``OUT.partial.pt`` there at the end.
    progress : callable, optional
        Called with ``{"step": …}``, ``{"done": pictures, "total": n}`` and
        ``{"event": "configuration" | "evaluation" | "warning" | "end", …}``.

    Returns
    -------
    dict
        ``groups`` (``group values train_labels valid_labels valid_accuracy valid_log_loss temperature``),
        ``best_phase``, ``best_epoch``, ``valid_accuracy``, ``valid_log_loss``, ``epochs``, ``seconds``,
        ``device``, ``precision``, ``notes`` and what `exporting.export_network` gives.

    Raises
    ------
    UsageError
        Options that make no sense, an unfinished training beside `out` and neither `resume` nor `overwrite`,
        a state of another training, or a loss that is no longer finite.
    DataError
        Nothing to train on, or initial weights of another trunk.
    EnvironmentProblem
        No GPU where one was asked for, no onnx, no space.
    Interrupted
        After SIGINT or SIGTERM, once the state is written.
    """
    options = (options or TorchOptions()).checked().resolved(init is not None)
    if options.head_epochs + (options.epochs or 0) == 0:
        raise UsageError("From scratch there is no epoch without --epochs.", "Give --epochs, or --init.")
    onnx_package()  # an hour of training must not end with the news that it is missing
    tell = progress or (lambda event: None)
    data, dropped = only_trainable(data)
    if data.pixels.shape[1:3] != preprocessing.size:
        raise UsageError(
            f"Pictures of {data.pixels.shape[1]} × {data.pixels.shape[2]} for a network of "
            f"{preprocessing.size[0]} × {preprocessing.size[1]}.",
            "Fit them with the same preprocessing.",
        )
    partial = partial_path(out)
    with lock(out) as held, stop_signals() as stopped, quiet_settings(options.threads):
        if partial.exists() and not (resume or overwrite):
            raise UsageError(
                f"'{partial}' holds an unfinished training.",
                "Go on with --resume, or throw it away with --overwrite.",
            )
        training = _Training(data, replace(preprocessing, layout="NCHW"), options, init, about or {}, tell)
        training.stopped = stopped
        training.write = lambda: write_checkpoint(partial, training.state(), keep_lock=held)
        for name in dropped:
            training.note(f"No training picture has a label of the group '{name}': it is left out.")
        if resume and partial.exists():
            training.load(partial)
        elif resume:
            training.note(f"There is no '{partial}' to go on from: the training starts anew.")
        tell({"event": "configuration", **training.record})
        training.run()
        network, vocabulary, _, temperatures, record = restore_best(training.state(), partial)
        tell({"step": "writing the network"})
        facts = export_network(
            network, vocabulary, training.preprocessing, temperatures, record, out, keep_lock=held
        )
        if not keep_checkpoint:
            try:
                partial.unlink(missing_ok=True)
            except OSError as problem:
                raise os_problem(problem, partial, "remove") from problem
    report = {**training.report(), **facts}
    tell({"event": "end", **report})
    return report


class _Training:
    """One training: network, optimiser, averages, the best so far, and where it stands."""

    def __init__(
        self,
        data: TrainingSet,
        preprocessing: Preprocessing,
        options: TorchOptions,
        init: PathLike | None,
        about: dict[str, Any],
        tell: Observer,
    ) -> None:
        self.data, self.preprocessing, self.options, self.tell = data, preprocessing, options, tell
        self.channels_last = replace(preprocessing, layout="NHWC")
        assert options.hidden is not None and options.epochs is not None  # they are resolved
        self.notes: list[str] = []
        self.stopped: Callable[[], int] = lambda: 0
        self.write: Callable[[], None] = lambda: None
        self.device = choose_device(options.device)
        self.precision = choose_precision(options.precision, self.device)
        self.sizes = [len(group.values) for group in data.vocabulary.groups]
        self.having = holders([target[data.train] for target in data.targets], self.sizes)
        torch.manual_seed(_seed(options.seed, "start"))
        trunk = make_trunk(options.trunk)
        if min(preprocessing.size) < trunk.smallest:
            raise UsageError(
                f"The trunk {options.trunk} needs images of at least {trunk.smallest} pixels a side, not "
                f"{preprocessing.size[0]} × {preprocessing.size[1]}.",
                "Give a larger --size.",
            )
        self.pretrained = init is not None
        if init is not None:
            for note in initialise(trunk, init):
                self.note(note)
        else:
            self.note("No --init: the network starts from random weights and needs many more pictures.")
        if not len(data.valid):
            self.note(
                "No validation pictures: all epochs are done, and the probabilities are not calibrated."
            )
        factor = self._input_factor()
        network: Any = AttributeNetwork(trunk, data.vocabulary, options.hidden, options.dropout, factor)
        self.network: AttributeNetwork = network.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.phases = [("branches", options.head_epochs), ("all", options.epochs)]
        self.optimiser: Any = None
        self.found_optimiser: dict[str, Any] = {}  # of a state that was read, until its phase goes on
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "float16")
        self.best: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        # Where the training stands: `step` steps of `epoch` (counted from 0) of `phase` are done.
        self.place: dict[str, Any] = {
            "phase": 0,
            "epoch": 0,
            "step": 0,
            "loss": 0.0,
            "known": 0,
            "steps": 0,
            "seconds": 0.0,
        }
        self.cached: torch.Tensor | None = None
        self.record = {
            "way": "torch",
            "trunk": options.trunk,
            "init": None if init is None else {"name": Path(init).name, "sha256": _file_digest(init)},
            "options": asdict(options),
            "images": {"train": len(data.train), "valid": len(data.valid)},
            "device": str(self.device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            **about,
        }
        self.identity = {
            "options": options.identity(),
            "initial weights": self.record["init"] and self.record["init"]["sha256"],
            "images or labels": data.digest(),
            "preprocessing": preprocessing.to_json(),
            "precision": self.precision,
        }

    # What happens

    def run(self) -> None:
        """All that is left of all phases; the state is written after every epoch and before stopping."""
        while self.place["phase"] < len(self.phases):
            name, epochs = self.phases[self.place["phase"]]
            if self.place["epoch"] < epochs and not self._exhausted():
                if self.optimiser is None:
                    self._begin(name)
                self._epoch(name, epochs)
            else:
                self.place |= {"phase": self.place["phase"] + 1, "epoch": 0, "steps": 0}
                self.optimiser, self.cached, self.found_optimiser = None, None, {}
                self.network.load_state_dict(self.average.state_dict())

    def _begin(self, name: str) -> None:
        """Prepare a phase, at its start or on the way."""
        fresh = self.place["epoch"] == self.place["step"] == 0
        if name == "branches":
            self._cache(fresh)
        options = self.options
        trunk, branches = list(self.network.trunk.parameters()), list(self.network.branches.parameters())
        if not self.pretrained:
            rates = [(trunk, options.scratch_rate), (branches, options.scratch_rate)]
        elif name == "branches":
            rates = [(branches, options.learning_rate)]
        else:
            rates = [(trunk, options.trunk_rate), (branches, options.learning_rate * options.again)]
        groups = []
        for parameters, rate in rates:
            for thick in (True, False):  # biases and normalisations do not decay
                groups.append(
                    {
                        "params": [value for value in parameters if (value.dim() > 1) == thick],
                        "lr": rate,
                        "largest": rate,
                        "weight_decay": options.weight_decay if thick else 0.0,
                    }
                )
        self.optimiser = torch.optim.AdamW([group for group in groups if group["params"]])
        if self.found_optimiser:
            self.optimiser.load_state_dict(self.found_optimiser)
            self.found_optimiser = {}

    def _epoch(self, name: str, epochs: int) -> None:
        place, options = self.place, self.options
        begun = time.perf_counter()
        generator = np.random.default_rng([_seed(options.seed, "order"), place["phase"], place["epoch"]])
        order = epoch_order(self.having, len(self.data.train), options.balance, generator)
        steps = -(-len(order) // options.batch)
        label = f"{name}, epoch {place['epoch'] + 1} of {epochs}"
        self.tell({"step": label})
        self.network.train()
        if self.pretrained:  # statistics of normalisations stay those of the initial weights
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        while place["step"] < steps:
            at = place["step"]
            rows = self.data.train[order[at * options.batch : (at + 1) * options.batch]]
            self._rate((place["epoch"] + at / steps) / epochs, epochs * steps)
            self._step(name, rows)
            place["step"] += 1
            self.tell({"done": min(len(order), (at + 1) * options.batch), "total": len(order)})
            if self.stopped():
                place["seconds"] += time.perf_counter() - begun
                self.write()
                self._stop(f"phase '{name}', epoch {place['epoch'] + 1} of {epochs}")
        self._judge(name, epochs)
        place["seconds"] += time.perf_counter() - begun
        self.history[-1]["seconds"] = round(place["seconds"], 3)
        place |= {"epoch": place["epoch"] + 1, "step": 0, "loss": 0.0, "known": 0}
        self.tell({"event": "evaluation", **self.history[-1]})
        self.write()
        if self.stopped():
            self._stop(f"phase '{name}', after epoch {place['epoch']} of {epochs}")

    def _stop(self, where: str) -> None:
        raise Interrupted(
            f"Interrupted in {where}.", "The state is kept; --resume goes on from there.", self.stopped()
        )

    def _rate(self, done: float, steps: int) -> None:
        """Rates at a point of a phase: a short rise, then a cosine."""
        rising = max(WARM_UP, 1 / steps)
        factor = min(1.0, (done + 1 / steps) / rising) * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimiser.param_groups:
            group["lr"] = group["largest"] * factor

    def _step(self, name: str, rows: np.ndarray) -> None:
        place, options = self.place, self.options
        numbers = [place["phase"], place["epoch"], place["step"]]
        torch.manual_seed(_seed(options.seed, "dropout", *numbers))
        targets = self._targets(rows)
        with self._autocast():
            if self.cached is not None:
                places = np.searchsorted(self.data.train, rows)
                logits = self.network.logits(self.cached[torch.from_numpy(places)].to(self.device))
            else:
                generator = np.random.default_rng([_seed(options.seed, "change"), *numbers])
                pixels = augment(
                    self.data.pixels[rows],
                    generator,
                    options.flip,
                    options.shift,
                    options.zoom,
                    options.jitter,
                )
                logits = self.network(self._images(pixels))
        total, known = masked_loss(logits, targets, options.smoothing)
        place["steps"] += 1
        if known:
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(total / known).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            place["loss"] += float(total.detach())
            place["known"] += known
            if not math.isfinite(place["loss"]):
                raise UsageError(
                    f"The training diverged in phase '{name}', epoch {place['epoch'] + 1}: the loss is no "
                    "longer finite.",
                    "Lower --learning-rate.",
                )
        self._follow(name)

    @torch.no_grad()
    def _follow(self, name: str) -> None:
        """Move the average of the weights towards the weights."""
        steps = self.place["steps"]
        decay = min(self.options.average, (1 + steps) / (AHEAD + steps)) if self.options.average else 0.0
        part = "branches" if name == "branches" else ""
        for mine, theirs in zip(_values(self.average, part), _values(self.network, part)):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)

    @torch.no_grad()
    def _judge(self, name: str, epochs: int) -> None:
        """Validate the averaged network, calibrate it, and keep it where it is the best so far."""
        place = self.place
        logits = self._logits(self.data.valid)
        targets = [target[self.data.valid] for target in self.data.targets]
        exclusive = [group.exclusive for group in self.data.vocabulary.groups]
        triples = list(zip(logits, targets, exclusive))
        temperatures = [fit_temperature(*triple) for triple in triples]
        losses = [log_loss(*triple, temperature) for triple, temperature in zip(triples, temperatures)]
        accuracies = judge(logits, targets)
        names = [group.name for group in self.data.vocabulary.groups]
        row = {
            "phase": name,
            "epoch": place["epoch"] + 1,
            "epochs": epochs,
            "loss": place["loss"] / max(place["known"], 1),
            "valid_accuracy": _mean(accuracies),
            "valid_log_loss": _mean(losses),
            "groups": {
                group: {"accuracy": _number(a), "log_loss": _number(b), "temperature": t}
                for group, a, b, t in zip(names, accuracies, losses, temperatures)
            },
            "learning_rate": self.optimiser.param_groups[-1]["largest"],
            "seconds": 0.0,
        }
        self.history.append(row)
        if self._score(row) >= self._score(self.best.get("figures")):
            self.best = {
                "network": {key: value.cpu().clone() for key, value in self.average.state_dict().items()},
                "temperatures": temperatures,
                "figures": {
                    key: value for key, value in row.items() if key not in ("seconds", "learning_rate")
                },
            }

    def _score(self, row: dict[str, Any] | None) -> float:
        """What early stopping compares; the last epoch is the best one without validation."""
        if row is None:
            return -math.inf
        if self.options.criterion == "accuracy":
            return row["valid_accuracy"] if row["valid_accuracy"] is not None else 0.0
        return -row["valid_log_loss"] if row["valid_log_loss"] is not None else 0.0

    def _exhausted(self) -> bool:
        """Whether all layers have learned for `patience` epochs without a new best."""
        place, patience = self.place, self.options.patience
        if not patience or self.phases[place["phase"]][0] != "all" or self.place["step"]:
            return False
        figures = self.best.get("figures", {})
        since = figures.get("epoch", 0) if figures.get("phase") == "all" else 0
        return bool(place["epoch"] - since >= patience)

    # What the network is given

    def _images(self, pixels: np.ndarray) -> torch.Tensor:
        # Channels last is how the pixels lie there already, and what convolutions compute fastest in.
        images = torch.from_numpy(self.channels_last.normalise(pixels)).permute(0, 3, 1, 2)
        return images.to(self.device)

    def _targets(self, rows: np.ndarray) -> list[torch.Tensor]:
        return [torch.from_numpy(target[rows]).to(self.device) for target in self.data.targets]

    def _autocast(self) -> Any:
        enabled = self.precision != "float32"
        return torch.autocast(self.device.type, dtype=PRECISIONS[self.precision], enabled=enabled)

    def _input_factor(self) -> float:
        """The power of two that brings the input nearest to unit variance."""
        rows = self.data.train[:: max(1, len(self.data.train) // LOOKED_AT)]
        spread = float(self.preprocessing.normalise(self.data.pixels[rows]).std())
        return 2.0 ** round(-math.log2(spread)) if spread > 0 else 1.0

    @torch.no_grad()
    def _cache(self, fresh: bool) -> None:
        """Features of the training pictures from the fixed trunk; at first also their scale is taken."""
        self.tell({"step": "features of the fixed trunk"})
        self.network.eval()
        found, rows = [], self.data.train
        for start in range(0, len(rows), JUDGED_AT_ONCE):
            with self._autocast():
                part = self.network.features(
                    self._images(self.data.pixels[rows[start : start + JUDGED_AT_ONCE]])
                )
            found.append(part.float().cpu())
            self.tell({"done": min(start + JUDGED_AT_ONCE, len(rows)), "total": len(rows)})
            if self.stopped():
                if fresh:  # else the file that was read is the state
                    self.write()
                self._stop("preparing the features")
        self.cached = torch.cat(found)
        if fresh:
            self.network.scale_by(self.cached)
            self.average.scale_by(self.cached)

    @torch.no_grad()
    def _logits(self, rows: np.ndarray) -> list[np.ndarray]:
        """Of the averaged network in float32: what is judged is what is exported."""
        found: list[list[np.ndarray]] = [[np.empty((0, size), np.float32)] for size in self.sizes]
        for start in range(0, len(rows), JUDGED_AT_ONCE):
            parts = self.average(self._images(self.data.pixels[rows[start : start + JUDGED_AT_ONCE]]))
            for known, part in zip(found, parts):
                known.append(part.float().cpu().numpy())
        return [np.concatenate(known) for known in found]

    # The state

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        about = {
            "vocabulary": json.loads(self.data.vocabulary.to_json()),
            "preprocessing": json.loads(self.preprocessing.to_json()),
            "trunk": self.options.trunk,
            "hidden": self.options.hidden,
            "input_factor": self.network.input_factor,
            "record": self.record,
        }
        return {
            "identity": json.dumps(self.identity),
            "about": json.dumps(about),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": {} if self.optimiser is None else self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
            "place": dict(self.place),
            "history": json.dumps(self.history),
        }

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = read_checkpoint(path)
        check_identity(state, self.identity, path)
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.place, self.best = state["place"], state["best"]
            self.history = json.loads(state["history"])
            self.found_optimiser = state["optimiser"]
            self.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as problem:
            raise DataError(
                f"The checkpoint '{path}' contradicts itself ({type(problem).__name__}).",
                "Start anew with --overwrite.",
            ) from problem

    def note(self, text: str) -> None:
        """A sentence for the report and, at once, for whoever watches."""
        self.notes.append(text)
        self.tell({"event": "warning", "message": text})

    def report(self) -> dict[str, Any]:
        """The result for people."""
        figures, groups = self.best["figures"], []
        for group, target in zip(self.data.vocabulary.groups, self.data.targets):
            known: np.ndarray = np.any(target.reshape(len(target), -1) >= 0, axis=1)
            own = figures["groups"][group.name]
            groups.append(
                {
                    "group": group.name,
                    "values": len(group.values),
                    "train_labels": int(known[self.data.train].sum()),
                    "valid_labels": int(known[self.data.valid].sum()),
                    "valid_accuracy": own["accuracy"],
                    "valid_log_loss": own["log_loss"],
                    "temperature": own["temperature"],
                }
            )
        return {
            "groups": groups,
            "best_phase": figures["phase"],
            "best_epoch": figures["epoch"],
            "valid_accuracy": figures["valid_accuracy"],
            "valid_log_loss": figures["valid_log_loss"],
            "epochs": len(self.history),
            "seconds": round(self.place["seconds"], 3),
            "device": str(self.device),
            "precision": self.precision,
            "notes": self.notes,
        }


def _values(network: AttributeNetwork, part: str) -> list[torch.Tensor]:
    """Parameters and buffers of a network, or of one part of it."""
    module: torch.nn.Module = getattr(network, part) if part else network
    return list(module.state_dict().values())


def _seed(*parts: object) -> int:
    """A number below 2 ** 63 that depends on all parts."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _file_digest(path: PathLike) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
