"""``python -m tests.codec.same_bytes FOLDER [--threads N] [--deterministic] [--plain]``: the bytes of some codes, as a digest.

It loads the integer prior in FOLDER, encodes arbitrary codes in both modes that need one, checks that they decode to the same codes, and
prints the SHA-256 of all bytes. ``VARIANTS`` are the ways in which they must not differ.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_AVX = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "NUMBA_CPU_NAME": "generic",
    "OPENBLAS_CORETYPE": "Prescott",
}
VARIANTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "one thread": ({"OMP_NUM_THREADS": "1"}, ["--threads", "1"]),
    "four threads": ({"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}, ["--threads", "4"]),
    "16 copies at once": ({}, ["--batch", "16"]),
    "deterministic algorithms": ({}, ["--deterministic"]),
    "without AVX": (WITHOUT_AVX, []),
    "without numba": ({"OPENBLAS_NUM_THREADS": "2"}, ["--plain"]),
}


def digest_of(folder: Path, variant: str) -> str:
    """The digest in a process of its own."""
    extra, words = VARIANTS[variant]
    command = [sys.executable, "-m", "tests.codec.same_bytes", str(folder), *words]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **extra}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def main() -> None:
    """Print the digest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--plain", action="store_true")
    chosen = parser.parse_args()
    if chosen.plain:
        sys.modules["numba"] = None  # type: ignore[assignment]
    import torch

    from vqvae import storage
    from vqvae.codec import integer_coder, range_coder
    from vqvae.codec.coders import PARTS, coders_of
    from vqvae.codes import Level

    if chosen.plain:
        range_coder.compiler = range_coder.kernels = integer_coder.compiler = lambda: None
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    torch.use_deterministic_algorithms(chosen.deterministic)
    prior = storage.load(chosen.folder, PARTS)
    config, digest = prior.config, hashlib.sha256()
    level = Level(config.num_codebooks, config.codebook_size, (1,) * config.axes)
    shape = (config.num_codebooks, *(9 + axis for axis in range(config.axes)))
    batch = torch.randint(config.codebook_size, (1, *shape), generator=torch.Generator().manual_seed(0)).repeat(
        chosen.batch, *[1] * len(shape)
    )
    for mode in ("static", "prior"):
        (coder,) = coders_of(mode, (level,), (prior,))
        found = {coder.encode(codes) for codes in batch}
        assert len(found) == 1
        (data,) = found
        assert torch.equal(coder.decode(data, shape), batch[0])
        digest.update(data)
    print(digest.hexdigest())


if __name__ == "__main__":
    main()
