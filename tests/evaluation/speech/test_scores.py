"""What is found out about a model of speech, against the parts that it is made of."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from vqvae.data.audio import AudioDataset, Recording
from vqvae.data.phones import Phone
from vqvae.errors import DataError
from vqvae.evaluation.speech import scores as speech_scores
from vqvae.evaluation.speech.scores import (
    distances,
    reconstruct,
    score_codes,
    score_phonemes,
    score_speech,
    spoken_codes,
)
from vqvae.likelihoods import MuLawConfig, SpectralConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import AudioEncoderConfig, SpectralDecoderConfig, WaveNetDecoderConfig
from vqvae.pipeline import Pipeline
from vqvae.priors import UnigramPriorConfig, WaveNetConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.signals import sound

RATE, CHUNK, STRIDE = 16_000, 512, 16
SPECTRAL = VQVAEConfig(
    quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
    likelihood=SpectralConfig(windows=(64,)),
    encoder=AudioEncoderConfig(strides=(4, 4), width=8, residual_blocks=0),
    decoder=SpectralDecoderConfig(stride=STRIDE, speakers=2, width=8, blocks=1, n_fft=32, hop=8),
)
WAVENET = dataclasses.replace(
    SPECTRAL,
    likelihood=MuLawConfig(),
    decoder=WaveNetDecoderConfig(stride=STRIDE, speakers=2, layers=2, cycle=2, residual=4, skip=4, condition_hidden=4),
)
SIZES = (2_000, 1_500, 2_600, 300)


def audio(names: tuple[str, ...] = ("one", "two"), phones: bool = True) -> AudioDataset:
    """Four recordings of tones, the last of which is shorter than a chunk."""
    random = np.random.default_rng(0)
    clips = [
        (8_000 * np.sin(np.arange(size) * (0.2 + 0.1 * i)) + random.normal(0, 200, size)).astype(np.int16) for i, size in enumerate(SIZES)
    ]
    recordings = [Recording(f"{i}.wav", i % 2, size) for i, size in enumerate(SIZES)]
    said = {f"{i}.wav": (Phone(0, size / RATE / 2, "A"), Phone(size / RATE / 2, size / RATE, "B")) for i, size in enumerate(SIZES)}
    settings = {"name": "tones", "rate": RATE, "chunk": CHUNK, "hop": CHUNK, "label_names": names}
    return AudioDataset(np.concatenate(clips), np.cumsum([0, *SIZES[:-1]]), recordings, phones=said if phones else None, **settings)


def pipeline(config: VQVAEConfig = SPECTRAL, priors: bool = True) -> Pipeline:
    torch.manual_seed(0)
    model = config.build()
    model.start([audio().batch(np.arange(8))])
    prior = WaveNetConfig(codebook_size=8, layers=2, cycle=2, residual=4, skip=4, output_hidden=4).build() if priors else None
    unigram = UnigramPriorConfig(codebook_size=8).build() if priors else None
    if unigram is not None:
        unigram.count(torch.arange(8).view(1, 1, 8))
    return Pipeline(model, prior, unigram=unigram, label_names=("one", "two"), size=(CHUNK,), signal=sound(RATE))


def test_what_codes_cost_counts_what_was_said() -> None:
    model = pipeline()
    scores, usage, bit_rates = score_codes(model, audio())
    # Chunks of 512: 3, 2 and 5; and of the recording of 300 samples the 19 codes that it reaches into.
    assert scores["seconds_scored"] == (10 * CHUNK + 300) / RATE and int(usage.counts.sum()) == 10 * CHUNK // STRIDE + 19
    assert scores["bits_per_code_uniform"] == pytest.approx(3)
    each = int(usage.counts.sum()) / scores["seconds_scored"]
    assert scores["bits_per_second_uniform"] == pytest.approx(3 * each)
    assert scores["bits_per_code_unigram"] == pytest.approx(3)
    assert scores["bits_per_second_learned"] == pytest.approx(scores["bits_per_code"] * each)
    assert set(bit_rates) == {0, 1} and min(bit_rates.values()) <= scores["bits_per_second_learned"] <= max(bit_rates.values())
    batch = audio().batch(np.array([10]))
    with torch.no_grad():
        (codes,) = model.tokenizer.encode(batch)
        alone = [float(model.log_prior(codes[..., :19])), float(model.log_prior(codes, mask=torch.arange(32)[None] < 19))]
    assert alone[0] == pytest.approx(alone[1], rel=1e-5), "what is filled up costs nothing"
    assert not any(name.startswith("bits_per_sample") for name in scores), "a distance is no density"


def test_a_density_adds_the_bits_of_the_samples() -> None:
    model = pipeline(WAVENET, priors=False)
    scores, *_ = score_codes(model, audio())
    batch = audio().batch(np.arange(11))
    samples = 10 * CHUNK + 300
    with torch.no_grad():
        (codes,) = model.tokenizer.encode(batch)
        expected = -float(model.tokenizer.log_likelihood(batch, (codes,)).sum()) / samples / math.log(2)
    assert scores["bits_per_sample_reconstruction"] == pytest.approx(expected, rel=1e-4)
    assert scores["bits_per_sample_uniform"] == pytest.approx(expected + 3 * (10 * CHUNK // STRIDE + 19) / samples, rel=1e-4)
    assert "bits_per_code" not in scores


def test_a_recording_is_decoded_in_both_voices() -> None:
    model = pipeline()
    found = reconstruct(model, audio(), 1)
    wave = torch.from_numpy(audio().clip(1))
    assert (found.name, found.speaker, found.other) == ("1.wav", "two", "one") and torch.equal(found.original, wave)
    torch.testing.assert_close(found.reconstruction, model.reconstruct(wave[None, None], "two")[0, 0])
    torch.testing.assert_close(found.converted, model.convert(wave[None, None], "one")[0, 0])
    alike = distances([found._replace(reconstruction=found.original)], RATE)
    assert alike["log_mel_distance"] == alike["stft_distance"] == alike["mel_cepstral_distance"] == alike["f0_voicing"] == 0
    assert distances([found], RATE)["log_mel_distance"] > 0
    noise = torch.randn(len(wave), generator=torch.Generator().manual_seed(0)) * 0.1
    assert distances([found._replace(reconstruction=noise)], RATE)["f0_cents"] is None, "a number that is none is no JSON"


def test_codes_stand_beside_the_phones_of_their_recordings() -> None:
    model, data = pipeline(), audio()
    clips = spoken_codes(model, data)
    assert [clip.name for clip in clips] == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert [len(clip.codes) for clip in clips] == [math.ceil(size / STRIDE) for size in SIZES]
    found = score_phonemes(clips, model, RATE, "tones")
    assert (found["label_source"], found["phoneme_inventory"]) == ("tones", 2) and 0 <= found["phoneme_accuracy"] <= 1
    # Every other recording is scored: the second and the fourth.
    assert found["frames"] == sum(len(clip.codes) for clip in clips[1::2])
    only = spoken_codes(model, data, {"2.wav": data.phones["2.wav"]})
    assert [clip.name for clip in only] == ["2.wav"]
    assert [clip.name for clip in spoken_codes(model, data, {"3.wav": data.phones["3.wav"]}, count=1)] == ["3.wav"], (
        "not the first one alone"
    )
    with pytest.raises(DataError, match="There are 1 with an alignment and at least 16 samples"):
        score_phonemes(only, model, RATE, "tones")
    # Files of one name say one sentence: they are on one side.
    renamed = [
        clip._replace(name=f"{speaker}/{number}.wav") for clip, (speaker, number) in zip(clips, ["a1", "b1", "a2", "b2"], strict=True)
    ]
    assert score_phonemes(renamed, model, RATE, "tones")["frames"] == 162 + 19
    alike = [clip._replace(name=f"{speaker}/1.wav") for clip, speaker in zip(clips, "abcd", strict=True)]
    assert score_phonemes(alike, model, RATE, "tones")["frames"] == found["frames"]


def test_an_evaluation_has_pictures_and_sounds_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_scores, "SAMPLE_SECONDS", 0.1)
    found = score_speech(pipeline(), audio())
    assert [len(row.sounds) for row in found.sounds] == [3, 3, 3, 3, 4]
    assert {sound.sample_rate for row in found.sounds for sound in row.sounds} == {RATE}
    assert len(found.sounds[-1].sounds[-1].samples) == 1_600
    original, made, _ = found.sounds[0].sounds
    assert original.codes is not None and original.codes is made.codes and original.codes.shape[1] == -(-len(original.samples) // 16)
    assert found.only_files == {"waves_0", "waves_1", "spectrograms_0", "spectrograms_1"}
    assert found.sizes["raw"] == 2 * RATE and found.sizes["FLAC, lossless"] > 0 and found.scores["compression_ratio"] > 1
    assert any("held-out recordings" in warning for warning in found.warnings)
    assert set(found.charts) == {"phonemes", "waves_0", "waves_1"} and set(found.pictures) == {"spectrograms_0", "spectrograms_1"}
    worst = [float(row.title.split()[-2]) for row in found.sounds[2:4]]
    others = [float(row.title.split()[-2]) for row in found.sounds[:2]]
    assert all(row.title.startswith("Worst case: ") for row in found.sounds[2:4])
    assert worst[0] >= worst[1] >= max(others), "the worst come first"
    assert made.original is original.samples and original.original is None
    assert found.grouped_by == "speaker" and set(found.classes) == {"one", "two"}
    assert set(found.classes["one"]) == {"examples", "log_mel_distance", "bits_per_second"}
    assert found.classes["two"]["examples"] == 2
    silent = score_speech(pipeline(priors=False), audio(phones=False))
    assert len(silent.sounds) == 4 and "phonemes" not in silent.charts and "phoneme_accuracy" not in silent.scores
