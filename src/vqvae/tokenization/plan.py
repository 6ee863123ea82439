"""The plan of a tokenization: what decides every byte of the shards. It is fixed before the work starts."""

import json
from dataclasses import field
from pathlib import Path
from typing import Literal

from vqvae import config as configuration
from vqvae.codec.fingerprint import fingerprint
from vqvae.config import settings
from vqvae.data.records.base import Facts, digest_of
from vqvae.disk import atomic, explained, read_text
from vqvae.errors import ConfigError, DataError
from vqvae.pipeline import Pipeline

VERSION = 1
PLAN, MANIFEST, SHARDS = "plan.json", "manifest.json", "shards"
_ADVICE = "Choose another --out."


@settings
class Reading:
    """How items become data."""

    bounds: tuple[float, float] | None = None
    """The range of float data."""
    size: tuple[int, int] | None = None
    """Height and width that pictures are cut and resized to. Default: their own."""


@settings
class Plan:
    """Which items go into which shard, and what makes codes of them."""

    version: int = VERSION
    """Version of the format."""
    format: Literal["parquet", "webdataset"] = "parquet"
    """The format of the shards."""
    tokenizer: str
    """The fingerprint of the tokenizer."""
    axes: tuple[str, ...]
    """The axes of the data."""
    layout: tuple[tuple[int, int], ...]
    """(num_codebooks, codebook_size) of each level of codes, coarsest first."""
    data: str
    """What the data is, and a digest of it."""
    items: int = field(metadata={"bounds": (1, 2**48)})
    """The number of items."""
    shard_size: int
    """The number of items in every shard but the last, bad items included."""
    labels: Literal["", "int", "text"] = ""
    """The type of the labels; empty without labels."""
    has_actions: bool = False
    """Whether items have actions."""
    label_names: tuple[str, ...] = ()
    """Names of the labels, by number."""
    action_names: tuple[str, ...] = ()
    """Names of the actions, by number."""
    reading: Reading = Reading()
    """How items are read."""

    def __post_init__(self) -> None:
        if self.shard_size < 1:
            raise ConfigError(f"The shard size is {self.shard_size}; at least 1 is expected.")

    @classmethod
    def of(cls, model: Pipeline, facts: Facts, *, format: str, shard_size: int, reading: Reading) -> "Plan":
        """The plan for a model and a source."""
        return cls(
            format=format,  # pyrefly: ignore[bad-argument-type]
            tokenizer=fingerprint(model.tokenizer).hex(),
            axes=model.signal.axes,
            layout=tuple((level.num_codebooks, level.codebook_size) for level in model.layout),
            data=f"{facts.kind}, {facts.digest}",
            items=facts.items,
            shard_size=shard_size,
            labels=facts.labels,  # pyrefly: ignore[bad-argument-type]
            has_actions=facts.has_actions,
            label_names=facts.label_names,
            action_names=facts.action_names,
            reading=reading,
        )

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-self.items // self.shard_size)

    @property
    def suffix(self) -> str:
        """The suffix of the shards."""
        return ".parquet" if self.format == "parquet" else ".tar"

    @property
    def digest(self) -> str:
        """Stands for the plan in the shards."""
        return digest_of(configuration.to_json(self))

    def items_of(self, shard: int) -> range:
        """The numbers of the items of a shard."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.items))

    def file(self, shard: int) -> str:
        """The file of a shard, relative to the folder of the plan. In a folder of their own, shards can be read as one table."""
        return f"{SHARDS}/shard-{shard:06}{self.suffix}"


def settle(plan: Plan, folder: Path) -> None:
    """Write the plan to a folder, or check that the folder has the same one.

    Raises:
        ConfigError: if the folder has another plan. The message says what differs.
        DataError: if the plan cannot be read or written.
    """
    path = folder / PLAN
    if not path.exists():
        strangers = sorted(one.name for one in folder.iterdir() if not one.name.startswith(".")) if folder.is_dir() else []
        if strangers:
            raise ConfigError(f"{folder} holds {', '.join(strangers[:4])} but no {PLAN}, so it is not a tokenization. {_ADVICE}")
        with atomic(path, DataError, _ADVICE) as partial:
            partial.write_text(json.dumps(configuration.to_json(plan), indent=1))
        return
    with explained(DataError, path, "cannot be read", _ADVICE):
        found = configuration.loads(read_text(path), str(path))
    differences = configuration.differences(found, configuration.to_json(plan), "plan")
    if differences:
        raise ConfigError(f"{folder} is a tokenization of another model, other data or other settings: {'; '.join(differences)}. {_ADVICE}")
