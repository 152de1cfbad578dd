"""A fitted model for data that grew: what can be continued, and how (`Model.partial_fit`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.answers.views import Views
from ivbpr_numba.datasets.categories import category_codes
from ivbpr_numba.datasets.growing import Growth, growth_of
from ivbpr_numba.errors import DataError, IvbprError, UsageError, parameter
from ivbpr_numba.features.alignment import align, kept_scaling, project_style
from ivbpr_numba.features.record import FeatureRecord
from ivbpr_numba.models.growing import Grower, Moved, moved_rows, spread
from ivbpr_numba.models.learned import Learned
from ivbpr_numba.models.start import Start
from ivbpr_numba.parameters import (
    FactorParameters,
    PopularityParameters,
    TemporalParameters,
    VisualParameters,
)
from ivbpr_numba.wording import first_of

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset
    from ivbpr_numba.features.features import Features
    from ivbpr_numba.ids import Ids

__all__ = ["Update"]

ROWS = 4096  # of features that are compared at once
CLOSE = 1e-4  # of projections of unchanged features that another layout of their file may round otherwise


@dataclass(frozen=True)
class Update:
    """What an update starts from: the model, the data that grew, how, and the features of all items.

    Attributes
    ----------
    views : Views
        Of the model as it was.
    data : Dataset
    growth : Growth
    features : Features or None
    """

    views: Views
    data: Dataset
    growth: Growth
    features: Features | None

    @classmethod
    def of(cls, views: Views, data: Dataset, features: Features | None) -> Update:
        """Check that the model can be continued with these.

        Raises
        ------
        UsageError
            A model that can't be continued; features that are needed and not found.
        DataError
            Data that lack something of the model; features that lack an item, or are no longer those that
            the model knows.
        """
        fitted = views.fitted
        if not isinstance(fitted.parameters, PopularityParameters):
            raise UsageError(
                f"{fitted.name} learns nothing, and the score of a pair depends on the rows of both: there "
                "is nothing to go on from.",
                "Fit it anew.",
            )
        growth = growth_of(fitted.data, data)
        if fitted.features is None:
            return cls(views, data, growth, None)
        found = views.find_features() if features is None else features
        _refuse_changed(views, found)
        _refuse_lacking(found, data.items, growth)
        return cls(views, data, growth, found)

    def learned(self) -> tuple[Learned, Moved]:
        """New rows, and those that have new purchases, at their optimum; all else as it was."""
        fitted, rows = self.views.fitted, moved_rows(self.data, self.growth)
        old = fitted.parameters
        if not isinstance(old, FactorParameters):
            assert isinstance(old, PopularityParameters)
            counts = self.data.train_counts.astype(np.float32)
            return Learned(replace(old, item_bias=counts)), Moved(rows.users[:0], rows.items)
        category = None
        if isinstance(old, TemporalParameters) and old.category is not None:
            category, codes = category_codes(self.data)
            if old.category_bias is not None and codes != old.category_bias.shape[1]:
                raise DataError(
                    f"The data have {codes} sub-categories, the model knows {old.category_bias.shape[1]}.",
                    "Fit it anew, or leave the column 'category' of new items empty.",
                )
        grown = spread(old, self.growth, category)
        assert isinstance(grown, FactorParameters)
        known: dict[str, Any] = {"history": fitted.history}
        style = None
        if isinstance(grown, VisualParameters):
            assert self.features is not None and fitted.features is not None
            source = align(self.features, self.data.items)
            scaling = kept_scaling(source, fitted.features.scaling)
            moments = [grown]
            if isinstance(grown, TemporalParameters):
                moments = [grown.at(epoch) for epoch in range(len(grown.weight))]
            style = np.stack([project_style(one, source, scaling) for one in moments])
            record = FeatureRecord.of(self.features, scaling)
            known |= {"features": self.features, "source": source, "record": record}
        Grower(grown, fitted.config, self.data, style).move(rows)
        return Learned(grown, **known), rows

    def start(self, learned: Learned) -> Start:
        """What further training of everything begins with."""
        fitted, parameters = self.views.fitted, learned.parameters
        edges = parameters.epoch_edges if isinstance(parameters, TemporalParameters) else None
        scaling = None if fitted.features is None else fitted.features.scaling
        return Start(parameters, epoch_edges=edges, scaling=scaling)

    def facts(self, moved: Moved, full: bool) -> dict[str, Any]:
        """For the provenance: of which model, by what, and what moved."""
        growth = self.growth
        return {
            "of": self.views.fitted.payload_sha256,
            "full": full,
            "new_users": int(np.count_nonzero(growth.users < 0)),
            "new_items": int(np.count_nonzero(growth.items < 0)),
            "new_purchases": len(self.data.train) - len(self.views.fitted.data.train),
            "moved_users": len(self.data.users) if full else len(moved.users),
            "moved_items": len(self.data.items) if full else len(moved.items),
        }


def _refuse_lacking(features: Features, items: Ids, growth: Growth) -> None:
    missing = np.flatnonzero(features.rows(items) < 0)
    if len(missing):
        named = first_of(map(repr, items[missing[:3]]), len(missing))
        new = "new items" if (growth.items[missing] < 0).all() else "items"
        raise DataError(
            f"The features {features.path or '(in memory)'} have no row for {new}: {named}.",
            f"Give features of all items with {parameter('features')}, made as those of the fit; or leave "
            "out the purchases of these items.",
        )


def _refuse_changed(views: Views, features: Features) -> None:
    """Refuse features other than those of the fit with rows added."""
    record, items = views.fitted.features, views.fitted.data.items
    assert record is not None
    if features.payload_sha256 == record.sha256:
        return
    where = features.path or "(in memory)"
    hint = "Make them as those of the fit were made, for more items; or fit anew."
    if features.kind != record.kind:
        raise DataError(f"The features {where} are '{features.kind}', the model knows '{record.kind}'.", hint)
    if features.names != record.names:
        different = [a for a, b in zip(features.names, record.names) if a != b]
        first = f", the first other one is '{different[0]}'" if different else ""
        raise DataError(
            f"The features {where} have {len(features.names):,} columns, the model knows "
            f"{len(record.names):,}{first}.",
            hint,
        )
    if features.groups != record.groups:
        raise DataError(f"The features {where} are in other groups than those of the fit.", hint)
    rows = features.rows(items)
    lacking = np.flatnonzero(rows < 0)
    if len(lacking):
        raise DataError(
            f"The features {where} lack {len(lacking):,} items of the model, the first is "
            f"'{items[int(lacking[0])]}'.",
            hint,
        )
    changed = _changed_rows(views, features, rows)
    if len(changed):
        raise DataError(
            f"The features {where} have other values than those of the fit for {len(changed):,} items of the "
            f"model, the first is '{items[int(changed[0])]}': what was learned from them no longer holds.",
            hint,
        )


def _changed_rows(views: Views, features: Features, rows: np.ndarray) -> np.ndarray:
    """Items of the model with other values than in the old file, or else than the model keeps of it."""
    fitted = views.fitted
    record, items = fitted.features, fitted.data.items
    assert record is not None
    try:
        before: Features | None = views.found if views.found is not None else record.find()
    except IvbprError:  # the new file often stands where the old one was
        before = None
    if before is not None:
        old, found = before.rows_of_all(items), []
        for begin in range(0, len(rows), ROWS):
            part = slice(begin, begin + ROWS)
            same = (before.values(old[part]) == features.values(rows[part])).all(axis=1)
            found.append(begin + np.flatnonzero(~same))
        return np.concatenate(found)
    if views.style is None:
        raise UsageError(
            "The features of the fit are not there any more, so nobody can tell whether the new ones agree.",
            f"Put them back to {record.path or 'a file'}, or fit anew.",
        )
    parameters = fitted.parameters
    assert isinstance(parameters, VisualParameters)
    source = align(features, items)
    worst = np.zeros(len(items))
    for epoch, kept in enumerate(views.style):
        now = parameters.at(epoch) if isinstance(parameters, TemporalParameters) else parameters
        gap = np.abs(project_style(now, source, record.scaling) - kept)
        worst = np.maximum(worst, (gap / (np.abs(kept).max(axis=0) + 1e-30)).max(axis=1))
    return np.flatnonzero(worst > CLOSE)
