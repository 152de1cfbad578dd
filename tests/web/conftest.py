"""One served shop for the tests that don't change it; all are skipped without the extra `web`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from photo_files import pack_zip
from web_shop import Client, photo, serving, shop_model

from ivbpr_numba.models.base import Model


@pytest.fixture(scope="package", autouse=True)
def extra() -> None:
    pytest.importorskip("starlette", reason="needs the extra web")
    pytest.importorskip("uvicorn", reason="needs the extra web")


@pytest.fixture(scope="package")
def model() -> Model:
    return shop_model()


@pytest.fixture(scope="package")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three products; one of them is none."""
    files = {"i000.png": photo(), "i001.jpg": photo("blue", (2000, 3000), "JPEG"), "i002.jpg": b"no photo"}
    return pack_zip(tmp_path_factory.mktemp("photos") / "p.zip", files)


@pytest.fixture(scope="package")
def client(model: Model, images: Path) -> Iterator[Client]:
    with serving(model, images) as client:
        yield client
        assert client.ask("/healthz").json == {"status": "ok"}
        assert 500 not in client.seen
