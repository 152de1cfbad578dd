"""Answers as bytes: JSON, pictures and files, with the digest by which a browser keeps them."""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ivbpr_cli.web.refusals import Refused

__all__ = ["json_bytes", "refusal", "reply"]

PACKED_FROM = 1_000  # bytes
TEXTS = ("application/json", "text/", "image/svg+xml")
# A picture drawn by us has no script; this keeps a browser from looking for one where it is opened alone.
DRAWING = "default-src 'none'; style-src 'none'; sandbox"


def json_bytes(content: Any) -> bytes:
    """A document as JSON; NaN becomes null."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def reply(request: Request, body: bytes, media: str, keep: str = "no-cache") -> Response:
    """A complete answer, or 304 where the browser has it already; texts are packed.

    Parameters
    ----------
    request : Request
    body : bytes
    media : str
        Its type.
    keep : str
        ``Cache-Control``; ``no-cache`` keeps it and asks each time whether it is still good.
    """
    packed = media.startswith(TEXTS) and len(body) >= PACKED_FROM and _takes_gzip(request)
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}{"-gz" if packed else ""}"'
    headers = {"ETag": tag, "Cache-Control": keep}
    if media.startswith(TEXTS):
        headers["Vary"] = "Accept-Encoding"
    if media == "image/svg+xml":
        headers["Content-Security-Policy"] = DRAWING
    if _has(request, tag):
        return Response(status_code=304, headers=headers)
    if packed:
        body = gzip.compress(body, 5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=media, headers=headers)


def refusal(problem: Refused) -> Response:
    """An error as JSON; nobody keeps it."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(
        json_bytes(problem.content()), problem.status, media_type="application/json", headers=headers
    )


def _takes_gzip(request: Request) -> bool:
    wanted = request.headers.get("accept-encoding", "")
    parts = [one.strip().replace(" ", "") for one in wanted.lower().split(",")]
    return any(
        part == "gzip" or (part.startswith("gzip;q=") and part[7:].strip("0.") != "") for part in parts
    )


def _has(request: Request, tag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in known.split(","))
