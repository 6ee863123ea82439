"""E6 and E7 from nothing to their tables, with small models of two voices."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vqvae.data import AudioDataset, VoicesConfig
from vqvae.data.voices import known_voices
from vqvae.evaluation.probes.conversion import Conversion
from vqvae.experiments import conversion
from vqvae.experiments import reproduce as module
from vqvae.experiments.conversion import convert_all, draw_unigram, parallel_speech, without_codes
from vqvae.experiments.reproduce import Settings, reproduce
from vqvae.likelihoods import MuLawConfig, SpectralConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import AudioEncoderConfig, SpectralDecoderConfig, WaveNetDecoderConfig
from vqvae.pipeline import Pipeline, load
from vqvae.priors import WaveNetConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes import speech
from vqvae.training import TrainConfig

from .small import OPTIONS

pytest.importorskip("espeakng_loader")
DATA = VoicesConfig(voices=("en-us+f1", "en-us+m3"), unseen_voices=(), sentences=4, chunk=4_096, hop=4_096)
WAVENET = VQVAEConfig(
    quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
    likelihood=MuLawConfig(),
    encoder=AudioEncoderConfig(strides=(8, 8), width=8, residual_blocks=0),
    decoder=WaveNetDecoderConfig(stride=64, speakers=2, layers=3, cycle=3, residual=4, skip=4, condition_hidden=4),
)
SPECTRAL = dataclasses.replace(
    WAVENET,
    likelihood=SpectralConfig(windows=(64,)),
    decoder=SpectralDecoderConfig(stride=64, speakers=2, width=8, blocks=1, n_fft=128, hop=32),
)


def small(model: Any) -> TrainConfig:
    return TrainConfig(model=model, data=DATA, steps=2, batch_size=2, evaluate_every=0)


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = WaveNetConfig(codebook_size=8, layers=2, cycle=2, residual=4, skip=4, output_hidden=4)
    settings = Settings(run="voices", tokenizer=lambda _: small(WAVENET), prior=lambda *_: dataclasses.replace(small(prior), data=None))
    monkeypatch.setitem(module.SETTINGS["voices"], "cpu", settings)
    monkeypatch.setattr(speech, "WHOLE_WAVE", dataclasses.replace(speech.WHOLE_WAVE, tokenizer=lambda _: small(SPECTRAL)))
    monkeypatch.setattr(conversion, "prior_config", lambda _: dataclasses.replace(small(prior), data=None))
    for name, value in {"TEXTS": 2, "CONVERTED": 3, "TARGETS": 2, "RECONSTRUCTED": 2, "BABBLED": 1, "PROBE_STEPS": (2, 2)}.items():
        monkeypatch.setattr(conversion, name, value)
    monkeypatch.setattr("vqvae.evaluation.speech.scores.RECONSTRUCTED", 2)
    monkeypatch.setattr("vqvae.evaluation.speech.scores.SAMPLES", 1)
    monkeypatch.setattr("vqvae.evaluation.speech.scores.SECONDS", 0.3)
    for part in (conversion, "vqvae.evaluation.speech.scores"):
        monkeypatch.setattr(*([f"{part}.SAMPLE_SECONDS", 0.3] if isinstance(part, str) else [part, "SAMPLE_SECONDS", 0.3]))


def test_from_nothing_to_both_tables(small_runs: None, tmp_path: Path) -> None:
    places: dict[str, Any] = {"data": None, "results": tmp_path / "results", "runs": tmp_path / "runs", "options": OPTIONS}
    record = reproduce("e6", "cpu", **places)
    assert record == json.loads((tmp_path / "results" / "e6.json").read_text())
    wavenet, whole = (record["decoders"][name] for name in ("WaveNet", "whole wave"))
    assert wavenet["bits_gained"] == pytest.approx(wavenet["bits_without_latents"] - wavenet["bits_given_latents"])
    assert 0 < abs(wavenet["bits_lost_in_int8"]) < 0.05, "weights are rounded, to 127 levels each way"
    assert "bits_lost_when_shuffled" in wavenet and "bits_lost_when_shuffled" not in whole, "only one decoder has a density"
    for of in (wavenet, whole):
        assert {"bits_per_code", "bits_per_code_unigram", "codes_used", "phone_trigram_perplexity_learned"} <= set(of)
        assert of["phone_trigram_perplexity_real"] > 1
    assert (tmp_path / "results" / "e6-wavenet-0.png").is_file() and "e6-whole-wave-0.png" in (tmp_path / "results" / "e6.md").read_text()
    trained = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("metrics.jsonl")}
    record = reproduce("e7", "cpu", **places)
    of = record["decoders"]["WaveNet"]
    assert of["conversions"] == 6 and {"closer_to_target", "phones_real", "phones_reconstructed", "phones_converted"} <= set(of)
    assert 0 <= record["decoders"]["real speech"]["target_speaker_named"] <= 1
    assert (tmp_path / "results" / "e7-whole-wave.png").is_file()
    assert trained == {path: path.read_bytes() for path in (tmp_path / "runs").rglob("metrics.jsonl")}, "what is trained stays"


def test_a_decoder_without_codes_differs_in_nothing_else() -> None:
    config = small(WAVENET)
    bare = without_codes(config).model.build()
    assert bare.layout[0].codebook_size == 1
    whole = config.model.build()
    shapes = [{name: p.shape for name, p in model.decoder.named_parameters()} for model in (bare, whole)]
    assert shapes[0] == shapes[1]


def test_what_is_converted_and_what_it_is_held_beside(small_runs: None, tmp_path: Path) -> None:
    held_out = DATA.build().held_out
    assert isinstance(held_out, AudioDataset)
    said, wanted = parallel_speech(DATA, held_out)
    assert wanted is not None and set(said.label_names) <= set(known_voices()) - set(DATA.voices)
    assert len(said.recordings) == 4 and len(wanted.recordings) == 4
    torch.manual_seed(0)
    model = SPECTRAL.build()
    model.start([held_out.batch(np.arange(2))])
    pipeline = Pipeline(model, label_names=DATA.voices, rate=16_000)
    found = convert_all(pipeline, said, wanted)
    assert [(one.index, one.speaker) for one in found] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    for one in found:
        text = one.index % 2
        assert one.target is not None and np.array_equal(one.target, wanted.clip(2 * one.speaker + text))
        alone = pipeline.convert(torch.from_numpy(said.clip(one.index))[None, None], one.speaker)
        torch.testing.assert_close(one.converted, alone[0, 0], rtol=1e-4, atol=1e-5)
    assert parallel_speech(None, held_out) == (held_out, None)
    assert convert_all(pipeline, held_out, None)[0].target is None
    assert conversion.picture(Conversion(0, torch.ones(8_000), torch.ones(8_000), 0), 16_000).ndim == 3


def test_codes_drawn_one_by_one_follow_their_frequency(small_runs: None, tmp_path: Path) -> None:
    reproduce("e6", "cpu", data=None, results=tmp_path / "results", runs=tmp_path / "runs", options=OPTIONS)
    pipeline = load(tmp_path / "runs" / "voices-whole-wave")
    assert pipeline.unigram is not None
    pipeline.unigram.counts.zero_()
    pipeline.unigram.counts[0, 3] = 10**12
    drawn = draw_unigram(pipeline, 2, (640,))
    codes = torch.full((2, 1, 10), 3)
    torch.testing.assert_close(drawn, pipeline.decode(codes, (640,), torch.tensor([0, 1])))
