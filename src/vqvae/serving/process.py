"""A server as a process: its socket, its log, and its end; the only importer of uvicorn."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vqvae.errors import ConfigError
from vqvae.serving.gate import Gate
from vqvae.serving.settings import ServeOptions

REQUEST_SECONDS = 15.0
"""Seconds that a connection waits for all headers of its next request."""
_BACKLOG = 512
"""Connections that wait to be accepted."""
_POLL = 0.05
"""Seconds between looks at the requests in flight, while the server stops."""


class JsonLines(logging.Formatter):
    """Log records as lines of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + "Z", "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        line |= fields if isinstance(fields, dict) else {"event": "log", "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json(level: int = logging.INFO) -> None:
    """Write all of the program's log to stderr as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: the address is taken, or is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(_BACKLOG)
        except BaseException:
            opened.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"The server cannot listen at {host}, port {port} ({reason}). Choose another --port or --host.") from error
    return opened


class _Connection(H11Protocol):
    """A connection that is closed if its next request does not come within a while, in part or at all."""

    _last: Any = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyrefly: ignore
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Look again after a while."""
        if self._timer is not None:
            self._timer.cancel()
        self._last = self.cycle
        self._timer = self.loop.call_later(REQUEST_SECONDS, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        if self.cycle is self._last and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which lets requests in flight finish before it closes their connections."""

    def __init__(self, config: uvicorn.Config, gate: Gate, options: ServeOptions) -> None:
        super().__init__(config)
        self._gate, self._options = gate, options

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and Ctrl-C. uvicorn would raise them again at the end, and the program would end before its own last words."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new requests, wait for those in flight up to a bound, and close."""
        self._gate.is_closing = True
        until = time.monotonic() + self._options.grace
        while self._gate.in_flight and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(_POLL)
        await super().shutdown(sockets)


def run(gate: Gate, opened: socket.socket, options: ServeOptions) -> None:
    """Serve until SIGTERM or Ctrl-C. Returns after the last answer."""
    config = uvicorn.Config(
        gate,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=32 * 1024,
        http=_Connection,
        ws="none",
    )
    _Server(config, gate, options).run(sockets=[opened])
