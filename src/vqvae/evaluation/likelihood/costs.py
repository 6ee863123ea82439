"""The cost of held-out data in bits: of its codes under each prior, and of the data given the codes. All scores use this loop."""

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
    """Nats and code usage over the added batches. Masked positions do not count."""

    def __init__(self, layout: Sequence[Level], log_priors: Mapping[str, LogPrior]) -> None:
        """Start empty.

        Args:
            layout: the levels of codes.
            log_priors: p(codes) by name, besides the uniform prior, which is always included. A plain ``bits_per_code`` belongs to
                "learned".

        Raises:
            ConfigError: if a prior has a reserved name.
        """
        taken = {UNIFORM, RECONSTRUCTION} & set(log_priors)
        if taken:
            raise ConfigError(f"log_priors has the names {sorted(taken)}, which are reserved; rename them.")
        self.layout, self._log_priors = tuple(layout), dict(log_priors)
        self.usage = [CodebookUsage(level.num_codebooks, level.codebook_size) for level in self.layout]
        """How often each code of each level occurred."""
        self.examples, self.dims = 0, 0
        self.has_likelihood = True
        self._counts = [0] * len(self.layout)
        self._nats, self._data_nats = dict.fromkeys(self._log_priors, 0.0), 0.0

    def add(self, batch: Batch, codes: Codes, log_likelihood: Tensor | None) -> Tensor:
        """Add a batch and its codes, on one device, and log p(x | codes) of each example in nats; None if there is no likelihood.

        Returns:
            log p(codes) of each example in nats, under the last of ``log_priors``. If there are none, under the uniform prior.
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
        """The number of added codes, over all levels."""
        return sum(self._counts)

    @property
    def nats(self) -> dict[str, float]:
        """The cost of all codes under each prior, in nats."""
        uniform = sum(count * math.log(level.codebook_size) for count, level in zip(self._counts, self.layout, strict=True))
        return {UNIFORM: uniform, **self._nats}

    def scores(self, dim: str = "dim") -> dict[str, Any]:
        """The scores over all added batches, by name.

        ``bits_per_DIM_NAME`` is −log₂ of the bound log p(x|z) + log p(z) per dimension, with the prior of that name [VQVAE §3.2];
        ``bits_per_DIM_reconstruction`` is its first term alone, the bits of the data given the codes. Both need a likelihood.
        ``bits_per_code_NAME`` is the cost per code. For perplexity and the share of codes used, see ``usage_scores``.

        Args:
            dim: the name of a dimension.

        Raises:
            DataError: if nothing was added.
        """
        if self.examples == 0:
            raise DataError("There are no examples to score. Hold out some data.")
        scores: dict[str, Any] = {}
        if self.has_likelihood:
            scores |= {f"bits_per_{dim}_{name}": bits_per_dim(self._data_nats + cost, self.dims) for name, cost in self.nats.items()}
            scores[f"bits_per_{dim}_{RECONSTRUCTION}"] = bits_per_dim(self._data_nats, self.dims)
        for name, cost in self.nats.items():
            scores["bits_per_code" if name == LEARNED else f"bits_per_code_{name}"] = bits_per_code(cost, self.codes)
        return scores

    def usage_scores(self) -> dict[str, float]:
        """Perplexity and share of codes used. If there are several levels, the names end in the number of the level."""
        named = [("" if len(self.usage) == 1 else f"_level_{number}", usage) for number, usage in enumerate(self.usage)]
        return {f"{name}{of}": getattr(usage, name) for of, usage in named for name in ("perplexity", "codes_used")}
