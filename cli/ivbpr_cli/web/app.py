"""The application: which function answers which address, and what becomes of errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path

from ivbpr_cli.web.api import HANDLERS, Served
from ivbpr_cli.web.asking import read_query
from ivbpr_cli.web.files import PageFile, page_files
from ivbpr_cli.web.openapi import openapi
from ivbpr_cli.web.refusals import Refused, refusal_of
from ivbpr_cli.web.replies import json_bytes, refusal, reply
from ivbpr_cli.web.routes import MOST_BYTES, ROUTES, Route
from ivbpr_cli.web.safety import Guard, Hosts
from ivbpr_cli.web.sessions import known
from ivbpr_cli.web.workers import Workers
from ivbpr_numba.errors import DataError

__all__ = ["SPECIAL", "application"]

JSON = "application/json"
PICTURES_KEPT = "private, max-age=300"
FOR_A_PHOTO = 30.0  # seconds until it has arrived

Handler = Callable[[Request], Awaitable[Response]]


def application(served: Served, hosts: Hosts) -> Guard:
    """The whole server as an ASGI application."""
    workers = Workers()

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        yield
        workers.close()

    paths = []
    for route in ROUTES:
        answer = SPECIAL.get(route.handler, _document)
        path = route.path.replace("{id}", "{id:path}")
        paths.append(Path(path, _endpoint(partial(answer, served, workers, route)), methods=[route.method]))
    files = page_files()
    paths += [Path(f"/static/{name}", _endpoint(partial(_file, one))) for name, one in files.items()]
    if "index.html" in files:
        paths.append(Path("/", _endpoint(partial(_file, files["index.html"]))))
    app = Starlette(
        routes=paths,
        lifespan=living,
        exception_handlers={HTTPException: _not_there},  # type: ignore[dict-item]
    )
    app.router.redirect_slashes = False
    return Guard(app, hosts)


def _endpoint(answer: Callable[[Request], Awaitable[Response]]) -> Handler:
    async def endpoint(request: Request) -> Response:
        try:
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as problem:
            return refusal(refusal_of(problem))

    return endpoint


async def _document(served: Served, workers: Workers, route: Route, request: Request) -> Response:
    query = read_query(route, request.scope["query_string"])
    answer = partial(HANDLERS[route.handler], served, query, request.path_params.get("id", ""))
    body = await workers.ask_model(lambda: json_bytes(answer()))
    return reply(request, body, JSON)


async def _image(served: Served, workers: Workers, route: Route, request: Request) -> Response:
    read_query(route, request.scope["query_string"])
    item = known(served.shop.data.items, request.path_params["id"])
    photos = served.photos
    if photos is not None and item in photos:
        picture = await workers.see_picture(lambda: photos.small(item))
        if picture is not None:
            return reply(request, picture.jpeg, "image/jpeg", PICTURES_KEPT)
    drawing = await workers.ask_model(lambda: served.drawings.of(item))
    if drawing is None:
        raise Refused(404, f"There is no picture of '{item}'.", "Start the server with --images.")
    return reply(request, drawing, "image/svg+xml", PICTURES_KEPT)


async def _photo(served: Served, workers: Workers, route: Route, request: Request) -> Response:
    network = served.network
    if network is None:
        raise Refused(404, "This server looks at no photos.", "Start it with --network NETWORK.onnx.")
    query = read_query(route, request.scope["query_string"])
    content = await _body(request)
    try:
        seen = await workers.look_at_photo(lambda: network.look([("that was sent", content)]))
    except DataError as problem:
        raise Refused(415, problem.message, problem.hint) from None
    body = await workers.ask_model(lambda: json_bytes(HANDLERS["photo"](served, query, seen)))
    return reply(request, body, JSON, "no-store")


async def _body(request: Request) -> bytes:
    """The body of a request, bounded in size and time."""
    announced = request.headers.get("content-length", "0")
    parts, size = [], 0
    if len(announced) > 12 or int(announced) > MOST_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(FOR_A_PHOTO):
            async for part in request.stream():
                size += len(part)
                if size > MOST_BYTES:
                    raise _too_large()
                parts.append(part)
    except TimeoutError:
        raise Refused(408, "The photo did not arrive in time.", "Send a smaller one.") from None
    if not size:
        raise Refused(415, "There is no photo.", "Send the image itself as the body.")
    return b"".join(parts)


def _too_large() -> Refused:
    return Refused(413, f"The photo has more than {MOST_BYTES:,} bytes.", "Send a smaller one.")


async def _health(served: Served, workers: Workers, route: Route, request: Request) -> Response:
    read_query(route, request.scope["query_string"])
    return reply(request, json_bytes({"status": "ok"}), JSON, "no-store")


async def _openapi(served: Served, workers: Workers, route: Route, request: Request) -> Response:
    read_query(route, request.scope["query_string"])
    return reply(request, json_bytes(openapi()), JSON)


async def _file(file: PageFile, request: Request) -> Response:
    return reply(request, file.body, file.media)


async def _not_there(request: Request, problem: Exception) -> Response:
    """What no route answers: 404, or 405 with what the address allows."""
    assert isinstance(problem, HTTPException)
    headers: dict[str, Any] = dict(problem.headers or {})
    if problem.status_code == 405:
        allowed = headers.get("Allow", "")
        return refusal(Refused(405, f"{request.method} is not for this address.", f"Use {allowed}.", headers))
    return refusal(Refused(404, "There is nothing at this address.", "See /openapi.json.", headers))


# Answered otherwise than by a document of `HANDLERS` alone.
SPECIAL = {"image": _image, "photo": _photo, "health": _health, "openapi": _openapi}
