"""Several learners as one: the mean of their scores is a model of the same kind with more factors.

    1/S Σ_s x̂ˢ_ui  =  mean_s β_iˢ + [γ_u¹ … γ_uˢ]/√S · [γ_i¹ … γ_iˢ]/√S + …

so that everything that answers for one model answers for S of them without knowing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ivbpr_numba.dataflow import Flow
from ivbpr_numba.kernels.scalar.random import MEMBER, mix64
from ivbpr_numba.models.learners import Iteration, Member, Tables
from ivbpr_numba.models.parts import Parts
from ivbpr_numba.models.start import Start
from ivbpr_numba.parameters import FactorParameters, TemporalParameters
from ivbpr_numba.ranking import Scorer

__all__ = ["Ensemble", "joined", "learner_of", "member_seed", "share"]

# The axis of the factors of each array that has them; the mean is taken of the others.
SCALED = {"user_factors": 1, "item_factors": 1, "user_visual": 1, "embedding": 0, "drift": 1}
WEIGHTS = {"weight": 1}  # multiply a factor, which is scaled already

Joined = TypeVar("Joined", bound=FactorParameters)


def member_seed(seed: int, member: int) -> int:
    """The seed of a member: the first one has that of the model."""
    return mix64(seed, MEMBER, member) >> 1 if member else seed


def learner_of(options: dict[str, Any], make: Callable[[dict[str, Any]], Any], flow: Flow) -> Any:
    """The learner for resolved options: that which `make` makes of them, in `Parts`, or an `Ensemble`."""
    size = options["ensemble"]
    if options["parts"] > 1:
        return Parts(make(options), options["parts"], flow)
    if size == 1:
        return make(options)
    seeds = [member_seed(options["seed"], m) for m in range(size)]
    return Ensemble([make({**options, "seed": seed}) for seed in seeds])


def joined(parts: Sequence[Joined]) -> Joined:
    """The model whose score is the mean of those of `parts`, which have the same shapes and epochs.

    Factors are set side by side and divided by √S on both sides; of biases the mean is taken. b(t) ⊙ β is a
    product, so what the mean of products has beyond the product of means goes into Δβ(t).

    Parameters
    ----------
    parts : sequence of FactorParameters
        One for each member.
    """
    size, first = len(parts), parts[0]
    found: dict[str, np.ndarray] = {}
    for name in first.arrays():
        arrays = [getattr(part, name) for part in parts]
        if name == "epoch_edges":
            continue
        if name in SCALED:
            beside = np.concatenate(arrays, axis=SCALED[name]).astype(np.float64)
            found[name] = (beside / np.sqrt(size)).astype(np.float32)
        elif name in WEIGHTS:
            found[name] = np.concatenate(arrays, axis=WEIGHTS[name])
        else:
            found[name] = np.stack(arrays).mean(axis=0, dtype=np.float64).astype(np.float32)
    if isinstance(first, TemporalParameters):
        styles = [
            one.visual_bias.astype(np.float64) * one.bias_weight + one.bias_drift
            for one in parts
            if isinstance(one, TemporalParameters)
        ]
        shared = found["visual_bias"].astype(np.float64) * found["bias_weight"]
        found["bias_drift"] = (np.mean(styles, axis=0) - shared).astype(np.float32)
    return replace(first, **found)


def share(parameters: Joined, member: int, size: int) -> Joined:
    """What a member begins with so that all of them together are `parameters`: the reverse of `joined`."""
    found = {}
    for name, axis in {**SCALED, **WEIGHTS}.items():
        array = getattr(parameters, name, None)
        if array is None:
            continue
        width = array.shape[axis] // size
        own = np.take(array, np.arange(member * width, (member + 1) * width), axis=axis)
        found[name] = own * np.float32(np.sqrt(size) if name in SCALED else 1.0)
    return replace(parameters, **found)


class Ensemble:
    """Learners of the same options but for their seeds, iterated, validated and stopped together.

    Parameters
    ----------
    members : sequence of Member
        At least two. Their tables are those of the ensemble, named ``NAME.m``.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self.kernels = members[0].kernels
        self.tables: Tables = self._tables()

    def _tables(self) -> Tables:
        return {
            f"{name}.{m}": table for m, one in enumerate(self.members) for name, table in one.tables.items()
        }

    def begin(self, start: Start) -> None:
        """Take over what `start` knows: each member its share."""
        known = start.parameters
        for m, member in enumerate(self.members):
            own = share(known, m, len(self.members)) if isinstance(known, FactorParameters) else known
            member.begin(replace(start, parameters=own))

    def attach(self, state: Any) -> bool:
        """Learn for this state, whose tables stay here."""
        return False

    def place(self) -> None:
        """Move the tables to where the kernels read them."""
        for member in self.members:
            member.place()
        self.tables = self._tables()

    def compile(self) -> None:
        """Compile what `iterate` needs."""
        self.members[0].compile()

    def iterate(self, iteration: int) -> Iteration:
        """Apply the triples of one iteration, from 1, to each member; epochs are cut for all at once."""
        done = [member.step(iteration) for member in self.members]
        self.members[0].settle(iteration, self.members, lambda: self.parameters(self.tables))
        return Iteration(
            sum(one.triples for one in done),
            sum(one.loss for one in done),
            sum(one.fallbacks for one in done),
            next((one.warning for one in done if one.warning), ""),
        )

    def parameters(self, tables: Tables) -> FactorParameters:
        """Those of all members, joined."""
        parts: list[Any] = []
        for m, member in enumerate(self.members):
            parts.append(member.parameters({name: tables[f"{name}.{m}"] for name in member.tables}))
        return joined(parts)

    def scorer(self, tables: Tables) -> Scorer:
        """Rank by the mean score."""
        return self.members[0].scorer_of(self.parameters(tables))
