"""A server as a process: its log, its address, and its end while requests are in flight."""

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
import urllib.request
from typing import Any

import pytest

from vqvae.errors import ConfigError
from vqvae.serving.gate import Gate
from vqvae.serving.measures import Measures
from vqvae.serving.process import JsonLines, bind, run
from vqvae.serving.settings import ServeOptions


def test_a_taken_port_is_named() -> None:
    with bind("127.0.0.1", 0) as opened, pytest.raises(ConfigError, match="Choose another --port"):
        bind("127.0.0.1", opened.getsockname()[1])
    with pytest.raises(ConfigError, match="no.such.host"):
        bind("no.such.host.invalid", 0)


def test_log_lines_are_json() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "words %d", (3,), None)
    assert json.loads(JsonLines().format(record))["message"] == "words 3"
    record.fields = {"event": "request", "status": 200}
    assert json.loads(JsonLines().format(record)).items() >= {"event": "request", "status": 200, "level": "info"}.items()


def test_a_connection_whose_headers_never_end_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqvae.serving.process.REQUEST_SECONDS", 0.2)
    opened, heard = bind("127.0.0.1", 0), list[bool]()

    def play() -> None:
        for start in (b"GET / HTTP/1.1\r\nHost: x\r\n", b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.create_connection(opened.getsockname(), 10) as asking:
                asking.sendall(start)
                answer = b""
                while part := asking.recv(1000):
                    answer += part
                heard.append(b"done" in answer)
        os.kill(os.getpid(), signal.SIGTERM)

    playing = threading.Thread(target=play)
    playing.start()
    run(Gate(slow, ServeOptions(), Measures()), opened, ServeOptions())
    playing.join(30)
    assert heard == [False, False, True], "closed without an answer, and only after the answer"


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Answers after a while."""
    await asyncio.sleep(1.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.mark.parametrize(("grace", "expected"), [(20.0, "done"), (0.1, "lost")])
def test_sigterm_lets_requests_finish_up_to_a_bound(grace: float, expected: str) -> None:
    opened, answers = bind("127.0.0.1", 0), list[str]()
    url = f"http://127.0.0.1:{opened.getsockname()[1]}/"
    gate = Gate(slow, ServeOptions(grace=grace), Measures())

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                answers.append(answer.read().decode())
        except OSError:
            answers.append("lost")

    def play() -> None:
        asking = threading.Thread(target=ask)
        asking.start()
        while not gate.in_flight:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)
        asking.join(30)

    playing = threading.Thread(target=play)
    before = signal.getsignal(signal.SIGTERM)
    playing.start()
    run(gate, opened, ServeOptions(grace=grace))
    playing.join(30)
    assert answers == [expected] and gate.is_closing
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)
