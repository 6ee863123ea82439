"""What distances of waves share, which train a decoder and are no probabilities."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vqvae.errors import DataError
from vqvae.likelihoods.base import Likelihood
from vqvae.likelihoods.pixels import check_temperature


class Distance(Likelihood):
    """A "likelihood" whose ``log_prob`` is minus a distance, times the samples that count: a batch's ``per_dim`` is then the distance."""

    is_density = False
    takes_masks = True
    channels = 1

    def sample(
        self, parameters: Float[Tensor, "batch parameters time"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Float[Tensor, "batch 1 samples"]:
        """The mode, at any temperature: there is nothing to draw from."""
        check_temperature(temperature)
        return self.mode(parameters)

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch 1 time"]:
        """There are no bins.

        Raises:
            DataError: always.
        """
        raise self._no_bins()

    def restore(self, bins: Int64[Tensor, "*any"]) -> Tensor:
        """There are no bins.

        Raises:
            DataError: always.
        """
        raise self._no_bins()

    def _no_bins(self) -> DataError:
        return DataError(f"{type(self).__name__} has no bins: it takes waves as they are. Take MuLawConfig for a decoder that draws bins.")
