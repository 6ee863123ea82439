"""The image encoder, where the contracts of all networks say nothing."""

import torch

from vqvae.networks import ImageEncoderConfig
from vqvae.signals import pictures


def test_without_overlap_a_code_sees_its_own_pixels_alone() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoderConfig(widths=(4, 8), residual_blocks=2, residual_hidden=4, stem=True, overlap=False).build(pictures(), 3)
    x = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    moved = x.roll((4, -4), (2, 3))
    torch.testing.assert_close(encoder(moved), encoder(x).roll((1, -1), (2, 3)))
    assert encoder.context == (0, 0) and encoder(x).shape == (1, 3, 4, 4)
