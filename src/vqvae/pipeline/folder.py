"""The parts of a run folder, and the pipeline that they make.

RUN/
  tokenizer/    config.json, weights.safetensors
  prior/        the same, for a prior; prior-1/, ... for further levels of codes
  priors/NAME/  the same, for a prior with a name; priors/NAME.1/, ... for further levels
  unigram/      the same, for the frequencies of the codes
  coder/N/      the same, for the prior of the entropy coder of a level of codes
  checkpoints/  used for a part whose training has stopped
"""

import dataclasses
import hashlib
import logging
import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from vqvae import storage
from vqvae.codec.coders import CODER, PARTS, coder_folder, read_integers
from vqvae.codec.integer import IntegerPrior
from vqvae.config import Parts
from vqvae.data.clips import CLIPS
from vqvae.data.shard_format import MANIFEST, read_manifest
from vqvae.devices import pick_device
from vqvae.disk import exists, explained, user_path
from vqvae.errors import CheckpointError, ConfigError, VqvaeError
from vqvae.models import Tokenizer
from vqvae.pipeline.checkpoints import CHECKPOINTS, TOKENIZER, chosen_checkpoint, part_of
from vqvae.pipeline.model import Pipeline
from vqvae.priors import Prior, SamplingPrior, UnigramPrior
from vqvae.signals import Signal
from vqvae.storage import RunCard, hub

_log = logging.getLogger(__name__)
P = TypeVar("P", bound=Prior)
T = TypeVar("T")
PRIOR, PRIORS, UNIGRAM, CODES = "prior", "priors", "unigram", "codes"
TOKENS = "tokens-"
"""How the folders in ``codes`` begin that hold codes of tokenized data."""
LOCK = ".lock"
"""The file that marks a folder as a run's from the first step on."""
TRAVELS = tuple(
    f"{folder}/{file}"
    for folder in (TOKENIZER, UNIGRAM, PRIOR, f"{PRIOR}-[0-9]", f"{PRIORS}/*", f"{CODER}/[0-9]")
    for file in (storage.CONFIG, storage.WEIGHTS)
)
"""The files of a run that the Hub gets and gives: parts as JSON and safetensors. Patterns as in ``fnmatch``."""
SCORES = "metrics.json"
"""The file with the scores of a run."""
_PRIOR_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def load(
    run: Path | str,
    device: torch.device | str = "cpu",
    parts: Parts = (),
    *,
    prior: str | None = None,
    checkpoint: str | int | None = None,
) -> Pipeline:
    """Load a run: its tokenizer and its prior, if it has one. If the training of a part has stopped, its last checkpoint is loaded.

    A prior that is damaged or does not fit the tokenizer is skipped with a warning, unless ``prior`` names it.

    Args:
        run: the run folder, or a model on the Hugging Face Hub: "hf:OWNER/NAME" or "hf:OWNER/NAME@REVISION".
        device: where the parts go. "auto": CUDA if available, otherwise the CPU.
        parts: the caller's own configuration classes that the run contains.
        prior: the name of a prior (``vqvae train-prior --name``). Default: the prior without a name or, if there is none, the only
            prior.
        checkpoint: "best", which has the lowest loss on held-out data, or a step: load this checkpoint of the tokenizer, without priors,
            because they belong to the codes of the finished one.

    Raises:
        CheckpointError: there is no tokenizer, a part is damaged, or there is no such prior or checkpoint.
        ConfigError: this machine has no such device, or a prior and a checkpoint are both chosen.
        HubError: the model on the Hub does not exist or cannot be reached.
    """
    run, device = local_run(run), pick_device(device)
    if checkpoint is not None and prior is not None:
        raise ConfigError("A checkpoint of the tokenizer has no priors. Choose a prior or a checkpoint.")
    place = _tokenizer(run) if checkpoint is None else chosen_checkpoint(run, checkpoint)
    card, tokenizer = storage.read(place, parts).card, storage.load(place, parts)
    if not isinstance(tokenizer, Tokenizer):
        raise CheckpointError(f"{place} holds a {type(tokenizer).__name__}, which is not a tokenizer.")
    signal = _signal(card, tokenizer)
    if checkpoint is not None:
        return Pipeline(tokenizer, card=card, signal=signal).to(device)
    _say_step(place, run / TOKENIZER)
    unigram = _usable(lambda: _fitting(run / UNIGRAM, UnigramPrior, tokenizer, 0, parts)) if exists(run / UNIGRAM) else None
    name, names = prior_name(run) if prior is None else prior, card.label_names
    found = None
    if prior is not None:
        if part_of(run, prior_folder(run, 0, prior)) is None:
            raise CheckpointError(f"{run} has no prior {prior!r}; it has {_names(run)}. Train it: vqvae train-prior {run} --name NAME")
        found = _priors(run, prior, tokenizer, parts)
    elif name is not None:
        found = _usable(lambda: _priors(run, name, tokenizer, parts))
    if found and not tokenizer.speakers:
        names = found.label_names
    priors = found.priors if found else None
    integers = _usable(lambda: _integers(run, tokenizer)) or ()
    return Pipeline(tokenizer, priors, unigram=unigram, integers=integers, card=card, signal=signal, label_names=names).to(device)


def from_pretrained(name: Path | str, revision: str | None = None, device: torch.device | str = "cpu") -> Pipeline:
    """``load`` with the names of the Hugging Face libraries.

    Args:
        name: OWNER/NAME on the Hub, with or without "hf:", or a run folder. A folder that exists comes first.
        revision: a branch, a tag or a commit on the Hub. Default: the default branch.
        device: where the parts go.

    Raises:
        CheckpointError, ConfigError, HubError: as in ``load``.
    """
    if not hub.is_address(name) and (Path(name).is_dir() or len(Path(name).parts) != 2):
        if revision is not None:
            raise ConfigError(f"The revision {revision!r} was given with the folder {name}. Only models on the Hub have revisions.")
        return load(name, device)
    address = hub.read_address(name)
    return load(str(address if revision is None else address._replace(revision=revision)), device)


def local_run(run: Path | str) -> Path:
    """The folder of a run: that of a path, or the local copy of a model on the Hub.

    Raises:
        CheckpointError: it is not a path, or there is no such folder.
        ConfigError: it starts with "hf:" and is not the name of a model.
        HubError: the model does not exist or cannot be reached.
    """
    if hub.is_address(run):
        return hub.download(hub.read_address(run), (*TRAVELS, SCORES), f"{TOKENIZER}/{storage.CONFIG}")
    place = user_path(run, CheckpointError)
    check_place(place)
    return place


def check_place(run: Path) -> None:
    """Raise CheckpointError unless a path is a folder that may be a run. The message says what the user may have meant."""
    if not run.is_dir() or storage.is_part(run):
        raise CheckpointError(_not_a_run(run))


def prior_folder(run: Path, level: int, name: str = "") -> Path:
    """The folder of the prior of a level of codes.

    Raises:
        ConfigError: the name is not made of letters, digits, "-" and "_".
    """
    if not name:
        return run / (PRIOR if level == 0 else f"{PRIOR}-{level}")
    if not _PRIOR_NAME.fullmatch(name):
        raise ConfigError(f"The name of a prior is {name!r}; it must be made of letters, digits, '-' and '_'.")
    return run / PRIORS / (name if level == 0 else f"{name}.{level}")


def prior_names(run: Path) -> list[str]:
    """The names of a run's priors, sorted. "" is the prior without a name."""
    folders = [*(run / PRIORS).glob("*"), *(run / CHECKPOINTS / PRIORS).glob("*")]
    named = sorted({path.name for path in folders if _PRIOR_NAME.fullmatch(path.name) and part_of(run, run / PRIORS / path.name)})
    return [*([""] if part_of(run, run / PRIOR) else []), *named]


def _names(run: Path) -> str:
    return ", ".join(repr(name) if name else "one without a name" for name in prior_names(run)) or "no prior"


def prior_name(run: Path) -> str | None:
    """The name of the default prior: the one without a name, or the only one. None if there is no default."""
    names = prior_names(run)
    if len(names) > 1 and names[0]:
        _log.warning("%s has the priors %s; none is used until one is chosen (--prior-name, prior=).", run, ", ".join(names))
        return None
    return names[0] if names else None


def about(run: Path, parts: Parts = ()) -> RunCard:
    """The card of a run's tokenizer: the recipe, the data and its size, the names of labels, the training settings.

    Raises:
        CheckpointError: there is no tokenizer.
    """
    return storage.read(_tokenizer(run), parts).card


def fits_codes(run: Path, prior: RunCard, level: int) -> bool:
    """Whether a prior with this card was trained on codes of this run: those of its own data, or tokens. True if unknown."""
    if not prior.data.startswith("codes-") or not (run / CODES / "train" / MANIFEST).is_file():
        return True
    try:
        manifests = [read_manifest(folder) for folder in (run / CODES / "train", *sorted((run / CODES).glob(f"{TOKENS}*")))]
    except VqvaeError:
        return True
    suffix = f"-{level}" if level else ""
    own = f"tokenizer {tokenizer_digest(run)},"
    ours = [one for one in manifests if not one.header.source.startswith("tokenizer ") or one.header.source.startswith(own)]
    return (prior.data or "").split(CLIPS)[0] in {f"codes-{manifest.digest}{suffix}" for manifest in ours}


def tokenizer_digest(run: Path) -> str:
    """A digest of the weights of a run's finished tokenizer.

    Raises:
        CheckpointError: there is no finished tokenizer.
    """
    path = run / TOKENIZER / storage.WEIGHTS
    advice = f"Train the tokenizer to the end: vqvae train RECIPE --out {run}"
    with explained(CheckpointError, path, "cannot be read", advice), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def save(pipeline: Pipeline, run: Path | str) -> None:
    """Save the parts of a pipeline and its card as a run folder that ``load`` reads. Existing parts are replaced.

    Raises:
        CheckpointError: the folder cannot be written, or is not a path.
        ConfigError: ``pipeline`` is not a Pipeline, a part could not be built again from its configuration, or the folder contains other
            files or a prior of another tokenizer. Nothing is changed then.
    """
    if not isinstance(pipeline, Pipeline):
        raise ConfigError(
            f"A {type(pipeline).__name__} cannot be saved as a run; expected a Pipeline: vqvae.save(Pipeline(model), folder)."
        )
    run = user_path(run, CheckpointError)
    named = [(run / TOKENIZER, pipeline.tokenizer), (run / UNIGRAM, pipeline.unigram)]
    named += [(prior_folder(run, level), prior) for level, prior in enumerate(pipeline.priors)]
    named += [(coder_folder(run, level), prior) for level, prior in enumerate(pipeline.integers)]
    _check_place(run, [folder.relative_to(run).parts[0] for folder, part in named if part is not None])
    for folder, part in named:
        if part is not None:
            # The settings of the training are the tokenizer's.
            own = pipeline.card if folder.name == TOKENIZER else dataclasses.replace(pipeline.card, training=None, metrics={})
            storage.save(part, folder, own)


def _check_place(run: Path, names: Collection[str]) -> None:
    """Raise ConfigError if a run folder contains other files, or priors that are not among these names."""
    there = {path.name for path in run.iterdir()} if run.is_dir() else set()
    # A folder that was locked holds a training of the caller's own, such as one of a tokenizer and a prior together.
    if there and not storage.is_part(run / TOKENIZER) and not (run / LOCK).is_file():
        raise ConfigError(f"{run} contains {sorted(there)[:4]} and is not a run. Choose another folder.")
    others = sorted(name for name in there - {*names} if re.fullmatch(rf"{UNIGRAM}|{PRIORS}|{CODER}|{PRIOR}(-\d+)?", name))
    if others:
        raise ConfigError(f"{run} contains {others}, which this pipeline lacks. They belong to another tokenizer. Choose another folder.")


def _signal(card: RunCard, tokenizer: Tokenizer) -> Signal:
    """The signal of a card, if it fits the tokenizer."""
    if card.signal is None or tokenizer.signal.fits(card.signal):
        return card.signal or tokenizer.signal
    raise CheckpointError(f"The card's signal is {card.signal}; the tokenizer takes {tokenizer.signal}. The run is damaged.")


class _Priors(NamedTuple):
    priors: list[SamplingPrior]
    label_names: tuple[str, ...]


def _tokenizer(run: Path) -> Path:
    """Where the tokenizer can be read."""
    place = part_of(run, run / TOKENIZER)
    if place is None:
        check_place(run)
        reason = "its tokenizer is not trained to the end" if (run / CHECKPOINTS).is_dir() else "there is no trained tokenizer"
        raise CheckpointError(f"{run} cannot be used: {reason} ({run / TOKENIZER} is missing). Train one: vqvae train RECIPE --out {run}")
    return place


def _not_a_run(run: Path) -> str:
    """Why a path is not a run, and what the user may have meant."""
    text = run.as_posix()
    train = f"To train one: vqvae train RECIPE --out {run}"
    if storage.is_part(run):
        return f"{run} is one part of a run. Give the run folder: {run.parent}"
    if run.exists():
        return f"{run} is a file; expected a run folder. {train}"
    if match := re.fullmatch(r"https?:/+[^/]+/([^/]+/[^/]+?)(?:/tree/([^/]+))?/*", text):
        return f"{run} is a web address. For a model on the Hugging Face Hub, write {hub.Address(match[1], match[2])}"
    near = get_close_matches(run.name, _runs_in(run.parent), n=1, cutoff=0.6)
    hint = f" Did you mean {run.parent / near[0]}?" if near else ""
    at_hub = f" For a model on the Hugging Face Hub, write {hub.PREFIX}{text}." if re.fullmatch(r"[\w.-]+/[\w.@-]+", text) else ""
    return f"There is no run {run}.{hint}{at_hub} {train}"


def _runs_in(folder: Path) -> list[str]:
    """The names of the run folders in a folder."""
    try:
        return sorted(path.name for path in folder.iterdir() if (path / TOKENIZER).is_dir() or (path / CHECKPOINTS).is_dir())
    except OSError:
        return []


def _priors(run: Path, name: str, tokenizer: Tokenizer, parts: Parts) -> _Priors | None:
    """The priors of all levels; None if some are missing.

    Raises:
        CheckpointError: one is damaged, or was trained on codes of another tokenizer.
    """
    folders = [prior_folder(run, level, name) for level in range(len(tokenizer.layout))]
    places = [part_of(run, folder) for folder in folders]
    if None in places:
        return None
    found: list[SamplingPrior] = []
    for level, (place, folder) in enumerate(zip(places, folders, strict=True)):
        assert place is not None
        found.append(_fitting(place, SamplingPrior, tokenizer, level, parts))
        if not fits_codes(run, storage.read(place, parts).card, level):
            raise CheckpointError(f"{place} was trained on codes of another tokenizer. Train it again: vqvae train-prior {run}")
        _say_step(place, folder)
    assert places[0] is not None
    return _Priors(found, storage.read(places[0], parts).card.label_names)


def _integers(run: Path, tokenizer: Tokenizer) -> tuple[IntegerPrior, ...]:
    """The priors of the entropy coders.

    Raises:
        CheckpointError: one is damaged, or was trained on codes of another tokenizer.
    """
    found = read_integers(run, tokenizer.layout)
    for level in range(len(found)):
        folder = coder_folder(run, level)
        if not fits_codes(run, storage.read(folder, PARTS).card, level):
            raise CheckpointError(f"{folder} was trained on codes of another tokenizer. Train it again: vqvae train-coder {run}")
    return found


def _fitting(folder: Path, kind: type[P], tokenizer: Tokenizer, level: int, parts: Parts) -> P:
    """A stored prior of a kind, for these codes."""
    part = storage.load(folder, parts)
    if not isinstance(part, kind):
        raise CheckpointError(f"{folder} holds a {type(part).__name__}; a {kind.__name__} is expected there.")
    wanted = tokenizer.layout[level]
    if (part.num_codebooks, part.codebook_size) != (wanted.num_codebooks, wanted.codebook_size):
        raise CheckpointError(
            f"{folder} is a prior of {part.num_codebooks} codebooks of {part.codebook_size} codes; the tokenizer has "
            f"{wanted.num_codebooks} of {wanted.codebook_size}."
        )
    return part


def _usable(read: Callable[[], T]) -> T | None:
    """The result of ``read``. After an error: None, with a warning, because the tokenizer works without it."""
    try:
        return read()
    except VqvaeError as error:
        _log.warning("%s It is not used.", error)
        return None


def _say_step(place: Path, folder: Path) -> None:
    """Warn that a checkpoint is used because the training has stopped."""
    if place != folder:
        _log.warning("%s is not finished; using its checkpoint after step %d.", folder, int(place.name.removeprefix("step-")))
