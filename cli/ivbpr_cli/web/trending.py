"""Trends for the page: the document of ``ivbpr trends`` without refits, and items that show each."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import Any

from ivbpr_cli.web.refusals import Refused
from ivbpr_numba.documents.models import trends
from ivbpr_numba.documents.shop import Shop
from ivbpr_numba.features.describing import examples
from ivbpr_numba.parameters import TemporalParameters
from ivbpr_numba.questions.overlaps import overlapping
from ivbpr_numba.questions.trends import measure

__all__ = ["Trending"]

KEPT = 200
EXAMPLES = 4


class Trending:
    """Trends that were asked for, kept for the next visitor."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._made: OrderedDict[Any, Any] = OrderedDict()

    @cached_property
    def _overlaps(self) -> list[list[int]] | None:
        """What overlaps with each attribute; of two that do only one is shown unasked."""
        features = self._shop.features
        return None if features is None else overlapping(features, self._shop.data.items)

    def of(
        self, features: tuple[str, ...], top: int
    ) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        """The document, and example items by attribute.

        Raises
        ------
        Refused
            404: the model knows no time.
        UsageError
            An unknown attribute.
        """
        if not isinstance(self._shop.model.parameters_, TemporalParameters):
            raise Refused(
                404,
                f"{self._shop.model.name} knows no time, so it has no trends.",
                "Serve a model that was fitted with --model i-tvbpr.",
            )
        asked = (features, None if features else top)
        if asked not in self._made:
            found = measure(self._shop.model, features or None, top=asked[1], fits=0, overlaps=self._overlaps)
            shown = {name: self._examples(name) for name in found.features}
            self._made[asked] = trends(found).as_dict(), shown
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(asked)
        found, shown = self._made[asked]
        return found, shown

    def _examples(self, name: str) -> list[dict[str, Any]]:
        if self._shop.features is None:
            return []
        known = self._shop.data.items
        rows = examples(self._shop.features, name, 20 * EXAMPLES)
        return [row for row in rows if row["item"] in known][:EXAMPLES]
