"""The uniform prior: log K nats per code [VQVAE §3.1]."""

from dataclasses import field

from jaxtyping import Bool, Float, Integer
from torch import Tensor

from vqvae.codes import uniform_log_prob
from vqvae.config import CODEBOOK, check_at_least, settings
from vqvae.data.base import Condition
from vqvae.priors.base import Prior, check_prior_codes


@settings
class UniformPriorConfig:
    """All codes are equally likely."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per position."""

    def build(self) -> "UniformPrior":
        return UniformPrior(self)


class UniformPrior(Prior):
    """p(code) = 1/K: the prior that training assumes, so that the KL term is constant [VQVAE §3.1]."""

    def __init__(self, config: UniformPriorConfig) -> None:
        super().__init__()
        check_at_least(1, config, "codebook_size", "num_codebooks")
        self.config = config
        self.num_codebooks, self.codebook_size = config.num_codebooks, config.codebook_size

    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """−log K for every unmasked code, in nats per example.

        Raises:
            DataError: if codes have the wrong shape or range.
        """
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        return uniform_log_prob(codes, self.codebook_size, mask)
