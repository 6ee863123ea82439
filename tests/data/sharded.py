"""Codes on disk for the tests of their format, writer and reader."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqvae.codes import Codes
from vqvae.data import CodesHeader, CodesWriter, Condition

HEADER = CodesHeader(source="weights-1/data-1", num_codebooks=2, codebook_size=300, space=(3, 5), count=10, shard_size=4)


def codes_of(header: CodesHeader, seed: int = 0, masks: list | None = None) -> Codes:
    """Codes of all examples and levels."""
    random = np.random.default_rng(seed)
    shapes = [(header.count, level.num_codebooks, *level.space) for level in header.levels]
    tensors = [random.integers(0, level.codebook_size, shape) for level, shape in zip(header.levels, shapes, strict=True)]
    return Codes(map(torch.from_numpy, tensors), masks)


def batches(codes: Codes, condition: Condition, examples: range, size: int = 3) -> Iterator[tuple[Codes, Condition]]:
    """What a tokenizer makes of some of the examples."""
    for first in range(examples.start, examples.stop, size):
        rows = slice(first, min(first + size, examples.stop))
        yield codes.take(rows), condition.take(rows)


def write(folder: Path, header: CodesHeader, codes: Codes, condition: Condition = Condition(), size: int = 3, **options: Any) -> list[int]:
    """Write what is missing; returns the numbers of the shards that were."""
    writer, written = CodesWriter(folder, header, **options), []
    for shard in writer.missing():
        writer.write(shard, batches(codes, condition, shard.examples, size))
        written.append(shard.number)
    writer.finish()
    return written


def write_file(path: Path, entries: Any, data: bytes) -> None:
    """A safetensors file by hand, with any header."""
    header = (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def read_file(path: Path) -> tuple[dict, bytes]:
    """The header of a safetensors file, and its data."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def size_of(header: CodesHeader) -> int:
    """Bytes of the codes of a shard that is full."""
    sizes = [np.min_scalar_type(level.codebook_size - 1).itemsize * level.num_codebooks * math.prod(level.space) for level in header.levels]
    return header.shard_size * sum(sizes)
