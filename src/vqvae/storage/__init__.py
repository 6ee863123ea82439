"""A trained part, and a run's card, as files."""

from vqvae.storage.card import RunCard
from vqvae.storage.parts import (
    CONFIG,
    FORMAT_VERSION,
    WEIGHTS,
    Stored,
    check_rebuilt,
    check_storable,
    is_part,
    load,
    read,
    read_json,
    read_tensors,
    replacing,
    restore,
    save,
    write,
    write_json,
    write_tensors,
)

__all__ = [
    "CONFIG",
    "FORMAT_VERSION",
    "WEIGHTS",
    "RunCard",
    "Stored",
    "check_rebuilt",
    "check_storable",
    "is_part",
    "load",
    "read",
    "read_json",
    "read_tensors",
    "replacing",
    "restore",
    "save",
    "write",
    "write_json",
    "write_tensors",
]
