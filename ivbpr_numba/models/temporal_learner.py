"""What one iteration does to the parameters of the models in time, and where their epochs lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import padded, zeros
from ivbpr_numba.datasets.categories import category_codes
from ivbpr_numba.errors import UsageError
from ivbpr_numba.features.alignment import Scaling, project_style
from ivbpr_numba.features.inputs import FeatureInput
from ivbpr_numba.kernels import arguments
from ivbpr_numba.kernels.arguments import (
    RUN_BLOCKS,
    BlockPlan,
    Drift,
    EmbeddingTable,
    EpochTables,
    EpochVectors,
    Events,
    Sizes,
)
from ivbpr_numba.kernels.scalar.random import SAMPLE, mix64
from ivbpr_numba.models.epochs import bin_edges, bins_of, epoch_edges, epoch_of, segment, start_ends
from ivbpr_numba.models.joining import Pull
from ivbpr_numba.models.learners import (
    ITEM_CURVATURE,
    Iteration,
    Tables,
    VisualLearner,
    copied,
    draw_initial,
    fetched,
)
from ivbpr_numba.models.start import Start
from ivbpr_numba.models.training import diverged
from ivbpr_numba.models.triples import Triples
from ivbpr_numba.parameters import TemporalParameters

if TYPE_CHECKING:
    from typing import Self

    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["TemporalLearner"]

NOTHING = np.float32(-1e30)  # below all scores
MOST_EVENTS = 20_000  # training events that the segmentation looks at


class TemporalLearner(VisualLearner):
    """TVBPR and I-TVBPR: SGD on blocks of one epoch, alternated with the search for the best epochs.

    Parameters
    ----------
    options : dict
    data : Dataset
        With times.
    source : FeatureInput
    scaling : Scaling
    kernels : Kernels, optional
        Of the device that learns; those of the CPU by default.
    """

    common = (*VisualLearner.common, "events", "category")
    keep_pairs = True

    def __init__(
        self,
        options: dict[str, Any],
        data: Dataset,
        source: FeatureInput,
        scaling: Scaling,
        kernels: backends.Kernels | None = None,
    ) -> None:
        train = data.train
        super().__init__(options, train.indptr, train.indices, len(data.items), source, scaling, kernels)
        n_epochs, d = options["epochs"], self.visual
        known = np.concatenate([data.train.times, data.valid.times])
        self.edges = bin_edges(known, options["bins"], options["bin_type"])
        self.segmenting = True
        self._known: tuple[np.ndarray, Any] | None = None
        self.times = data.train.times
        self.events = _events(options, data)
        e_table = self.tables["embedding"]
        layout = self.layout
        drift, weight = zeros((n_epochs, *e_table.shape)), np.ones((n_epochs, d), np.float32)
        bias_weight = np.ones((n_epochs, *layout.bias_shape), np.float32)
        if options["temporal_init"] == "paper":
            weight[:], bias_weight[:] = 0, 0
            layout.bias(e_table)[:] = draw_initial(options, "visual_bias", (self.columns,))
            layout.embedding(drift)[:] = draw_initial(options, "drift", (d, self.columns))
        self.tables |= {
            "weight": weight,
            "drift": drift,
            "bias_weight": bias_weight,
            "ends": start_ends(options["bins"], n_epochs),
        }
        self.category, n_categories = category_codes(data)
        drifting = n_epochs if options["item_drift"] else 0
        self.tables["item_drift"] = np.zeros((drifting, len(data.items)), np.float32)
        self.tables["category_drift"] = np.zeros((drifting, n_categories), np.float32)

    def begin(self, start: Start) -> None:
        """Take over what `start` knows; epochs that stay are bins of their own, and nothing is cut anew."""
        super().begin(start)
        if start.epoch_edges is not None:
            n_epochs = len(self.tables["ends"])
            if start.epoch_edges.shape != (n_epochs + 1,):
                raise UsageError(
                    f"The start has {len(start.epoch_edges) - 1} epochs, this fit {n_epochs}.",
                    "Give both as many.",
                )
            self.edges, self.segmenting = start.epoch_edges, False
            self.tables["ends"][:] = np.arange(n_epochs)

    def _of_pairs(self, users: np.ndarray, seed: int) -> tuple[Self, np.ndarray]:
        own, places = super()._of_pairs(users, seed)
        own.times, own._known = self.times[places], None
        return own, places

    def pulls(self) -> dict[str, Pull]:
        """How strongly the last step pulled at each table of the item side; see `joining`.

        w and b multiply E and β: what pulls at E and β of an epoch pulls at them.
        """
        n_epochs, drawn, layout = len(self.tables["ends"]), self.applied, self.layout
        epochs = self._epochs_of_pairs()[drawn.pairs]
        triples, by_column = np.bincount(epochs, minlength=n_epochs)[:, None], self._pull_of_columns()
        of_bias = np.zeros(layout.bias_shape, np.float32)
        layout.by_column(of_bias)[:] = layout.bias(by_column)
        found = super().pulls() | {
            "drift": Pull(triples[:, :, None], by_column),
            "weight": Pull(triples, layout.embedding(by_column).sum(axis=-1)),
            "bias_weight": Pull(triples, of_bias),
        }
        s = self.options["learning_rate"] * (ITEM_CURVATURE + self.options["lambda_bias"])
        for name, of_item in (("item_drift", None), ("category_drift", self.category)):
            if not self.tables[name].size:
                continue
            touches = np.zeros(self.tables[name].shape, np.int32)
            for items in (drawn.positives, drawn.negatives):
                rows = items if of_item is None else of_item[items]
                np.add.at(touches, (epochs[rows >= 0], rows[rows >= 0]), 1)
            found[name] = Pull(touches, np.full((1, 1), s, np.float32))
        return found

    def settle(self, iteration: int, members: Sequence[Any], joined: Callable[[], Any]) -> None:
        """Segment if it is time; all members have the same epochs."""
        if self.segmenting and iteration % self.options["segment_every"] == 0:
            explained = self.likelihoods(iteration, joined())
            if not np.isfinite(explained).all():  # nothing is the best of numbers that are none
                raise diverged(f"at iteration {iteration} the likelihood of the events is no longer finite")
            ends = segment(explained)
            for member in members:
                member.tables["ends"][:] = ends

    def _seen(self, *names: str) -> Tables:
        """Some of the tables where Python reads them."""
        return fetched({name: self.tables[name] for name in names}, self.kernels)

    def _load(self) -> float:
        """The load of the worst epoch t (see `block_size`).

        E_t = w ⊙ E + ΔE moves by 1 + w² + E² times what ΔE alone would, β_t by 1 + b² + β² times: the block
        rule of VBPR with every variance multiplied so, which it is where w, b, E and β are 0. Without the
        factor, blocks that VBPR bears let w and b of frequent attributes oscillate and diverge.
        """
        t, layout = self._seen("visual", "embedding", "weight", "bias_weight"), self.layout
        assert self.scaling.variances is not None
        spread = self.scaling.variances
        theta = np.square(t["visual"][:, : self.visual], dtype=np.float64).mean(axis=0)
        squared = np.square(layout.embedding(t["embedding"]), dtype=np.float64, order="C")
        of_e = (squared * spread).sum(axis=1)  # Σ_c Var_c E_kc²
        beta = np.square(layout.bias(t["embedding"]), dtype=np.float64)
        loads = []
        for w, b in zip(t["weight"], layout.by_column(t["bias_weight"])):
            by_taste = theta * (spread.sum() * (1.0 + np.square(w, dtype=np.float64)) + of_e)
            by_bias = spread * (1.0 + np.square(b, dtype=np.float64) + beta)
            loads.append(2.0 * (by_taste.sum() + by_bias.sum()))
        return float(max(loads))

    def _steepest(self) -> float:
        """Largest 2 Var_k (1 + b_k² + β_k²) of a column and epoch.

        Steps too long for β alone overshoot and come back, as the loss is convex in it. In b ⊙ β they
        drive each other up: a frequent column diverges within an iteration, however small all others are.
        """
        t, layout = self._seen("embedding", "bias_weight"), self.layout
        assert self.scaling.variances is not None
        beta = np.square(layout.bias(t["embedding"]), dtype=np.float64)
        b = np.square(layout.by_column(t["bias_weight"]), dtype=np.float64)
        return float((2.0 * self.scaling.variances * (1.0 + b + beta)).max())

    def _apply(self, drawn: Triples) -> Iteration:
        warning, t, kernels = self._choose_block(), self.tables, self.kernels
        n, n_epochs = len(drawn.users), len(t["ends"])
        epochs = kernels.take(self._epochs_of_pairs(), drawn.pairs)
        planned = arguments.Triples(*(kernels.empty(n, np.int32) for _ in arguments.Triples._fields))
        most = n // self.block + (n // (RUN_BLOCKS * self.block) + 1) * n_epochs + 1
        starts, block_epochs = kernels.zeros(most + 1, np.int64), kernels.zeros(most, np.int64)
        count = kernels.plan_blocks(epochs, n_epochs, self.block, drawn.rows, planned, starts, block_epochs)
        scaled = kernels.put(zeros(t["embedding"].shape))
        loss = self.layout.temporal_epoch(kernels)(
            planned,
            BlockPlan(starts[: count + 1], block_epochs[:count]),
            min(self.block, max(n, 1)),
            kernels.resident(self.source.stored),
            self._visual_tables(),
            EmbeddingTable(t["embedding"], scaled, kernels.resident(self.multiplier)),
            EpochTables(t["weight"], t["drift"], t["bias_weight"]),
            Sizes(self.latent, self.visual),
            self._rates(),
            Drift(t["item_drift"], t["category_drift"], kernels.resident(self.category)),
        )
        self.applied = drawn
        if self.kernels.device == "cpu" and t["item_drift"].size:
            t["items"][:, self.latent] = 0  # scratch of the kernel, of which parts must not make anything
        return Iteration(n, loss, drawn.fallbacks, warning)

    def _epochs_of_pairs(self) -> Any:
        """Epoch of every training pair, (n,) int16; kept until the epochs end elsewhere."""
        ends = self.tables["ends"]
        if self._known is None or not np.array_equal(self._known[0], ends):
            epochs = epoch_of(self.times, epoch_edges(ends, self.edges)).astype(np.int16)
            self._known = ends.copy(), self.kernels.put(epochs)
        return self._known[1]

    def likelihoods(self, iteration: int, parameters: TemporalParameters | None = None) -> np.ndarray:
        """V (B, N): how well each epoch's parameters, by default its own, explain the events of each bin."""
        (users, items, times), kernels = self.events, self.kernels
        values = kernels.empty((len(users), len(self.tables["ends"])), np.float64)
        kernels.event_likelihoods(
            self.sampler.seed,
            iteration,
            kernels.resident(Events(users, items)),
            self.options["segment_negatives"],
            kernels.resident(self.sampler.pairs),
            kernels.put(self._epoch_vectors(parameters or self.parameters(self.tables))),
            values,
        )
        table = np.zeros((self.options["bins"], values.shape[1]))
        np.add.at(table, bins_of(times, self.edges), kernels.get(values))  # in the order of the events
        return table

    def _epoch_vectors(self, parameters: TemporalParameters) -> EpochVectors:
        """Users and items as the segmentation scores them."""
        n_epochs = len(self.tables["ends"])
        k, d = parameters.user_factors.shape[1], parameters.user_visual.shape[1]
        latent, style = padded(k), padded(d + 1)
        users = np.zeros((len(parameters.user_factors), latent + style), np.float32)
        users[:, :k], users[:, latent : latent + d] = parameters.user_factors, parameters.user_visual
        users[:, latent + d] = 1
        items = zeros((len(parameters.item_factors) + 1, latent + n_epochs * style))
        items[:-1, :k] = parameters.item_factors
        for e in range(n_epochs):
            now, at = parameters.at(e), latent + e * style
            items[:-1, at : at + d + 1] = project_style(now, self.source, self.scaling, self.kernels)
            items[:-1, at + d] += now.item_bias
            items[-1, at + d] = NOTHING
        return EpochVectors(users, items, latent)

    def named(self, tables: Tables) -> Tables:
        """The learned arrays by name, as views of `tables`."""
        layout, drift = self.layout, tables["drift"]
        named = {
            **super().named(tables),
            "weight": tables["weight"],
            "drift": layout.embedding(drift),
            "bias_weight": layout.by_column(tables["bias_weight"]),
            "bias_drift": layout.bias(drift),
        }
        if self.options["item_drift"]:
            named |= {"item_bias_drift": tables["item_drift"], "category_bias": tables["category_drift"]}
        return named

    def parameters(self, tables: Tables) -> TemporalParameters:
        """Unpack."""
        tables = fetched(tables, self.kernels)
        own = copied(self.named(tables))
        if self.options["item_drift"]:
            own["item_bias"][:] = 0  # scratch space of the kernel
        return TemporalParameters(
            **own,
            epoch_edges=epoch_edges(tables["ends"], self.edges),
            category=self.category if self.options["item_drift"] else None,
        )


def _events(options: dict[str, Any], data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, items and times that the segmentation explains; drawn once a fit."""
    part = data.train if options["segment_on"] == "train" else data.valid
    users, items, times = part.users, part.indices, part.times
    if options["segment_on"] == "train" and len(items) > MOST_EVENTS:
        generator = np.random.Generator(np.random.PCG64(mix64(options["seed"], SAMPLE)))
        chosen = np.sort(generator.choice(len(items), MOST_EVENTS, replace=False))
        users, items, times = users[chosen], items[chosen], times[chosen]
    # A user who owns every item has no negative to compare with.
    sizes = np.diff(data.train.indptr)[users]
    kept = sizes < len(data.items) - 1
    return users[kept], items[kept], times[kept]
