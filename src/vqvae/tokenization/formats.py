"""The formats of shards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from vqvae.data.records.base import BadRecord
from vqvae.tokenization.parquet import read_parquet_outcome, write_parquet
from vqvae.tokenization.plan import Plan
from vqvae.tokenization.rows import Outcome, Row
from vqvae.tokenization.tars import read_tar_outcome, write_tar


class Format(NamedTuple):
    """How shards are written, and how their records are read."""

    write: Callable[[Path, Iterator[Row | BadRecord], Plan, int], Outcome]
    outcome: Callable[[Path, Plan, int], Outcome | None]


FORMATS = {"parquet": Format(write_parquet, read_parquet_outcome), "webdataset": Format(write_tar, read_tar_outcome)}
"""By the names that users give."""
