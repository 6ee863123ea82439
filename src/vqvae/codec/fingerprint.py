"""A fingerprint of a tokenizer: equal for every copy of it, whatever release stored or loaded it."""

import hashlib
import json

import torch

from vqvae.codec.container import FINGERPRINT
from vqvae.models.base import Tokenizer


def fingerprint(tokenizer: Tokenizer) -> bytes:
    """The first 8 bytes of a SHA-256 over the weights, and over the settings that decide what codes are: the signal and the layout.

    Names of weights and other settings are left out: they may change from release to release, and files must stay readable. Each tensor
    counts by its type, shape and values.
    """
    digests = sorted(_digest(tensor) for tensor in tokenizer.state_dict().values())
    signal = tokenizer.signal
    about = [signal.channels, signal.levels, signal.low, signal.high, [list(map(_plain, level)) for level in tokenizer.layout]]
    return hashlib.sha256(json.dumps(about).encode() + b"".join(digests)).digest()[:FINGERPRINT]


def _digest(tensor: torch.Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    about = f"{str(plain.dtype).removeprefix('torch.')} {tuple(plain.shape)} "
    # As integers, because NumPy has no bfloat16.
    return hashlib.sha256(about.encode() + plain.flatten().view(torch.uint8).numpy().tobytes()).digest()


def _plain(value: int | tuple[int, ...]) -> int | list[int]:
    return list(value) if isinstance(value, tuple) else value
