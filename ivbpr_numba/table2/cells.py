"""A cell: one column, fitted to one corpus in one run, and what every user came to.

Its numbers are a function of the data, the features, the options and the run alone, so that cells may be done
in any order, in any process, and again after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.events import Observer
from ivbpr_numba.fitted.fitted import learning_options
from ivbpr_numba.kernels.compilation import computing_clock
from ivbpr_numba.models.registry import create
from ivbpr_numba.questions.baselines import baseline_scorer
from ivbpr_numba.questions.protocol import Protocol
from ivbpr_numba.questions.response import epochs_of_events
from ivbpr_numba.questions.trends import measure
from ivbpr_numba.ranking import vector_length
from ivbpr_numba.table2.choosing import Chosen, choose
from ivbpr_numba.table2.columns import COSINE, learns
from ivbpr_numba.table2.corpus import Corpus

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.ranking import Counts, Scorer

__all__ = ["Cell", "Found", "Workshop", "fill"]

HISTORY = ("iteration", "valid_auc", "loss")
OF_FEATURES = ("embedding", "visual_bias", "drift", "bias_weight", "bias_drift")
TRENDS = 8  # attributes whose change a cell in time keeps


@dataclass(frozen=True, order=True)
class Cell:
    """Which: number of the corpus, number of the run, name of the column."""

    subset: int
    run: int
    model: str

    @property
    def place(self) -> str:
        """Its path in the file of the table."""
        return f"/cells/{self.subset}/{self.run}/{self.model}"


@dataclass
class Found:
    """What a cell came to.

    Attributes
    ----------
    auc, stratified : (n,) float32
        Of each question of its corpus and run; NaN where there is no candidate.
    about : dict
        For JSON: ``options`` (all that decide what is learned), ``chosen`` (what tuning chose otherwise than
        the defaults), ``tuning`` (``trials valid_auc default_valid_auc importance``; None without),
        ``history`` (rows of ``iteration valid_auc loss``), ``iterations best_iteration valid_auc``,
        ``parameters`` (``all`` and those that grow with the ``features``), ``ties`` (share of tied pairs),
        ``trends`` (of models in time), ``payload_sha256`` of the model.
    seconds : dict
        Computing, without compilation: ``fit judge tune``.
    """

    auc: np.ndarray
    stratified: np.ndarray
    about: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Workshop:
    """What every cell needs; sent once to each process.

    Attributes
    ----------
    corpus : Corpus
    options : mapping
        Fixed options of the models; each takes those that it has.
    tune : int or None
        Trials before each fit.
    seed : int
        Of the first run's fit.
    ties : str
    threads : int
        Of each process.
    tunings : path or None
        Where unfinished tunings are kept; None keeps none.
    """

    corpus: Corpus
    options: Mapping[str, Any]
    tune: int | None
    seed: int
    ties: str
    threads: int
    tunings: Path | None


def fill(shop: Workshop, cell: Cell, tell: Observer) -> Found:
    """Fit, judge, and keep what is worth keeping.

    Raises
    ------
    IvbprError
        As `Model.fit` and tuning.
    """
    data, features = shop.corpus.data(cell.subset, cell.run), shop.corpus.features(cell.model)
    seconds: dict[str, float] = {}
    with backends.threads(shop.threads):
        if cell.model == COSINE:
            begun = computing_clock()
            scorer: Scorer = baseline_scorer(COSINE, data, features)
            length = features.shape[1] if features is not None else 0
            about = _nothing_learned()
        else:
            model, about = _fitted(shop, cell, data, features, seconds, tell)
            begun = computing_clock()
            scorer = model.scorer(features)
            length = vector_length(model.parameters_)
        device = shop.options.get("device") or "cpu"
        protocol, _ = Protocol.of(data, ties=shop.ties).counted_by(device, length)
        counts = protocol.count(scorer)
        seconds["judge"] = round(computing_clock() - begun, 3)
    return Found(*_values(counts, shop.ties), about | {"ties": _tied(counts)}, seconds)


def _values(counts: Counts, ties: str) -> tuple[np.ndarray, np.ndarray]:
    values, stratified = counts.auc(ties)[0], counts.auc(ties, stratified=True)[0]
    return values.astype(np.float32), stratified.astype(np.float32)


def _tied(counts: Counts) -> float:
    return float(counts.equal.sum() / max(int(counts.pairs.sum()), 1))


def _nothing_learned() -> dict[str, Any]:
    nothing: dict[str, Any] = {"iterations": None, "best_iteration": None, "valid_auc": None, "history": []}
    return {
        "options": {},
        "chosen": {},
        "tuning": None,
        **nothing,
        "parameters": {"all": 0, "features": 0},
        "trends": None,
        "payload_sha256": "",
    }


def _fitted(
    shop: Workshop,
    cell: Cell,
    data: Dataset,
    features: Features | None,
    seconds: dict[str, float],
    tell: Observer,
) -> tuple[Model, dict[str, Any]]:
    """The model of a cell, tuned first where that is asked for, and what to keep of it."""
    known = create(cell.model).option_names()
    fixed = {name: value for name, value in shop.options.items() if name in known}
    fixed["threads"] = shop.threads
    if "seed" in known:
        fixed["seed"] = shop.seed + cell.run
    found = Chosen({}, {}, None)
    if shop.tune is not None and learns(cell.model):
        tell({"step": "tuning"})
        begun = computing_clock()
        name = f"{cell.subset}-{cell.run}-{cell.model}.tuning.h5"
        place = None if shop.tunings is None else shop.tunings / name
        found = choose(cell.model, data, features, shop.tune, fixed, place, tell)
        seconds["tune"] = round(computing_clock() - begun, 3)
        tell({"step": "fitting"})
    begun = computing_clock()
    model = create(cell.model, **{**fixed, **found.options})
    model.fit(data, features, observers=[tell])
    seconds["fit"] = round(computing_clock() - begun, 3)
    history = [{key: row.get(key) for key in HISTORY} for row in model.history_]
    best = max(history, key=lambda row: row["valid_auc"] or 0.0, default=None)
    arrays = model.parameters_.arrays()
    learned = {name: int(array.size) for name, array in arrays.items() if array.dtype.kind == "f"}
    return model, {
        "options": learning_options(model.config_),
        "chosen": found.different,
        "tuning": found.facts,
        "iterations": history[-1]["iteration"] if history else None,
        "best_iteration": best["iteration"] if best else None,
        "valid_auc": best["valid_auc"] if best else None,
        "history": history,
        "parameters": {
            "all": sum(learned.values()),
            "features": sum(size for name, size in learned.items() if name in OF_FEATURES),
        },
        "trends": _trends(model, data),
        "payload_sha256": model.payload_sha256_,
    }


def _trends(model: Model, data: Dataset) -> dict[str, Any] | None:
    """Epochs and their events; of named attributes also those that change most, and by how much."""
    edges = getattr(model.parameters_, "epoch_edges", None)
    if edges is None:
        return None
    events = np.bincount(epochs_of_events(data, edges)[1], minlength=len(edges) - 1)
    found: dict[str, Any] = {"edges": edges.tolist(), "events": events.tolist()}
    if model.features_ is None or model.features_.kind != "attributes":
        return found
    told = measure(model, top=TRENDS, fits=0)
    plain = partial(np.round, decimals=6)
    return found | {
        "features": told.features,
        "groups": told.groups,
        "change": plain(told.change).tolist(),
        "influence": plain(told.influence).tolist(),
    }
