import numpy as np
import pytest
import torch
from torch import nn

from vqvae.data.base import Batch
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig, tiling
from vqvae.models.vqvae import VQVAE
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.pipeline import Pipeline
from vqvae.quantizers import EMAQuantizerConfig


def _model(channels=3, widths=(8, 8), stem=False, **quantizer):
    torch.manual_seed(0)
    config = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=32, **quantizer),
        likelihood=GaussianConfig(channels=channels),
        encoder=ImageEncoderConfig(widths=widths, residual_hidden=8, stem=stem),
        decoder=ImageDecoderConfig(widths=widths, residual_hidden=8),
    )
    model = config.build()
    model.start([Batch(_noise(1, channels, 64, 64))])
    return model.eval()


def _noise(*shape):
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture
def small(monkeypatch):
    """Windows of 32 x 32 pixels and their overlap, for all that is larger than 48 x 48."""
    monkeypatch.setattr(tiling, "_INSIDE", 32**2)
    monkeypatch.setattr(tiling, "LARGE", 48**2)
    monkeypatch.setattr(tiling, "MOST_WHOLE", 64**2)


@pytest.mark.parametrize("size", [(97, 131), (49, 200), (128, 64), (300, 9)])
@pytest.mark.parametrize("settings", [{}, {"widths": (8,)}, {"widths": (8, 8, 8), "stem": True, "channels": 1}])
def test_windows_give_the_codes_and_the_data_of_the_whole(small, size, settings):
    model = _model(**settings)
    x = _noise(2, settings.get("channels", 3), *size)
    with torch.no_grad():
        codes = model.encode(Batch(x)).tensor
        made = model.decode(codes, size=size)
    assert len(codes.unique()) > 8
    pipeline = Pipeline(model)
    assert tiling.is_tiled(model, size)
    assert torch.equal(pipeline.encode(x), codes)
    found = pipeline.decode(codes, size)
    # A value in a million lies so near to the middle of two levels that the order of a sum decides.
    assert found.dtype == torch.uint8 and (found.int() - made.int()).abs().max() <= 1 and (found != made).float().mean() < 1e-4
    assert torch.equal(pipeline.reconstruct(x), found)


def test_all_windows_have_one_shape_and_want_everything_once(small):
    shapes, wanted = set(), torch.zeros(40, 73, dtype=torch.int64)
    for window in tiling._windows((40, 73), (4, 4), [3, 3]):
        shapes.add(tuple(part.stop - part.start for part in window.seen))
        wanted[window.wanted] += 1
    assert shapes == {(14, 14)} and (wanted == 1).all()


def test_memory_does_not_grow_with_the_picture(small):
    model, seen = _model(), []
    size = (400, 300)

    def read(place):
        part = torch.zeros(1, 3, *(one.stop - one.start for one in place), dtype=torch.uint8)
        seen.append(part.numel())
        return part

    codes = tiling.encode_tiled(model, size, read)
    assert codes.tensor.shape == (1, 1, 100, 75) and max(seen) <= 3 * 56**2
    parts = [part for _, part in tiling.decode_tiled(model, codes, size)]
    assert max(part.numel() for part in parts) <= 3 * 56**2 and sum(part.numel() for part in parts) == 3 * 400 * 300


def test_a_layer_that_sees_everything_is_named(small):
    model = _model()
    model.encoder.layers.append(nn.GroupNorm(1, 4))
    with pytest.raises(ConfigError, match=r"80 x 60 is too large(?s:.)*ImageEncoder has the layer GroupNorm"):
        Pipeline(model).encode(_noise(1, 3, 80, 60))
    with pytest.raises(ConfigError, match="cannot work in pieces: ImageEncoder has the layer GroupNorm"):
        tiling.encode_tiled(model, (80, 60), lambda place: _noise(1, 3, 80, 60)[(..., *place)])
    # What fits into memory is worked on as a whole.
    assert Pipeline(model).encode(_noise(1, 3, 60, 60)).shape == (1, 1, 15, 15)


def test_a_network_that_does_not_say_how_far_it_sees_is_told_to(small):
    class Own(nn.Module):
        stride = (4, 4)

        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(4, 3, 1)

        def forward(self, vectors, condition):
            return self.layer(vectors).repeat_interleave(4, 2).repeat_interleave(4, 3)

    whole = _model()
    model = VQVAE(encoder=whole.encoder, quantizer=whole.quantizer, decoder=Own(), criterion=whole.criterion)
    codes = torch.zeros(1, 1, 20, 20, dtype=torch.int64)
    with pytest.raises(ConfigError, match=r"Own does not say how far it sees(?s:.)*self\.context"):
        Pipeline(model).decode(codes)
    Own.context = (0, 0)
    assert torch.equal(Pipeline(model).decode(codes), model.decode(codes))
