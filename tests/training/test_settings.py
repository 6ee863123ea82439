"""The settings of a training."""

import math

import pytest

from tests.training import tiny
from vqvae import config as configuration
from vqvae.errors import ConfigError


def test_minutes_are_a_positive_number() -> None:
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match="minutes is"):
            tiny.settings(minutes=wrong)
    assert tiny.settings(minutes=2.5).minutes == 2.5


def test_what_changes_nothing_that_is_learned_is_no_essence() -> None:
    one = tiny.settings(accumulate=2, compile=True, evaluate_every=7, minutes=3.0)
    assert configuration.essence(one) == configuration.essence(tiny.settings())
    assert configuration.essence(one) != configuration.essence(tiny.settings(batch_size=16))
