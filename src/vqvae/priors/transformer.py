"""A transformer over codes of any space: images, speech and clips."""

import math
from dataclasses import field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.codes import check_prefix
from vqvae.config import CODEBOOK, check_at_least, settings
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.codes_output import CodesOutput, embed_codes
from vqvae.layers.places import Places
from vqvae.layers.transformer import Transformer
from vqvae.priors.base import AutoregressivePrior, check_actions, check_label, check_prior_codes


@settings
class TransformerPriorConfig:
    """A decoder-only transformer over codes in raster order."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per position. They are predicted in order, each from those before it."""
    depth: int = 6
    """Blocks of attention and MLP."""
    dim: int = 128
    """Channels of the blocks."""
    heads: int = 4
    """Heads of attention. They divide ``dim`` into even parts."""
    window: int = 0
    """Positions that each layer sees, its own included; 0: all. For clips, 0 means all but one frame of a training clip, so that its
    last frame is predicted in the way of all later frames."""
    classes: int = 0
    """Number of classes of ``condition.label``, such as speakers; 0: unconditional."""
    actions: int = 0
    """Number of actions of ``condition.actions``; 0: without actions. The first axis of the codes is time."""
    clip_length: int = 0
    """Frames of a training example, if the codes are those of long clips; 0: train on whole examples."""
    output_hidden: int = 128
    """Hidden channels of the output layer, per codebook."""
    dropout: float = 0.0
    """Dropout probability after attention and MLP in training."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "codebook_size", "num_codebooks", "depth", "dim", "heads", "output_hidden")
        check_at_least(0, self, "window", "classes", "actions", "clip_length")
        if self.dim % (2 * self.heads):
            raise ConfigError(
                f"TransformerPriorConfig.dim is {self.dim}; it must be a multiple of {2 * self.heads}, twice the number of heads."
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"TransformerPriorConfig.dropout is {self.dropout}; it must lie in [0, 1).")

    def build(self) -> "TransformerPrior":
        return TransformerPrior(self)


class TransformerPrior(CodesOutput, AutoregressivePrior):
    """p(codes) = Π p(code | all codes before it, in raster order, codebook fastest), by a causal transformer over positions.

    codes of the position before ─ embeddings, summed ─ + class + action + place in the frame ─ transformer ─ ``CodesOutput`` ─ logits

    Attention sees the distance along each axis (rotary positions), so maps and clips may have any size. The action at frame t is added
    to all inputs of frame t + 1.

    Differs from the paper, which has no transformer.
    """

    def __init__(self, config: TransformerPriorConfig) -> None:
        super().__init__()
        self.config = config
        self.num_codebooks, self.codebook_size = config.num_codebooks, config.codebook_size
        self.classes, self.actions, self.clip_length = config.classes, config.actions, config.clip_length
        self.embedding = nn.Parameter(torch.randn(config.num_codebooks, config.codebook_size, config.dim).div_(config.num_codebooks**0.5))
        self.first = nn.Parameter(torch.randn(config.dim))
        self.place = Places(config.dim)
        self.label = nn.Embedding(config.classes, config.dim) if config.classes else None
        self.action = nn.Embedding(config.actions, config.dim) if config.actions else None
        self.transformer = Transformer(config.dim, config.depth, config.heads, config.dropout)
        self._make_output(config.dim, config.output_hidden)

    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes | condition), in nats per example. Positions where the mask is False are left out of the sequence: they do not
        count, and nothing depends on them.

        Raises:
            DataError: if codes have the wrong shape or range, or the label or the actions are missing or out of range.
        """
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        given = self._given(condition, len(codes), tuple(codes.shape[2:]))
        if mask is None or not codes.numel():
            return self._each(codes.flatten(2), given.coordinates[None], given).flatten(1).sum(1)
        # Kept positions come first, in their order. Causal attention does not see those after them.
        kept, order = mask.flatten(1).byte().sort(dim=1, descending=True, stable=True)
        longest = int(kept.sum(1).max())
        kept, order = kept[:, :longest], order[:, :longest]
        in_order = codes.flatten(2).gather(2, order.unsqueeze(1).expand(-1, self.num_codebooks, -1))
        each = self._each(in_order, given.coordinates[order], given)
        return (each * kept.unsqueeze(1)).flatten(1).sum(1)

    @torch.no_grad()
    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the codes before it, in nats, in one pass.

        Raises:
            DataError: as ``log_prob``.
        """
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        given = self._given(condition, len(codes), tuple(codes.shape[2:]))
        return self._each(codes.flatten(2), given.coordinates[None], given).view(codes.shape)

    @torch.no_grad()
    def start(
        self,
        batch_size: int,
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
    ) -> "TransformerState":
        """The decoding state before the first code. Leading positions that ``prefix`` knows in all examples are processed at once.

        Raises:
            DataError: if space has no axis, the prefix has the wrong shape or range, or the label or the actions are wrong.
        """
        if prefix is not None:
            prefix = check_prefix(prefix, (batch_size, self.num_codebooks, *space), self.codebook_size, "transformer")
        # As all of decoding, in full precision under any autocast.
        with torch.autocast(self.first.device.type, enabled=False):
            return TransformerState(self, batch_size, self._given(condition, batch_size, space), prefix)

    @torch.no_grad()
    def step(
        self, code: Int[Tensor, " batch"] | None, state: "TransformerState"
    ) -> tuple[Float[Tensor, "batch codebook_size"], "TransformerState"]:
        """Feed the previous code (None at first) and return the logits of the next, in float32 under any autocast."""
        with torch.autocast(state.device.type, enabled=False):
            if code is not None:
                state.feed(code)
            return state.logits(), state

    def features(
        self,
        before: Float[Tensor, "batch positions dim"],
        coordinates: Int[Tensor, "rows positions axes"],
        given: "Given",
        caches: list | None = None,
    ) -> Float[Tensor, "batch positions dim"]:
        """The features of positions, from the embedding of the position before each."""
        return self.transformer(before + given.at(coordinates), coordinates, given.window, caches)

    def shifted(self, codes: Integer[Tensor, "batch codebooks positions"]) -> Float[Tensor, "batch positions dim"]:
        """For each position, the embedding of the one before."""
        first = self.first.expand(len(codes), 1, -1)
        return torch.cat([first, embed_codes(codes[:, :, :-1], self.embedding)], 1)

    def _each(
        self, codes: Int64[Tensor, "batch codebooks positions"], coordinates: Int[Tensor, "rows positions axes"], given: "Given"
    ) -> Float[Tensor, "batch codebooks positions"]:
        """The log-probability of each code of a sequence of positions."""
        if not codes.numel():
            return torch.zeros(codes.shape, dtype=torch.float32, device=codes.device)
        hidden = self.output(self.features(self.shifted(codes), coordinates, given)).unflatten(-1, (self.num_codebooks, -1))
        told = self._told(codes)
        return self._log_probs_of(hidden if told is None else hidden + told.to(hidden.dtype), codes)

    def _given(self, condition: Condition, batch_size: int, space: tuple[int, ...]) -> "Given":
        """What is known before the first code."""
        if not space:
            raise DataError("The codes have no axis of space; a transformer needs at least one, (batch, codebooks, positions).")
        check_label(condition, self.classes, batch_size)
        device = self.first.device
        actions = check_actions(condition, self.actions, batch_size, space[0], device)
        frames_seen = max(self.clip_length - 1, 1) if self.clip_length else 0
        axes = [torch.arange(length, device=device) for length in space]
        return Given(
            coordinates=torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2),
            window=self.config.window or frames_seen * math.prod(space[1:]),
            label=None if self.label is None else self.label(condition.label).unsqueeze(1),
            frames=None if self.action is None else F.pad(self.action(actions), (0, 0, 1, 0)),
            places=self.place(space[-2:]) if len(space) > 1 else None,
        )


class Given(NamedTuple):
    """What is known about each position besides codes, and how far attention reaches."""

    coordinates: Int64[Tensor, "positions axes"]
    """The place of each position, in raster order."""
    window: int
    """Positions that each layer sees; 0: all."""
    label: Float[Tensor, "batch one dim"] | None
    """Added to all inputs."""
    frames: Float[Tensor, "batch time dim"] | None
    """Added to the inputs of each frame."""
    places: Float[Tensor, "height width dim"] | None
    """Added to the input of each place of a frame."""

    def at(self, coordinates: Int[Tensor, "rows positions axes"]) -> Float[Tensor, "some positions dim"] | float:
        """What is added to the inputs of positions."""
        total: Tensor | float = 0.0
        if self.label is not None:
            total = total + self.label
        if self.frames is not None:
            total = total + self.frames[torch.arange(len(self.frames), device=coordinates.device)[:, None], coordinates[..., 0]]
        if self.places is not None:
            total = total + self.places[coordinates[..., -2], coordinates[..., -1]]
        return total


class TransformerState:
    """The state of a decoding: the cache of each layer, and the codes of the current position."""

    position: int
    """Number of codes processed, in raster order, codebook fastest."""
    device: torch.device

    def __init__(
        self, prior: TransformerPrior, batch_size: int, given: Given, prefix: Int64[Tensor, "batch codebooks *space"] | None
    ) -> None:
        """Process the known positions."""
        self._prior, self._given, self._books = prior, given, prior.num_codebooks
        self.device = prior.first.device
        total = len(given.coordinates)
        self._caches = prior.transformer.caches(batch_size, min(given.window or total, total))
        self._sum = prior.first.expand(batch_size, -1)
        known = 0
        if prefix is not None and batch_size:
            codes = prefix.flatten(2)
            known = int((codes >= 0).all(1).all(0).int().cumprod(0).sum())
            if known:
                prior.features(prior.shifted(codes[:, :, :known]), given.coordinates[None, :known], given, self._caches)
                self._sum = embed_codes(codes[:, :, known - 1 : known], prior.embedding)[:, 0]
        self.position = known * self._books
        self._hidden = self._sum.new_empty(batch_size, self._books, 0)
        self._told: Tensor | float = 0.0

    def feed(self, code: Int[Tensor, " batch"]) -> None:
        """Process the code at ``position``."""
        book, prior = self.position % self._books, self._prior
        found = prior.embedding[book][code]
        self._sum = found if book == 0 else self._sum + found
        if prior.earlier is not None and book < self._books - 1:
            self._told = self._told + prior.earlier[book][code]
        self.position += 1

    def logits(self) -> Float[Tensor, "batch codebook_size"]:
        """The logits of the code at ``position``. Call it once for each position."""
        place, book = divmod(self.position, self._books)
        if book == 0:
            here = self._given.coordinates[None, place : place + 1]
            features = self._prior.features(self._sum.unsqueeze(1), here, self._given, self._caches)
            self._hidden = self._prior.output(features[:, 0]).unflatten(1, (self._books, -1))
            self._told = 0.0
        return self._prior._logits_of(self._hidden[:, book] + self._told, book)
