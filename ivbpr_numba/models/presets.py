"""Options of every model: their defaults by preset, and the checks of what a user sets.

The table is model specification 2.7. `PRESETS[preset][model]` holds what the preset fixes; options a
model doesn't have are absent and refused when set.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ivbpr_numba.errors import UsageError, did_you_mean

__all__ = ["MODELS", "RUN_OPTIONS", "check_model", "flag", "refuse_option", "resolve"]

MODELS = ("rand", "pop", "mm-mf", "bpr-mf", "vbpr", "i-vbpr", "tvbpr", "i-tvbpr")

_COMMON = {"sampling": "users", "update": "ordered", "seed": 0}
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
}
_MF = {
    **_MYMEDIALITE,
    "lambda_theta": 0.03,
    "lambda_bias": 0.05,
    "negatives": "trained",
    "average": 0.9,
    "iterations": 300,
    "eval_every": 5,
    "patience": 30,
}
# What depends on the kind of features is given for each: attributes say more about an item than one column of
# a network does, so that E and β bear a stronger penalty.
_VISUAL = {
    **_COMMON,
    "block": "auto",
    "reg_scope": "all",
    "factors": 10,
    "visual_factors": 10,
    "init": "normal",
    "learning_rate": 0.01,
    "lambda_theta": 0.3,
    "lambda_visual": {"attributes": 0.003, "probabilities": 0.001, "dense": 0.001},
    "lambda_bias": 0.1,
    "negatives": "trained",
    "average": 0.9,
    "feature_scaling": {"attributes": "none", "probabilities": "standard", "dense": "standard"},
    "iterations": 300,
    "eval_every": 5,
    "patience": 40,
}
_VISUAL_PAPER = {
    **_VISUAL,
    "init": "uniform01",
    "learning_rate": 0.005,
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
    "lambda_visual": {"attributes": 0.005, "probabilities": 0.003, "dense": 0.003},
    "lambda_bias": 0.0,
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
_MM = {"margin": 1.0}
_MM_MYMEDIALITE = {"margin": 0.0, "learning_rate": 0.1}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {
        "rand": {"seed": 0},
        "pop": {},
        "mm-mf": {**_MF, **_MM},
        "bpr-mf": _MF,
        "vbpr": _VISUAL,
        "i-vbpr": _VISUAL,
        "tvbpr": _TEMPORAL,
        "i-tvbpr": _TEMPORAL,
    },
    "paper": {
        "rand": {"seed": 0},
        "pop": {},
        "mm-mf": {**_MYMEDIALITE, **_MM_MYMEDIALITE},
        "bpr-mf": _MYMEDIALITE,
        "vbpr": _VISUAL_PAPER,
        "i-vbpr": _VISUAL_PAPER,
        "tvbpr": _TEMPORAL_PAPER,
        "i-tvbpr": _TEMPORAL_PAPER,
    },
    "mymedialite": {
        "mm-mf": {**_MYMEDIALITE, **_MM_MYMEDIALITE},
        "bpr-mf": _MYMEDIALITE,
    },
}

# Options of how a fit runs, not of what it learns: they never enter a digest.
RUN_OPTIONS = {"threads": None, "device": "cpu"}

_CHOICES = {
    "init": ("normal", "uniform01"),
    "reg_scope": ("all", "user_visual"),
    "negatives": ("uniform", "trained", "popularity"),
    "sampling": ("users", "interactions"),
    "feature_scaling": ("none", "max", "standard", "idf"),
    "update": ("ordered", "hogwild"),
    "temporal_init": ("shared", "paper"),
    "bin_type": ("width", "quantile"),
    "segment_on": ("train", "valid"),
}
_POSITIVE_INTEGERS = (
    *("iterations", "eval_every", "patience", "threads", "visual_factors"),
    *("epochs", "bins", "segment_negatives", "segment_every"),
)
_NON_NEGATIVE_NUMBERS = ("lambda_theta", "lambda_visual", "lambda_bias", "margin")


def flag(option: str) -> str:
    """Spelling of an option on the command line, for messages."""
    return "--" + option.replace("_", "-")


def check_model(name: str) -> None:
    """Refuse a model that does not exist."""
    if name not in MODELS:
        hint = did_you_mean(name, MODELS) or f"Known: {', '.join(MODELS)}."
        raise UsageError(f"Unknown model '{name}'.", hint)


def refuse_option(option: str, model: str, known: Iterable[str]) -> UsageError:
    """The error about an option that a model does not have."""
    options = sorted(known)
    hint = did_you_mean(option, options) or f"Options of {model}: {', '.join(map(flag, options))}."
    return UsageError(f"{flag(option)} does not apply to {model}.", hint)


def _integer(option: str, value: Any, low: int, high: int) -> int:
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or not low <= whole <= high:
        raise UsageError(
            f"{flag(option)} {value!r}: it must be a whole number from {low} to {high}.", "Mend the value."
        )
    return whole


def _checked(option: str, value: Any) -> Any:
    """One option's value in its own type; an unusable one is an error that names the option."""
    shown = f"{flag(option)} {value!r}"
    if option in _CHOICES:
        if value not in _CHOICES[option]:
            choices = ", ".join(_CHOICES[option])
            raise UsageError(
                f"{shown} is unknown.", did_you_mean(str(value), _CHOICES[option]) or f"Use one of {choices}."
            )
        return value
    if option in _POSITIVE_INTEGERS:
        # --epochs and --block also take a word, so that the command line hands them over as text.
        value = int(value) if isinstance(value, str) and value.isdecimal() else value
        return _integer(option, value, 1, 2**31 - 1)
    if option == "factors":
        return _integer(option, value, 0, 4096)
    if option == "seed":
        return _integer(option, value, 0, 2**63 - 1)
    if option == "block":
        return (
            "auto"
            if value == "auto"
            else _integer(option, int(value) if str(value).isdigit() else value, 1, 65536)
        )
    if option == "device":
        return value
    if option == "item_drift":
        if not isinstance(value, bool | np.bool_):
            raise UsageError(f"{shown}: it is True or False.", "Mend the value.")
        return bool(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{shown} is not a number.", "Give a number.") from None
    if not math.isfinite(number):
        raise UsageError(f"{shown} is not a finite number.", "Give a finite number.")
    if option == "learning_rate" and number <= 0:
        raise UsageError(f"{shown} must be above 0.", "The defaults lie between 0.005 and 0.1.")
    if option in _NON_NEGATIVE_NUMBERS and number < 0:
        raise UsageError(f"{shown} must not be negative.", "Use 0 to switch it off.")
    if option == "average" and not 0 <= number < 1:
        raise UsageError(f"{shown} must be at least 0 and below 1.", "0 switches averaging off.")
    return number


def resolve(
    model: str, preset: str | None, given: Mapping[str, Any], kind: str | None = None
) -> dict[str, Any]:
    """All options of a model: what was given, else what the preset says.

    Parameters
    ----------
    model : str
        A name of `MODELS`.
    preset : str or None
        "default" (also for None), "paper" or "mymedialite".
    given : mapping
        Options by Python name; None means "as the preset says".
    kind : str or None
        "dense", "attributes" or "probabilities" (see `feature_input.learned_as`): decides about the default
        scaling and λ_visual.

    Raises
    ------
    UsageError
        Unknown model, preset, option or value; an option the model does not have.
    """
    check_model(model)
    preset = preset or "default"
    if preset not in PRESETS:
        raise UsageError(
            f"Unknown preset '{preset}'.", did_you_mean(preset, PRESETS) or f"Known: {', '.join(PRESETS)}."
        )
    if model not in PRESETS[preset]:
        known = ", ".join(PRESETS[preset])
        raise UsageError(
            f"--preset {preset} exists for {known} only, not for {model}.", "Use another preset."
        )
    resolved = {**PRESETS[preset][model], **RUN_OPTIONS}
    for option, value in resolved.items():
        if isinstance(value, dict):
            resolved[option] = value.get(kind) if kind else None
    for option, value in given.items():
        if value is None:
            continue
        if option not in resolved:
            raise refuse_option(option, model, resolved)
        resolved[option] = _checked(option, value)
    if model in ("bpr-mf", "mm-mf") and resolved["factors"] == 0:
        raise UsageError(
            "--factors must be at least 1 for a factor model.", "Use pop for a model without factors."
        )
    if resolved.get("patience") is not None and resolved.get("eval_every") is None:
        raise UsageError("--patience needs --eval-every.", "Give both or neither.")
    if "epochs" in resolved:
        _check_time(model, preset, resolved)
    return {"preset": preset, **resolved}


def _check_time(model: str, preset: str, options: Mapping[str, Any]) -> None:
    """Options of the models in time that contradict each other."""
    if options["update"] == "hogwild":
        raise UsageError(f"--update hogwild does not exist for {model}.", "Use ordered.")
    if options["epochs"] > options["bins"]:
        raise UsageError(
            f"--epochs {options['epochs']} for {options['bins']} bins.",
            "Use at most as many epochs as --bins.",
        )
    if preset != "paper" and options["patience"] and 2 * options["segment_every"] > options["patience"]:
        raise UsageError(
            f"--segment-every {options['segment_every']} is more than half of --patience "
            f"{options['patience']}: the best iteration may come before the first segmentation.",
            "Segment more often, or be more patient.",
        )
