"""What distances share. They train a decoder but are not probabilities."""

from vqvae.likelihoods.base import Criterion


class Distance(Criterion):
    """A criterion whose ``loss`` is a distance times the number of values: a batch's loss per dimension is then the distance itself."""


class SoundDistance(Distance):
    """A distance of waves, with optional masks."""

    takes_masks = True
    channels, low, high = 1, -1.0, 1.0
