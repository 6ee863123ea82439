"""E8 and E9 [VQVAE §4.3]: unconditional speech, and how well codes learned without labels predict phones.

RUN/                a tokenizer of speech; for E8 its prior, too
RUN/VARIANT/        for E9 with eSpeak's voices: the same tokenizer with one setting changed, trained equally long
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqvae.codes import only_level
from vqvae.data import DataConfig, VoicesConfig, read_phones, recordings_of
from vqvae.data.base import Splits
from vqvae.data.voices import render, untrained
from vqvae.evaluation.likelihood.collapse import measure_collapse
from vqvae.evaluation.speech.phonemes import SpokenCodes, evaluate_phonemes
from vqvae.evaluation.speech.scores import SHUFFLED, phoneme_table, spoken_codes
from vqvae.experiments.base import Job
from vqvae.experiments.tables import tabulate
from vqvae.likelihoods import CepstralConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import AudioEncoderConfig, CepstralDecoderConfig, CepstralEncoderConfig, LogMelEncoderConfig
from vqvae.pipeline import TOKENIZER, Pipeline, load
from vqvae.reports.charts import save_svg
from vqvae.reports.results import in_words, this_command, write_results
from vqvae.runs.folder import recipe_of, stored_config, stored_data, trained_seconds
from vqvae.runs.scores import evaluate
from vqvae.runs.stages import train_part
from vqvae.training import TrainConfig
from vqvae.training.machine import pick_device

ALIGNMENTS = "phones.jsonl"
"""The name of the file with the alignments, in the folder of recordings that --data gives."""
STRANGERS, TEXTS = VoicesConfig().unseen_voices, 60
"""eSpeak voices that are not in the training data, and the number of new sentences that each speaks."""
EXACT, GIVEN = "eSpeak's own times", f"machine alignments, {ALIGNMENTS}"
PUBLISHED = {"phoneme_accuracy": "0.493", "phoneme_majority": "0.072"}
MEASURES = ("phoneme_accuracy", "phoneme_accuracy_bigram", "phoneme_accuracy_trigram", "phoneme_accuracy_random", "phoneme_majority")
NOTES_PHONES = """![phones of the codes]({name}-phonemes.svg)

Each code is mapped to its most frequent phone. The table shows the share of right frames without silence, the share of the most frequent
phone, and the accuracy of random codes with the same frequencies. Bigrams and trigrams map two and three codes at once. {frames} frames
are scored, with {inventory} phones besides silence. The labels are {source}. {sides}

The paper reports 49.3 % with 128 codes at 25 Hz, and 7.2 % for the most frequent phone, on other speech and with a WaveNet decoder."""
UNSEEN = """The maps are fitted on the training data, and scored on other sentences by voices that were not in the training data.

`base` is the recipe's model. Each other model has one changed setting and was trained for as many steps. In `waveform` and `log-mel`, these
are the input of the encoder instead of mel cepstra. All models predict the same cepstra."""
HALVES = "The maps are fitted on half of the held-out speakers and scored on the others."


def variants(base: TrainConfig) -> dict[str, TrainConfig]:
    """The training of ``base`` with one setting changed, by the name of the change."""
    model = base.model
    assert isinstance(model, VQVAEConfig)
    assert isinstance(model.encoder, CepstralEncoderConfig) and isinstance(model.decoder, CepstralDecoderConfig)
    cepstra = model.encoder.cepstra
    fast = dataclasses.replace(cepstra, spectra=cepstra.spectra // 2)
    changes: dict[str, dict[str, Any]] = {
        "waveform": {"encoder": AudioEncoderConfig(strides=(5, 4, 4, 4, 2), width=128, first_width=32)},
        "log-mel": {"encoder": LogMelEncoderConfig(normalise=True)},
        "jitter": {"jitter": 0.12},
        "50 codes a second": {
            "encoder": dataclasses.replace(model.encoder, cepstra=fast),
            "decoder": dataclasses.replace(model.decoder, stride=fast.hop * fast.spectra),
            "likelihood": CepstralConfig(cepstra=fast),
        },
    }
    return {name: dataclasses.replace(base, model=dataclasses.replace(model, **change)) for name, change in changes.items()}


def reproduce_phones(job: Job) -> dict[str, Any]:
    """E9: train the missing models, fit maps from codes to phones, and score them. With eSpeak's voices, include variants of the model.

    Raises:
        DataError: if no held-out recording has an alignment.
        VqvaeError: on an interruption, or if the folder belongs to another training. The same call resumes.
    """
    splits, base, device = stored_data(job.run), stored_config(job.run), pick_device(job.options.device)
    with_strange = splits if job.data else with_strangers(splits, base.data)
    scores, seconds, chart = {}, {}, ""
    for name, config in {"base": base, **({} if job.data else variants(base))}.items():
        stage = TOKENIZER if name == "base" else name.replace(" ", "-")
        # The base is only loaded: ``reproduce`` has trained it.
        tokenizer = train_part(config, splits, job.options, job.run, stage, recipe=recipe_of(job.run))
        assert isinstance(tokenizer, VQVAE)
        pipeline = Pipeline(tokenizer.to(device), label_names=splits.train.label_names)
        fitted, scored = two_sides(pipeline, with_strange, job.data)
        scores[name] = score_maps(fitted, scored, pipeline, splits, GIVEN if job.data else EXACT)
        seconds[name], chart = trained_seconds(job.run, stage), chart or phoneme_table(scored, pipeline, _rate(splits))
    save_svg(job.results / f"{job.name}-phonemes.svg", chart)
    ours, steps = scores["base"], base.steps * len(scores)
    return write_results(
        job.results,
        job.name,
        title=job.title,
        command=this_command(),
        columns=("measure", "published", *scores),
        rows=[(key, PUBLISHED.get(key, ""), *(in_words(of[key]) for of in scores.values())) for key in MEASURES],
        values={
            **{key: ours[key] for key in MEASURES},
            **({} if job.data else {"phoneme_accuracy_waveform": scores["waveform"]["phoneme_accuracy"]}),
            "variants": scores,
            "published": PUBLISHED,
            "seconds_by_stage": seconds,
        },
        seconds=sum(seconds.values()),
        steps=steps,
        notes=NOTES_PHONES.format(
            name=job.name,
            frames=ours["frames"],
            inventory=len(ours["inventory"]),
            source=ours["label_source"],
            sides=HALVES if job.data else UNSEEN,
            steps=base.steps,
        ),
        device=device,
    )


def with_strangers(splits: Splits, data: DataConfig | None) -> Splits:
    """The splits, with new sentences by unseen voices as the held-out side. The decoder knows the voices of the usual held-out side."""
    assert isinstance(data, VoicesConfig)
    return splits._replace(held_out=render(untrained(data, TEXTS, "phones"), STRANGERS, rate=data.rate))


def two_sides(pipeline: Pipeline, splits: Splits, data: str | None) -> tuple[list[SpokenCodes], list[SpokenCodes]]:
    """The codes and phones to fit maps on, and those to score.

    If ``data`` is a folder with alignments, each part has half of the held-out speakers. Otherwise maps are fitted on the training data
    and scored on the held-out data.

    Raises:
        DataError: if no recording has an alignment.
    """
    train, held_out = recordings_of(splits.train), recordings_of(splits.held_out)
    if data is None:
        return spoken_codes(pipeline, train, count=len(train.recordings)), spoken_codes(pipeline, held_out, count=len(held_out.recordings))
    alignments = read_phones(Path(data) / ALIGNMENTS, strip_stress=True)
    clips = spoken_codes(pipeline, held_out, alignments, count=len(held_out.recordings))
    speaker = {recording.name: recording.speaker for recording in held_out.recordings}
    fitted = set(sorted({speaker[clip.name] for clip in clips})[::2])
    return [clip for clip in clips if speaker[clip.name] in fitted], [clip for clip in clips if speaker[clip.name] not in fitted]


def score_maps(
    fitted: Sequence[SpokenCodes], scored: Sequence[SpokenCodes], pipeline: Pipeline, splits: Splits, source: str
) -> dict[str, Any]:
    """``evaluate_phonemes`` at the code rate of a pipeline."""
    level = only_level(pipeline.tokenizer.layout)
    return evaluate_phonemes(
        fitted, scored, code_rate=_rate(splits) / level.stride[0], codebook_size=level.codebook_size, label_source=source
    )


def reproduce_speech(job: Job) -> dict[str, Any]:
    """E8: score a tokenizer and its prior on speakers that are not in the training data.

    Raises:
        VqvaeError: if there is no tokenizer, or the data is missing.
    """
    splits, pipeline = stored_data(job.run), load(job.run, pick_device(job.options.device))
    evaluate(job.run, splits.held_out, job.options)
    assert isinstance(pipeline.tokenizer, VQVAE)
    extra: dict[str, Any] = {}
    if pipeline.tokenizer.has_likelihood:
        settings = {"device": pipeline.device, "batch_size": pipeline.batch_size, "count": SHUFFLED}
        found = measure_collapse(pipeline.tokenizer, splits.held_out, **settings)
        extra["bits_lost_when_shuffled"] = found["bits_lost_when_shuffled"] / splits.held_out.batch(np.arange(1)).x.numel()
    if job.data is not None and (Path(job.data) / ALIGNMENTS).is_file():
        sides = two_sides(pipeline, splits, job.data)
        found = score_maps(*sides, pipeline, splits, GIVEN)
        extra |= {**found, "inventory": len(found["inventory"])}
        save_svg(job.results / f"{job.name}-phonemes.svg", phoneme_table(sides[1], pipeline, _rate(splits)))
    return tabulate(job.run, job.results, job.name, job.title, extra=extra, pictures=("spectrograms_0", "spectrograms_1"))


def _rate(splits: Splits) -> int:
    return recordings_of(splits.held_out).rate
