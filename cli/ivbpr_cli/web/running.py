"""A server from its socket to its end."""

from __future__ import annotations

import errno
import socket
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from ivbpr_cli.web.connections import Connection
from ivbpr_numba.errors import EnvironmentProblem, UsageError
from ivbpr_numba.store.atomic import os_problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["address_of", "listening", "serve", "server_of"]

BETWEEN_REQUESTS = 15  # seconds that a browser keeps a connection
FOR_THE_LAST = 5  # seconds that answers under way get at the end
WAITING = 128  # connections that the system holds for us


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens, so that no other program takes its address while the model is read.

    Who asks before `serve` answers waits.

    Raises
    ------
    UsageError
        The machine has no such address.
    EnvironmentProblem
        The port is in use, or not for everybody.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except (socket.gaierror, UnicodeError):
        raise UsageError(f"--host {host}: there is no such address.", "Use 127.0.0.1 or 0.0.0.0.") from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(WAITING)  # two sockets can be bound to one port, as long as none of them listens
    except OSError as problem:
        found.close()
        if problem.errno == errno.EADDRINUSE:
            raise EnvironmentProblem(
                f"Port {port} of {host} is in use.",
                "Name another one with --port, or 0 for any that is free.",
            ) from None
        if problem.errno == errno.EACCES:
            raise EnvironmentProblem(
                f"Port {port} is not for everybody.", "Use --port with 1024 or more."
            ) from None
        if problem.errno == errno.EADDRNOTAVAIL:
            raise UsageError(
                f"--host {host}: this machine doesn't have that address.", "Use 127.0.0.1 or 0.0.0.0."
            ) from None
        raise os_problem(problem, f"{host}:{port}", "listen at") from problem
    return found


def address_of(bound: socket.socket) -> str:
    """The address of a socket as one types it into a browser."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def server_of(app: ASGIApp, started: Callable[[], None]) -> uvicorn.Server:
    """A server of our settings; `started` is called when it answers."""
    config = uvicorn.Config(
        app, http=Connection, ws="none", loop="asyncio", lifespan="on", log_config=None, log_level="critical",
        access_log=False, server_header=False, date_header=True, proxy_headers=False,
        timeout_keep_alive=BETWEEN_REQUESTS, timeout_graceful_shutdown=FOR_THE_LAST, backlog=WAITING,
    )  # fmt: skip
    return _Server(config, started)


def serve(app: ASGIApp, bound: socket.socket, started: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM, which then end the command as any other: 130 or 143.

    Parameters
    ----------
    app : ASGI application
    bound : socket
        From `listening`.
    started : callable
        Called when it answers.
    """
    # What the library warns of is in the documents; a visitor's date must not write on the screen.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        server_of(app, started).run(sockets=[bound])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_started()
