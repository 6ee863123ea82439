"""What is held out: a twentieth, chosen by a fixed hash of each example's key.

The choice depends on nothing but the key (a file's relative path, a row's number): it is the same on every machine and in
every run, and an example never changes sides when others are added.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from vqvae.errors import DataError

HELD_OUT_SHARE = 0.05


def is_held_out(key: str) -> bool:
    """Whether the example with this key belongs to the held-out 5 %."""
    return _hash(key) < HELD_OUT_SHARE


def split_by_hash(keys: Iterable[str], where: str) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " held_out"]]:
    """The positions of the keys to train on and of those to hold out, both in ascending order.

    Raises:
        DataError: one side is empty, which a small data set can bring about; ``where`` names it.
    """
    held_out = np.array([is_held_out(key) for key in keys], dtype=bool)
    if held_out.all() or not held_out.any():
        side = "trained on" if held_out.all() else "held out"
        raise DataError(
            f"{where} has {held_out.size} examples, and the hash that holds out 5 % of them leaves none to be {side}. "
            "Add examples, or split them yourself: folders train/ and val/, or arrays x_train and x_val in one .npz."
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def split_of_any_size(keys: Sequence[str], where: str) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " held_out"]]:
    """As ``split_by_hash``, for sets that may be small: the least hash is always held out, the greatest is always trained on.

    Raises:
        DataError: there are fewer than two keys; ``where`` names them.
    """
    if len(keys) < 2:
        raise DataError(f"{where} has {len(keys)} examples; at least 2 are needed, one to train on and one to hold out.")
    hashes = np.array([_hash(key) for key in keys])
    held_out = (hashes < max(HELD_OUT_SHARE, np.nextafter(hashes.min(), 1))) & (hashes < hashes.max())
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _hash(key: str) -> float:
    """From 0 to 1."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
