"""An inverse-dynamics classifier: it names the action between two frames. It is trained on real frames and applied to imagined ones.

If it names the given action in imagined frames, the world model has obeyed that action.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import check_at_least, settings
from vqvae.data.base import Batch, Objective
from vqvae.errors import DataError
from vqvae.evaluation.probes.base import check_range

_AT_ONCE = 128
"""Frames, or pairs of frames, that are scored together."""
_REACH = (1, 5)
"""The largest shift of the correlation, in rows and columns of 4 pixels."""
_FEATURES = 64
"""Channels of the convolutions of pairs."""


@settings
class InverseDynamicsConfig:
    """Convolutions of each frame; convolutions of both frames, their difference and their correlation; a layer of logits."""

    actions: int
    """Number of actions."""
    channels: int = 3
    """Channels of a frame."""
    width: int = 32
    """Channels of the convolutions of a frame."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "actions", "channels", "width")

    def build(self) -> "InverseDynamics":
        return InverseDynamics(self)


class InverseDynamics(nn.Module):
    """Predicts the action from two consecutive frames, uint8, of any size from 16 by 16 pixels."""

    name = "inverse-dynamics"

    def __init__(self, config: InverseDynamicsConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.frame = nn.Sequential(_convolution(config.channels, width // 2 or 1, 5, 2), _convolution(width // 2 or 1, width, 3, 2))
        given = 3 * width + (2 * _REACH[0] + 1) * (2 * _REACH[1] + 1)
        self.pair = nn.Sequential(_convolution(given, _FEATURES, 3, 2), _convolution(_FEATURES, _FEATURES, 3, 1))
        self.head = nn.Linear(2 * _FEATURES, config.actions)

    def forward(self, batch: Batch) -> Objective:
        """The cross-entropy of the right actions in nats, and the share of pairs for which the right action is the likeliest.

        Args:
            batch: ``x`` (batch, channels, 2, height, width), pairs of frames, and ``condition.actions`` (batch, 2), of which the first is
                the action between them, as in a ``ClipsDataset`` of clips of 2 frames.

        Raises:
            DataError: if there are no actions, an action is out of range, or the frames are not pairs.
        """
        if batch.condition.actions is None:
            raise DataError("A batch has no condition.actions, but the classifier needs the actions between its frames.")
        if batch.x.ndim != 5 or batch.x.shape[2] != 2:
            raise DataError(f"Frames have the shape {tuple(batch.x.shape)}; it needs pairs (batch, channels, 2, height, width).")
        action = batch.condition.actions[:, 0]
        check_range(action, 0, self.config.actions, "actions")
        logits = self.logits(batch.x[:, :, 0], batch.x[:, :, 1])
        return Objective(F.cross_entropy(logits, action), {"accuracy": (logits.detach().argmax(1) == action).float().mean()})

    def logits(
        self, before: UInt8[Tensor, "batch channels height width"], after: UInt8[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch actions"]:
        """The logits of all actions."""
        found = self._of_pair(before, after)
        return self.head(torch.cat([found.mean(2), found.amax(2)], 1))

    @torch.inference_mode()
    def predict(self, clips: UInt8[Tensor, "clips channels time height width"], among: Sequence[int] = ()) -> Int[Tensor, "clips steps"]:
        """The likeliest action between each frame and the next, on the CPU. There is one action less than frames.

        Args:
            clips: consecutive frames.
            among: the actions to choose from. Default: all.

        Raises:
            DataError: if the frames have other channels than the training data.
        """
        chosen = torch.tensor(list(among) or range(self.config.actions))
        found = [self.logits(before, after).cpu()[:, chosen].argmax(1) for before, after in self._pairs(clips)]
        return chosen[torch.cat(found)].view(len(clips), -1)

    @torch.inference_mode()
    def appearance(self, clips: UInt8[Tensor, "clips channels time height width"]) -> Float[Tensor, "clips steps features"]:
        """What each frame but the first looks like: the mean and the standard deviation over space of the convolutions of single frames,
        2 · width numbers per frame, on the CPU.

        Raises:
            DataError: if the frames have other channels than the training data.
        """
        self._check(clips)
        frames = clips[:, :, 1:].transpose(1, 2).flatten(0, 1)
        found = [self._of_frame(part.to(self.head.weight.device)).flatten(2) for part in frames.split(_AT_ONCE)]
        features = torch.cat([torch.cat([one.mean(2), one.std(2, correction=0)], 1) for one in found])
        return features.view(len(clips), -1, features.shape[1]).cpu()

    @torch.inference_mode()
    def motion(self, clips: UInt8[Tensor, "clips channels time height width"]) -> Float[Tensor, "clips steps features"]:
        """How each frame but the first follows the frame before it: the mean over space of the convolutions of pairs, on the CPU.

        Raises:
            DataError: if the frames have other channels than the training data.
        """
        features = torch.cat([self._of_pair(before, after).mean(2) for before, after in self._pairs(clips)])
        return features.view(len(clips), -1, features.shape[1]).cpu()

    def _pairs(self, clips: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Each frame of clips but the last, and the frame after it, some at a time."""
        self._check(clips)
        sides = (side.transpose(1, 2).flatten(0, 1).to(self.head.weight.device) for side in (clips[:, :, :-1], clips[:, :, 1:]))
        before, after = (side.split(_AT_ONCE) for side in sides)
        return zip(before, after, strict=True)

    def _of_pair(self, before: Tensor, after: Tensor) -> Float[Tensor, "batch features positions"]:
        first, second = self._of_frame(before), self._of_frame(after)
        return self.pair(torch.cat([first, second, second - first, _correlation(first.detach(), second.detach())], 1)).flatten(2)

    def _of_frame(self, frames: Tensor) -> Tensor:
        return self.frame(frames.float() / 127.5 - 1)

    def _check(self, frames: Tensor) -> None:
        if frames.shape[1] != self.config.channels:
            raise DataError(f"Frames have {frames.shape[1]} channels; this classifier was trained on {self.config.channels}.")


def _correlation(first: Tensor, second: Tensor) -> Float[Tensor, "batch shifts height width"]:
    """How well each place of the first map fits the second map at each shift. It makes motion visible to the next convolution.

    Give detached maps: this gradient would cost more than all others, and the maps learn from the other inputs.
    """
    rows, columns = _REACH
    height, width = first.shape[2:]
    padded = F.pad(second, (columns, columns, rows, rows))
    shifts = [(row, column) for row in range(2 * rows + 1) for column in range(2 * columns + 1)]
    return torch.stack([(first * padded[:, :, row : row + height, column : column + width]).mean(1) for row, column in shifts], 1)


def _convolution(given: int, made: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, kernel, stride, kernel // 2), nn.GroupNorm(1, made), nn.GELU())
