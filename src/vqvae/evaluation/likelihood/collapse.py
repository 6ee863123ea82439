"""Whether a decoder uses its latents or ignores them (posterior collapse): E5 of [VQVAE §4.2].

A decoder that predicts each value from earlier ones can do without latents. Held-out data answers three questions. How much information
do the latents carry about an example? How much worse is the decoder with another example's latents? How much better is it than the same
decoder trained without latents?
"""

import math
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from vqvae import seeding
from vqvae.bits import bits
from vqvae.data.base import Batch, Dataset
from vqvae.data.loader import spread
from vqvae.errors import DataError
from vqvae.exact import exact, exact_sum

ACTIVE_VARIANCE = 0.01
"""A Gaussian latent is active if the variance of its posterior mean over examples is above this: Burda et al. 2015,
https://arxiv.org/abs/1509.00519."""
ACTIVE_BITS = 0.1
"""A code is active if its entropy over examples is above this."""
BATCH = 64


@runtime_checkable
class WithCodes(Protocol):
    """A model whose latents are codes."""

    def encode(self, batch: Batch) -> tuple[Tensor, ...]: ...

    def log_likelihood(self, batch: Batch, codes: tuple[Tensor, ...]) -> Tensor: ...


@runtime_checkable
class Posterior(Protocol):
    """q(z|x), one Gaussian per latent."""

    @property
    def mean(self) -> Tensor: ...

    @property
    def log_scale(self) -> Tensor: ...


@runtime_checkable
class WithGaussians(Protocol):
    """A model whose latents are Gaussian, with a standard normal prior."""

    def posterior(self, batch: Batch) -> Posterior: ...

    def log_likelihood(self, batch: Batch, latents: Tensor) -> Tensor: ...


@torch.inference_mode()
def measure_collapse(
    model: WithCodes | WithGaussians,
    held_out: Dataset,
    *,
    without: Callable[[Batch], Tensor] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    batch_size: int = BATCH,
    count: int | None = None,
) -> dict[str, float]:
    """How much a model uses its latents. All results except counts are in bits per example.

    ``code_entropy``: for models with codes, the sum of the entropies of an example's codes.
    ``kl_bits``: for models with Gaussian latents, the mean of KL(q(z|x) ‖ p(z)).
    ``mutual_information``: an estimate of I(x; z), the mean of log q(z|x) − log q(z), where q(z) is the mean of the posteriors of
    these examples. It is at most log₂ of their number.
    ``active_units`` of ``units``: the latents that change with the example, by ``ACTIVE_BITS`` or ``ACTIVE_VARIANCE``.
    ``bits_given_latents``: −log₂ p(x|z) for one z drawn from q(z|x).
    ``bits_lost_when_shuffled``: the increase of ``bits_given_latents`` if every example gets another example's z.
    ``bits_gained``, if ``without`` is given: ``bits_without_latents`` minus ``bits_given_latents``.

    Args:
        model: the model, in evaluation mode, on ``device``.
        held_out: examples on which it was not trained.
        without: log p(x) in nats by the same decoder, trained without latents.
        seed: seed of the posterior's draws and of the shuffle.
        device: the model's device.
        batch_size: examples per batch.
        count: the largest number of examples to use, spread over the set. None: all.

    Raises:
        DataError: if there are fewer than two examples.
    """
    examples = len(held_out) if count is None else min(count, len(held_out))
    if examples < 2:
        raise DataError(
            f"{held_out.name} has {len(held_out)} examples, of which {examples} are used. Shuffling latents needs at least two."
        )
    generator = seeding.generator(seed, "collapse", device=device)
    latents = _Codes(model) if isinstance(model, WithCodes) else _Gaussians(model, generator)
    drawn, given, bare = [], 0.0, 0.0
    for batch in _batches(held_out, examples, batch_size, device):
        drawn.append(latents.add(batch))
        given -= exact_sum(latents.log_likelihood(batch, drawn[-1]))
        bare -= 0.0 if without is None else exact_sum(without(batch))
    order = derangement(examples, seeding.generator(seed, "derangement")).to(device)
    others, shuffled = torch.cat(drawn)[order].split(batch_size), 0.0
    for batch, other in zip(_batches(held_out, examples, batch_size, device), others, strict=True):
        shuffled -= exact_sum(latents.log_likelihood(batch, other))
    each = {"bits_given_latents": given, "bits_lost_when_shuffled": shuffled - given}
    if without is not None:
        each |= {"bits_without_latents": bare, "bits_gained": bare - given}
    return {**latents.scores(), **{name: bits(nats) / examples for name, nats in each.items()}, "examples": examples}


def derangement(count: int, generator: torch.Generator) -> Int64[Tensor, " count"]:
    """A permutation without fixed points: one random cycle through all, uniformly drawn."""
    order = torch.randperm(count, generator=generator)
    return torch.empty_like(order).scatter_(0, order, order.roll(1))


def draw_latents(posterior: Posterior, generator: torch.Generator) -> Float[Tensor, "batch dim *space"]:
    """z from q(z|x): its mean, and its scale times noise."""
    mean = posterior.mean
    return mean + posterior.log_scale.exp() * torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)


def entropies(codes: Int[Tensor, "examples units"]) -> Float[Tensor, " units"]:
    """The entropy of each column over the examples, in nats."""
    return torch.stack([_entropy(torch.bincount(column)) for column in codes.unbind(1)])


class _Codes:
    """Latents that are codes, a function of the example."""

    def __init__(self, model: WithCodes) -> None:
        self._model, self._codes = model, []

    def add(self, batch: Batch) -> Int64[Tensor, "batch codebooks *space"]:
        (codes,) = self._model.encode(batch)
        self._codes.append(codes.flatten(1))
        return codes

    def log_likelihood(self, batch: Batch, drawn: Tensor) -> Tensor:
        return self._model.log_likelihood(batch, (drawn,))

    def scores(self) -> dict[str, float]:
        codes = torch.cat(self._codes)
        each = bits(entropies(codes))
        _, counts = codes.unique(dim=0, return_counts=True)
        return {
            "code_entropy": float(each.sum()),
            "mutual_information": float(bits(_entropy(counts))),
            "active_units": int((each > ACTIVE_BITS).sum()),
            "units": codes.shape[1],
        }


class _Gaussians:
    """Latents drawn from a Gaussian for each example."""

    def __init__(self, model: WithGaussians, generator: torch.Generator) -> None:
        self._model, self._generator = model, generator
        self._means, self._log_scales, self._drawn = [], [], []

    def add(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        posterior = self._model.posterior(batch)
        drawn = draw_latents(posterior, self._generator)
        for parts, part in ((self._means, posterior.mean), (self._log_scales, posterior.log_scale), (self._drawn, drawn)):
            parts.append(exact(part.flatten(1)))
        return drawn

    def log_likelihood(self, batch: Batch, drawn: Tensor) -> Tensor:
        return self._model.log_likelihood(batch, drawn)

    def scores(self) -> dict[str, float]:
        mean, log_scale, drawn = (torch.cat(parts) for parts in (self._means, self._log_scales, self._drawn))
        kl = ((mean.square() + torch.expm1(2 * log_scale)) / 2 - log_scale).sum(1)
        return {
            "kl_bits": float(bits(kl.mean())),
            "mutual_information": float(bits(_information(mean, log_scale, drawn))),
            "active_units": int((mean.var(0) > ACTIVE_VARIANCE).sum()),
            "units": mean.shape[1],
        }


def _information(
    mean: Float[Tensor, "examples units"], log_scale: Float[Tensor, "examples units"], drawn: Float[Tensor, "examples units"]
) -> Tensor:
    """The mean of log q(z_i|x_i) − log (1/N) Σ_j q(z_i|x_j), in nats: Hoffman & Johnson 2016, "ELBO surgery"."""
    precision = (-2 * log_scale).exp()
    own = (mean.square() * precision / 2 + log_scale).sum(1)
    total = mean.new_zeros(())
    for first in range(0, len(drawn), BATCH):
        z = drawn[first : first + BATCH]
        # (z − μ)² / 2σ² + log σ of all pairs, as products of matrices.
        log_q = z @ (mean * precision).T - z.square() @ precision.T / 2 - own
        rows = torch.arange(len(z), device=z.device)
        total += (log_q[rows, first + rows] - log_q.logsumexp(1)).sum()
    return total / len(drawn) + math.log(len(drawn))


def _entropy(counts: Int[Tensor, " values"]) -> Float[Tensor, ""]:
    share = exact(counts) / int(counts.sum())
    return torch.special.entr(share).sum()


def _batches(held_out: Dataset, examples: int, batch_size: int, device: torch.device | str) -> Iterator[Batch]:
    return (batch.to(device) for batch in spread(held_out, examples, batch_size))
