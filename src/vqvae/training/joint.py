"""A tokenizer and its prior trained with one objective: the joint training that [VQVAE §5] leaves to future work.

The prior's log p(codes) reaches the tokenizer in two ways: as the quantizer's rate, as in entropy-constrained vector quantization
(https://doi.org/10.1109/29.17498), and as a term of the loss. docs/theory/joint-training.md derives both.
"""

import dataclasses
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vqvae import distributed
from vqvae.codes import only_level
from vqvae.config import settings
from vqvae.data.base import Batch, Objective
from vqvae.errors import ConfigError
from vqvae.models import VQVAEConfig
from vqvae.models.decoding import parameters_of
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import CodebookQuantizer

_FLATTEST = 1e-12
"""If a decoder ignores a codebook, the curvature is 0. This floor keeps the price finite."""
PROBED = 2
"""Number of examples per batch that measure the curvature. Each has many positions, and the running mean covers many batches."""


@settings
class JointConfig:
    """A tokenizer and a prior over its codes, trained on the same batches."""

    tokenizer: VQVAEConfig
    """Converts data to codes and back. ``rated`` is always set, whatever its value here."""
    prior: PixelCNNConfig
    """p(codes), with as many codebooks and codes as the tokenizer."""
    choice_weight: float = 0.3
    """Weight of a code's cost in the choice of codes. 1: a nat of codes counts like a nat of data. 0: choose the nearest code. The cost is
    an average over positions. Given its neighbours, a code usually costs less."""
    loss_weight: float = 1.0
    """Weight of the codes' cost, at their positions, in the tokenizer's loss. 1: a nat counts like a nat of data. 0: off."""
    alone_steps: int = 1000
    """Number of training batches before both weights rise from 0. As long as the decoder ignores the codes, every code seems too
    expensive, and a tokenizer that pays for codes would abandon them for good. A step of n accumulated parts counts n."""
    anneal_steps: int = 1000
    """Number of training batches over which both weights rise linearly."""
    decay: float = 0.99
    """Decay per training batch of the running means of code probabilities and curvature."""

    def __post_init__(self) -> None:
        for name in ("choice_weight", "loss_weight", "alone_steps", "anneal_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative (0 is off).")
        if not 0 <= self.decay < 1:
            raise ConfigError(f"decay is {self.decay}; it must lie in [0, 1).")

    def build(self) -> "Joint":
        return Joint(self)


class Joint(nn.Module):
    """A VQ-VAE and a PixelCNN trained together.

    x ─ encoder ─ z_e ─ quantizer ─ codes ─ prior ─ log p(codes)
                   │    ↑ rate                │
                   │    └────── mean of p(k) ─┤
                   └─ free energy of z_e ─────┘

    The prior learns from the codes of each batch; its gradient stops there. The tokenizer pays for its codes twice: when it chooses
    them, and in its loss. It stores the cost of each choice as its ``rate``. Therefore ``tokenizer`` and ``prior`` can be saved as an
    ordinary run, with the same bound as in the evaluation here.
    """

    steps: Tensor
    shares: Tensor
    curvature: Tensor

    def __init__(self, config: JointConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer, self.prior = dataclasses.replace(config.tokenizer, rated=True).build(), config.prior.build()
        books, size, *_ = only_level(self.tokenizer.layout)
        if (self.prior.num_codebooks, self.prior.codebook_size) != (books, size):
            raise ConfigError(
                f"The tokenizer has {books} codebooks of {size} codes, the prior {self.prior.num_codebooks} of "
                f"{self.prior.codebook_size}. Give both the same."
            )
        # Checked before training: the loss needs codebooks with their own channels.
        self._codebook()
        # All three are in the saved state, so that a resumed run continues where it stopped.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("shares", torch.full((books, size), 1 / size))
        # No effect before the first batch: a rate that is equal for all codes changes no choice.
        self.register_buffer("curvature", torch.ones(books))

    @property
    def annealed(self) -> Float[Tensor, ""]:
        """The share of both weights in the next training batch, from 0 to 1."""
        return ((self.steps + 1 - self.config.alone_steps) / (self.config.anneal_steps + 1)).clamp(0, 1)

    @property
    def price(self) -> Float[Tensor, " codebooks"]:
        """The squared distance between a latent and its vector that costs one nat of log p(x|z)."""
        return 2 / self.curvature.clamp(min=_FLATTEST)

    @property
    def rate(self) -> Float[Tensor, "codebooks codebook_size"]:
        """Each code's cost above that of the likeliest code under the prior's mean probabilities, times its weight, as a squared
        distance. It applies to the next training batch."""
        shares = self.shares.clamp(min=torch.finfo(torch.float32).tiny)
        return self.config.choice_weight * self.annealed * self.price[:, None] * (shares.amax(1, keepdim=True) / shares).log()

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch. The tokenizer's metrics use the uniform prior. ``nats_per_dim_learned``, the whole bound, and
        ``nats_per_code`` use the learned prior. ``annealed`` is the current share of both weights; ``price`` is the mean price.

        Only training batches with gradients enabled count as steps.
        """
        learning = self.training and torch.is_grad_enabled()
        if learning:
            self.tokenizer.get_buffer("rate").copy_(self.rate)
        latents = self.tokenizer.latents(batch)
        # Copied: running means update the codebook, and the loss needs the version that chose the codes.
        codebook = self._codebook().detach().clone()
        quantized = self.tokenizer.quantize(latents)
        loss, metrics, adversary = self.tokenizer.objective(batch, quantized)
        log_probs = self.prior.log_probs(quantized.codes, batch.condition)
        nats = -log_probs.gather(2, quantized.codes.unsqueeze(2)).sum()
        dims, codes = max(batch.x.numel(), 1), max(quantized.codes.numel(), 1)
        loss = loss + nats / dims
        metrics = {
            **metrics,
            "nats_per_dim_learned": metrics["nats_per_dim"] - metrics["kl_nats_per_dim"] + nats.detach() / dims,
            "nats_per_code": nats.detach() / codes,
            "annealed": self.annealed,
            "price": self.price.mean(),
        }
        if learning:
            if self.config.choice_weight or self.config.loss_weight:
                self._observe(batch, quantized.vectors.detach(), log_probs.detach())
            if self.config.loss_weight:
                loss = loss + self.config.loss_weight * self.annealed * self._free_energy(latents, codebook, log_probs.detach()) / dims
            self.steps += 1
        return Objective(loss, metrics, adversary)

    def start(self, batches: Iterable[Batch]) -> None:
        """Initialise the codebooks from the latents of these batches; see ``Tokenizer.start``."""
        self.tokenizer.start(batches)

    def _codebook(self) -> Float[Tensor, "codebooks codebook_size part"]:
        """e, if each codebook has its own channels.

        Raises:
            ConfigError: if codebooks share channels, or there is no codebook.
        """
        quantizer = self.tokenizer.quantizer
        if isinstance(quantizer, CodebookQuantizer) and quantizer.shares_out_channels:
            return quantizer.codebook
        raise ConfigError(
            f"Joint training compares latents with codebooks that have their own channels, and {type(quantizer).__name__} has none. Use "
            "VectorQuantizerConfig, EMAQuantizerConfig or ProductQuantizerConfig."
        )

    def _free_energy(
        self,
        latents: Float[Tensor, "batch dim height width"],
        codebook: Float[Tensor, "codebooks codebook_size part"],
        log_probs: Float[Tensor, "batch codebooks codebook_size height width"],
    ) -> Float[Tensor, ""]:
        """−log Σ p(k) exp(−cost of the distance to k, in nats), summed over positions: a choice of codes with a gradient.

        It pulls latents towards nearby codes that the prior expects.
        """
        with torch.autocast(latents.device.type, enabled=False):
            groups = latents.float().unflatten(1, (len(codebook), -1))
            squares = groups.square().sum(2).unsqueeze(2) + codebook.square().sum(2)[..., None, None]
            distances = squares - 2 * torch.einsum("bcdhw,ckd->bckhw", groups, codebook)
            return -(log_probs - distances / self.price.view(-1, 1, 1, 1)).logsumexp(2).sum()

    def _observe(self, batch: Batch, vectors: Tensor, log_probs: Tensor) -> None:
        """Update the running means with a batch. Over the first batches they are plain means, so that no initial guess is needed."""
        new = 1 / (self.steps + 1).clamp(max=1 / (1 - self.config.decay))
        shares = log_probs.exp().mean((0, 3, 4))
        curvature = self._curvature(batch.take(torch.arange(min(PROBED, len(batch.x)), device=batch.x.device)), vectors[:PROBED])
        self.shares.lerp_(distributed.mean_(shares), new)
        self.curvature.lerp_(distributed.mean_(curvature), new)

    def _curvature(self, batch: Batch, vectors: Float[Tensor, "batch dim height width"]) -> Float[Tensor, " codebooks"]:
        """The second derivative of −log p(x|z) by one position's vector, in the direction of another code, in nats per squared unit.

        It equals the variance of the first derivative for data drawn from the model (Fisher information), so it needs no second
        derivatives and is never negative. A mean over all channels would be too small, because codes differ in the directions of the data.
        """
        tokenizer, vectors = self.tokenizer, vectors.clone().requires_grad_()
        parameters = parameters_of(tokenizer.decoder, tokenizer.criterion, vectors, batch)
        drawn = tokenizer.likelihood.sample(parameters.detach().float())
        (slope,) = torch.autograd.grad(tokenizer.likelihood.log_prob(parameters, drawn).sum(), vectors)
        books, size = self.shares.shape
        codes = torch.randint(size, (len(vectors), books, *vectors.shape[2:]), device=vectors.device)
        away = (tokenizer.quantizer.decode(codes) - vectors.detach()).float().unflatten(1, (books, -1))
        slopes = (slope.float().unflatten(1, (books, -1)) * away).sum(2)
        return slopes.square().sum((0, 2, 3)) / away.square().sum((0, 2, 3, 4))
