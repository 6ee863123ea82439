"""Who speaks: one vector a speaker, and labels that do not fit."""

import pytest
import torch

from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.networks.speakers import Speakers


def test_a_speaker_adds_one_vector_everywhere() -> None:
    speakers, hidden = Speakers(3, 4), torch.randn(2, 4, 5)
    added = speakers(hidden, Condition(label=torch.tensor([2, 0]))) - hidden
    torch.testing.assert_close(added, speakers.embedding.weight[[2, 0]].unsqueeze(2).expand(2, 4, 5))
    assert Speakers(0, 4)(hidden, Condition()) is hidden
    assert Speakers(0, 4)(hidden, Condition(label=torch.tensor([2, 0]))) is hidden, "the data may have labels all the same"


def test_labels_that_do_not_fit_are_errors() -> None:
    hidden = torch.zeros(2, 4, 5)
    with pytest.raises(DataError, match="is missing; this decoder has 3 speakers"):
        Speakers(3, 4)(hidden, Condition())
    with pytest.raises(DataError, match="expected one speaker for each of 2"):
        Speakers(3, 4)(hidden, Condition(label=torch.tensor([0])))
    for label in ([0, 3], [-1, 0]):
        with pytest.raises(DataError, match="0 to 2"):
            Speakers(3, 4)(hidden, Condition(label=torch.tensor(label)))
    with pytest.raises(ConfigError, match="speakers is -1"):
        Speakers(-1, 4)
