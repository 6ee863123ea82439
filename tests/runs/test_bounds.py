"""The range of float data: given, or that of the training."""

from pathlib import Path

import pytest

from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import PICTURES, SOUND
from vqvae.runs.bounds import bounds_of

RUN = Path(__file__).parents[1] / "golden" / "run-images" / "run"


def test_bounds_are_given_or_those_of_the_training(tmp_path):
    assert bounds_of(RUN, (0.0, 1.0), PICTURES) == (0.0, 1.0)
    assert bounds_of(RUN, None, PICTURES) is None and bounds_of(tmp_path, None, PICTURES) is None


def test_wrong_bounds_are_refused():
    with pytest.raises(ConfigError, match="a low value and then a higher one"):
        bounds_of(RUN, (1.0, 1.0), PICTURES)
    with pytest.raises(ConfigError, match="Sound lies between"):
        bounds_of(RUN, (0.0, 1.0), SOUND)
