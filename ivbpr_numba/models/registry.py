"""The models by name, and the way back from a file."""

from __future__ import annotations

import json
from typing import Any

from ivbpr_numba.errors import DataError
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.baselines import Popularity, Random
from ivbpr_numba.models.factorization import BPRMF, MMMF
from ivbpr_numba.models.files import FORMAT, restore
from ivbpr_numba.models.presets import check_model, refuse_option
from ivbpr_numba.models.temporal import TVBPR
from ivbpr_numba.models.visual import VBPR
from ivbpr_numba.store.atomic import PathLike
from ivbpr_numba.store.files import read_tree

__all__ = ["create", "load"]

_CLASSES: dict[str, tuple[type[Model], dict[str, Any]]] = {
    "rand": (Random, {}),
    "pop": (Popularity, {}),
    "mm-mf": (MMMF, {}),
    "bpr-mf": (BPRMF, {}),
    "vbpr": (VBPR, {"interpretable": False}),
    "i-vbpr": (VBPR, {"interpretable": True}),
    "tvbpr": (TVBPR, {"interpretable": False}),
    "i-tvbpr": (TVBPR, {"interpretable": True}),
}


def create(name: str, **options: Any) -> Model:
    """Make a model by its name on the command line.

    Raises
    ------
    UsageError
        Unknown model, or an option that it does not have.
    """
    check_model(name)
    cls, fixed = _CLASSES[name]
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
    if name not in _CLASSES:
        raise DataError(f"'{path}' holds a model '{name}' that is not known here.", "Install a newer ivbpr.")
    cls, fixed = _CLASSES[name]
    try:
        config = json.loads(tree.text("/config"))
        options = {key: config[key] for key in cls.option_names() if key in config}
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"'{path}' has no readable configuration ({problem}).", "Fit again.") from problem
    return restore(cls(**options, **fixed), tree, path)
