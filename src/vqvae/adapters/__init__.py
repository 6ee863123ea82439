"""Trained models under the calling names of other libraries, without importing them."""

from vqvae.adapters.audio import AudioTokenizer

__all__ = ["AudioTokenizer"]
