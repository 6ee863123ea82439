"""Every score of a tokenizer and its priors on held-out data, in one pass."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from vqvae.bits import bits_per_code, bits_per_dim
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.codebook import CodebookUsage
from vqvae.evaluation.images.frechet import FeatureExtractor, Moments, frechet_distance
from vqvae.evaluation.images.reconstruction import NormalisedError, psnr, ssim
from vqvae.models.base import Tokenizer

ConditionalLogPrior = Callable[[Tensor, Condition], Tensor]
"""Any callable from codes (batch, codebooks, *space) and what they are conditioned on to log p(codes | condition), (batch,), in nats;
for one, the ``log_prob`` of a prior."""

UNIFORM, RECONSTRUCTION, LEARNED = "uniform", "reconstruction", "learned"


class TokenizerEvaluation:
    """The scores of a tokenizer with one level of codes, over the images that are added.

    Each batch is encoded once and its codes are decoded once, in the precision of the autocast around it: without one, all in
    float32. The likelihood is float32 in either case.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        log_priors: Mapping[str, ConditionalLogPrior],
        extractor: FeatureExtractor | None = None,
        data_variance: float | None = None,
    ) -> None:
        """Start with nothing added.

        Args:
            tokenizer: what is scored, put into evaluation mode.
            log_priors: p(codes) by name, beside the uniform one, which is always there; "learned" is the one that a bare
                ``bits_per_code`` belongs to.
            extractor: features for the Fréchet distance between images and reconstructions.
            data_variance: what NMSE is divided by, in squared levels; without it, the variance of the added images.

        Raises:
            ConfigError: a prior has a name that means something else here.
        """
        taken = {UNIFORM, RECONSTRUCTION} & set(log_priors)
        if taken:
            raise ConfigError(f"log_priors has the names {sorted(taken)}, which are kept for what is always measured; rename them.")
        (self._level,) = tokenizer.layout
        self.tokenizer, self.log_priors, self.extractor = tokenizer.eval(), dict(log_priors), extractor
        self.usage = CodebookUsage(self._level.num_codebooks, self._level.codebook_size)
        """How often each code occurred."""
        self._examples, self._dims, self._codes = 0, 0, 0
        self._nats = dict.fromkeys((RECONSTRUCTION, *self.log_priors), 0.0)
        self._psnr, self._ssim, self._error = 0.0, 0.0, NormalisedError(data_variance)
        self.moments = Moments(), Moments()
        """Of the features of the images, and of their reconstructions; empty without an extractor."""

    @torch.inference_mode()
    def add(self, batch: Batch) -> None:
        """Score one batch of uint8 images, on the tokenizer's device.

        Raises:
            DataError: it does not fit the tokenizer, or is no batch of images.
        """
        (codes,) = levels = self.tokenizer.encode(batch)
        made = self.tokenizer.reconstruct(batch, levels)
        self._examples += len(batch.x)
        self._dims += batch.x.numel()
        self._codes += codes.numel()
        assert made.log_likelihood is not None
        self._nats[RECONSTRUCTION] -= float(made.log_likelihood.double().sum())
        for name, log_prior in self.log_priors.items():
            self._nats[name] -= float(log_prior(codes, batch.condition).double().sum())
        self._psnr += float(psnr(batch.x, made.x).sum())
        self._ssim += float(ssim(batch.x, made.x).sum())
        self._error.add(batch.x, made.x)
        self.usage.add(codes)
        if self.extractor is not None:
            for moments, images in zip(self.moments, (batch.x, made.x), strict=True):
                moments.add(self.extractor(images))

    def scores(self) -> dict[str, float]:
        """The scores of all that was added, by name.

        ``bits_per_dim_NAME`` is −log₂ of the bound log p(x|z) + log p(z) a dimension, with the prior of that name [VQVAE §3.2];
        ``bits_per_dim_reconstruction`` is its first term alone, the bits that are left to spend once the codes are known.

        Raises:
            DataError: nothing was added.
        """
        if self._examples == 0:
            raise DataError("No examples came, so there is nothing to score. Hold some data out.")
        pixels = self._nats[RECONSTRUCTION]
        codes = {UNIFORM: self._codes * math.log(self._level.codebook_size), **{name: self._nats[name] for name in self.log_priors}}
        scores = {
            **{f"bits_per_dim_{name}": bits_per_dim(pixels + nats, self._dims) for name, nats in codes.items()},
            "bits_per_dim_reconstruction": bits_per_dim(pixels, self._dims),
            **{"bits_per_code" if name == LEARNED else f"bits_per_code_{name}": bits_per_code(n, self._codes) for name, n in codes.items()},
            "psnr": self._psnr / self._examples,
            "ssim": self._ssim / self._examples,
            "nmse": self._error.value(),
            "perplexity": self.usage.perplexity,
            "codes_used": self.usage.codes_used,
        }
        if self.extractor is not None:
            scores[f"frechet_{self.extractor.name}"] = frechet_distance(*self.moments)
        return {**scores, "examples": self._examples}


def evaluate_tokenizer(
    tokenizer: Tokenizer,
    batches: Iterable[Batch],
    *,
    log_priors: Mapping[str, ConditionalLogPrior],
    extractor: FeatureExtractor | None = None,
    data_variance: float | None = None,
) -> dict[str, float]:
    """The scores of ``TokenizerEvaluation`` over batches: bits a dimension and a code, PSNR (dB), SSIM, NMSE, perplexity, share of
    codes used, and ``frechet_NAME`` where an extractor is given.

    Raises:
        ConfigError: a prior has a name that means something else here.
        DataError: there are no examples, or they do not fit the tokenizer.
    """
    evaluation = TokenizerEvaluation(tokenizer, log_priors=log_priors, extractor=extractor, data_variance=data_variance)
    for batch in batches:
        evaluation.add(batch)
    return evaluation.scores()
