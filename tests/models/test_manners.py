"""scikit-learn's manners, docstrings that name every parameter, and how models show themselves."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.exceptions
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted
from small_models import DATA, FEATURES, fitted, made

import ivbpr_numba
from ivbpr_numba import BPRMF, MMMF, TVBPR, VBPR, Popularity, Random, UsageError
from ivbpr_numba.errors import not_fitted
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.specifications import MODELS

ESTIMATORS = (Random, Popularity, MMMF, BPRMF, VBPR, TVBPR)

# Those of scikit-learn's checks that speak of an estimator before it meets data.
CHECKS = (
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("check", CHECKS)
def test_checks_of_scikit_learn(check: str, estimator: type[Model]) -> None:
    """Its checks of constructors, parameters, clones and representations.

    The others call ``fit(X, y)`` with arrays of its own making, or ask for tags that say what a ``predict``
    or ``transform`` of arrays does. Ours learn from a `Dataset` (pairs of users and items with a split) and
    answer with rankings, so those can't apply: what they demand of ``fit`` is asked with datasets below.
    """
    run: Callable[[str, Model], None] = getattr(estimator_checks, check)
    run(estimator.__name__, estimator())


@pytest.mark.parametrize("name", MODELS)
def test_fit_leaves_parameters_and_input_alone(name: str) -> None:
    """What ``check_dont_overwrite_parameters``, ``check_dict_unchanged`` and their like demand, of ours.

    ``fit`` sets only names that end in an underscore (or begin with one), answers set none at all.
    """
    model, features = made(name, seed=3), FEATURES.get(name)
    options, before = model.get_params(), {*vars(model)}
    digests = DATA.payload_sha256, features and features.payload_sha256
    objects = {path: np.array(value) for path, value in DATA.objects().items()}
    assert model.fit(DATA, features) is model
    assert model.get_params() == options
    assert all(added.endswith("_") or added.startswith("_") for added in {*vars(model)} - before)
    assert (DATA.payload_sha256, features and features.payload_sha256) == digests
    for path, value in DATA.objects().items():
        np.testing.assert_array_equal(value, objects[path])
    names, state = {*vars(model)}, model.fitted_
    model.scores([DATA.users[0]]), model.recommend(DATA.users[0], 2)
    assert {*vars(model)} == names and model.fitted_ is state


@pytest.mark.parametrize("name", MODELS)
def test_fitting_again_is_fitting_anew(name: str) -> None:
    """``check_fit_idempotent``; a clone of a fitted model knows nothing, a copy everything."""
    model = fitted(name, seed=3)
    digest, scores = model.payload_sha256_, model.scores(DATA.users.texts())
    assert model.fit(DATA, FEATURES.get(name)).payload_sha256_ == digest
    with pytest.raises(UsageError, match="not fitted"):
        clone(model).scores([DATA.users[0]])
    np.testing.assert_array_equal(copy.deepcopy(model).scores(DATA.users.texts()), scores)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_a_seed(name: str, ivbpr: Callable[..., Any], tmp_path: Any) -> None:
    """Also on the command line, and the model file knows it."""
    DATA.write(tmp_path / "d.h5")
    options: list[object] = [] if name in ("rand", "pop") else ["--iterations", "1", "--eval-every", "1"]
    if name in FEATURES:
        FEATURES[name].write(tmp_path / "f.h5")
        options += ["--features", tmp_path / "f.h5"]
    done = ivbpr("fit", tmp_path / "d.h5", "--model", name, "--seed", "12", "-o", tmp_path / "m.h5", *options)
    assert done.code == 0, done.err
    # POP draws nothing, so its file has no seed: two seeds make the same file.
    assert ivbpr_numba.load(tmp_path / "m.h5").seed == (None if name == "pop" else 12)


# --- docstrings --------------------------------------------------------------------------------------------


def documented(doc: str, section: str) -> list[str]:
    """Names in a section of a numpydoc docstring, in order."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)", inspect.cleandoc(doc), re.M | re.S)
    lines = found[1].splitlines() if found else []
    heads = [line.split(" : ")[0] for line in lines if line and not line.startswith(" ")]
    return [name.strip() for head in heads for name in head.split(",")]


PUBLIC = {name: getattr(ivbpr_numba, name) for name in ivbpr_numba.__all__}
# An exception that adds nothing to its base has the base's signature and words. `Features` are made by class
# methods: what its constructor takes is not for callers.
CLASSES = [
    one
    for one in PUBLIC.values()
    if isinstance(one, type) and {"__init__", "__new__"} & {*vars(one)} and one is not ivbpr_numba.Features
]


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_documents_exactly_its_parameters(cls: type) -> None:
    """In the order of the signature; what is stored as it is given may stand among the attributes instead."""
    doc = cls.__doc__ or ""
    found = documented(doc, "Parameters") or documented(doc, "Attributes")
    assert found == [*inspect.signature(cls).parameters]


def test_the_classes_that_are_looked_at() -> None:
    assert {*ESTIMATORS, ivbpr_numba.Dataset, ivbpr_numba.Vectors, ivbpr_numba.Interrupted} <= {*CLASSES}


def test_sections_are_read() -> None:
    doc = """One line.

    Parameters
    ----------
    a, b : int
        Words : more.
    c : str
        Others.

    Returns
    -------
    d : int
    """
    assert documented(doc, "Parameters") == ["a", "b", "c"] and documented(doc, "Returns") == ["d"]
    assert documented(doc, "Raises") == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    one = PUBLIC[name]
    assert one.__name__ == name and (one.__doc__ or "").split("\n")[0].strip().endswith(
        (".", ":", ";", "1).")
    )
    assert name in dir(ivbpr_numba)


# --- how they show themselves ------------------------------------------------------------------------------


def test_a_model_in_a_notebook() -> None:
    model = VBPR(visual_factors=7, iterations=4, eval_every=2, seed=3)
    assert repr(model) == "VBPR(seed=3, iterations=4, eval_every=2, visual_factors=7)"
    assert "<th" in model._repr_html_() and ">no<" in model._repr_html_()
    model.fit(DATA, FEATURES["i-vbpr"])
    shown = model._repr_html_()
    for text in (
        "VBPR</caption>",
        ">i-vbpr<",
        "seed=3, iterations=4, eval_every=2, visual_factors=7",
        f"{len(DATA.users)} users, {len(DATA.items)} items",
        "5 of the kind attributes",
        "{auc:.4f} ± {stderr:.4f}".format(**model.metrics_["test"]["all"]),
        "{auc:.4f} ± {stderr:.4f}".format(**model.metrics_["valid"]["all"]),
    ):
        assert text in shown, shown
    assert repr(model) == "VBPR(seed=3, iterations=4, eval_every=2, visual_factors=7)"


def test_what_a_model_was_given_is_escaped() -> None:
    shown = BPRMF(init="<script>alert('&')</script>")._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "&amp;" in shown


# --- before the fit ------------------------------------------------------------------------------------------

QUESTIONS: dict[str, Callable[[Any], object]] = {
    "recommend": lambda model: model.recommend("u001"),
    "explain": lambda model: model.explain("u001", "i001"),
    "scores": lambda model: model.scores(["u001"]),
    "user_vectors": lambda model: model.user_vectors(),
    "save": lambda model: model.save("x.h5"),
    "views": lambda model: model.views,
    "item_bias_": lambda model: model.item_bias_,
    "metrics_": lambda model: model.metrics_,
    "auc": lambda model: ivbpr_numba.auc(model),
    "trends": lambda model: ivbpr_numba.trends(model),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_not_fitted_says_so_in_both_libraries(question: str) -> None:
    for expected in (
        ivbpr_numba.NotFittedError,
        sklearn.exceptions.NotFittedError,
        UsageError,
        AttributeError,
    ):
        with pytest.raises(expected, match=r"This TVBPR is not fitted\. Call fit"):
            QUESTIONS[question](ivbpr_numba.TVBPR())


def test_scikit_learn_knows_what_is_fitted() -> None:
    model = made("bpr-mf")
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(model)
    assert not hasattr(model, "item_bias_") and not hasattr(model, "views")
    check_is_fitted(model.fit(DATA))
    with pytest.raises(AttributeError, match="no attribute 'item_bias'"):
        model.item_bias  # noqa: B018
    problem = pickle.loads(pickle.dumps(not_fitted(model)))
    assert isinstance(problem, sklearn.exceptions.NotFittedError) and problem.exit_code == 2


def test_without_scikit_learn_the_error_is_our_own() -> None:
    code = (
        "import sys, ivbpr_numba\n"
        "try: ivbpr_numba.BPRMF().recommend('a')\n"
        "except ivbpr_numba.NotFittedError as e: print(type(e).__mro__[1].__name__, 'sklearn' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["UsageError", "False"]
