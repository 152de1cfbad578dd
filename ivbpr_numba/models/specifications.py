"""One specification per model: its name, learned arrays, kind of features, and defaults by preset.

The defaults are the table of model specification 2.7, amended where measurement spoke
(benchmarks/ABLATION.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivbpr_numba.parameters import (
    FactorParameters,
    Parameters,
    PopularityParameters,
    TemporalParameters,
    VisualParameters,
)

__all__ = ["MODELS", "PRESETS", "SPECIFICATIONS", "Specification"]

PRESETS = ("default", "paper", "mymedialite")

Options = dict[str, Any]


@dataclass(frozen=True)
class Specification:
    """What the rest of the program needs to know of a model by its name.

    Attributes
    ----------
    name : str
        As on the command line.
    parameters : type
        Its learned arrays.
    presets : dict of str to dict
        Options with their values, for each preset that exists for it; options it doesn't have are absent.
        Where the value depends on what the features are learned as (see `features.alignment.learned_as`), it
        is a dict.
    kind : str or None
        ``dense``, ``attributes``: features that it needs; None: it uses none.
    ignored : tuple of str
        Options that every model accepts and that mean nothing to this one.
    """

    name: str
    parameters: type[Parameters]
    presets: dict[str, Options]
    kind: str | None = None
    ignored: tuple[str, ...] = ()


_COMMON = {"sampling": "users", "update": "ordered", "ensemble": 1, "parts": 1, "seed": 0}
_MYMEDIALITE = {
    **_COMMON,
    "factors": 10,
    "init": "normal",
    "learning_rate": 0.05,
    "lambda_theta": 0.0025,
    "lambda_bias": 0.0,
    "negatives": "uniform",
    "average": 0.0,
    "iterations": 30,
    "eval_every": None,
    "patience": None,
    "valid_users": "auto",
}
_MF = {
    **_MYMEDIALITE,
    "sampling": "interactions",
    "learning_rate": 0.2,
    "lambda_theta": "auto",
    "lambda_bias": 0.1,
    "negatives": "trained",
    "average": 0.9,
    "iterations": 600,
    "eval_every": 5,
    "patience": 200,
}
# The scaling depends on the kind of features. λ_visual does not: it acts by squared differences.
_VISUAL = {
    **_COMMON,
    "sampling": "interactions",
    "block": "auto",
    "reg_scope": "all",
    "factors": 10,
    "visual_factors": 40,
    "init": "normal",
    "learning_rate": 0.1,
    "visual_rate": "auto",
    "lambda_theta": 0.1,
    "lambda_visual": 0.01,
    "lambda_bias": 0.1,
    "negatives": "trained",
    "average": 0.9,
    "feature_scaling": {"attributes": "none", "probabilities": "standard", "dense": "standard"},
    "iterations": 400,
    "eval_every": 5,
    "patience": 100,
    "valid_users": "auto",
}
_VISUAL_PAPER = {
    **_VISUAL,
    **_COMMON,
    "visual_factors": 10,
    "init": "uniform01",
    "learning_rate": 0.005,
    "visual_rate": 1.0,
    "lambda_theta": 5.0,
    "lambda_visual": 0.0,
    "lambda_bias": 0.0,
    "negatives": "uniform",
    "average": 0.0,
    "feature_scaling": {"attributes": "none", "probabilities": "none", "dense": "max"},
    "iterations": 1000,
    "eval_every": 20,
    "patience": 20,
}
_TEMPORAL = {
    **_VISUAL,
    "temporal_init": "shared",
    "epochs": 5,
    "bins": 80,
    "bin_type": "width",
    "segment_on": "train",
    "segment_negatives": 10,
    "segment_every": 10,
    "item_drift": False,
}
_TEMPORAL_PAPER = {
    **_TEMPORAL,
    **_VISUAL_PAPER,
    "temporal_init": "paper",
    "epochs": 10,
    "segment_on": "valid",
    "segment_negatives": 1000,
    "segment_every": 100,
    "iterations": 2000,
    "eval_every": 100,
    "patience": 100,
}
_MM = {"margin": 1.0, "learning_rate": 0.1}
_MM_MYMEDIALITE = {"margin": 0.0, "learning_rate": 0.1}


def _everywhere(options: Options) -> dict[str, Options]:
    return {"default": options, "paper": options}


_MM_TABLES = {**_MYMEDIALITE, **_MM_MYMEDIALITE}
_FACTOR = {"default": _MF, "paper": _MYMEDIALITE, "mymedialite": _MYMEDIALITE}
_HINGE = {"default": {**_MF, **_MM}, "paper": _MM_TABLES, "mymedialite": _MM_TABLES}
_STILL = {"default": _VISUAL, "paper": _VISUAL_PAPER}
_DRIFTING = {"default": _TEMPORAL, "paper": _TEMPORAL_PAPER}

SPECIFICATIONS = {
    one.name: one
    for one in (
        Specification("rand", Parameters, _everywhere({"seed": 0})),
        Specification("pop", PopularityParameters, _everywhere({}), ignored=("seed",)),
        Specification("mm-mf", FactorParameters, _HINGE),
        Specification("bpr-mf", FactorParameters, _FACTOR),
        Specification("vbpr", VisualParameters, _STILL, "dense"),
        Specification("i-vbpr", VisualParameters, _STILL, "attributes"),
        Specification("tvbpr", TemporalParameters, _DRIFTING, "dense"),
        Specification("i-tvbpr", TemporalParameters, _DRIFTING, "attributes"),
    )
}
MODELS = tuple(SPECIFICATIONS)
