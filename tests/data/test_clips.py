"""Windows over codes of whole episodes."""

import numpy as np
import pytest
import torch

from vqvae.data.base import Batch, Condition, Dataset
from vqvae.data.clips import CodeClips
from vqvae.errors import DataError
from vqvae.signals import Signal


class Codes(Dataset):
    """Three episodes of five frames; the last one has two."""

    name, action_names = "codes", ("a", "b")
    signal = Signal(axes=("time", "height", "width"), channels=1, levels=99)

    def __len__(self) -> int:
        return 3

    def batch(self, indices: np.ndarray) -> Batch:
        x = torch.arange(3 * 5).view(3, 1, 5, 1, 1).expand(3, 1, 5, 2, 2)
        mask = torch.ones(3, 5, 2, 2, dtype=torch.bool)
        mask[2, 2:] = False
        rows = torch.from_numpy(indices)
        return Batch(x[rows], Condition(actions=torch.arange(15).view(3, 5)[rows] % 2), mask[rows])


def test_a_window_starts_at_every_frame_and_stays_in_its_episode() -> None:
    clips = CodeClips(Codes(), 2)
    assert len(clips) == 4 + 4 + 1
    batch = clips.batch(np.array([0, 3, 4, 8]))
    assert batch.x[:, 0, :, 1, 1].tolist() == [[0, 1], [3, 4], [5, 6], [10, 11]]
    assert batch.condition.actions is not None and batch.condition.actions.tolist() == [[0, 1], [1, 0], [1, 0], [0, 1]]
    assert batch.mask is None and clips.action_names == ("a", "b")
    assert len(CodeClips(Codes(), 5)) == 2


def test_too_long_a_window_is_an_error() -> None:
    with pytest.raises(DataError, match="No episode has 6 frames of codes; the longest has 5"):
        CodeClips(Codes(), 6)


def test_codes_without_time_are_an_error() -> None:
    codes = Codes()
    codes.signal = Signal(axes=("height", "width"), channels=1, levels=99)
    with pytest.raises(DataError, match="these have the axes"):
        CodeClips(codes, 2)


@pytest.mark.parametrize("length", [0, -1])
def test_a_window_has_a_frame_at_least(length: int) -> None:
    with pytest.raises(DataError, match=f"A clip has {length} frames; expected at least 1"):
        CodeClips(Codes(), length)


def test_no_episode_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Codes, "__len__", lambda self: 0)
    with pytest.raises(DataError, match="the longest has 0"):
        CodeClips(Codes(), 1)
