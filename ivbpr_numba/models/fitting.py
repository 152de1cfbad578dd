"""One run of a fit: threads, device, lock, checkpoint, log, and what observers are told."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

from ivbpr_numba import backends, expected
from ivbpr_numba.dataflow import Flow, Here
from ivbpr_numba.distributed import DaskCrew, DaskFlow, crew_of
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.events import Event, JsonLines, Observer
from ivbpr_numba.kernels.compilation import compile_seconds, computing_clock
from ivbpr_numba.models.checkpoint import Checkpoint, partial_path
from ivbpr_numba.models.start import Start
from ivbpr_numba.store.atomic import Lock, PathLike, companions, lock

__all__ = ["Run", "Target", "begin", "check_run"]

CHECKPOINT_EVERY = 10  # iterations, for a fit without evaluations
LOG_KEYS = (
    *("epochs", "iteration", "triples", "seconds", "triples_per_second"),
    *("loss", "valid_auc", "learning_rate", "fallbacks", "compile_seconds"),
)


@dataclass(frozen=True)
class Target:
    """Where a fit leaves what; see `Model.fit`."""

    out: PathLike | None = None
    resume: bool = False
    overwrite: bool = False
    checkpoint_every: int | None = None
    log: PathLike | None = None


@dataclass
class Run:
    """What a fit works with while it runs.

    Attributes
    ----------
    facts : dict
        For the provenance: versions, device and why, threads.
    keep_lock : Lock or None
        On the target.
    kernels : Kernels
        Of the device it runs on.
    checkpoint : Checkpoint or None
    log : JsonLines or None
    heading : list of dict
        The first line of the log, until it was written: a refusal before the first iteration leaves the log
        of an earlier fit as it was.
    trial : dict
        What is added to every event; see `of_trial`.
    start : Start or None
        What it goes on from.
    crew : DaskCrew or None
        Who counts validations, and the finished model's AUC.
    flow : Flow
        Where parts learn.
    begun : float
        Clock of the computing at the start, in seconds.
    compiled : float
        What this process had spent compiling by then, in seconds.
    """

    facts: dict[str, Any]
    kernels: backends.Kernels
    observers: Sequence[Observer]
    keep_lock: Lock | None = None
    checkpoint: Checkpoint | None = None
    log: JsonLines | None = None
    heading: list[dict[str, Any]] = field(default_factory=list)
    trial: dict[str, Any] = field(default_factory=dict)
    start: Start | None = None
    crew: DaskCrew | None = None
    flow: Flow = field(default_factory=Here)
    begun: float = field(default_factory=computing_clock)
    compiled: float = field(default_factory=compile_seconds)

    def tell(self, event: Event) -> None:
        """To the observers; evaluations also to the log."""
        event = {**event, **self.trial}
        if self.log is not None and self.heading and event["event"] in ("iteration", "evaluation", "end"):
            self.log.write(self.heading.pop())
        if self.log is not None and event["event"] == "evaluation":
            self.log.write({key: event[key] for key in LOG_KEYS if key in event})
        for observer in self.observers:
            observer(event)

    def use(self, client: Any, options: dict[str, Any]) -> None:
        """Learn and count on the cluster of a Dask client.

        Raises
        ------
        UsageError
            Another device than the CPU.
        EnvironmentProblem
            The cluster can't be used; see `crew_of`.
        """
        if options["device"] != "cpu":
            raise UsageError(
                f"{parameter('device', options['device'])}: the workers of a cluster compute on CPUs.",
                "Leave the device out, or the cluster.",
            )
        self.crew = crew_of(client)
        self.flow = DaskFlow(self.crew)
        if options.get("parts") == 1:
            self.warn(
                "The workers count AUC, but one part is learned here: "
                f"{parameter('parts')} deals the users to more."
            )

    def of_trial(self, **known: Any) -> Run:
        """The same run for one of several trials; `known` is noted in its checkpoint."""
        checkpoint = self.checkpoint.of_trial(known) if self.checkpoint is not None else None
        return replace(self, checkpoint=checkpoint, trial={"epochs": known["epochs"]})

    def warn(self, message: str) -> None:
        """Tell a warning."""
        self.tell({"event": "warning", "message": message})


def check_run(observers: Any, target: Target) -> None:
    """Refuse what a fit is told about its run before anything is looked at.

    Raises
    ------
    UsageError
        Paths that are none, observers that can't be called, options that need a file to save to.
    """
    every = target.checkpoint_every
    if every is not None:
        expected.whole("checkpoint_every", every, 1)
        if target.out is None:
            raise UsageError(
                f"{parameter('checkpoint_every', every)} needs a file to save to.",
                f"Name it with {parameter('out')}.",
            )
    for name in ("out", "log"):
        path = getattr(target, name)
        if path is not None and not (isinstance(path, str | os.PathLike) and os.fspath(path)):
            raise UsageError(f"{parameter(name, path)} is no path.", "Name a file, or leave it out.")
    if not (isinstance(observers, Iterable) and all(map(callable, observers))):
        raise UsageError(
            f"{parameter('observers')} are functions of an event.", "Give one, or a list of them."
        )
    if target.out is None and (target.resume or target.overwrite):
        raise UsageError(
            f"{parameter('resume')} and {parameter('overwrite')} need a file to save to.",
            f"Name it with {parameter('out')}.",
        )


@contextmanager
def begin(
    options: dict[str, Any],
    identity: dict[str, Any],
    observers: Sequence[Observer],
    target: Target,
    work: float = 0.0,
) -> Iterator[Run]:
    """Take threads and lock, refuse what stands in the way, open the log.

    Parameters
    ----------
    options : dict
        Resolved.
    identity : dict
        What two fits have in common that may continue each other.
    observers : sequence of callables
    target : Target
    work : float
        See `backends.choose_device`.

    Raises
    ------
    UsageError
        Options that contradict; an unfinished fit that is neither resumed nor overwritten; another process
        that writes the target.
    EnvironmentProblem
        The device can't be used, the log can't be written.
    """
    every = target.checkpoint_every
    made = companions(target.out, partial_path(target.out)) if target.out is not None else ()
    with ExitStack() as stack:
        log = None
        if target.log is not None:
            log = stack.enter_context(JsonLines(target.log, append=target.resume, others=made))
        device, why = backends.choose_device(options["device"], work)
        keep_lock = stack.enter_context(lock(target.out)) if target.out is not None else None
        threads = stack.enter_context(backends.threads(options["threads"]))
        run = Run(
            {
                "ivbpr": metadata.version("ivbpr"),
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in ("numpy", "numba")},
                "device": device,
                "device_reason": why,
                "threads": threads,
            },
            backends.kernels(device),
            observers,
            keep_lock,
            log=log,
        )
        if target.out is not None and keep_lock is not None:
            if device != "cpu":  # sums of floats are made in another order there
                identity = {**identity, "device": device}
            every = every or options.get("eval_every") or CHECKPOINT_EVERY
            run.checkpoint = Checkpoint(target.out, identity, every, keep_lock, run.kernels)
            _refuse_unclear_state(run.checkpoint, target)
        yield run


def _refuse_unclear_state(checkpoint: Checkpoint, target: Target) -> None:
    if target.resume and target.overwrite:
        raise UsageError(
            f"{parameter('resume', True)} and {parameter('overwrite', True)} contradict each other.",
            "Give one of them.",
        )
    if not checkpoint.path.exists() or target.resume:
        return
    if target.overwrite:
        checkpoint.remove()
        return
    raise UsageError(
        f"There is an unfinished fit in '{checkpoint.path}'.",
        f"Go on from it with {parameter('resume', True)}, or throw it away with "
        f"{parameter('overwrite', True)}.",
    )
