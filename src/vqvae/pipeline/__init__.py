"""A trained tokenizer with its priors, and the folder that it lies in."""

from vqvae.pipeline.folder import PRIOR, TOKENIZER, UNIGRAM, about, load, prior_folder, save
from vqvae.pipeline.model import Pipeline
from vqvae.pipeline.parts import mixture_log_prob

__all__ = ["PRIOR", "TOKENIZER", "UNIGRAM", "Pipeline", "about", "load", "mixture_log_prob", "prior_folder", "save"]
