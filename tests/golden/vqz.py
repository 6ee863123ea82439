"""Golden compressed files: ``python -m tests.golden.vqz`` writes those that are missing, from the root of the repository.

``vqz/NAME.vqz`` is a file, ``vqz/NAME.npy`` are its codes. The models are the golden runs ``run-images`` and ``run-speech``; ``vqz/coder``
holds the integers of the coder of the first.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import vqvae
from tests.codec.models import prior_of
from vqvae import storage
from vqvae.codec.coders import PARTS
from vqvae.codec.integer import IntegerPrior
from vqvae.codec.static import frequencies_of
from vqvae.codes import Codes, space_of
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import coders_of, write_file

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


class Golden(NamedTuple):
    """What a file was written from."""

    run: str
    mode: str
    label: str | None
    size: tuple[int, ...]


FILES = {
    **{f"picture-{mode}-1": Golden("run-images", mode, "disc", (21, 34)) for mode in ("static", "prior")},
    "picture-packed-1": Golden("run-images", "packed", None, (21, 34)),
    "speech-packed-1": Golden("run-speech", "packed", "two", (3001,)),
}


def codes_of(space: tuple[int, ...]) -> Tensor:
    """Codes that are often 5, which the golden coder expects."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(np.where(rng.random((1, 1, *space)) < 0.1, rng.integers(0, 8, (1, 1, *space)), 5))


def main() -> None:
    """Write the files that are missing."""
    if not (VQZ / "coder").exists():
        prior = prior_of(codebook_size=8, classes=3)
        prior.frequencies.copy_(torch.from_numpy(frequencies_of(np.array([[1, 2, 3, 5, 8, 400, 13, 21]]))))
        storage.save(prior, VQZ / "coder" / "0")
    for name, (run, mode, label, size) in FILES.items():
        file, loaded = VQZ / f"{name}.vqz", model(run)
        if not file.exists():
            codes, written = codes_of(space_of(size, loaded.layout[0].stride)), io.BytesIO()
            write_file(loaded, written, [Codes([codes])], lambda size=size: size, coders_of(loaded, mode), loaded.stored_label(label))
            file.write_bytes(written.getvalue())
            np.save(VQZ / f"{name}.npy", codes[0].numpy().astype(np.uint8))


if __name__ == "__main__":
    main()
