"""A summary of the speech experiments: E6, E7 (both decoders) and E9 with eSpeak's voices, and E8 and E9 with LibriSpeech.

    python benchmarks/speech.py [--out docs/results]

Run ``vqvae reproduce e6``, ``e7``, ``e8`` and ``e9`` first, with the same --out, and ``e9 --data FOLDER`` with the folder ``librispeech``
inside it. This script reads their records there. It measures nothing itself.
"""

import argparse
import json
import time
from pathlib import Path

from vqvae.reports.results import in_words, markdown_table, this_command, write_results

BARS = {
    "phoneme_accuracy": "≥ 0.493",
    "target_speaker_named": "≥ 0.9",
    "closer_to_target": "≥ 0.9",
    "phones_reconstructed": "≥ 0.6 of phones_real",
    "phones_converted": "≥ phones_reconstructed − 0.15",
    "codes_used": "≥ 0.8",
    "bits_gained": "≥ 0.04",
    "bits_lost_when_shuffled": "≥ 0.3",
    "bits_per_code": "≤ 0.75 of bits_per_code_unigram",
}
PHONEMES = ("phoneme_accuracy", "phoneme_majority", "phoneme_accuracy_bigram", "phoneme_accuracy_trigram", "phoneme_accuracy_waveform")
CODES = ("codes_used", "bits_gained", "bits_lost_when_shuffled", "bits_per_code", "bits_per_code_unigram")
PEOPLE = (
    "codes_used",
    "perplexity",
    "bits_per_sample_learned",
    "bits_per_sample_reconstruction",
    "bits_lost_when_shuffled",
    "bits_per_code",
    "bits_per_code_unigram",
    "bits_per_second_learned",
    "log_mel_distance",
    "mel_cepstral_distance",
    "f0_cents",
    "stoi",
)
CONVERSIONS = ("target_speaker_named", "closer_to_target", "phones_real", "phones_reconstructed", "phones_converted")


def main() -> None:
    """Print the table, then one line of JSON; write both beside the records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the records, and for the results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    records = {name: json.loads((arguments.out / f"{name}.json").read_text(encoding="utf-8")) for name in ("e6", "e7", "e9")}
    decoders = {
        name: {key: records[of]["decoders"][name].get(key) for of, keys in (("e6", CODES), ("e7", CONVERSIONS)) for key in keys}
        for name in ("WaveNet", "whole wave")
    }
    phonemes = {key: records["e9"][key] for key in PHONEMES}
    columns = ["measure", "bar", "WaveNet", "whole wave", "25 codes a second"]
    rows = [
        [key, BARS.get(key, ""), *(in_words(of.get(key)) for of in decoders.values()), in_words(phonemes.get(key))]
        for key in (*CODES, *CONVERSIONS, *PHONEMES)
    ]
    print(markdown_table(columns, rows))
    sources = {name: source(record) for name, record in records.items()}
    record = write_results(
        arguments.out,
        "speech",
        title="Speech of eSpeak's voices",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={**phonemes, **leading(decoders["whole wave"], decoders["WaveNet"]), "records": sources},
        seconds=time.perf_counter() - began,
        steps=sum(of["steps"] for of in records.values()),
        notes=NOTES,
    )
    print(json.dumps(record))
    print(json.dumps(librispeech(arguments.out, began)))


def librispeech(out: Path, began: float) -> dict:
    """The measures of E8 and E9, by the same names. Phone scores come from E9."""
    names = ("e8.json", "e8-wavenet.json", "librispeech/e9.json")
    heard, wavenet, told = records = [json.loads((out / name).read_text(encoding="utf-8")) for name in names]
    of_decoders = [{key: of.get(key) for key in PEOPLE} for of in (heard, wavenet)]
    values = {**leading(*of_decoders), **{key: told[key] for key in PHONEMES[:-1]}}
    keys = (*PEOPLE, *PHONEMES[:-1])
    columns = [[in_words(of.get(key)) for key in keys] for of in records]
    return write_results(
        out,
        "speech-librispeech",
        title="Speech of people, with unseen speakers",
        command=this_command(),
        columns=("measure", "125 codes a second, whole wave", "the same, WaveNet", "25 codes a second"),
        rows=list(zip(keys, *columns, strict=True)),
        values={**values, "records": {name: source(record) for name, record in zip(("e8", "e8-wavenet", "e9"), records, strict=True)}},
        seconds=time.perf_counter() - began,
        steps=sum(record["steps"] for record in records),
        notes=NOTES_PEOPLE,
    )


def leading(whole_wave: dict, wavenet: dict) -> dict:
    """The measures of the decoder that sounds better, or of the WaveNet if only it has them; and all measures of both."""
    found = {key: value for key, value in whole_wave.items() if value is not None}
    return {**wavenet, **found, "whole_wave": whole_wave, "WaveNet": wavenet}


def source(record: dict) -> dict:
    """The sources of the numbers."""
    return {key: record[key] for key in ("command", "commit", "date", "steps")}


NOTES_PEOPLE = """
The numbers are from [E8](e8.md), [E8 with a WaveNet](e8-wavenet.md) and [E9](librispeech/e9.md). These pages have more numbers. Phones come
from machine alignments. The maps are fitted on half of the held-out speakers and scored on the others. `phoneme_majority` is the share of
the most frequent phone.
"""
NOTES = """
The numbers are from [E6](e6.md), [E7](e7.md) and [E9](e9.md). These pages explain each measure, and name commands and commits. A dash means
that a model does not have a measure: a decoder that makes the whole wave at once has no density, so no bits per sample. This decoder sounds
better. In the JSON, a measure's plain name has the value of this decoder, or of the WaveNet if only it has one; the values of both follow.
"""

if __name__ == "__main__":
    main()
