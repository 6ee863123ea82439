"""What every request passes: its id, the token, limits, the deadline, the log, and the end when its client leaves."""

import asyncio
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from vqvae.serving.measures import Measures
from vqvae.serving.refusals import Refusal, as_json, headers_of, message_of, status_of
from vqvae.serving.settings import ServeOptions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_log = logging.getLogger("vqvae.serving.requests")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OPEN = re.compile(r"/|/health/(live|ready)|/static/.*|/favicon\.ico")
"""The paths that need no token: the page's own files, which know nothing, and the answers to a supervisor."""
_SOON = 10
"""Seconds after which a client may try again while models are prepared."""
_SPARE = 64
"""Requests in flight beyond those that may wait for models."""


class Gate:
    """The outermost part of the application (ASGI)."""

    def __init__(
        self,
        app: App,
        options: ServeOptions,
        measures: Measures,
        token: str | None = None,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """Stand before an application.

        Args:
            app: the application.
            options: the limits.
            measures: where requests are counted.
            token: what clients must send, if anything.
            is_ready: whether the models are as fast as they will be. Until then, a late answer is the server's fault.
        """
        self._app, self._options, self._measures = app, options, measures
        self._token = None if token is None else token.encode()
        self._is_ready = is_ready
        self.is_closing = False
        self.in_flight = 0
        self._most = options.waiting + _SPARE

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._options.most_bytes)
        self.in_flight += 1
        self._measures.in_flight.inc()
        try:
            self._check(exchange)
            await self._answer(exchange)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        finally:
            self.in_flight -= 1
            self._measures.in_flight.dec()
            self._record(exchange)

    def _check(self, exchange: "Exchange") -> None:
        """Raise Refusal for what needs no look at the body."""
        path = exchange.scope["path"]
        if self.is_closing and path != "/health/live":
            raise Refusal(503, "The server is shutting down. Try again when it runs again.", 5)
        if self.in_flight > self._most and not path.startswith("/health/"):
            raise Refusal(429, f"{self._most} requests are in flight already. Try again in a second.", 1)
        if self._token is not None and not _OPEN.fullmatch(path):
            given = exchange.header(b"authorization")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                raise Refusal(401, "This server needs its token. Send the header: Authorization: Bearer TOKEN")
        length = exchange.header(b"content-length")
        if length and (not length.isdigit() or int(length) > self._options.most_bytes):
            raise exchange.too_large()

    async def _answer(self, exchange: "Exchange") -> None:
        """Let the application answer, until the deadline, and only while the client is there."""
        task = asyncio.ensure_future(self._app(exchange.scope, exchange.receive, exchange.send))
        left = asyncio.ensure_future(exchange.left())
        try:
            await asyncio.wait({task, left}, timeout=self._options.deadline, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            if exchange.is_too_large:
                raise exchange.too_large()
            if not exchange.is_left:
                seconds = self._options.deadline
                if exchange.is_read and not self._is_ready():
                    raise Refusal(503, f"The models are still being prepared, after {seconds:g} seconds. Try again soon.", _SOON)
                raise Refusal(
                    408, f"Waiting and work took longer than {seconds:g} seconds. Try again, send less, or raise the server's --deadline."
                )
            exchange.status = exchange.status or 499
        elif (error := task.exception()) is not None:
            if isinstance(error, Refusal):
                raise error
            self.failed(exchange.id, error)
            await exchange.refuse(error if isinstance(error, Exception) else RuntimeError(str(error)))

    def failed(self, request_id: str, error: BaseException) -> None:
        """Log an error that is the server's own."""
        _log.error("failed", extra={"fields": {"event": "error", "request_id": request_id}}, exc_info=error)

    def _record(self, exchange: "Exchange") -> None:
        seconds = time.monotonic() - exchange.began
        route = getattr(exchange.scope.get("route"), "path", None) or "other"
        self._measures.answered(exchange.scope["method"] if route != "other" else "other", route, exchange.status, seconds)
        fields = {
            "event": "request",
            "request_id": exchange.id,
            "method": exchange.scope["method"],
            "path": exchange.scope["path"],
            "status": exchange.status,
            "seconds": round(seconds, 4),
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
        }
        _log.info("request", extra={"fields": fields})


class Exchange:
    """A request and its answer."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, most_bytes: int) -> None:
        self.scope, self._receive, self._send, self._most = scope, receive, send, most_bytes
        self.began, self.status, self.bytes_in, self.bytes_out = time.monotonic(), 0, 0, 0
        self.is_left, self.is_too_large, self.is_read = False, False, False
        self._ended = asyncio.Event()
        given = self.header(b"x-request-id").decode("latin-1")
        self.id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = self.id
        self._left = asyncio.Event()

    def header(self, name: bytes) -> bytes:
        """The value of a header; empty if it is missing."""
        return next((value for key, value in self.scope["headers"] if key == name), b"")

    async def receive(self) -> Message:
        """The next part of the request, for the application."""
        if self.is_read:
            await self._left.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_left = True
            self._left.set()
        self.bytes_in += len(message.get("body", b""))
        if self.bytes_in > self._most:
            # Frameworks turn an error in here into one of their own, so the gate ends the request instead.
            self.is_too_large = True
            self._ended.set()
            await asyncio.Future()
        if not message.get("more_body", False):
            self.is_read = True
            self._ended.set()
        return message

    async def left(self) -> None:
        """Return when the client has left, or sends too much. The former is looked for once the request is read."""
        await self._ended.wait()
        while not self.is_left and not self.is_too_large:
            self.is_left = (await self._receive())["type"] == "http.disconnect"
        self._left.set()

    async def send(self, message: Message) -> None:
        """A part of the answer, with the id in its header."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", self.id.encode())]}
        self.bytes_out += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, error: Exception) -> None:
        """Answer with an error, unless the answer has begun."""
        if self.status or self.is_left:
            self.status = self.status or 499
            return
        status = status_of(error)
        body = json.dumps(as_json(status, message_of(error), self.id)).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **headers_of(error)}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if not self.is_read and status in (408, 413):
            headers["connection"] = "close"
        pairs = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})

    def too_large(self) -> Refusal:
        """The refusal of a body that is too large."""
        return Refusal(413, f"The request is larger than {self._most:,} bytes, the most that this server takes. Send a smaller file.")
