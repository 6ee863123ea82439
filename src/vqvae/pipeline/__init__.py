"""A trained tokenizer with its priors, and the folder that it lies in."""

from vqvae.pipeline.folder import (
    CHECKPOINTS,
    CODES,
    LOCK,
    PRIOR,
    TOKENIZER,
    UNIGRAM,
    about,
    fits_codes,
    load,
    part_of,
    prior_folder,
    prior_name,
    prior_names,
    save,
    tokenizer_digest,
)
from vqvae.pipeline.model import Pipeline
from vqvae.pipeline.parts import mixture_log_prob

__all__ = [
    "CHECKPOINTS",
    "CODES",
    "LOCK",
    "PRIOR",
    "TOKENIZER",
    "UNIGRAM",
    "Pipeline",
    "about",
    "fits_codes",
    "load",
    "mixture_log_prob",
    "part_of",
    "prior_folder",
    "prior_name",
    "prior_names",
    "save",
    "tokenizer_digest",
]
