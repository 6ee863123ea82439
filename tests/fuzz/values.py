"""Values that something may be called with: good, wrong, huge, empty and odd."""

import random
import string
from typing import Any

import numpy as np
import torch

WORDS = [
    "",
    " ",
    "0",
    "1",
    "2",
    "-1",
    "3.5",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "9" * 30,
    "true",
    "None",
    "null",
    "[]",
    "{}",
    "a" * 300,
    "é ☃",
    "~nobody",
]
WORDS += [
    "/",
    ".",
    "..",
    "/dev/null",
    "/nowhere/at/all",
    "cpu",
    "cuda",
    "cuda:99",
    "meta",
    "auto",
    "x.json",
    "a.npy",
    "a.png",
    "a.wav",
    "run",
    "pictures",
    "1000000000",
    "-9223372036854775808",
    "a/" * 3000,
    "\udcff",
]
"""Of a command line."""


def word(r: random.Random) -> str:
    """One argument."""
    return r.choice(WORDS) if r.random() < 0.9 else "".join(r.choices(string.printable, k=r.randint(1, 12)))


def plain(r: random.Random, depth: int = 2) -> Any:
    """A value as JSON has it."""
    kinds = [
        None,
        True,
        False,
        0,
        1,
        2,
        -1,
        3,
        2**31,
        -(2**63),
        10**30,
        0.5,
        -0.0,
        1e-300,
        1e300,
        float("nan"),
        float("inf"),
        "",
        "a",
        "../x",
        "é",
        "a\0b",
        "\ud800",
        "a" * 5000,
        2**31 - 1,
        10**9,
    ]
    if depth and r.random() < 0.3:
        items = [plain(r, depth - 1) for _ in range(r.randint(0, 3))]
        return items if r.random() < 0.5 else {r.choice(["kind", "a", ""]): item for item in items}
    return r.choice(kinds)


def small(r: random.Random) -> int:
    """A size that does not take all memory by itself."""
    return r.choice([0, 1, 2, 3, 4, 8])


def tensor(r: random.Random) -> torch.Tensor:
    """Of any type, shape and values."""
    shape = [small(r) for _ in range(r.randint(0, 5))]
    dtype = r.choice(
        [
            torch.uint8,
            torch.int8,
            torch.int16,
            torch.int32,
            torch.int64,
            torch.float16,
            torch.bfloat16,
            torch.float32,
            torch.float64,
            torch.bool,
            torch.complex64,
        ]
    )
    made = torch.zeros(shape, dtype=dtype)
    how = r.choice(["zeros", "full", "random", "nan"])
    if made.numel() and how == "random":
        made = torch.from_numpy(np.random.default_rng(r.randint(0, 9)).integers(-3, 9, shape)).reshape(shape).to(dtype)
    if made.numel() and how == "full":
        made.fill_(r.choice([1, 7, 100]))
    if made.numel() and how == "nan" and dtype.is_floating_point:
        made.view(-1)[0] = r.choice([float("nan"), float("inf"), -1e30])
    return made


def anything(r: random.Random) -> Any:
    """Any object that a caller may hand over by mistake."""
    chosen = r.randint(0, 7)
    if chosen < 3:
        return tensor(r)
    if chosen == 3:
        found = tensor(r)
        return found.float().numpy() if found.dtype == torch.bfloat16 else found.numpy()
    return plain(r) if chosen < 7 else r.choice([object(), b"bytes", np.float32(1), {1, 2}, range(3), lambda: 0, ("a", 1)])
