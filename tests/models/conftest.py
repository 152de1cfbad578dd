"""Every model in turn, for the tests of this room that ask for a `name`."""

from __future__ import annotations

import pytest

from ivbpr_numba.models.specifications import MODELS


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param
