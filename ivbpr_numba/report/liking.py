"""What a shop likes: the mean taste of its shoppers for each attribute, and where their tastes differ most.

The mean over shoppers of θ_u · E_k + β_k, centred within exclusive groups, is what the fit identifies; β_k
alone is not, as a vector moved from all θ_u into β scores alike (model specification 7 and 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.explaining import sensitivities
from ivbpr_numba.parameters import TemporalParameters, VisualParameters
from ivbpr_numba.report.numbers import named

if TYPE_CHECKING:
    from ivbpr_numba.report.subject import Subject

__all__ = ["liking"]

MIN_SHARE, MIN_ITEMS = 0.01, 5  # of the items must have an attribute that is shown, as in the trends
EACH = 3  # most and least liked attributes of a group that are drawn
SPREAD = 8  # attributes that shoppers differ about most


def liking(subject: Subject) -> dict[str, Any]:
    """Mean and spread of the tastes for the attributes of the page's model.

    Returns
    -------
    dict
        ``groups``: ``name shown all``, rows of ``term mean spread share``, the most liked first; ``spread``:
        the rows of the largest spread; ``left_out``: how many attributes too few products have; ``late``:
        whether it is the taste of a last epoch.
    """
    one = subject.first
    parameters, record = one.model.parameters_, one.model.features_
    assert isinstance(parameters, VisualParameters) and record is not None
    late = isinstance(parameters, TemporalParameters)
    if isinstance(parameters, TemporalParameters):
        parameters = parameters.at(len(parameters.weight) - 1)
    theta = parameters.user_visual.astype(np.float64)
    middle = theta.mean(axis=0)
    mean = sensitivities(parameters, record, middle).centred
    own = np.stack([sensitivities(parameters, record, axis).you for axis in np.eye(theta.shape[1])])
    # `you` is linear in θ, so its variance over shoppers is a quadratic form of the covariance of θ.
    apart = theta - middle
    covariance = (apart[:, :, None] * apart[:, None, :]).mean(axis=0)
    spread = np.sqrt(np.maximum((own * (covariance[:, :, None] * own[None]).sum(axis=1)).sum(axis=0), 0.0))
    share = record.scaling.mean.astype(np.float64)
    kept = share * len(subject.data.items) >= max(MIN_ITEMS, MIN_SHARE * len(subject.data.items))
    rows = [
        {"term": name, "mean": float(mean[k]), "spread": float(spread[k]), "share": float(share[k])}
        for k, name in enumerate(record.names)
    ]
    groups = []
    for group in record.groups:
        columns = [k for k in range(group.offset, group.offset + group.size) if kept[k]]
        ordered = [rows[k] for k in sorted(columns, key=lambda k: (-mean[k], k))]
        if len(ordered) > 1:
            shown = ordered if len(ordered) <= 2 * EACH else [*ordered[:EACH], *ordered[-EACH:]]
            groups.append({"name": group.name, "shown": shown, "all": ordered})
    most = sorted(np.flatnonzero(kept).tolist(), key=lambda k: (-spread[k], k))[:SPREAD]
    return {
        "groups": groups,
        "spread": [rows[k] for k in most],
        "left_out": int((~kept).sum()),
        "late": late,
        "example": named(rows[most[0]]["term"])[0] if most else "",
    }
