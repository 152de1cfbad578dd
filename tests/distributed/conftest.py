"""A cluster of real processes on this machine, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

distributed = pytest.importorskip("distributed", reason="needs the extra dask")


@pytest.fixture(scope="session")
def four() -> Iterator[distributed.Client]:
    """Four workers with a thread each; one that is killed comes again."""
    with (
        distributed.LocalCluster(
            n_workers=4, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        client.wait_for_workers(4, timeout=60)
        yield client
