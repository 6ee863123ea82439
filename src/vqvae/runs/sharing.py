"""Upload a run folder to the Hugging Face Hub, and copy a model from the Hub to a run folder."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from vqvae import disk, storage
from vqvae.config import Parts
from vqvae.errors import CheckpointError, ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.pipeline import TOKENIZER, TRAVELS, UNIGRAM, Pipeline, load, local_run, part_of, prior_folder, prior_names, save
from vqvae.reports.measures import words_of
from vqvae.reports.model_card import model_card
from vqvae.runs.folder import METRICS, read_metrics
from vqvae.storage import hub

CARD = "README.md"


def push_to_hub(run: Path | str | Pipeline, name: str, *, private: bool = False, license: str | None = None, parts: Parts = ()) -> str:
    """Upload a run to the Hugging Face Hub: its parts as JSON and safetensors, its scores, and a model card.

    Afterwards, the model on the Hub has exactly the parts of the run: other parts are deleted. Of each absolute path in the training
    settings, only the last name is uploaded.

    Args:
        run: the run folder, or a pipeline.
        name: OWNER/NAME. The model is created if there is none.
        private: whether a new model is visible only to its owner.
        license: the identifier of a licence for the model card, such as "apache-2.0".
        parts: the caller's own configurations in the run.

    Returns:
        The address of the model's page.

    Raises:
        CheckpointError: if the run has no tokenizer, or a part is damaged.
        ConfigError: if the name or the licence is not valid.
        HubError: if there is no token or no network, or access is denied.
    """
    hub.read_address(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        write_shared(run, name, folder, license=license, parts=parts)
        return hub.upload(folder, name, (*TRAVELS, METRICS, CARD), private=private)


def write_shared(run: Path | str | Pipeline, name: str, folder: Path, *, license: str | None = None, parts: Parts = ()) -> None:
    """Write the files that ``push_to_hub`` uploads to a new folder, which ``vqvae.load`` reads.

    Raises:
        CheckpointError, ConfigError: as in ``push_to_hub``.
    """
    if isinstance(run, Pipeline):
        model, scores = run, {}
        save(run, folder)
    else:
        place = local_run(run)
        model, scores = load(place, parts=parts), read_metrics(place)
        _copy_parts(place, folder, len(model.layout))
    for config in folder.rglob(storage.CONFIG):
        _hide_paths(config)
    if scores:
        (folder / METRICS).write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    words = words_of(kind_of(model.signal).name, model.signal)
    text = model_card(hub.read_address(name).name, _card(folder, parts), scores, _described(model), words, license)
    (folder / CARD).write_text(text, encoding="utf-8")


def own_copy(run: Path | str) -> Path:
    """Return a run folder that may be changed. A path is returned as it is; a model on the Hub is copied to ``runs/NAME``.

    Raises:
        CheckpointError: if the copy cannot be written.
        ConfigError: if ``runs/NAME`` exists.
        HubError: if the model does not exist or cannot be reached.
    """
    if not hub.is_address(run):
        return local_run(run)
    address = hub.read_address(run)
    folder = Path("runs") / address.name.partition("/")[2]
    if folder.exists():
        raise ConfigError(f"{address} would be copied to {folder}, which exists. Give {folder} as the run, or rename it.")
    found = local_run(run)
    with disk.atomic_folder(folder, CheckpointError) as partial:
        for path in _travelling(found):
            target = partial / path.relative_to(found)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return folder


def _copy_parts(run: Path, folder: Path, levels: int) -> None:
    """Copy the files of the parts of a run. For a part whose training has stopped, copy its last checkpoint, which ``load`` uses too."""
    wanted = [run / TOKENIZER, run / UNIGRAM]
    wanted += [prior_folder(run, level, name) for name in prior_names(run) for level in range(levels)]
    for part in wanted:
        place = part_of(run, part)
        if place is not None:
            target = folder / part.relative_to(run)
            target.mkdir(parents=True)
            for name in (storage.CONFIG, storage.WEIGHTS):
                shutil.copyfile(place / name, target / name)
    for path in _travelling(run):
        target = folder / path.relative_to(run)
        if not target.exists() and path.name != METRICS:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _travelling(run: Path) -> list[Path]:
    """The files of a run that are uploaded."""
    return sorted(path for pattern in (*TRAVELS, METRICS) for path in run.glob(pattern) if path.is_file())


def _hide_paths(config: Path) -> None:
    """Reduce absolute paths in the training settings of a part to their last name. They would show where the owner's files are."""
    data = storage.read_json(config)
    for card in (data.get("card"), data.get("extra")):
        if isinstance(card, dict) and isinstance(card.get("training"), dict):
            card["training"] = _without_places(card["training"])
    config.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_places(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    is_place = isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute())
    return Path(value).name if is_place else value


def _card(folder: Path, parts: Parts) -> storage.RunCard:
    return storage.read(folder / TOKENIZER, parts).card


def _described(model: Pipeline) -> list[str]:
    """The parts of a pipeline, one line each."""
    named = [("tokenizer", model.tokenizer), *(("prior", prior) for prior in model.priors)]
    named += [("unigram", model.unigram)] if model.unigram is not None else []
    lines = []
    for name, part in named:
        count = sum(parameter.numel() for parameter in part.parameters())
        lines.append(f"{name}: {type(part).__name__}" + (f", {count:,} parameters" if count else ""))
    return lines
