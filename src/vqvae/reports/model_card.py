"""The model card of a run, a README.md: what the model is, how to load it, its scores, and how they were measured."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vqvae.errors import ConfigError
from vqvae.reports.measures import MEASURES, Words, in_words, measure
from vqvae.signals import AXES, Signal
from vqvae.storage import RunCard
from vqvae.words import counted

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_TAGS = {AXES[1]: "audio", AXES[2]: "image", AXES[3]: "video"}


def model_card(name: str, card: RunCard, scores: Mapping[str, Any], parts: Sequence[str], words: Words, license: str | None = None) -> str:
    """The text of README.md, in Markdown with a YAML header.

    Args:
        name: OWNER/NAME on the Hub.
        card: the card of the tokenizer.
        scores: the contents of metrics.json.
        parts: the parts of the run, each as one line.
        words: what the data is called.
        license: the identifier of a licence, such as "apache-2.0". None: no licence.

    Raises:
        ConfigError: if the licence is not such an identifier.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise ConfigError(f"The licence is {license!r}; expected an identifier in small letters, such as apache-2.0, mit or cc-by-4.0.")
    tags = ["vqvae", "tokenizer", *([_TAGS[card.signal.axes]] if card.signal and card.signal.axes in _TAGS else [])]
    header = ["---", "library_name: vqvae", *([f"license: {license}"] if license else []), "tags:", *(f"- {tag}" for tag in tags), "---"]
    sections = [
        "\n".join(header),
        f"# {name}\n\n{words.about}",
        f"## Load it\n\n```bash\npip install 'vqvae[hub]'\n```\n\n{_usage(name)}",
        "## Contents\n\n" + "\n".join(f"- {part}" for part in parts),
        f"## Data\n\n{_data(card, words)}",
        f"## Scores\n\n{_scores(card, scores, words)}",
        "## Licence\n\n" + (f"{license}" if license else "The publisher gave no licence. Ask before you use the model."),
    ]
    if card.training is not None:
        sections.insert(-1, "## Training settings\n\n```json\n" + json.dumps(dict(card.training), indent=2) + "\n```")
    return "\n\n".join(sections) + "\n"


def _usage(name: str) -> str:
    """Python that loads the model."""
    lines = ["import vqvae", "", f'model = vqvae.load("hf:{name}")', "codes = model.encode(data)", "again = model.decode(codes)"]
    return "```python\n" + "\n".join(lines) + "\n```\n\n`load` reads only JSON and safetensors files. It runs no code from the Hub."


def _data(card: RunCard, words: Words) -> str:
    """What the model takes, and what it was trained on."""
    lines = [f"- Input: {_values(card.signal)}" if card.signal else ""]
    if card.size:
        lines.append(f"- Size of a training example: {' × '.join(map(str, card.size))}")
    for level in card.layout:
        stride = " × ".join(map(str, level.stride))
        lines.append(f"- Codes: each block of {stride} becomes {counted(level.num_codebooks, 'codes')} out of {level.codebook_size:,}")
    lines += [f"- Recipe: {_code(card.recipe)}" if card.recipe else "", f"- Training data: {_code(card.data)}" if card.data else ""]
    lines.append(f"- Held-out data: {_code(card.held_out_data)}" if card.held_out_data else "")
    lines.append(f"- Labels: {', '.join(map(_code, card.label_names))}" if card.label_names else "")
    lines.append(f"- Actions: {', '.join(map(_code, card.action_names))}" if card.action_names else "")
    return "\n".join(line for line in lines if line)


def _scores(card: RunCard, scores: Mapping[str, Any], words: Words) -> str:
    """A table of scores, and a sentence about how they were measured."""
    numbers = {name: value for name, value in scores.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    shown = {name: value for name, value in numbers.items() if _is_score(name)}
    if not shown:
        return "The model has no scores yet. `vqvae evaluate RUN` measures them."
    count, data = numbers.get("examples"), _code(card.held_out_data) if card.held_out_data else "held-out data"
    who = f"{count:,.0f} held-out {words.examples}" if count else f"held-out {words.examples}"
    library = f" of vqvae {card.library}" if card.library else ""
    lines = [
        f"Measured by `vqvae evaluate`{library} on {who} of {data}, which the model was not trained on.",
        "",
        "| score | value | meaning |",
        "| --- | --- | --- |",
    ]
    for score, value in shown.items():
        number, unit = in_words(score, value)
        found = measure(score, words)
        lines.append(f"| {found.title} | {number} {unit}".rstrip() + f" | {found.meaning or '-'} |")
    return "\n".join(lines)


def _is_score(name: str) -> bool:
    """Whether a number of metrics.json has a known meaning and is not a time or a count."""
    known = name.partition("_level_")[0] in MEASURES or name.startswith("frechet_")
    return known and not name.startswith("seconds") and name != "examples"


def _values(signal: Signal) -> str:
    """Type, range, shape and rate of the data."""
    rate = f" at {signal.sample_rate:g} Hz" if signal.sample_rate else ""
    return f"{signal.values()}, {signal.shape()}{rate}"


def _code(text: str) -> str:
    """Text of strangers as code, on one line."""
    return "`" + re.sub(r"[`|\s]+", " ", text).strip() + "`"
