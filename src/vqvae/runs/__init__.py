"""A run folder and its stages."""

from vqvae.runs.python import evaluate, train, train_prior

__all__ = ["evaluate", "train", "train_prior"]
