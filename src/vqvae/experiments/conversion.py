"""E6 and E7 [VQVAE §4.3]: speech to codes and back, and the words of one speaker in the voice of another.

RUNS/
  voices/                 a WaveNet decoder
    without-codes/        the same decoder, trained with one code that carries no information
    probes/               classifiers, trained on real speech: of speakers and of phones
  voices-whole-wave/      the same encoder, with a decoder that makes the whole wave at once
"""

import copy
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from vqvae import seeding
from vqvae.bits import bits_per_dim
from vqvae.codes import only_level
from vqvae.data import AudioDataset, DataConfig, VoicesConfig, recordings_of
from vqvae.data.base import Batch, Dataset, Splits
from vqvae.data.loader import spread, spread_indices
from vqvae.data.voices import PHONES, render, untrained
from vqvae.disk import atomic
from vqvae.errors import CheckpointError
from vqvae.evaluation.likelihood.collapse import measure_collapse
from vqvae.evaluation.probes.base import LabelledAudio, LabelledClip
from vqvae.evaluation.probes.conversion import Conversion, phones_told, score_conversions
from vqvae.evaluation.probes.phones import PhoneRecogniser, PhoneRecogniserConfig
from vqvae.evaluation.probes.speakers import SpeakerClassifier, SpeakerClassifierConfig
from vqvae.evaluation.speech.phonemes import is_silence
from vqvae.evaluation.speech.phonotactics import phone_trigram_perplexity
from vqvae.evaluation.speech.scores import SAMPLE_SECONDS, SHUFFLED
from vqvae.exact import exact_sum
from vqvae.experiments.base import Job
from vqvae.media.images import write_png
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import AudioEncoderConfig, WaveNetDecoder
from vqvae.pipeline import PRIOR, TOKENIZER, Pipeline, load
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes import speech
from vqvae.recipes.base import cosine
from vqvae.reports.results import in_words, this_command, write_results
from vqvae.reports.waves import spectrogram
from vqvae.runs.defaults import prior_config
from vqvae.runs.folder import stored_config, stored_data, trained_seconds
from vqvae.runs.scores import evaluate
from vqvae.runs.stages import train_part, train_prior, train_tokenizer
from vqvae.training import RunOptions, TrainConfig
from vqvae.training.machine import pick_device

WITHOUT, PROBES = "without-codes", "probes"
SOURCES = ("en-us+f5", "en-us+m4")
"""Voices that are not in any training data here."""
TEXTS, CONVERTED, TARGETS = 20, 40, 3
"""Number of new sentences, each spoken by both sources; number of recordings to convert; number of target voices for each."""
RECONSTRUCTED, BABBLED = 24, 12
"""Number of held-out recordings for phone recognition; number of waves to draw from each prior."""
SHOWN, ROUNDED = 3, 64
"""Number of recordings whose spectrograms are shown; number of examples that measure the cost of 8-bit weights."""
NOTES_VOICES = """{pictures}

Both models have the same encoder and codebook. One decoder is a WaveNet over mu-law bins. The other makes the whole wave at once. It has
no density, so there are no bits per sample.

- `bits_given_latents` is −log₂ p(x|z) per sample.
- `bits_without_latents` is the same for a WaveNet that was trained for as long with one code that carries no information.
- `bits_lost_when_shuffled` is the extra cost with the codes of another clip, and `bits_lost_in_int8` that of 8-bit weights.
- `bits_per_code` is the cost with the learned prior.
- `phone_trigram_perplexity_…` scores the phones that a recogniser, trained on real speech, finds in real recordings, in samples of the
  prior, and in codes drawn independently by their frequency.

The spectrograms show, from top to bottom, the original, its reconstruction and a conversion to another voice. Voices and exact phones come
from eSpeak."""
NOTES_CONVERSION = """{pictures}

{clips} recordings, each converted to {targets} other voices.

- `target_speaker_named`: how often a classifier of real speech names the target voice.
- `closer_to_target`: how often the conversion is closer than the source to the same words in the target voice, by the mel-cepstral
  distance after warping.
- `phones_…`: the share of frames whose phone a recogniser of real speech names correctly, without silence. It is measured on real
  held-out recordings of known voices, on their reconstructions, and on the conversions.

With eSpeak's data, the sources are {sources}. Neither the models nor the classifiers were trained on them, and all texts are new. The
spectrograms show a source, its conversion, and the same words in the target voice."""
PROBE_STEPS = (400, 1_500)
"""Training steps of the speaker classifier and of the phone recogniser."""
FRAMES = 100
"""Frames in a training example of the phone recogniser, which last one second."""


def reproduce_voices(job: Job) -> dict[str, Any]:
    """E6: train the missing models, score both decoders, and write ``results/NAME.md``, ``NAME.json`` and spectrograms.

    Raises:
        VqvaeError: on an interruption, or if the folder belongs to another training. The same call resumes.
    """
    runs = decoders(job)
    metrics = {}
    for name, run in runs.items():
        splits = stored_data(run)
        metrics[name] = evaluate(run, splits.held_out, job.options)
    splits = stored_data(job.run)
    metrics["WaveNet"] |= score_use(job, splits)
    probes = train_probes(job, splits)
    for name, run in runs.items():
        if probes.phones is not None:
            metrics[name] |= score_babble(load(run, pick_device(job.options.device)), probes.phones, splits)
        pictures = sorted(run.glob("spectrograms_*.png"))[:SHOWN]
        for number, picture in enumerate(pictures):
            with atomic(job.results / f"{job.name}-{_key(name)}-{number}.png", CheckpointError) as partial:
                partial.write_bytes(picture.read_bytes())
    shown = "\n\n".join(f"![{path.stem}]({path.name})" for path in sorted(job.results.glob(f"{job.name}-*-[0-9].png")))
    return tabulate_decoders(job, runs, metrics, NOTES_VOICES.format(pictures=shown))


def reproduce_conversion(job: Job) -> dict[str, Any]:
    """E7: train the missing models, convert held-out sentences, and let classifiers of real speech name the speaker and the phones.

    Raises:
        VqvaeError: on an interruption, or if the folder belongs to another training. The same call resumes.
    """
    runs = decoders(job)
    splits = stored_data(job.run)
    real = recordings_of(splits.held_out)
    probes, device = train_probes(job, splits), pick_device(job.options.device)
    said, wanted = parallel_speech(stored_config(job.run).data, real)
    metrics: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        pipeline = load(run, device)
        converted = convert_all(pipeline, said, wanted)
        write_png(job.results / f"{job.name}-{_key(name)}.png", picture(converted[0], said.rate))
        metrics[name] = score_conversions(converted, probes.speaker, said.rate)
        if probes.phones is not None:
            metrics[name] |= score_phones(pipeline, probes.phones, real, said, converted)
    metrics["real speech"] = {"target_speaker_named": named_in(probes.speaker, real if wanted is None else wanted)}
    pictures = "\n\n".join(f"![{name}]({job.name}-{_key(name)}.png)" for name in runs)
    return tabulate_decoders(
        job,
        runs,
        metrics,
        NOTES_CONVERSION.format(pictures=pictures, clips=len(said.recordings), targets=TARGETS, sources=" and ".join(SOURCES)),
    )


def decoders(job: Job) -> dict[str, Path]:
    """The folders of the trained runs, by decoder. At the paper's scale there is only the WaveNet."""
    if job.scale == "paper":
        return {"WaveNet": job.run}
    recipe = speech.WHOLE_WAVE
    twin = job.run.parent / recipe.name
    train_tokenizer(recipe.tokenizer(None), job.options, twin, recipe=recipe.name, scored=False)
    train_prior(prior_config(twin), job.options, twin, scored=False)
    return {"WaveNet": job.run, "whole wave": twin}


def score_use(job: Job, splits: Splits) -> dict[str, float]:
    """Whether the WaveNet uses its codes: its bits per sample, the bits with another clip's codes, and those of a decoder without codes."""
    config, device = without_codes(stored_config(job.run)), pick_device(job.options.device)
    bare = train_part(config, splits, job.options, job.run, WITHOUT, recipe=WITHOUT)
    pipeline = load(job.run, device)
    assert isinstance(bare, VQVAE) and isinstance(pipeline.tokenizer, VQVAE)

    def without(batch: Batch) -> Tensor:
        return bare.log_likelihood(batch, bare.encode(batch))

    held_out = splits.held_out
    found = measure_collapse(pipeline.tokenizer, held_out, without=without, device=device, batch_size=pipeline.batch_size, count=SHUFFLED)
    samples = held_out.batch(np.arange(1)).x.numel()
    names = ("bits_given_latents", "bits_without_latents", "bits_gained", "bits_lost_when_shuffled")
    return {name: found[name] / samples for name in names} | {"bits_lost_in_int8": int8_cost(pipeline, held_out)}


@torch.inference_mode()
def int8_cost(pipeline: Pipeline, held_out: Dataset) -> float:
    """The extra bits per sample of a WaveNet if its weights are rounded as for ``WaveNetDecoderConfig.int8``."""
    tokenizer = pipeline.tokenizer
    assert isinstance(tokenizer, VQVAE)
    rounded = copy.deepcopy(tokenizer)
    assert isinstance(rounded.decoder, WaveNetDecoder)
    rounded.decoder.wavenet = rounded.decoder.wavenet.rounded_to_int8()
    nats, samples = 0.0, 0
    for batch in spread(held_out, ROUNDED, pipeline.batch_size):
        batch = batch.to(pipeline.device)
        codes = tokenizer.encode(batch)
        nats += exact_sum(tokenizer.log_likelihood(batch, codes) - rounded.log_likelihood(batch, codes))
        samples += batch.x.numel() if batch.mask is None else int(batch.mask.sum())
    return bits_per_dim(nats, samples)


def without_codes(config: TrainConfig) -> TrainConfig:
    """The same training with one code that carries no information: the decoder gets only the speaker and the earlier samples. There is
    nothing to encode, so the encoder is as small as possible."""
    model = config.model
    assert isinstance(model, VQVAEConfig) and isinstance(model.quantizer, EMAQuantizerConfig)
    quantizer = dataclasses.replace(model.quantizer, codebook_size=1, revive_after=0)
    shape: Any = model.encoder
    encoder = AudioEncoderConfig(strides=shape.strides, width=1, residual_blocks=0)
    return dataclasses.replace(config, model=dataclasses.replace(model, quantizer=quantizer, encoder=encoder))


class Probes(NamedTuple):
    """Classifiers of real speech."""

    speaker: SpeakerClassifier
    phones: PhoneRecogniser | None
    """None if the phones of the data are unknown."""


def train_probes(job: Job, splits: Splits) -> Probes:
    """Train the classifiers on the recordings that the tokenizer was trained on, or load them. Without phones, there is no recogniser."""
    device = pick_device(job.options.device)
    train, held_out = recordings_of(splits.train), recordings_of(splits.held_out)
    who = SpeakerClassifierConfig(speakers=len(train.label_names), rate=train.rate)
    speaker = train_probe(who, splits, job.options, job.run / PROBES, "speaker", steps=PROBE_STEPS[0])
    assert isinstance(speaker, SpeakerClassifier)
    if not train.phones or not held_out.phones:
        return Probes(speaker.to(device), None)
    names = {phone.label for clip in (*labelled(train), *labelled(held_out)) for phone in clip.phones}
    if isinstance(stored_config(job.run).data, VoicesConfig):
        # Converted recordings may have a rare phone that is missing in a few sentences.
        names |= set(PHONES)
    what = PhoneRecogniserConfig(phones=tuple(sorted(name for name in names if not is_silence(name))), rate=train.rate)
    said = [
        LabelledAudio(labelled(side), phones=what.phones, sample_rate=what.rate, chunk=FRAMES, name=f"{side.name}-phones")
        for side in (train, held_out)
    ]
    phones = train_probe(what, Splits(*said), job.options, job.run / PROBES, "phones", steps=PROBE_STEPS[1])
    assert isinstance(phones, PhoneRecogniser)
    return Probes(speaker.to(device), phones.to(device))


def train_probe(
    config: SpeakerClassifierConfig | PhoneRecogniserConfig, splits: Splits, options: RunOptions, folder: Path, stage: str, *, steps: int
) -> torch.nn.Module:
    """A classifier of real recordings, trained to the end or loaded."""
    training = TrainConfig(model=config, steps=steps, batch_size=16, optimizer=cosine(2e-3), evaluate_every=steps // 2)
    return train_part(training, splits, options, folder, stage, recipe=PROBES)


def labelled(audio: AudioDataset) -> list[LabelledClip]:
    """Recordings with their phones."""
    named = enumerate(audio.recordings)
    return [LabelledClip(one.name, audio.clip(i), audio.phones[one.name]) for i, one in named if one.name in audio.phones]


def parallel_speech(data: DataConfig | None, held_out: AudioDataset) -> tuple[AudioDataset, AudioDataset | None]:
    """The recordings to convert, and the same texts by all known voices: recording ``voice * texts + text``.

    With eSpeak, the recordings are new sentences by unseen voices. With other data, they are held-out recordings of its own speakers. Then
    nobody else speaks the same text, and the second result is None.
    """
    if not isinstance(data, VoicesConfig):
        return held_out, None
    texts = untrained(data, TEXTS, "conversion")
    return render(texts, SOURCES, rate=data.rate), render(texts, data.voices, rate=data.rate)


@torch.inference_mode()
def convert_all(pipeline: Pipeline, said: AudioDataset, wanted: AudioDataset | None) -> list[Conversion]:
    """Recordings of ``said``, each in ``TARGETS`` voices, with all voices in turn. ``wanted`` has the same text by these voices."""
    conversions, texts = [], 1 if wanted is None else len(wanted.recordings) // len(pipeline.speakers)
    for index in spread_indices(said.recordings, CONVERTED).tolist():
        source = torch.from_numpy(said.clip(index))
        targets = torch.tensor([(index * TARGETS + k) % len(pipeline.speakers) for k in range(TARGETS)])
        made = pipeline.decode(pipeline.encode_batch(Batch(source[None, None])).tensor.expand(TARGETS, -1, -1), source.shape, targets)
        for voice, wave in zip(targets.tolist(), made[:, 0], strict=True):
            target = None if wanted is None else torch.from_numpy(wanted.clip(voice * texts + index % texts))
            conversions.append(Conversion(index, source, wave, voice, target))
    return conversions


def score_phones(
    pipeline: Pipeline, recogniser: PhoneRecogniser, held_out: AudioDataset, said: AudioDataset, conversions: Sequence[Conversion]
) -> dict[str, float]:
    """The share of frames with the right phone, without silence: in real held-out recordings, in their reconstructions, and in
    conversions, which keep the timing of their source."""
    real, made = [], []
    for index in spread_indices(held_out.recordings, RECONSTRUCTED).tolist():
        recording, wave = held_out.recordings[index], held_out.clip(index)
        codes = pipeline.encode_batch(Batch(torch.from_numpy(wave)[None, None]))
        said_again = pipeline.decode(codes, wave.shape, recording.speaker if pipeline.speakers else None)
        phones = held_out.phones[recording.name]
        real.append(LabelledClip(recording.name, wave, phones))
        made.append(LabelledClip(recording.name, said_again[0, 0].numpy(), phones))
    converted = [LabelledClip(name := said.recordings[one.index].name, one.converted.numpy(), said.phones[name]) for one in conversions]
    return {
        "phones_real": phones_told(recogniser, real),
        "phones_reconstructed": phones_told(recogniser, made),
        "phones_converted": phones_told(recogniser, converted),
    }


@torch.inference_mode()
def named_in(classifier: SpeakerClassifier, audio: AudioDataset) -> float:
    """The share of real recordings for which the classifier names the right speaker."""
    said = enumerate(audio.recordings)
    return float(np.mean([int(classifier.predict(Batch(torch.from_numpy(audio.clip(i))[None, None]))) == one.speaker for i, one in said]))


def score_babble(pipeline: Pipeline, recogniser: PhoneRecogniser, splits: Splits) -> dict[str, float]:
    """Whether the prior follows the order of English phones: the trigram perplexity of the phones that the recogniser finds in real
    recordings, in samples of the prior, and in codes drawn independently by their frequency."""
    train, held_out = recordings_of(splits.train), recordings_of(splits.held_out)
    size = (round(SAMPLE_SECONDS * held_out.rate),)
    order = [tuple(phone.label for phone in clip.phones if not is_silence(phone.label)) for clip in labelled(train)]
    real = [held_out.clip(i)[: size[0]] for i, one in enumerate(held_out.recordings) if one.samples >= size[0]][:BABBLED]
    waves = {
        "real": torch.from_numpy(np.stack(real))[:, None],
        "learned": pipeline.sample(BABBLED, size=size),
        "unigram": draw_unigram(pipeline, BABBLED, size),
    }
    return {
        f"phone_trigram_perplexity_{name}": phone_trigram_perplexity(order, recogniser.sequences(Batch(wave)))
        for name, wave in waves.items()
    }


def draw_unigram(pipeline: Pipeline, count: int, size: tuple[int]) -> Tensor:
    """Waves decoded from codes that are drawn independently, each by its frequency."""
    assert pipeline.unigram is not None
    level, generator = only_level(pipeline.tokenizer.layout), seeding.generator(0, "unigram")
    shares = (pipeline.unigram.counts.cpu().double() + 1).expand(count, -1, -1)
    frames = math.ceil(size[0] / level.stride[0])
    drawn = [torch.multinomial(book, frames, replacement=True, generator=generator) for book in shares.unbind(1)]
    speakers: Int64[Tensor, " count"] | None = torch.arange(count) % len(pipeline.speakers) if pipeline.speakers else None
    return pipeline.decode(torch.stack(drawn, 1), size, speakers)


def picture(one: Conversion, rate: int) -> np.ndarray:
    """Spectrograms of a source, its conversion, and the same words by the target speaker, one below the other."""
    waves = [one.source, one.converted, *([] if one.target is None else [one.target[: len(one.source)]])]
    rows = [spectrogram(wave, rate) for wave in waves]
    width = min(row.shape[1] for row in rows)
    return np.concatenate([row[:, :width] for row in rows])


def _key(name: str) -> str:
    return name.lower().replace(" ", "-")


def tabulate_decoders(job: Job, runs: Mapping[str, Path], metrics: Mapping[str, Mapping[str, Any]], notes: str) -> dict[str, Any]:
    """Write a table with one column per decoder."""
    began = time.perf_counter()
    keys = dict.fromkeys(key for of in metrics.values() for key in of if not key.startswith("seconds"))
    steps = {name: {part: stored_config(run, part).steps for part in (TOKENIZER, PRIOR)} for name, run in runs.items()}
    seconds = {name: {part: trained_seconds(run, part) for part in (TOKENIZER, PRIOR)} for name, run in runs.items()}
    return write_results(
        job.results,
        job.name,
        title=job.title,
        command=this_command(),
        columns=("measure, on held-out data", *metrics),
        rows=[(key, *(in_words(of.get(key)) for of in metrics.values())) for key in keys],
        values={"decoders": {name: dict(of) for name, of in metrics.items()}, "steps_by_stage": steps, "seconds_by_stage": seconds},
        seconds=sum(sum(parts.values()) for parts in seconds.values()) + time.perf_counter() - began,
        steps=sum(sum(parts.values()) for parts in steps.values()),
        notes=notes,
        device=pick_device(job.options.device),
    )
