"""Settings of a training as flags and as files."""

from pathlib import Path
from typing import Annotated

import tyro

from vqvae import config as configuration
from vqvae import disk
from vqvae.errors import ConfigError
from vqvae.training import RunOptions, TrainConfig

# The fields of a configuration are flags of the command itself.
Settings = Annotated[TrainConfig, tyro.conf.arg(name="")]
Options = Annotated[RunOptions, tyro.conf.arg(name="")]


def read_settings(path: Path) -> TrainConfig:
    """Settings from a JSON file, as ``vqvae info RUN --settings`` prints them.

    Raises:
        ConfigError: if the file cannot be read, or has other fields.
    """
    try:
        data = configuration.loads(disk.read_text(disk.user_path(path)), str(path))
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read as settings ({error}). Give a JSON file, as 'vqvae info RUN --settings' prints it."
        ) from error
    return configuration.from_json(TrainConfig, data, str(path))
