"""Which of the feature files that were named belongs to which model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ivbpr_numba.errors import DataError

if TYPE_CHECKING:
    from ivbpr_numba.features.features import Features

__all__ = ["own_features"]


def own_features(
    models: Sequence[Any], given: Sequence[Features], spare: bool = False
) -> list[Features | None]:
    """For each model those that it was fitted to, by their digest.

    Parameters
    ----------
    models : sequence of models
    given : sequence of Features
    spare : bool
        Whether some may belong to none of them.

    Returns
    -------
    list of Features or None
        None for a model that uses none, or that has to find its own where it remembers them.

    Raises
    ------
    DataError
        Features that belong to none of the models.
    """
    records = [getattr(model, "features_", None) for model in models]
    by_digest = {features.payload_sha256: features for features in given}
    known = [record for record in records if record is not None]
    for digest, features in by_digest.items():
        if spare or digest in [record.sha256 for record in known]:
            continue
        if len(known) == 1:
            known[0].find(features)  # says what they are and what they should be
        raise DataError(
            f"{features.path or 'The features in memory'}: these are the features of none of the models.",
            "Name those of the fits, or leave them out: models know where theirs are.",
        )
    return [None if record is None else by_digest.get(record.sha256) for record in records]
