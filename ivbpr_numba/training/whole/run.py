"""One training from its first step to its last: phases, epochs, the best so far, and where it stands."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ivbpr_numba.errors import DataError, Interrupted, UsageError, parameter
from ivbpr_numba.events import Observer
from ivbpr_numba.training.figures import figures_of, group_rows, score
from ivbpr_numba.training.training_set import TrainingSet
from ivbpr_numba.training.whole.checkpoint import check_identity
from ivbpr_numba.training.whole.feeding import Feed
from ivbpr_numba.training.whole.learner import Learner
from ivbpr_numba.training.whole.starting import Start, seed_of
from ivbpr_numba.training.whole.torch_network import AttributeNetwork, masked_loss
from ivbpr_numba.training.whole.with_torch import torch

__all__ = ["Run"]

JUDGED_AT_ONCE = 64


class Run:
    """What happens, in order.

    Parameters
    ----------
    begun : Start
    data : TrainingSet
        Every group has a label among its training pictures.
    about : mapping
        More for the training record.
    tell : callable
        Takes events.
    stopped : callable
        Number of the signal that came, or 0.
    write : callable
        Keeps a state.
    """

    def __init__(
        self,
        begun: Start,
        data: TrainingSet,
        about: Mapping[str, Any],
        *,
        tell: Observer,
        stopped: Callable[[], int],
        write: Callable[[dict[str, Any]], None],
    ) -> None:
        options = begun.options
        assert options.hidden is not None and options.epochs is not None  # they are resolved
        self.begun, self.data, self.options = begun, data, options
        self.tell, self.stopped, self._write = tell, stopped, write
        self.feed = Feed(data, begun.preprocessing, options, begun.device)
        torch.set_rng_state(begun.drawn)
        network = AttributeNetwork(
            begun.trunk, data.vocabulary, options.hidden, options.dropout, self.feed.input_factor()
        )
        self.learner = Learner(
            network,
            options,
            device=begun.device,
            precision=begun.precision,
            pretrained=begun.pretrained,
        )
        self.phases = [("branches", options.head_epochs), ("all", options.epochs)]
        self.best: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        # Where the training stands: `step` steps of `epoch` (counted from 0) of `phase` are done, `steps`
        # of the whole phase.
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
        images = {"train": len(data.train), "valid": len(data.valid)}
        # What is told about more images, such as those kept for a test, stands beside those trained on.
        self.record = {**begun.record(), **about, "images": {**images, **about.get("images", {})}}
        self.identity = {**begun.identity(), "images or labels": data.digest()}

    # What happens

    def go(self) -> None:
        """All that is left of all phases; the state is written after every epoch and before stopping."""
        while self.place["phase"] < len(self.phases):
            name, epochs = self.phases[self.place["phase"]]
            if self.place["epoch"] < epochs and not self._exhausted():
                if not self.learner.ready:
                    self._begin(name, epochs)
                self._epoch(name, epochs)
            else:
                self.place |= {"phase": self.place["phase"] + 1, "epoch": 0, "steps": 0}
                self.cached = None
                self.learner.end()

    def _begin(self, name: str, epochs: int) -> None:
        """Prepare a phase, at its start or on the way."""
        if name == "branches":
            self._cache(self.place["steps"] == 0)
        self.learner.begin(name, self.feed.steps(self.place["phase"], epochs), self.place["steps"])

    def _epoch(self, name: str, epochs: int) -> None:
        place, batch = self.place, self.options.batch
        begun = time.perf_counter()
        order = self.feed.order(place["phase"], place["epoch"])
        self.tell({"step": f"{name}, epoch {place['epoch'] + 1} of {epochs}"})
        self.learner.prepare()
        while place["step"] * batch < len(order):
            at = place["step"] * batch
            self._step(name, order[at : at + batch])
            self.tell({"done": min(len(order), at + batch), "total": len(order)})
            if self.stopped():
                place["seconds"] += time.perf_counter() - begun
                self._write(self.state())
                self._stop(f"phase '{name}', epoch {place['epoch'] + 1} of {epochs}")
        self._judge(name, epochs)
        place["seconds"] += time.perf_counter() - begun
        self.history[-1]["seconds"] = round(place["seconds"], 3)
        place |= {"epoch": place["epoch"] + 1, "step": 0, "loss": 0.0, "known": 0}
        # Kept before it is told: whoever listens may fail.
        self._write(self.state())
        self.tell({"event": "evaluation", **self.history[-1]})
        if self.stopped():
            self._stop(f"phase '{name}', after epoch {place['epoch']} of {epochs}")

    def _stop(self, where: str) -> None:
        raise Interrupted(
            f"Interrupted in {where}.",
            f"The state is kept; {parameter('resume', True)} goes on from there.",
            self.stopped(),
        )

    def _step(self, name: str, places: np.ndarray) -> None:
        """One step on some training pictures, positions in ``data.train``."""
        place, rows = self.place, self.data.train[places]
        numbers = place["phase"], place["epoch"], place["step"]
        torch.manual_seed(seed_of(self.options.seed, "dropout", *numbers))
        with self.learner.autocast():
            if self.cached is not None:
                features = self.cached[torch.from_numpy(places)].to(self.begun.device)
                logits = self.learner.network.logits(features)
            else:
                logits = self.learner.network(self.feed.changed(rows, *numbers))
        total, known = masked_loss(logits, self.feed.targets(rows), self.options.smoothing)
        self.learner.step(total / known if known else None)
        place["step"] += 1
        place["steps"] += 1
        place["loss"] += float(total.detach())
        place["known"] += known
        if not math.isfinite(place["loss"]):
            raise UsageError(
                f"The training diverged in phase '{name}', epoch {place['epoch'] + 1}: the loss is no "
                "longer finite.",
                f"Lower {parameter('learning_rate')}.",
            )

    def _cache(self, fresh: bool) -> None:
        """Features of the training pictures from the fixed trunk; at first also their scale is taken."""
        self.tell({"step": "features of the fixed trunk"})
        found, rows = [], self.data.train
        for start in range(0, len(rows), JUDGED_AT_ONCE):
            found.append(self.learner.features(self.feed.images(rows[start : start + JUDGED_AT_ONCE])))
            self.tell({"done": min(start + JUDGED_AT_ONCE, len(rows)), "total": len(rows)})
            if self.stopped():
                if fresh:  # else the file that was read is the state
                    self._write(self.state())
                self._stop("preparing the features")
        self.cached = torch.cat(found)
        if fresh:
            self.learner.scale_by(self.cached)

    def _judge(self, name: str, epochs: int) -> None:
        """Validate the averaged network, calibrate it, and keep it where it is the best so far."""
        place, valid = self.place, self.data.valid
        sizes = [len(group.values) for group in self.data.vocabulary.groups]
        found: list[list[np.ndarray]] = [[np.empty((0, size), np.float32)] for size in sizes]
        for start in range(0, len(valid), JUDGED_AT_ONCE):
            parts = self.learner.judged(self.feed.images(valid[start : start + JUDGED_AT_ONCE]))
            for known, part in zip(found, parts):
                known.append(part)
        figures, temperatures = figures_of(
            [np.concatenate(known) for known in found],
            [target[valid] for target in self.data.targets],
            self.data.vocabulary,
        )
        loss = place["loss"] / max(place["known"], 1)
        row = {"phase": name, "epoch": place["epoch"] + 1, "epochs": epochs, "loss": loss, **figures}
        self.history.append({**row, "learning_rate": self.learner.largest_rate, "seconds": 0.0})
        criterion = self.options.criterion
        if score(row, criterion) >= score(self.best.get("figures"), criterion):
            values = self.learner.average.state_dict().items()
            self.best = {
                "network": {key: value.cpu().clone() for key, value in values},
                "temperatures": temperatures,
                "figures": row,
            }

    def _exhausted(self) -> bool:
        """Whether all layers have learned for `patience` epochs without a new best."""
        place, patience = self.place, self.options.patience
        if not patience or self.phases[place["phase"]][0] != "all" or place["step"]:
            return False
        figures = self.best.get("figures", {})
        since = figures.get("epoch", 0) if figures.get("phase") == "all" else 0
        return bool(place["epoch"] - since >= patience)

    # The state

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        about = {
            "vocabulary": json.loads(self.data.vocabulary.to_json()),
            "preprocessing": json.loads(self.begun.preprocessing.to_json()),
            "trunk": self.options.trunk,
            "hidden": self.options.hidden,
            "input_factor": self.learner.network.input_factor,
            "record": self.record,
        }
        return {
            "identity": json.dumps(self.identity),
            "about": json.dumps(about),
            **self.learner.state(),
            "best": self.best,
            "place": dict(self.place),
            "history": json.dumps(self.history),
        }

    def load(self, state: Mapping[str, Any], path: Path) -> None:
        """Go on from a state that was read from `path`.

        Raises
        ------
        UsageError
            It belongs to another training.
        DataError
            It contradicts itself.
        """
        check_identity(state, self.identity, path)
        try:
            self.learner.load(state)
            self.place, self.best = state["place"], state["best"]
            self.history = json.loads(state["history"])
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as problem:
            raise DataError(
                f"The checkpoint '{path}' contradicts itself ({type(problem).__name__}).",
                f"Start anew with {parameter('overwrite', True)}.",
            ) from problem

    def report(self) -> dict[str, Any]:
        """The result for people."""
        figures = self.best["figures"]
        return {
            "groups": group_rows(self.data, figures),
            "best_phase": figures["phase"],
            "best_epoch": figures["epoch"],
            "valid_accuracy": figures["valid_accuracy"],
            "valid_log_loss": figures["valid_log_loss"],
            "epochs": len(self.history),
            "seconds": round(self.place["seconds"], 3),
            "device": str(self.begun.device),
            "precision": self.begun.precision,
        }
