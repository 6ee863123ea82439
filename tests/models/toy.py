"""Models so small that the sum over all their codes can be taken: grey images of 2×4 pixels, two codes of four."""

import itertools
import math
import typing

import torch
from torch import Tensor, nn

from vqvae.data.base import Batch
from vqvae.likelihoods import CategoricalConfig
from vqvae.models import GumbelSoftmaxConfig, VAEConfig, VIMCOConfig, VQVAEConfig
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import VectorQuantizerConfig

SIZE = 4
GRIDS = torch.tensor(list(itertools.product(range(SIZE), repeat=2))).view(SIZE**2, 1, 1, 2)
"""All grids of codes."""


def make(kind: type, *, listens: float = 1.0, **changes: object) -> typing.Any:
    """A model with random weights, in evaluation mode.

    ``listens`` multiplies what the decoder puts out: the larger, the more depends on the codes.
    """
    torch.manual_seed(0)
    chosen = {
        VQVAEConfig: {"quantizer": VectorQuantizerConfig(dim=3, codebook_size=SIZE, start_from_data=False)},
        VIMCOConfig: {"codebook_size": SIZE, "dim": 3, "samples": 3},
        GumbelSoftmaxConfig: {"codebook_size": SIZE, "dim": 3},
        VAEConfig: {"dim": 1},
    }[kind]
    network = {"widths": (4,), "residual_blocks": 1, "residual_hidden": 3}
    config = kind(
        likelihood=CategoricalConfig(channels=1),
        encoder=ImageEncoderConfig(**network),
        decoder=ImageDecoderConfig(**network),
        **{**chosen, **changes},
    )
    model = config.build().eval()
    with torch.no_grad():
        for parameter in last(model.decoder).parameters():
            parameter.mul_(listens)
        last(model.encoder).weight.mul_(5)
    return model


def last(network: nn.Module) -> nn.Module:
    """The last layer of an encoder or decoder."""
    return network.layers[-1]


def image(repeats: int = 1, width: int = 4) -> Batch:
    """One image, as often as asked for."""
    x = torch.randint(0, 256, (1, 1, 2, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Batch(x.expand(repeats, 1, 2, width))


def log_joint(model: CodeAutoencoder, grids: Tensor = GRIDS) -> Tensor:
    """log p(x|z) + log p(z) of the image under every grid of codes, the prior uniform; float64, for sums over many."""
    return model.log_likelihood(image(len(grids)), (grids,)).double() - 2 * math.log(SIZE)


def log_likelihood(model: CodeAutoencoder) -> Tensor:
    """log p(x) of the image: exactly, by the sum over all codes."""
    return log_joint(model).logsumexp(0)


def log_posterior(model: typing.Any) -> Tensor:
    """log q(z|x) of every grid, for models with a categorical posterior."""
    log_probs = model.posterior.log_probs(model.latents(image()))
    return model.posterior.log_prob(log_probs, GRIDS.unsqueeze(1))[:, 0].double()
