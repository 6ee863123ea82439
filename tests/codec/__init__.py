"""Tests of ``vqvae.codec``."""
