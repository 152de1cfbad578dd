"""Why a score is what it is: one term per attribute, centred so that it means something (specification 7).

In an exclusive group the values of every item sum to one, so a constant added to all its sensitivities
changes no comparison. What people see is therefore the sensitivity compared with the catalogue's average
item; the constant that was taken out is the group's *level*, the same for all items that have the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.parameters import FactorParameters, Parameters, PopularityParameters, VisualParameters

if TYPE_CHECKING:
    from ivbpr_numba.features.record import FeatureRecord

__all__ = ["Centred", "Sensitivities", "by_taste", "sensitivities", "terms_of"]


ALL = 1e-3  # an item's share in a complete group is within this of 1


@dataclass(frozen=True)
class Sensitivities:
    """How one user's score answers to the stored values v of an item, all float64.

    Attributes
    ----------
    you, everyone : (F,)
        Centred parts by θ_u and by β; their sum is s̃.
    level : (G,)
        c_g of each exclusive group, 0 for the others.
    offset : float
        −Σ_k s_k shift_k: the same for every item.
    """

    you: np.ndarray
    everyone: np.ndarray
    level: np.ndarray
    offset: float

    @property
    def centred(self) -> np.ndarray:
        """s̃ (F,)."""
        return self.you + self.everyone


@dataclass(frozen=True)
class Centred:
    """What E and β say of each column, centred within exclusive groups: s̃ is linear in θ_u, all float64.

    Attributes
    ----------
    taste : (D, F)
        What meets θ_u.
    common : (F,)
        By β.
    level_taste, level_common : (D, G), (G,)
        What was taken out of the columns of each exclusive group, 0 for the others.
    offset_taste, offset_common : (D,), float
        −Σ_k s_k shift_k.
    """

    taste: np.ndarray
    common: np.ndarray
    level_taste: np.ndarray
    level_common: np.ndarray
    offset_taste: np.ndarray
    offset_common: float

    @classmethod
    def of(cls, parameters: VisualParameters, record: FeatureRecord) -> Centred:
        """Centre the sensitivities s_k = (θ_u · E_k + β_k) · multiplier_k of all users."""
        scaling = record.scaling
        multiplier, mean = scaling.multiplier.astype(np.float64), scaling.mean.astype(np.float64)
        taste = parameters.embedding.astype(np.float64) * multiplier
        common = parameters.visual_bias.astype(np.float64) * multiplier
        shift = scaling.shift.astype(np.float64)
        offset_taste, offset_common = -(taste * shift).sum(axis=1), -float((common * shift).sum())
        level_taste, level_common = np.zeros((len(taste), len(record.groups))), np.zeros(len(record.groups))
        for g, group in enumerate(record.groups):
            part = slice(group.offset, group.offset + group.size)
            weight = mean[part].sum()
            if group.exclusive and weight > 0:
                for values, level in ((taste, level_taste), (common, level_common)):
                    level[..., g] = (values[..., part] * mean[part]).sum(axis=-1) / weight
                    values[..., part] -= level[..., g, None]
        return cls(taste, common, level_taste, level_common, offset_taste, offset_common)

    def of_user(self, theta: np.ndarray) -> Sensitivities:
        """s̃ of the user θ_u (D,), stored or steered."""
        you = by_taste(theta, self.taste)
        level = by_taste(theta, self.level_taste) + self.level_common
        offset = float(by_taste(theta, self.offset_taste)) + self.offset_common
        return Sensitivities(you, self.common, level, offset)


def by_taste(theta: np.ndarray, taste: np.ndarray) -> np.ndarray:
    """Σ_d θ_d taste_d, for θ (…, D) and taste (D, …) whose entries meet.

    Summed by row, without BLAS: the same bits for any number of threads, users and columns.
    """
    found: np.ndarray = np.zeros(np.broadcast_shapes(theta[..., 0].shape, taste[0].shape))
    for d, row in enumerate(taste):
        found += theta[..., d].astype(np.float64) * row
    return found


def sensitivities(parameters: VisualParameters, record: FeatureRecord, theta: np.ndarray) -> Sensitivities:
    """s̃ of a user: s_k = (θ_u · E_k + β_k) · multiplier_k, centred within exclusive groups.

    Parameters
    ----------
    parameters : VisualParameters
    record : FeatureRecord
    theta : (D,)
        θ_u, stored or steered.
    """
    return Centred.of(parameters, record).of_user(theta)


def terms_of(
    parameters: Parameters,
    latent: np.ndarray,
    item_row: int,
    record: FeatureRecord | None = None,
    felt: Sensitivities | None = None,
    values: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """The terms of x̂_ui, which sum to it.

    Parameters
    ----------
    parameters : Parameters
    latent : (K,)
        γ_u, stored or folded in.
    item_row : int
    record, felt, values : FeatureRecord, Sensitivities, (F,)
        For visual models: their features, how the user's score answers to them, and the item's stored
        values times scale.

    Returns
    -------
    list of dict
        ``term kind contribution``; attributes also ``you`` and ``everyone``, levels ``every_item``: whether
        the term is the same for every item, so that it changes no ranking, or only for those that have the
        group. Item bias and latent part first, attributes by the size of their contribution, levels last.
    """
    terms: list[dict[str, Any]] = []
    if isinstance(parameters, PopularityParameters):
        terms.append(_term("item bias", "item bias", float(parameters.item_bias[item_row])))
    if isinstance(parameters, FactorParameters) and len(latent):
        product = latent.astype(np.float64) * parameters.item_factors[item_row]
        terms.append(_term("latent", "latent", float(product.sum())))
    if record is None or felt is None or values is None:
        return terms
    v = values.astype(np.float64)
    you, everyone = felt.you * v, felt.everyone * v
    size = np.abs(you + everyone)
    present = np.flatnonzero(v)
    for k in present[np.argsort(-size[present], kind="stable")].tolist():
        term = _term(record.names[k], "attribute", float(you[k] + everyone[k]))
        terms.append({**term, "you": float(you[k]), "everyone": float(everyone[k])})
    mean = record.scaling.mean.astype(np.float64)
    for group, level in zip(record.groups, felt.level.tolist()):
        part = slice(group.offset, group.offset + group.size)
        share = float(v[part].sum())
        if level and share:
            complete = bool(abs(mean[part].sum() - 1) < ALL)
            terms.append({**_term(group.name, "level", level * share), "every_item": complete})
    if felt.offset:
        terms.append({**_term("offset", "level", felt.offset), "every_item": True})
    return terms


def _term(name: str, kind: str, contribution: float) -> dict[str, Any]:
    return {"term": name, "kind": kind, "contribution": contribution}
