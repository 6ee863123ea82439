"""How much codes other than the encoder's add to p(x): log Σ_z p(x|z) p(z) beside log p(x|z_q) p(z_q) [VQVAE §3.2]."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vqvae.codes import LogPrior, uniform_log_prob
from vqvae.config import check_at_least
from vqvae.data.base import Batch
from vqvae.errors import ConfigError
from vqvae.exact import check_float64, exact
from vqvae.models import VQVAE, LatentModel
from vqvae.quantizers import CodebookQuantizer

FARTHER = 0.1
"""Share of replacement codes drawn uniformly, whatever their distance, so that no code has a tiny probability."""


class Marginal(NamedTuple):
    """Two lower bounds on log p(x) of each example, in nats."""

    own: Float[Tensor, " batch"]
    """log p(x|z_q) + log p(z_q): the term of the encoder's codes, which ``VQVAE.bound`` returns."""
    total: Float[Tensor, " batch"]
    """The estimated log of the sum over all codes: never below ``own``, and on average not above log p(x)."""


class NearCodes:
    """A distribution r(z) over all grids of codes except z_q. It favours grids that differ from z_q in few places and by little.

    A mean number of replacements is drawn uniformly from ``replaced``. Each place independently gets another code with the probability
    that gives this mean; grids without replacements are excluded. The other code is drawn from a softmax of -distance / spread, or
    uniformly in one case of ten.
    """

    def __init__(
        self, distances: Float[Tensor, "batch places codes"], own: Int[Tensor, "batch places"], replaced: Sequence[float] = (1.0, 4.0)
    ) -> None:
        """Set up r for each example of a batch.

        Args:
            distances: squared distances of each place's latent to all codes.
            own: z_q, the code at each place.
            replaced: mean numbers of replaced codes, before grids without replacements are excluded.

        Raises:
            ConfigError: if there is only one code, or a number is not positive.
        """
        places, size = distances.shape[1:]
        if size < 2:
            raise ConfigError(f"The codebook has {size} codes; a sum over codes needs at least 2.")
        if not replaced or not min(replaced) > 0:
            raise ConfigError(f"replaced is {tuple(replaced)}; it must hold at least one number, each positive.")
        self.own, self.places = own, places
        others = exact(distances).scatter(2, own.unsqueeze(2), math.inf)
        near = others - others.amin(2, keepdim=True)
        # How much farther the second nearest code is than the nearest, on average: the scale on which codes are near.
        spread = (others.amin(2) - exact(distances).gather(2, own.unsqueeze(2))[..., 0]).mean() if own.numel() else near.new_ones(())
        softened = (-near / spread.clamp(min=1e-12)).softmax(2)
        is_other = torch.ones_like(softened).scatter(2, own.unsqueeze(2), 0)
        self.others: Float[Tensor, "batch places codes"] = (1 - FARTHER) * softened + FARTHER / (size - 1) * is_other
        self.chances = torch.tensor([min(number / places, 1 - 1 / size) for number in replaced], dtype=torch.float64, device=own.device)

    def sample(self, generator: torch.Generator | None = None) -> Int[Tensor, "batch places"]:
        """Draw one grid per example."""
        drawn = self.own.clone()
        if not drawn.numel():
            return drawn
        like = {"generator": generator, "device": drawn.device}
        changed = self._changed(torch.rand(2, len(drawn), 1, dtype=torch.float64, **like), torch.rand(drawn.shape, **like))
        drawn[changed] = torch.multinomial(self.others[changed], 1, generator=generator)[:, 0]
        return drawn

    def log_prob(self, codes: Int[Tensor, "batch places"]) -> Float[Tensor, " batch"]:
        """log r(codes), in nats; -inf for z_q itself."""
        changed = codes != self.own
        log_codes = self.others.gather(2, codes.unsqueeze(2))[..., 0].log()
        number = changed.sum(1, keepdim=True)
        log_places = number * self.chances.log() + (self.places - number) * torch.log1p(-self.chances)
        log_any = torch.log(-torch.expm1(self.places * torch.log1p(-self.chances)))
        log_kind = (log_places - log_any).logsumexp(1) - math.log(len(self.chances))
        whole = log_kind + torch.where(changed, log_codes, 0).sum(1)
        return torch.where(changed.any(1), whole, -math.inf)

    def _changed(self, uniforms: Float[Tensor, "2 batch 1"], each: Float[Tensor, "batch places"]) -> Bool[Tensor, "batch places"]:
        """Which places are replaced. The first is drawn by inverse CDF, given that there is one; later places are drawn independently."""
        kind, first = uniforms
        chance = self.chances[(kind * len(self.chances)).long()]
        log_keep = torch.log1p(-chance)
        at = (torch.log1p(first * torch.expm1(self.places * log_keep)) / log_keep).long().clamp(max=self.places - 1)
        place = torch.arange(self.places, device=each.device)
        return (place == at) | ((place > at) & (each < chance))


@torch.no_grad()
def sum_over_codes(
    model: LatentModel,
    batch: Batch,
    *,
    samples: int,
    log_prior: LogPrior | None = None,
    replaced: Sequence[float] = (1.0, 4.0),
    generator: torch.Generator | None = None,
) -> Marginal:
    """Estimate how much log Σ_z p(x|z) p(z) exceeds the single term log p(x|z_q) p(z_q) of the VQ-VAE's score [VQVAE §3.2].

    The term of z_q is exact, the others are sampled from r(z) of ``NearCodes``, which is positive wherever z differs from z_q:

    total = log( p(x|z_q) p(z_q) + 1/m Σ_i p(x|z_i) p(z_i) / r(z_i) )

    The sum inside has the expected value p(x), so by Jensen's inequality the expected ``total`` is a lower bound on log p(x). It
    is never below ``own`` and rises with ``samples``, on average. Each sample costs one pass of the decoder and, if given, of the
    prior.

    Args:
        model: a VQ-VAE with one codebook, or several with their own channels, in evaluation mode.
        batch: examples.
        samples: m.
        log_prior: log p(z) of codes. Default: the uniform prior.
        replaced: mean numbers of codes that a sample replaces.
        generator: the generator for samples. Default: torch's own.

    Raises:
        ConfigError: if the model is not such a VQ-VAE, settings are out of range, or the device has no float64.
        DataError: if examples do not fit the model.
    """
    quantizer = model.quantizer if isinstance(model, VQVAE) else None
    if not isinstance(model, VQVAE) or not isinstance(quantizer, CodebookQuantizer) or not quantizer.shares_out_channels:
        raise ConfigError(
            f"{type(model if quantizer is None else quantizer).__name__} has no codebook whose codes could be replaced. Use a VQVAE "
            "with one codebook, or with several that have their own channels. "
            "The bounds of models that draw their latents rise with their number of samples instead."
        )
    check_at_least(1, "", samples=samples)
    check_float64(batch.x.device, "A sum over codes")
    latents = model.latents(batch).float()
    codes = model.quantize(latents).codes

    def log_joint(codes: Tensor) -> Tensor:
        of_codes = uniform_log_prob(codes, quantizer.codebook_size) if log_prior is None else log_prior(codes, batch.condition, None)
        return exact(model.log_likelihood(batch, codes)) + exact(of_codes)

    parts = latents.unflatten(1, (quantizer.num_codebooks, -1)).flatten(3).transpose(2, 3)
    distances = torch.cdist(parts, quantizer.codebook).square().flatten(1, 2)
    near = NearCodes(distances, codes.flatten(1), replaced)
    own = log_joint(codes)
    others = []
    for _ in range(samples):
        drawn = near.sample(generator)
        others.append(log_joint(drawn.view(codes.shape)) - near.log_prob(drawn) - math.log(samples))
    total = torch.stack([own, *others]).logsumexp(0)
    return Marginal(own.float(), total.float())
