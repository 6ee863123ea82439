"""Without numba everything but what asks for it by name works."""

import importlib.util
import sys

import pytest
import torch

from vqvae.errors import MissingExtraError
from vqvae.layers import autoregressive
from vqvae.layers.autoregressive import sample
from vqvae.priors import PixelCNNConfig, WaveNetConfig


@pytest.mark.parametrize(
    ("config", "space"), [(PixelCNNConfig(codebook_size=4, layers=1, hidden=4), (2, 3)), (WaveNetConfig(codebook_size=4, layers=1), (6,))]
)
def test_the_pytorch_loop_takes_over(
    monkeypatch: pytest.MonkeyPatch, config: PixelCNNConfig | WaveNetConfig, space: tuple[int, ...]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(autoregressive, "find_spec", lambda name: None if name == "numba" else find(name))
    monkeypatch.setitem(sys.modules, "numba", None)
    # What an earlier test has imported is found without numba.
    for name in [name for name in sys.modules if name.startswith("vqvae.layers.kernels")]:
        monkeypatch.delitem(sys.modules, name)
    model = config.build().eval()
    assert sample(model, 1, space).shape == (1, 1, *space)
    with pytest.raises(MissingExtraError, match=r"vqvae\[fast\]"):
        sample(model, 1, space, compiled=True)
    with pytest.raises(MissingExtraError, match=r"vqvae\[fast\]"):
        model.fused(model.start(1, space), torch.rand(1, 6, dtype=torch.float64))
