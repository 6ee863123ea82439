"""A criterion that learns to distinguish reconstructions from data, while the model learns to deceive it."""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vqvae.likelihoods.distance import Distance


class Adversary(Distance):
    """A distance with its own parameters, trained by its own optimizer: ``TrainConfig.adversary_optimizer``.

    ``loss`` is the model's penalty for being recognised. Its gradient passes through the adversary and does not train it.
    """

    @abstractmethod
    def own_loss(
        self, made: Float[Tensor, "batch channels *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, ""]:
        """The adversary's loss: how badly it distinguishes ``made`` from the data. ``made`` is from -1 to 1 and has no gradient."""


def deceived(adversary: Adversary, made: Tensor, x: Tensor, mask: Tensor | None) -> Float[Tensor, " batch"]:
    """The adversary's ``loss``. Its gradient reaches the reconstruction but not the adversary."""
    frozen = {name: parameter.detach() for name, parameter in adversary.named_parameters()}
    return torch.func.functional_call(adversary, frozen, (made, x, mask))
