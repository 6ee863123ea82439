"""Encode, decode and sample over HTTP: what the model itself does."""

import json
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from tests.serving.conftest import pixels_of, png, wav
from vqvae.serving.served import Served

PHOTOS = "/v1/models/photos"


def tensor(codes: Any) -> torch.Tensor:
    (level,) = codes["levels"]
    return torch.tensor(level["data"]).view(1, *level["shape"])


def test_codes_and_pictures_are_those_of_the_model(client: TestClient, models: dict[str, Served]) -> None:
    model = models["photos"].model
    answer = client.post(f"{PHOTOS}/encode", files={"file": ("a.png", png(17, 9))})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    expected = model.encode(pixels_of(png(17, 9)))
    assert torch.equal(tensor(found["codes"]), expected) and found["size"] == [17, 9]
    made = client.post(f"{PHOTOS}/decode", json={"codes": found["codes"], "size": found["size"]})
    assert made.headers["content-type"] == "image/png"
    assert torch.equal(pixels_of(made.content), model.decode(expected, (17, 9)))


def test_samples_are_those_of_the_model_whatever_the_format(client: TestClient, models: dict[str, Served]) -> None:
    import base64
    import io

    import numpy as np

    asked = {"count": 3, "seed": 5, "temperature": 0.8, "top_k": 4, "format": "npy"}
    found = client.post(f"{PHOTOS}/sample", json=asked).json()
    files = [np.load(io.BytesIO(base64.b64decode(url.partition(",")[2])), allow_pickle=False) for url in found["pictures"]]
    expected = models["photos"].model.sample(3, seed=5, temperature=0.8, top_k=4)
    assert torch.equal(torch.from_numpy(np.concatenate(files)), expected)
    assert len(found["codes"]) == 3 and found["codes"][0]["levels"][0]["shape"] == [1, 4, 5]


def events(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: "))) for block in blocks]


def test_a_stream_tells_every_code_and_ends_with_the_same_samples(client: TestClient) -> None:
    asked = {"count": 2, "seed": 3}
    whole = client.post(f"{PHOTOS}/sample", json=asked).json()
    answer = client.post(f"{PHOTOS}/sample", json={**asked, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.text)
    assert told[-1] == ("done", whole)
    drawn: list[dict[int, int]] = [{}, {}]
    for name, data in told[:-1]:
        if name == "codes":
            for sample, codes in zip(drawn, data["codes"], strict=True):
                sample |= dict(zip(data["positions"], codes, strict=True))
    assert [[sample[i] for i in range(20)] for sample in drawn] == [codes["levels"][0]["data"] for codes in whole["codes"]]


def test_what_is_kept_is_kept_and_the_rest_is_drawn(client: TestClient) -> None:
    known = {"levels": [{"shape": [1, 4, 5], "data": [3] * 20}]}
    keep = [1] * 10 + [0] * 10
    found = [client.post(f"{PHOTOS}/sample", json={"codes": known, "keep": keep, "seed": seed}).json() for seed in (0, 1)]
    first, second = (one["codes"][0]["levels"][0]["data"] for one in found)
    assert first[:10] == second[:10] == [3] * 10 and first != second
    streamed = events(client.post(f"{PHOTOS}/sample", json={"codes": known, "keep": keep, "seed": 0, "stream": True}).text)
    assert streamed[-1][1]["codes"] == found[0]["codes"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("sample", {"count": 99}, 413, "at most 4"),
        ("sample", {"temperature": -1}, 422, "body.temperature"),
        ("sample", {"label": "cat"}, 422, "'cat'"),
        ("sample", {"keep": [1]}, 422, "keep came without codes"),
        ("sample", {"codes": {"levels": [{"shape": [1, 1, 1], "data": [0]}]}}, 400, "this model draws"),
        ("sample", {"codes": {"levels": [{"shape": [1, 4, 5], "data": [0] * 20}]}, "keep": [1, 0]}, 400, "a 0 or a 1 for each of 20"),
        ("sample", {"codes": {"levels": [{"shape": [1, 4, 5], "data": [0] * 20}]}, "keep": [1] * 19 + [7]}, 400, "20 values from 1 to 7"),
        ("sample", {"codes": {"levels": [{"shape": [1, 4, 5], "data": [0] * 20}]}, "keep": []}, 400, "none came"),
        ("sample", {"format": "gif"}, 422, "png, npy"),
        ("sample", {"unknown": 1}, 422, "body.unknown"),
        ("decode", {"codes": {"levels": []}}, 422, "body.codes.levels"),
        ("decode", {"codes": {"levels": [{"shape": [1, 2, 2], "data": [0, 1, 2, 5]}]}}, 400, "codes from 0 to 4"),
        ("decode", {"codes": {"levels": [{"shape": [1, 2, 2], "data": [0]}]}}, 400, "needs 4"),
        ("decode", {"codes": {"levels": [{"shape": [2, 2], "data": [0] * 4}]}}, 400, "with 1 codebooks"),
        ("decode", {"codes": {"levels": [{"shape": [1, 1, 9999], "data": [0] * 9999}]}}, 400, "at most 4,096"),
        ("decode", {"codes": {"levels": [{"shape": [1, 2, 2], "data": [0] * 4}]}, "size": [99, 99]}, 400, "do not fit"),
        ("decode", {"codes": {"levels": [{"shape": [1, 2, 2], "data": [0] * 4}]}, "voice": "ann"}, 422, "no voices"),
    ],
)
def test_bad_requests_get_a_sentence(client: TestClient, path: str, body: dict[str, Any], status: int, words: str) -> None:
    answer = client.post(f"{PHOTOS}/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"] and answer.json()["error"]["request_id"]


def test_sound_is_encoded_and_spoken_by_the_first_voice(client: TestClient, models: dict[str, Served]) -> None:
    model = models["voices"].model
    found = client.post("/v1/models/voices/encode", files={"file": ("a.wav", wav())}).json()
    assert found["length"] == 256
    made = client.post("/v1/models/voices/decode", json={"codes": found["codes"], "size": [256]})
    second = client.post("/v1/models/voices/decode", json={"codes": found["codes"], "size": [256], "voice": "bob"})
    assert made.headers["content-type"] == "audio/wav" and made.content[:4] == b"RIFF" and made.content != second.content
    refused = client.post("/v1/models/voices/sample", json={})
    assert refused.status_code == 422 and "train-prior" in refused.json()["error"]["message"]
    assert model.speakers == ("ann", "bob")
