"""Runs to the Hub and back, against a stand-in server."""

import json
import os
from pathlib import Path

import pytest
import torch

import vqvae
from tests.codec.models import prior_of
from tests.pipeline.test_model import NAMES, images, prior, tokenizer
from tests.storage.hub_server import Hub
from vqvae.errors import CheckpointError, ConfigError, HubError
from vqvae.pipeline import Pipeline, save
from vqvae.priors import UnigramPriorConfig
from vqvae.runs.sharing import own_copy, push_to_hub
from vqvae.storage import RunCard

TRAINING = {"data": {"kind": "ImageFolderConfig", "path": "/home/alice/photos"}, "steps": 5}
CARD = RunCard(recipe="images", data="photos-1", held_out_data="photos-2", training=TRAINING)


def run_at(folder: Path) -> Pipeline:
    unigram = UnigramPriorConfig(codebook_size=5).build()
    integers = [prior_of(codebook_size=5, classes=3)]
    model = Pipeline(tokenizer(), prior(classes=3), unigram=unigram, integers=integers, card=CARD, label_names=NAMES, size=(16, 16))
    save(model, folder)
    (folder / "metrics.json").write_text(json.dumps({"psnr": 30.5, "examples": 40, "seconds": 9.0, "bits_per_dim_learned": None}))
    (folder / "report.html").write_text("a report")
    (folder / "codes").mkdir()
    (folder / "tokenizer" / "evil.pkl").write_text("x")
    return model


def test_a_run_is_the_same_after_a_journey(hub: Hub, tmp_path: Path) -> None:
    model = run_at(tmp_path / "run")
    assert push_to_hub(tmp_path / "run", "alice/photos", license="mit") == f"{hub.url}/alice/photos"
    files = hub.commits["alice/photos"][-1]
    parts = {f"{part}/{name}" for part in ("tokenizer", "unigram", "prior", "coder/0") for name in ("config.json", "weights.safetensors")}
    assert set(files) == {*parts, "metrics.json", "README.md"}
    again = vqvae.load("hf:alice/photos")
    assert torch.equal(again.encode(images(2)), model.encode(images(2)))
    assert torch.equal(again.bits_per_dim(images(2)), model.bits_per_dim(images(2))) and again.label_names == NAMES
    file = model.compress(images(1), mode="prior", label=NAMES[1])
    assert again.compress(images(1), mode="prior", label=NAMES[1]) == file
    assert torch.equal(torch.as_tensor(again.decompress(file)), torch.as_tensor(model.decompress(file)))
    assert b"/home/alice" not in b"".join(files.values()) and again.card.training["data"]["path"] == "photos"
    card = files["README.md"].decode()
    assert "license: mit" in card and "| PSNR | 30.50 dB |" in card and "40 held-out images of `photos-2`" in card
    assert vqvae.from_pretrained("alice/photos", revision="main").size == (16, 16)


def test_a_pipeline_and_a_checkpoint_travel_too(hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = Pipeline(tokenizer())
    vqvae.push_to_hub(model, "alice/new", private=True)
    assert "alice/new" in hub.private and torch.equal(vqvae.load("hf:alice/new").encode(images(1)), model.encode(images(1)))
    save(model, tmp_path / "run")
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "tokenizer").rename(tmp_path / "run" / "checkpoints" / "step-000007")
    push_to_hub(tmp_path / "run", "alice/half")
    assert torch.equal(vqvae.load("hf:alice/half").encode(images(1)), model.encode(images(1)))
    assert "after step 7" in caplog.text


def test_what_cannot_travel_is_an_error(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="vqvae train"):
        push_to_hub(tmp_path, "alice/photos")
    save(Pipeline(tokenizer()), tmp_path / "run")
    with pytest.raises(ConfigError, match="OWNER/NAME"):
        push_to_hub(tmp_path / "run", "photos")
    with pytest.raises(ConfigError, match="licence"):
        push_to_hub(tmp_path / "run", "alice/photos", license="mit\nevil: yes")
    assert hub.commits == {}, "nothing was uploaded"
    with pytest.raises(ConfigError, match="have revisions"):
        vqvae.from_pretrained(tmp_path / "run", revision="main")
    assert vqvae.from_pretrained(tmp_path / "run").priors == ()


def test_a_damaged_model_on_the_hub_is_an_error(hub: Hub, tmp_path: Path) -> None:
    push_to_hub(Pipeline(tokenizer()), "alice/m")
    hub.commits["alice/m"].append({**hub.commits["alice/m"][-1], "tokenizer/weights.safetensors": b"\x80\x04pickle"})
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        vqvae.load("hf:alice/m")
    with pytest.raises(HubError, match="no revision"):
        vqvae.load("hf:alice/m@v2")


def test_a_copy_of_ones_own_is_made_once(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    push_to_hub(Pipeline(tokenizer()), "alice/m")
    folder = own_copy("hf:alice/m")
    assert folder == Path("runs/m") and not any(path.is_symlink() for path in folder.rglob("*"))
    assert os.access(folder / "tokenizer" / "config.json", os.W_OK) and vqvae.load(folder).priors == ()
    with pytest.raises(ConfigError, match=r"Give runs/m as the run"):
        own_copy("hf:alice/m")
    assert own_copy("runs/m") == Path("runs/m")
