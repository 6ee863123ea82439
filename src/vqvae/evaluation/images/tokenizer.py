"""All scores of an image tokenizer and its priors on held-out data, in one pass."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.bits import bits_per_dim
from vqvae.codes import LogPrior
from vqvae.data.base import Batch
from vqvae.evaluation.base import scores_by_label
from vqvae.evaluation.images.frechet import FeatureExtractor, Moments, frechet_score
from vqvae.evaluation.images.reconstruction import NormalisedError, psnr, ssim
from vqvae.evaluation.likelihood.costs import Costs
from vqvae.exact import exact
from vqvae.models.base import Tokenizer


class TokenizerEvaluation:
    """The scores of an image tokenizer, over all images added.

    Each batch is encoded once and decoded once, in the precision of the surrounding autocast (default: float32). The likelihood is always
    float32.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        log_priors: Mapping[str, LogPrior],
        extractor: FeatureExtractor | None = None,
        data_variance: float | None = None,
    ) -> None:
        """Start empty.

        Args:
            tokenizer: the model to score. It is put into evaluation mode.
            log_priors: p(codes) by name; see ``Costs``.
            extractor: features for the Fréchet distance between images and reconstructions.
            data_variance: the variance in the NMSE, in squared levels. Default: that of the added images.

        Raises:
            ConfigError: if the name of a prior is already the name of a score.
        """
        self.tokenizer, self.extractor = tokenizer.eval(), extractor
        self.costs = Costs(tokenizer.layout, log_priors)
        self._peak = (tokenizer.signal.levels or 2) - 1
        self._ssim, self._error = 0.0, NormalisedError(data_variance)
        self._psnrs: list[Tensor] = []
        self._bits: list[Tensor] = []
        self._labels: list[Tensor] = []
        self.moments = Moments(), Moments()
        """Moments of the features of images and of reconstructions. Empty without an extractor."""

    @torch.inference_mode()
    def add(self, batch: Batch) -> None:
        """Score one batch of images, on the tokenizer's device.

        Raises:
            DataError: if the batch does not fit the tokenizer, or has no images.
        """
        codes = self.tokenizer.encode(batch)
        made = self.tokenizer.reconstruct(batch, codes)
        log_prior = self.costs.add(batch, codes, made.log_likelihood)
        self._psnrs.append(psnr(batch.x, made.x, self._peak).cpu())
        if made.log_likelihood is not None:
            self._bits.append(bits_per_dim(-(log_prior + made.log_likelihood).cpu(), math.prod(batch.x.shape[1:])))
        if batch.condition.label is not None:
            self._labels.append(batch.condition.label.cpu())
        self._ssim += float(ssim(batch.x, made.x, self._peak).sum())
        self._error.add(batch.x, made.x)
        if self.extractor is not None:
            for moments, images in zip(self.moments, (batch.x, made.x), strict=True):
                moments.add(self.extractor(images))

    @property
    def psnrs(self) -> Float[Tensor, " examples"]:
        """The PSNR of each image, in dB, in the order in which they came."""
        return torch.cat(self._psnrs)

    def scores_by_class(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """The number of images, the mean PSNR and, with a likelihood, the mean bits per dimension of each class that has images. The prior
        is the last in ``log_priors``. Empty without labels.

        Args:
            names: the names of the classes, by their numbers.
        """
        bits = self._bits if len(self._bits) == len(self._psnrs) else []
        return scores_by_label(self._labels, names, {"psnr": self._psnrs, "bits_per_dim": bits})

    def scores(self) -> dict[str, float]:
        """The scores over everything added so far, by name. For bits, see ``Costs.scores``.

        Raises:
            DataError: if nothing was added.
        """
        costs = self.costs.scores()
        scores = {
            **costs,
            "psnr": float(exact(self.psnrs).mean()),
            "ssim": self._ssim / self.costs.examples,
            "nmse": self._error.value(),
            **self.costs.usage_scores(),
        }
        if self.extractor is not None:
            scores[f"frechet_{self.extractor.name}"] = frechet_score(*self.moments)
        return {**scores, "examples": self.costs.examples}


def evaluate_tokenizer(
    tokenizer: Tokenizer,
    batches: Iterable[Batch],
    *,
    log_priors: Mapping[str, LogPrior],
    extractor: FeatureExtractor | None = None,
    data_variance: float | None = None,
) -> dict[str, float]:
    """The scores of ``TokenizerEvaluation`` over batches: bits per dimension and per code, PSNR (dB), SSIM, NMSE, perplexity, share of
    codes used, and ``frechet_NAME`` if an extractor is given.

    Raises:
        ConfigError: if a prior has a reserved name.
        DataError: if there are no examples, or they do not fit the tokenizer.
    """
    evaluation = TokenizerEvaluation(tokenizer, log_priors=log_priors, extractor=extractor, data_variance=data_variance)
    for batch in batches:
        evaluation.add(batch)
    return evaluation.scores()
