"""Settings of a training as flags and as files."""

import json
from pathlib import Path
from typing import Annotated

import tyro

from vqvae import config as configuration
from vqvae.errors import ConfigError
from vqvae.training import RunOptions, TrainConfig

# The fields of a configuration are flags of the command itself.
Settings = Annotated[TrainConfig, tyro.conf.arg(name="")]
Options = Annotated[RunOptions, tyro.conf.arg(name="")]


def read_settings(path: Path) -> TrainConfig:
    """Settings from a JSON file, as ``vqvae info RUN --settings`` prints them.

    Raises:
        ConfigError: the file cannot be read, or holds other fields.
    """
    try:
        data = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, RuntimeError) as error:
        raise ConfigError(
            f"{path} cannot be read as settings ({error}). Give a JSON file such as 'vqvae info RUN --settings' prints."
        ) from error
    return configuration.from_json(TrainConfig, data, str(path))
