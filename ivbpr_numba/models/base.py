"""The life of every model: options, fit, scores, file."""

from __future__ import annotations

import inspect
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.errors import UsageError
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.models.checkpoint import Checkpoint, TrainingLog
from ivbpr_numba.models.presets import RUN_OPTIONS, refuse_option, resolve
from ivbpr_numba.models.training import Event, Observer, TrainingState
from ivbpr_numba.parameters import Parameters
from ivbpr_numba.ranking import Scorer, count, item_classes, questions, scores, summary
from ivbpr_numba.store.atomic import Lock, PathLike, lock

if TYPE_CHECKING:
    from typing import Self

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["COLD_BELOW", "Learned", "Model", "learning_options"]

COLD_BELOW = 5
CHECKPOINT_EVERY = 10  # iterations, for a fit without evaluations


def learning_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides what is learned: no threads, no device."""
    return {name: value for name, value in config.items() if name not in RUN_OPTIONS}


class Model:
    """Base of all models; the constructor only stores its keyword arguments, `fit` checks them.

    Attributes
    ----------
    name : str
        As on the command line: ``bpr-mf``, ``i-vbpr``, …
    data_ : Dataset
        Ids, split and item columns of the data it was fitted to.
    parameters_ : Parameters
        The learned arrays; each is also an attribute with a trailing underscore (``item_bias_``).
    config_ : dict
        Every resolved option.
    features_ : FeatureRecord or None
        Names, groups, digest, path and scaling of the features it was fitted to.
    history_ : list of dict
        One row per evaluation during the fit.
    metrics_ : dict
        ``metrics_["test"]["cold"]``: see `ranking.summary`; of the finished model.
    provenance_ : dict
        Versions, device and why, digests of the inputs.
    payload_sha256_ : str
        Digest of what was learned; known once the model was saved or read.
    """

    model_name: ClassVar[str] = ""

    data_: Dataset
    parameters_: Parameters
    config_: dict[str, Any]
    features_: FeatureRecord | None = None
    history_: list[dict[str, Any]]
    metrics_: dict[str, dict[str, Any]]
    provenance_: dict[str, Any]
    payload_sha256_: str = ""

    _scorer: Scorer | None = None
    _found: Features | None = None

    # --- options, in scikit-learn's manner ---

    @classmethod
    def option_names(cls) -> list[str]:
        """Names of the constructor's keyword arguments."""
        return [name for name in inspect.signature(cls).parameters]

    def _store(self, values: Mapping[str, Any]) -> None:
        for name in self.option_names():
            setattr(self, name, values[name])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in self.option_names()}

    def set_params(self, **options: Any) -> Self:
        """Change constructor arguments; returns self.

        Raises
        ------
        UsageError
            The model has no such option.
        """
        for name, value in options.items():
            if name not in self.option_names():
                raise refuse_option(name, self.name, self.option_names())
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = ", ".join(
            f"{name}={value!r}" for name, value in self.get_params().items() if value is not None
        )
        return f"{type(self).__name__}({given})"

    @property
    def name(self) -> str:
        """Name on the command line."""
        return self.model_name

    # --- fit ---

    def fit(
        self,
        data: Dataset,
        features: Features | None = None,
        *,
        observers: Sequence[Observer] = (),
        out: PathLike | None = None,
        resume: bool = False,
        overwrite: bool = False,
        checkpoint_every: int | None = None,
        log: PathLike | None = None,
    ) -> Self:
        """Learn from the training pairs; the parameters of the best validation AUC are kept.

        Parameters
        ----------
        data : Dataset
        features : Features, optional
            Rows for every item of `data`; only visual models use them.
        observers : sequence of callables
            Each is called with event dictionaries: ``{"event": "start" | "iteration" | "evaluation" |
            "warning" | "end", …}``.
        out : path, optional
            Where to save the model. While the fit runs its state is kept in ``OUT.partial.h5``.
        resume : bool
            Go on from that state, if there is one.
        overwrite : bool
            Throw that state away.
        checkpoint_every : int, optional
            Iterations between two checkpoints; `eval_every` by default.
        log : path, optional
            Training log: JSON lines, the configuration first, then one object per evaluation.

        Returns
        -------
        Model
            Itself.

        Raises
        ------
        UsageError
            Options that are wrong or contradict; a state of another fit; divergence.
        DataError
            Features of the wrong kind or without some items; nothing to learn from.
        EnvironmentProblem
            The device can't be used, the disk is full.
        Interrupted
            After SIGINT or SIGTERM, once the state was saved.
        """
        options = self._resolve(features)
        if checkpoint_every is not None and checkpoint_every < 1:
            raise UsageError(f"--checkpoint-every {checkpoint_every} is below 1.", "Give a positive number.")
        device, why = backends.choose_device(options["device"])
        begun = time.perf_counter()
        with ExitStack() as stack:
            keep_lock = stack.enter_context(lock(out)) if out is not None else None
            threads = stack.enter_context(backends.threads(options["threads"]))
            identity = self._identity(options, data, features)
            checkpoint = None
            if out is not None and keep_lock is not None:
                every = checkpoint_every or options.get("eval_every") or CHECKPOINT_EVERY
                checkpoint = Checkpoint(out, identity, every, keep_lock)
                _refuse_unclear_state(checkpoint, resume, overwrite)
            elif resume or overwrite:
                raise UsageError("resume and overwrite need a file to save to.", "Name it with out.")
            written = TrainingLog(log, append=resume) if log is not None else None
            if written is not None:
                stack.callback(written.close)
            provenance = {
                "ivbpr": metadata.version("ivbpr"),
                "python": platform.python_version(),
                **{name: metadata.version(name) for name in ("numpy", "numba")},
                "device": device,
                "device_reason": why,
                "threads": threads,
                "dataset_sha256": data.payload_sha256,
                "features_sha256": features.payload_sha256 if self.uses_features and features else None,
                **self._facts(),
            }
            if written is not None:
                written.write({"model": self._named(features), "config": options, **provenance})

            def tell(event: Event) -> None:
                if written is not None and event["event"] == "evaluation":
                    written.write({key: event[key] for key in event if key in LOG_KEYS})
                for observer in observers:
                    observer(event)

            tell({"event": "start", "model": self._named(features), "config": options, **provenance})
            if resume and checkpoint is not None and not checkpoint.path.exists():
                text = f"There is no state of an unfinished fit in {checkpoint.path}: starting anew."
                tell({"event": "warning", "message": text})
            if features is not None and not self.uses_features:
                tell({"event": "warning", "message": f"{self.name} does not use features; they are ignored."})
            learned = self._learn(data, features, options, tell, checkpoint)
            self.data_, self.config_, self.provenance_ = data, options, provenance
            self.history_ = learned.history
            self._set_parameters(learned.parameters)
            self.metrics_ = self._judge()
            self.payload_sha256_ = ""
            if out is not None:
                self.save(out, keep_lock=keep_lock)
                assert checkpoint is not None
                checkpoint.remove()
            tell(
                {
                    "event": "end",
                    "iterations": learned.iterations,
                    "best_iteration": learned.best_iteration or None,
                    "valid_auc": self.metrics_["valid"]["all"]["auc"],
                    "seconds": round(learned.seconds or time.perf_counter() - begun, 3),
                    "payload_sha256": self.payload_sha256_ or None,
                }
            )
        return self

    uses_features: ClassVar[bool] = False

    def _facts(self) -> dict[str, Any]:
        """What else belongs into the provenance."""
        return {}

    def _named(self, features: Features | None) -> str:
        """The model's name once it is clear which features it gets."""
        return self.name

    def _resolve(self, features: Features | None) -> dict[str, Any]:
        given = self.get_params()
        preset = given.pop("preset", None)
        return resolve(self._named(features), preset, given)

    def _identity(
        self, options: Mapping[str, Any], data: Dataset, features: Features | None
    ) -> dict[str, Any]:
        """What two fits have in common that may continue each other."""
        return {
            "model": self._named(features),
            **learning_options(options),
            "dataset": data.payload_sha256,
            "features": features.payload_sha256 if self.uses_features and features else None,
        }

    def _learn(
        self,
        data: Dataset,
        features: Features | None,
        options: dict[str, Any],
        tell: Observer,
        checkpoint: Checkpoint | None,
    ) -> Learned:
        raise NotImplementedError

    def _set_parameters(self, parameters: Parameters) -> None:
        self.parameters_ = parameters
        self._scorer = None
        for name, array in parameters.arrays().items():
            setattr(self, f"{name}_", array)

    def _judge(self) -> dict[str, dict[str, Any]]:
        """AUC of the finished model on both held-out parts, All Items and Cold Start."""
        counts_in_training = self.data_.train_counts
        classes = item_classes(counts_in_training)
        metrics: dict[str, dict[str, Any]] = {}
        for split in ("valid", "test"):
            asked = questions(self.data_, split)
            values, pairs, tied = count(self.scorer(), asked, classes).auc()
            cold = counts_in_training[asked.targets] < COLD_BELOW
            metrics[split] = {
                "all": summary(values, pairs, tied),
                "cold": {**summary(values[cold], pairs[cold], tied[cold]), "cold_below": COLD_BELOW},
            }
        return metrics

    # --- scores and file ---

    def scorer(self, features: Features | None = None) -> Scorer:
        """Turn the parameters into a scorer for `ranking`; kept for the next call.

        Parameters
        ----------
        features : Features, optional
            For a visual model that was loaded: its features, where they aren't at the recorded path.
        """
        if not hasattr(self, "parameters_"):
            raise UsageError(f"This {type(self).__name__} is not fitted.", "Call fit or load a model file.")
        if self._scorer is None or features is not None:
            self._scorer = self._make_scorer(features)
        return self._scorer

    def _make_scorer(self, features: Features | None) -> Scorer:
        raise NotImplementedError

    def find_features(self, given: Features | None = None) -> Features:
        """The features of the fit: `given`, those that are still at hand, or those at the recorded path.

        Raises
        ------
        UsageError
            The model uses none, or they aren't found.
        DataError
            They are not those of the fit.
        """
        if self.features_ is None:
            raise UsageError(f"{self.name} knows no attributes.", "Ask vbpr or i-vbpr.")
        if given is not None or self._found is None:
            self._found = self.features_.find(given)
        return self._found

    def scores(self, users: Sequence[object]) -> np.ndarray:
        """Scores of users for all items.

        Parameters
        ----------
        users : sequence of ids

        Returns
        -------
        (n, I) float32 or float64
            Items in the order of ``data_.items``.

        Raises
        ------
        DataError
            A user is unknown.
        """
        rows = np.array([self.data_.users.row(user) for user in users], dtype=np.int64)
        return scores(self.scorer(), rows)

    def recommend(
        self,
        user: object,
        n: int = 10,
        *,
        at: object = None,
        where: Mapping[str, Sequence[str]] | None = None,
        because: str | None = None,
        exclude: Sequence[str] = ("train", "valid", "test"),
        reasons: bool = True,
        features: Features | None = None,
    ) -> list[dict[str, Any]]:
        """The best items for a user over the whole catalogue.

        Parameters
        ----------
        user : id
        n : int
            At most so many; never padded.
        at : date, text or seconds, optional
            For models in time; by default the last epoch.
        where : mapping of column to values, optional
            Kept item columns: one of the values in each column.
        because : str, optional
            A feature: rank by its contribution alone, then by the score.
        exclude : sequence of str
            Parts of the split whose items the user already has.
        reasons : bool
            Whether visual models add the attributes that raise each score most.
        features : Features, optional
            Where they aren't at the recorded path.

        Returns
        -------
        list of dict
            ``rank item title score because``; ties in order of the ids.

        Raises
        ------
        DataError
            Unknown user; no item left for `because`.
        UsageError
            Unknown column, value, feature or part.
        """
        from ivbpr_numba.models.answers import recommend

        return recommend(
            self,
            user,
            n,
            at=at,
            where=where,
            because=because,
            exclude=exclude,
            reasons=reasons,
            features=features,
        )

    def explain(
        self, user: object, item: object, *, at: object = None, features: Features | None = None
    ) -> dict[str, Any]:
        """The terms of a score, which sum to it (model specification 7); in time those of the epoch of `at`.

        Returns
        -------
        dict
            ``user item title score terms``; a term has ``term kind contribution``, kind being ``item bias``,
            ``latent``, ``attribute`` or ``level``. An attribute's contribution compares with the average item
            of the catalogue and is split into ``you`` (θ_u) and ``everyone`` (β).

        Raises
        ------
        DataError
            Unknown user or item.
        """
        from ivbpr_numba.models.answers import explain

        return explain(self, user, item, at, features)

    def similar(
        self,
        item: object,
        n: int = 10,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        features: Features | None = None,
    ) -> list[dict[str, Any]]:
        """The items nearest to one: cosine of the centred style vectors E f_i, or of γ_i without features.

        Returns
        -------
        list of dict
            ``rank item title score because``, the score being the cosine.
        """
        from ivbpr_numba.models.answers import similar

        return similar(self, item, n, where, features)

    def save(self, path: PathLike, keep_lock: Lock | None = None) -> str:
        """Write the model file atomically and return its ``payload_sha256``.

        Raises
        ------
        UsageError, EnvironmentProblem
            See `store.files.write_tree`.
        """
        from ivbpr_numba.models.files import write_model

        self.payload_sha256_ = write_model(self, path, keep_lock)
        return self.payload_sha256_


LOG_KEYS = (
    *("iteration", "triples", "seconds", "triples_per_second"),
    *("loss", "valid_auc", "learning_rate", "fallbacks"),
)


class Learned:
    """What `_learn` found: parameters and how it came to them."""

    def __init__(self, parameters: Parameters, state: TrainingState | None = None) -> None:
        self.parameters = parameters
        self.history = state.history if state is not None else []
        self.iterations = state.iteration if state is not None else 0
        self.best_iteration = state.best_iteration if state is not None else 0
        self.seconds = state.seconds if state is not None else 0.0


def _refuse_unclear_state(checkpoint: Checkpoint, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise UsageError("--resume and --overwrite contradict each other.", "Give one of them.")
    if not checkpoint.path.exists() or resume:
        return
    if overwrite:
        checkpoint.remove()
        return
    raise UsageError(
        f"There is an unfinished fit in '{checkpoint.path}'.",
        "Go on from it with --resume, or throw it away with --overwrite.",
    )
