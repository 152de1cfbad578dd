"""Constructor arguments that models share, in scikit-learn's manner: stored, and checked by `fit`.

None means: as the preset says. Models are compared by identity and show only what was given, hence neither
``eq`` nor ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LearningOptions", "RunOptions", "TimeOptions", "VisualOptions"]


@dataclass(kw_only=True, eq=False, repr=False)
class RunOptions:
    """Of every model."""

    preset: str | None = None
    seed: int | None = None
    threads: int | None = None
    device: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class LearningOptions(RunOptions):
    """Of every model that learns."""

    factors: int | None = None
    init: str | None = None
    learning_rate: float | None = None
    lambda_theta: float | str | None = None
    lambda_bias: float | None = None
    negatives: str | None = None
    sampling: str | None = None
    average: float | None = None
    iterations: int | None = None
    eval_every: int | None = None
    patience: int | None = None
    valid_users: int | str | None = None
    update: str | None = None
    ensemble: int | None = None
    parts: int | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class VisualOptions(LearningOptions):
    """Of every model that learns from features."""

    visual_factors: int | None = None
    visual_rate: float | str | None = None
    lambda_visual: float | None = None
    reg_scope: str | None = None
    feature_scaling: str | None = None
    block: int | str | None = None
    kind: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class TimeOptions(VisualOptions):
    """Of every model in time."""

    epochs: int | str | None = None
    bins: int | None = None
    bin_type: str | None = None
    segment_on: str | None = None
    segment_negatives: int | None = None
    segment_every: int | None = None
    temporal_init: str | None = None
    item_drift: bool | None = None
