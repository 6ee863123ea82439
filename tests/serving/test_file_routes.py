"""Files in: reconstructions, scores, compressed files and other voices."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from tests.pipeline.test_model import NAMES, prior, tokenizer
from tests.serving.conftest import OPTIONS, pixels_of, png, wav
from vqvae.data.base import Batch, Condition
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.pipeline import Pipeline
from vqvae.serving.app import build_app
from vqvae.serving.material import Material
from vqvae.serving.measures import Measures
from vqvae.serving.served import Served
from vqvae.serving.worker import Worker

PHOTOS, VOICES = "/v1/models/photos", "/v1/models/voices"


def content(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def test_a_reconstruction_says_all_about_a_picture(client: TestClient, models: dict[str, Served]) -> None:
    model, x = models["photos"].model, pixels_of(png())
    found = client.post(f"{PHOTOS}/reconstruct", files={"file": ("a.png", png())}).json()
    made = pixels_of(content(found["reconstruction"]))
    assert torch.equal(pixels_of(content(found["original"])), x) and torch.equal(made, model.reconstruct(x))
    assert found["psnr"] == pytest.approx(float(psnr(made, x, 255).mean()))
    costs = found["bits_per_code"]["levels"][0]
    assert costs["shape"] == [1, 4, 5] and sum(costs["data"]) == pytest.approx(found["bits"]["codes_prior"], rel=1e-3)
    assert found["bits"]["codes_uniform"] == pytest.approx(20 * np.log2(5)) and found["bits"]["raw"] == 16 * 20 * 3 * 8
    assert found["bits"]["png"] > found["bits"]["jpeg"] > 0
    assert pixels_of(content(found["difference"])).shape == (1, 3, 16, 20)


def test_a_class_gives_the_bits_of_each_code_under_a_prior_of_classes(models: dict[str, Served]) -> None:
    model = Pipeline(tokenizer(), prior(3), size=(16, 20), label_names=NAMES)
    served = Served("kinds", Path("kinds"), model, Material(Path("kinds"), None), Worker("kinds", OPTIONS), OPTIONS)
    client = TestClient(build_app({"kinds": served, "photos": models["photos"]}, OPTIONS, Measures()))

    def asked(name: str = "kinds", **fields: str) -> Any:
        return client.post(f"/v1/models/{name}/reconstruct", files={"file": ("a.png", png())}, data=fields).json()

    try:
        codes, mixture = model.encode_batch(Batch(pixels_of(png()))), asked()
        assert mixture["bits_per_code"] is None and served.about()["classes"] == list(NAMES)
        for number, label in enumerate(NAMES):
            found = asked(label=label)
            expected = float(-model.log_prior(codes, Condition(label=torch.tensor([number]))).detach()[0]) / np.log(2)
            assert sum(found["bits_per_code"]["levels"][0]["data"]) == pytest.approx(expected, rel=1e-3)
            assert found["bits"]["codes_prior"] == pytest.approx(expected, rel=1e-5)
        assert mixture["bits"]["codes_prior"] != pytest.approx(expected, rel=1e-5)
        assert "this model knows church, truck, dog" in asked(label="cat")["error"]["message"]
        assert "has no classes" in asked("photos", label="dog")["error"]["message"]
        refused = client.post("/v1/models/photos/compress", files={"file": ("a.png", png())}, data={"voice": "dog"})
        assert refused.status_code == 422 and "neither classes nor speakers" in refused.json()["error"]["message"]
    finally:
        served.close()


def test_parts_ask_for_less(client: TestClient) -> None:
    found = client.post(f"{PHOTOS}/reconstruct", files={"file": ("a.png", png())}, data={"parts": "codes, original"}).json()
    assert {"codes", "original"} < set(found) and not {"reconstruction", "bits", "psnr"} & set(found)
    refused = client.post(f"{PHOTOS}/reconstruct", files={"file": ("a.png", png())}, data={"parts": "colours"})
    assert refused.status_code == 422 and "colours" in refused.json()["error"]["message"]


def test_scores_are_those_of_the_model(client: TestClient, models: dict[str, Served]) -> None:
    found = client.post(f"{PHOTOS}/scores", files={"file": ("a.png", png())}).json()
    assert found["bits_per_dim"] == pytest.approx(float(models["photos"].model.bits_per_dim(pixels_of(png()))[0]))
    assert found["bits_per_code_uniform"] == pytest.approx(np.log2(5))
    sound = client.post(f"{VOICES}/scores", files={"file": ("a.wav", wav())}).json()
    assert sound["bits_per_dim"] is None and sound["bits_per_code"] is None and "log_mel_distance" in sound


def test_compressed_files_come_back(client: TestClient, models: dict[str, Served]) -> None:
    model, x = models["photos"].model, pixels_of(png())
    packed = client.post(f"{PHOTOS}/compress", files={"file": ("a.png", png())})
    assert packed.content == model.compress(x)
    restored = client.post(f"{PHOTOS}/decompress", files={"file": ("a.vqz", packed.content)})
    assert torch.equal(pixels_of(restored.content), model.decompress(packed.content))
    for bad, words in ((packed.content[:-2], "truncated"), (png(), "not a compressed file")):
        refused = client.post(f"{PHOTOS}/decompress", files={"file": ("a.vqz", bad)})
        assert refused.status_code == 400 and words in refused.json()["error"]["message"]
    large = client.post(f"{PHOTOS}/decompress", files={"file": ("a.vqz", model.compress(torch.zeros(3, 80, 80, dtype=torch.uint8)))})
    assert large.status_code == 413
    assert client.post(f"{PHOTOS}/compress", files={"file": ("a.png", png())}, data={"mode": "zip"}).status_code == 422


def test_recordings_are_converted_and_compressed_in_a_voice(client: TestClient) -> None:
    file = {"file": ("a.wav", wav())}
    spoken = {voice: client.post(f"{VOICES}/convert", files=file, data={"voice": voice}) for voice in ("ann", "bob", "1")}
    assert spoken["bob"].content == spoken["1"].content != spoken["ann"].content
    found = client.post(f"{VOICES}/reconstruct", files={"file": ("a.wav", wav())}).json()
    assert content(found["reconstruction"]) == spoken["ann"].content and found["code_rate"] == 2000 / 32
    packed = client.post(f"{VOICES}/compress", files={"file": ("a.wav", wav())}, data={"voice": "bob"})
    restored = client.post(f"{VOICES}/decompress", files={"file": ("a.vqz", packed.content)})
    assert restored.content == spoken["bob"].content
    for answer in (
        client.post(f"{VOICES}/convert", files={"file": ("a.wav", wav())}, data={"voice": "eve"}),
        client.post(f"{VOICES}/convert", files={"file": ("a.wav", wav())}),
        client.post(f"{PHOTOS}/convert", files={"file": ("a.png", png())}, data={"voice": "ann"}),
    ):
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("model", "name", "file", "status", "words"),
    [
        ("photos", "a.png", b"", 415, "a.png is empty"),
        ("photos", "../../etc/passwd", b"text", 415, "passwd cannot be decoded"),
        ("photos", "a.png", png()[:200], 415, "cannot be decoded"),
        ("photos", "a.png", png(70, 70), 413, "at most 4,096"),
        ("photos", "a.wav", wav(), 415, "This model takes pictures"),
        ("photos", "a.npy", b"\x93NUMPY\x01\x00v\x00", 415, "a.npy"),
        ("voices", "a.wav", png(), 415, "not an audio file"),
        ("voices", "a.wav", wav(2500), 413, "longer than 1 seconds"),
        ("voices", "a.wav", wav(256, 4), 415, "sample rate"),
    ],
)
def test_wrong_files_are_named(client: TestClient, model: str, name: str, file: bytes, status: int, words: str) -> None:
    answer = client.post(f"/v1/models/{model}/encode", files={"file": (name, file)})
    message = answer.json()["error"]["message"]
    assert answer.status_code == status and words in message, answer.text
    assert "/tmp" not in message and "vqvae-serve" not in message


@pytest.mark.parametrize("body", [b"", b"--b\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", b"\xff" * 50])
def test_malformed_forms_are_refused(client: TestClient, body: bytes) -> None:
    answer = client.post(f"{PHOTOS}/encode", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code in (400, 422) and answer.json()["error"]["message"]


def test_arrays_keep_every_value(client: TestClient, models: dict[str, Served]) -> None:
    import io

    file, wave = io.BytesIO(), torch.linspace(-1, 1, 256).view(1, 1, 256)
    np.save(file, wave.numpy())
    found: Any = client.post(f"{VOICES}/encode", files={"file": ("a.npy", file.getvalue())}).json()
    assert found["codes"]["levels"][0]["data"] == models["voices"].model.encode(wave).flatten().tolist()
    json.dumps(found)
