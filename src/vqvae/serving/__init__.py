"""A server of trained runs: one HTTP interface for programs and a page for people."""

from vqvae.serving.client import Client, ServerError

__all__ = ["Client", "ServerError"]
