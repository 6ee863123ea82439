"""Writes the same pictures as tars, Parquet and Arrow files."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image


def pngs(count: int, size: tuple[int, int] = (8, 8), seed: int = 0) -> list[bytes]:
    """PNG files of noise."""
    random, found = np.random.default_rng(seed), []
    for _ in range(count):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def write_tar(path: Path, members: Sequence[tuple[str, bytes]], **settings: int) -> None:
    """A tar of these members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **settings) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def samples(contents: Sequence[bytes], labels: Sequence[object] | None = None, first: int = 0) -> list[tuple[str, bytes]]:
    """The members of a WebDataset tar."""
    found = []
    for number, content in enumerate(contents):
        found.append((f"{first + number:06d}.png", content))
        if labels is not None:
            found.append((f"{first + number:06d}.cls", str(labels[number]).encode()))
    return found


def write_parquet(path: Path, **columns: object) -> None:
    """A Parquet file of several row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=7)


def write_arrow(path: Path, compression: str | None = None, **columns: object) -> None:
    """An Arrow stream, as ``datasets`` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    with pyarrow.ipc.new_stream(path, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=9)
