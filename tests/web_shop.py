"""A small shop served in this process: odd titles, odd ids, photos of some products, a client without manners."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from PIL import Image
from small_models import ATTRIBUTES, DATA, HUE, made

from ivbpr_numba import Dataset, Features
from ivbpr_numba.models.base import Model

SCRIPT = "<script>alert(1)</script>\"'&"
ODD = [
    '<img src=x onerror="alert(1)">',
    "a/b?c=d#e",
    "ü ñ 商品",
    "../../etc/passwd",
    "%2e%2e",
    "i' OR 1=1",
    "+ &",
]


def catalogue() -> pd.DataFrame:
    items = DATA.items.texts()
    return pd.DataFrame(
        {
            "id": items,
            "title": [f"{SCRIPT} {hue} thing {n}" for n, hue in enumerate(HUE)],
            "colour": [("red", "blue", "green")[hue] for hue in HUE],
            "season": [SCRIPT if n % 3 else "summer" for n in range(len(items))],
        }
    )


def shop_model(name: str = "i-tvbpr", **options: Any) -> Model:
    """A small model of items with titles and columns, its features at hand."""
    data = DATA.with_items(catalogue(), id="id", title="title", keep=["colour", "season"])
    if name == "i-tvbpr":
        options = {"epochs": 3, **options}
    return made(name, **options).fit(data, ATTRIBUTES if name.startswith("i-") else None)


def odd_model() -> Model:
    """A model whose ids and attributes are what nobody expects."""
    users = [user for user in ODD for _ in range(5)]
    items = [ODD[(n + k) % len(ODD)] for n in range(len(ODD)) for k in range(5)]
    data = Dataset.from_pairs(users, items, seed=3)
    frame = pd.DataFrame({"id": ODD, "kind": [SCRIPT if n % 2 else "red cloth" for n in range(len(ODD))]})
    features = Features.from_frame(frame, id="id", columns=["kind"])
    return made("i-vbpr").fit(data, features)


def photo(colour: str = "red", size: tuple[int, int] = (90, 120), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Asks one server; every answer is checked for what all must have."""

    port: int
    seen: list[int] = field(default_factory=list)

    def ask(
        self,
        path: str,
        *pairs: tuple[str, object],
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        checked: bool = True,
    ) -> Answer:
        if pairs:
            path += "?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in pairs)
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            line.request(method, path, body, headers or {})
            came = line.getresponse()
            answer = Answer(came.status, {k.lower(): v for k, v in came.getheaders()}, came.read())
        finally:
            line.close()
        self.seen.append(answer.status)
        if checked:
            check_answer(answer, method)
        return answer

    def ask_or_none(self, path: str) -> Answer | None:
        """The answer, None where the connection is not taken."""
        try:
            return self.ask(path)
        except (ConnectionError, http.client.HTTPException):
            return None

    def document(self, path: str, *pairs: tuple[str, object]) -> Any:
        answer = self.ask(path, *pairs)
        assert answer.status == 200, answer.body
        return answer.json


def check_answer(answer: Answer, method: str = "GET") -> None:
    """What every answer must have, whatever was asked."""
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "server" not in answer.headers
    if answer.status >= 400 and method != "HEAD":
        assert answer.headers["content-type"] == "application/json"
        assert sorted(answer.json) == ["error", "hint"] and answer.json["error"]


@contextmanager
def serving(
    model: Model, images: Path | None = None, network: Any = None, host: str = "127.0.0.1"
) -> Iterator[Client]:
    """A server on a free port of this machine, in a thread of this process."""
    from ivbpr_cli.web.api import Served
    from ivbpr_cli.web.app import application
    from ivbpr_cli.web.pictures import open_photos
    from ivbpr_cli.web.running import listening, server_of
    from ivbpr_cli.web.safety import Hosts
    from ivbpr_numba.documents.shop import Shop

    served = Served(Shop(model), photos=None if images is None else open_photos(images), network=network)
    started = threading.Event()
    bound = listening(host, 0)
    server = server_of(application(served, Hosts(host)), started.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])), daemon=True)
    thread.start()
    try:
        assert started.wait(60)
        yield Client(bound.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()
    assert not thread.is_alive()
