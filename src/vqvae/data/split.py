"""What is held out if the data does not say: 5 %, by a fixed hash of each example's key.

The choice depends only on the key, such as a file's relative path or a row's number. It is the same on every machine and in every run. No
example changes sides when others are added, except in sets so small that one side would be empty.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from vqvae.errors import DataError

HELD_OUT_SHARE = 0.05


def is_held_out(key: str) -> bool:
    """Whether the example with this key belongs to the held-out 5 %."""
    return _hash(key) < HELD_OUT_SHARE


def split_of_any_size(keys: Sequence[str], where: str) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " held_out"]]:
    """The positions of the training keys and of the held-out keys, both in ascending order.

    The key with the smallest hash is always held out, and the one with the largest is always trained on.

    Raises:
        DataError: if there are fewer than two keys; ``where`` names the data in the message.
    """
    if len(keys) < 2:
        raise DataError(f"{where} has {len(keys)} examples; at least 2 are needed, one to train on and one to hold out.")
    held_out = _held_out(np.array([_hash(key) for key in keys]))
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def split_by_digests(digests: UInt64[np.ndarray, " examples"], where: str) -> Bool[np.ndarray, " examples"]:
    """Whether each example is held out, given a hash of its content. Equal examples are on the same side.

    Raises:
        DataError: if there are not two different examples; ``where`` names the data in the message.
    """
    if not len(digests) or digests.min() == digests.max():
        words = f"{len(digests):,} examples, all the same" if len(digests) > 1 else f"{len(digests)} examples"
        raise DataError(f"{where} has {words}; at least 2 different ones are needed, one to train on and one to hold out.")
    return _held_out(digests / 2**64)


def _held_out(hashes: Float[np.ndarray, " examples"]) -> Bool[np.ndarray, " examples"]:
    return (hashes < max(HELD_OUT_SHARE, np.nextafter(hashes.min(), 1))) & (hashes < hashes.max())


def _hash(key: str) -> float:
    """A hash from 0 to 1."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
