"""A tokenizer with its prior and its names: what ``vqvae.load`` returns and all that users of a finished model need.

RUN/
  tokenizer/    config.json, weights.safetensors
  prior/        the same, where a prior was trained
  unigram/      the same, for the frequencies of the codes
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from vqvae import seeding, storage
from vqvae.bits import bits_per_dim
from vqvae.data.base import Batch, Condition
from vqvae.errors import CheckpointError, ConfigError, DataError
from vqvae.generation.sampling import sample_codes
from vqvae.models import Tokenizer
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.models.streaming import decode_stream, encode_stream
from vqvae.priors import AutoregressivePrior, Prior, UnigramPrior

P = TypeVar("P", bound=Prior)
TOKENIZER, PRIOR, UNIGRAM = "tokenizer", "prior", "unigram"
SAMPLED = 64
"""Samples that are drawn at once."""


class Pipeline:
    """A trained tokenizer and, where there are, its priors. Everything runs in batches and without gradients.

    Images are uint8 (n, channels, height, width) and their codes int64 (n, codebooks, h, w); audio is float32 (n, 1, samples) in
    [-1, 1] and its codes int64 (n, codebooks, frames).
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prior: AutoregressivePrior | None = None,
        *,
        unigram: UnigramPrior | None = None,
        label_names: tuple[str, ...] = (),
        size: tuple[int, ...] | None = None,
        rate: int | None = None,
    ) -> None:
        """Join trained parts.

        Args:
            tokenizer: data to codes and back.
            prior: p(codes), for samples and for bits with a learned prior.
            unigram: the frequencies of the codes.
            label_names: names of the classes that the prior, or of the speakers that the decoder, is conditioned on, in the order of
                their numbers.
            size: height and width of the training data, or its samples, which samples of the model get.
            rate: of audio, samples a second.

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
        self.label_names, self.size, self.rate = label_names, size, rate

    @property
    def device(self) -> torch.device:
        """Where the parts are."""
        return next(self.tokenizer.parameters()).device

    @property
    def batch_size(self) -> int:
        """Examples that are worked on at once: on a CPU so few that what lies between the layers stays in its cache."""
        return 16 if self.device.type == "cpu" else 256

    @property
    def is_conditional(self) -> bool:
        """Whether the prior takes a class."""
        return self.prior is not None and self.prior.classes > 0

    @property
    def speakers(self) -> tuple[str, ...]:
        """Whose voices the decoder has: the first of ``label_names``; none where it takes no speaker."""
        return self.label_names[: self.tokenizer.speakers]

    def to(self, device: torch.device | str) -> "Pipeline":
        """Move all parts to a device."""
        for part in (self.tokenizer, self.prior, self.unigram):
            if part is not None:
                part.to(device)
        return self

    @torch.inference_mode()
    def encode(self, data: Tensor) -> Int64[Tensor, "n codebooks *space"]:
        """Images or audio to codes. Sides that the tokenizer's stride does not divide are padded by repeating the edge.

        Raises:
            DataError: data of another type or shape.
        """
        self._check(data)
        parts = [self.tokenizer.encode(Batch(part.to(self.device)))[0].cpu() for part in self._batches(data)]
        return torch.cat(parts)

    @torch.inference_mode()
    def decode(
        self,
        codes: Int64[Tensor, "n codebooks *space"],
        size: tuple[int, ...] | None = None,
        speaker: str | int | Int64[Tensor, " n"] | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Codes to data: the most likely image of each; of a decoder that draws sample by sample, one draw.

        Args:
            codes: as ``encode`` gives them.
            size: cuts off what ``encode`` padded.
            speaker: whose voice speaks all of it, by name or number, or one number for each, where the decoder has speakers.
            seed: of what is drawn.

        Raises:
            ConfigError: the speaker is missing, not wanted or unknown; the message lists those that are known.
        """
        label, parts = self._speaker_numbers(speaker, len(codes)), []
        for number, rows in enumerate(self._batches(torch.arange(len(codes)))):
            condition = Condition(label=None if label is None else label[rows].to(self.device))
            generator = seeding.generator(seed, "decode", number, device=self.device)
            temperature = 1.0 if self.tokenizer.draws else 0.0
            made = self.tokenizer.decode((codes[rows].to(self.device),), condition, generator, temperature, size)
            parts.append(made.cpu())
        return torch.cat(parts)

    def reconstruct(self, data: Tensor, speaker: str | int | Int64[Tensor, " n"] | None = None) -> Tensor:
        """Encode and decode, at the same size; see ``decode``."""
        return self.decode(self.encode(data), tuple(data.shape[2:]), speaker)

    def convert(self, audio: Float32[Tensor, "n 1 samples"], speaker: str | int) -> Float32[Tensor, "n 1 samples"]:
        """The same words in another voice [VQVAE §4.3]: only the codes are kept, and who speaks is given anew.

        Raises:
            ConfigError: the decoder has no such speaker; the message lists those that it has.
            DataError: audio of another type or shape.
        """
        return self.reconstruct(audio, speaker)

    def reconstruct_stream(
        self, blocks: Iterable[Float32[Tensor, "1 1 block"]], speaker: str | int | None = None
    ) -> Iterator[Float32[Tensor, "1 1 piece"]]:
        """As ``reconstruct``, or ``convert``, of all blocks together, in pieces as soon as they can be made: memory does not grow with the
        recording, but with an encoder that takes means off the whole of it.

        Raises:
            ConfigError: the tokenizer has no codes over time, or the speaker is missing, not wanted or unknown.
            DataError: audio of another type or shape.
        """
        model, came, made = self.tokenizer, 0, 0
        if not isinstance(model, CodeAutoencoder):
            raise ConfigError(f"{type(model).__name__} cannot decode in pieces; VQVAE with an encoder of audio can.")

        def counted() -> Iterator[Tensor]:
            nonlocal came
            for block in blocks:
                self._check(block)
                came += block.shape[2]
                yield block.to(self.device)

        label = self._speaker_numbers(speaker, 1)
        condition = Condition(label=None if label is None else label.to(self.device))
        generator = seeding.generator(0, "decode", 0, device=self.device)
        for piece in decode_stream(model, encode_stream(model, counted()), condition, generator, 1.0 if model.draws else 0.0):
            # The last code may stand for more samples than came.
            yield piece[..., : came - made].cpu()
            made += piece.shape[2]

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
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Draw images or audio: codes from the prior [VQVAE §3.3], then what the decoder makes of them.

        Args:
            count: how many.
            seed: the same seed gives the same images; image i does not depend on ``count``.
            label: a class or a speaker by name or number, where the prior or the decoder takes one; without it each sample's is drawn.
            temperature: divides the logits of the codes; 0 takes the likeliest code each time.
            top_k: draw only from the k likeliest codes.
            top_p: draw only from the likeliest codes that hold this share of the probability.
            size: height and width, or samples of audio; without it, that of the training data.

        Raises:
            ConfigError: there is no prior, the label is unknown, or a number is out of range.
        """
        prior = self._needed_prior()
        size = size or self.size
        if size is None:
            raise ConfigError("This model does not say how large its training data was; give size=(height, width), or (samples,).")
        stride = self.tokenizer.layout[0].stride
        space = tuple(-(-length // step) for length, step in zip(size, stride, strict=True))
        wanted = self.is_conditional or bool(self.speakers)
        labels = self._labels(count, label, seed) if wanted else self._no_label(label)
        codes = sample_codes(
            *(prior, count, space),
            condition=Condition(label=labels.to(self.device) if labels is not None and self.is_conditional else None),
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            batch_size=SAMPLED,
        )
        return self.decode(codes, size, labels if self.speakers else None, seed)

    @torch.inference_mode()
    def bits_per_dim(self, images: Tensor, labels: Int64[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        """−log₂ of the lower bound log p(x|z) + log p(z), a dimension (channels × height × width), for each image.

        p(z) is the learned prior where there is one, else uniform. A class-conditional prior without ``labels`` is taken as
        the mixture of its classes, all equally likely, which costs a pass a class.

        Raises:
            DataError: images of another type or shape, or labels that the prior does not know.
        """
        self._check(images)
        parts = []
        for rows in self._batches(torch.arange(len(images))):
            condition = Condition(label=None if labels is None else labels[rows].to(self.device))
            batch = Batch(images[rows].to(self.device), condition)
            parts.append(self.tokenizer.elbo(batch, lambda codes, given=condition: self.log_prior(codes, given)).cpu())
        return bits_per_dim(-torch.cat(parts), math.prod(images.shape[1:]))

    def log_prior(
        self,
        codes: Int64[Tensor, "n codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "n *space"] | None = None,
    ) -> Float[Tensor, " n"]:
        """log p(codes | condition) in nats an example: of the learned prior where there is one, else of the uniform one; of the codes
        that the mask leaves.

        A class-conditional prior without a label is taken as the mixture of its classes; another one does not see the label, which may be
        for the decoder.

        Raises:
            DataError: codes or labels that the prior does not know.
        """
        if self.prior is None:
            counted = torch.ones_like(codes[:, 0], dtype=torch.bool) if mask is None else mask
            nats = codes.shape[1] * math.log(self.tokenizer.layout[0].codebook_size)
            return counted.flatten(1).sum(1).float() * -nats
        if self.is_conditional and condition.label is None:
            return mixture_log_prob(self.prior, codes, mask)
        return self.prior.log_prob(codes, condition if self.is_conditional else Condition(), mask)

    def label_number(self, label: str | int) -> int:
        """The number of a class.

        Raises:
            ConfigError: there is no such class; the message lists them.
        """
        names = self._names
        if isinstance(label, str) and label in names:
            return names.index(label)
        if (isinstance(label, int) or label.isdecimal()) and int(label) in range(len(names)):
            return int(label)
        raise ConfigError(f"The label {label!r} is unknown; this model knows {', '.join(names)} (or their numbers, from 0).")

    @property
    def _names(self) -> tuple[str, ...]:
        """What a label may be: data may name speakers that the decoder has no voice for."""
        return self.speakers or self.label_names

    def _labels(self, count: int, label: str | int | None, seed: int) -> Int64[Tensor, " count"]:
        if label is not None:
            return torch.full((count,), self.label_number(label))
        # One generator a sample, so that sample i has the same class whatever the count.
        return torch.tensor([_draw(len(self._names), seed, i) for i in range(count)], dtype=torch.int64)

    def _no_label(self, label: str | int | None) -> None:
        if label is not None:
            raise ConfigError(f"The label {label!r} was given, but this model's prior is not conditioned on classes.")

    def _speaker_numbers(self, speaker: str | int | Tensor | None, count: int) -> Int64[Tensor, " n"] | None:
        known = self.speakers
        if speaker is None and not known:
            return None
        if not known:
            raise ConfigError(f"The speaker {speaker!r} was given, but this model's decoder was trained without speakers.")
        if speaker is None:
            raise ConfigError(f"Whose voice shall speak? This model's decoder knows {', '.join(known)} (or their numbers, from 0).")
        return speaker if isinstance(speaker, Tensor) else torch.full((count,), self.label_number(speaker))

    def _needed_prior(self) -> AutoregressivePrior:
        if self.prior is None:
            raise ConfigError("This model has no prior yet, so it cannot sample. Train one: vqvae train-prior RUN")
        return self.prior

    def _batches(self, rows: Tensor) -> Iterator[Tensor]:
        """The rows in batches; one empty batch where there are none."""
        return iter(rows.split(self.batch_size)) if len(rows) else iter([rows])

    def _check(self, data: Tensor) -> None:
        channels, axes = self.tokenizer.channels, len(self.tokenizer.layout[0].stride)
        dtype, expected = (torch.float32, "samples") if axes == 1 else (torch.uint8, "height, width")
        if data.dtype != dtype or data.ndim != 2 + axes or data.shape[1] != channels:
            raise DataError(
                f"Data is {str(data.dtype).removeprefix('torch.')} of the shape {tuple(data.shape)}; this model takes "
                f"{str(dtype).removeprefix('torch.')} (n, {channels}, {expected})."
            )


def mixture_log_prob(
    prior: AutoregressivePrior, codes: Int64[Tensor, "n codebooks *space"], mask: Bool[Tensor, "n *space"] | None = None
) -> Float[Tensor, " n"]:
    """log Σ_c p(codes | c) / classes: a class-conditional prior where the class is not known, in nats an example."""
    given = [prior.log_prob(codes, Condition(label=codes.new_full((len(codes),), label)), mask) for label in range(prior.classes)]
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
    named = storage.read(run / PRIOR).extra if prior is not None and not tokenizer.speakers else extra
    size = extra.get("size")
    return Pipeline(
        *(tokenizer, prior),
        unigram=unigram,
        label_names=tuple(named.get("label_names", ())),
        size=None if size is None else tuple(map(int, size)),
        rate=extra.get("rate"),
    ).to(device)


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
    size = None if pipeline.size is None else list(pipeline.size)
    extra = {"label_names": list(pipeline.label_names), "size": size, "rate": pipeline.rate}
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
