"""E8 and E9 from a tokenizer to their tables, with small models; and who is scored on what."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.experiments.small import OPTIONS
from vqvae.data import AudioDataset, AudioFolderConfig, VoicesConfig, write_audio
from vqvae.errors import ConfigError, DataError
from vqvae.experiments import reproduce as module
from vqvae.experiments.phones import two_sides, variants
from vqvae.experiments.reproduce import Settings, reproduce
from vqvae.likelihoods import CepstralConfig, MuLawConfig, SpectralConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import (
    AudioEncoderConfig,
    CepstralDecoderConfig,
    CepstralEncoderConfig,
    SpectralDecoderConfig,
    WaveNetDecoderConfig,
)
from vqvae.pipeline import Pipeline
from vqvae.priors import WaveNetConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes import RECIPES, speech
from vqvae.training import TrainConfig

MODEL = VQVAEConfig(
    quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
    likelihood=CepstralConfig(),
    encoder=CepstralEncoderConfig(width=8),
    decoder=CepstralDecoderConfig(width=8),
)


def training(model: Any, data: Any) -> TrainConfig:
    return TrainConfig(model=model, data=data, steps=2, batch_size=2, evaluate_every=0)


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    """Two speakers to train on, four to test on, a second each, with alignments of the latter."""
    root, random, lines = tmp_path / "corpus", np.random.default_rng(0), []
    for part, speakers in (("train-clean-100", ("11", "12")), ("test-other", ("21", "22", "23", "24"))):
        for speaker in speakers:
            name = f"LibriSpeech/{part}/{speaker}/1/{speaker}-1-0000.flac"
            (root / name).parent.mkdir(parents=True)
            write_audio(root / name, random.normal(0, 0.1, 16_000).astype(np.float32), 16_000)
            if part == "test-other":
                lines.append(json.dumps({"file": name, "phones": [[0, 0.4, "AH0"], [0.4, 0.6, "SIL"], [0.6, 1.0, "B"]]}))
    (root / "phones.jsonl").write_text("\n".join(lines))
    return root


def test_each_variant_changes_one_setting() -> None:
    base = RECIPES["phonemes25hz"].tokenizer(None)
    changed = variants(base)
    assert all(config != base and dataclasses.replace(config, model=base.model) == base for config in changed.values())
    rates = {name: config.model.build().layout[0].stride for name, config in changed.items()}
    assert rates.pop("50 codes a second") == (320,) and set(rates.values()) == {(640,)}


def test_phones_of_voices_to_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    data = VoicesConfig(voices=("en-us+f1",), unseen_voices=(), sentences=3, chunk=5_120, hop=5_120)
    # A decoder that knows one voice, and none of those that phones are told of.
    model = dataclasses.replace(MODEL, decoder=CepstralDecoderConfig(width=8, speakers=1))
    settings = Settings(run="phonemes", tokenizer=lambda _: training(model, data), prior=speech.phonemes_prior)
    monkeypatch.setattr("vqvae.experiments.phones.TEXTS", 2)
    monkeypatch.setitem(module.SETTINGS["phonemes25hz"], "cpu", settings)
    record = reproduce("e9", "cpu", data=None, results=tmp_path / "results", runs=tmp_path / "runs", options=OPTIONS)
    assert record == json.loads((tmp_path / "results" / "e9.json").read_text())
    assert record["steps"] == 2 * len(record["variants"]) == 10
    assert record["phoneme_accuracy_waveform"] == record["variants"]["waveform"]["phoneme_accuracy"]
    assert record["phoneme_accuracy"] == record["variants"]["base"]["phoneme_accuracy"]
    table = (tmp_path / "results" / "e9.md").read_text()
    assert "0.493" in table and "eSpeak's own times" in table and "jitter" in table
    assert (tmp_path / "results" / "e9-phonemes.svg").is_file()


def test_phones_of_a_corpus_are_those_of_the_base_alone(librispeech: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def tokenizer(path: str | None) -> TrainConfig:
        data = speech.phonemes_tokenizer(path).data
        assert isinstance(data, AudioFolderConfig) and data.held_out_speakers == ("21", "22", "23", "24")
        return training(MODEL, dataclasses.replace(data, chunk=5_120, hop=5_120, cache=str(tmp_path / "cache")))

    monkeypatch.setitem(module.SETTINGS["phonemes25hz"], "cpu", Settings(run="phonemes", tokenizer=tokenizer, prior=speech.phonemes_prior))
    places: dict[str, Any] = {"results": tmp_path / "results", "runs": tmp_path / "runs", "options": OPTIONS}
    record = reproduce("e9", "cpu", data=str(librispeech), **places)
    assert record["steps"] == 2 and list(record["variants"]) == ["base"] and "phoneme_accuracy_waveform" not in record
    table = (tmp_path / "results" / "e9.md").read_text()
    assert "machine alignments" in table and "half of the held-out speakers" in table and "waveform" not in table


@pytest.mark.parametrize("density", [True, False])
def test_speech_of_a_corpus_to_the_table(density: bool, librispeech: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    encoder = AudioEncoderConfig(strides=(8, 16), width=8, residual_blocks=0)
    decoder = WaveNetDecoderConfig(stride=128, layers=3, cycle=3, residual=4, skip=4, condition_hidden=4)
    model = dataclasses.replace(MODEL, encoder=encoder, decoder=decoder, likelihood=MuLawConfig())
    if not density:
        whole = SpectralDecoderConfig(stride=128, width=8, blocks=1, n_fft=128, hop=32)
        model = dataclasses.replace(model, decoder=whole, likelihood=SpectralConfig(windows=(64,)))
    prior = dataclasses.replace(training(WaveNetConfig(codebook_size=8, layers=2, cycle=2, residual=4, skip=4), None), steps=2)

    def tokenizer(path: str | None) -> TrainConfig:
        real = speech.librispeech_cpu_tokenizer(path)
        assert isinstance(real.data, AudioFolderConfig)
        return training(model, dataclasses.replace(real.data, chunk=4_096, crop=None, hop=4_096, cache=str(tmp_path / "cache")))

    monkeypatch.setitem(module.SETTINGS["librispeech128"], "cpu", Settings(run="libri", tokenizer=tokenizer, prior=lambda *_: prior))
    monkeypatch.setattr("vqvae.evaluation.speech.scores.SAMPLES", 1)
    monkeypatch.setattr("vqvae.evaluation.speech.scores.SAMPLE_SECONDS", 0.3)
    places: dict[str, Any] = {"results": tmp_path / "results", "runs": tmp_path / "runs", "options": OPTIONS}
    record = reproduce("e8", "cpu", data=str(librispeech), **places)
    assert record["seconds_scored"] == pytest.approx(4 * 3 * 4_096 / 16_000), "the test speakers alone"
    assert {"bits_per_code", "phoneme_accuracy", "phoneme_majority"} <= set(record)
    assert density == ("bits_lost_when_shuffled" in record) == ("bits_per_sample_learned" in record)
    assert record["label_source"].startswith("machine") and record["inventory"] == 2, "stress is stripped"
    table = (tmp_path / "results" / "e8.md").read_text()
    assert "e8-spectrograms_0.png" in table and (tmp_path / "results" / "e8-spectrograms_0.png").is_file()
    (librispeech / "phones.jsonl").unlink()
    again = reproduce("e8", "cpu", data=str(librispeech), **places)
    assert "phoneme_accuracy" not in again and again["bits_per_code"] == record["bits_per_code"]


def test_speakers_of_an_alignment_are_on_one_side_each(librispeech: Path, tmp_path: Path) -> None:
    held_out = speech.test_speakers(str(librispeech))
    assert held_out == speech.test_speakers(str(librispeech / "LibriSpeech")) == ("21", "22", "23", "24")
    data = AudioFolderConfig(path=str(librispeech), chunk=4_096, held_out_speakers=held_out, cache=str(tmp_path / "cache"))
    splits = data.build()
    assert isinstance(splits.held_out, AudioDataset)
    torch.manual_seed(0)
    model = MODEL.build()
    model.start([splits.train.batch(np.arange(2))])
    fitted, scored = two_sides(Pipeline(model), splits, str(librispeech))
    assert [clip.name.split("/")[2] for clip in fitted] == ["21", "23"]
    assert [clip.name.split("/")[2] for clip in scored] == ["22", "24"]
    (librispeech / "phones.jsonl").write_text('{"file": "other.flac", "phones": [[0, 1, "A"]]}\n')
    with pytest.raises(DataError, match="None of the 4 recordings has an alignment"):
        two_sides(Pipeline(model), splits, str(librispeech))


def test_the_recipes_of_a_corpus_want_its_folder() -> None:

    for recipe in (speech.librispeech_cpu_tokenizer, speech.paper_phonemes_tokenizer):
        with pytest.raises(ConfigError, match="--data FOLDER"):
            recipe(None)
