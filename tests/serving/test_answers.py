"""What all routes share."""

import json
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from tests.serving.conftest import png
from vqvae.serving.answers import as_file, prepared
from vqvae.serving.wire import Sent


@pytest.mark.anyio
@pytest.mark.parametrize("made", [torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(1, 1, 8)], ids=["here", "in a thread"])
async def test_answers_are_the_same_here_and_in_a_thread(made: torch.Tensor) -> None:
    assert await prepared(lambda x, more: (x.numel(), more), made, "more") == (made.numel(), "more")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_browsers_do_not_guess_what_a_file_is() -> None:
    answer = as_file(Sent(b"x", "image/png"))
    assert answer.media_type == "image/png" and answer.headers["x-content-type-options"] == "nosniff"


def test_events_end_with_the_error_that_stopped_them(client: TestClient, models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(kind: str, make: Any) -> Any:
        async def steps() -> Any:
            yield "codes", {"index": 1}
            raise RuntimeError("/secret/path")

        return steps()

    monkeypatch.setattr(models["photos"].worker, "stream", broken)
    lines = client.post("/v1/models/photos/sample", json={"stream": True}).text.split("\n\n")
    assert lines[0].splitlines() == ["event: codes", 'data: {"index":1}']
    name, data = lines[1].splitlines()
    error = json.loads(data.removeprefix("data: "))["error"]
    assert name == "event: error" and error["code"] == "internal" and "secret" not in error["message"]


def test_an_unknown_model_is_said_before_the_file_is_read(client: TestClient) -> None:
    assert client.post("/v1/models/none/encode", files={"file": ("a.png", png())}).status_code == 404
