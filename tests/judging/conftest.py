"""The shop that several tests of this room judge."""

from __future__ import annotations

from pathlib import Path

import pytest
from painted_shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)
