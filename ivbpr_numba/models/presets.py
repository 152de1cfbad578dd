"""Options of a model: the defaults of its specification, and the checks of what a user sets.

Options that a model doesn't have are refused when set.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ivbpr_numba.errors import UsageError, did_you_mean, parameter
from ivbpr_numba.fitted.fitted import RUN_OPTIONS
from ivbpr_numba.models.specifications import MODELS, PRESETS, SPECIFICATIONS

__all__ = ["check_model", "refuse_option", "resolve"]

AUTO, ALL = "auto", "all"
AUTO_EPOCHS = (3, 5, 8, 12)  # what epochs="auto" tries

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
_WORDS = {"epochs": (AUTO,), "block": (AUTO,), "valid_users": (AUTO, ALL)}  # beside a whole number
_NUMBER_WORDS = {"lambda_theta": (AUTO,), "visual_rate": (AUTO,)}  # beside a number
_POSITIVE_INTEGERS = (
    *("iterations", "eval_every", "patience", "threads", "visual_factors"),
    *("bins", "segment_negatives", "segment_every"),
)
_NON_NEGATIVE_NUMBERS = ("lambda_theta", "lambda_visual", "lambda_bias", "margin")


def check_model(name: str) -> None:
    """Refuse a model that does not exist."""
    if name not in MODELS:
        hint = did_you_mean(name, MODELS) or f"Known: {', '.join(MODELS)}."
        raise UsageError(f"Unknown model '{name}'.", hint)


def refuse_option(option: str, model: str, known: Iterable[str]) -> UsageError:
    """The error about an option that a model does not have."""
    options = sorted(known)
    hint = did_you_mean(option, options) or f"Options of {model}: {', '.join(map(parameter, options))}."
    return UsageError(f"{parameter(option)} does not apply to {model}.", hint)


def _integer(option: str, value: Any, low: int, high: int) -> int:
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or not low <= whole <= high:
        raise UsageError(
            f"{parameter(option, value)}: it must be a whole number from {low} to {high}.", "Mend the value."
        )
    return whole


def _checked(option: str, value: Any) -> Any:
    """One option's value in its own type; an unusable one is an error that names the option."""
    shown = parameter(option, value)
    if option in _CHOICES:
        if value not in _CHOICES[option]:
            choices = ", ".join(_CHOICES[option])
            raise UsageError(
                f"{shown} is unknown.", did_you_mean(str(value), _CHOICES[option]) or f"Use one of {choices}."
            )
        return value
    if option in _WORDS:
        # These also take a word, so that the command line hands them over as text.
        if isinstance(value, str) and value in _WORDS[option]:
            return value
        value = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value) else value
        return _integer(option, value, 1, 65536 if option == "block" else 2**31 - 1)
    if option in _POSITIVE_INTEGERS:
        return _integer(option, value, 1, 2**31 - 1)
    if option == "factors":
        return _integer(option, value, 0, 4096)
    if option == "ensemble":
        return _integer(option, value, 1, 64)
    if option == "parts":
        return _integer(option, value, 1, 65536)
    if option == "seed":
        return _integer(option, value, 0, 2**63 - 1)
    if option == "device":
        return value
    if option == "item_drift":
        if not isinstance(value, bool | np.bool_):
            raise UsageError(f"{shown}: it is True or False.", "Mend the value.")
        return bool(value)
    words = _NUMBER_WORDS.get(option, ())
    if isinstance(value, str) and value in words:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        hint = f"Give a number, or {' or '.join(words)}." if words else "Give a number."
        raise UsageError(f"{shown} is not a number.", hint) from None
    if not math.isfinite(number):
        raise UsageError(f"{shown} is not a finite number.", "Give a finite number.")
    if option in ("learning_rate", "visual_rate") and number <= 0:
        hint = (
            "The defaults lie between 0.005 and 0.2."
            if option == "learning_rate"
            else "1 is the rate of all else."
        )
        raise UsageError(f"{shown} must be above 0.", hint)
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
        "dense", "attributes" or "probabilities" (see `features.alignment.learned_as`): decides about the
        default scaling.

    Raises
    ------
    UsageError
        Unknown model, preset, option or value; an option the model does not have.
    """
    check_model(model)
    preset = preset or "default"
    if preset not in PRESETS:
        raise UsageError(
            f"{parameter('preset', preset)} is unknown.",
            did_you_mean(str(preset), PRESETS) or f"Known: {', '.join(PRESETS)}.",
        )
    specification = SPECIFICATIONS[model]
    if preset not in specification.presets:
        known = ", ".join(name for name, one in SPECIFICATIONS.items() if preset in one.presets)
        raise UsageError(
            f"{parameter('preset', preset)} exists for {known} only, not for {model}.", "Use another preset."
        )
    resolved = {**specification.presets[preset], **RUN_OPTIONS}
    for option, value in resolved.items():
        if isinstance(value, dict):
            resolved[option] = value.get(kind) if kind else None
    for option, value in given.items():
        if value is None or option in specification.ignored:
            continue
        if option not in resolved:
            raise refuse_option(option, model, resolved)
        resolved[option] = _checked(option, value)
    if model in ("bpr-mf", "mm-mf") and resolved["factors"] == 0:
        raise UsageError(
            f"{parameter('factors', 0)} leaves nothing of a factor model.",
            "Give at least 1, or use pop, a model without factors.",
        )
    if resolved.get("patience") is not None and resolved.get("eval_every") is None:
        raise UsageError(f"{parameter('patience')} needs {parameter('eval_every')}.", "Give both or neither.")
    if resolved.get("parts", 1) > 1:
        _check_parts(resolved)
    if "epochs" in resolved:
        _check_time(model, preset, resolved)
    return {"preset": preset, **resolved}


def _check_parts(options: Mapping[str, Any]) -> None:
    """Options that parts exclude."""
    asked = parameter("parts", options["parts"])
    if options["negatives"] == "popularity":  # a part knows how often an item was bought, not by whom
        raise UsageError(
            f"{asked} and {parameter('negatives', 'popularity')} exclude each other.",
            "Use trained or uniform.",
        )
    for name, only in (("update", "ordered"), ("ensemble", 1), ("device", "cpu")):
        if options[name] != only:
            raise UsageError(
                f"{asked} and {parameter(name, options[name])} exclude each other.",
                f"Leave one of them out: parts are of {parameter(name, only)}.",
            )


def _check_time(model: str, preset: str, options: Mapping[str, Any]) -> None:
    """Options of the models in time that contradict each other."""
    if options["update"] == "hogwild":
        raise UsageError(f"{parameter('update', 'hogwild')} does not exist for {model}.", "Use ordered.")
    most = max(AUTO_EPOCHS) if options["epochs"] == AUTO else options["epochs"]
    if most > options["bins"]:
        tried = f" (it tries up to {most})" if options["epochs"] == AUTO else ""
        raise UsageError(
            f"{parameter('epochs', options['epochs'])}{tried} for {options['bins']} bins.",
            f"Use at most as many epochs as {parameter('bins')}.",
        )
    if preset != "paper" and options["patience"] and 2 * options["segment_every"] > options["patience"]:
        raise UsageError(
            f"{parameter('segment_every', options['segment_every'])} is more than half of "
            f"{parameter('patience', options['patience'])}: the best iteration may come "
            "before the first segmentation.",
            "Segment more often, or be more patient.",
        )
