"""The OpenAPI document says what the handlers do, and no request that can be made from it breaks the server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from web_shop import ODD, Client, check_answer, odd_model, photo, serving

VALUES = [
    *("", "0", "1", "-1", "1e9", "NaN", "inf", "true", "null", "[]", "{}", "u001", "i001", "red", "hue=red"),
    *(
        "hue=red:0.5",
        "left:-0.5",
        "i003:1",
        "i003:-2",
        "red:1e-300",
        "red:999",
        "red:1001",
        "::",
        ":1",
        "=",
        "&",
    ),
    *(
        "colour:red",
        "colour:blue",
        "season:summer",
        "colour:",
        ":red",
        "colour",
        "title:x",
        "2017-07-15",
        "2031",
    ),
    *("0001-01-01", "9999-12-31", "1500000000", "99999999999999", "model", "knn", "' OR 1=1 --", "../../x"),
    *(
        "%s%n",
        "\x00",
        "\x1b[31m",
        "\u202e",
        "\ufdd0at\ufdd2",
        "💥",
        "a" * 299,
        "a" * 301,
        "\r\nX: y",
        "thing",
    ),
    *ODD,
]


def paths(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def request(random: random.Random, document: dict[str, Any]) -> tuple[str, str, bytes | None]:
    """A request to one of the addresses: mostly what the document allows, with values of all kinds."""
    path, method, operation = random.choice(list(paths(document)))
    pairs = []
    for one in operation["parameters"]:
        schema = one["schema"]
        if one["in"] == "path":
            path = path.replace("{id}", quote(random.choice(VALUES), safe=""))
            continue
        count = random.randrange(4) if schema["type"] == "array" else random.randrange(2)
        kind = schema.get("items", schema)
        for _ in range(count):
            if random.random() < 0.4 and kind["type"] == "integer":
                value = str(random.randint(kind["minimum"], kind["maximum"]))
            elif random.random() < 0.7 and "enum" in kind:
                value = random.choice(kind["enum"])
            else:
                value = random.choice(VALUES)
            pairs.append((one["name"], value))
    random.shuffle(pairs)
    if random.random() < 0.05:
        pairs.append((random.choice(["x", "", "user", "n", "boost[]"]), random.choice(VALUES)))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    if random.random() < 0.03:
        query += random.choice(["&", "=", "%", "%zz", "&&==", "#", "?"])
    body = None
    if method == "POST":
        body = random.choice(
            [b"", b"\xff\xd8\xff\xe0" + random.randbytes(200), photo()[: random.randrange(300)], photo()]
        )
    return method if random.random() < 0.97 else "HEAD", f"{path}?{query}" if query else path, body


def fuzz(client: Client, seed: int, count: int) -> dict[int, int]:
    """How often each status came; every answer is one that a visitor may get."""
    chance, document = random.Random(seed), client.document("/openapi.json")
    statuses: dict[int, int] = {}
    for _ in range(count):
        method, target, body = request(chance, document)
        answer = client.ask(target, method=method, body=body, checked=False)
        assert answer.status < 500, (method, target, answer.body)
        check_answer(answer, method)
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
    return statuses


@pytest.fixture(params=["usual", "odd"])
def any_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    if request.param == "usual":
        yield request.getfixturevalue("client")
    else:
        with serving(odd_model()) as client:
            yield client


def test_requests_of_chance(any_client: Client) -> None:
    statuses = fuzz(any_client, 1, 250)
    assert statuses[200] > 50 and statuses[400] > 20 and statuses[404] > 5


@pytest.mark.slow
def test_five_thousand_requests_of_chance(any_client: Client) -> None:
    statuses = fuzz(any_client, 2, 5000)
    assert statuses[200] > 500


def test_the_document_is_that_of_the_handlers(client: Client) -> None:
    """Every parameter it names is read, nothing else is; every address that is answered is in it."""
    from ivbpr_cli.web.api import HANDLERS
    from ivbpr_cli.web.app import SPECIAL

    document = client.document("/openapi.json")
    assert document["openapi"].startswith("3.1.")
    named = {operation["operationId"] for _, _, operation in paths(document)}
    assert named == set(HANDLERS) | set(SPECIAL)
    for path, method, operation in paths(document):
        target = path.replace("{id}", "i001" if "items" in path or "images" in path else "u001")
        body = photo() if method == "POST" else None
        known = [one["name"] for one in operation["parameters"] if one["in"] == "query"]
        unknown = client.ask(target, ("zzz", "1"), method=method, body=body)
        if method == "GET":
            assert unknown.status == 400 and "no parameter 'zzz'" in unknown.json["error"], path
        for name in known:
            answer = client.ask(target, (name, ""), method=method, body=body)
            assert "no parameter" not in answer.body.decode(), (path, name)
        statuses = {int(status) for status in operation["responses"]}
        assert {200, 400} <= statuses


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/api/recommend", "user", "u003"),
        ("/api/recommend", "like", "i003"),
        ("/api/recommend?user=u003", "at", "2017-07-14"),
        ("/api/recommend?user=u003", "by", "knn"),
        ("/api/recommend?user=u003", "boost", "green:2"),
        ("/api/recommend?user=u003", "toward", "i009:2"),
        ("/api/recommend?user=u003", "n", "3"),
        ("/api/recommend?user=u003", "where", "colour:green"),
        ("/api/explain?item=i001", "user", "u003"),
        ("/api/explain?item=i001", "like", "i003"),
        ("/api/explain?item=i001&user=u003", "at", "2017-07-14"),
        ("/api/explain?item=i001&user=u003", "boost", "green:2"),
        ("/api/explain?item=i001&user=u003", "toward", "i009:2"),
        ("/api/affinity", "user", "u003"),
        ("/api/affinity", "like", "i003"),
        ("/api/affinity?user=u003", "at", "2017-07-14"),
        ("/api/affinity?user=u003", "boost", "green:2"),
        ("/api/affinity?user=u003", "toward", "i009:2"),
        ("/api/affinity?user=u003", "n", "2"),
        ("/api/users", "q", "u00"),
        ("/api/users", "n", "3"),
        ("/api/items", "q", "thing 1"),
        ("/api/items", "n", "3"),
        ("/api/items", "where", "colour:red"),
        ("/api/trends", "feature", "red"),
        ("/api/trends", "n", "1"),
    ],
)
def test_every_parameter_changes_the_answer(client: Client, path: str, name: str, value: str) -> None:
    mark = "&" if "?" in path else "?"
    assert client.document(path) != client.document(f"{path}{mark}{name}={quote(value)}")
