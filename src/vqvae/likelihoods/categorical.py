"""A 256-way categorical likelihood: the one behind the paper's bits/dim on CIFAR-10 [VQVAE §4.1]."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from vqvae.errors import ConfigError
from vqvae.likelihoods.base import Likelihood
from vqvae.likelihoods.pixels import LEVELS, check_pair, check_parameters, check_temperature, to_bins


@dataclass(frozen=True, kw_only=True)
class CategoricalConfig:
    """A free probability for each of the 256 levels."""

    channels: int = 3
    """Channels of the image."""

    def build(self) -> "Categorical":
        return Categorical(self)


class Categorical(Likelihood):
    """A softmax over 256 levels for every channel of every pixel, with no order among the levels."""

    def __init__(self, config: CategoricalConfig) -> None:
        super().__init__()
        if config.channels < 1:
            raise ConfigError(f"CategoricalConfig.channels is {config.channels}; it must be at least 1.")
        self.config = config
        self.channels = config.channels

    @property
    def num_parameters(self) -> int:
        """One logit a level, for each channel."""
        return self.channels * LEVELS

    def log_prob(self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor) -> Float[Tensor, " batch"]:
        """log p(x | parameters), in nats an example.

        Raises:
            DataError: pixels or parameters of the wrong type or shape.
        """
        parameters, x = check_pair(parameters, x, self.num_parameters, self.channels)
        nats = torch.nn.functional.cross_entropy(self._logits(parameters).transpose(1, 2), x.long(), reduction="none")
        return -nats.flatten(1).sum(1)

    def sample(
        self, parameters: Float[Tensor, "batch parameters *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> UInt8[Tensor, "batch channels *space"]:
        """Draw pixels; the logits are divided by ``temperature``, and 0 is the mode."""
        if check_temperature(temperature) == 0:
            return self.mode(parameters)
        logits = self._logits(check_parameters(parameters, self.num_parameters)).movedim(2, -1)
        share = (logits / temperature).softmax(-1)
        drawn = torch.multinomial(share.reshape(-1, LEVELS), 1, generator=generator)
        return drawn.view(share.shape[:-1]).to(torch.uint8)

    def mode(self, parameters: Float[Tensor, "batch parameters *space"]) -> UInt8[Tensor, "batch channels *space"]:
        """The most likely level."""
        return self._logits(check_parameters(parameters, self.num_parameters)).argmax(2).to(torch.uint8)

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch channels *space"]:
        """Pixels as bins: the levels themselves."""
        return to_bins(x, self.channels)

    def _logits(self, parameters: Tensor) -> Float[Tensor, "batch channels levels *space"]:
        return parameters.unflatten(1, (self.channels, LEVELS))
