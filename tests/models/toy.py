"""Models so small that the sum over all their codes can be taken, of grey images of 2×4 pixels with two codes of four; and a tokenizer
with two levels of codes."""

import itertools
import math
import typing
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqvae.codes import Codes, Level, LogPrior, uniform_log_prob
from vqvae.data.base import Batch, Condition, Objective
from vqvae.likelihoods import CategoricalConfig, GaussianConfig
from vqvae.models import Bound, GumbelSoftmaxConfig, Reconstruction, Tokenizer, VAEConfig, VIMCOConfig, VQVAEConfig
from vqvae.models.autoencoder import CodeAutoencoder, per_dim
from vqvae.models.decoding import crop
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig, ProductQuantizerConfig, Quantized, VectorQuantizerConfig
from vqvae.signals import AXES

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


@dataclass(frozen=True, kw_only=True)
class TwoLevelsConfig:
    """Settings of ``TwoLevels``."""

    channels: int = 3
    """Channels of the pictures."""
    dim: int = 4
    """Channels of both levels' latents."""
    top_size: int = 6
    """Codes of the coarse level, one for 4×4 pixels."""
    bottom_size: int = 8
    """Codes of the fine level, two for 2×2 pixels."""

    def build(self) -> "TwoLevels":
        return TwoLevels(self)


class TwoLevels(Tokenizer):
    """A tokenizer with two levels of codes, the fine one of what the coarse one leaves; smaller than anyone would train.

    x ─ conv /2 ─ z_bottom ─ conv /2 ─ top codes ─ up ─ (+ codes of z_bottom - up) ─ up ─ parameters
    """

    def __init__(self, config: TwoLevelsConfig) -> None:
        super().__init__()
        self.config, dim = config, config.dim
        self.criterion = GaussianConfig(channels=config.channels).build()
        self.signal = self.criterion.signal(AXES[2])
        self.fine, self.coarse = nn.Conv2d(config.channels, dim, 2, 2), nn.Conv2d(dim, dim, 2, 2)
        self.top = EMAQuantizerConfig(dim=dim, codebook_size=config.top_size).build()
        self.bottom = ProductQuantizerConfig(dim=dim, codebook_size=config.bottom_size, num_codebooks=2).build()
        self.up, self.last = nn.ConvTranspose2d(dim, dim, 2, 2), nn.ConvTranspose2d(dim, self.criterion.num_parameters, 2, 2)
        self.layout = (Level(1, config.top_size, (4, 4)), Level(2, config.bottom_size, (2, 2)))

    def forward(self, batch: Batch) -> Objective:
        top, bottom = self._quantized(batch)
        log_likelihood = self._log_likelihood(batch, top.vectors, bottom.vectors)
        nats = log_likelihood + self._log_prior(Codes([top.codes, bottom.codes]), batch, None)
        metrics = {"nats_per_dim": per_dim(-nats, batch), "kl_nats_per_dim": per_dim(log_likelihood - nats, batch)}
        loss = per_dim(-log_likelihood, batch) + top.loss + bottom.loss
        return Objective(loss, {name: value.detach() for name, value in metrics.items()})

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """As of ``VQVAE``, with the codes of both levels."""
        codes = self.encode(batch)
        log_likelihood = self.log_likelihood(batch, codes)
        return Bound(log_likelihood + self._log_prior(codes, batch, log_prior), log_likelihood)

    def encode(self, batch: Batch) -> Codes:
        return Codes([quantized.codes for quantized in self._quantized(batch)])

    def decode(
        self,
        codes: Tensor | tuple[Tensor, ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        parameters = self._told(*self._vectors(codes))
        made = self.criterion.mode(parameters) if temperature == 0 else self.criterion.sample(parameters, generator, temperature)
        return made if size is None else crop(made, size)

    def reconstruct(self, batch: Batch, codes: Tensor | tuple[Tensor, ...]) -> Reconstruction:
        return Reconstruction(self.decode(codes, size=tuple(batch.x.shape[2:])), self.log_likelihood(batch, codes))

    def log_likelihood(self, batch: Batch, codes: Tensor | tuple[Tensor, ...]) -> Tensor:
        """log p(x|z) of given codes, in nats an example."""
        return self._log_likelihood(batch, *self._vectors(codes))

    def latents(self, batch: Batch) -> Tensor:
        """Those of the fine level."""
        x = self.signal.check(batch.x)
        rows, columns = (torch.arange(-(-side // 4) * 4).clamp(max=side - 1) for side in x.shape[2:])
        return self.fine(self.signal.to_unit(x[:, :, rows][..., columns]))

    @torch.no_grad()
    def start(self, batches: Iterable[Batch]) -> None:
        """Both codebooks by k-means, the coarse one first."""
        batches = list(batches)
        for quantizer, latents_of in ((self.top, lambda batch: self.coarse(self.latents(batch))), (self.bottom, self._rest)):
            if not quantizer.started:
                quantizer.start(torch.cat([latents_of(batch).movedim(1, -1).reshape(-1, self.config.dim) for batch in batches]))

    def _rest(self, batch: Batch) -> Tensor:
        """What the coarse level leaves of the latents."""
        latents = self.latents(batch)
        return latents - self.up(self.top(self.coarse(latents)).vectors)

    def _quantized(self, batch: Batch) -> tuple[Quantized, Quantized]:
        latents = self.latents(batch)
        top = self.top(self.coarse(latents))
        return top, self.bottom(latents - self.up(top.vectors))

    def _vectors(self, codes: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        top, bottom = Codes.of(codes)
        return self.top.decode(top), self.bottom.decode(bottom)

    def _told(self, top: Tensor, bottom: Tensor) -> Tensor:
        return self.last(self.up(top) + bottom)

    def _log_likelihood(self, batch: Batch, top: Tensor, bottom: Tensor) -> Tensor:
        return self.criterion.log_prob(crop(self._told(top, bottom), tuple(batch.x.shape[2:])), batch.x)

    def _log_prior(self, codes: Codes, batch: Batch, log_prior: LogPrior | None) -> Tensor:
        """Of several levels, all at once: see ``vqvae.codes.LogPrior``."""
        if log_prior is not None:
            return log_prior(codes, batch.condition, None)
        pairs = zip(codes, self.layout, strict=True)
        return torch.stack([uniform_log_prob(level, shape.codebook_size) for level, shape in pairs]).sum(0)
