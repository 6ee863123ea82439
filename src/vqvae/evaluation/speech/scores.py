"""Scores, charts and sounds of a speech model on held-out recordings [VQVAE §4.3]."""

import math
import operator
from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.bits import bits
from vqvae.codes import only_level
from vqvae.data import AudioDataset
from vqvae.data.base import Batch, Dataset
from vqvae.data.loader import spread, spread_indices
from vqvae.data.phones import Phone, check_phones
from vqvae.errors import DataError, MissingExtraError
from vqvae.evaluation.arrays.scores import score_arrays
from vqvae.evaluation.base import Evaluation, coded_sizes, compression, log_priors, warnings_about
from vqvae.evaluation.codebook import CodebookUsage
from vqvae.evaluation.likelihood.costs import Costs
from vqvae.evaluation.speech.distances import log_mel_distance, mel_cepstral_distance, multi_resolution_stft_distance, stoi
from vqvae.evaluation.speech.phonemes import SpokenCodes, evaluate_phonemes, label_codes, phone_inventory, phoneme_chart
from vqvae.evaluation.speech.pitch import f0_error
from vqvae.media.sounds import flac_size
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked
from vqvae.reports.sounds import Row, Sound
from vqvae.reports.waves import spectrogram, wave_chart

SCORED, SPOKEN = 512, 240
"""The maximum number of examples for the scores of codes, and of recordings for the scores of phones. Both are spread over the set."""
SHUFFLED = 160
"""Number of examples that are decoded with the codes of others. It is small, because a WaveNet runs several times on each."""
RECONSTRUCTED, PLAYED, WORST = 12, 2, 2
"""Numbers of recordings. The first are reconstructed for the distances. Of these, the report plays some, and also the worst ones."""
SECONDS = 2.5
"""Seconds of each recording to decode. A WaveNet is slow."""
SAMPLE_SECONDS = 2.56
"""Seconds of a sample of the prior, as in the paper."""
SAMPLES = 4
PACKED = 10
"""Seconds of a recording to store as FLAC, for the comparison of sizes."""
LABEL_SOURCE = "the data set's own alignments"


class Decoded(NamedTuple):
    """A recording, its reconstruction and its conversion to another voice. All have the same length."""

    name: str
    speaker: str
    original: Float[Tensor, " time"]
    reconstruction: Float[Tensor, " time"]
    other: str
    """The speaker of ``converted``. Empty if the decoder has no speakers."""
    converted: Float[Tensor, " time"] | None
    codes: Tensor
    """The codes (codebooks, positions) of the first level."""

    def distance(self, sample_rate: int) -> float:
        """The log-mel distance between the recording and its reconstruction, in dB."""
        return float(log_mel_distance(self.original[None], self.reconstruction[None], sample_rate))


def score_sound(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model of sound. Recordings get all scores of speech, arrays only those of codes.

    Raises:
        DataError: if the held-out side is empty.
    """
    match held_out:
        case AudioDataset():
            return score_speech(pipeline, held_out)
    return score_arrays(pipeline, held_out)


def score_speech(pipeline: Pipeline, held_out: AudioDataset) -> Evaluation:
    """Score a model of speech.

    ``bits_per_second_NAME`` is the cost of the codes. If the likelihood is a density, ``bits_per_sample_NAME`` is −log₂ of the bound
    log p(x|z) + log p(z), per sample, of the wave in the likelihood's own bins. Distances are means over some recordings.
    """
    scores, usage, bit_rates = score_codes(pipeline, held_out)
    chosen = spread_indices(held_out.recordings, RECONSTRUCTED)
    decoded = [reconstruct(pipeline, held_out, int(i)) for i in tracked(chosen, "decoding recordings", len(chosen))]
    scores |= distances(decoded, held_out.rate)
    sizes = recording_sizes(scores, held_out, pipeline)
    scores |= compression(sizes)
    charts: dict[str, str] = {}
    clips = spoken_codes(pipeline, held_out) if held_out.phones else []
    if all(halves(clips)):
        scores |= score_phonemes(clips, pipeline, held_out.rate, LABEL_SOURCE)
        charts["phonemes"] = phoneme_table(clips, pipeline, held_out.rate)
    worst, others = worst_of(decoded, held_out.rate)
    rows = sound_rows(pipeline, others, held_out.rate)
    waves = [{one.title: one.samples for one in row.sounds} for row in rows]
    rows += sound_rows(pipeline, worst, held_out.rate, "Worst case: ") + sample_rows(pipeline, held_out.rate)
    charts |= {f"waves_{number}": wave_chart(rows[number].title, one, held_out.rate) for number, one in enumerate(waves)}
    pictures = {
        f"spectrograms_{number}": np.concatenate([spectrogram(wave, held_out.rate) for wave in one.values()])
        for number, one in enumerate(waves)
    }
    return Evaluation(
        scores=scores,
        counts=usage.counts,
        pictures=pictures,
        charts=charts,
        captions={"phonemes": "How often each code stands for each phone of the alignment. A dark cell means nearly always."},
        only_files=frozenset({*pictures, *charts} - {"phonemes"}),
        sounds=rows,
        sizes=sizes,
        classes=scores_by_speaker(decoded, bit_rates, held_out),
        grouped_by="speaker",
        warnings=warnings_about(pipeline, usage.counts, len(held_out.recordings), "recordings"),
    )


def worst_of(decoded: Sequence[Decoded], sample_rate: int) -> tuple[list[Decoded], list[Decoded]]:
    """The recordings with the largest log-mel distance, worst first; and the first of the others, at most ``PLAYED``.

    At most ``WORST`` recordings are worst, and none if there are only ``PLAYED`` recordings.
    """
    ordered = sorted(range(len(decoded)), key=lambda row: -decoded[row].distance(sample_rate))
    worst = ordered[: max(0, min(WORST, len(decoded) - PLAYED))]
    return [decoded[row] for row in worst], [one for row, one in enumerate(decoded) if row not in worst][:PLAYED]


def sound_rows(pipeline: Pipeline, decoded: Sequence[Decoded], sample_rate: int, before: str = "") -> tuple[Row, ...]:
    """A row of sounds per recording: original, reconstruction and other voice. The title is ``before``, the name and the distance."""
    rows, size = [], pipeline.layout[0].codebook_size
    for one in decoded:
        waves = {f"original, {one.speaker}" if one.speaker else "original": one.original, "reconstruction": one.reconstruction}
        if one.converted is not None:
            waves[f"in the voice of {one.other}"] = one.converted
        sounds = (
            Sound(words, wave, sample_rate, one.codes, size, one.original if words == "reconstruction" else None)
            for words, wave in waves.items()
        )
        rows.append(Row(f"{before}{one.name}, log-mel distance {one.distance(sample_rate):.1f} dB", tuple(sounds)))
    return tuple(rows)


def sample_rows(pipeline: Pipeline, sample_rate: int) -> tuple[Row, ...]:
    """A row of samples, if there is a prior."""
    if pipeline.prior is None:
        return ()
    drawn = pipeline.sample(SAMPLES, size=(round(SAMPLE_SECONDS * sample_rate),))
    return (Row("Samples from the prior", tuple(Sound(f"sample {i + 1}", wave[0], sample_rate) for i, wave in enumerate(drawn))),)


def scores_by_speaker(decoded: Sequence[Decoded], bit_rates: Mapping[int, float], held_out: AudioDataset) -> dict[str, dict[str, float]]:
    """For each speaker, the number of recordings, the mean log-mel distance of the reconstructed ones, and the bit rate. Empty if there is
    only one speaker.

    Args:
        decoded: the reconstructed recordings.
        bit_rates: bits per second of the codes, for each number of a speaker.
        held_out: all held-out recordings.
    """
    found: dict[str, dict[str, float]] = {}
    counts = np.bincount([one.speaker for one in held_out.recordings], minlength=len(held_out.label_names))
    for number, name in enumerate(held_out.label_names):
        if not counts[number]:
            continue
        near = [one.distance(held_out.rate) for one in decoded if one.speaker == name]
        found[name] = {"examples": int(counts[number])}
        found[name] |= {"log_mel_distance": float(np.mean(near))} if near else {}
        found[name] |= {"bits_per_second": bit_rates[number]} if number in bit_rates else {}
    return found if len(found) > 1 else {}


def recording_sizes(scores: Mapping[str, Any], held_out: AudioDataset, pipeline: Pipeline) -> dict[str, float]:
    """Bytes per second: raw with 16 bits, as FLAC, and as codes. FLAC is measured on the first seconds of a few recordings."""
    nats = {name.removeprefix("bits_per_second_"): value * math.log(2) for name, value in scores.items() if "bits_per_second_" in name}
    sizes = coded_sizes(16 * held_out.rate, nats, 1)
    clips = [held_out.clip(int(i))[: PACKED * held_out.rate] for i in spread_indices(held_out.recordings, PLAYED)]
    seconds = sum(map(len, clips)) / held_out.rate
    try:
        return sizes | ({"FLAC, lossless": sum(flac_size(clip, held_out.rate) for clip in clips) / seconds} if seconds else {})
    except MissingExtraError:
        return sizes


class CodeScores(NamedTuple):
    """The scores of the codes of recordings."""

    scores: dict[str, Any]
    usage: CodebookUsage
    bit_rates: dict[int, float]
    """Bits per second for each number of a speaker, under the best prior that the pipeline has: learned, unigram or uniform."""


@torch.inference_mode()
def score_codes(pipeline: Pipeline, held_out: AudioDataset) -> CodeScores:
    """The cost of the codes, their usage, and the cost of the samples given the codes."""
    tokenizer = pipeline.tokenizer
    assert isinstance(tokenizer, CodeAutoencoder)
    costs = Costs(tokenizer.layout, log_priors(pipeline))
    spent = np.zeros((2, len(held_out.label_names)))
    scored = spread(held_out, SCORED, pipeline.batch_size)
    for batch in tracked(scored, "scoring codes", min(SCORED, len(held_out)), lambda batch: len(batch.x)):
        batch = batch.to(pipeline.device)
        codes = tokenizer.encode(batch)
        log_prior = costs.add(batch, codes, tokenizer.log_likelihood(batch, codes) if tokenizer.has_likelihood else None)
        if batch.condition.label is not None:
            lengths = batch.x.new_full((len(batch.x),), batch.x.shape[2]) if batch.mask is None else batch.mask.sum(1)
            for row, amount in enumerate((-log_prior, lengths)):
                np.add.at(spent[row], batch.condition.label.cpu().numpy(), amount.cpu().double().numpy())
    found, seconds = costs.scores("sample"), costs.dims / held_out.rate
    scores = {f"bits_per_second_{name}": bits(cost) / seconds for name, cost in costs.nats.items()}
    scores |= {name: value for name, value in found.items() if name.startswith("bits_per_code")}
    scores |= {**costs.usage_scores(), "seconds_scored": seconds}
    scores |= {name: value for name, value in found.items() if name.startswith("bits_per_sample")}
    rates = {number: bits(nats) / (time / held_out.rate) for number, (nats, time) in enumerate(spent.T.tolist()) if time}
    return CodeScores(scores, costs.usage[0], rates)


def reconstruct(pipeline: Pipeline, audio: AudioDataset, index: int) -> Decoded:
    """Decode the beginning of a recording in its own voice and in another."""
    recording = audio.recordings[index]
    whole = torch.from_numpy(audio.clip(index))
    wave = whole[: round(SECONDS * audio.rate)][None, None]
    known = pipeline.speakers
    speaker = recording.speaker if recording.speaker < len(known) else 0
    other = (speaker + max(1, len(known) // 2)) % len(known) if len(known) > 1 else None
    codes, size = pipeline.encode_batch(Batch(wave)), (wave.shape[2],)
    made = pipeline.decode(codes, size, speaker if known else None)[0, 0]
    converted = None if other is None else pipeline.decode(codes, size, other)[0, 0]
    name = audio.label_names[recording.speaker] if audio.label_names else ""
    return Decoded(recording.name, name, wave[0, 0], made, "" if other is None else known[other], converted, codes[0][0])


def distances(decoded: Sequence[Decoded], sample_rate: int) -> dict[str, float | None]:
    """Mean distances between recordings and reconstructions. The pitch error is None if no pair has a voiced frame in common."""
    pairs = [(one.original, one.reconstruction) for one in decoded]
    pitch = [f0_error(a, b, sample_rate) for a, b in pairs]
    cents = [float(one.cents) for one in pitch if math.isfinite(float(one.cents))]
    return {
        "log_mel_distance": float(np.mean([one.distance(sample_rate) for one in decoded])),
        "stft_distance": float(np.mean([float(multi_resolution_stft_distance(a[None], b[None])) for a, b in pairs])),
        "mel_cepstral_distance": float(np.mean([mel_cepstral_distance(a, b, sample_rate) for a, b in pairs])),
        "f0_cents": float(np.mean(cents)) if cents else None,
        "f0_voicing": float(np.mean([float(one.voicing) for one in pitch])),
        **intelligibility(pairs, sample_rate),
    }


def intelligibility(pairs: Sequence[tuple[Tensor, Tensor]], sample_rate: int) -> dict[str, float]:
    """Mean STOI over the pairs with enough speech. Empty if there are none, or pystoi is not installed."""
    found = []
    for original, reconstruction in pairs:
        try:
            found.append(stoi(original, reconstruction, sample_rate))
        except MissingExtraError:
            return {}
        except DataError:
            continue
    return {"stoi": float(np.mean(found))} if found else {}


def spoken_codes(
    pipeline: Pipeline, audio: AudioDataset, phones: Mapping[str, tuple[Phone, ...]] | None = None, count: int = SPOKEN
) -> list[SpokenCodes]:
    """The codes and alignments of recordings that have an alignment and at least one code: at most ``count``, spread over all.

    Raises:
        DataError: if no recording has an alignment.
    """
    found = check_phones(audio.phones if phones is None else phones, [recording.name for recording in audio.recordings])
    stride = only_level(pipeline.tokenizer.layout).stride[0]
    aligned = [index for index, one in enumerate(audio.recordings) if one.name in found and one.samples >= stride]
    clips = []
    for index in (aligned[place] for place in spread_indices(aligned, count)):
        codes = pipeline.encode_batch(Batch(torch.from_numpy(audio.clip(index))[None, None])).tensor[0, 0].numpy()
        clips.append(SpokenCodes(audio.recordings[index].name, codes, found[audio.recordings[index].name]))
    return clips


def halves(clips: Sequence[SpokenCodes]) -> tuple[list[SpokenCodes], list[SpokenCodes]]:
    """Split the recordings in two. File names alternate between the halves, so a sentence that several speakers recorded under the same
    name stays in one half. If all files have the same name, the recordings alternate."""
    names = [PurePosixPath(clip.name).stem for clip in clips]
    if len(set(names)) == 1:
        names = [clip.name for clip in clips]
    first = set(sorted(set(names))[::2])
    chosen = [name in first for name in names]
    return list(compress(clips, chosen)), list(compress(clips, map(operator.not_, chosen)))


def score_phonemes(clips: Sequence[SpokenCodes], pipeline: Pipeline, sample_rate: int, label_source: str) -> dict[str, Any]:
    """Score how well codes predict phones: fit a map from codes to phones on one of the ``halves``, and score it on the other.

    Raises:
        DataError: if a half is empty.
    """
    level = only_level(pipeline.tokenizer.layout)
    sides = halves(clips)
    if not all(sides):
        raise DataError(
            "Phone scores need at least 2 held-out recordings with an alignment: one to fit a map from codes to phones, one to score it. "
            f"There are {len(clips)} with an alignment and at least {level.stride[0]} samples, the length of a code."
        )
    found = evaluate_phonemes(*sides, code_rate=sample_rate / level.stride[0], codebook_size=level.codebook_size, label_source=label_source)
    inventory = len(found.pop("inventory"))
    # NaN: there was nothing to average.
    return {name: None if value != value else value for name, value in found.items()} | {"phoneme_inventory": inventory}


def phoneme_table(clips: Sequence[SpokenCodes], pipeline: Pipeline, sample_rate: int) -> str:
    """The table of codes and phones of all recordings, as SVG."""
    level = only_level(pipeline.tokenizer.layout)
    return phoneme_chart(label_codes(clips, sample_rate / level.stride[0], level.codebook_size, phone_inventory(clips)))
