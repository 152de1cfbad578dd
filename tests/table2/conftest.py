"""Small purchases on disk, and one finished table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_models import ATTRIBUTES
from table2_small import asked, divided

from ivbpr_numba.table2 import Table, table2


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data.h5``, ``attributes.h5`` and their ``table.h5``; not to be changed."""
    folder = tmp_path_factory.mktemp("table2")
    divided().write(folder / "data.h5")
    ATTRIBUTES.write(folder / "attributes.h5")
    table2(
        folder / "data.h5",
        attributes=folder / "attributes.h5",
        out=folder / "table.h5",
        processes=1,
        **asked(),
    )
    return folder


@pytest.fixture(scope="session")
def table(made: Path) -> Table:
    return Table.read(made / "table.h5")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed, without the table."""
    place = tmp_path / "place"
    shutil.copytree(made, place)
    (place / "table.h5").unlink()
    return place
