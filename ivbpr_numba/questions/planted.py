"""Do the reasons that a model gives agree with the reasons that a built-in world planted?

Learned and planted contributions are compared as people see them: centred within exclusive groups (model
specification 7), so that both say "compared with the average item of this catalogue". A model may have seen
the attributes themselves or a network's probabilities of them. Its contribution of an attribute is then its
taste times the probability; the planted one is the planted taste where the item really has the attribute, and
nothing where it has not, whatever the network saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.answers.explaining import Sensitivities, sensitivities
from ivbpr_numba.errors import UsageError
from ivbpr_numba.parameters import VisualParameters
from ivbpr_numba.worlds.catalogue import TAGS

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.ids import Ids
    from ivbpr_numba.models.base import Model
    from ivbpr_numba.worlds.truth import Truth

__all__ = ["Agreement", "PlantedTaste", "agreement", "faithful", "noteworthy"]

PAIRS = 2000
SEEN = 0.5  # a probability from which on an attribute counts as seen


class PlantedTaste:
    """A world's taste for attributes in the columns of a feature file, centred as learned taste is.

    Parameters
    ----------
    truth : Truth
    features : Features
        Attributes made from the world's catalogue, or probabilities of them.
    items : Ids
        The catalogue whose average item is the zero of every exclusive group.

    Attributes
    ----------
    has : (I, F) float64
        1 where an item of `items` really has the attribute of a column.
    """

    def __init__(self, truth: Truth, features: Features, items: Ids) -> None:
        planted = [_short(name) for name in truth.attributes.names]
        self.truth = truth
        self.groups = features.groups
        self.columns = np.array([planted.index(_short(name)) for name in features.names])
        rows = truth.items.find(items.values)
        self.has = truth.attributes.dense(rows)[:, self.columns].astype(np.float64)
        self.mean = self.has.mean(axis=0)

    def sensitivities(self, world_row: int) -> Sensitivities:
        """Centred taste of one shopper, by the row in the world: ``you`` by a_u P, ``everyone`` by q."""
        you = (self.truth.taste[world_row] @ self.truth.taste_map)[self.columns]
        everyone = self.truth.styles(None)[self.columns]
        return Sensitivities(you, everyone, self._centre(you) + self._centre(everyone), 0.0)

    def styles(self) -> np.ndarray:
        """Centred q of every true epoch, (N, F)."""
        found = np.ascontiguousarray(self.truth.style[:, self.columns])
        for values in found:
            self._centre(values)
        return found

    def _centre(self, values: np.ndarray) -> np.ndarray:
        """Take the level of each exclusive group out of `values` in place; returns the levels."""
        level = np.zeros(len(self.groups))
        for g, group in enumerate(self.groups):
            part = slice(group.offset, group.offset + group.size)
            weight = self.mean[part].sum()
            if group.exclusive and weight > 0:
                level[g] = self.mean[part] @ values[part] / weight
                values[part] -= level[g]
        return level


@dataclass(frozen=True)
class Agreement:
    """Learned and planted contributions of the attributes that drawn items have, or were seen to have.

    Attributes
    ----------
    learned, planted : (n,) float64
        Contributions of all these attributes, pair after pair.
    of_pair : (n,) int64
        Number of the pair of user and item that each belongs to.
    wins, asked : int
        Pairs in which the attribute with the top learned contribution has a larger planted one than another
        attribute that the item has, drawn at random; pairs with such another one.
    """

    learned: np.ndarray
    planted: np.ndarray
    of_pair: np.ndarray
    wins: int
    asked: int

    @property
    def correlation(self) -> float:
        """Pearson's."""
        return float(np.corrcoef(self.learned, self.planted)[0, 1])

    @property
    def top_beats_random(self) -> float:
        """Share of the pairs in which the top learned attribute matters more in truth than a random one."""
        return self.wins / self.asked


def agreement(truth: Truth, model: Model, features: Features, pairs: int = PAIRS, seed: int = 0) -> Agreement:
    """Compare contributions over random pairs of the model's users and items.

    Parameters
    ----------
    truth : Truth
        Of the world whose purchases the model learned from.
    model : Model
        A visual model fitted to `features`.
    features : Features
    pairs : int
    seed : int
        Of the pairs, and of the attribute that the top one is compared with.

    Raises
    ------
    UsageError
        The model has no taste for attributes.
    """
    parameters, record, data = model.parameters_, model.features_, model.data_
    if not isinstance(parameters, VisualParameters) or record is None:
        raise UsageError(f"{model.name} knows no attributes.", "Ask i-vbpr.")
    rng = np.random.default_rng(seed)
    planted_taste = PlantedTaste(truth, features, data.items)
    world_row = truth.users.find(data.users.values)
    values = features.values(features.rows_of_all(data.items)).astype(np.float64)
    learned, planted, of_pair = [], [], []
    wins = asked = 0
    for n, u in enumerate(rng.integers(0, len(data.users), pairs).tolist()):
        i = int(rng.integers(0, len(data.items)))
        has = planted_taste.has[i]
        ours = sensitivities(parameters, record, parameters.user_visual[u]).centred * values[i]
        theirs = planted_taste.sensitivities(int(world_row[u])).centred * has
        present = np.flatnonzero(noteworthy(has, values[i]))
        learned.append(ours[present])
        planted.append(theirs[present])
        of_pair.append(np.full(len(present), n))
        named = np.flatnonzero(values[i])
        top = int(named[np.argmax(ours[named])]) if len(named) else -1
        others = np.flatnonzero(has)
        others = others[others != top]
        if top >= 0 and len(others):
            wins += bool(theirs[top] > theirs[rng.choice(others)])
            asked += 1
    return Agreement(np.concatenate(learned), np.concatenate(planted), np.concatenate(of_pair), wins, asked)


def noteworthy(has: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Attributes that an item has, or that were seen with a probability of at least one half."""
    return (has > 0) | (values >= SEEN)


def faithful(
    truth: Truth, model: Model, features: Features, pairs: int = PAIRS, seed: int = 0
) -> dict[str, float]:
    """Two figures of `agreement`: ``correlation`` and ``top_beats_random``."""
    found = agreement(truth, model, features, pairs, seed)
    return {"correlation": found.correlation, "top_beats_random": found.top_beats_random}


def _short(name: str) -> str:
    """Tags are named with or without their group, as the feature file was made."""
    return name.removeprefix(f"{TAGS}=")
