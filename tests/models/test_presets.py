"""The options of every model: the table of presets, defaults by the features, and the wrong ones named."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import ATTRIBUTES, DATA, DENSE, FEATURES, NAMES, ONE_HOT, fitted

from ivbpr_numba import EnvironmentProblem, Features, UsageError, create
from ivbpr_numba.features.alignment import learned_as
from ivbpr_numba.models.presets import resolve
from ivbpr_numba.models.registry import _BY_NAME, _fixed
from ivbpr_numba.models.specifications import SPECIFICATIONS


def test_every_option_of_the_presets_can_be_given(name: str) -> None:
    """The constructor, the presets and the command line know the same options."""
    from ivbpr_cli.commands.fit import OPTIONS

    known = {*_BY_NAME[name].option_names()} - {*_fixed(name)}
    ignored = {*SPECIFICATIONS[name].ignored}
    assert known - ignored == {*resolve(name, None, {}, "dense")}
    assert known <= {*OPTIONS}


def test_the_table_of_presets() -> None:
    mf, visual, paper = (
        SPECIFICATIONS[m].presets[p]
        for p, m in (("default", "bpr-mf"), ("default", "i-vbpr"), ("paper", "vbpr"))
    )
    assert (mf["learning_rate"], mf["lambda_theta"], mf["lambda_bias"]) == (0.2, "auto", 0.1)
    assert (mf["negatives"], mf["average"], mf["iterations"], mf["patience"]) == ("trained", 0.9, 600, 200)
    assert mf["sampling"] == visual["sampling"] == "interactions"
    own = SPECIFICATIONS["bpr-mf"].presets["mymedialite"]
    assert own == SPECIFICATIONS["bpr-mf"].presets["paper"]
    assert (own["learning_rate"], own["lambda_theta"], own["lambda_bias"]) == (0.05, 0.0025, 0)
    assert (own["negatives"], own["average"], own["iterations"], own["factors"]) == ("uniform", 0, 30, 10)
    assert own["sampling"] == paper["sampling"] == "users"
    assert (
        SPECIFICATIONS["mm-mf"].presets["default"]["margin"] == 1
        and SPECIFICATIONS["mm-mf"].presets["paper"]["margin"] == 0
    )
    assert SPECIFICATIONS["mm-mf"].presets["mymedialite"]["learning_rate"] == 0.1
    assert (visual["learning_rate"], visual["lambda_theta"], visual["lambda_bias"]) == (0.1, 0.1, 0.1)
    assert (visual["visual_rate"], visual["visual_factors"], paper["visual_factors"]) == ("auto", 40, 10)
    assert (visual["iterations"], visual["patience"], paper["visual_rate"]) == (400, 100, 1)
    assert (visual["negatives"], visual["average"]) == ("trained", 0.9)
    assert resolve("i-vbpr", None, {}, "attributes")["lambda_visual"] == 0.01
    assert resolve("vbpr", None, {}, "dense")["lambda_visual"] == 0.01
    assert (paper["init"], paper["lambda_theta"], paper["learning_rate"], paper["negatives"]) == (
        *("uniform01", 5.0),
        *(0.005, "uniform"),
    )
    assert (paper["lambda_visual"], paper["lambda_bias"], paper["average"]) == (0, 0, 0)
    time = SPECIFICATIONS["i-tvbpr"].presets["paper"]
    assert (time["epochs"], time["segment_on"], time["segment_negatives"], time["temporal_init"]) == (
        *(10, "valid"),
        *(1000, "paper"),
    )
    assert resolve("vbpr", None, {}, "dense")["feature_scaling"] == "standard"
    assert resolve("vbpr", "paper", {}, "dense")["feature_scaling"] == "max"
    assert resolve("i-vbpr", "paper", {}, "attributes")["feature_scaling"] == "none"
    assert resolve("bpr-mf", "mymedialite", {})["eval_every"] is None


def test_defaults_by_what_features_are_learned_as() -> None:
    """One λ_visual for all; probabilities are brought to the spread of one-hots."""
    soft = np.clip(ONE_HOT.astype(np.float32), 0.02, 0.9)
    features = {
        "attributes": ATTRIBUTES,
        "probabilities": Features.from_arrays(DATA.items, soft, NAMES, kind="attributes"),
        "dense": DENSE,
    }
    scalings = {"attributes": "none", "probabilities": "standard", "dense": "standard"}
    for kind, given in features.items():
        assert learned_as(given) == kind
        name = "vbpr" if kind == "dense" else "i-vbpr"
        options = create(name, iterations=1, block=64).fit(DATA, given).config_
        in_time = resolve(name.replace("vbpr", "tvbpr"), None, {}, kind)
        assert options["feature_scaling"] == in_time["feature_scaling"] == scalings[kind]
        assert (options["lambda_visual"], in_time["lambda_visual"]) == (0.01, 0.01)
        paper = create(name, preset="paper", iterations=1, eval_every=1, block=64).fit(DATA, given).config_
        assert paper["feature_scaling"] == ("max" if kind == "dense" else "none")
    # Shares of rows, as a table with several rows an item has them, are mostly zeros: attributes.
    shares = np.where(ONE_HOT, 0.5, 0.0).astype(np.float16)
    assert learned_as(Features.from_arrays(DATA.items, shares, NAMES, kind="attributes")) == "attributes"


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("bprmf", {}, "mean 'bpr-mf'"),
        ("bpr-mf", {"preset": "papre"}, "mean 'paper'"),
        ("vbpr", {"preset": "mymedialite"}, "not for vbpr"),
        ("bpr-mf", {"visual_factors": 3}, "visual_factors= does not apply"),
        ("bpr-mf", {"learning_rate": float("nan")}, "finite"),
        ("bpr-mf", {"learning_rate": float("inf")}, "finite"),
        ("bpr-mf", {"learning_rate": 0}, "above 0"),
        ("bpr-mf", {"learning_rate": "fast"}, "not a number"),
        ("bpr-mf", {"factors": -1}, "whole number"),
        ("bpr-mf", {"factors": 0}, "at least 1"),
        ("bpr-mf", {"factors": 2.5}, "whole number"),
        ("bpr-mf", {"factors": True}, "whole number"),
        ("bpr-mf", {"iterations": 0}, "whole number"),
        ("bpr-mf", {"lambda_theta": -1}, "negative"),
        ("bpr-mf", {"lambda_theta": "automatic"}, "not a number"),
        ("bpr-mf", {"lambda_bias": "auto"}, "not a number"),
        ("bpr-mf", {"average": 1.0}, "below 1"),
        ("bpr-mf", {"negatives": "uniformly"}, "mean 'uniform'"),
        ("bpr-mf", {"init": "zeros"}, "normal, uniform01"),
        ("bpr-mf", {"seed": -1}, "whole number"),
        ("bpr-mf", {"device": "gpu"}, "device"),
        ("bpr-mf", {"threads": 0}, "whole number"),
        ("bpr-mf", {"threads": 10_000}, "offers 1 to"),
        ("bpr-mf", {"preset": "mymedialite", "patience": 3}, "eval_every="),
        ("mm-mf", {"margin": -0.1}, "negative"),
        ("vbpr", {"block": 0}, "whole number"),
        ("vbpr", {"block": "many"}, "whole number"),
        ("vbpr", {"block": "9" * 5000}, "whole number"),
        ("vbpr", {"visual_factors": 0}, "whole number"),
        ("vbpr", {"feature_scaling": "std"}, "feature_scaling='std'"),
        ("vbpr", {"reg_scope": "user_visuals"}, "mean 'user_visual'"),
    ],
)
def test_wrong_options_are_named(model: str, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        create(model, **options).fit(DATA, FEATURES.get(model))
    assert caught.value.hint and "\n" not in str(caught.value)


def test_cuda_is_refused_here() -> None:
    with pytest.raises(EnvironmentProblem, match="device='cuda'"):
        fitted("bpr-mf", device="cuda")
    assert fitted("bpr-mf", device="auto").provenance_["device"] == "cpu"
