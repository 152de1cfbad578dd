"""Served shops for the tests that don't change them, and visits in a browser; skipped without the extra `web`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit, chromium
from drawn_shop import DrawnShop, draw_shop
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


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnShop:
    return draw_shop(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="package")
def drawn_client(drawn: DrawnShop) -> Iterator[Client]:
    """The drawn shop with all a server can have: photos, time, a network."""
    with serving(drawn.model, drawn.images, drawn.looker) as client:
        yield client
        assert 500 not in client.seen


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def visiting(driver: Any) -> Iterator[Callable[..., Visit]]:
    """Begins visits; each must end without console errors and foreign requests."""
    visits: list[Visit] = []

    def begin(client: Client, **options: Any) -> Visit:
        for visit in visits:
            visit.check()
        for kind in ("browser", "performance"):
            driver.get_log(kind)  # of an earlier test
        visits.append(Visit(driver, client, **options))
        return visits[-1]

    yield begin
    for visit in visits:
        visit.check()
    driver.get("about:blank")  # what an unfinished visit still asks for is not asked in the next one


@pytest.fixture
def visit(visiting: Callable[..., Visit], drawn_client: Client) -> Visit:
    """A visitor of the drawn shop at a desk."""
    return visiting(drawn_client)
