"""The speaker as a vector added at every position: [VQVAE §4.3] conditions its decoder on the speaker."""

from jaxtyping import Float
from torch import Tensor, nn

from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.exact import is_traced


class Speakers(nn.Module):
    """Add a learned vector for the speaker of each example to all positions. This equals the paper's one-hot speaker, multiplied by its
    first weights."""

    def __init__(self, speakers: int, width: int) -> None:
        """Accept ``condition.label`` from 0 to ``speakers`` - 1. If ``speakers`` is 0, ignore labels."""
        super().__init__()
        if speakers < 0:
            raise ConfigError(f"speakers is {speakers}; it must be 0 (none) or more.")
        self.speakers = speakers
        self.embedding = nn.Embedding(speakers, width) if speakers else None

    def forward(self, hidden: Float[Tensor, "batch width time"], condition: Condition) -> Float[Tensor, "batch width time"]:
        """Keep the shape.

        Raises:
            DataError: if the speaker is missing or out of range.
        """
        label = condition.label
        if self.embedding is None:
            return hidden
        if label is None:
            raise DataError(f"condition.label is missing; this decoder has {self.speakers} speakers, numbered from 0.")
        if label.shape != hidden.shape[:1]:
            raise DataError(f"condition.label has the shape {tuple(label.shape)}; expected one speaker for each of {len(hidden)} waves.")
        # Exported code does not depend on values.
        if not is_traced() and len(label) and not 0 <= int(label.min()) <= int(label.max()) < self.speakers:
            raise DataError(f"Speakers lie between {int(label.min())} and {int(label.max())}; this decoder has 0 to {self.speakers - 1}.")
        return hidden + self.embedding(label.long()).unsqueeze(2).to(hidden.dtype)
