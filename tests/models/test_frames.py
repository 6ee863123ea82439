"""Clips as batches of frames."""

import dataclasses

import pytest
import torch

import vqvae
from tests.models import toy
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.models import FrameTokenizer, FrameTokenizerConfig, VAEConfig, VQVAEConfig, frames


@pytest.fixture
def inside() -> vqvae.VQVAE:
    return toy.make(VQVAEConfig)


def clip(count: int = 2, time: int = 3) -> Batch:
    x = torch.randint(0, 256, (count, 1, time, 2, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    return Batch(x, Condition(actions=torch.zeros(count, time, dtype=torch.int64)))


def test_codes_are_those_of_each_frame(inside: vqvae.VQVAE) -> None:
    model, batch = FrameTokenizer(inside), clip()
    codes = model.encode(batch).tensor
    for time in range(3):
        assert codes[:, :, time].equal(inside.encode(Batch(batch.x[:, :, time])).tensor)
    assert model.layout[0].stride == (1, *inside.layout[0].stride)
    assert model.signal.axes == ("time", "height", "width")


def test_decoding_is_that_of_each_frame(inside: vqvae.VQVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = FrameTokenizer(inside), clip()
    codes = model.encode(batch)
    made = model.decode(codes, size=(3, 2, 3))
    assert made.shape == (2, 1, 3, 2, 3)
    torch.testing.assert_close(made[:, :, 1], inside.decode(codes.tensor[:, :, 1], size=(2, 3)))
    monkeypatch.setattr(frames, "AT_ONCE", 8)
    assert model.decode(codes, size=(3, 2, 3)).equal(made)
    assert model.encode(batch).tensor.equal(codes.tensor)
    assert model.decode(codes, size=(2, 2, 4)).shape == (2, 1, 2, 2, 4)


def test_the_bound_is_the_sum_over_frames(inside: vqvae.VQVAE) -> None:
    model, batch = FrameTokenizer(inside), clip()
    each = torch.stack([inside.elbo(Batch(batch.x[:, :, time])) for time in range(3)])
    torch.testing.assert_close(model.elbo(batch), each.sum(0))
    made = model.reconstruct(batch, model.encode(batch))
    torch.testing.assert_close(made.log_likelihood, model.bound(batch).log_likelihood)
    shifted = model.elbo(batch, lambda codes, condition, mask: torch.full((2,), -7.0))
    torch.testing.assert_close(shifted, made.log_likelihood - 7)


def test_training_on_clips_of_one_frame_is_training_on_pictures(inside: vqvae.VQVAE) -> None:
    batch = clip(4, 1)
    objective, expected = FrameTokenizer(inside)(batch), inside(Batch(batch.x[:, :, 0]))
    torch.testing.assert_close(objective.loss, expected.loss)
    assert objective.metrics.keys() == expected.metrics.keys()


def test_frames_without_data_count_for_nothing(inside: vqvae.VQVAE) -> None:
    model, batch = FrameTokenizer(inside), clip()
    mask = torch.ones(2, 3, 2, 4, dtype=torch.bool)
    mask[1, 2] = False
    masked = batch._replace(mask=mask)
    codes = model.encode(masked)
    assert codes.mask is not None and codes.mask.shape == (2, 3, 1, 2)
    assert codes.mask[1, 2].sum() == 0 and codes.mask[0].all() and codes.tensor[1, :, 2].sum() == 0
    short = Batch(batch.x[1:, :, :2])
    torch.testing.assert_close(model.elbo(masked)[1:], model.elbo(short))
    torch.testing.assert_close(model.elbo(masked)[:1], model.elbo(Batch(batch.x[:1])))
    made = model.reconstruct(masked, codes)
    torch.testing.assert_close(made.log_likelihood, model.bound(masked).log_likelihood)


def test_the_model_inside_is_saved_and_found(inside: vqvae.VQVAE, tmp_path: object) -> None:
    model, batch = FrameTokenizer(inside), clip()
    assert isinstance(model.config, FrameTokenizerConfig)
    vqvae.save(vqvae.Pipeline(model), f"{tmp_path}/run")
    found = vqvae.load(f"{tmp_path}/run")
    assert torch.equal(found.encode(batch.x), model.encode(batch).tensor)
    assert dataclasses.replace(found.signal) == model.signal


def test_what_is_no_tokenizer_of_pictures_is_refused(inside: vqvae.VQVAE) -> None:
    with pytest.raises(ConfigError, match="takes a tokenizer of pictures with one level"):
        FrameTokenizer(FrameTokenizer(inside))
    with pytest.raises(ConfigError, match="it got a VAE"):
        FrameTokenizer(toy.make(VAEConfig))
    with pytest.raises(DataError, match="expected"):
        FrameTokenizer(inside).encode(Batch(clip().x[:, :, 0]))
