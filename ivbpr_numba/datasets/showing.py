"""A dataset at a glance, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ivbpr_numba.notebook import facts_as_html

if TYPE_CHECKING:
    from ivbpr_numba.datasets.dataset import Dataset

__all__ = ["as_html", "at_a_glance"]


def at_a_glance(data: Dataset) -> dict[str, str]:
    """Sizes, the split, the span of the times, and the item columns, by name."""
    parts = (data.train, data.valid, data.test)
    found = {
        "users": f"{len(data.users):,}",
        "items": f"{len(data.items):,}",
        "train / valid / test": " / ".join(f"{len(part):,}" for part in parts),
    }
    if "split" in data.source:
        seed = data.source.get("seed")
        found["split"] = str(data.source["split"]) + ("" if seed is None else f", seed {seed}")
    times = np.concatenate([part.times for part in parts])
    if data.has_times and len(times):
        days = np.array([times.min(), times.max()]).astype("datetime64[s]").astype("datetime64[D]")
        found["times"] = f"{days[0]} to {days[1]}"
    if data.item_columns:
        found["item columns"] = ", ".join(data.item_columns)
    return found


def as_html(data: Dataset) -> str:
    """The same as a small table."""
    return facts_as_html("Dataset", at_a_glance(data))
