"""A prior over frames of codes, given the frames and actions before: the world model of [VQVAE §4.4]."""

from collections.abc import Iterable
from dataclasses import field
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, Integer
from torch import Tensor, nn

from vqvae.codes import check_prefix
from vqvae.config import CODEBOOK, check_at_least, settings
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import DataError
from vqvae.layers.autoregressive import Choice, draw_all, to_draw_by
from vqvae.layers.code_pixelcnn import CodesPixelCNN, Packed, PixelCNNState, check_pixelcnn
from vqvae.layers.frame_memory import FrameMemory
from vqvae.layers.neighbours import start_from_neighbours
from vqvae.layers.pixelcnn import Surroundings
from vqvae.priors.base import AutoregressivePrior, check_actions, check_frame_mask, check_prior_codes


@settings
class WorldPriorConfig:
    """A memory of past frames and actions, and a gated PixelCNN over each frame."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per position."""
    actions: int = 0
    """Number of actions of ``condition.actions``; 0: without actions."""
    memory: int = 64
    """Channels of the memory."""
    reach: int = 3
    """Columns that a frame moves at most, each way, from one frame to the next."""
    overview: int = 0
    """Heads that look at the whole memory, for worlds in which one place decides about the whole frame; 0: none."""
    blocks: int = 3
    """Residual blocks between the memory and the frame."""
    width: int = 128
    """Channels of these blocks."""
    clip_length: int = 4
    """Frames of a training example, the last of which is learned."""
    layers: int = 6
    """Gated layers of the PixelCNN."""
    hidden: int = 64
    """Channels of its vertical and of its horizontal stack, and of the embedding of codes."""
    kernel: int = 3
    """Width of its convolutions, odd."""
    output_hidden: int = 128
    """Hidden channels of the output layer, per codebook."""
    dropout: float = 0.0
    """Dropout probability of the horizontal gates in training."""

    def __post_init__(self) -> None:
        check_pixelcnn(self)
        check_at_least(1, self, "memory", "reach", "width", "clip_length")
        check_at_least(0, self, "actions", "overview", "blocks")

    def build(self) -> "WorldPrior":
        return WorldPrior(self)


class WorldPrior(CodesPixelCNN, AutoregressivePrior):
    """p(codes) = Π p(frame | earlier frames, the actions between them), over codes (batch, codebooks, time, height, width).

    codes and actions of past frames ─ FrameMemory ─ added to the inputs and outputs of the PixelCNN over the next frame

    The memory runs once per frame, so a frame costs the same however many came before. The first frame has an empty memory: the model is
    also a prior of single frames.

    Differs from the paper, which does not describe its prior over frames: the memory and the convolutions of actions are ours.
    """

    def __init__(self, config: WorldPriorConfig) -> None:
        super().__init__(
            codebook_size=config.codebook_size,
            num_codebooks=config.num_codebooks,
            layers=config.layers,
            hidden=config.hidden,
            kernel=config.kernel,
            output_hidden=config.output_hidden,
            dropout=config.dropout,
        )
        self.config = config
        self.actions = config.actions
        self.clip_length = config.clip_length
        self.memory = FrameMemory(
            codebook_size=config.codebook_size,
            num_codebooks=config.num_codebooks,
            actions=config.actions,
            memory=config.memory,
            reach=config.reach,
            embedding=config.hidden,
            places=config.hidden,
            overview=config.overview,
            blocks=config.blocks,
            width=config.width,
        )
        self.tell = nn.Linear(config.width, 2 * config.hidden + config.num_codebooks * config.output_hidden)

    def forward(self, batch: Batch) -> Objective:
        """The cross-entropy in nats per code. Training takes only the last frame of each clip, after a number of earlier frames that is
        drawn for each: neighbouring frames are so alike that a batch of many clips teaches more than all frames of a few."""
        if not self.training or batch.mask is not None or batch.x.shape[2] < 2:
            return super().forward(batch)
        codes, actions = self._check(batch.x, batch.condition)
        memory = self.memory.before_last(codes, actions)
        loss = -self._log_probs(codes[:, :, -1], memory).mean()
        return Objective(loss, {"nats_per_code": loss.detach()})

    @torch.no_grad()
    def prepare(self, batches: Iterable[Batch]) -> None:
        """Start from embeddings of codes by their neighbours in space and time, and from the codes' frequencies."""
        tables = (self.embedding, self.memory.seen)
        start_from_neighbours((batch.x for batch in batches), tables, self.logits_weight, self.logits_bias)

    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes | actions), in nats per example. Frames where the mask is False do not count.

        Raises:
            DataError: if codes have the wrong shape or range, actions are missing or unknown, or the mask cuts a frame.
        """
        check_frame_mask(mask, "WorldPrior")
        each = self._each(codes, condition)
        each = each if mask is None else each * mask.unsqueeze(1)
        return each.flatten(1).sum(1)

    @torch.no_grad()
    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the codes before it, in nats, in one pass.

        Raises:
            DataError: as ``log_prob``.
        """
        return self._each(codes, condition)

    @torch.no_grad()
    def start(
        self,
        batch_size: int,
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
    ) -> "WorldState":
        """The decoding state before the first code. Leading frames that ``prefix`` knows in all examples are only remembered.

        Raises:
            DataError: if space does not have three axes, the prefix has the wrong shape or range, or actions are missing or unknown.
        """
        self._check_space(space)
        actions = check_actions(condition, self.actions, batch_size, space[0], self.place.weight.device)
        if prefix is not None:
            prefix = check_prefix(prefix, (batch_size, self.num_codebooks, *space), self.codebook_size, "WorldPrior")
        return WorldState(self, batch_size, space, actions, prefix)

    @torch.no_grad()
    def step(self, code: Int[Tensor, " batch"] | None, state: Any) -> tuple[Float[Tensor, "batch codebook_size"], Any]:
        """Feed the previous code (None at first) and return the logits of the next, in float32 under any autocast."""
        if code is not None:
            state.feed(code)
        return state.frame.logits(), state

    @torch.no_grad()
    def fused(self, state: Any, uniforms: Float64[Tensor, "batch draws"], choice: Choice = Choice()) -> Int64[Tensor, "batch draws"]:
        """All codes at once, frame by frame; see ``CodesPixelCNN.fused``."""
        return state.fused(uniforms, choice)

    def around(self, memory: Float[Tensor, "batch memory height width"]) -> Surroundings:
        """What the memory says about the next frame."""
        told = self.tell(self.memory.features(memory, self.place(tuple(memory.shape[2:]))))
        hidden = self.config.hidden
        return Surroundings(told[..., :hidden], told[..., hidden : 2 * hidden], told[..., 2 * hidden :])

    @torch.no_grad()
    def draw_frame(
        self, memory: Float[Tensor, "batch memory height width"], uniforms: Float[Tensor, "batch draws"], choice: Choice = Choice()
    ) -> Int64[Tensor, "batch codebooks height width"]:
        """Draw the next frame, given what is remembered: what ``draw`` draws for it.

        Args:
            memory: what is remembered; see ``FrameMemory``.
            uniforms: numbers in [0, 1), one for each code of the frame in raster order, codebook fastest.
            choice: how a code is chosen from its logits.

        Raises:
            ConfigError: if a number of ``choice`` is out of range.
        """
        choice.check()
        with torch.autocast(memory.device.type, enabled=False):
            codes = draw_all(self, self.start_frame(self._packed(), memory, None), to_draw_by(uniforms, memory.device), choice)
        return codes.view(len(codes), *memory.shape[2:], self.num_codebooks).movedim(-1, 1)

    def start_frame(
        self,
        packed: Packed,
        memory: Float[Tensor, "batch memory height width"],
        prefix: Int64[Tensor, "batch codebooks height width"] | None,
    ) -> PixelCNNState:
        """The state before the first code of a frame."""
        return PixelCNNState(packed, self.place(tuple(memory.shape[2:])), len(memory), None, prefix, self.around(memory))

    def _each(self, codes: Tensor, condition: Condition) -> Float[Tensor, "batch codebooks time height width"]:
        codes, actions = self._check(codes, condition)
        if not codes.numel():
            return torch.zeros(codes.shape, dtype=torch.float32, device=codes.device)
        frames = codes.transpose(1, 2).flatten(0, 1)
        each = self._log_probs(frames, self.memory.before_each(codes, actions).flatten(0, 1))
        return each.unflatten(0, (len(codes), codes.shape[2])).transpose(1, 2)

    def _log_probs(
        self, codes: Int[Tensor, "frames codebooks height width"], memory: Float[Tensor, "frames memory height width"]
    ) -> Float[Tensor, "frames codebooks height width"]:
        """The log-probability of each code of frames, given what is remembered."""
        return self._log_probs_of(self._hidden(codes, None, None, self.around(memory)), codes)

    def _check(self, codes: Tensor, condition: Condition) -> tuple[Tensor, Int[Tensor, "batch steps"]]:
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        self._check_space(codes.shape[2:])
        return codes, check_actions(condition, self.actions, len(codes), codes.shape[2], self.place.weight.device)

    def _check_space(self, space: tuple[int, ...]) -> None:
        if len(space) != 3:
            raise DataError(
                f"The space of these codes has {len(space)} axes {tuple(space)}; a WorldPrior needs three, (time, height, width)."
            )


class WorldState:
    """The state of a decoding: the memory, and the state of the current frame."""

    position: int
    """Number of codes processed, in raster order, codebook fastest."""
    device: torch.device
    can_fuse: bool
    """Whether ``WorldPrior.fused`` accepts this state."""

    def __init__(
        self,
        prior: WorldPrior,
        batch_size: int,
        space: tuple[int, ...],
        actions: Int[Tensor, "batch steps"],
        prefix: Int64[Tensor, "batch codebooks time height width"] | None,
    ) -> None:
        """Remember the known frames."""
        self._prior, self._packed, self._actions, self._space = prior, prior._packed(), actions, space[1:]
        self._known, self._times = prefix, space[0]
        self._codes_per_frame = space[1] * space[2] * prior.num_codebooks
        self._memory = prior.memory.nothing(batch_size, self._space)
        self._time, self._fed = 0, list[Tensor]()
        known = 0 if prefix is None else int((prefix >= 0).flatten(3).all(3).all(1).all(0).int().cumprod(0).sum())
        for time in range(known):
            assert prefix is not None
            self._remember(prefix[:, :, time])
        self.device = self._packed.output.device
        self.can_fuse = self._packed.output.dtype == torch.float32 and self.device.type == "cpu"
        self.frame = self._start_frame()
        self.position = self._time * self._codes_per_frame + self.frame.position

    def feed(self, code: Int[Tensor, " batch"]) -> None:
        """Process the code at ``position``."""
        self._fed.append(code)
        self.frame.feed(code)
        self.position += 1
        if self.position % self._codes_per_frame == 0:
            self._remember(self._frame_of(torch.stack(self._fed, 1)))
            if self._time < self._times:
                self.frame = self._start_frame()

    def fused(self, uniforms: Float64[Tensor, "batch draws"], choice: Choice) -> Int64[Tensor, "batch draws"]:
        """Draw all frames that are not known, one after another."""
        size, drawn = self._codes_per_frame, []
        for time in range(self._times):
            if time < self._time:
                assert self._known is not None
                drawn.append(self._known[:, :, time].movedim(1, -1).flatten(1))
                continue
            codes = self.frame.fused(uniforms[:, time * size : (time + 1) * size], choice)
            drawn.append(codes)
            if time + 1 < self._times:
                self._remember(self._frame_of(codes))
                self.frame = self._start_frame()
        return torch.cat(drawn, 1)

    def _frame_of(self, codes: Int[Tensor, "batch codes"]) -> Int64[Tensor, "batch codebooks height width"]:
        return codes.view(len(codes), *self._space, self._prior.num_codebooks).movedim(-1, 1)

    def _remember(self, codes: Int64[Tensor, "batch codebooks height width"]) -> None:
        """Take a whole frame into the memory, if another follows. As all of decoding, in full precision under any autocast."""
        with torch.autocast(codes.device.type, enabled=False):
            if self._time + 1 < self._times:
                self._memory = self._prior.memory.remember(self._memory, codes, self._actions[:, self._time])
        self._time += 1

    def _start_frame(self) -> PixelCNNState:
        known = None if self._known is None or self._time >= self._times else self._known[:, :, self._time]
        with torch.autocast(self._memory.device.type, enabled=False):
            frame = self._prior.start_frame(self._packed, self._memory, known)
        # Codes of the rows that need no step.
        self._fed = [] if known is None else list(known.movedim(1, -1).flatten(1)[:, : frame.position].unbind(1))
        return frame
