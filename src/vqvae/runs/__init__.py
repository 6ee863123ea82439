"""A run folder and its stages."""

from vqvae.runs.python import evaluate, train, train_prior
from vqvae.runs.sharing import push_to_hub
from vqvae.runs.tokenizing import tokenize

__all__ = ["evaluate", "push_to_hub", "tokenize", "train", "train_prior"]
