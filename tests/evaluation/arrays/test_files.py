import numpy as np
import pytest
import torch

from vqvae.errors import DataError
from vqvae.evaluation.arrays.files import read_examples, write_examples
from vqvae.signals import Signal

SERIES = Signal(axes=("time",), channels=3)


@pytest.mark.parametrize("shape", [(3, 9), (9, 3), (2, 3, 9), (2, 9, 3)])
def test_channels_may_be_first_or_last_and_examples_one_or_many(tmp_path, shape):
    values = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "a.npy", values)
    (x,) = read_examples(tmp_path / "a.npy", SERIES)
    assert x.shape == (2 if len(shape) == 3 else 1, 3, 9) and x.dtype == torch.float32
    write_examples(tmp_path / "b.npy", [x[..., :4], x[..., 4:]], SERIES)
    (again,) = read_examples(tmp_path / "b.npy", SERIES)
    assert torch.equal(x, again)


@pytest.mark.parametrize(("shape", "count"), [((6, 5), 1), ((4, 6, 5), 4), ((1, 6, 5), 1), ((6, 5, 1), 1), ((4, 1, 6, 5), 4)])
def test_one_channel_needs_no_axis(tmp_path, shape, count):
    np.save(tmp_path / "a.npy", np.ones(shape, np.int64))
    (x,) = read_examples(tmp_path / "a.npy", Signal(axes=("height", "width"), channels=1, levels=4))
    assert x.shape == (count, 1, 6, 5) and x.dtype == torch.uint8


@pytest.mark.parametrize(
    ("channels", "shape"), [(3, (5, 3, 4, 6)), (3, (3, 5, 4, 6)), (3, (5, 4, 6, 3)), (1, (5, 1, 4, 6)), (1, (5, 4, 6))]
)
def test_one_clip_may_have_its_frames_first_as_written_by_write_video(tmp_path, channels, shape):
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "a.npy", values)
    (x,) = read_examples(tmp_path / "a.npy", Signal(axes=("time", "height", "width"), channels=channels, levels=256))
    assert x.shape == (1, channels, 5, 4, 6)
    order = {(5, 3, 4, 6): (1, 0, 2, 3), (5, 4, 6, 3): (3, 0, 1, 2)}.get(shape, range(len(shape)))
    assert np.array_equal(x[0].numpy(), values.transpose(order).reshape(channels, 5, 4, 6))


@pytest.mark.parametrize(
    "values", [np.zeros((2, 9)), np.zeros((2, 2, 3, 9)), np.full((3, 9), np.nan), np.zeros((3, 0)), np.zeros((3, 9), complex)]
)
def test_other_data_is_refused(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match="expected"):
        list(read_examples(tmp_path / "a.npy", SERIES))
