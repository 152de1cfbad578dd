"""Connections that don't wait for ever: for a request, for its end, or for a reader."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ivbpr_cli.web.replies import json_bytes
from ivbpr_cli.web.safety import HEADERS

__all__ = ["MOST_CONNECTIONS", "Connection"]

MOST_CONNECTIONS = 500
FOR_A_REQUEST = 10.0  # seconds from the opening, or from the first byte of a further request, to its head
FOR_A_READER = 30.0  # seconds in which a visitor reads nothing of an answer


class Connection(H11Protocol):
    """One connection of uvicorn's, closed when the other side is too slow; too many are not opened."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._waiting = self.loop.call_later(FOR_A_REQUEST, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._waiting, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self._waiting is None and self.conn.their_state is h11.IDLE:
            self._waiting = self.loop.call_later(FOR_A_REQUEST, self._too_slow)
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self._waiting is not None and self.conn.their_state is not h11.IDLE:  # the head is there
            self._waiting.cancel()
            self._waiting = None

    def on_response_complete(self) -> None:
        if self.conn.their_state is h11.SEND_BODY:  # a body that nobody asked for, perhaps without end
            self.transport.close()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(FOR_A_READER, self._too_slow)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _too_slow(self) -> None:
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so in JSON too."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer has begun
            self.transport.abort()
            return
        body = json_bytes({"error": msg, "hint": "Send HTTP/1.1."})
        headers = {**HEADERS, "Content-Type": "application/json", "Connection": "close"}
        headers["Content-Length"] = str(len(body))
        response = h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
