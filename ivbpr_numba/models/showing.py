"""A model at a glance, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model

__all__ = ["at_a_glance"]


def at_a_glance(model: Model) -> dict[str, str]:
    """Name, the options that were given, what it was fitted to, and its AUC with standard errors."""
    given = {name: value for name, value in model.get_params().items() if value is not None}
    found = {"model": model.name}
    if given:
        found["options"] = ", ".join(f"{name}={value!r}" for name, value in given.items())
    fitted = model.__dict__.get("fitted_")
    if fitted is None:
        return {**found, "fitted": "no"}
    found["fitted to"] = f"{len(fitted.data.users):,} users, {len(fitted.data.items):,} items"
    if fitted.features is not None:
        found["features"] = f"{len(fitted.features.names):,} of the kind {fitted.features.kind}"
    for split, settings in fitted.metrics.items():
        shown = (f"{setting} {_auc(result)}" for setting, result in settings.items())
        found[f"AUC, {split}"] = ", ".join(shown)
    return found


def _auc(result: Mapping[str, Any]) -> str:
    if result["auc"] is None:
        return "–"
    return f"{result['auc']:.4f}" + ("" if result["stderr"] is None else f" ± {result['stderr']:.4f}")
