"""What held-out data costs in bits: its codes under each prior, and the data itself once the codes are known. The one loop of scores."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vqvae.bits import bits_per_code, bits_per_dim
from vqvae.codes import Codes, Level, LogPrior, codes_that_count, count_codes, uniform_log_prob
from vqvae.data.base import Batch
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.codebook import CodebookUsage
from vqvae.exact import exact_sum

UNIFORM, RECONSTRUCTION, LEARNED = "uniform", "reconstruction", "learned"


class Costs:
    """Nats over the batches that are added, and how the codes are used. What a mask leaves out counts nowhere."""

    def __init__(self, layout: Sequence[Level], log_priors: Mapping[str, LogPrior]) -> None:
        """Start with nothing added.

        Args:
            layout: the levels of codes.
            log_priors: p(codes) by name, beside the uniform one, which is always there; "learned" is the one that a bare
                ``bits_per_code`` belongs to.

        Raises:
            ConfigError: a prior has a name that means something else here.
        """
        taken = {UNIFORM, RECONSTRUCTION} & set(log_priors)
        if taken:
            raise ConfigError(f"log_priors has the names {sorted(taken)}, which are kept for what is always measured; rename them.")
        self.layout, self._log_priors = tuple(layout), dict(log_priors)
        self.usage = [CodebookUsage(level.num_codebooks, level.codebook_size) for level in self.layout]
        """How often each code of each level occurred."""
        self.examples, self.dims = 0, 0
        self.has_likelihood = True
        self._counts = [0] * len(self.layout)
        self._nats, self._data_nats = dict.fromkeys(self._log_priors, 0.0), 0.0

    def add(self, batch: Batch, codes: Codes, log_likelihood: Tensor | None) -> Tensor:
        """Add a batch with its codes, on one device, and log p(x | codes) of each example, or None without a likelihood.

        Returns:
            log p(codes) of each example under the last prior, in nats; under the uniform one without priors.
        """
        self.examples += len(batch.x)
        self.dims += batch.x.numel() if batch.mask is None else int(batch.mask.sum()) * batch.x.shape[1]
        for number, (level, mask) in enumerate(zip(codes, codes.masks, strict=True)):
            self.usage[number].add(codes_that_count(level, mask)[None])
            self._counts[number] += count_codes(level, mask)
        uniform = zip(codes, self.layout, codes.masks, strict=True)
        last = torch.stack([uniform_log_prob(one, level.codebook_size, mask) for one, level, mask in uniform]).sum(0)
        for name, log_prior in self._log_priors.items():
            last = log_prior(codes[0] if len(codes) == 1 else codes, batch.condition, codes.mask)
            self._nats[name] -= exact_sum(last)
        if log_likelihood is None:
            self.has_likelihood = False
        else:
            self._data_nats -= exact_sum(log_likelihood)
        return last

    @property
    def codes(self) -> int:
        """How many codes were added, over all levels."""
        return sum(self._counts)

    @property
    def nats(self) -> dict[str, float]:
        """What all codes cost under each prior."""
        uniform = sum(count * math.log(level.codebook_size) for count, level in zip(self._counts, self.layout, strict=True))
        return {UNIFORM: uniform, **self._nats}

    def scores(self, dim: str = "dim") -> dict[str, Any]:
        """The scores of all that was added, by name.

        ``bits_per_DIM_NAME`` is −log₂ of the bound log p(x|z) + log p(z) a dimension, with the prior of that name [VQVAE §3.2];
        ``bits_per_DIM_reconstruction`` is its first term alone, the bits that are left to spend once the codes are known. Neither is there
        without a likelihood. ``bits_per_code_NAME`` is what a code costs; then perplexity and the share of codes used.

        Args:
            dim: what a dimension is called.

        Raises:
            DataError: nothing was added.
        """
        if self.examples == 0:
            raise DataError("No examples came, so there is nothing to score. Hold some data out.")
        scores: dict[str, Any] = {}
        if self.has_likelihood:
            scores |= {f"bits_per_{dim}_{name}": bits_per_dim(self._data_nats + cost, self.dims) for name, cost in self.nats.items()}
            scores[f"bits_per_{dim}_{RECONSTRUCTION}"] = bits_per_dim(self._data_nats, self.dims)
        for name, cost in self.nats.items():
            scores["bits_per_code" if name == LEARNED else f"bits_per_code_{name}"] = bits_per_code(cost, self.codes)
        return scores

    def usage_scores(self) -> dict[str, float]:
        """Perplexity and share of codes used; of several levels, each by its number."""
        named = [("" if len(self.usage) == 1 else f"_level_{number}", usage) for number, usage in enumerate(self.usage)]
        return {f"{name}{of}": getattr(usage, name) for of, usage in named for name in ("perplexity", "codes_used")}
