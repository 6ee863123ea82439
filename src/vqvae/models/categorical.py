"""A categorical posterior over codes, for models whose encoder predicts probabilities of codes."""

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from vqvae.codes import check_codes, uniform_log_prob
from vqvae.config import check_at_least
from vqvae.errors import ConfigError
from vqvae.quantizers.base import check_finite


class CategoricalPosterior(nn.Module):
    """q(z|x) with independent codes, and the codes' vectors.

    latents (batch, codebooks · K, *space) ─ softmax over K ─ q(z|x) ─ codes
    codes ─ a vector of dim / codebooks channels from each codebook, side by side ─ vectors (batch, dim, *space)
    """

    def __init__(self, *, codebook_size: int, num_codebooks: int, dim: int) -> None:
        super().__init__()
        check_at_least(1, "", codebook_size=codebook_size, num_codebooks=num_codebooks, dim=dim)
        if dim % num_codebooks:
            raise ConfigError(f"dim is {dim}; it must be a multiple of num_codebooks ({num_codebooks}).")
        self.codebook_size, self.num_codebooks, self.dim = codebook_size, num_codebooks, dim
        self.codebook = nn.Parameter(torch.randn(num_codebooks, codebook_size, dim // num_codebooks))

    @property
    def num_logits(self) -> int:
        """Number of the encoder's output channels."""
        return self.num_codebooks * self.codebook_size

    def log_probs(self, latents: Float[Tensor, "batch logits *space"]) -> Float[Tensor, "batch codebooks codebook_size *space"]:
        """log q(z|x) of every code at every position, in float32 (float64 stays).

        Raises:
            DataError: if latents are not finite.
        """
        check_finite(latents.detach(), "latents")
        logits = latents.to(torch.promote_types(latents.dtype, torch.float32))
        return logits.unflatten(1, (self.num_codebooks, self.codebook_size)).log_softmax(2)

    def entropy(
        self, log_probs: Float[Tensor, "batch codebooks codebook_size *space"], mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """H(q(z|x)) of all unmasked codes together, in nats per example."""
        each = log_probs.exp() * log_probs
        return -(each if mask is None else each * mask[:, None, None]).flatten(1).sum(1)

    def kl(
        self, log_probs: Float[Tensor, "batch codebooks codebook_size *space"], mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """KL(q(z|x) ‖ uniform) = N·log K - H(q) for N unmasked codes, in nats per example."""
        return -uniform_log_prob(log_probs[:, :, 0], self.codebook_size, mask) - self.entropy(log_probs, mask)

    def sample(
        self, log_probs: Float[Tensor, "batch codebooks codebook_size *space"], samples: int
    ) -> Int[Tensor, "samples batch codebooks *space"]:
        """Draw codes from q(z|x)."""
        rows = log_probs.detach().movedim(2, -1)
        places = rows.shape[:-1]
        if not places.numel():
            return torch.empty(samples, *places, dtype=torch.int64, device=rows.device)
        drawn = torch.multinomial(rows.reshape(-1, self.codebook_size).exp(), samples, replacement=True)
        return drawn.T.reshape(samples, *places)

    def log_prob(
        self,
        log_probs: Float[Tensor, "batch codebooks codebook_size *space"],
        codes: Int[Tensor, "samples batch codebooks *space"],
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, "samples batch"]:
        """log q(z|x) of whole samples, over unmasked codes, in nats."""
        each = log_probs.movedim(2, -1).gather(-1, codes.movedim(0, -1))
        each = each if mask is None else each * mask[:, None, ..., None]
        return each.flatten(1, -2).sum(1).T

    def vectors(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of codes.

        Raises:
            DataError: if the number of codebooks is wrong, or a code lies outside [0, codebook_size).
        """
        codes = check_codes(codes, self.num_codebooks, self.codebook_size, "codebook")
        return self.look_up(codes)

    def look_up(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of codes, without checks, so that nothing waits for the device."""
        first = torch.arange(self.num_codebooks, device=codes.device) * self.codebook_size
        rows = codes + first.view(-1, *[1] * (codes.ndim - 2))
        return nn.functional.embedding(rows, self.codebook.flatten(0, 1)).movedim(-1, 2).flatten(1, 2)

    def mix(self, weights: Float[Tensor, "batch codebooks codebook_size *space"]) -> Float[Tensor, "batch dim *space"]:
        """The weighted means of the vectors, for weights that sum to 1 over the codes."""
        return torch.einsum("bck...,ckd->bcd...", weights, self.codebook).flatten(1, 2)
