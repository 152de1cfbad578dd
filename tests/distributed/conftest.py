"""A cluster of real processes on this machine, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def started() -> Iterator[Any]:
    """The client of four workers with a thread each; one that is killed comes again, however long it needs."""
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    config = pytest.importorskip("dask", reason="needs the extra dask").config
    with (
        config.set({"distributed.deploy.lost-worker-timeout": "200s"}),
        distributed.LocalCluster(
            n_workers=4, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        client.wait_for_workers(4, timeout=120)
        yield client


@pytest.fixture(scope="session")
def four() -> Iterator[Any]:
    """For all tests that leave it as it is."""
    yield from started()


@pytest.fixture
def fresh() -> Iterator[Any]:
    """For a test that kills: a worker that dies while it starts does not come again."""
    yield from started()
