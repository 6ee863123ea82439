"""A criterion that learns to tell what a decoder makes from data, beside the model that learns to deceive it."""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vqvae.likelihoods.distance import Distance


class Adversary(Distance):
    """A distance with parameters of its own, which an optimizer of its own moves: ``TrainConfig.adversary_optimizer``.

    ``loss`` is what the model pays for being told apart; its gradient passes through the adversary and leaves it as it is.
    """

    @abstractmethod
    def own_loss(
        self, made: Float[Tensor, "batch channels *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, ""]:
        """What the adversary minimises: how badly it tells what was made, from -1 to 1 and without a gradient, from the data."""


def deceived(adversary: Adversary, made: Tensor, x: Tensor, mask: Tensor | None) -> Float[Tensor, " batch"]:
    """The adversary's ``loss``, whose gradient reaches what was made and not the adversary."""
    frozen = {name: parameter.detach() for name, parameter in adversary.named_parameters()}
    return torch.func.functional_call(adversary, frozen, (made, x, mask))
