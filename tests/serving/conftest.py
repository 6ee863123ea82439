"""Tiny models in a server, without a socket."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from tests.generation.test_imagination import prior as world_prior
from tests.models.test_speech import make as speech_tokenizer
from tests.pipeline.test_model import prior, tokenizer
from vqvae.data import ClipsDataset
from vqvae.data.base import Splits
from vqvae.data.episodes import Episodes
from vqvae.models import FrameTokenizer
from vqvae.pipeline import Pipeline, save
from vqvae.serving.app import build_app
from vqvae.serving.gate import Gate
from vqvae.serving.material import Material
from vqvae.serving.measures import Measures
from vqvae.serving.served import Served, load_all
from vqvae.serving.settings import ServeOptions
from vqvae.serving.worker import Worker
from vqvae.serving.worlds import Worlds
from vqvae.signals import sound
from vqvae.storage import RunCard

OPTIONS = ServeOptions(most_pixels=4096, most_seconds=1.0, most_samples=4, most_frames=6, worlds=2, most_bytes=200_000)


def video_model() -> Pipeline:
    """A model of clips of 8 by 12 pixels, with two actions."""
    card = RunCard(action_names=("left", "right"))
    return Pipeline(FrameTokenizer(tokenizer()), world_prior(), size=(1, 8, 12), card=card)


def episodes() -> Splits:
    """Two held-out episodes of noise, the second too short for a start."""
    frames = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 12), np.uint8)
    numbers = np.repeat([0, 1], [9, 3])
    held = Episodes(frames, numbers, ("a", "b"), actions=numbers % 2, action_names=("left", "right"))
    clips = ClipsDataset(held, 2, "noise")
    return Splits(clips, clips)


def playable(name: str, run: Path, splits: Splits) -> Served:
    """The model of clips with these episodes, to be closed at the end."""
    found = Served(name, run, video_model(), Material(run, splits), Worker(name, OPTIONS), OPTIONS)
    found.is_warm = True
    return found


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run of pictures with a prior, and one of sound in two voices."""
    folder = tmp_path_factory.mktemp("served")
    save(Pipeline(tokenizer(), prior(), size=(16, 20)), folder / "photos")
    voices = Pipeline(speech_tokenizer("spectral"), label_names=("ann", "bob"), signal=sound(2000.0), size=(256,))
    save(voices, folder / "voices")
    return [folder / "photos", folder / "voices"]


@pytest.fixture(scope="session")
def models(runs: list[Path]) -> Iterator[dict[str, Served]]:
    """The models of both runs, and one of clips."""
    found = load_all(runs, torch.device("cpu"), OPTIONS, lambda model, kind, count: None)
    found["worlds"] = playable("worlds", runs[0], episodes())
    for model in found.values():
        model.is_warm = True
    yield found
    for model in found.values():
        model.close()


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw without compiled loops: they take seconds to compile, and draw the same."""
    monkeypatch.setattr("vqvae.layers.autoregressive._has_numba", lambda: False)


@pytest.fixture
def gate(models: dict[str, Served]) -> Gate:
    """An application with all of them, in which nobody plays yet."""
    for model in models.values():
        model.worlds = Worlds(OPTIONS)
    return build_app(models, OPTIONS, Measures())


@pytest.fixture
def client(gate: Gate) -> TestClient:
    """What sends requests to it."""
    return TestClient(gate)


def png(height: int = 16, width: int = 20, seed: int = 0) -> bytes:
    """A PNG of noise."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def pixels_of(file: bytes) -> torch.Tensor:
    """A PNG as an example (1, 3, height, width)."""
    with Image.open(io.BytesIO(file)) as image:
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]


def wav(samples: int = 256, rate: int = 2000) -> bytes:
    """A WAV of a tone."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(np.arange(samples) / 7), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
