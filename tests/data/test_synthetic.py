import numpy as np
import pytest

from vqvae.data import SyntheticImagesConfig
from vqvae.errors import ConfigError


def test_the_seed_decides_and_the_sides_differ():
    one, same, other = (SyntheticImagesConfig(count=40, seed=seed).build() for seed in (0, 0, 1))
    x = [splits.train.batch(np.arange(40)).x for splits in (one, same, other)]
    assert x[0].equal(x[1]) and not x[0].equal(x[2])
    assert one.train.name == same.train.name != other.train.name
    small = SyntheticImagesConfig(count=4).build()
    assert not small.train.batch(np.arange(4)).x.equal(small.held_out.batch(np.arange(4)).x)


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_follow_the_settings(channels):
    train, held_out = SyntheticImagesConfig(count=100, size=12, channels=channels, classes=6).build()
    assert train.batch(np.arange(100)).x.shape == (100, channels, 12, 12)
    assert (len(held_out), len(train.label_names)) == (6, 6)
    assert train.batch(np.arange(100)).condition.label.bincount().tolist() == [17, 17, 17, 17, 16, 16]


def test_the_class_can_be_seen():
    """The share of a picture that its shape covers differs from class to class, as the eye would see."""
    train, _ = SyntheticImagesConfig(count=400, size=32, classes=2, channels=1).build()
    batch = train.batch(np.arange(400))
    largest = np.array([np.unique(picture, return_counts=True)[1].max() for picture in batch.x.numpy()])
    label = batch.condition.label.numpy()
    disc, square = largest[label == 0].mean(), largest[label == 1].mean()
    # Areas for one radius: pi for the disc, 1.8 squared for the square.
    assert square / disc == pytest.approx(1.8**2 / np.pi, abs=0.1)


@pytest.mark.parametrize("setting", [{"count": 0}, {"size": 3}, {"classes": 7}, {"channels": 0}])
def test_impossible_settings_are_refused(setting):
    with pytest.raises(ConfigError, match="cannot be drawn"):
        SyntheticImagesConfig(**setting).build()


def test_more_than_fits_into_memory_is_refused():
    with pytest.raises(ConfigError, match="values; at most"):
        SyntheticImagesConfig(count=2 * 10**9).build()
