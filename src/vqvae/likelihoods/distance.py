"""What distances share, which train a decoder and are no probabilities."""

from vqvae.likelihoods.base import Criterion


class Distance(Criterion):
    """A criterion whose ``loss`` is a distance times the values that count: a batch's loss a dimension is then the distance itself."""


class SoundDistance(Distance):
    """A distance of waves, of which some samples may not count."""

    takes_masks = True
    channels, low, high = 1, -1.0, 1.0
