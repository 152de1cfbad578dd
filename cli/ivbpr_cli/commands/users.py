"""The users of a model, for those who don't know any by heart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ivbpr_numba.errors import DataError, UsageError

if TYPE_CHECKING:
    from ivbpr_numba.models.base import Model

__all__ = ["known_user"]


def known_user(model: Model, user: str | None, path: Path, instead: str = "") -> None:
    """Refuse a user whom the model doesn't know, and name some whom it does.

    Parameters
    ----------
    model : Model
    user : str or None
        None where none was given.
    path : Path
        The model's file.
    instead : str
        What else could have been given.

    Raises
    ------
    UsageError
        No user was given.
    DataError
        An unknown user.
    """
    from ivbpr_numba.answers.shoppers import row_of_user, users_to_try

    more = f"More: 'ivbpr inspect {path} --users 5'."
    if user is None:
        raise UsageError(
            f"Name a user{f' {instead}' if instead else ''}.", f"{users_to_try(model.data_)} {more}"
        )
    try:
        row_of_user(model.data_, user)
    except DataError as problem:
        raise DataError(problem.message, f"{problem.hint} {more}") from None
