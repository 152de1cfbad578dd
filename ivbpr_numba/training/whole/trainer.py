"""Training of the whole attribute network: branches first, then all layers (paper, section 3.1).

Same seed, data, options, number of threads, machine type and versions: same bits, whether or not the training
was interrupted between two steps. Another number of threads or another machine sums in another order; on a
GPU some of torch's operations have no deterministic form, and nothing is promised there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ivbpr_numba.errors import UsageError
from ivbpr_numba.events import Observer
from ivbpr_numba.photos.pictures import load_pixels
from ivbpr_numba.photos.preprocessing import Preprocessing
from ivbpr_numba.signals import stop_signals
from ivbpr_numba.store.atomic import Lock, PathLike, os_problem
from ivbpr_numba.training.outputs import claimed
from ivbpr_numba.training.training_set import TrainingSet, only_trainable, training_set
from ivbpr_numba.training.whole.checkpoint import (
    check_identity,
    partial_path,
    read_checkpoint,
    restore_best,
    write_checkpoint,
)
from ivbpr_numba.training.whole.exporting import export_network
from ivbpr_numba.training.whole.options import TorchOptions, quiet_settings
from ivbpr_numba.training.whole.run import Run
from ivbpr_numba.training.whole.starting import Start, start

if TYPE_CHECKING:
    from ivbpr_numba.training.task import Task

__all__ = ["train_torch", "train_whole"]


def train_whole(
    task: Task,
    preprocessing: Preprocessing,
    out: PathLike,
    options: TorchOptions | None = None,
    *,
    init: PathLike | None = None,
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    keep_checkpoint: bool = False,
    keep_lock: Lock | None = None,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Decode the photos of a task, and train on them as `train_torch` does.

    Whatever can be refused without pictures is refused before the first of them is decoded.

    Parameters
    ----------
    task : Task
    preprocessing : Preprocessing
        How photos become pixels; it is written into the network.
    out, options, init, about, resume, overwrite, keep_checkpoint, keep_lock, progress
        See `train_torch`.

    Returns
    -------
    dict
        As `train_torch`, and ``bad_images``: ``image item reason``.

    Raises
    ------
    UsageError, DataError, EnvironmentProblem, Interrupted
        As `train_torch`; DataError also for an archive that was damaged since it was listed.
    """
    options = (options or TorchOptions()).checked()
    tell = progress or (lambda event: None)
    with (
        claimed(out, partial_path(out), resume=resume, overwrite=overwrite, keep_lock=keep_lock) as held,
        quiet_settings(options.threads),
    ):
        begun = start(options, preprocessing, init)
        state = _found(out, begun, resume)
        tell({"step": "reading the images"})
        pixels, usable, problems = load_pixels(
            task.pictures,
            task.chosen.tolist(),
            preprocessing.fit,
            preprocessing.size,
            options.threads,
            tell,
        )
        data = training_set(task, pixels, usable)
        report = _train(
            begun,
            data,
            out,
            state=state,
            held=held,
            tell=tell,
            about={**(about or {}), "images": task.held_out()},
            resume=resume,
            keep_checkpoint=keep_checkpoint,
        )
    return {**report, "bad_images": problems}


def train_torch(
    data: TrainingSet,
    preprocessing: Preprocessing,
    out: PathLike,
    options: TorchOptions | None = None,
    *,
    init: PathLike | None = None,
    about: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    keep_checkpoint: bool = False,
    keep_lock: Lock | None = None,
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
    about : mapping, optional
        More for the training record, such as the split.
    resume, overwrite : bool
        Go on from ``OUT.partial.pt``, or throw it away.
    keep_checkpoint : bool
        Leave ``OUT.partial.pt`` there at the end.
    keep_lock : Lock, optional
        See `training.outputs.claimed`.
    progress : callable, optional
        Called with ``{"step": …}``, ``{"done": pictures, "total": n}`` and, once nothing can be refused any
        more, ``{"event": "configuration" | "warning" | "evaluation" | "end", …}``.

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
    options = (options or TorchOptions()).checked()
    tell = progress or (lambda event: None)
    with (
        claimed(out, partial_path(out), resume=resume, overwrite=overwrite, keep_lock=keep_lock) as held,
        quiet_settings(options.threads),
    ):
        begun = start(options, preprocessing, init)
        state = _found(out, begun, resume)
        return _train(
            begun,
            data,
            out,
            state=state,
            held=held,
            tell=tell,
            about=about,
            resume=resume,
            keep_checkpoint=keep_checkpoint,
        )


def _found(out: PathLike, begun: Start, resume: bool) -> dict[str, Any] | None:
    """The state to go on from, if there is one and it belongs to this training as far as can be told."""
    partial = partial_path(out)
    if not resume or not partial.exists():
        return None
    state = read_checkpoint(partial)
    check_identity(state, begun.identity(), partial, only=begun.identity())
    return state


def _train(
    begun: Start,
    data: TrainingSet,
    out: PathLike,
    *,
    state: dict[str, Any] | None,
    held: Lock,
    tell: Observer,
    about: Mapping[str, Any] | None,
    resume: bool,
    keep_checkpoint: bool,
) -> dict[str, Any]:
    """All epochs, then the file; the lock of `out` is held."""
    partial, prepared = partial_path(out), begun.preprocessing
    data, dropped = only_trainable(data)
    if data.pixels.shape[1:3] != prepared.size:
        raise UsageError(
            f"Pictures of {data.pixels.shape[1]} × {data.pixels.shape[2]} for a network of "
            f"{prepared.size[0]} × {prepared.size[1]}.",
            "Fit them with the same preprocessing.",
        )
    notes = [f"No training picture has a label of the group '{name}': it is left out." for name in dropped]
    if not len(data.valid):
        notes.append("No validation pictures: all epochs are done, and the probabilities are not calibrated.")
    if resume and state is None:
        notes.append(f"There is no '{partial}' to go on from: the training starts anew.")
    with stop_signals() as stopped:
        run = Run(
            begun,
            data,
            about or {},
            tell=tell,
            stopped=stopped,
            write=lambda found: write_checkpoint(partial, found, keep_lock=held),
        )
        if state is not None:
            run.load(state, partial)
        notes = [*begun.notes, *notes]
        tell({"event": "configuration", **run.record})
        for note in notes:
            tell({"event": "warning", "message": note})
        run.go()
        network, vocabulary, _, temperatures, record = restore_best(run.state(), partial)
        tell({"step": "writing the network"})
        facts = export_network(network, vocabulary, prepared, temperatures, record, out, keep_lock=held)
        if not keep_checkpoint:
            try:
                partial.unlink(missing_ok=True)
            except OSError as problem:
                raise os_problem(problem, partial, "remove") from problem
    report = {**run.report(), "notes": notes, **facts}
    tell({"event": "end", **report})
    return report
