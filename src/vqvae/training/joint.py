"""A tokenizer and its prior in one objective: the joint training that [VQVAE §5] leaves to future work.

The prior's opinion of the codes reaches the tokenizer in two ways: as the quantizer's rate, which is entropy-constrained vector
quantization (https://doi.org/10.1109/29.17498), and as a term of the loss. docs/theory/joint-training.md derives both.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vqvae import distributed
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import ConfigError
from vqvae.models import VQVAEConfig
from vqvae.models.decoding import parameters_of
from vqvae.priors import PixelCNNConfig

_FLATTEST = 1e-12
"""A decoder that does not hear a codebook at all has no curvature; its price must stay a number."""
PROBED = 2
"""Examples of a batch that the curvature is measured on. Each has thousands of slopes, and the running mean has many batches."""


@dataclass(frozen=True, kw_only=True)
class JointConfig:
    """A tokenizer and a prior over its codes, which learn from the same batches."""

    tokenizer: VQVAEConfig
    """Data to codes and back."""
    prior: PixelCNNConfig
    """p(codes), of as many codebooks and codes as the tokenizer has."""
    weight: float = 1.0
    """What the tokenizer pays for its codes once the annealing is over: at 1 a nat of codes counts like a nat of data, at 0 nothing."""
    anneal_steps: int = 1000
    """Training batches over which the weight rises from 0, in a straight line; a step of n accumulated parts counts n."""
    decay: float = 0.99
    """How much of the running means (of code probabilities and of curvature) a training batch keeps."""

    def __post_init__(self) -> None:
        if self.weight < 0 or self.anneal_steps < 0:
            raise ConfigError(
                f"weight is {self.weight} and anneal_steps is {self.anneal_steps}; "
                "neither may be negative (anneal_steps 0: the whole weight throughout)."
            )
        if not 0 <= self.decay < 1:
            raise ConfigError(f"decay is {self.decay}; it must lie in [0, 1).")

    def build(self) -> "Joint":
        return Joint(self)


class Joint(nn.Module):
    """A VQ-VAE and a PixelCNN that are trained together.

    x ─ encoder ─ z_e ─ quantizer ─ codes ─ prior ─ log p(codes)
                 │     ↑ rate           │
                 │     └─ mean of p(k) ─┤
                 └─ soft codes ─────────┴─ expected cost of the codes

    The prior learns from the codes of each batch, and its gradient stops there. The tokenizer minimises what it does alone plus
    ``weight`` times the cost of its codes in nats a dimension. In evaluation mode the codes are the nearest ones, as those of the
    tokenizer are when it is saved on its own: the bound is then that of the two parts as an ordinary run.
    """

    steps: Tensor
    shares: Tensor
    curvature: Tensor

    def __init__(self, config: JointConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer, self.prior = config.tokenizer.build(), config.prior.build()
        books, size, _ = self.tokenizer.layout[0]
        if (self.prior.num_codebooks, self.prior.codebook_size) != (books, size):
            raise ConfigError(
                f"The tokenizer has {books} codebooks of {size} codes, the prior {self.prior.num_codebooks} of "
                f"{self.prior.codebook_size}. Give both the same."
            )
        # All three are in the saved state, so that a resumed run goes on where it stopped.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("shares", torch.full((books, size), 1 / size))
        # Means nothing before the first batch: a rate that is the same for all codes changes no choice.
        self.register_buffer("curvature", torch.ones(books))

    @property
    def weight(self) -> Float[Tensor, ""]:
        """The weight of the next training batch."""
        config = self.config
        done = (self.steps / config.anneal_steps).clamp(max=1) if config.anneal_steps else torch.ones_like(self.steps, dtype=torch.float32)
        return config.weight * done

    @property
    def price(self) -> Float[Tensor, " codebooks"]:
        """The squared distance between a latent and its vector that costs one nat of log p(x|z)."""
        return 2 / self.curvature.clamp(min=_FLATTEST)

    @property
    def rate(self) -> Float[Tensor, "codebooks codebook_size"]:
        """What a code costs more than the likeliest one, by the prior's mean opinion: as a squared distance, times the weight."""
        shares = self.shares.clamp(min=torch.finfo(torch.float32).tiny)
        return self.weight * self.price[:, None] * (shares.amax(1, keepdim=True) / shares).log()

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch. Metrics are the tokenizer's, under the uniform prior, and with the prior that is learned
        ``nats_per_dim_learned``, the whole bound, and ``nats_per_code``; of the annealing ``weight``, and ``price``, its mean.

        Only a training batch with gradients enabled counts as a step.
        """
        latents = self.tokenizer.latents(batch)
        quantized = self.tokenizer.quantizer(latents, rate=self.rate if self.training else None)
        loss, metrics = self.tokenizer.objective(batch, quantized)
        condition = Condition(label=batch.condition.label) if self.prior.classes else Condition()
        log_probs = self.prior.log_probs(quantized.codes, condition)
        nats = -log_probs.gather(2, quantized.codes.unsqueeze(2)).sum()
        dims, codes = max(batch.x.numel(), 1), max(quantized.codes.numel(), 1)
        loss = loss + nats / dims
        metrics = {
            **metrics,
            "nats_per_dim_learned": metrics["nats_per_dim"] - metrics["kl_nats_per_dim"] + nats.detach() / dims,
            "nats_per_code": nats.detach() / codes,
            "weight": self.weight,
            "price": self.price.mean(),
        }
        if self.training and torch.is_grad_enabled():
            if self.config.weight:
                self._observe(batch, quantized.vectors.detach(), log_probs.detach())
                loss = loss + self.weight * self._expected_cost(latents, -log_probs.detach()) / dims
            self.steps += 1
        return Objective(loss, metrics)

    def start(self, batches: Iterable[Batch]) -> None:
        """Start the codebooks from the latents of these batches; see ``Tokenizer.start``."""
        self.tokenizer.start(batches)

    def _expected_cost(
        self, latents: Float[Tensor, "batch dim height width"], costs: Float[Tensor, "batch codebooks codebook_size height width"]
    ) -> Float[Tensor, ""]:
        """Nats of the batch's codes, were each drawn by how near it is: the choice as something that has a gradient.

        A code's share falls by a factor of e for each nat that its distance costs the data.
        """
        with torch.autocast(latents.device.type, enabled=False):
            codebook = self.tokenizer.quantizer.codebook.detach()
            groups = latents.float().unflatten(1, (len(codebook), -1))
            # |z|² is left out: it is the same for all codes.
            nearness = 2 * torch.einsum("bcdhw,ckd->bckhw", groups, codebook) - codebook.square().sum(2)[..., None, None]
            return ((nearness / self.price.view(-1, 1, 1, 1)).softmax(2) * costs).sum()

    def _observe(self, batch: Batch, vectors: Tensor, log_probs: Tensor) -> None:
        """Move the running means by a batch: a plain mean over the first ones, so that none starts from a guess."""
        new = 1 / (self.steps + 1).clamp(max=1 / (1 - self.config.decay))
        shares = log_probs.exp().mean((0, 3, 4))
        curvature = self._curvature(batch.take(torch.arange(min(PROBED, len(batch.x)), device=batch.x.device)), vectors[:PROBED])
        self.shares.lerp_(distributed.mean_(shares), new)
        self.curvature.lerp_(distributed.mean_(curvature), new)

    def _curvature(self, batch: Batch, vectors: Float[Tensor, "batch dim height width"]) -> Float[Tensor, " codebooks"]:
        """The mean second derivative of −log p(x|z) by a channel of the vectors, in nats a squared unit.

        It is the variance of the first derivative for data that the model itself draws (Fisher's information), so it needs no
        second derivatives and is never negative. The likelihood's data takes the place of the batch's.
        """
        tokenizer, vectors = self.tokenizer, vectors.clone().requires_grad_()
        parameters = parameters_of(tokenizer.decoder, tokenizer.likelihood, vectors, batch)
        drawn = tokenizer.likelihood.sample(parameters.detach().float())
        (slope,) = torch.autograd.grad(tokenizer.likelihood.log_prob(parameters, drawn).sum(), vectors)
        return slope.float().square().unflatten(1, (len(self.curvature), -1)).mean((0, 2, 3, 4))
