"""Shards as WebDataset tars. Each item is a sample: ``NUMBER.codes.npy``, and ``NUMBER.json`` with id, size, label, length and actions.

The last member, ``__vqvae__``, records how the shard came about. Readers of WebDataset skip such names.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vqvae.data.records.base import BadRecord
from vqvae.tokenization.plan import Plan
from vqvae.tokenization.rows import Outcome, Row, Tally

_ABOUT = "__vqvae__"
_LARGEST = 2**28
"""Bytes of the record of a shard; more than any has."""


def write_tar(path: Path, rows: Iterator[Row | BadRecord], plan: Plan, shard: int) -> Outcome:
    """Write a shard."""
    tally = Tally()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row in tally.over(rows):
            name = f"{row.number:012}"
            for level, codes in enumerate(row.codes):
                file = io.BytesIO()
                np.save(file, codes, allow_pickle=False)
                _add(tar, f"{name}.codes{f'.{level}' if level else ''}.npy", file.getvalue())
            _add(tar, f"{name}.json", json.dumps(_about(row, plan)).encode())
            tar.members = []  # They would pile up.  # pyrefly: ignore[missing-attribute]
        _add(tar, _ABOUT, tally.outcome.to_text(plan, shard).encode())
    return tally.outcome


def read_tar_outcome(path: Path, plan: Plan, shard: int) -> Outcome | None:
    """The outcome that a shard states. None if the file is missing, damaged, or of another plan."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                tar.members = []  # pyrefly: ignore[missing-attribute]
                content = tar.extractfile(member) if member.name == _ABOUT and member.size <= _LARGEST else None
                if content is not None:
                    return Outcome.from_text(content.read().decode(errors="replace"), plan, shard)
    except (OSError, tarfile.TarError):
        pass
    return None


def _about(row: Row, plan: Plan) -> dict[str, object]:
    about: dict[str, object] = {"id": row.id, "size": row.size}
    if plan.labels:
        about["label"] = row.label
    if "time" in plan.axes:
        about["length"] = row.size[plan.axes.index("time")]
    if plan.has_actions:
        about["actions"] = row.actions
    return about


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    # Time and owner stay 0, so that the same codes are the same bytes.
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
