"""What one iteration does to the parameters: draw, update, and the tables in the kernels' layout.

A learner owns `tables`, a dict of float32 arrays packed for the kernels. Everything the fit loop
keeps (averages, best values, checkpoints) is a copy of that dict; `parameters(tables)` and
`scorer(tables)` turn such a dict into the model's named arrays or into rankings. From `place` on the
arrays are those of the device; whole numbers (where epochs end), which Python decides about, stay with it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ivbpr_numba import backends
from ivbpr_numba.arrays import padded, zeros
from ivbpr_numba.errors import UsageError, parameter
from ivbpr_numba.features.alignment import Scaling, project_style
from ivbpr_numba.features.inputs import FeatureInput, SparseInput
from ivbpr_numba.features.joint import joint_spread
from ivbpr_numba.kernels.arguments import (
    EmbeddingTable,
    FactorTables,
    Rates,
    Sizes,
    VisualTables,
)
from ivbpr_numba.kernels.scalar.random import INIT, mix64
from ivbpr_numba.models.ahead import Ahead
from ivbpr_numba.models.embedding import layout_of
from ivbpr_numba.models.joining import Pull
from ivbpr_numba.models.presets import AUTO
from ivbpr_numba.models.start import Start
from ivbpr_numba.models.triples import Rounds, Triples, TripleSampler
from ivbpr_numba.parameters import FactorParameters, Parameters, TemporalParameters, VisualParameters
from ivbpr_numba.ranking import ItemSide, Scorer, VectorScorer, scorer_of

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "FactorLearner",
    "Iteration",
    "Learner",
    "Member",
    "Sampled",
    "Tables",
    "VisualLearner",
    "block_size",
    "fetched",
    "placed",
    "visual_rate",
]

Tables = dict[str, Any]  # of arrays: NumPy's, or those of another device

NORMAL_SD = 0.1
# Initial values of each group come from a stream of their own, so no group shifts another.
GROUPS = {
    "user_factors": 1,
    "item_factors": 2,
    "user_visual": 3,
    "embedding": 4,
    "visual_bias": 5,
    "drift": 6,
}
MAX_BLOCK = 1024
BLOCK_LIMIT = 260.0  # η · B · M · (1 + Θ) up to which a block learns like single triples
# Mean second derivative of the loss that tells how far triples pull a number, found by equal learning in
# parts (benchmarks/PARTS.md): of items, and of columns of features.
ITEM_CURVATURE = 0.02
COLUMN_CURVATURE = 0.1
RATE_LIMIT = 8.0  # η · M · (1 + Θ) above which even single triples are unstable


@dataclass(frozen=True)
class Iteration:
    """What happened: triples applied, their summed loss, negatives' fall-backs, warnings."""

    triples: int
    loss: float
    fallbacks: int
    warning: str = ""


class Learner(Protocol):
    """What the fit loop needs to know of a model."""

    tables: Tables
    kernels: backends.Kernels

    def begin(self, start: Start) -> None: ...

    def attach(self, state: Any) -> bool: ...

    def place(self) -> None: ...

    def compile(self) -> None: ...

    def iterate(self, iteration: int) -> Iteration: ...

    def parameters(self, tables: Tables) -> Parameters: ...

    def scorer(self, tables: Tables) -> Scorer: ...


class Member(Learner, Protocol):
    """A learner as one of several that are one model together; see `ensemble`."""

    def step(self, iteration: int) -> Iteration: ...

    def settle(self, iteration: int, members: Sequence[Any], joined: Callable[[], Any]) -> None: ...

    def scorer_of(self, parameters: Any) -> Scorer: ...


def draw_initial(options: dict[str, Any], group: str, shape: tuple[int, ...]) -> np.ndarray:
    """Starting values of one group: N(0, 0.1²) or U[0, 1], float32."""
    generator = np.random.Generator(np.random.PCG64(mix64(options["seed"], INIT, GROUPS[group])))
    if options["init"] == "normal":
        return generator.normal(0.0, NORMAL_SD, shape).astype(np.float32)
    return generator.random(shape).astype(np.float32)


def copied(named: Tables) -> Tables:
    """Arrays of their own, for a model to keep."""
    return {name: np.array(array, order="C") for name, array in named.items()}


def placed(tables: Tables, kernels: backends.Kernels) -> Tables:
    """Tables where the kernels read them; whole numbers stay where Python does."""
    return {name: table if table.dtype.kind == "i" else kernels.put(table) for name, table in tables.items()}


def fetched(tables: Tables, kernels: backends.Kernels) -> Tables:
    """Tables where Python reads them."""
    return {name: kernels.get(table) for name, table in tables.items()}


def block_size(rate: float, load: float) -> int:
    """Largest stable power of two of triples in a block (specification 2.6).

    Parameters
    ----------
    rate : float
        η.
    load : float
        How strongly one triple's step acts on the next one's score, per unit of rate: M (1 + Θ) for VBPR,
        with M = 2 Σ_k Var(f_k) over the items and Θ = mean ‖θ_u‖² over the users.
    """
    block = MAX_BLOCK
    while block > 1 and rate * block * load > BLOCK_LIMIT:
        block //= 2
    return block


def visual_rate(options: dict[str, Any], scaling: Scaling) -> float:
    """What η is multiplied by for E and β: a number, or by ``auto`` 1 / mean ‖f_i‖² over the items."""
    if options["visual_rate"] != AUTO:
        return float(options["visual_rate"])
    length = scaling.squared_length
    return 1.0 / length if length > 0 else 1.0


def _sampler(
    options: dict[str, Any],
    indptr: np.ndarray,
    indices: np.ndarray,
    n_items: int,
    kernels: backends.Kernels,
    keep_pairs: bool = False,
) -> TripleSampler:
    return TripleSampler(
        indptr,
        indices,
        n_items,
        seed=options["seed"],
        negatives=options["negatives"],
        sampling=options["sampling"],
        kernels=kernels,
        keep_pairs=keep_pairs,
    )


def _rates(
    step: float,
    *,
    factors: float,
    bias: float,
    user_visual: float = 0.0,
    visual: float = 0.0,
    visual_step: float = 0.0,
) -> Rates:
    """η and the decays as kernels take them."""
    return Rates(*(np.float32(value) for value in (step, factors, bias, user_visual, visual, visual_step)))


class Sampled:
    """Learners that draw triples and apply them."""

    options: dict[str, Any]
    kernels: backends.Kernels
    sampler: TripleSampler
    tables: Tables
    ahead: Ahead
    applied: Triples  # of the last step
    common: tuple[str, ...] = ()  # attributes that learners of some users have in common
    on_one_thread: bool  # whether applying triples in their order leaves the other threads idle

    def named(self, tables: Tables) -> Tables:
        """The learned arrays by name, as views of `tables`, which Python can read."""
        raise NotImplementedError

    def begin(self, start: Start) -> None:
        """Take over what `start` knows, before the first iteration."""
        start.take_over(self.named(self.tables))

    def attach(self, state: Any) -> bool:
        """Learn for this state; whether the learner itself averages, and keeps the tables elsewhere: no."""
        return False

    def place(self) -> None:
        """Move the tables to where the kernels read them, once `begin` and a checkpoint wrote to them."""
        self.tables = placed(self.tables, self.kernels)

    def compile(self) -> None:
        """Compile what `iterate` needs, so that it is not counted as computing."""
        rehearsed, own = self.kernels.rehearsed, self.tables
        if rehearsed:
            self.tables = {name: self.kernels.copy(table) for name, table in own.items()}
        self._rehearse(rehearsed)
        self.tables = own

    def of_users(self, users: np.ndarray, seed: int) -> Self:
        """A learner of these users alone, numbered from 0, whose tables are still to be given."""
        return self._of_pairs(users, seed)[0]

    def _of_pairs(self, users: np.ndarray, seed: int) -> tuple[Self, np.ndarray]:
        """The same, and where the users' training pairs are among all."""
        own = copy.copy(self)
        own.sampler, places = self.sampler.of_users(users, seed)
        own.ahead, own.tables = Ahead(), {}
        return own, places

    def pulls(self) -> dict[str, Pull]:
        """How strongly the last step pulled at each table of the item side; see `joining`."""
        raise NotImplementedError

    def _pull_of_items(self, factors: int, decay: float) -> Pull:
        """That at γ_i and β_i, as they lie in their table."""
        o, users = self.options, self.tables["users"]
        spread = float(np.square(users[:, :factors], dtype=np.float64).sum() / len(users))
        s = np.zeros(users.shape[1], np.float32)
        s[:factors] = o["learning_rate"] * (ITEM_CURVATURE * spread + decay)
        s[factors] = o["learning_rate"] * (ITEM_CURVATURE + o["lambda_bias"])
        return Pull(self._touches()[:, None], s)

    def _touches(self) -> np.ndarray:
        """Triples of the last step that each item was in, (I,) int32."""
        drawn, n_items = self.applied, len(self.sampler.law.counts)
        found = np.bincount(drawn.positives, minlength=n_items)
        found += np.bincount(drawn.negatives, minlength=n_items)
        return found.astype(np.int32)

    def _rehearse(self, n: int) -> None:
        self._apply(self.sampler.draw(1).first(n))

    def iterate(self, iteration: int) -> Iteration:
        """Apply the triples of one iteration, from 1, to `tables`, then settle what it may have changed."""
        done = self.step(iteration)
        self.settle(iteration, [self], lambda: self.parameters(self.tables))
        return done

    def settle(self, iteration: int, members: Sequence[Any], joined: Callable[[], Any]) -> None:
        """Decide what holds for all `members` from the next iteration on, by their joined parameters.

        Nothing, but for models in time.
        """

    def parameters(self, tables: Tables) -> Parameters:
        raise NotImplementedError

    def scorer(self, tables: Tables) -> Scorer:
        raise NotImplementedError

    def step(self, iteration: int) -> Iteration:
        """Apply the triples of one iteration, from 1, to `tables`."""
        idle = self.on_one_thread and self.options["update"] == "ordered"
        threads, last = self.kernels.threads() if idle else 1, self.options.get("iterations", 0)
        return self.ahead.apply(iteration, last, self.sampler.draw, self._apply, threads)

    def _apply(self, drawn: Triples) -> Iteration:
        raise NotImplementedError


class FactorLearner(Sampled):
    """MM-MF (hinge) and BPR-MF (logistic).

    Parameters
    ----------
    options : dict
        Resolved options.
    indptr, indices : training CSR by user
    n_items : int
    kernels : Kernels, optional
        Of the device that learns; those of the CPU by default.
    """

    def __init__(
        self,
        options: dict[str, Any],
        indptr: np.ndarray,
        indices: np.ndarray,
        n_items: int,
        kernels: backends.Kernels | None = None,
    ) -> None:
        self.options = options
        self.kernels = kernels or backends.kernels()
        self.sampler = _sampler(options, indptr, indices, n_items, self.kernels)
        self.ahead, self.on_one_thread = Ahead(), True
        self.in_rounds = options["update"] == "ordered" and self.sampler.suits_rounds()
        self.size = k = options["factors"]
        n_users = len(indptr) - 1
        users, items = zeros((n_users, padded(k + 1))), zeros((n_items, padded(k + 1)))
        users[:, :k] = draw_initial(options, "user_factors", (n_users, k))
        items[:, :k] = draw_initial(options, "item_factors", (n_items, k))
        self.tables: Tables = {"users": users, "items": items}

    def _rehearse(self, n: int) -> None:
        if self.in_rounds:
            self._apply_rounds(self.sampler.draw_rounds(1).first(n))
        else:
            super()._rehearse(n)

    def step(self, iteration: int) -> Iteration:
        """Apply the triples of one iteration, from 1, to `tables`."""
        if self.in_rounds:
            return self._apply_rounds(self.sampler.draw_rounds(iteration))
        return super().step(iteration)

    def _apply(self, drawn: Triples) -> Iteration:
        racers = self.kernels.racers() if self.options["update"] == "hogwild" else 1
        loss = self.kernels.factor_epoch(drawn.rows, *self._given(), racers)
        self.applied = drawn
        return Iteration(len(drawn.users), loss, drawn.fallbacks)

    def _apply_rounds(self, drawn: Rounds) -> Iteration:
        loss = self.kernels.factor_rounds(drawn.rows, drawn.segments, *self._given())
        self.applied = drawn.triples
        return Iteration(len(drawn), loss, 0)

    def pulls(self) -> dict[str, Pull]:
        """How strongly the last step pulled at the items; see `joining`."""
        return {"items": self._pull_of_items(self.size, self.options["lambda_theta"])}

    def _given(self) -> tuple[FactorTables, int, np.float32, Rates]:
        """What kernels need to know beside the triples."""
        o = self.options
        return (
            FactorTables(self.tables["users"], self.tables["items"]),
            self.size,
            np.float32(o.get("margin", -1.0)),
            _rates(o["learning_rate"], factors=o["lambda_theta"], bias=o["lambda_bias"]),
        )

    def named(self, tables: Tables) -> Tables:
        """The learned arrays by name, as views of `tables`."""
        k, users, items = self.size, tables["users"], tables["items"]
        return {"item_bias": items[:, k], "user_factors": users[:, :k], "item_factors": items[:, :k]}

    def parameters(self, tables: Tables) -> FactorParameters:
        """Unpack."""
        return FactorParameters(**copied(self.named(fetched(tables, self.kernels))))

    def scorer(self, tables: Tables) -> VectorScorer:
        """Rank by β_i + γ_u · γ_i."""
        k, tables = self.size, fetched(tables, self.kernels)
        return VectorScorer(tables["users"][:, :k], ItemSide(tables["items"][:, :k], tables["items"][:, k]))

    def scorer_of(self, parameters: FactorParameters) -> Scorer:
        """The same by named arrays."""
        return scorer_of(parameters, len(parameters.user_factors))


class VisualLearner(Sampled):
    """VBPR and I-VBPR on blocks of triples.

    Parameters
    ----------
    options, indptr, indices, n_items, kernels :
        As `FactorLearner`.
    source : FeatureInput
    scaling : Scaling
    """

    common: tuple[str, ...] = ("source", "scaling", "multiplier", "spread")
    keep_pairs = False  # whether triples must tell which purchase they are of

    def __init__(
        self,
        options: dict[str, Any],
        indptr: np.ndarray,
        indices: np.ndarray,
        n_items: int,
        source: FeatureInput,
        scaling: Scaling,
        kernels: backends.Kernels | None = None,
    ) -> None:
        self.options, self.source, self.scaling = options, source, scaling
        self.kernels = kernels or backends.kernels()
        self.sampler = _sampler(options, indptr, indices, n_items, self.kernels, self.keep_pairs)
        self.ahead, self.on_one_thread = Ahead(), isinstance(source, SparseInput)
        self.visual_rate = visual_rate(options, scaling)
        self.visual_step = options["learning_rate"] * self.visual_rate
        self.latent, self.visual = k, d = options["factors"], options["visual_factors"]
        self.columns, self.layout = source.columns, layout_of(source, d)
        n_users = len(indptr) - 1
        self.multiplier = zeros(self.layout.bias_shape)
        self.layout.by_column(self.multiplier)[:] = scaling.multiplier.astype(np.float64) * source.scale
        users, items = zeros((n_users, padded(k + 1))), zeros((n_items, padded(k + 1)))
        visual, embedding = zeros((n_users, self.layout.row)), zeros(self.layout.shape)
        users[:, :k] = draw_initial(options, "user_factors", (n_users, k))
        items[:, :k] = draw_initial(options, "item_factors", (n_items, k))
        visual[:, :d] = draw_initial(options, "user_visual", (n_users, d))
        self.layout.embedding(embedding)[:] = draw_initial(options, "embedding", (d, self.columns))
        self.tables: Tables = {"users": users, "items": items, "visual": visual, "embedding": embedding}
        self.block = 0

    def _choose_block(self) -> str:
        """Set `block` for this iteration; returns a warning where the rate is too high for any."""
        rate, load = self.visual_step, self._load()
        automatic = self.options["block"] == "auto"
        held = max(load, self._steepest() * BLOCK_LIMIT / RATE_LIMIT)
        self.block = block_size(rate, held) if automatic else self.options["block"]
        strength = rate * load
        if strength <= RATE_LIMIT:
            return ""
        return (
            f"The learning rate {rate:g} of E and β is too high for these features "
            f"(rate × spread = {strength:.3g}, stable up to {RATE_LIMIT:g}); lower it, or scale the features "
            "(feature scaling: standard)."
        )

    def _load(self) -> float:
        """M (1 + Θ), see `block_size`."""
        return 2.0 * self.scaling.variance * (1.0 + self._theta())

    def _steepest(self) -> float:
        """The load of one column alone, where a block must stay stable in every column; 0: it need not."""
        return 0.0

    def _rates(self) -> Rates:
        o = self.options
        return _rates(
            o["learning_rate"],
            factors=o["lambda_theta"] if o["reg_scope"] == "all" else 0.0,
            bias=o["lambda_bias"],
            user_visual=o["lambda_theta"],
            visual=o["lambda_visual"],
            visual_step=self.visual_step,
        )

    def _visual_tables(self) -> VisualTables:
        return VisualTables(self.tables["users"], self.tables["items"], self.tables["visual"])

    def _apply(self, drawn: Triples) -> Iteration:
        warning, values, kernels = self._choose_block(), self.tables["embedding"], self.kernels
        scaled = kernels.put(self.layout.scaled(kernels.get(values), self.multiplier))
        given = (
            drawn.rows,
            self.block,
            kernels.resident(self.source.stored),
            self._visual_tables(),
            EmbeddingTable(values, scaled, kernels.resident(self.multiplier)),
            Sizes(self.latent, self.visual),
            self._rates(),
        )
        if self.options["update"] == "hogwild":
            if not kernels.blocks_race:
                raise UsageError(
                    f"{parameter('update', 'hogwild')}: the blocks of visual models race on the CPU only.",
                    f"Use {parameter('update', 'ordered')}, or {parameter('device', 'cpu')}.",
                )
            loss = self.layout.racing_epoch(kernels)(*given, kernels.racers())
        else:
            loss = self.layout.epoch(kernels)(*given)
        self.applied = drawn
        return Iteration(len(drawn.users), loss, drawn.fallbacks, warning)

    def pulls(self) -> dict[str, Pull]:
        """How strongly the last step pulled at each table of the item side; see `joining`."""
        return {
            "items": self._pull_of_items(self.latent, self._rates().factors),
            "embedding": Pull(np.full((1, 1), len(self.applied.users)), self._pull_of_columns()),
        }

    def _pull_of_columns(self) -> np.ndarray:
        """s of E and β, or of ΔE and Δβ of an epoch, by a triple, as they lie in their table.

        A triple pulls at all columns in which its two items differ, together: see `joint_spread`.
        """
        found, rate = zeros(self.layout.shape), 2.0 * self.visual_step * self.spread
        decay = self.options["lambda_visual"]
        self.layout.embedding(found)[:] = rate * (COLUMN_CURVATURE * self._theta() + decay)
        self.layout.bias(found)[:] = rate * (COLUMN_CURVATURE + decay)
        return found

    @cached_property
    def spread(self) -> np.ndarray:
        """See `joint_spread`, (F,) float64; needed in parts alone."""
        return joint_spread(self.source, self.scaling)

    def _theta(self) -> float:
        """Θ = mean ‖θ_u‖², of the raw parameters as they are now."""
        visual = self.kernels.get(self.tables["visual"])
        return float(np.square(visual, dtype=np.float64).sum() / len(visual))

    def named(self, tables: Tables) -> Tables:
        """The learned arrays by name, as views of `tables`."""
        k, d, table = self.latent, self.visual, tables["embedding"]
        return {
            "item_bias": tables["items"][:, k],
            "user_factors": tables["users"][:, :k],
            "item_factors": tables["items"][:, :k],
            "user_visual": tables["visual"][:, :d],
            "embedding": self.layout.embedding(table),
            "visual_bias": self.layout.bias(table),
        }

    def parameters(self, tables: Tables) -> VisualParameters:
        """Unpack."""
        return VisualParameters(**copied(self.named(fetched(tables, self.kernels))))

    def scorer(self, tables: Tables) -> Scorer:
        """Rank by equation (1); in time by equation (2), every event at its own epoch."""
        return self.scorer_of(self.parameters(tables))

    def scorer_of(self, parameters: VisualParameters) -> Scorer:
        """The same by named arrays."""

        def style(epoch: int) -> np.ndarray:
            own = parameters.at(epoch) if isinstance(parameters, TemporalParameters) else parameters
            return project_style(own, self.source, self.scaling, self.kernels)

        return scorer_of(parameters, len(parameters.user_factors), style)
