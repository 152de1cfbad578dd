"""The life of every model: options, fit, answers, file."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ivbpr_numba import backends, expected
from ivbpr_numba.answers.views import Views
from ivbpr_numba.errors import not_fitted
from ivbpr_numba.events import Observer
from ivbpr_numba.fitted.files import FORMAT, identity, refuse_finished, write_fitted
from ivbpr_numba.fitted.fitted import Fitted, learning_options
from ivbpr_numba.kernels.compilation import compile_seconds, computing_clock
from ivbpr_numba.models.answering import Answering
from ivbpr_numba.models.checkpoint import partial_path
from ivbpr_numba.models.choosing import choose
from ivbpr_numba.models.fitting import Run, Target, begin, check_run
from ivbpr_numba.models.learned import Learned, metrics_of
from ivbpr_numba.models.presets import refuse_option, resolve
from ivbpr_numba.models.showing import at_a_glance
from ivbpr_numba.models.specifications import Specification
from ivbpr_numba.models.start import Start
from ivbpr_numba.models.updating import Update
from ivbpr_numba.models.validation import asked_in, resolve_users, work_of
from ivbpr_numba.notebook import facts_as_html
from ivbpr_numba.store.atomic import Lock, PathLike
from ivbpr_numba.store.files import check_target

if TYPE_CHECKING:
    from typing import Self

    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features

__all__ = ["Model"]


class Model(Answering):
    """Base of all models; the constructor only stores its keyword arguments, `fit` checks them.

    Attributes
    ----------
    name : str
        As on the command line: ``bpr-mf``, ``i-vbpr``, …
    fitted_ : Fitted
        Everything the fit found; assigned once, when it succeeded. Its parts are also attributes of the
        model: ``data_ parameters_ config_ features_ history_ metrics_ provenance_ payload_sha256_``, and each
        learned array under its name (``item_bias_``).
    """

    specifications: ClassVar[tuple[Specification, ...]] = ()
    fitted_: Fitted
    _views: Views

    # --- options, in scikit-learn's manner ---

    @classmethod
    def option_names(cls) -> list[str]:
        """Names of the constructor's keyword arguments."""
        return [name for name in inspect.signature(cls).parameters]

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

    def _repr_html_(self) -> str:
        return facts_as_html(type(self).__name__, at_a_glance(self))

    def __sklearn_is_fitted__(self) -> bool:
        return "fitted_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's helpers ask of an estimator; called by nobody else."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    # --- what the fit found ---

    def __getattr__(self, name: str) -> Any:
        """The parts of `fitted_`, and each learned array, with a trailing underscore."""
        fitted = self.__dict__.get("fitted_")
        if fitted is not None and name.endswith("_") and not name.startswith("_"):
            part = name[:-1]
            if part in _PARTS:
                return getattr(fitted, part)
            arrays = fitted.parameters.arrays()
            if part in arrays:
                return arrays[part]
        # Also for `views`, whose own error is an AttributeError and leads here.
        if fitted is None and (name == "views" or name in _learned_names(type(self))):
            raise not_fitted(self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        fitted = self.__dict__.get("fitted_")
        learned = [] if fitted is None else [*_PARTS, *fitted.parameters.arrays()]
        return [*super().__dir__(), *(f"{name}_" for name in learned)]

    @property
    def name(self) -> str:
        """Name on the command line."""
        fitted = self.__dict__.get("fitted_")
        return fitted.name if fitted is not None else self._specified(None).name

    @property
    def uses_features(self) -> bool:
        """Whether it learns from features."""
        return self.specifications[0].kind is not None

    def _specified(self, features: Features | None) -> Specification:
        """Its specification, once it is clear which features it gets."""
        return self.specifications[0]

    def _learned_as(self, features: Features | None) -> str | None:
        """What decides about defaults; see `features.alignment.learned_as`."""
        return None

    # --- fit ---

    def fit(
        self,
        data: Dataset,
        features: Features | None = None,
        *,
        observers: Observer | Sequence[Observer] = (),
        out: PathLike | None = None,
        resume: bool = False,
        overwrite: bool = False,
        checkpoint_every: int | None = None,
        log: PathLike | None = None,
        start: Start | None = None,
        client: Any = None,
    ) -> Self:
        """Learn from the training pairs; the parameters of the best validation AUC are kept.

        Until the fit has succeeded the model stays what it was.

        Parameters
        ----------
        data : Dataset
        features : Features, optional
            Rows for every item of `data`; only visual models use them.
        observers : sequence of callables, or one
            Each is called with event dictionaries: ``{"event": "start" | "iteration" | "evaluation" |
            "warning" | "end", …}``.
        out : path, optional
            Where to save the model. While the fit runs its state is kept in ``OUT.partial.h5``.
        resume : bool
            Go on from that state, if there is one.
        overwrite : bool
            Throw that state away, and replace the finished model of another fit.
        checkpoint_every : int, optional
            Iterations between two checkpoints; `eval_every` by default.
        log : path, optional
            Training log: JSON lines, the configuration first, then one object per evaluation.
        start : Start, optional
            An earlier fit to go on from, or epochs that stay where they are; otherwise everything begins at
            random and is learned.
        client : distributed.Client, optional
            Of a Dask cluster, whose workers learn the `parts` and count AUC: to the same bits as here.

        Returns
        -------
        Model
            Itself.

        Raises
        ------
        UsageError
            Options that are wrong or contradict; a state or a model of another fit; divergence.
        DataError
            Features of the wrong kind or without some items; nothing to learn from.
        EnvironmentProblem
            The device can't be used, the disk is full. Where only the saving failed the model is fitted.
        Interrupted
            After SIGINT or SIGTERM, once the state was saved.
        """
        expected.dataset(data, "fit")
        expected.features(features, "fit")
        told = [observers] if callable(observers) else observers
        target = Target(out, resume, overwrite, checkpoint_every, log)
        check_run(told, target)
        name, used = self._specified(features).name, features if self.uses_features else None
        options, chosen = choose(resolve_users(self._resolve(features), data, used), data)
        inputs = {"dataset": data.payload_sha256, "features": used.payload_sha256 if used else None}
        wanted = {"model": name, **learning_options(options), **inputs}
        if start is not None:
            inputs["start"] = wanted["start"] = start.digest()
        if out is not None:
            check_target(out, FORMAT)
            if not overwrite and not (resume and partial_path(out).exists()):
                refuse_finished(out, wanted)
        work = work_of(options, data, used) if options["device"] == "auto" else 0.0
        with begin(options, wanted, told, target, work) as run:
            run.start = start
            if client is not None:
                run.use(client, options)
            facts = {**run.facts, **{f"{key}_sha256": digest for key, digest in inputs.items()}}
            if chosen:
                facts["chosen"] = chosen
            heading = {"model": name, "config": options, **asked_in(options, data), **facts}
            run.heading.append(heading)
            run.tell({"event": "start", **heading})
            if resume and run.checkpoint is not None and not run.checkpoint.path.exists():
                run.warn(f"There is no state of an unfinished fit in {run.checkpoint.path}: starting anew.")
            if features is not None and used is None:
                run.warn(f"{self.name} does not use features; they are ignored.")
            learned = self._learn(data, used, options, run)
            if start is not None:
                facts |= start.facts
            self.adopt(*_finished(name, data, {**options, **learned.config}, facts, learned, run))
            if out is not None:
                self.save(out, overwrite=True, keep_lock=run.keep_lock)
                assert run.checkpoint is not None
                run.checkpoint.remove()
            run.tell(
                {
                    "event": "end",
                    "iterations": learned.iterations,
                    "best_iteration": learned.best_iteration or None,
                    "valid_auc": self.fitted_.metrics["valid"]["all"]["auc"],
                    "seconds": round(learned.seconds or computing_clock() - run.begun, 3),
                    "compile_seconds": round(compile_seconds() - run.compiled, 3),
                    "payload_sha256": self.fitted_.payload_sha256,
                }
            )
        return self

    def partial_fit(
        self,
        data: Dataset,
        features: Features | None = None,
        *,
        full: bool = False,
        observers: Observer | Sequence[Observer] = (),
        out: PathLike | None = None,
        resume: bool = False,
        overwrite: bool = False,
        checkpoint_every: int | None = None,
        log: PathLike | None = None,
    ) -> Self:
        """Go on with data that grew: new users, new items, new purchases.

        The vectors of users with new training purchases, and the bias and factors of the items bought, are
        put at the optimum of what the fit maximises, first users, then items, all else fixed: users as by
        `fold_in` on the items as they were. Nobody else moves, and with nothing new nothing does. Scaling of
        the features and epochs stay; later purchases belong to the last epoch. Until all has succeeded the
        model stays what it was.

        Parameters
        ----------
        data : Dataset
            All that the model knows, in the same parts of the split, and more: ``model.data_.with_pairs(…)``.
        features : Features, optional
            Of all items, new ones too; those of known items must not have changed. By default those of the
            fit.
        full : bool
            Then train everything further from there, as `fit` does: until its patience ends, on the
            validation items of the data. The other parameters are those of `fit`.

        Returns
        -------
        Model
            Itself; ``provenance_["update"]`` tells of which model it is an update and what moved.

        Raises
        ------
        UsageError
            RAND; features that are not found; what `fit` refuses.
        DataError
            Data that lack something of the model; features that lack an item or have changed.
        """
        expected.dataset(data, "partial_fit")
        expected.features(features, "partial_fit")
        told = [observers] if callable(observers) else observers
        target = Target(out, resume, overwrite, checkpoint_every, log)
        check_run(told, target)
        update = Update.of(self.views, data, features)
        before, config = self.views.fitted, self.views.fitted.config
        again = type(self)(
            **{**self.get_params(), **{n: config[n] for n in self.option_names() if n in config}}
        )
        with backends.threads(config["threads"]):
            learned, moved = update.learned()
        facts: dict[str, Any] = {"update": update.facts(moved, full)}
        start = dataclasses.replace(update.start(learned), facts=facts)
        if full:
            again.fit(
                data,
                update.features,
                observers=observers,
                out=out,
                resume=resume,
                overwrite=overwrite,
                checkpoint_every=checkpoint_every,
                log=log,
                start=start,
            )
            return self.adopt(again.fitted_, again.views)
        known = update.features.payload_sha256 if update.features is not None else None
        inputs = {"dataset": data.payload_sha256, "features": known, "start": before.payload_sha256}
        wanted = {"model": before.name, **learning_options(config), **inputs}
        if out is not None and not overwrite:
            refuse_finished(out, wanted)
        with begin(config, wanted, told, target) as run:
            facts |= {**run.facts, **{f"{key}_sha256": digest for key, digest in inputs.items()}}
            self.adopt(*_finished(before.name, data, config, facts, learned, run))
            if out is not None:
                self.save(out, overwrite=True, keep_lock=run.keep_lock)
        return self

    def _resolve(self, features: Features | None) -> dict[str, Any]:
        given = {name: value for name, value in self.get_params().items() if name != "kind"}
        preset = given.pop("preset", None)
        return resolve(self._specified(features).name, preset, given, self._learned_as(features))

    def _learn(self, data: Dataset, features: Features | None, options: dict[str, Any], run: Run) -> Learned:
        raise NotImplementedError

    def adopt(self, fitted: Fitted, views: Views | None = None) -> Self:
        """Become what was fitted or read: the one place where a model changes; returns self."""
        self.fitted_, self._views = fitted, views if views is not None else Views(fitted)
        return self

    @property
    def views(self) -> Views:
        """The fitted model at its moments, for `answers`."""
        if "fitted_" not in self.__dict__:
            raise not_fitted(self)
        return self._views

    # --- file ---

    def save(self, path: PathLike, *, overwrite: bool = False, keep_lock: Lock | None = None) -> str:
        """Write the model file atomically and return its ``payload_sha256``.

        Parameters
        ----------
        path : path
            ``.h5``. The model of the same fit is replaced, a file of another kind never.
        overwrite : bool
            Also replace the model of another fit.
        keep_lock : Lock, optional
            Of `path`, where the caller holds it.

        Raises
        ------
        NotFittedError
            Before `fit`.
        UsageError, EnvironmentProblem
            Another model is there; and see `store.files.write_tree`.
        """
        fitted = self.views.fitted
        if not overwrite:
            refuse_finished(path, identity(fitted.name, fitted.config, fitted.provenance))
        if fitted.features is not None and not fitted.features.path:
            warnings.warn(
                "The features of this model are in memory only, its file does not hold them: loaded again "
                "it ranks, and gives reasons only where it gets them with features=. Fitted on a file "
                "(features.write(path), Features.read(path)) it finds them by itself.",
                stacklevel=2,
            )
        write_fitted(self.views.fitted, path, self._views.style, keep_lock)
        return self.fitted_.payload_sha256


_PARTS = tuple(part.name for part in dataclasses.fields(Fitted) if part.name != "name")


def _learned_names(estimator: type[Model]) -> set[str]:
    """Attributes that a fitted model of the class may have."""
    arrays = {field.name for one in estimator.specifications for field in dataclasses.fields(one.parameters)}
    return {"fitted_", *(f"{name}_" for name in {*_PARTS, *arrays})}


def _finished(
    name: str,
    data: Dataset,
    config: dict[str, Any],
    facts: dict[str, Any],
    learned: Learned,
    run: Run,
) -> tuple[Fitted, Views]:
    """Judge what was learned, and put it together."""
    parts: dict[str, Any] = {
        "name": name,
        "data": data,
        "parameters": learned.parameters,
        "config": config,
        "features": learned.record,
        "history": learned.history,
        "provenance": {**facts, **learned.facts},
    }
    views = Views(Fitted(**parts, metrics={}, payload_sha256=""), learned.features, learned.source)
    fitted = Fitted.sealed(**parts, metrics=metrics_of(views.scorer(), data, run.kernels, run.crew))
    return fitted, dataclasses.replace(views, fitted=fitted)
