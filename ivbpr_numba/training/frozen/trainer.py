"""Training without torch: branches on the fixed activations of any ONNX network, grafted into its graph."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivbpr_numba.events import Observer
from ivbpr_numba.network.journal import Journal
from ivbpr_numba.processes import cores
from ivbpr_numba.signals import stop_signals
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.training.figures import group_rows
from ivbpr_numba.training.frozen.activations import Activations, identity_of, inputs_of
from ivbpr_numba.training.frozen.backbone import Backbone
from ivbpr_numba.training.frozen.branch_training import BranchOptions, train_branches
from ivbpr_numba.training.frozen.grafting import graft, write_grafted
from ivbpr_numba.training.outputs import claimed
from ivbpr_numba.training.training_set import only_trainable, training_set

if TYPE_CHECKING:
    from ivbpr_numba.training.task import Task

__all__ = ["partial_path", "train_frozen"]

COMPARED = 8  # images on which the grafted network is checked


def partial_path(out: PathLike) -> Path:
    """Where an unfinished training of `out` keeps its activations: ``net.onnx`` → ``net.partial.frozen``."""
    target = Path(out)
    return target.with_name(f"{target.stem}.partial.frozen")


def train_frozen(
    task: Task,
    backbone: Backbone,
    out: PathLike,
    options: BranchOptions | None = None,
    *,
    about: dict[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    keep_lock: Lock | None = None,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Train branches on a fixed backbone, calibrate them, and write both as one network.

    Branches, loss and masks are those of model specification 6; the backbone never changes. Finished batches
    of activations are kept in ``OUT.partial.frozen`` until the end; the branches themselves are trained in
    one go. Same seed, data, options and versions: same file.

    Parameters
    ----------
    task : Task
    backbone : Backbone
        Of `open_backbone`.
    out : path
        The ONNX file; it appears whole, or stays what it was.
    options : BranchOptions, optional
    about : dict, optional
        More for the training record, such as the split.
    device : str
        Where the backbone runs: ``auto``, ``cpu`` or ``cuda``. Branches are trained on the CPU.
    threads : int, optional
        For decoding and for the backbone on the CPU.
    resume, overwrite : bool
        Go on from ``OUT.partial.frozen``, or throw it away.
    keep_lock : Lock, optional
        See `training.outputs.claimed`.
    progress : callable, optional
        Called with ``{"step": …}``, ``{"done": images, "total": n}`` and
        ``{"event": "configuration" | "evaluation" | "warning" | "end", …}``.

    Returns
    -------
    dict
        ``levels`` (``output channels height width features``), ``groups`` (``group values train_labels
        valid_labels valid_accuracy valid_log_loss temperature``), ``best_phase``, ``best_epoch``,
        ``valid_accuracy``, ``valid_log_loss``, ``epochs``, ``seconds``, ``extraction_seconds``,
        ``device``, ``notes``, ``bad_images`` (``image item reason``), ``resumed`` and what
        `grafting.write_grafted` gives.

    Raises
    ------
    UsageError
        Options that make no sense, an unfinished training beside `out` and neither `resume` nor `overwrite`,
        activations of another training, or a loss that is no longer finite.
    DataError
        Nothing to train on, activations that are not finite, or a graft that doesn't do what was trained.
    EnvironmentProblem
        No such device, no space, no permission.
    Interrupted
        After SIGINT or SIGTERM.
    """
    options = (options or BranchOptions()).checked()
    tell = progress or (lambda event: None)
    begun = time.perf_counter()
    partial = partial_path(out)
    with ExitStack() as stack:
        held = stack.enter_context(
            claimed(out, partial, resume=resume, overwrite=overwrite, keep_lock=keep_lock)
        )
        stopped = stack.enter_context(stop_signals())
        notes: list[str] = []

        def note(text: str) -> None:
            notes.append(text)
            tell({"event": "warning", "message": text})

        there = partial.exists()
        session = backbone.session(device, threads)
        record = {
            "way": "frozen",
            "backbone": {"name": Path(backbone.network.path).name, "sha256": backbone.network.sha256},
            "levels": [level.describe() for level in backbone.levels],
            "options": asdict(options),
            **(about or {}),
        }
        journal = stack.enter_context(Journal(partial, identity_of(task, backbone, session), overwrite))
        # Told once nothing can be refused any more: a log that begins with it replaces an older one.
        tell({"event": "configuration", **record, "device": session.provider, "why": session.why})
        if resume and not there:
            note(f"There is no '{partial}' to go on from: the training starts anew.")
        rows = Activations(task, backbone, journal)
        tell({"step": "running the backbone"})
        rows.take_over()
        resumed = rows.done
        rows.extract(session, threads or cores(), tell, stopped)
        extraction = time.perf_counter() - begun
        features, usable = rows.read()
        data, dropped = only_trainable(training_set(task, features, usable))
        for name in dropped:
            note(f"No training picture has a label of the group '{name}': it is left out.")
        if not len(data.valid):
            note("No validation pictures: all epochs are done, and the probabilities are not calibrated.")
        tell({"step": "training the branches"})
        journal.sync()
        trained = train_branches(
            features, data.targets, data.vocabulary, data.train, data.valid, options, tell, stopped
        )
        tell({"step": "writing the network"})
        record |= {
            "images": {"train": len(data.train), "valid": len(data.valid), **task.held_out()},
            "best": {
                key: trained.best[key] for key in ("epoch", "valid_accuracy", "valid_log_loss", "groups")
            },
            "temperatures": trained.temperatures,
        }
        shown = (data.valid if len(data.valid) else data.train)[:COMPARED]
        facts = write_grafted(
            graft(backbone.model, backbone.network.input, trained.branches),
            inputs_of(task, backbone, shown),
            features[shown],
            trained.logits(features[shown]),
            data.vocabulary,
            backbone.preprocessing,
            record,
            out,
            keep_lock=held,
        )
        journal.remove()
    report = {
        "levels": record["levels"],
        "groups": group_rows(data, trained.best),
        "best_phase": "branches",
        "best_epoch": trained.best["epoch"],
        "valid_accuracy": trained.best["valid_accuracy"],
        "valid_log_loss": trained.best["valid_log_loss"],
        "epochs": len(trained.history),
        "extraction_seconds": round(extraction, 3),
        "seconds": round(time.perf_counter() - begun, 3),
        "device": session.provider,
        "resumed": resumed,
        "bad_images": rows.problems(),
        "notes": notes,
        **facts,
    }
    tell({"event": "end", **report})
    return report
