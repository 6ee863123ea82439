"""Tests of ``vqvae.evaluation.rates``."""
