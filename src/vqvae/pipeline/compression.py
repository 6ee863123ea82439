"""Compressed files of a pipeline: codes of one example to a ``.vqz`` file and back, with the checks that file and model belong together."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from typing import NamedTuple

import torch

from vqvae.codec import coders
from vqvae.codec.container import FINGERPRINT, MODES, Header, check_length, read_header, remaining
from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.fingerprint import fingerprint
from vqvae.codec.stream import read_codes, write_codes
from vqvae.codes import Codes
from vqvae.errors import BitstreamError, DataError
from vqvae.pipeline.base import TrainedParts
from vqvae.signals import Signal

MOST_VALUES = 2**32
"""The largest number of values of data that is decoded as a whole. As 8-bit levels they take 4 GiB."""


@dataclass(frozen=True, kw_only=True)
class Coders:
    """The entropy coders of a model for one mode."""

    mode: str
    levels: tuple[EntropyCoder, ...]
    """One for each level of codes."""

    @property
    def fingerprint(self) -> bytes:
        """The fingerprint of the numbers that their bytes depend on; zeros if they depend on none."""
        digests = b"".join(coder.fingerprint for coder in self.levels)
        return hashlib.sha256(digests).digest()[:FINGERPRINT] if digests else bytes(FINGERPRINT)


class Opened(NamedTuple):
    """A compressed file that belongs to the model."""

    header: Header
    codes: Iterator[Codes]
    """The codes in parts: of one level along the first axis, of several levels all at once."""


def coders_of(model: TrainedParts, mode: str | None = None) -> Coders:
    """The coders of a mode; default: the one with the smallest files that the model has.

    Raises:
        ConfigError: if the model has no such coders.
    """
    mode = modes_of(model)[-1] if mode is None else mode
    return Coders(mode=mode, levels=coders.coders_of(mode, model.layout, model.integers))


def modes_of(model: TrainedParts) -> tuple[str, ...]:
    """The modes that a model has coders for, the one with the smallest files last."""
    return MODES[: 1 if not model.integers else 3 if all(prior.config.hidden for prior in model.integers) else 2]


def write_file(
    model: TrainedParts,
    file: BufferedIOBase,
    codes: Iterable[Codes],
    size: Callable[[], tuple[int, ...]],
    using: Coders,
    label: int | None = None,
    signal: Signal | None = None,
) -> int:
    """Write the codes of one example; see ``write_codes``. ``size`` is called after the last block. ``signal`` is that of the example;
    default: the model's. Returns the number of bytes.

    Raises:
        ConfigError: if the example is empty or too large.
    """

    def describe(rows: int, spaces: tuple[tuple[int, ...], ...]) -> Header:
        return Header(
            mode=using.mode,
            model=fingerprint(model.tokenizer),
            coder=using.fingerprint,
            signal=model.signal if signal is None else signal,
            layout=model.layout,
            size=size(),
            label=label,
            rows=rows,
            space=spaces,
        )

    return write_codes(file, codes, describe, using.levels, label)


def open_file(model: TrainedParts, file: BufferedIOBase, name: str) -> Opened:
    """Read the header of a file and check that this model can decode it.

    Raises:
        BitstreamError: if the file is damaged, or was written with another model or other coders.
    """
    header, checksum = read_header(file, name)
    check_model(model, header, name)
    known = coders_of(model, header.mode if model.integers or header.mode == "packed" else "packed")
    if (header.mode, header.coder) != (known.mode, known.fingerprint):
        ours = "the coder " + known.fingerprint.hex() if model.integers else "no coder"
        raise BitstreamError(
            f"{name} needs the entropy coder {header.coder.hex()}; this run has {ours}. Restore the folder 'coder' that wrote "
            "the file: a coder that is trained again cannot read it."
        )
    check_length(header, remaining(file), name)
    return Opened(header, read_codes(file, header, checksum, known.levels, name))


def check_model(model: TrainedParts, header: Header, name: str) -> None:
    """Raise BitstreamError unless a file with this header was written with this model."""
    ours = fingerprint(model.tokenizer)
    if header.model != ours:
        raise BitstreamError(
            f"{name} was compressed with the model {header.model.hex()}; this run holds the model {ours.hex()}. Give the run that "
            "compressed it: 'vqvae info RUN' prints the fingerprint of a run."
        )
    fits = header.layout == model.layout and model.tokenizer.signal.fits(header.signal)
    if not fits or (header.label is not None and header.label >= max(len(model.label_names), 1)):
        raise BitstreamError(f"{name} is damaged: its header does not fit the model whose fingerprint it has. Compress the original again.")


def joined(opened: Opened, name: str) -> Codes:
    """All codes of a file at once.

    Raises:
        BitstreamError: if the data is too large to be decoded as a whole, or the file is damaged.
    """
    values = math.prod((opened.header.signal.channels, *opened.header.size))
    if values > MOST_VALUES:
        raise BitstreamError(f"{name} claims {values:,} values; at most {MOST_VALUES:,} can be decoded. The file is damaged, or too large.")
    parts = list(opened.codes)
    return parts[0] if len(parts) == 1 else Codes([torch.cat([part.tensor for part in parts], 2)])


@contextmanager
def refusing_spaces(header: Header, name: str) -> Iterator[None]:
    """Turn errors of a decoder into a BitstreamError if a file of several levels has spaces that do not fit each other or its size. Only
    the model knows how they belong together."""
    try:
        yield
    except (DataError, IndexError, RuntimeError) as error:
        if not header.space:
            raise
        raise BitstreamError(f"{name} is damaged: codes of the spaces {header.space} do not fit data of the size {header.size}.") from error
