"""What every request passes: ids, the token, limits, the deadline, the log, and clients that leave."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.serving.conftest import OPTIONS, png
from vqvae.serving.app import build_app
from vqvae.serving.gate import Gate
from vqvae.serving.measures import Measures
from vqvae.serving.served import Served
from vqvae.serving.settings import ServeOptions

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def scope(path: str = "/", method: str = "POST", headers: dict[str, str] | None = None) -> dict[str, Any]:
    pairs = [(key.lower().encode(), value.encode()) for key, value in (headers or {}).items()]
    return {"type": "http", "path": path, "method": method, "headers": pairs, "query_string": b"", "raw_path": path.encode()}


async def exchange(gate: Gate, request: list[dict[str, Any]], asked: dict[str, Any]) -> tuple[int | None, dict[str, Any]]:
    """Send the messages of a request, then nothing. The status and the body of the answer; None if there was none."""
    waiting, sent = list(request), list[MutableMapping[str, Any]]()

    async def receive() -> MutableMapping[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(60)
        raise AssertionError("never reached")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await gate(asked, receive, send)
    if not sent:
        return None, {}
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body) if body else {}


def part(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def slow(scope: Any, receive: Receive, send: Any) -> None:
    """An application that reads the request and never answers."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(60)


def test_the_id_of_a_request_comes_back_unless_it_is_strange(client: TestClient) -> None:
    assert client.get("/health/live", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    other = client.get("/nothing", headers={"X-Request-ID": "a b\x7f"})
    assert other.status_code == 404 and other.headers["x-request-id"] == other.json()["error"]["request_id"] != "a b\x7f"


def test_only_the_token_opens_the_interface(models: dict[str, Served]) -> None:
    client = TestClient(build_app(models, OPTIONS, Measures(), "secret-token"))
    assert client.get("/health/live").status_code == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret-token"}, {"Authorization": "Bearer \xff"}):
        answer = client.get("/v1/models", headers={key: value.encode("latin-1") for key, value in headers.items()})
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/metrics").status_code == client.get("/openapi.json").status_code == 401
    assert client.get("/v1/models", headers={"Authorization": "Bearer secret-token"}).status_code == 200


def test_a_body_that_is_too_large_is_refused_while_it_is_read(gate: Gate, client: TestClient) -> None:
    answer = client.post("/v1/models/photos/encode", files={"file": ("a.png", b"x" * 300_000)})
    assert answer.status_code == 413 and "200,000 bytes" in answer.json()["error"]["message"]
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    parts = [part(head, True), *[part(b"x" * 60_000, True)] * 100]
    status, body = asyncio.run(exchange(gate, parts, scope("/v1/models/photos/encode", headers=multipart)))
    assert status == 413 and body["error"]["code"] == "too_large"
    status, _ = asyncio.run(exchange(gate, [], scope("/v1/models/photos/encode", headers={"Content-Length": "x"})))
    assert status == 413


def test_a_request_that_takes_too_long_is_refused_with_408() -> None:
    gate = Gate(slow, ServeOptions(deadline=0.05), Measures())
    for parts in ([part(b"{}", False)], [part(b"{", True)], []):
        status, body = asyncio.run(exchange(gate, list(parts), scope()))
        assert status == 408 and "--deadline" in body["error"]["message"]
    assert gate.in_flight == 0


def test_a_late_answer_while_models_are_prepared_is_the_fault_of_the_server() -> None:
    ready = False
    gate = Gate(slow, ServeOptions(deadline=0.05), Measures(), is_ready=lambda: ready)
    status, body = asyncio.run(exchange(gate, [part(b"{}", False)], scope()))
    assert status == 503 and "prepared" in body["error"]["message"]
    assert asyncio.run(exchange(gate, [part(b"{", True)], scope()))[0] == 408, "the client was slow"
    ready = True
    assert asyncio.run(exchange(gate, [part(b"{}", False)], scope()))[0] == 408


def test_a_client_that_leaves_ends_its_request() -> None:
    gate = Gate(slow, ServeOptions(deadline=30), Measures())
    status, _ = asyncio.run(exchange(gate, [part(b"{}", False), {"type": "http.disconnect"}], scope()))
    assert status is None and gate.in_flight == 0


def test_too_many_requests_in_flight_are_refused() -> None:
    gate = Gate(slow, ServeOptions(waiting=1, deadline=0.5), Measures())

    async def run() -> list[int | None]:
        tasks = [asyncio.create_task(exchange(gate, [part(b"", False)], scope())) for _ in range(70)]
        return [(await task)[0] for task in tasks]

    statuses = asyncio.run(run())
    assert statuses.count(408) == 65 and statuses.count(429) == 5


def test_a_closing_server_answers_503_but_lives(gate: Gate, client: TestClient) -> None:
    gate.is_closing = True
    assert client.get("/v1/models").status_code == client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200


def test_errors_of_the_server_are_logged_and_told_without_details(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Receive, send: Any) -> None:
        raise KeyError("a secret")

    with caplog.at_level(logging.INFO, "vqvae.serving.requests"):
        status, body = asyncio.run(exchange(Gate(broken, ServeOptions(), Measures()), [part(b"", False)], scope()))
    assert status == 500 and "secret" not in json.dumps(body)
    failed, logged = caplog.records
    assert failed.exc_info and failed.fields["request_id"] == logged.fields["request_id"] == body["error"]["request_id"]
    assert (logged.fields["status"], logged.fields["path"]) == (500, "/")


def test_requests_are_measured(gate: Gate, client: TestClient) -> None:
    client.post("/v1/models/photos/encode", files={"file": ("a.png", png())})
    client.get("/v1/models/none")
    text = client.get("/metrics").text
    assert 'vqvae_requests_total{method="POST",route="/v1/models/{name}/encode",status="200"} 1.0' in text
    assert 'route="/v1/models/{name}",status="404"' in text and "process_resident_memory_bytes" in text
