"""Codes to the sections of a file and back, through entropy coders. Codes come and go in parts, so memory does not grow with the file."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedIOBase
from tempfile import SpooledTemporaryFile

import torch
from torch import Tensor

from vqvae.codec.container import Header, frame, read_sections, write_header
from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.packed import PackedCoder
from vqvae.codes import Codes
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError, ConfigError

SECTION = 2**17
"""Codes in a section: about as many as a picture of 1,400 x 1,400 pixels or nine minutes of speech have."""
_IN_MEMORY = 2**24
"""Compressed bytes that are held in memory until the header is known."""

Spaces = tuple[tuple[int, ...], ...]


def write_codes(
    file: BufferedIOBase,
    blocks: Iterable[Codes],
    describe: Callable[[int, Spaces], Header],
    coders: Sequence[EntropyCoder],
    label: int | None,
) -> int:
    """Write the codes of one example.

    Args:
        file: where to write.
        blocks: the codes of one level, int64 (1, codebooks, *space), in blocks along the first axis of space; or a single block with the
            codes of all levels.
        describe: returns the header, given the length of a section and, if there are several levels, the space of each. It is called
            after the last block, when the size is known.
        coders: one for each level.
        label: the class or the speaker, if the coders need it.

    Returns:
        The number of bytes.

    Raises:
        ConfigError: if the codes do not fit the header.
    """
    made: list[tuple[str, int]] = []
    rows = number = written = 0
    spaces: Spaces = ()
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as held:
        for part in _parts(blocks):
            rows, number = max(rows, part[0].shape[2] if part[0].ndim > 2 else 0), number + 1
            spaces = tuple(tuple(codes.shape[2:]) for codes in part) if len(part) > 1 else ()
            for level, coder in enumerate(coders):
                mode, payload = _encoded(part[level][0], coder, _condition(label, part[:level]))
                made.append((mode, held.write(payload)))
        header = describe(rows if number > 1 else 0, spaces)
        if len(made) != header.parts() * len(header.layout):
            raise ConfigError(f"{number} parts of codes came for data of the size {header.size}; {header.parts()} were expected.")
        start = write_header(header)
        checksum = int.from_bytes(start[-4:], "little")
        written += file.write(start)
        held.seek(0)
        for section, (mode, length) in enumerate(made):
            written += file.write(frame(mode, held.read(length), section, checksum))
    return written


def read_codes(file: BufferedIOBase, header: Header, checksum: int, coders: Sequence[EntropyCoder], name: str) -> Iterator[Codes]:
    """The codes of a file in parts: of one level along the first axis of space, of several levels all at once.

    Args:
        file: the file, after its header.
        header, checksum: from ``read_header``.
        coders: one for each level.
        name: what messages call the file.

    Raises:
        BitstreamError: if the file is truncated or damaged.
    """
    levels: list[Tensor] = []
    for section, mode, payload in read_sections(file, header, checksum, name):
        coder = coders[section.level] if mode == header.mode else _packed(coders[section.level])
        try:
            codes = coder.decode(payload, section.shape, _condition(header.label, levels))
        except BitstreamError as error:
            raise BitstreamError(f"{name} cannot be decoded: {error}") from error
        levels.append(codes[None])
        if len(levels) == len(header.layout):
            yield Codes(levels)
            levels = []


def _encoded(codes: Tensor, coder: EntropyCoder, condition: Condition) -> tuple[str, bytes]:
    """The mode and the payload of a section: packed if that is smaller, as with codes unlike those that the coder was trained on."""
    payload, packed = coder.encode(codes, condition), _packed(coder)
    if 8 * len(payload) > packed.bits * codes.numel() + 7:
        return packed.name, packed.encode(codes, condition)
    return coder.name, payload


def _packed(coder: EntropyCoder) -> PackedCoder:
    return PackedCoder(coder.num_codebooks, coder.codebook_size)


def _parts(blocks: Iterable[Codes]) -> Iterator[Codes]:
    """Codes in parts of a section each. The first axis is cut; several levels stay whole."""
    held: Tensor | None = None
    for block in blocks:
        if len(block) > 1 or block.tensor.ndim == 2:
            yield block
            continue
        held = block.tensor if held is None else torch.cat([held, block.tensor], 2)
        rows = max(1, SECTION // math.prod((held.shape[1], *held.shape[3:])))
        while held.shape[2] > rows:
            yield Codes([held[:, :, :rows]])
            held = held[:, :, rows:]
    if held is not None and held.shape[2]:
        yield Codes([held])


def _condition(label: int | None, above: Iterable[Tensor]) -> Condition:
    return Condition(label=None if label is None else torch.tensor([label]), codes=tuple(above))
