"""The client over a real socket: it returns what the pipeline returns, and raises what it raises."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch
import uvicorn

from tests.serving.conftest import OPTIONS, pixels_of, png
from vqvae.errors import BitstreamError, ConfigError, DataError
from vqvae.serving import Client, ServerError
from vqvae.serving.app import build_app
from vqvae.serving.measures import Measures
from vqvae.serving.process import bind
from vqvae.serving.served import Served


@pytest.fixture(scope="module")
def url(models: dict[str, Served]) -> Iterator[str]:
    opened = bind("127.0.0.1", 0)
    gate = build_app(models, OPTIONS, Measures(), "open-sesame")
    server = uvicorn.Server(uvicorn.Config(gate, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{opened.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def test_results_are_those_of_the_pipeline(url: str, models: dict[str, Served]) -> None:
    client, model = Client(url, "open-sesame"), models["photos"].model
    x = torch.cat([pixels_of(png(seed=seed)) for seed in (0, 1)])
    assert client.signal == model.signal and client.layout == model.layout and client.name == "photos"
    codes = client.encode(x)
    assert isinstance(codes, torch.Tensor) and torch.equal(codes, model.encode(x))
    assert torch.equal(client.decode(codes), torch.cat([model.decode(one[None]) for one in codes]))
    assert torch.equal(client.reconstruct(x[:1]), model.reconstruct(x[:1]))
    assert torch.equal(client.sample(2, seed=3, top_k=3), model.sample(2, seed=3, top_k=3))
    packed = client.compress(x[0])
    assert packed == model.compress(x[0]) and torch.equal(client.decompress(packed), model.decompress(packed))
    assert client.scores(x[:1])[0]["bits_per_dim"] == pytest.approx(float(model.bits_per_dim(x[:1])[0]))


def test_other_models_are_chosen_by_name(url: str, models: dict[str, Served]) -> None:
    voices, model = Client(url, "open-sesame", model="voices"), models["voices"].model
    wave = torch.linspace(-1, 1, 256).view(1, 1, 256)
    assert torch.equal(voices.convert(wave, "bob"), model.convert(wave, "bob"))
    worlds, model = Client(url, "open-sesame", model="worlds"), models["worlds"].model
    clip = models["worlds"].material.start(0).frames
    assert torch.equal(worlds.imagine(clip, ["left", "right"], seed=2), model.imagine(clip, ["left", "right"], seed=2))


def test_errors_are_those_of_the_pipeline_with_the_servers_words(url: str) -> None:
    client = Client(url, "open-sesame")
    with pytest.raises(DataError, match="at most 4"):
        client.sample(99)
    with pytest.raises(ConfigError, match="no voices"):
        client.convert(pixels_of(png()), "ann")
    with pytest.raises(BitstreamError, match="not a compressed file"):
        client.decompress(b"text")
    with pytest.raises(DataError, match="There is no file"):
        client.encode("/nowhere.png")
    with pytest.raises(ServerError, match="needs its token"):
        Client(url)
    with pytest.raises(ConfigError, match="photos, voices, worlds"):
        Client(url, "open-sesame", model="other")
    with pytest.raises(ConfigError, match="such as http"):
        Client("ftp://example.org")
    with pytest.raises(ServerError, match="vqvae serve"):
        Client("http://127.0.0.1:9")
    for timeout in (-1, 0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=f"timeout is {timeout}"):
            Client(url, timeout=timeout)
    for token in ("open\nsesame", "open sesame"):
        with pytest.raises(ConfigError, match="Copy it again"):
            Client(url, token)


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999", "http://127.0.0.1:abc", "http://[::1", "http://127.0.0.1:0"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="such as http"):
        Client(address)
