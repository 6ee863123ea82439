"""What the experiments with speech have found: of eSpeak's voices E6 and E7 by both decoders and E9, and E8 and E9 of LibriSpeech.

    python benchmarks/speech.py [--out docs/results]

Run ``vqvae reproduce e6``, ``e7``, ``e8`` and ``e9`` first, with the same --out, and ``e9 --data FOLDER`` with the folder ``librispeech``
inside it: this reads their records there, and measures nothing itself.
"""

import argparse
import json
import time
from pathlib import Path

from vqvae.evaluation.results import markdown_table, this_command, write_results
from vqvae.recipes.base import in_words

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
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the records, and for what is written")
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
        title="Speech, by eSpeak's voices",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={**phonemes, **decoders["WaveNet"], "whole_wave": decoders["whole wave"], "records": sources},
        seconds=time.perf_counter() - began,
        steps=sum(of["steps"] for of in records.values()),
        notes=NOTES,
    )
    print(json.dumps(record))
    print(json.dumps(librispeech(arguments.out, began)))


def librispeech(out: Path, began: float) -> dict:
    """What E8 and E9 have found, by the same names; phones are those of E9."""
    heard, told = (json.loads((out / name).read_text(encoding="utf-8")) for name in ("e8.json", "librispeech/e9.json"))
    values = {**{key: heard.get(key) for key in PEOPLE}, **{key: told[key] for key in PHONEMES[:-1]}}
    columns = [[in_words(of.get(key)) for key in (*PEOPLE, *PHONEMES[:-1])] for of in (heard, told)]
    return write_results(
        out,
        "speech-librispeech",
        title="Speech of people, by speakers that nothing was trained on",
        command=this_command(),
        columns=("measure", "125 codes a second, WaveNet", "25 codes a second"),
        rows=list(zip(values, *columns, strict=True)),
        values={**values, "records": {"e8": source(heard), "e9": source(told)}},
        seconds=time.perf_counter() - began,
        steps=heard["steps"] + told["steps"],
        notes=NOTES_PEOPLE,
    )


def source(record: dict) -> dict:
    """Where numbers come from."""
    return {key: record[key] for key in ("command", "commit", "date", "steps")}


NOTES_PEOPLE = """
Read off [E8](e8.md) and [E9](librispeech/e9.md), which have more. Phones are those of machine alignments; the maps are fitted on half of
the speakers that were held out and scored on the others. `phoneme_majority` is the share of the most frequent phone.
"""
NOTES = """
Read off [E6](e6.md), [E7](e7.md) and [E9](e9.md), which say what each measure is, and by which commands and commits they were found. A dash
stands where a model has no such measure: a decoder that makes the whole wave at once has no density, and so no bits a sample.
"""

if __name__ == "__main__":
    main()
