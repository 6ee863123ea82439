import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.networks import ArrayDecoderConfig, ArrayEncoderConfig
from vqvae.signals import Signal


@pytest.mark.parametrize(("axes", "stride"), [(("time",), (8,)), (("a", "b"), (1, 4)), (("a", "b", "c"), (1, 2, 4)), (("a", "b"), (1, 1))])
def test_every_axis_has_its_stride(axes, stride):
    encoder = ArrayEncoderConfig(axes=axes, stride=stride, width=4).build(Signal(axes=axes, channels=2), 3)
    decoder = ArrayDecoderConfig(stride=stride, width=4).build(3, 5)
    size = tuple(2 * step for step in stride)
    latents = encoder(torch.randn(1, 2, *size))
    assert latents.shape == (1, 3, *[2] * len(axes))
    assert decoder(latents).shape == (1, 5, *size) and encoder.stride == decoder.stride == stride


def test_the_unit_of_the_data_makes_no_difference():
    torch.manual_seed(0)
    signal = Signal(axes=("time",), channels=2)
    plain = ArrayEncoderConfig(width=4).build(signal, 3)
    scaled = ArrayEncoderConfig(width=4, centre=(100.0, -7.0), unit=(10.0, 0.5)).build(signal, 3)
    scaled.load_state_dict(plain.state_dict())
    x = torch.randn(1, 2, 8)
    moved = x * torch.tensor([10.0, 0.5])[:, None] + torch.tensor([100.0, -7.0])[:, None]
    torch.testing.assert_close(scaled(moved), plain(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError):
        scaled(torch.full((1, 2, 8), torch.nan))


@pytest.mark.parametrize(
    "settings", [{"stride": (3,)}, {"stride": ()}, {"stride": (2, 2)}, {"centre": (1.0,)}, {"unit": (0.0, 1.0)}, {"width": 0}]
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ConfigError):
        ArrayEncoderConfig(**settings).build(Signal(axes=("time",), channels=2), 3)
