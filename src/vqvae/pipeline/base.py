"""The trained parts of a pipeline, and what is known about them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from vqvae import seeding
from vqvae.codec.integer import IntegerPrior
from vqvae.codes import Level
from vqvae.errors import ConfigError
from vqvae.models import Tokenizer
from vqvae.pipeline.parts import check_fit, describe
from vqvae.priors import SamplingPrior, UnigramPrior
from vqvae.signals import Signal
from vqvae.storage import RunCard


class TrainedParts:
    """A tokenizer and, if there are any, its priors, with their signal, layout, names and device."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prior: SamplingPrior | Sequence[SamplingPrior] | None = None,
        *,
        unigram: UnigramPrior | None = None,
        integers: Sequence[IntegerPrior] = (),
        card: RunCard = RunCard(),
        signal: Signal | None = None,
        label_names: tuple[str, ...] | None = None,
        size: tuple[int, ...] | None = None,
        rate: float | None = None,
    ) -> None:
        """Join trained parts.

        Args:
            tokenizer: data to codes and back.
            prior: p(codes), for samples and for bits with a learned prior; of several levels one each, the coarsest first.
            unigram: the frequencies of the codes of one level.
            integers: the priors of the entropy coders, one per level.
            card: what is known of the run. The rest stands for single fields of it.
            signal: what data is, with its sample rate.
            label_names: names of the classes that the prior, or of the speakers that the decoder, is conditioned on, in the order of
                their numbers.
            size: the length of each axis of the training data, which samples of the model get.
            rate: the sample rate alone, of the signal that the tokenizer takes.

        Raises:
            ConfigError: a prior does not fit the tokenizer.
        """
        priors: tuple[Any, ...] = () if prior is None else tuple(prior) if isinstance(prior, list | tuple) else (prior,)
        check_fit(tokenizer, priors, unigram)
        self.tokenizer = tokenizer.eval()
        self.priors = tuple(part.eval() for part in priors)
        """One a level, the coarsest first; none where there are not all of them."""
        self.unigram = unigram
        self.integers = tuple(integers)
        """The priors of the entropy coders, one per level; empty if there are none. They stay on the CPU."""
        self.card = dataclasses.replace(
            card,
            signal=signal or card.signal or dataclasses.replace(tokenizer.signal, sample_rate=rate),
            layout=tuple(tokenizer.layout),
            label_names=card.label_names if label_names is None else tuple(label_names),
            size=card.size if size is None else tuple(size),
        )

    def __repr__(self) -> str:
        return describe(self.tokenizer, self.priors, self.card, self.device)

    @property
    def signal(self) -> Signal:
        """What data is."""
        assert self.card.signal is not None, "set in __init__"
        return self.card.signal

    @property
    def layout(self) -> tuple[Level, ...]:
        """The levels of codes, the coarsest first."""
        return self.card.layout

    @property
    def prior(self) -> SamplingPrior | None:
        """The prior of the first level; None where there is none."""
        return self.priors[0] if self.priors else None

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.card.label_names

    @property
    def size(self) -> tuple[int, ...] | None:
        """The length of each axis of the training data."""
        return self.card.size

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
        """Whether a prior takes a class."""
        return any(prior.classes > 0 for prior in self.priors)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Whose voices the decoder has: the first of ``label_names``; none where it takes no speaker."""
        return self.label_names[: self.tokenizer.speakers]

    def label_number(self, label: str | int) -> int:
        """The number of a class.

        Raises:
            ConfigError: there is no such class; the message lists them.
        """
        names = self._names
        if not names:
            raise ConfigError(f"The label {label!r} was given, but this model has neither classes nor speakers. Omit it.")
        if isinstance(label, str) and label in names:
            return names.index(label)
        if (isinstance(label, int) or label.isdecimal()) and int(label) in range(len(names)):
            return int(label)
        raise ConfigError(f"The label {label!r} is unknown; this model knows {', '.join(names)} (or their numbers, from 0).")

    def stored_label(self, label: str | int | None) -> int | None:
        """The number of the class or the speaker that a compressed file stores.

        Raises:
            ConfigError: the model has no such label.
        """
        return None if label is None else self.label_number(label)

    def voice(self, stored: int | None, given: str | int | None) -> str | int | None:
        """Who speaks when a compressed file is decoded: the given speaker, or the one that the file names. None if the decoder has no
        speakers."""
        return given if given is not None or not self.speakers else stored

    @property
    def _names(self) -> tuple[str, ...]:
        """The valid labels. The data may name speakers that the decoder does not have. Classes without names go by their numbers."""
        return self.speakers or self.label_names or tuple(map(str, range(max((prior.classes for prior in self.priors), default=0))))

    def draw_labels(self, count: int, label: str | int | None, seed: int) -> Int64[Tensor, " count"] | None:
        """The class or the speaker of each sample: the given one, or one drawn for each. None if the model has neither.

        Raises:
            ConfigError: the label is unknown, or the model takes none.
        """
        if not self.is_conditional and not self.speakers:
            return self._no_label(label)
        if label is not None:
            return torch.full((count,), self.label_number(label), device="cpu")
        # One generator a sample, so that sample i has the same class whatever the count.
        return torch.tensor([_draw(len(self._names), seed, i) for i in range(count)], dtype=torch.int64, device="cpu")

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
        return speaker if isinstance(speaker, Tensor) else torch.full((count,), self.label_number(speaker), device="cpu")


def _draw(count: int, seed: int, index: int) -> int:
    return int(torch.randint(count, (), device="cpu", generator=seeding.generator(seed, "label", index)))
