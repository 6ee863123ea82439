"""A tokenizer with its prior and its names: what ``vqvae.load`` returns and all that users of a finished model need.

RUN/
  tokenizer/    config.json, weights.safetensors
  prior/        the same, where a prior was trained
  unigram/      the same, for the frequencies of the codes
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from vqvae import seeding, storage
from vqvae.data.base import Batch, Condition
from vqvae.errors import CheckpointError, ConfigError, DataError
from vqvae.evaluation.likelihood import bits_per_dim
from vqvae.generation.sampling import sample
from vqvae.models import Tokenizer
from vqvae.priors import AutoregressivePrior, Prior, UnigramPrior

P = TypeVar("P", bound=Prior)
TOKENIZER, PRIOR, UNIGRAM = "tokenizer", "prior", "unigram"
SAMPLED = 64
"""Samples that are drawn at once."""


class Pipeline:
    """A trained tokenizer and, where there are, its priors. Everything runs in batches and without gradients.

    Images are uint8 (n, channels, height, width), codes int64 (n, codebooks, h, w).
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prior: AutoregressivePrior | None = None,
        *,
        unigram: UnigramPrior | None = None,
        label_names: tuple[str, ...] = (),
        size: tuple[int, int] | None = None,
    ) -> None:
        """Join trained parts.

        Args:
            tokenizer: data to codes and back.
            prior: p(codes), for samples and for bits with a learned prior.
            unigram: the frequencies of the codes.
            label_names: names of the classes that the prior is conditioned on, in the order of their numbers.
            size: height and width of the training data, which samples get.

        Raises:
            ConfigError: a prior does not fit the tokenizer.
        """
        level = tokenizer.layout[0]
        for part in (prior, unigram):
            if part is not None and (part.num_codebooks, part.codebook_size) != (level.num_codebooks, level.codebook_size):
                raise ConfigError(
                    f"The tokenizer has {level.num_codebooks} codebooks of {level.codebook_size} codes, the {type(part).__name__} "
                    f"{part.num_codebooks} of {part.codebook_size}. Take a prior that was trained on this tokenizer's codes."
                )
        self.tokenizer = tokenizer.eval()
        self.prior = None if prior is None else prior.eval()
        self.unigram = unigram
        self.label_names, self.size = label_names, size

    @property
    def device(self) -> torch.device:
        """Where the parts are."""
        return next(self.tokenizer.parameters()).device

    @property
    def batch_size(self) -> int:
        """Images that are worked on at once: on a CPU so few that what lies between the layers stays in its cache."""
        return 16 if self.device.type == "cpu" else 256

    @property
    def is_conditional(self) -> bool:
        """Whether the prior takes a class."""
        return self.prior is not None and self.prior.classes > 0

    def to(self, device: torch.device | str) -> "Pipeline":
        """Move all parts to a device."""
        for part in (self.tokenizer, self.prior, self.unigram):
            if part is not None:
                part.to(device)
        return self

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Int64[Tensor, "n codebooks h w"]:
        """Images to codes. Sides that the tokenizer's stride does not divide are padded by repeating the edge.

        Raises:
            DataError: images of another type or shape.
        """
        self._check_images(images)
        parts = [self.tokenizer.encode(Batch(part.to(self.device)))[0].cpu() for part in self._batches(images)]
        return torch.cat(parts)

    @torch.inference_mode()
    def decode(
        self, codes: Int64[Tensor, "n codebooks h w"], size: tuple[int, int] | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        """Codes to images: the most likely one of each. ``size`` cuts off what ``encode`` padded."""
        return torch.cat([self.tokenizer.decode((part.to(self.device),), size=size).cpu() for part in self._batches(codes)])

    def reconstruct(self, images: UInt8[Tensor, "n channels height width"]) -> UInt8[Tensor, "n channels height width"]:
        """Encode and decode, at the same size."""
        return self.decode(self.encode(images), size=(images.shape[2], images.shape[3]))

    @torch.inference_mode()
    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        label: str | int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        size: tuple[int, int] | None = None,
    ) -> UInt8[Tensor, "count channels height width"]:
        """Draw images: codes from the prior [VQVAE §3.3], then the decoder's most likely image.

        Args:
            count: how many.
            seed: the same seed gives the same images; image i does not depend on ``count``.
            label: a class by name or number, for a class-conditional prior; without it each image's class is drawn too.
            temperature: divides the logits of the codes; 0 takes the likeliest code each time.
            top_k: draw only from the k likeliest codes.
            top_p: draw only from the likeliest codes that hold this share of the probability.
            size: height and width; without it, that of the training data.

        Raises:
            ConfigError: there is no prior, the label is unknown, or a number is out of range.
        """
        prior = self._needed_prior()
        size = size or self.size
        if size is None:
            raise ConfigError("This model does not say how large its training data was; give size=(height, width).")
        down, across = self.tokenizer.layout[0].stride
        space = (-(-size[0] // down), -(-size[1] // across))
        condition = Condition(label=self._labels(count, label, seed).to(self.device) if self.is_conditional else self._no_label(label))
        drawn = sample(
            *(self.tokenizer, prior, count, space),
            condition=condition,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            batch_size=SAMPLED,
        )
        return drawn[:, :, : size[0], : size[1]].cpu()

    @torch.inference_mode()
    def bits_per_dim(self, images: Tensor, labels: Int64[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        """−log₂ of the lower bound log p(x|z) + log p(z), a dimension (channels × height × width), for each image.

        p(z) is the learned prior where there is one, else uniform. A class-conditional prior without ``labels`` is taken as
        the mixture of its classes, all equally likely, which costs a pass a class.

        Raises:
            DataError: images of another type or shape, or labels that the prior does not know.
        """
        self._check_images(images)
        parts = []
        for rows in self._batches(torch.arange(len(images))):
            condition = Condition(label=None if labels is None else labels[rows].to(self.device))
            batch = Batch(images[rows].to(self.device), condition)
            parts.append(self.tokenizer.elbo(batch, lambda codes, given=condition: self.log_prior(codes, given)).cpu())
        return bits_per_dim(-torch.cat(parts), math.prod(images.shape[1:]))

    def log_prior(self, codes: Int64[Tensor, "n codebooks h w"], condition: Condition = Condition()) -> Float[Tensor, " n"]:
        """log p(codes | condition) in nats an example: of the learned prior where there is one, else of the uniform one.

        A class-conditional prior without a label is taken as the mixture of its classes.

        Raises:
            DataError: codes or labels that the prior does not know.
        """
        if self.prior is None:
            return codes.new_full((len(codes),), -codes[0].numel() * math.log(self.tokenizer.layout[0].codebook_size), dtype=torch.float32)
        if self.is_conditional and condition.label is None:
            return mixture_log_prob(self.prior, codes)
        return self.prior.log_prob(codes, condition)

    def label_number(self, label: str | int) -> int:
        """The number of a class.

        Raises:
            ConfigError: there is no such class; the message lists them.
        """
        names = self.label_names
        if isinstance(label, str) and label in names:
            return names.index(label)
        if (isinstance(label, int) or label.isdecimal()) and int(label) in range(len(names)):
            return int(label)
        raise ConfigError(f"The label {label!r} is unknown; this model knows {', '.join(names)} (or their numbers, from 0).")

    def _labels(self, count: int, label: str | int | None, seed: int) -> Int64[Tensor, " count"]:
        if label is not None:
            return torch.full((count,), self.label_number(label))
        # One generator an image, so that image i has the same class whatever the count.
        return torch.tensor([_draw(len(self.label_names), seed, i) for i in range(count)], dtype=torch.int64)

    def _no_label(self, label: str | int | None) -> None:
        if label is not None:
            raise ConfigError(f"The label {label!r} was given, but this model's prior is not conditioned on classes.")

    def _needed_prior(self) -> AutoregressivePrior:
        if self.prior is None:
            raise ConfigError("This model has no prior yet, so it cannot sample. Train one: vqvae train-prior RUN")
        return self.prior

    def _batches(self, rows: Tensor) -> Iterator[Tensor]:
        """The rows in batches; one empty batch where there are none."""
        return iter(rows.split(self.batch_size)) if len(rows) else iter([rows])

    def _check_images(self, images: Tensor) -> None:
        channels = self.tokenizer.channels
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != channels:
            raise DataError(
                f"Images are {str(images.dtype).removeprefix('torch.')} of the shape {tuple(images.shape)}; "
                f"this model takes uint8 (n, {channels}, height, width)."
            )


def mixture_log_prob(prior: AutoregressivePrior, codes: Int64[Tensor, "n codebooks h w"]) -> Float[Tensor, " n"]:
    """log Σ_c p(codes | c) / classes: a class-conditional prior where the class is not known, in nats an example."""
    given = [prior.log_prob(codes, Condition(label=codes.new_full((len(codes),), label))) for label in range(prior.classes)]
    return torch.stack(given).logsumexp(0) - math.log(prior.classes)


def load(run: Path | str, device: torch.device | str = "cpu") -> Pipeline:
    """Load a run folder: its tokenizer and, where there are, its priors.

    Raises:
        CheckpointError: there is no finished tokenizer, or a part is damaged.
    """
    run = Path(run)
    extra = about(run)
    tokenizer = storage.load(run / TOKENIZER)
    if not isinstance(tokenizer, Tokenizer):
        raise CheckpointError(f"{run / TOKENIZER} holds a {type(tokenizer).__name__}, which is not a tokenizer.")
    prior, unigram = _part(run / PRIOR, AutoregressivePrior), _part(run / UNIGRAM, UnigramPrior)
    names = storage.read(run / PRIOR).extra.get("label_names", ()) if prior is not None else ()
    height, width = extra.get("size") or (None, None)
    size = None if height is None or width is None else (int(height), int(width))
    return Pipeline(tokenizer, prior, unigram=unigram, label_names=tuple(names), size=size).to(device)


def about(run: Path) -> dict[str, Any]:
    """What is kept with a run's tokenizer: the recipe, the data and its size, the names of labels, the settings of the training.

    Raises:
        CheckpointError: there is no finished tokenizer.
    """
    if not (run / TOKENIZER).is_dir():
        reason = "its tokenizer is not trained to the end" if (run / "checkpoints").is_dir() else "there is no trained tokenizer"
        raise CheckpointError(f"{run} cannot be used: {reason} ({run / TOKENIZER} is missing). Train one: vqvae train RECIPE --out {run}")
    return storage.read(run / TOKENIZER).extra


def save(pipeline: Pipeline, run: Path | str) -> None:
    """Save the parts of a pipeline as a run folder that ``load`` reads. Parts that are there are replaced.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    extra = {"label_names": list(pipeline.label_names), "size": None if pipeline.size is None else list(pipeline.size)}
    for name, part in ((TOKENIZER, pipeline.tokenizer), (PRIOR, pipeline.prior), (UNIGRAM, pipeline.unigram)):
        if part is not None:
            storage.save(part, Path(run) / name, extra)


def _part(folder: Path, kind: type[P]) -> P | None:
    """A stored prior of a kind; None where there is none."""
    if not folder.is_dir():
        return None
    part = storage.load(folder)
    if not isinstance(part, kind):
        raise CheckpointError(f"{folder} holds a {type(part).__name__}; a {kind.__name__} is expected there.")
    return part


def _draw(count: int, seed: int, index: int) -> int:
    return int(torch.randint(count, (), generator=seeding.generator(seed, "label", index)))
