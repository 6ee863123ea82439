"""Randomness as a function of (seed, step, rank): a resumed run draws what an uninterrupted run would draw."""

import hashlib

import torch


def mix(seed: int, *parts: int | str) -> int:
    """Mix a seed with steps, ranks and stream names into 63 bits; the same on every machine, unlike ``hash``."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for ``(seed, *parts)``, such as ``generator(0, "noise", step, rank)``."""
    return torch.Generator(device=device).manual_seed(mix(seed, *parts))


def seed_everything(seed: int, *parts: int | str) -> None:
    """Seed torch's global generators, on every device, for draws inside modules (revival, dropout)."""
    torch.manual_seed(mix(seed, *parts))
