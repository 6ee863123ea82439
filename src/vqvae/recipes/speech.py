"""Speech: E6 to E9 of [VQVAE §4.3], on recordings or on eSpeak's voices."""

import dataclasses

from vqvae.codes import Level
from vqvae.data import AudioFolderConfig, AudioShardsConfig, DataConfig, VoicesConfig
from vqvae.data.audio import speaker_names
from vqvae.data.audio_shards import has_audio_shards, shard_speakers
from vqvae.data.cache import user_path
from vqvae.errors import ConfigError
from vqvae.likelihoods import CepstralConfig, MuLawConfig, SpectralConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import AudioEncoderConfig, CepstralDecoderConfig, CepstralEncoderConfig, SpectralDecoderConfig, WaveNetDecoderConfig
from vqvae.priors import WaveNetConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes.base import Recipe, codebook, cosine
from vqvae.training import TrainConfig

KNOWN = VoicesConfig(unseen_voices=(), chunk=16_384, hop=1_024)
"""Twenty voices, all of them known to the decoder. The held-out side has other sentences."""
PHRASES = {"chunk": 65_536, "hop": 4_096}
"""Examples of four seconds. The encoder subtracts a mean over the example, which should cover more than a word or two."""
VCTK_SPEAKERS = 110
FEW_CODES, MANY_CODES = 50_000, 450_000
"""The number of codes in seven minutes, and in an hour, of speech at 125 codes per second."""
CROP, WAVENET = 8_192, dataclasses.replace(cosine(4e-3), encoder_share=0.02)
"""The best tested settings for a WaveNet in an hour of one core: many small steps at a high learning rate. The encoder has a low learning
rate, because at a high one it collapses to a single code."""


def demo_tokenizer(path: str | None) -> TrainConfig:
    """64 samples per code, K = 512, and a decoder that generates the whole wave at once."""
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=codebook(revive_after=50),
            likelihood=SpectralConfig(),
            encoder=AudioEncoderConfig(width=128, first_width=32),
            decoder=SpectralDecoderConfig(stride=64, hop=64, n_fft=512, width=192, speakers=len(KNOWN.voices)),
        ),
        data=KNOWN,
        steps=1_100,
        batch_size=4,
        optimizer=cosine(1e-3),
        evaluate_every=550,
    )


def demo_prior(level: Level, classes: int) -> TrainConfig:
    """A WaveNet over a second of codes."""
    return TrainConfig(
        model=wavenet(level, layers=12, residual=64, skip=128),
        steps=700,
        batch_size=16,
        optimizer=cosine(2e-3),
        evaluate_every=350,
    )


def voices_tokenizer(path: str | None) -> TrainConfig:
    """E6 for two cores: the demo's model with a WaveNet decoder."""
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=codebook(revive_after=50),
            likelihood=MuLawConfig(),
            encoder=AudioEncoderConfig(width=128, first_width=32),
            decoder=WaveNetDecoderConfig(residual=32, int8=False, speakers=len(KNOWN.voices)),
        ),
        data=dataclasses.replace(KNOWN, crop=CROP),
        steps=10_000,
        batch_size=1,
        optimizer=WAVENET,
        evaluate_every=0,
    )


def whole_wave_tokenizer(path: str | None) -> TrainConfig:
    """E6 with the demo's whole-wave network, trained for as long as the WaveNet."""
    return dataclasses.replace(demo_tokenizer(path), data=dataclasses.replace(KNOWN, crop=CROP), steps=18_000, evaluate_every=0)


def phonemes_tokenizer(path: str | None) -> TrainConfig:
    """E9: K = 128 at 25 codes per second, with mel cepstra as input and output, on eSpeak's voices or a folder such as LibriSpeech."""
    data: DataConfig = dataclasses.replace(KNOWN, **PHRASES)
    if path is not None:
        data = AudioFolderConfig(path=path, held_out_speakers=test_speakers(path), **PHRASES)
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=EMAQuantizerConfig(dim=64, codebook_size=128, decay=0.98, revive_after=50),
            likelihood=CepstralConfig(),
            encoder=CepstralEncoderConfig(),
            decoder=CepstralDecoderConfig(speakers=len(KNOWN.voices) if path is None else 0),
        ),
        data=data,
        steps=4_000,
        batch_size=8,
        optimizer=cosine(2e-3),
        evaluate_every=2_000,
    )


def phonemes_prior(level: Level, classes: int) -> TrainConfig:
    """A small WaveNet, because there are few codes per second."""
    return TrainConfig(model=wavenet(level, layers=8, residual=64, skip=128), steps=1_500, batch_size=16, optimizer=cosine(2e-3))


def vctk_tokenizer(path: str | None) -> TrainConfig:
    """E6: VCTK at 64 samples per code, K = 512, and a WaveNet decoder conditioned on the speaker."""
    if path is None:
        raise ConfigError(
            "The recipe 'vctk' trains on the VCTK corpus; give its folder (with wav48 or wav48_silence_trimmed): --data FOLDER"
        )
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=codebook(),
            likelihood=MuLawConfig(),
            encoder=AudioEncoderConfig(),
            decoder=WaveNetDecoderConfig(speakers=VCTK_SPEAKERS),
        ),
        data=AudioFolderConfig(path=path),
        steps=250_000,
        batch_size=32,
        optimizer=cosine(5e-4, warmup_steps=500),
        evaluate_every=5_000,
    )


def librispeech_tokenizer(path: str | None) -> TrainConfig:
    """E8: LibriSpeech at 128 samples per code. A chunk of 40,960 samples is 320 codes."""
    if path is None:
        raise ConfigError("The recipe 'librispeech128' trains on LibriSpeech; give its folder: --data FOLDER")
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=codebook(),
            likelihood=MuLawConfig(),
            encoder=AudioEncoderConfig(strides=(2,) * 7),
            decoder=WaveNetDecoderConfig(stride=128),
        ),
        data=AudioFolderConfig(path=path, chunk=40_960, hop=2_560),
        steps=250_000,
        batch_size=16,
        optimizer=cosine(5e-4, warmup_steps=500),
        evaluate_every=5_000,
    )


def librispeech_cpu_tokenizer(path: str | None) -> TrainConfig:
    """E8 for two cores: a narrower network with a whole-wave decoder, for an hour of one core. In that time, a WaveNet only learns to
    continue from the previous samples, and its encoder collapses to a few codes."""
    if path is None:
        raise ConfigError("E8 trains on LibriSpeech; give its folder: --data FOLDER")
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=codebook(revive_after=50),
            likelihood=SpectralConfig(),
            encoder=AudioEncoderConfig(strides=(2,) * 7, width=128, first_width=32),
            decoder=SpectralDecoderConfig(stride=128, hop=64, n_fft=512, width=192),
        ),
        data=AudioFolderConfig(path=path, chunk=16_384, crop=CROP, hop=1_024, held_out_speakers=test_speakers(path)),
        steps=11_000,
        batch_size=4,
        optimizer=cosine(1e-3),
        evaluate_every=0,
    )


def own_tokenizer(path: str | None, column: str | None = None, label_column: str | None = None, cache: str | None = None) -> TrainConfig:
    """E8's network for two cores, for a user's own recordings. If there are at least two speakers, each gets a voice.

    Args:
        path: a folder of recordings, one long recording, or shards; see ``AudioShardsConfig``.
        column: the column of tables with the recordings.
        label_column: the column of tables with the speakers.
        cache: the folder for decoded samples.

    Raises:
        ConfigError: if there is no path, or columns are named but there is no table.
        DataError: if shards are damaged.
    """
    if path is None:
        raise ConfigError("The recipe 'speech' trains on your own recordings; give their folder, or one long recording: --data FOLDER")
    base = librispeech_cpu_tokenizer(path)
    assert isinstance(base.model, VQVAEConfig) and isinstance(base.model.decoder, SpectralDecoderConfig), "set above"
    if has_audio_shards(path):
        columns = {"column": column, "label_column": label_column, "cache": cache}
        names = shard_speakers(path, **columns)
        data: DataConfig = AudioShardsConfig(path=path, chunk=16_384, crop=CROP, hop=1_024, **columns)
    elif column or label_column:
        raise ConfigError(f"{path} holds no Parquet or Arrow files, so it has no columns. Omit --data.column and --data.label-column.")
    else:
        names, data = speaker_names(path), AudioFolderConfig(path=path, chunk=16_384, crop=CROP, hop=1_024, cache=cache)
    decoder = dataclasses.replace(base.model.decoder, speakers=len(names) if len(names) > 1 else 0)
    return dataclasses.replace(base, model=dataclasses.replace(base.model, decoder=decoder), data=data, evaluate_every=2_000)


def own_prior(config: TrainConfig, codes: int) -> TrainConfig:
    """The demo's prior. Below seven minutes of speech, it is smaller, so that it does not memorise the recordings. Above an hour, it trains
    longer."""
    if codes < FEW_CODES:
        assert isinstance(config.model, WaveNetConfig), "set by demo_prior"
        model = dataclasses.replace(config.model, layers=8, residual=32, skip=64)
        config = dataclasses.replace(config, model=model, steps=350)
    elif codes >= MANY_CODES:
        config = dataclasses.replace(config, steps=2_800 * codes // MANY_CODES)
    return dataclasses.replace(config, most_steps=config.steps)


def paper_phonemes_tokenizer(path: str | None) -> TrainConfig:
    """E9 at the paper's scale: K = 128 at 25 codes per second on LibriSpeech, and a WaveNet decoder."""
    if path is None:
        raise ConfigError("E9 at the paper's scale trains on LibriSpeech; give its folder: --data FOLDER")
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=EMAQuantizerConfig(dim=64, codebook_size=128, revive_after=100),
            likelihood=MuLawConfig(),
            encoder=CepstralEncoderConfig(),
            decoder=WaveNetDecoderConfig(stride=640),
        ),
        data=AudioFolderConfig(path=path, chunk=40_960, hop=2_560, held_out_speakers=test_speakers(path)),
        steps=250_000,
        batch_size=16,
        optimizer=cosine(5e-4, warmup_steps=500),
        evaluate_every=5_000,
    )


def test_speakers(path: str) -> tuple[str, ...]:
    """The speakers in those test and dev parts of LibriSpeech that a folder contains."""
    root = user_path(path)
    parts = [part for top in (root, root / "LibriSpeech") for kind in ("dev-*", "test-*") for part in top.glob(kind)]
    return tuple(sorted({place.name for part in parts for place in part.iterdir() if place.is_dir()}))


def long_prior(level: Level, classes: int) -> TrainConfig:
    """A deep WaveNet over the codes. It is not conditioned on the speaker."""
    return TrainConfig(
        model=wavenet(level, layers=20, residual=128, skip=256),
        steps=100_000,
        batch_size=32,
        optimizer=cosine(5e-4, warmup_steps=500),
        evaluate_every=5_000,
    )


def wavenet(level: Level, *, layers: int, residual: int, skip: int) -> WaveNetConfig:
    """A WaveNet for one level of codes."""
    return WaveNetConfig(
        codebook_size=level.codebook_size, num_codebooks=level.num_codebooks, layers=layers, cycle=8, residual=residual, skip=skip
    )


DEMO = Recipe(
    name="speech-demo",
    summary="sentences in eSpeak's voices to 250 codes a second, and their prior",
    paper="E6 and E7, short",
    cost="10 minutes on 2 cores without AVX-512",
    expected="4.6 bits/code (unigram 8.5), log-mel distance 6.9 dB",
    tokenizer=demo_tokenizer,
    prior=demo_prior,
    command="vqvae demo --modality speech",
)
VOICES = Recipe(
    name="voices",
    summary="sentences in eSpeak's voices to 250 codes a second, decoded by a WaveNet in any of these voices",
    paper="E6 and E7, for two cores",
    cost="an hour and a half of one core",
    expected="3.5 bits/sample, 4.7 bits/code (unigram 8.7); the speech is a whisper, with formants but without pitch",
    tokenizer=voices_tokenizer,
    prior=demo_prior,
)
WHOLE_WAVE = Recipe(
    name="voices-whole-wave",
    summary="sentences in eSpeak's voices to 250 codes a second, decoded as whole waves in any of these voices",
    paper="E6 and E7, for two cores",
    cost="an hour and a half of one core",
    expected="4.6 bits/code (unigram 8.4), log-mel distance 4.1 dB, STOI 0.90",
    tokenizer=whole_wave_tokenizer,
    prior=demo_prior,
)
PHONEMES = Recipe(
    name="phonemes25hz",
    summary="sentences in eSpeak's voices to 25 codes per second (K = 128), scored against phones",
    paper="E9",
    cost="seven minutes of one core",
    expected="single codes predict 50.6 % of phones, pairs of codes 59 %, the most frequent phone 6 %",
    tokenizer=phonemes_tokenizer,
    prior=phonemes_prior,
)
VCTK = Recipe(
    name="vctk",
    summary="the VCTK corpus to 250 codes a second, decoded by a WaveNet in the voice of any of its speakers",
    paper="E6, E7",
    cost="a GPU",
    expected="not measured",
    tokenizer=vctk_tokenizer,
    prior=long_prior,
)
LIBRISPEECH = Recipe(
    name="librispeech128",
    summary="LibriSpeech to 125 codes a second, and a WaveNet prior over 2.56 s of codes",
    paper="E8",
    cost="a GPU",
    expected="not measured",
    tokenizer=librispeech_tokenizer,
    prior=long_prior,
)
OWN = Recipe(
    name="speech",
    summary="your own recordings, or shards of them, to 125 codes a second; sub-folders or labels are speakers",
    paper="the setup of E8",
    cost="about an hour of one core for the tokenizer",
    expected="depends on the recordings; the same network reached a log-mel distance of 6.1 dB and STOI 0.76 on LibriSpeech",
    tokenizer=own_tokenizer,
    prior=demo_prior,
    sized=own_prior,
    looks_at=("column", "label_column", "cache"),
    tokenizer_share=0.9,  # The prior takes minutes: more would memorise an hour of speech.
)
