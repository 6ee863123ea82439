"""What is found out about a trained model on held-out data, whatever its data is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from vqvae.codes import LogPrior
from vqvae.pipeline import Pipeline
from vqvae.reports.page import Sound


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is found out about a model."""

    scores: Mapping[str, Any]
    """Numbers by name; None for those that a missing prior is needed for."""
    counts: Tensor
    """How often each code occurs (codebooks, codebook_size)."""
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Of images: reconstructions, and samples where there is a prior. Of speech: spectrograms."""
    charts: Mapping[str, str] = field(default_factory=dict)
    """SVG pictures."""
    sounds: tuple[Sound, ...] = ()
    """Something to listen to."""


def log_priors(pipeline: Pipeline) -> dict[str, LogPrior]:
    """The priors that a pipeline has, by the names of their scores."""
    priors: dict[str, LogPrior] = {}
    if pipeline.unigram is not None and len(pipeline.layout) == 1:
        priors["unigram"] = pipeline.unigram.log_prob
    if pipeline.prior is not None:
        priors["learned"] = pipeline.log_prior
    return priors
