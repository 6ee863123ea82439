"""An inverse-dynamics classifier: it names the action between two frames. Trained on real frames and applied to imagined ones.

What it still names in imagined frames is what a world model has learned to obey.
"""

from collections.abc import Sequence

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
"""Numbers that the classifier's last layer takes."""


@settings
class InverseDynamicsConfig:
    """Convolutions of each frame, convolutions of both frames, their difference and their correlation, a layer of logits."""

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
        """Nats of the right actions, and the share of pairs for which they come first.

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
        """Scores of all actions."""
        first, second = self._of_frame(before), self._of_frame(after)
        found = self.pair(torch.cat([first, second, second - first, _correlation(first.detach(), second.detach())], 1)).flatten(2)
        return self.head(torch.cat([found.mean(2), found.amax(2)], 1))

    @torch.inference_mode()
    def predict(self, clips: UInt8[Tensor, "clips channels time height width"], among: Sequence[int] = ()) -> Int[Tensor, "clips steps"]:
        """The most likely action between each frame and the next, on the CPU: one fewer than frames.

        Args:
            clips: consecutive frames.
            among: the actions to choose from. Default: all.

        Raises:
            DataError: if the frames have other channels than the training data.
        """
        self._check(clips)
        before, after = (side.transpose(1, 2).flatten(0, 1) for side in (clips[:, :, :-1], clips[:, :, 1:]))
        device = self.head.weight.device
        pairs = zip(before.split(_AT_ONCE), after.split(_AT_ONCE), strict=True)
        chosen = torch.tensor(list(among) or range(self.config.actions))
        found = [self.logits(a.to(device), b.to(device)).cpu()[:, chosen].argmax(1) for a, b in pairs]
        return chosen[torch.cat(found)].view(len(clips), -1)

    @torch.inference_mode()
    def features(self, frames: UInt8[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        """The mean and the standard deviation over space of the convolutions of single frames, (batch, 2 width), on the CPU.

        Raises:
            DataError: if the frames have other channels than the training data.
        """
        self._check(frames)
        device = self.head.weight.device
        found = [self._of_frame(part.to(device)).flatten(2) for part in frames.split(_AT_ONCE)]
        return torch.cat([torch.cat([one.mean(2), one.std(2, correction=0)], 1) for one in found]).cpu()

    def _of_frame(self, frames: Tensor) -> Tensor:
        return self.frame(frames.float() / 127.5 - 1)

    def _check(self, frames: Tensor) -> None:
        if frames.shape[1] != self.config.channels:
            raise DataError(f"Frames have {frames.shape[1]} channels; this classifier was trained on {self.config.channels}.")


def _correlation(first: Tensor, second: Tensor) -> Float[Tensor, "batch shifts height width"]:
    """How well each place of the first map fits the second map at each shift. It makes motion visible to the next convolution.

    The maps are detached: this gradient would cost more than all others, and they learn from the other inputs.
    """
    rows, columns = _REACH
    height, width = first.shape[2:]
    padded = F.pad(second, (columns, columns, rows, rows))
    shifts = [(row, column) for row in range(2 * rows + 1) for column in range(2 * columns + 1)]
    return torch.stack([(first * padded[:, :, row : row + height, column : column + width]).mean(1) for row, column in shifts], 1)


def _convolution(given: int, made: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(given, made, kernel, stride, kernel // 2), nn.GroupNorm(1, made), nn.GELU())
