"""A tokenizer of video that encodes each frame as a separate picture, as the world model of [VQVAE §4.4] does."""

import dataclasses
import math
from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Integer, Shaped
from torch import Tensor, nn

from vqvae.codes import Codes, Level, LogPrior, latent_mask
from vqvae.config import Foreign, settings
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import ConfigError, DataError
from vqvae.models.base import Bound, Reconstruction, Tokenizer
from vqvae.models.gumbel import GumbelSoftmaxConfig
from vqvae.models.vimco import VIMCOConfig
from vqvae.models.vqvae import VQVAEConfig

AT_ONCE = 2**19
"""Number of positions that are encoded or decoded at once: a long clip takes no more memory than a short one."""


@settings
class FrameTokenizerConfig:
    """A tokenizer of clips, based on a tokenizer of pictures."""

    model: VQVAEConfig | VIMCOConfig | GumbelSoftmaxConfig | Foreign
    """The tokenizer of a frame."""

    def build(self) -> "FrameTokenizer":
        return FrameTokenizer(self.model.build())


class FrameTokenizer(Tokenizer):
    """Clips (batch, channels, time, *axes) to codes (batch, codebooks, time, *space), frame by frame.

    The inner model sees a batch of clips as a batch of frames; each frame has the label of its clip. Training on clips of one frame equals
    training on pictures. Masks apply to whole frames: if the mask is False anywhere in a frame, the frame counts as missing.
    """

    takes_masks = True
    takes_long = True

    def __init__(self, model: nn.Module) -> None:
        """Wrap a tokenizer of pictures, trained or not.

        Raises:
            ConfigError: if it is not a tokenizer, has several levels, or already has a time axis.
        """
        super().__init__()
        if not isinstance(model, Tokenizer) or len(model.layout) != 1 or "time" in model.signal.axes:
            raise ConfigError(
                f"A FrameTokenizer takes a tokenizer of pictures with one level of codes; it got a {type(model).__name__}."
                + (f" of {model.signal.shape()}" if isinstance(model, Tokenizer) else "")
            )
        self.model: Tokenizer = model
        config = getattr(model, "config", None)
        self.config = FrameTokenizerConfig(model=config) if dataclasses.is_dataclass(config) else None
        self.signal = dataclasses.replace(model.signal, axes=("time", *model.signal.axes))
        self.layout = tuple(Level(level.num_codebooks, level.codebook_size, (1, *level.stride)) for level in model.layout)
        self.has_likelihood, self.draws = model.has_likelihood, model.draws

    def forward(self, batch: Batch) -> Objective:
        """The objective of all frames that have data."""
        return self.model(self._frames(batch))

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """The sum of the bounds of a clip's frames. ``log_prior`` gets the codes of whole clips."""
        frames, there = self._frames(batch), self._there(batch)
        found = self.model.bound(frames)
        nats, likelihood = (self._by_clip(part, there, batch).flatten(1).sum(1) for part in found)
        if log_prior is None:
            return Bound(nats, likelihood)
        codes = self.encode(batch)
        return Bound(likelihood + log_prior(codes.tensor, batch.condition, codes.mask), likelihood)

    @torch.no_grad()
    def encode(self, batch: Batch) -> Codes:
        """Clips to codes; a frame without data has the code 0."""
        frames, there = self._frames(batch), self._there(batch)
        codes = torch.cat([self.model.encode(part).tensor for part in _parts(frames)])
        mask = None if batch.mask is None else latent_mask(batch.mask, self.layout[0].stride)
        return Codes([self._by_clip(codes, there, batch).transpose(1, 2)], [mask])

    @torch.no_grad()
    def decode(
        self,
        codes: Tensor | tuple[Integer[Tensor, "batch codebooks *space"], ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Codes to clips; see ``Tokenizer.decode``. ``size`` is (time, *axes)."""
        levels = Codes.of(codes).tensor
        if levels.ndim < 3:
            raise DataError(f"Codes have the shape {tuple(levels.shape)}; expected (batch, codebooks, time, *space).")
        levels = levels if size is None else levels[:, :, : size[0]]
        inside = None if size is None else size[1:]
        frames = Batch(levels.transpose(1, 2).flatten(0, 1), _repeated(condition, levels.shape[2]))
        stride = self.layout[0].stride
        made = [self.model.decode(part.x, part.condition, generator, temperature, inside) for part in _parts(frames, math.prod(stride))]
        return torch.cat(made).unflatten(0, (len(levels), levels.shape[2])).transpose(1, 2)

    def reconstruct(self, batch: Batch, codes: Tensor | tuple[Integer[Tensor, "batch codebooks *space"], ...]) -> Reconstruction:
        """Decode the codes of a batch once, for the mode and for log p(x|z) of whole clips."""
        there = self._there(batch)
        rows = Codes.of(codes).tensor.transpose(1, 2).flatten(0, 1)
        rows = rows if there is None else rows[there]
        found = self.model.reconstruct(self._frames(batch), rows)
        nats = found.log_likelihood
        made = self._by_clip(found.x, there, batch).transpose(1, 2)
        return Reconstruction(made, None if nats is None else self._by_clip(nats, there, batch).sum(1))

    def latents(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        """z_e of each frame, (batch, dim, time, *space); zeros for a frame without data."""
        return self._by_clip(self.model.latents(self._frames(batch)), self._there(batch), batch).transpose(1, 2)

    def start(self, batches: Iterable[Batch]) -> None:
        """Initialise the codebooks of the inner model."""
        self.model.start(self._frames(batch) for batch in batches)

    def _frames(self, batch: Batch) -> Batch:
        """The frames that have data, as a batch of pictures.

        Raises:
            DataError: if data does not match the signal.
        """
        x, there = self.signal.check(batch.x), self._there(batch)
        frames = Batch(x.transpose(1, 2).flatten(0, 1), _repeated(batch.condition, x.shape[2]))
        return frames if there is None else frames.take(there.nonzero()[:, 0])

    def _there(self, batch: Batch) -> Bool[Tensor, " frames"] | None:
        """True for frames with data, clip by clip; None if all have data."""
        return None if batch.mask is None else batch.mask.flatten(2).all(2).flatten()

    def _by_clip(self, rows: Shaped[Tensor, "rows *any"], there: Tensor | None, batch: Batch) -> Shaped[Tensor, "batch time *any"]:
        """The results of frames, arranged by clip; 0 for frames without data."""
        if there is not None:
            every = rows.new_zeros(len(there), *rows.shape[1:])
            every[there] = rows
            rows = every
        return rows.unflatten(0, (len(batch.x), batch.x.shape[2]))


def _repeated(condition: Condition, time: int) -> Condition:
    """The condition of a clip, for each of its frames. A picture has no actions."""
    return Condition(label=None if condition.label is None else condition.label.repeat_interleave(time))


def _parts(frames: Batch, area: int = 1) -> Iterable[Batch]:
    """Frames in batches of bounded size. ``area`` is the number of data positions per entry."""
    size = max(1, AT_ONCE // max(math.prod(frames.x.shape[2:]) * area, 1))
    return [frames.take(slice(first, first + size)) for first in range(0, max(len(frames.x), 1), size)]
