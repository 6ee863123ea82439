"""Small integer priors with arbitrary weights, and codes for them."""

import torch

from vqvae.codec.fitting import FloatPrior, to_integers
from vqvae.codec.integer import IntegerPrior, IntegerPriorConfig
from vqvae.codec.static import frequencies_of
from vqvae.data.base import Condition


def prior_of(**settings: object) -> IntegerPrior:
    """A prior that nothing was trained for."""
    config = IntegerPriorConfig(**{"codebook_size": 11, "width": 4, "hidden": 8, **settings})
    draws = torch.Generator().manual_seed(0)
    network = FloatPrior(config, draws)
    with torch.no_grad():
        for weights in network.parameters():
            weights += 0.3 * torch.randn(weights.shape, generator=draws)
    return with_frequencies(to_integers(network))


def histogram_of(codebook_size: int) -> IntegerPrior:
    """Frequencies alone, without a network."""
    return with_frequencies(IntegerPriorConfig(codebook_size=codebook_size, hidden=0).build())


def with_frequencies(prior: IntegerPrior) -> IntegerPrior:
    """The prior with frequencies that grow with the code."""
    counts = torch.arange(1, prior.config.codebook_size + 1).expand(prior.config.num_codebooks, -1)
    prior.frequencies.copy_(torch.from_numpy(frequencies_of(counts.numpy())))
    return prior


def codes_of(books: int, size: int, *space: int, seed: int = 0) -> torch.Tensor:
    """Arbitrary codes of one example."""
    return torch.randint(size, (books, *space), generator=torch.Generator().manual_seed(seed))


def clip() -> tuple[IntegerPrior, torch.Tensor, Condition]:
    """Codes with everything that they may depend on: two codebooks, a level above, a class and actions."""
    above = {"above_sizes": (5,), "above_codebooks": (3,), "strides": ((1, 8, 8), (1, 4, 4))}
    prior = prior_of(num_codebooks=2, axes=3, classes=4, actions=6, **above)
    given = Condition(torch.tensor([2]), torch.tensor([[5, 0]]), (codes_of(3, 5, 3, 2, 2, seed=1)[None],))
    return prior, codes_of(2, 11, 3, 4, 3), given
