"""The interface of entropy coders: codes to bytes, and back to the same codes on every machine."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64, Integer
from torch import Tensor

from vqvae.codes import check_codes
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError

MOST_CODES = 2**26
"""The largest number of codes that ``decode`` returns at once."""


class EntropyCoder(ABC):
    """Codes of one level to bytes and back."""

    name: ClassVar[str]
    """The mode: "packed", "static" or "prior"."""

    def __init__(self, num_codebooks: int, codebook_size: int) -> None:
        self.num_codebooks, self.codebook_size = num_codebooks, codebook_size

    @property
    def fingerprint(self) -> bytes:
        """A digest of the numbers that the bytes depend on, 32 bytes; empty if they depend on none."""
        return b""

    def encode(self, codes: Integer[Tensor, "codebooks *space"], condition: Condition = Condition()) -> bytes:
        """Encode the codes of one example.

        Args:
            codes: the codes of one level.
            condition: what the codes depend on, as a batch of one example: the label, the actions, the codes of the levels above.

        Raises:
            DataError: if codes have the wrong shape or range, or the condition lacks what the coder was trained with.
        """
        codes = check_codes(codes.unsqueeze(0), self.num_codebooks, self.codebook_size, "entropy coder")[0]
        return self._encode(codes.cpu().numpy(), condition.to("cpu")) if codes.numel() and self.codebook_size > 1 else b""

    def costs(
        self, codes: Integer[Tensor, "codebooks *space"], condition: Condition = Condition()
    ) -> Float64[np.ndarray, "codebooks *space"]:
        """The cost of each code of one example, -log2 p, in bits. ``encode`` needs at most 2 bytes more than their sum.

        Raises:
            DataError: as ``encode``.
        """
        codes = check_codes(codes.unsqueeze(0), self.num_codebooks, self.codebook_size, "entropy coder")[0]
        if not codes.numel() or self.codebook_size == 1:
            return np.zeros(tuple(codes.shape))
        return self._costs(codes.cpu().numpy(), condition.to("cpu"))

    def decode(self, data: bytes, shape: tuple[int, ...], condition: Condition = Condition()) -> Int64[Tensor, "codebooks *space"]:
        """Decode what ``encode`` returned.

        Args:
            data: the bytes, no more and no fewer.
            shape: (codebooks, *space).
            condition: as for ``encode``.

        Raises:
            BitstreamError: if these bytes are not codes of this shape.
            DataError: if the condition lacks what the coder was trained with.
        """
        if not shape or shape[0] != self.num_codebooks or min(shape) < 0 or math.prod(shape) > MOST_CODES:
            raise BitstreamError(
                f"Codes of the shape {shape} were requested; this coder decodes ({self.num_codebooks}, *space), at most {MOST_CODES} codes."
            )
        if math.prod(shape) == 0 or self.codebook_size == 1:
            check_length(data, 0)
            return torch.zeros(shape, dtype=torch.int64)
        return torch.from_numpy(self._decode(data, shape, condition.to("cpu")))

    @abstractmethod
    def _costs(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> Float64[np.ndarray, "codebooks *space"]:
        """The cost of at least one code, of a codebook of at least two."""

    @abstractmethod
    def _encode(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> bytes:
        """Encode at least one code, of a codebook of at least two."""

    @abstractmethod
    def _decode(self, data: bytes, shape: tuple[int, ...], condition: Condition) -> Int64[np.ndarray, "codebooks *space"]:
        """Decode at least one code, of a codebook of at least two."""


def check_length(data: bytes, expected: int) -> None:
    """Raise BitstreamError unless data has the expected number of bytes."""
    if len(data) != expected:
        raise BitstreamError(f"There are {len(data)} bytes of codes; expected {expected}. The file is damaged: get another copy.")
