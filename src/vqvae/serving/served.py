"""A run that is served: its model, its thread, and what programs are told about it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from vqvae import pipeline
from vqvae.codes import Codes, space_of
from vqvae.disk import safe_names
from vqvae.errors import ConfigError, DataError, VqvaeError
from vqvae.evaluation.kinds import ARRAYS, PICTURES, SOUND, VIDEO, kind_of
from vqvae.layers.autoregressive import Choice
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import modes_of
from vqvae.pipeline.parts import names_of_actions
from vqvae.reports.measures import MEASURES, in_words, measure, words_of
from vqvae.reports.page import numbers_of
from vqvae.runs.folder import REPORT, read_metrics
from vqvae.serving.material import Material
from vqvae.serving.phones import CodePhones, has_phones
from vqvae.serving.settings import ServeOptions
from vqvae.serving.worker import Worker
from vqvae.serving.worlds import Worlds, begun, unplayable
from vqvae.words import duration

_log = logging.getLogger(__name__)
KINDS = {PICTURES.name: "images", SOUND.name: "speech", VIDEO.name: "video", ARRAYS.name: "arrays"}
"""What programs call the kinds of data."""


class Served:
    """A trained run in a server."""

    def __init__(self, name: str, run: Path, model: Pipeline, material: Material, worker: Worker, options: ServeOptions) -> None:
        """Join a model with its data and its thread."""
        self.name, self.run, self.model, self.worker, self.options = name, run, model, worker, options
        self.kind = kind_of(model.signal)
        self.report = run / REPORT if (run / REPORT).is_file() else None
        self.material, self.worlds = material, Worlds(options)
        self.is_warm = False
        """Whether the first request is as fast as later ones."""
        self._codebook: dict[str, Any] | None = None
        self._phones: CodePhones | None = None
        self._tried = False
        self._lock = threading.Lock()
        try:
            self.scores = read_metrics(run)
        except VqvaeError:
            self.scores = {}

    def warm(self) -> None:
        """Work once in every way, in the thread of the model: kernels compile at their first call, which takes seconds."""
        self.worker.begin("warm", lambda: self._try_all(self.model))

    def _try_all(self, model: Pipeline) -> None:
        began = time.monotonic()
        try:
            if model.size is not None:
                blank = torch.zeros(1, model.signal.channels, *model.size, dtype=model.signal.dtype)
                model.reconstruct(blank, model.speakers[0] if model.speakers else None)
                if model.integers:
                    label = 0 if model.speakers else None
                    model.decompress(model.compress(blank, label=label))
            if self.can_name_phones:
                self.phones()
            if self.can_sample:
                model.sample(1)
            if self.unplayable is None:
                names = self.action_names
                begun(model, self.material.start(0), names, 0, Choice()).step(names[0] if names else None)
        except VqvaeError as error:
            _log.warning("The model %s could not be tried before the first request: %s", self.name, error)
        except Exception:
            _log.exception("The model %s could not be tried before the first request.", self.name)
        self.is_warm = True
        _log.info("The model %s is ready after %s.", self.name, duration(time.monotonic() - began))

    def close(self) -> None:
        """Stop the thread of the model, and close all worlds."""
        self.worlds.clear()
        self.worker.close()

    @property
    def can_sample(self) -> bool:
        """Whether the prior draws examples."""
        return bool(self.model.priors) and self.model.size is not None and self.kind is not VIDEO

    @property
    def has_patches(self) -> bool:
        """Whether codes stand for parts of pictures."""
        return self.kind is PICTURES and (self.model.signal.levels or 0) <= 256

    def codebook(self) -> dict[str, Any]:
        """Patches of training data for each code, made at the first call.

        Raises:
            VqvaeError: the data or its codes are not here.
        """
        with self._lock:
            if self._codebook is None:
                self._codebook = self.material.codebook(self.model)
            return self._codebook

    @property
    def can_name_phones(self) -> bool:
        """Whether phones are predicted from codes."""
        return has_phones(self.model, self.material.splits)

    def phones(self) -> CodePhones | None:
        """What predicts phones, made at the first call in the thread of the model. None if the run has no codes with phones."""
        if self._phones is None and self.can_name_phones and not self._tried:
            self._tried = True
            assert self.material.splits is not None
            try:
                self._phones = CodePhones.fit(self.run, self.model, self.material.splits)
            except VqvaeError as error:
                _log.warning("The model %s predicts no phones: %s", self.name, error)
        return self._phones

    @property
    def can_imagine(self) -> bool:
        """Whether the prior continues clips."""
        return self.kind is VIDEO and bool(self.model.priors) and len(self.model.layout) == 1

    @property
    def unplayable(self) -> str | None:
        """Why nobody can play in a world of this model, as a sentence. None if they can."""
        if not self.can_imagine:
            return "It has no prior over frames. Train one on clips: vqvae train worlds-video"
        if (why := unplayable(self.model)) is not None:
            return why
        return None if self.material.starts else f"There are no real starts. {self.material.missing or 'Its held-out clips are too short.'}"

    @property
    def has_engine(self) -> bool:
        """Whether worlds show the engine's frames too. Only an action tells an engine what to do."""
        return self.unplayable is None and bool(self.action_names) and self.material.has_engine

    @property
    def most_positions(self) -> int:
        """The largest number of positions of data of one example."""
        rate = self.model.signal.sample_rate
        return int(self.options.most_seconds * rate) if self.kind is SOUND and rate else self.options.most_pixels

    def size_of(self, codes: Codes, size: Sequence[int] | None) -> tuple[int, ...] | None:
        """The size that data is decoded to.

        Raises:
            DataError: the codes do not cover it.
        """
        if size is None:
            return None
        expected = [space_of(tuple(size), level.stride, level.lead) for level in self.model.layout]
        spaces = [tuple(level.shape[2:]) for level in codes]
        if len(size) != len(self.model.signal.axes) or spaces != expected:
            raise DataError(f"size is {list(size)}; codes of the space {[list(space) for space in spaces]} do not fit. Omit the size.")
        return tuple(size)

    @property
    def action_names(self) -> tuple[str, ...]:
        """The actions that the prior takes."""
        takes = getattr(self.model.prior, "actions", 0)
        return names_of_actions(takes, self.model.card.action_names) if takes else ()

    def about(self) -> dict[str, Any]:
        """What ``/v1/models`` says."""
        model, signal, options = self.model, self.model.signal, self.options
        parts = (model.tokenizer, *model.priors)
        return {
            "name": self.name,
            "kind": KINDS[self.kind.name],
            "signal": {
                "axes": list(signal.axes),
                "channels": signal.channels,
                "levels": signal.levels,
                "low": signal.low,
                "high": signal.high,
                "rate": signal.sample_rate,
            },
            "size": None if model.size is None else list(model.size),
            "layout": self._layout(),
            "parameters": sum(parameter.numel() for part in parts for parameter in part.parameters()),
            "classes": list(model.label_names) if model.is_conditional else None,
            "voices": list(model.speakers) or None,
            "actions": list(self.action_names) or None,
            "can": self._can(),
            "modes": list(modes_of(model)),
            "unplayable": self.unplayable if self.kind is VIDEO else None,
            "starts": self.material.starts if self.can_imagine else None,
            "frame_rate": signal.sample_rate if self.kind is VIDEO else None,
            "card": self.scores,
            "scores": self._in_words(),
            "recipe": model.card.recipe,
            "report": None if self.report is None else f"/v1/models/{self.name}/report",
            "limits": {
                "bytes": options.most_bytes,
                "pixels": options.most_pixels,
                "seconds": options.most_seconds,
                "samples": options.most_samples,
                "frames": options.most_frames,
            },
        }

    def _in_words(self) -> list[dict[str, str]]:
        """The scores that reports explain, as reports show them."""
        words, numbers, found = words_of(self.kind.name, self.model.signal), numbers_of(self.scores), []
        for name in (name for name in MEASURES if name in numbers):
            shown, (value, unit) = measure(name, words), in_words(name, numbers[name])
            found.append({"name": name, "title": shown.title, "value": value, "unit": unit, "meaning": shown.meaning})
        return found

    def _layout(self) -> list[dict[str, Any]]:
        size = self.model.size
        spaces = [None if size is None else space_of(size, level.stride, level.lead) for level in self.model.layout]
        return [
            {
                "num_codebooks": level.num_codebooks,
                "codebook_size": level.codebook_size,
                "stride": list(level.stride),
                "lead": list(level.lead),
                "space": None if space is None else list(space),
            }
            for level, space in zip(self.model.layout, spaces, strict=True)
        ]

    def _can(self) -> dict[str, bool]:
        model = self.model
        return {
            "encode": True,
            "sample": self.can_sample,
            "complete": self.can_sample and self.kind is PICTURES,
            "scores": True,
            "compress": True,
            "convert": bool(model.speakers),
            "imagine": self.can_imagine,
            "play": self.unplayable is None,
            "engine": self.has_engine,
            "phones": self.can_name_phones,
        }


def load_all(
    runs: Sequence[Path],
    device: torch.device,
    options: ServeOptions,
    observe: Callable[[str, str, int], None],
    threads: int | None = None,
) -> dict[str, Served]:
    """Load runs, each under the name of its folder. Together they compute with ``threads`` threads.

    Raises:
        CheckpointError: a folder holds no run.
        ConfigError: no run was given.
    """
    if not runs:
        raise ConfigError("No run was given: vqvae serve RUN...")
    models = [pipeline.load(run, device) for run in runs]
    names = safe_names(run.resolve().name for run in runs)
    share = None if threads is None else max(threads // len(runs), 1)
    return {
        name: Served(name, run, model, Material.of(run), Worker(name, options, observe, share), options)
        for name, run, model in zip(names, runs, models, strict=True)
    }
