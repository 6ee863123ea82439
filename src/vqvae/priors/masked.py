"""A prior over pictures or frames of codes that draws many codes at once, in a few passes."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import field
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.codes import check_prefix
from vqvae.config import CODEBOOK, check_at_least, settings
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import Choice, check_uniforms, draw, to_draw_by
from vqvae.layers.codes_output import embed_codes
from vqvae.layers.frame_memory import FrameMemory
from vqvae.layers.neighbours import start_from_neighbours
from vqvae.layers.places import Places
from vqvae.layers.residual import ResidualBlock2d
from vqvae.layers.spread import cosine_groups, spread_order
from vqvae.priors.base import SamplingPrior, check_actions, check_frame_mask, check_label, check_prior_codes

DILATIONS = (1, 2, 4, 8)
"""Dilations of successive residual blocks, repeated. Six blocks see 18 positions each way."""


@settings
class MaskedPriorConfig:
    """A prior that draws each picture or frame of codes in a few parallel passes."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per position. Those of one position are drawn in the same pass."""
    passes: int = 8
    """Passes per picture or frame. With one pass per position, the prior is autoregressive."""
    channels: int = 96
    """Channels of the network over a frame."""
    depth: int = 6
    """Residual blocks of the network over a frame."""
    output_hidden: int = 128
    """Hidden channels of the output layer, per codebook."""
    classes: int = 0
    """Number of classes of ``condition.label``; 0: unconditional."""
    memory: int = 0
    """Channels of the memory of earlier frames; 0: no memory, for pictures."""
    actions: int = 0
    """Number of actions of ``condition.actions``; 0: without actions."""
    reach: int = 3
    """Columns that a frame moves at most, each way, from one frame to the next."""
    overview: int = 0
    """Heads that look at the whole memory, for worlds in which one place decides about the whole frame; 0: none."""
    blocks: int = 3
    """Residual blocks between the memory and the frame."""
    width: int = 128
    """Channels of these blocks."""
    clip_length: int = 0
    """Frames of a training example, the last of which is learned; 0: whole examples."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "codebook_size", "num_codebooks", "passes", "channels", "depth", "output_hidden", "reach", "width")
        check_at_least(0, self, "classes", "memory", "actions", "overview", "blocks", "clip_length")
        if self.actions and not self.memory:
            raise ConfigError(f"MaskedPriorConfig.actions is {self.actions}, but memory is 0. Actions need a memory; set memory to 64.")

    def build(self) -> "MaskedPrior":
        return MaskedPrior(self)


class Given(NamedTuple):
    """What is known about frames before any of their codes. It is computed once per frame, not once per pass."""

    input: Float[Tensor, "frames channels height width"]
    """Added to the embeddings of codes."""
    output: Float[Tensor, "frames positions outputs"] | None
    """Added to the hidden units of the output layer. None: nothing."""


class MaskedPrior(SamplingPrior):
    """p(frame) = Π p(codes of a group | codes of earlier groups, earlier frames, actions), over codes (batch, codebooks, *space), where
    space is (height, width) or (time, height, width).

    codes of earlier groups, a learned vector for the others ─ embeddings ┐
    places, class ────────────────────────────────────────────────────────┼ residual blocks ─ 1×1 ─ ReLU ─ 1×1 ─ logits
    codes and actions of past frames ─ FrameMemory ───────────────────────┘

    The order of the positions is fixed, and any beginning of it is spread evenly over the frame. It is cut into ``passes`` groups. The
    codes of one group are independent given those of earlier groups, so one pass draws them all, and ``log_prob`` is exact after
    ``passes`` passes. All codebooks of a position belong to the same group.

    Differs from MaskGIT [arXiv 2202.04200], which chooses the next positions by their confidence: a fixed order gives a likelihood, and
    sampling follows it.
    """

    def __init__(self, config: MaskedPriorConfig) -> None:
        super().__init__()
        self.config = config
        self.num_codebooks, self.codebook_size, self.classes = config.num_codebooks, config.codebook_size, config.classes
        self.actions, self.clip_length = config.actions, config.clip_length
        books, size, output = config.num_codebooks, config.codebook_size, config.output_hidden
        # The last row of each codebook stands for an unknown code.
        self.embedding = nn.Parameter(torch.randn(books, size + 1, config.channels).div_(books**0.5))
        self.place = Places(config.channels)
        self.label = nn.Embedding(config.classes, config.channels) if config.classes else None
        self.memory = None
        if config.memory:
            self.memory = FrameMemory(
                codebook_size=size,
                num_codebooks=books,
                actions=config.actions,
                memory=config.memory,
                reach=config.reach,
                embedding=config.channels,
                places=config.channels,
                overview=config.overview,
                blocks=config.blocks,
                width=config.width,
            )
            self.tell = nn.Linear(config.width, config.channels + books * output)
        dilations = (DILATIONS[i % len(DILATIONS)] for i in range(config.depth))
        self.blocks = nn.Sequential(*(ResidualBlock2d(config.channels, config.channels // 2 or 1, dilation) for dilation in dilations))
        self.output = nn.Linear(config.channels, books * output)
        self.logits_weight = nn.Parameter(torch.empty(books, output, size).uniform_(-1, 1).div_(output**0.5))
        self.logits_bias = nn.Parameter(torch.zeros(books, size))

    @property
    def draws_alone(self) -> bool:
        """True on a CPU, where a batch costs as much as its examples one by one."""
        return self.logits_bias.device.type == "cpu"

    @torch.no_grad()
    def prepare(self, batches: Iterable[Batch]) -> None:
        """Start from embeddings of codes by their neighbours in space and time, and from the codes' frequencies."""
        tables = [self.embedding[:, :-1], *([] if self.memory is None else [self.memory.seen])]
        start_from_neighbours((batch.x for batch in batches), tables, self.logits_weight, self.logits_bias)

    def forward(self, batch: Batch) -> Objective:
        """The cross-entropy in nats per code. Training takes one pass, drawn for each example, over the last frame after a number of
        earlier frames that is drawn too. The loss is the mean over all codes that are unknown in that pass. ``nats_per_code`` counts only
        those that the pass draws, weighted so that its expectation is that of ``log_prob``."""
        if not self.training or batch.mask is not None or not batch.x.numel():
            return super().forward(batch)
        codes, actions = self._check(batch.x, batch.condition)
        frame, space = codes[:, :, -1], tuple(codes.shape[3:])
        memory = None if self.memory is None else self.memory.before_last(codes, actions)
        groups = cosine_groups(space[0] * space[1], self.config.passes)
        chosen = torch.randint(len(groups), (len(codes),), device=codes.device)
        cuts = torch.tensor([(group.start, group.stop) for group in groups], device=codes.device)[chosen]
        rank = self._order(space).argsort()
        unknown = rank >= cuts[:, :1]
        drawn = unknown & (rank < cuts[:, 1:])
        given = self._given(memory, space, len(codes), batch.condition.label)
        logits = self._logits(self._shown(frame, unknown), given, slice(None))
        nats = -_chosen(logits, frame.flatten(2).transpose(1, 2)).mean(2)
        loss = ((nats * unknown).sum(1) / unknown.sum(1)).mean()
        cost = (nats * drawn).sum(1).mean() * len(groups) / len(rank)
        return Objective(loss, {"nats_per_code": cost.detach()})

    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes | condition), in nats per example: exact, in one pass per group. Frames where the mask is False do not count.

        Raises:
            DataError: if codes have the wrong shape or range, the condition does not fit, or the mask cuts a frame.
        """
        frames = None if mask is None or mask.ndim != 3 else mask.unsqueeze(1)
        check_frame_mask(mask if frames is None else frames, "MaskedPrior")
        each = self._each(codes, condition)
        each = each if mask is None else each * mask.unsqueeze(1)
        return each.flatten(1).sum(1)

    @torch.no_grad()
    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the codes of earlier groups and frames, in nats.

        Raises:
            DataError: as ``log_prob``.
        """
        return self._each(codes, condition)

    @torch.no_grad()
    def draw(
        self,
        uniforms: Float[Tensor, "batch draws"],
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
        choice: Choice = Choice(),
    ) -> Int64[Tensor, "batch codebooks *space"]:
        """Draw frame by frame, group by group. Every pass sees all known codes of its frame. See ``SamplingPrior.draw``."""
        choice.check()
        self._check_space(space)
        shape = (len(uniforms), self.num_codebooks, *space)
        check_uniforms(uniforms, (len(uniforms), math.prod(shape[1:])))
        check_label(condition, self.classes, len(uniforms))
        if prefix is None:
            known = torch.full(shape, -1, device=uniforms.device)
        else:
            known = check_prefix(prefix, shape, self.codebook_size, "MaskedPrior")
        device = self.logits_bias.device
        known = known.to(device)
        known = known if len(space) == 3 else known.unsqueeze(2)
        actions = check_actions(condition, self.actions, len(known), known.shape[2], device)
        numbers = to_draw_by(uniforms, device).view(len(known), *known.shape[2:], self.num_codebooks)
        each = [slice(i, i + 1) for i in range(len(known))] if self.draws_alone and len(known) else [slice(None)]
        with torch.autocast(device.type, enabled=False):
            drawn = [
                self._draw(numbers[i], known[i], actions[i], None if self.label is None else condition.take(i).label, choice) for i in each
            ]
        return torch.cat(drawn).view(shape)

    @torch.no_grad()
    def watch(
        self,
        uniforms: Float[Tensor, "batch draws"],
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Integer[Tensor, "batch codebooks height width"] | None = None,
        choice: Choice = Choice(),
    ) -> Iterator[tuple[Int64[Tensor, " positions"], Int64[Tensor, "batch codebooks height width"]]]:
        """``draw`` for pictures, pass by pass: the positions that a pass draws, and all codes after it, -1 where they are not yet drawn.

        Raises:
            ConfigError, DataError: see ``SamplingPrior.draw``.
        """
        choice.check()
        shape = (len(uniforms), self.num_codebooks, *space)
        if len(space) != 2:
            raise DataError(f"The space of these codes has {len(space)} axes {space}; only the drawing of pictures can be watched.")
        check_uniforms(uniforms, (len(uniforms), math.prod(shape[1:])))
        check_label(condition, self.classes, len(uniforms))
        device = self.logits_bias.device
        known = torch.full(shape, -1, device=device)
        if prefix is not None:
            known = check_prefix(prefix, shape, self.codebook_size, "MaskedPrior").to(device)
        numbers = to_draw_by(uniforms, device).view(len(known), -1, self.num_codebooks)
        memory = None if self.memory is None else self.memory.nothing(len(known), space)
        given = self._given(memory, space, len(known), None if self.label is None else condition.label)
        yield from self._passes(numbers, known, given, choice)

    @torch.no_grad()
    def draw_frame(
        self, memory: Float[Tensor, "batch memory height width"], uniforms: Float[Tensor, "batch draws"], choice: Choice = Choice()
    ) -> Int64[Tensor, "batch codebooks height width"]:
        """Draw the next frame, given what is remembered; see ``WorldPrior.draw_frame``."""
        choice.check()
        space, batch = tuple(memory.shape[2:]), len(memory)
        numbers = to_draw_by(uniforms, memory.device).view(batch, -1, self.num_codebooks)
        unknown = torch.full((batch, self.num_codebooks, *space), -1, device=memory.device)
        return self._draw_frame(numbers, unknown, self._given(memory, space, batch, None), choice)

    def _draw(
        self,
        uniforms: Float64[Tensor, "batch time height width codebooks"],
        known: Int64[Tensor, "batch codebooks time height width"],
        actions: Int[Tensor, "batch steps"],
        label: Int[Tensor, " batch"] | None,
        choice: Choice,
    ) -> Int64[Tensor, "batch codebooks time height width"]:
        """Draw the unknown codes, frame by frame."""
        batch, _, time, *space = known.shape
        memory = None if self.memory is None else self.memory.nothing(batch, tuple(space))
        drawn = []
        for number in range(time):
            frame = known[:, :, number]
            if (frame < 0).any():
                given = self._given(memory, tuple(space), batch, label)
                frame = self._draw_frame(uniforms[:, number].flatten(1, 2), frame, given, choice)
            drawn.append(frame)
            if self.memory is not None and memory is not None and number + 1 < time:
                memory = self.memory.remember(memory, frame, actions[:, number])
        return torch.stack(drawn, 2) if drawn else known

    def _draw_frame(
        self,
        uniforms: Float64[Tensor, "batch positions codebooks"],
        frame: Int64[Tensor, "batch codebooks height width"],
        given: Given,
        choice: Choice,
    ) -> Int64[Tensor, "batch codebooks height width"]:
        """Draw the unknown codes of a frame."""
        return reduce(lambda before, drawn: drawn[1], self._passes(uniforms, frame, given, choice), frame)

    def _passes(
        self,
        uniforms: Float64[Tensor, "batch positions codebooks"],
        frame: Int64[Tensor, "batch codebooks height width"],
        given: Given,
        choice: Choice,
    ) -> Iterator[tuple[Int64[Tensor, " positions"], Int64[Tensor, "batch codebooks height width"]]]:
        """Draw the unknown codes of a frame, group by group: the positions of each group, and the frame after it. A group without unknown
        codes needs no pass."""
        space = tuple(frame.shape[2:])
        order, codes = self._order(space), frame.flatten(2).clone()
        for group in cosine_groups(len(order), self.config.passes):
            positions = order[group]
            before = codes[:, :, positions]
            if (before < 0).any():
                logits = self._logits(self._shown(codes.view(frame.shape), codes < 0), given, positions)
                found = draw(logits.flatten(0, 2), uniforms[:, positions].flatten()[:, None], choice).to(codes.device)
                found = found.view(logits.shape[:3]).transpose(1, 2)
                codes[:, :, positions] = torch.where(before < 0, found, before)
                yield positions, codes.view(frame.shape)

    def _each(self, codes: Tensor, condition: Condition) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code: one pass per group, over all frames at once."""
        clips, actions = self._check(codes, condition)
        if not codes.numel():
            return torch.zeros(codes.shape, dtype=torch.float32, device=codes.device)
        batch, _, time, *space = clips.shape
        frames = clips.transpose(1, 2).flatten(0, 1)
        memory = None if self.memory is None else self.memory.before_each(clips, actions).flatten(0, 1)
        label = None if self.label is None or condition.label is None else condition.label.repeat_interleave(time)
        given = self._given(memory, tuple(space), len(frames), label)
        order = self._order(tuple(space))
        rank, values, found = order.argsort(), frames.flatten(2).transpose(1, 2), []
        for group in cosine_groups(len(order), self.config.passes):
            positions = order[group]
            logits = self._logits(self._shown(frames, rank >= group.start), given, positions)
            found.append(_chosen(logits, values[:, positions]))
        each = torch.cat(found, 1)[:, rank].transpose(1, 2)
        return each.view(batch, time, self.num_codebooks, *space).transpose(1, 2).reshape(codes.shape)

    def _given(
        self,
        memory: Float[Tensor, "frames memory height width"] | None,
        space: tuple[int, ...],
        frames: int,
        label: Int[Tensor, " frames"] | None,
    ) -> Given:
        """What the place, the class and the memory say."""
        places = self.place(space)
        added, output = places.movedim(-1, 0).expand(frames, -1, -1, -1), None
        if self.label is not None:
            added = added + self.label(label)[:, :, None, None]
        if self.memory is not None and memory is not None:
            told = self.tell(self.memory.features(memory, places))
            added = added + told[..., : self.config.channels].movedim(-1, 1)
            output = told[..., self.config.channels :].flatten(1, 2)
        return Given(added, output)

    def _shown(
        self, codes: Int64[Tensor, "frames codebooks height width"], unknown: Bool[Tensor, "*frames positions"]
    ) -> Int64[Tensor, "frames codebooks height width"]:
        """What a pass sees of the codes: the number after the last code stands for an unknown one."""
        hidden = unknown.unsqueeze(1) if unknown.ndim == 2 else unknown
        return codes.flatten(2).masked_fill(hidden, self.codebook_size).view(codes.shape)

    def _logits(
        self, codes: Int64[Tensor, "frames codebooks height width"], given: Given, positions: Int64[Tensor, " positions"] | slice
    ) -> Float[Tensor, "frames positions codebooks codebook_size"]:
        """One pass: the logits at some positions, in float32 even under autocast."""
        seen = embed_codes(codes, self.embedding).movedim(-1, 1)
        features = self.blocks(seen + given.input).relu().flatten(2).transpose(1, 2)
        hidden = self.output(features[:, positions])
        hidden = hidden if given.output is None else hidden + given.output[:, positions]
        hidden = hidden.unflatten(-1, (self.num_codebooks, -1)).relu()
        logits = torch.einsum("fpbo,bok->fpbk", hidden, self.logits_weight.to(hidden.dtype))
        return logits.to(torch.promote_types(logits.dtype, torch.float32)) + self.logits_bias

    def _order(self, space: tuple[int, ...]) -> Int64[Tensor, " positions"]:
        return torch.from_numpy(spread_order(*space).copy()).to(self.logits_bias.device)

    def _check(self, codes: Tensor, condition: Condition) -> tuple[Int64[Tensor, "batch codebooks time height width"], Tensor]:
        """Codes as clips, pictures being clips of one frame, and the actions between frames."""
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        self._check_space(tuple(codes.shape[2:]))
        check_label(condition, self.classes, len(codes))
        clips = codes if codes.ndim == 5 else codes.unsqueeze(2)
        return clips, check_actions(condition, self.actions, len(clips), clips.shape[2], self.logits_bias.device)

    def _check_space(self, space: tuple[int, ...]) -> None:
        if len(space) not in (2, 3):
            raise DataError(
                f"The space of these codes has {len(space)} axes {tuple(space)}; a MaskedPrior needs two, (height, width), or three, "
                "(time, height, width)."
            )


def _chosen(
    logits: Float[Tensor, "frames positions codebooks codebook_size"], codes: Int64[Tensor, "frames positions codebooks"]
) -> Float[Tensor, "frames positions codebooks"]:
    """The log-probability of each code, in nats."""
    return -F.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none").view(codes.shape)
