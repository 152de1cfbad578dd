"""What visitors with bad manners try, and what becomes of it."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import DATA, made
from tiny_networks import VOCABULARY, named_network
from web_shop import ODD, SCRIPT, Client, odd_model, photo, serving

from ivbpr_numba import Features
from ivbpr_numba.models.base import Model

REBINDING = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.7",
]
OWN = ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.3.2.1:80", "[::1]:8000"]
PATHS = [
    "/../../../../etc/passwd",
    "/images/../../../../etc/passwd",
    "/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/images//etc/passwd",
    "/images/..%5c..%5cetc%5cpasswd",
    "/images/%00",
    "/images/p.zip",
    "/images/",
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/%2e%2e/%2e%2e/commands/serve.py",
    "/static//etc/passwd",
    "/static/",
    "/api/items/..%2f..%2f..%2fetc%2fpasswd",
    "/api/users/%ff%fe",
    "//etc/passwd",
]


def raw(port: int, *parts: bytes, wait: float = 10.0, pause: float = 0.0) -> bytes:
    """What comes back for bytes sent as they are, until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(pause)
        found = b""
        try:
            while piece := line.recv(65536):
                found += piece
        except ConnectionResetError:  # it was left with bytes that nobody had read
            pass
    return found


def get(path: str, *headers: str, host: str = "localhost", close: bool = True) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- who is asked ---


@pytest.mark.parametrize("host", REBINDING)
def test_a_foreign_name_is_refused(client: Client, host: str) -> None:
    for path in ("/", "/api/model", "/images/i000", "/healthz"):
        refused = client.ask(path, headers={"Host": host})
        assert refused.status == 421 and b"users" not in refused.body


@pytest.mark.parametrize("host", OWN)
def test_its_own_names_are_known(client: Client, host: str) -> None:
    assert client.ask("/healthz", headers={"Host": host}).status == 200


def test_no_name_or_two(client: Client) -> None:
    assert status_of(raw(client.port, b"GET /healthz HTTP/1.0\r\n\r\n")) == 421
    assert status_of(raw(client.port, get("/healthz", "Host: evil.example"))) in (400, 421)
    assert status_of(raw(client.port, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")) == 400


def test_names_of_a_server_for_others() -> None:
    from ivbpr_cli.web.safety import Hosts

    for_all = Hosts("0.0.0.0", ["Shop.example"])
    assert not for_all.local and Hosts("127.0.0.1").local and Hosts("localhost").local and Hosts("::1").local
    known = ["shop.example", "shop.example:80", "10.0.0.7:8000", "[fe80::1]", "localhost"]
    assert all(for_all.knows(host) for host in known)
    assert not any(
        for_all.knows(host) for host in ("evil.example", "", "shop.example:x", "[shop", "a.shop.example")
    )


def test_no_other_site_may_send(client: Client) -> None:
    for origin, status in (("https://evil.example", 403), ("null", 403), ("http://localhost:8000", 404)):
        sent = client.ask("/api/photo", method="POST", body=photo(), headers={"Origin": origin})
        assert sent.status == status


def test_nothing_is_allowed_to_other_sites(client: Client) -> None:
    """`check_answer` looks at every answer: no header of CORS, whatever is asked for."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    assert client.ask("/api/model", headers=asked).status == 200
    assert client.ask("/api/model", method="OPTIONS", headers=asked).status == 403


def test_another_site_can_make_no_work(client: Client) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.ask("/api/recommend", headers=foreign).status == 403
    assert client.ask("/images/i000", headers=foreign).status == 403
    for own in (
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {**foreign, "Sec-Fetch-Mode": "navigate"},
    ):
        assert client.ask("/api/recommend", headers=own).status == 200  # a link that somebody shared


# --- what is asked for ---


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out(client: Client, path: str) -> None:
    answer = raw(client.port, get(path))
    assert status_of(answer) in (400, 404)
    assert b"root:" not in answer and b"import" not in answer and b"PK\x03\x04" not in answer


def test_a_link_leads_nowhere_but_to_photos(tmp_path: Path, model: Model) -> None:
    """A folder's links to files that are no photos give drawn cards, links to folders nothing."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "i003.png").write_bytes(photo())
    (tmp_path / "photos" / "i000.png").write_bytes(photo())
    (tmp_path / "photos" / "i001.jpg").symlink_to("/etc/passwd")
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "secret")
    with serving(model, tmp_path / "photos") as client:
        kinds = {
            item: client.ask(f"/images/{item}").headers["content-type"] for item in ("i000", "i001", "i003")
        }
        assert kinds == {"i000": "image/jpeg", "i001": "image/svg+xml", "i003": "image/svg+xml"}
        assert b"root:" not in client.ask("/images/i001").body


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("x" * 12_001, 414),
        ("user=" + "u" * 301, 400),
        ("&".join(["boost=red"] * 51), 400),
        ("&".join(["a=1"] * 201), 400),
        ("user=u001&user=u002", 400),
        ("user=%ff%fe", 400),
        ("user=%00", 400),
        ("n=0", 400),
        ("n=101", 400),
        ("n=1e2", 400),
        ("n=" + "9" * 200, 400),
        ("n=-1", 400),
        ("by=chance", 400),
        ("boost=red:1001", 400),
        ("boost=red:1e999", 400),
        ("boost=:0.5", 400),
        ("where=colour", 400),
        ("where=colour:violet", 400),
        ("where=title:x", 400),
        ("user=nobody", 404),
        ("toward=nothing", 404),
        ("like=nothing", 404),
        ("user=u001&like=i001", 400),
        ("at=yesterday", 400),
        ("at=" + "9" * 30, 400),
        ("bost=red", 400),
    ],
)
def test_what_is_wrong_is_refused_with_a_hint(client: Client, query: str, status: int) -> None:
    refused = client.ask(f"/api/recommend?{query}")
    assert refused.status == status and refused.json["hint"]
    assert refused.headers["cache-control"] == "no-store"


def test_near_misses_are_named(client: Client) -> None:
    assert client.ask("/api/recommend?bost=red").json["hint"] == "Did you mean 'boost'?"
    assert client.ask("/api/recommend?boost=gren").json["hint"] == "Did you mean 'green'?"
    assert "u0" in client.ask("/api/recommend?user=nobody").json["hint"]
    assert "by=knn" in client.ask("/api/explain?item=i001&by=knn").json["error"]


def test_a_head_may_not_be_endless(client: Client) -> None:
    endless = raw(client.port, get("/healthz", "X: " + "y" * 200_000))
    assert endless == b"" or status_of(endless) == 400  # the answer may be lost with what was not read
    assert status_of(raw(client.port, get("/api/items/" + "y" * 3_000))) == 414


def test_what_is_no_http_is_told_so(client: Client) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ):
        answer = raw(client.port, sent)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status_of(answer) == 400 and sorted(json.loads(body)) == ["error", "hint"]
        assert b"nosniff" in head


# --- what is shown ---


def test_scripts_of_the_catalogue_stay_text() -> None:
    """They travel as JSON that no browser takes for a page, and escaped in drawn cards."""
    from urllib.parse import quote

    with serving(odd_model()) as client:
        found = client.ask("/api/items", ("n", 20))
        assert found.headers["content-type"] == "application/json"
        assert SCRIPT in json.dumps(found.json, ensure_ascii=False).encode().decode("unicode_escape")
        for item in ODD:
            drawn = client.ask(f"/images/{quote(item, safe='')}")
            assert drawn.headers["content-security-policy"] == "default-src 'none'; style-src 'none'; sandbox"
            tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(drawn.body).iter()}
            assert tags <= {"svg", "rect", "polygon", "polyline", "text"}
        texts = [
            e.text
            for e in ET.fromstring(client.ask(f"/images/{quote(ODD[1], safe='')}").body).iter()
            if e.text
        ]
        assert texts == ["<script>alert(1…"]
        for path in (
            f"/api/items/{SCRIPT}",
            f"/{SCRIPT}",
            f"/api/recommend?{SCRIPT}=1",
            f"/api/recommend?user={SCRIPT}",
        ):
            answer = raw(client.port, get(quote(path, safe="/?=&'\"<>()")))
            assert status_of(answer) in (400, 404) and b"content-type: application/json" in answer.lower()


# --- photos ---


def bomb(side: int) -> bytes:
    """A PNG that says it has side × side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def with_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path, Model]]:
    """A server with a network, and a model of the attributes that it knows."""
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.questions.new_item import Looker

    path = named_network(tmp_path_factory.mktemp("network") / "n.onnx")
    values = np.random.default_rng(4).random((len(DATA.items), VOCABULARY.size))
    values[:, :3] /= values[:, :3].sum(axis=1, keepdims=True)
    names = list(VOCABULARY.names)
    seen = Features.from_arrays(DATA.items, values.astype(np.float32), names, kind="attributes")
    model = made("i-vbpr").fit(DATA, seen)
    with serving(model, network=Looker.of(Network.read(path))) as client:
        yield client, path, model


def send(client: Client, body: Any, *pairs: tuple[str, object], **headers: str) -> Any:
    return client.ask("/api/photo", *pairs, method="POST", body=body, headers=headers)


def test_a_photo_is_read_and_products_like_it_found(
    with_network: tuple[Client, Path, Model], tmp_path: Path
) -> None:
    from ivbpr_numba.network.file import Network
    from ivbpr_numba.questions.new_item import judge

    client, network, model = with_network
    (tmp_path / "p.png").write_bytes(photo("#d01010"))
    command = judge(model, [tmp_path / "p.png"], Network.read(network), user="u001")
    found = send(client, photo("#d01010"), ("user", "u001"), ("n", 5)).json
    assert found["attributes"] == command["attributes"]
    wanted = ("user", "score", "rank", "of", "percentile", "terms")
    assert found["standing"] == {key: command[key] for key in wanted}
    p = np.array([{one["feature"]: one["value"] for one in found["attributes"]}[k] for k in VOCABULARY.names])
    v = model.find_features().values(np.arange(len(DATA.items))).astype(np.float64)
    cosine = (v @ p) / np.linalg.norm(v, axis=1) / np.linalg.norm(p)
    order = np.argsort(-cosine, kind="stable")[:5]
    assert [row["item"] for row in found["items"]] == [DATA.items[int(row)] for row in order]
    assert [row["score"] for row in found["items"]] == pytest.approx(cosine[order].tolist())
    assert send(client, photo("#d01010")).json["standing"] is None
    assert client.document("/api/model")["photo"]


def test_photos_are_bounded(with_network: tuple[Client, Path, Model]) -> None:
    client, _, _ = with_network
    assert send(client, b"").status == 415
    assert send(client, b"no photo at all").status == 415
    assert "gigantic" in send(client, bomb(60_000)).json["error"]
    assert send(client, bomb(2_000)).status == 415  # cut short
    assert send(client, photo(), ("user", "nobody")).status == 404
    assert send(client, photo(), ("n", 49)).status == 400
    announced = b"POST /api/photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000001\r\n\r\n"
    assert status_of(raw(client.port, announced)) == 413
    pieces = (b"x" * 1_000_000 for _ in range(12))
    line = raw_chunks(client.port, pieces)
    assert status_of(line) == 413


def raw_chunks(port: int, pieces: Iterator[bytes]) -> bytes:
    """Send a body in pieces without saying how long it is, as long as it is taken."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(b"POST /api/photo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for piece in pieces:
                line.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            line.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        return line.recv(65536)


# --- who is slow, and who are many ---


def closed(port: int, *parts: bytes, pause: float = 0.0) -> bool:
    """Whether the other side ends a connection on its own after these bytes."""
    try:
        raw(port, *parts, wait=8.0, pause=pause)
    except (ConnectionResetError, BrokenPipeError):  # while something was sent
        return True
    except TimeoutError:
        return False
    return True


def test_who_is_slow_is_left(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from ivbpr_cli.web import connections, running

    monkeypatch.setattr(connections, "FOR_A_REQUEST", 0.4)
    monkeypatch.setattr(running, "BETWEEN_REQUESTS", 0.4)
    with serving(model) as client:
        silent = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(30)]
        assert client.ask("/healthz").status == 200  # they hold no worker
        assert closed(client.port)
        assert closed(client.port, *[bytes([c]) for c in get("/healthz")[:40]], pause=0.03)
        assert closed(client.port, get("/healthz", close=False))  # no further request
        assert closed(client.port, get("/healthz", close=False), b"GET /hea")
        body = b"POST /api/model HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n"
        assert closed(client.port, body, *[b"x"] * 20, pause=0.05)  # a body that nobody asked for
        for line in silent:
            line.settimeout(5)
            assert line.recv(1) == b""
            line.close()


def test_a_photo_that_trickles_is_given_up(
    with_network: tuple[Client, Path, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ivbpr_cli.web import app

    monkeypatch.setattr(app, "FOR_A_PHOTO", 0.3)
    head = b"POST /api/photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n"
    assert status_of(raw(with_network[0].port, head, b"x" * 100)) == 408


def test_who_reads_nothing_is_left(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from ivbpr_cli.web import connections

    monkeypatch.setattr(connections, "FOR_A_READER", 0.3)
    with serving(model) as client, socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.connect(("127.0.0.1", client.port))
        line.settimeout(10)
        asked = get("/openapi.json", close=False) * 3000  # answers of more bytes than the system holds
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            line.sendall(asked)
            for _ in range(200):  # until it has noticed
                time.sleep(0.05)
                line.sendall(b"G")
        assert client.ask("/healthz").status == 200


def test_too_many_connections_are_not_opened(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from ivbpr_cli.web import connections

    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 5)
    with serving(model) as client:
        many = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(5)]
        assert client.ask_or_none("/healthz") is None
        for line in many:
            line.close()
        time.sleep(0.2)
        assert client.ask("/healthz").status == 200


def test_too_many_questions_are_put_off(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from ivbpr_cli.web import workers
    from ivbpr_numba.documents.shop import Shop

    monkeypatch.setattr(workers, "MOST_WAITING", 2)
    go_on = threading.Event()
    usual = Shop.users

    def slow(self: Shop, *asked: Any) -> Any:
        go_on.wait(20)
        return usual(self, *asked)

    with serving(model) as client:
        monkeypatch.setattr(Shop, "users", slow)
        waiting = [threading.Thread(target=client.ask, args=("/api/users",)) for _ in range(2)]
        for thread in waiting:
            thread.start()
        time.sleep(0.3)
        refused = client.ask("/api/model")
        assert refused.status == 503 and refused.headers["retry-after"] == "1"
        assert client.ask("/healthz").status == 200  # needs no worker
        go_on.set()
        for thread in waiting:
            thread.join(20)
        assert client.ask("/api/model").status == 200
        assert client.seen.count(200) == 4


def test_what_nobody_foresaw_is_not_told_to_visitors(
    model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ivbpr_numba.documents.shop import Shop

    def fail(self: Shop, *asked: Any) -> Any:
        raise RuntimeError("secret of the house")

    with serving(model) as client:
        monkeypatch.setattr(Shop, "users", fail)
        broken = client.ask("/api/users")
        assert broken.status == 500 and b"secret" not in broken.body
        assert "secret of the house" in capsys.readouterr().err
        assert client.ask("/api/model").status == 200
