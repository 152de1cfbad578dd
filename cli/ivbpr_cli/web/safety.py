"""What every request passes: whom it is addressed to, and what a browser is told about the answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ivbpr_cli.web.refusals import Refused
from ivbpr_cli.web.replies import refusal

__all__ = ["HEADERS", "Guard", "Hosts"]

MOST_PATH = 2_000  # characters
HEADERS = {
    # blob: shows a photo that was dropped, before it is sent.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Hosts:
    """The names by which this server may be called.

    A foreign page can make its own name point to this machine and then read what the server says (DNS
    rebinding); the browser still sends that name. Addresses can't be made to point elsewhere.

    Parameters
    ----------
    host : str
        Where the server listens.
    more : iterable of str
        Further names, such as that of a proxy.
    """

    def __init__(self, host: str, more: Iterable[str] = ()) -> None:
        address = _address(host)
        self.local = host == "localhost" or (address is not None and address.is_loopback)
        self._names = {"localhost", host.lower(), *(one.lower() for one in more)}

    def knows(self, header: str) -> bool:
        """Whether a ``Host`` header names this server; the port, which a tunnel may change, is left out."""
        name = header.strip().lower()
        if name.startswith("["):
            name, _, port = name[1:].partition("]")
            port = port.removeprefix(":")
        else:
            name, _, port = name.partition(":")
        if port and not (port.isascii() and port.isdecimal()):
            return False
        if name in self._names:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or not self.local)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


class Guard:
    """Refuses requests that are addressed to somebody else, and puts `HEADERS` on every answer."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._problem(scope)
        answer = self._app if problem is None else refusal(problem)
        await answer(scope, receive, with_headers)

    def _problem(self, scope: Scope) -> Refused | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.knows(hosts[0]):
            return Refused(
                421,
                "This server does not go by that name.",
                "Use the address that 'ivbpr serve' printed, or start it with --name.",
            )
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return Refused(403, "Another site may not ask anything here.", "Use the page of this server.")
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and origin is not None:
            if not self._hosts.knows(urlsplit(origin).netloc):
                return Refused(
                    403, "Another site may not send anything here.", "Use the page of this server."
                )
        if len(scope["path"]) > MOST_PATH:
            return Refused(414, "The address is too long.", f"At most {MOST_PATH:,} characters are read.")
        return None
