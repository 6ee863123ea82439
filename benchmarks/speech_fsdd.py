"""Spoken digits in other voices: a tokenizer of the Free Spoken Digit Dataset, scored by classifiers of real clips.

    python benchmarks/speech_fsdd.py --data FSDD [--run runs/fsdd] [--steps 1500] [--out docs/results]

In the data set (https://github.com/Jakobovski/free-spoken-digit-dataset), six people say each digit 50 times. It needs a folder per
speaker, with files named DIGIT_SPEAKER_NUMBER. Clips are resampled from 8 to 16 kHz, and 5 % are held out. Every held-out clip is
reconstructed, and converted to the five other voices. One classifier of real clips recognises the speaker, another the digit. Trained
models stay in the run folder and are not trained again.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from vqvae.data import AudioDataset, AudioFolderConfig
from vqvae.data.base import Batch, Splits
from vqvae.evaluation.probes.conversion import Conversion, score_conversions
from vqvae.evaluation.probes.speakers import SpeakerClassifier, SpeakerClassifierConfig
from vqvae.experiments.conversion import named_in, picture, train_probe
from vqvae.media.images import write_png
from vqvae.media.sounds import to_int16
from vqvae.models import VQVAEConfig
from vqvae.pipeline import Pipeline, load
from vqvae.recipes import speech
from vqvae.reports.results import in_words, this_command, write_results
from vqvae.runs.folder import stored_config
from vqvae.runs.scores import evaluate
from vqvae.runs.stages import prior_config, train_prior, train_tokenizer
from vqvae.training import RunOptions, TrainConfig

SPEAKERS, DIGITS = 6, 10
PROBE_STEPS = 600


def main() -> None:
    """Print the scores as one line of JSON; with ``--out`` write the table and spectrograms too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="the folder with a sub-folder for each speaker")
    parser.add_argument("--run", type=Path, default=Path("runs/fsdd"))
    parser.add_argument("--steps", type=int, default=1500, help="training steps of the tokenizer")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="folder for speech-fsdd.md, .json and .png, such as docs/results")
    arguments = parser.parse_args()

    began, options = time.perf_counter(), RunOptions(threads=arguments.threads)
    train_tokenizer(tokenizer_config(arguments.data, arguments.steps), options, arguments.run, recipe=speech.DEMO.name, scored=False)
    train_prior(dataclasses.replace(prior_config(arguments.run), steps=arguments.steps // 2), options, arguments.run, scored=False)
    splits = stored_config(arguments.run).data.build()
    metrics = evaluate(arguments.run, splits.held_out, options)
    pipeline, folder = load(arguments.run), arguments.run / "probes"
    who = train_probe(SpeakerClassifierConfig(speakers=SPEAKERS), splits, options, folder, "speaker", steps=PROBE_STEPS)
    digits = Splits(*map(by_digit, splits))
    what = train_probe(SpeakerClassifierConfig(speakers=DIGITS), digits, options, folder, "digit", steps=PROBE_STEPS)
    scores, example = convert(pipeline, splits.held_out, digits.held_out, who, what)
    kept = ("perplexity", "codes_used", "bits_per_code", "bits_per_code_unigram", "log_mel_distance", "f0_cents")
    values = {**scores, **{name: metrics[name] for name in kept}}
    if arguments.out is not None:
        write_png(arguments.out / "speech-fsdd.png", picture(example, splits.held_out.rate))
    record = write_results(
        arguments.out,
        "speech-fsdd",
        title="Spoken digits in other voices",
        command=this_command(),
        columns=("measure, on held-out clips", "value"),
        rows=[(name, in_words(value)) for name, value in values.items()],
        values=values,
        seconds=time.perf_counter() - began,
        steps=arguments.steps + arguments.steps // 2,
        notes=NOTES,
    )
    print(json.dumps(record))


def tokenizer_config(path: str, steps: int) -> TrainConfig:
    """The demo's tokenizer, for clips of half a second by six people."""
    demo = speech.demo_tokenizer(None)
    assert isinstance(demo.model, VQVAEConfig)
    model = dataclasses.replace(demo.model, decoder=dataclasses.replace(demo.model.decoder, speakers=SPEAKERS))
    data = AudioFolderConfig(path=path, chunk=8_192, hop=1_024)
    return dataclasses.replace(demo, model=model, data=data, steps=steps, batch_size=8, evaluate_every=0)


def by_digit(audio: AudioDataset) -> AudioDataset:
    """The same clips with the digit as their label: the first character of the file name."""
    clips = [to_int16(audio.clip(i)) for i in range(len(audio.recordings))]
    recordings = [one._replace(speaker=int(Path(one.name).name[0])) for one in audio.recordings]
    starts = np.cumsum([0, *map(len, clips)])[:-1]
    names, chunk = tuple(map(str, range(DIGITS))), audio.batch(np.arange(1)).x.shape[2]
    return AudioDataset(
        np.concatenate(clips), starts, recordings, name=f"{audio.name}-digits", rate=audio.rate, chunk=chunk, hop=chunk, label_names=names
    )


@torch.inference_mode()
def convert(
    pipeline: Pipeline, held_out: AudioDataset, digits: AudioDataset, who: SpeakerClassifier, what: SpeakerClassifier
) -> tuple[dict[str, float], Conversion]:
    """Scores of all conversions of all held-out clips, and one conversion."""
    conversions: list[Conversion] = []
    named: dict[str, list[bool]] = {"reconstructed": [], "converted": []}
    voice_kept = []
    by_voice = {(one.speaker, digits.recordings[i].speaker): i for i, one in reversed(list(enumerate(held_out.recordings)))}
    for index, recording in enumerate(held_out.recordings):
        wave, digit = torch.from_numpy(held_out.clip(index)), digits.recordings[index].speaker
        made = pipeline.decode(pipeline.encode(wave[None, None]).expand(SPEAKERS, -1, -1), (len(wave),), torch.arange(SPEAKERS))
        heard = what.predict(Batch(made)) == digit
        for voice, (said, right) in enumerate(zip(made[:, 0], heard.tolist(), strict=True)):
            if voice == recording.speaker:
                named["reconstructed"].append(right)
                voice_kept.append(int(who.predict(Batch(said[None, None]))) == voice)
                continue
            named["converted"].append(right)
            # The target speaker's own version of the digit: one of the speaker's held-out clips, if there is one.
            theirs = by_voice.get((voice, digit))
            conversions.append(Conversion(index, wave, said, voice, None if theirs is None else torch.from_numpy(held_out.clip(theirs))))
    scores = score_conversions(conversions, who, held_out.rate)
    scores |= {"speaker_real": named_in(who, held_out), "speaker_reconstructed": float(np.mean(voice_kept))}
    scores |= {"digits_real": named_in(what, digits)} | {f"digits_{name}": float(np.mean(of)) for name, of in named.items()}
    return scores, next(one for one in conversions if one.target is not None)


NOTES = """
![a clip, its conversion, and the same digit in the target voice](speech-fsdd.png)

`target_speaker_named` is the share of conversions for which the classifier names the target speaker. `closer_to_target` is the share of
conversions that are closer than their source to a clip of the target voice with the same digit, by mel-cepstral distance after warping.
`speaker_real` and `speaker_reconstructed` are the shares of real held-out clips and of their reconstructions with the right speaker.
`digits_…` are the shares with the right digit. Both classifiers were trained on real clips only. Clips are resampled from 8 to 16 kHz.
"""

if __name__ == "__main__":
    main()
