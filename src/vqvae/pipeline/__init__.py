"""A trained tokenizer with its priors, and the folder that it lies in."""

from vqvae.pipeline.checkpoints import CHECKPOINTS, STATE, TOKENIZER, best_step, checkpoint_steps, chosen_checkpoint, part_of
from vqvae.pipeline.folder import (
    CODES,
    LOCK,
    PRIOR,
    SCORES,
    TRAVELS,
    UNIGRAM,
    about,
    fits_codes,
    from_pretrained,
    load,
    local_run,
    prior_folder,
    prior_name,
    prior_names,
    save,
    tokenizer_digest,
)
from vqvae.pipeline.model import Pipeline
from vqvae.pipeline.parts import check_actions, check_frames, mixture_log_prob

__all__ = [
    "CHECKPOINTS",
    "CODES",
    "LOCK",
    "PRIOR",
    "SCORES",
    "STATE",
    "TOKENIZER",
    "TRAVELS",
    "UNIGRAM",
    "Pipeline",
    "about",
    "best_step",
    "check_actions",
    "check_frames",
    "checkpoint_steps",
    "chosen_checkpoint",
    "fits_codes",
    "from_pretrained",
    "load",
    "local_run",
    "mixture_log_prob",
    "part_of",
    "prior_folder",
    "prior_name",
    "prior_names",
    "save",
    "tokenizer_digest",
]
