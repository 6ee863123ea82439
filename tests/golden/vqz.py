"""Golden compressed files: ``python -m tests.golden.vqz`` writes those that are missing, from the root of the repository.

``vqz/NAME.vqz`` is a file, ``vqz/NAME.npy`` are its codes. The models are the golden runs ``run-images`` and ``run-speech``; ``vqz/coder``
holds the integers of the coder of the first.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import vqvae
from tests.codec.models import prior_of
from vqvae import storage
from vqvae.codec.coders import PARTS
from vqvae.codec.integer import IntegerPrior
from vqvae.pipeline import Pipeline

FOLDER = Path(__file__).parent
VQZ = FOLDER / "vqz"


def model(name: str) -> Pipeline:
    """A golden run with the golden coder, if its codes fit."""
    loaded = vqvae.load(FOLDER / name / "run")
    if name != "run-images":
        return loaded
    integers = storage.load(VQZ / "coder" / "0", PARTS)
    assert isinstance(integers, IntegerPrior)
    return Pipeline(loaded.tokenizer, card=loaded.card, integers=[integers])


def inputs() -> dict[str, tuple[str, str, str | None, Tensor]]:
    """Of each file the run, the mode, the label and the data."""
    rng = np.random.default_rng(0)
    picture = torch.from_numpy(rng.integers(0, 256, (1, 3, 21, 34), dtype=np.uint8))
    wave = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 1, 3001)).astype(np.float32))
    found = {f"picture-{mode}-1": ("run-images", mode, "disc", picture) for mode in ("static", "prior")}
    return {**found, "picture-packed-1": ("run-images", "packed", None, picture), "speech-packed-1": ("run-speech", "packed", "two", wave)}


def main() -> None:
    """Write the files that are missing."""
    if not (VQZ / "coder").exists():
        storage.save(prior_of(codebook_size=8, classes=3), VQZ / "coder" / "0")
    for name, (run, mode, label, data) in inputs().items():
        file, loaded = VQZ / f"{name}.vqz", model(run)
        if not file.exists():
            file.write_bytes(loaded.compress(data, mode=mode, label=label))
            np.save(VQZ / f"{name}.npy", loaded.encode(data)[0].numpy().astype(np.uint8))


if __name__ == "__main__":
    main()
