"""Every address gives the document of the command, or of the library, and nothing else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from PIL import Image
from small_models import DATA
from web_shop import ODD, SCRIPT, Client, catalogue, odd_model, serving, shop_model

from ivbpr_numba import Popularity, Session
from ivbpr_numba.documents import sessions
from ivbpr_numba.models.base import Model

ADDED = ("columns", "attributes", "image", "drawn", "purchases")


def plain(found: dict[str, Any]) -> dict[str, Any]:
    """A list of recommendations without what the server adds."""
    rows = []
    for row in found["items"]:
        reasons = [{k: v for k, v in one.items() if k not in ("kind", "feature")} for one in row["because"]]
        rows.append({**{k: v for k, v in row.items() if k not in ADDED}, "because": reasons})
    return {**found, "items": rows, "session": {k: v for k, v in found["session"].items() if k != "url"}}


def without_kinds(found: dict[str, Any]) -> dict[str, Any]:
    for row in found["items"]:
        row["because"] = [{k: v for k, v in one.items() if k != "kind"} for one in row["because"]]
    return found


@pytest.fixture(scope="module")
def file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.h5"
    model.save(path)
    model.find_features().write(path.with_name("f.h5"))
    return path


def printed(ivbpr: Callable[..., Any], *words: object) -> dict[str, Any]:
    done = ivbpr(*words, "--format", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_recommendations_are_those_of_the_command(
    client: Client, file: Path, ivbpr: Callable[..., Any]
) -> None:
    features = ("--features", file.with_name("f.h5"))
    asked = (
        "--boost",
        "hue=red=0.7",
        "--toward",
        "i003=1.5",
        "--boost",
        "left=-0.4",
        "--where",
        "colour=red",
    )
    command = printed(ivbpr, "recommend", file, "u004", "-n", 7, *asked, *features)
    pairs = [
        ("boost", "hue=red:0.7"),
        ("boost", "left:-0.4"),
        ("toward", "i003:1.5"),
        ("where", "colour:red"),
    ]
    found = client.document("/api/recommend", ("user", "u004"), ("n", 7), *pairs)
    assert plain(found) == without_kinds(command)
    assert len(found["items"]) == 7 and all(row["columns"]["colour"] == "red" for row in found["items"])
    again = client.document("/api/recommend", ("n", 7), *parse_qsl(found["session"]["url"][1:]))
    assert again == found


def test_a_new_shopper_is_that_of_the_command(client: Client, file: Path, ivbpr: Callable[..., Any]) -> None:
    command = printed(ivbpr, "recommend", file, "--likes", "i002,i005", "--features", file.with_name("f.h5"))
    found = client.document("/api/recommend", ("like", "i002"), ("like", "i005"))
    assert plain(found) == without_kinds(command)


@pytest.mark.parametrize("by", ["model", "knn"])
def test_steps_are_taken_in_the_order_given(client: Client, model: Model, by: str) -> None:
    session = (
        Session(model, "u001", by=by, at="2017-07-14")
        .toward("i004")
        .boost("hue=blue", 0.5)
        .toward("i007", -0.3)
    )
    pairs = [("toward", "i004"), ("boost", "hue=blue:0.5"), ("toward", "i007:-0.3")]
    common = [("user", "u001"), ("by", by), ("at", "2017-07-14"), *pairs]
    found = client.document("/api/recommend", ("n", 5), *common)
    expected = json.loads(json.dumps(sessions.recommend(session, 5, where={}).as_dict()))
    assert plain(found) == without_kinds(expected)
    assert client.document("/api/affinity", ("n", 4), *common) == sessions.affinity(session, 4).as_dict()
    if by == "model":
        terms = client.document("/api/explain", ("item", "i010"), *common)
        assert terms == sessions.explain(session, "i010").as_dict()
        assert sum(term["contribution"] for term in terms["terms"]) == pytest.approx(terms["score"])
    else:
        assert client.ask("/api/explain", ("item", "i010"), *common).status == 400


def test_an_explanation_is_that_of_the_command(client: Client, file: Path, ivbpr: Callable[..., Any]) -> None:
    command = printed(ivbpr, "explain", file, "u002", "i001", "--features", file.with_name("f.h5"))
    assert client.document("/api/explain", ("user", "u002"), ("item", "i001")) == command


def test_trends_are_those_of_the_command(client: Client, file: Path, ivbpr: Callable[..., Any]) -> None:
    words = ("trends", file, "--fits", 0, "--features", file.with_name("f.h5"))
    found = client.document("/api/trends", ("feature", "red"), ("feature", "hue=blue"))
    examples = found.pop("examples")
    assert found == printed(ivbpr, *words, "--feature", "red", "--feature", "hue=blue")
    assert [one["feature"] for one in examples] == ["hue=red", "hue=blue"]
    assert all(row["columns"]["colour"] == "red" for row in examples[0]["items"])
    most = client.document("/api/trends", ("n", 2))
    most.pop("examples")
    assert most == printed(ivbpr, *words, "--top", 2)


def test_the_shop_at_a_glance(client: Client, model: Model) -> None:
    found = client.document("/api/model")
    assert (found["users"], found["items"], found["features"]) == (60, 45, 5)
    assert found["images"] and not found["photo"] and found["steering"]
    assert [one["epoch"] for one in found["epochs"]] == [0, 1, 2]
    columns = {one["column"]: one for one in found["filters"]}
    assert sum(value["items"] for value in columns["colour"]["values"]) == 45 and "title" not in columns
    sides = {one["group"]: one for one in found["groups"]}["side"]
    assert sides["exclusive"] and sum(one["share"] for one in sides["features"]) == pytest.approx(1, abs=1e-3)
    assert found["metrics"]["all"]["auc"] == model.metrics_["test"]["all"]["auc"]


def test_shoppers_and_what_they_bought(client: Client, model: Model) -> None:
    some = client.document("/api/users", ("n", 4))
    counts = [one["purchases"] for one in some["users"]]
    assert len(counts) == 4 and counts == sorted(counts, reverse=True) and some["total"] == 60
    found = client.document("/api/users", ("q", "U00"), ("n", 3))
    assert found["total"] == 10 and len(found["users"]) == 3
    one = client.document("/api/users/u003")
    data = model.data_
    row = data.users.row("u003")
    bought = {
        data.items[i]
        for p in (data.train, data.valid, data.test)
        for i in p.indices[p.indptr[row] : p.indptr[row + 1]]
    }
    assert {item["item"] for item in one["items"]} == bought and one["purchases"] == len(bought)
    dates = [item["date"] for item in one["items"]]
    assert dates == sorted(dates, reverse=True) and dates[0].startswith("2017-")


def test_items_and_what_is_known_of_one(client: Client, model: Model) -> None:
    found = client.document("/api/items", ("q", "THING 7"), ("n", 5))
    assert found["items"][0]["title"].endswith("thing 7") and found["total"] == 4
    red = client.document("/api/items", ("where", "colour:red"), ("n", 6))
    assert len(red["items"]) == 6 and all(row["columns"]["colour"] == "red" for row in red["items"])
    one = client.document("/api/items/i004")
    assert [row["item"] for row in one["similar"]] == [row["item"] for row in model.similar("i004", 8)]
    assert one["title"].startswith(SCRIPT) and one["attributes"][0][1] == 1.0
    assert len(one["attributes"]) == 2


def test_pictures(client: Client) -> None:
    large = client.ask("/images/i001")
    assert large.headers["content-type"] == "image/jpeg"
    import io

    assert Image.open(io.BytesIO(large.body)).size == (480, 720)
    cards = {row["item"]: row for row in client.document("/api/items", ("q", "i00"), ("n", 10))["items"]}
    assert (cards["i000"]["drawn"], cards["i005"]["drawn"]) == (False, True)
    for item in ("i002", "i005"):  # a photo that is none, and none at all
        drawn = client.ask(cards[item]["image"])
        assert drawn.headers["content-type"] == "image/svg+xml" and b"<svg" in drawn.body


def test_a_browser_keeps_what_stays(client: Client) -> None:
    for path in ("/api/model", "/images/i001", "/images/i005", "/api/recommend?user=u001", "/openapi.json"):
        first = client.ask(path)
        again = client.ask(path, headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
        assert (again.status, again.body) == (304, b"") and again.headers["etag"] == first.headers["etag"]
        assert client.ask(path, headers={"If-None-Match": '"x"'}).status == 200


def test_texts_are_packed(client: Client) -> None:
    packed = client.ask("/api/model", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert json.loads(gzip.decompress(packed.body)) == client.document("/api/model")
    for path, wish in (
        ("/api/model", "gzip;q=0"),
        ("/api/model", ""),
        ("/healthz", "gzip"),
        ("/images/i001", "gzip"),
    ):
        assert "content-encoding" not in client.ask(path, headers={"Accept-Encoding": wish}).headers


def test_head_and_wrong_methods(client: Client) -> None:
    head, get = client.ask("/api/model", method="HEAD"), client.ask("/api/model")
    assert head.status == 200 and not head.body
    assert head.headers["content-length"] == get.headers["content-length"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        refused = client.ask("/api/model", method=method)
        assert refused.status == 405 and set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert client.ask("/api/photo").status == 405


@pytest.mark.parametrize("name", ["pop", "bpr-mf", "rand", "i-vbpr"])
def test_every_kind_of_model_is_served(name: str) -> None:
    model = shop_model(name)
    with serving(model) as client:
        assert client.document("/api/model")["kind"] == ("attributes" if name == "i-vbpr" else None)
        found = client.document("/api/recommend", ("user", "u001"))["items"]
        assert [row["item"] for row in found] == [row["item"] for row in model.recommend("u001")]
        assert client.ask("/api/trends").status == 404
        assert client.document("/api/items/i001")["item"] == "i001"
        assert client.ask("/images/i001").status == (200 if name == "i-vbpr" else 404)
        assert client.ask("/api/recommend", ("boost", "red")).status == (200 if name == "i-vbpr" else 400)
        assert client.ask("/api/recommend", ("user", "u001"), ("at", "2020-01-01")).status == 400
        assert client.ask("/api/photo", method="POST", body=b"x").status == 404


def test_ids_of_all_kinds_are_found_again() -> None:
    with serving(odd_model()) as client:
        listed = client.document("/api/items", ("n", 20))["items"]
        assert {row["item"] for row in listed} == set(ODD)
        for row in listed:
            from urllib.parse import quote

            assert client.document(f"/api/items/{quote(row['item'], safe='')}")["item"] == row["item"]
            assert client.document(f"/api/users/{quote(row['item'], safe='')}")["user"] == row["item"]
            assert client.ask(row["image"]).headers["content-type"] == "image/svg+xml"
            near = client.document("/api/recommend", ("toward", f"{row['item']}:0.5"), ("like", row["item"]))
            assert near["session"]["steps"][0]["item"] == row["item"] == near["session"]["likes"][0]


def test_columns_whose_names_have_colons_filter_too() -> None:
    items = catalogue().rename(columns={"colour": "g:color", "season": "g"})
    model = Popularity().fit(DATA.with_items(items, id="id", keep=["g", "g:color"]))
    with serving(model) as client:
        for path in ("/api/items", "/api/recommend"):
            found = client.document(path, ("where", "g:color:red"), ("where", "g:summer"))["items"]
            assert found and all(row["columns"] == {"g": "summer", "g:color": "red"} for row in found)
        assert client.ask("/api/items", ("where", "h:color:red")).status == 400
