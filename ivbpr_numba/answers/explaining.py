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

__all__ = ["Sensitivities", "sensitivities", "terms_of"]


ALL = 1e-3  # an item's share in a complete group is within this of 1


@dataclass(frozen=True)
class Sensitivities:
    """How the scores of one user, or of m, answer to the stored values v of an item, all float64.

    Attributes
    ----------
    you : (F,) or (m, F)
        Centred parts by θ_u.
    everyone : (F,)
        Centred parts by β; the sum of both is s̃.
    level : (G,) or (m, G)
        c_g of each exclusive group, 0 for the others.
    offset : () or (m,)
        −Σ_k s_k shift_k: the same for every item.
    """

    you: np.ndarray
    everyone: np.ndarray
    level: np.ndarray
    offset: np.ndarray | float

    @property
    def centred(self) -> np.ndarray:
        """s̃, (F,) or (m, F)."""
        return self.you + self.everyone


def sensitivities(parameters: VisualParameters, record: FeatureRecord, theta: np.ndarray) -> Sensitivities:
    """s̃ of users: s_k = (θ_u · E_k + β_k) · multiplier_k, centred within exclusive groups.

    Parameters
    ----------
    parameters : VisualParameters
    record : FeatureRecord
    theta : (D,) or (m, D)
        θ_u, stored or steered, of one user or of several; the bits of each are the same.
    """
    multiplier = record.scaling.multiplier.astype(np.float64)
    theta = theta.astype(np.float64)
    # Summed by row, without BLAS: the same bits for any number of threads and of users.
    you = np.zeros((*theta.shape[:-1], len(multiplier)))
    for d, row in enumerate(parameters.embedding.astype(np.float64)):
        you += theta[..., d, None] * row
    you *= multiplier
    everyone = parameters.visual_bias.astype(np.float64) * multiplier
    offset = -((you + everyone) * record.scaling.shift.astype(np.float64)).sum(axis=-1)
    level = np.zeros((*theta.shape[:-1], len(record.groups)))
    mean = record.scaling.mean.astype(np.float64)
    for g, group in enumerate(record.groups):
        part = slice(group.offset, group.offset + group.size)
        weight = mean[part].sum()
        if group.exclusive and weight > 0:
            for values in (you, everyone):
                centre = (mean[part] * values[..., part]).sum(axis=-1) / weight
                values[..., part] -= centre[..., None]
                level[..., g] += centre
    return Sensitivities(you, everyone, level, offset)


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
        terms.append({**_term("offset", "level", float(felt.offset)), "every_item": True})
    return terms


def _term(name: str, kind: str, contribution: float) -> dict[str, Any]:
    return {"term": name, "kind": kind, "contribution": contribution}
