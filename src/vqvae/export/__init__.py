"""A trained tokenizer as programs that run without this package."""

from vqvae.export.files import DESCRIPTION, FORMATS, export

__all__ = ["DESCRIPTION", "FORMATS", "export"]
