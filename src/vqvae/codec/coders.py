"""The entropy coders of a run: ``RUN/coder/0``, ``RUN/coder/1`` and so on hold the integers of each level of codes."""

from collections.abc import Sequence
from pathlib import Path

from vqvae import storage
from vqvae.codec.container import MODES
from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.integer import IntegerPrior, IntegerPriorConfig
from vqvae.codec.integer_coder import PriorCoder
from vqvae.codec.packed import PackedCoder
from vqvae.codec.static import StaticCoder
from vqvae.codes import Level
from vqvae.disk import exists
from vqvae.errors import CheckpointError, ConfigError

CODER = "coder"
PARTS = (IntegerPriorConfig,)
"""The configurations in these folders."""


def coder_folder(run: Path, level: int) -> Path:
    """The folder of the integers of a level."""
    return run / CODER / str(level)


def read_integers(run: Path, layout: Sequence[Level]) -> tuple[IntegerPrior, ...]:
    """The integers of every level of a run's codes, the coarsest level first. Empty if the run has none.

    Raises:
        CheckpointError: if they are damaged, incomplete, or those of other codes.
    """
    if not exists(coder_folder(run, 0)):
        return ()
    found = []
    for number, level in enumerate(layout):
        folder = coder_folder(run, number)
        prior = storage.load(folder, PARTS)
        if not isinstance(prior, IntegerPrior) or (prior.config.num_codebooks, prior.config.codebook_size) != level[:2]:
            raise CheckpointError(f"{folder} does not fit the codes of this run. Remove {run / CODER}, then: vqvae train-coder {run}")
        found.append(prior)
    return tuple(found)


def coders_of(mode: str, layout: Sequence[Level], integers: Sequence[IntegerPrior] = ()) -> tuple[EntropyCoder, ...]:
    """The entropy coder of each level.

    Args:
        mode: one of ``vqvae.codec.container.MODES``.
        layout: the levels of codes.
        integers: what ``read_integers`` returned; not used by the mode "packed".

    Raises:
        CheckpointError: if the integers are damaged.
        ConfigError: if there is no such mode, or it needs integers that are not there.
    """
    if mode not in MODES:
        raise ConfigError(f"There is no entropy coder {mode!r}; choose one of {', '.join(MODES)}.")
    if mode == PackedCoder.name:
        return tuple(PackedCoder(level.num_codebooks, level.codebook_size) for level in layout)
    if len(integers) != len(layout):
        raise ConfigError(f"The mode {mode!r} needs a trained coder, and this run has none. Train it: vqvae train-coder RUN")
    if mode == StaticCoder.name:
        return tuple(StaticCoder(prior.frequencies.numpy()) for prior in integers)
    return tuple(PriorCoder(prior) for prior in integers)
