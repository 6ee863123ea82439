"""``python -m tests.fuzz.payloads [--count N] [--seed S]``: damaged payloads of the entropy coders.

Each must decode to codes of the requested shape or end in a BitstreamError, within two seconds and without much memory. A decoder that
does not end is stopped, with a traceback.
"""

import argparse
import faulthandler
import random
import resource
import sys
import time

import torch

from tests.codec.models import clip, codes_of, prior_of
from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.integer_coder import PriorCoder
from vqvae.codec.packed import PackedCoder
from vqvae.codec.static import StaticCoder, frequencies_of
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError

SECONDS, MEBIBYTES = 2.0, 256
"""The limits: of a payload, and of all memory that decoding adds."""


def subjects() -> list[tuple[EntropyCoder, torch.Tensor, Condition]]:
    """Coders with codes that they encode."""
    counts = torch.arange(1, 513).pow(3).view(1, -1).numpy()
    prior, codes, given = clip()
    return [
        (PackedCoder(1, 500), codes_of(1, 500, 21, 21), Condition()),
        (StaticCoder(frequencies_of(counts)), codes_of(1, 512, 21, 21), Condition()),
        (PriorCoder(prior_of(codebook_size=64)), codes_of(1, 64, 12, 12), Condition()),
        (PriorCoder(prior_of(num_codebooks=4, axes=1)), codes_of(4, 11, 60), Condition()),
        (PriorCoder(prior), codes, given),
    ]


def damaged(data: bytes, draws: random.Random) -> bytes:
    """The bytes with one to three changes."""
    changed = bytearray(data)
    for _ in range(draws.randint(1, 3)):
        at = draws.randrange(len(changed) + 1)
        match draws.randrange(5):
            case 0:
                del changed[at:]
            case 1:
                changed[at:at] = draws.randbytes(draws.randint(1, 9))
            case 2:
                del changed[at : at + draws.randint(1, 9)]
            case 3:
                changed[at : at + 1] = draws.randbytes(1)
            case 4:
                changed[at : at + 4] = draws.choice([b"\0\0\0\0", b"\xff\xff\xff\xff"])
    return bytes(changed)


def shape_of(shape: tuple[int, ...], draws: random.Random) -> tuple[int, ...]:
    """The shape, or seldom another one, which may be hostile."""
    if draws.random() < 0.9:
        return shape
    axis = draws.randrange(len(shape))
    return (*shape[:axis], draws.choice([0, 1, 7, 10**6, 10**12, -1]), *shape[axis + 1 :])


def main() -> int:
    """Decode, and count what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.payloads", description="Damaged payloads of the entropy coders.")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    found = subjects()
    payloads = [coder.encode(codes, given) for coder, codes, given in found]
    for (coder, codes, given), data in zip(found, payloads, strict=True):  # Compiles.
        assert torch.equal(coder.decode(data, tuple(codes.shape), given), codes)
    before, slowest, errors = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0, 0
    for number in range(chosen.count):
        draws = random.Random(f"{chosen.seed} {number}")
        which = draws.randrange(len(found))
        coder, codes, given = found[which]
        data, shape = damaged(payloads[which], draws), shape_of(tuple(codes.shape), draws)
        began = time.process_time()
        faulthandler.dump_traceback_later(60, exit=True)
        try:
            assert tuple(coder.decode(data, shape, given).shape) == shape
        except BitstreamError:
            errors += 1
        slowest = max(slowest, time.process_time() - began)
    faulthandler.cancel_dump_traceback_later()
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{chosen.count} payloads: {errors} errors, the slowest {slowest:.3f} s, {more:.0f} MiB more memory")
    return int(slowest > SECONDS or more > MEBIBYTES)


if __name__ == "__main__":
    sys.exit(main())
