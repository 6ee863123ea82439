"""``python -m tests.fuzz.guided [--count N] [--seed S]``: damaged compressed files, with changes guided by what they reach in the code.

The package Atheris chooses the changes. It is needed here only: ``make fuzz-guided`` installs it in a folder of its own. What must hold is
the same as in ``tests.fuzz.containers``. A file that does not hold stays in the working folder as ``crash-…``.
"""

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import atheris

import vqvae.codec.integer_loop  # noqa: F401  numba cannot compile what Atheris changed.
import vqvae.codec.range_coder  # noqa: F401

with atheris.instrument_imports(include=["vqvae.codec", "vqvae.pipeline.compression", "vqvae.codes"]):
    import vqvae.pipeline.compression  # noqa: F401  Atheris sees only what is imported here.

from tests.fuzz.containers import is_refused, sealed, subjects
from tests.fuzz.payloads import MEBIBYTES, SECONDS
from tests.fuzz.results import add

LONGEST = 4096
"""Bytes of a file."""
HANGS = 120
"""Seconds after which a file counts as one that does not end. Processor time is checked with the bar."""


def peak() -> float:
    """The peak of the memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Decompress files until there were enough, or one does not hold. Does not return."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description="Damaged compressed files, guided by coverage.")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a folder of results, to add these to its fuzzing.md and fuzzing.json")
    chosen = parser.parse_args()
    found = subjects()
    for model, data in found:  # Compiles.
        assert not is_refused(model, sealed(data)), "sealing changes no file that is whole"
    began, before, slowest, cases, errors = time.monotonic(), peak(), 0.0, 0, 0
    folder = tempfile.TemporaryDirectory()
    for number, (_, data) in enumerate(found):
        Path(folder.name, str(number)).write_bytes(bytes([number]) + data)

    def try_(given: bytes) -> None:
        """One case: the number of the model, then a file."""
        nonlocal slowest, cases, errors
        start = time.process_time()
        refused = is_refused(found[given[0] % len(found)][0], given[1:]) if given else True
        taken = time.process_time() - start
        slowest, cases, errors = max(slowest, taken), cases + 1, errors + refused
        assert taken <= SECONDS, f"it takes {taken:.1f} s"
        assert peak() - before <= MEBIBYTES, f"it takes {peak() - before:.0f} MiB"
        if cases >= chosen.count:
            words = f"{cases} files: {errors} errors, the slowest {slowest:.3f} s, {peak() - before:.0f} MiB more memory"
            print(words, flush=True)
            if chosen.out is not None:
                how = f"Atheris, seed {chosen.seed}"
                add(chosen.out, "tests.fuzz.guided", "compressed files, guided", how, cases, 0, time.monotonic() - began)
            folder.cleanup()
            os._exit(0)  # libFuzzer would go on.

    def change(given: bytes, longest: int, seed: int) -> bytes:
        """Changes of libFuzzer, in half of all cases with right checksums after them."""
        made = atheris.Mutate(given, longest)
        return made[:1] + sealed(made[1:]) if random.Random(seed).random() < 0.5 else made

    options = [f"-seed={chosen.seed}", f"-timeout={HANGS}", f"-max_len={LONGEST}", "-rss_limit_mb=0", "-verbosity=0", folder.name]
    atheris.Setup([sys.argv[0], *options], try_, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
