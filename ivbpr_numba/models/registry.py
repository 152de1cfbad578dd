"""The models by name, and the way back from a file."""

from __future__ import annotations

from typing import Any

from ivbpr_numba.answers.views import Views
from ivbpr_numba.errors import DataError
from ivbpr_numba.fitted.files import FORMAT, read_fitted, read_style
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.baselines import Popularity, Random
from ivbpr_numba.models.factorization import BPRMF, MMMF
from ivbpr_numba.models.presets import check_model, refuse_option
from ivbpr_numba.models.specifications import SPECIFICATIONS
from ivbpr_numba.models.temporal import TVBPR
from ivbpr_numba.models.visual import VBPR
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.files import read_tree

__all__ = ["create", "load"]

_ESTIMATORS: tuple[type[Model], ...] = (Random, Popularity, MMMF, BPRMF, VBPR, TVBPR)
_BY_NAME = {one.name: estimator for estimator in _ESTIMATORS for one in estimator.specifications}


def _fixed(name: str) -> dict[str, Any]:
    """The options that a name stands for: ``i-vbpr`` is VBPR with ``kind="attributes"``."""
    kind = SPECIFICATIONS[name].kind
    return {} if kind is None else {"kind": kind}


def create(name: str, **options: Any) -> Model:
    """Make a model by its name on the command line.

    Raises
    ------
    UsageError
        Unknown model, or an option that it does not have.
    """
    check_model(name)
    cls, fixed = _BY_NAME[name], _fixed(name)
    known = [option for option in cls.option_names() if option not in fixed]
    for option in options:
        if option not in known:
            raise refuse_option(option, name, known)
    return cls(**options, **fixed)


def load(path: PathLike) -> Model:
    """Read a model file.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        It is damaged, of another kind or of a newer version, or holds a model this version lacks.
    """
    tree = read_tree(path, FORMAT)
    name = str(tree.attrs.get("model", ""))
    if name not in _BY_NAME:
        raise DataError(f"'{path}' holds a model '{name}' that is not known here.", "Install a newer ivbpr.")
    fitted = read_fitted(tree, path, SPECIFICATIONS[name].parameters)
    estimator = _BY_NAME[name]
    options = {key: fitted.config[key] for key in estimator.option_names() if key in fitted.config}
    views = Views(fitted, style=read_style(tree, fitted, path))
    return estimator(**options, **_fixed(name)).adopt(fitted, views)
