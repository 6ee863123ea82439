"""A world that is played: one frame after another, each given the action that leads to it [VQVAE §4.4]."""

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from vqvae import seeding
from vqvae.errors import ConfigError
from vqvae.layers.autoregressive import Choice
from vqvae.layers.frame_memory import FrameMemory
from vqvae.priors import MaskedPrior, SamplingPrior, WorldPrior


def memory_of(prior: SamplingPrior | None) -> FrameMemory | None:
    """The memory of a prior over frames, in which it can be played. None if it has none."""
    return prior.memory if isinstance(prior, WorldPrior | MaskedPrior) else None


class Play:
    """Codes of frames that are drawn when the player acts. What a frame costs does not grow with the number of frames.

    The frames are those that ``imagine_codes`` draws with the same seed and actions.
    """

    def __init__(
        self,
        prior: SamplingPrior,
        known: Int64[Tensor, "one codebooks time *space"],
        before: Int64[Tensor, "one steps"] | None = None,
        *,
        seed: int = 0,
        choice: Choice = Choice(),
    ) -> None:
        """Remember the known frames.

        Args:
            prior: a prior over frames with a memory.
            known: the codes of the first frames, at least one.
            before: the actions between them. Default: the first action.
            seed: seed of the random numbers.
            choice: how a code is chosen from its logits.

        Raises:
            ConfigError: the prior has no memory, or a number of ``choice`` is out of range.
        """
        choice.check()
        memory = memory_of(prior)
        if memory is None or not isinstance(prior, WorldPrior | MaskedPrior):
            raise ConfigError(f"A {type(prior).__name__} has no memory of frames, so its world cannot be played. Train a prior 'world'.")
        self._prior, self._choice, self._remembers = prior, choice, memory
        self._device = next(prior.parameters()).device
        known = known.to(self._device)
        self._generator = seeding.generator(seed, "sample", 0)
        self._count = math.prod(known.shape[3:]) * prior.num_codebooks
        self._numbers(known.shape[2])
        self._memory, self._last = memory.nothing(1, tuple(known.shape[3:])), known[:, :, 0]
        for time in range(1, known.shape[2]):
            self._remember(0 if before is None else int(before[0, time - 1]))
            self._last = known[:, :, time]

    @torch.inference_mode()
    def step(self, action: int = 0) -> Int64[Tensor, "one codebooks *space"]:
        """The codes of the frame that follows an action."""
        self._remember(action)
        self._last = self._prior.draw_frame(self._memory, self._numbers(1), self._choice)
        return self._last

    @torch.inference_mode()
    def _remember(self, action: int) -> None:
        with torch.autocast(self._device.type, enabled=False):
            taken = torch.full((1,), action, dtype=torch.int64, device=self._device)
            self._memory = self._remembers.remember(self._memory, self._last, taken)

    def _numbers(self, frames: int) -> Tensor:
        """The random numbers of the next frames."""
        drawn = torch.rand(frames * self._count, generator=self._generator, dtype=torch.float64, device="cpu")
        return drawn[None]
