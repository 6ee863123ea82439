"""The kernels choose a code as the PyTorch loop does."""

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from vqvae.layers.autoregressive import Choice, draw
from vqvae.layers.kernels.draw import draw_code


@pytest.mark.parametrize("choice", [Choice(), Choice(0.7), Choice(top_k=3), Choice(top_p=0.5), Choice(1.5, 4, 0.8)])
def test_draws_of_ties_and_of_impossible_codes(choice: Choice) -> None:
    logits = np.array([-1e30, 2, 0, 2, -300, 1, 2, -1e30], np.float32)
    for u in (0.0, 0.2, 0.5, 0.8, 1 - 2**-40):
        expected = int(draw(torch.from_numpy(logits)[None], torch.tensor([[u]], dtype=torch.float64), choice))
        found = draw_code(logits.copy(), u, np.float32(choice.temperature), choice.top_k or 0, choice.top_p or 1.0)
        assert found == expected and logits[found] >= 0
