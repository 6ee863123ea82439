"""The gated stack: who sees whom, and the same features one position at a time."""

import pytest
import torch
from torch import Tensor

from vqvae.layers.pixelcnn import GatedPixelCNN, PixelCNNDecoding, gate, pack

H, W, HIDDEN = 5, 9, 4


def stack(layers: int = 6, kernel: int = 3, **settings: float) -> GatedPixelCNN:
    torch.manual_seed(0)
    return GatedPixelCNN(HIDDEN, layers, kernel, **settings).double().eval()


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def decoded(model: GatedPixelCNN, x: Tensor, bias: Tensor | None = None) -> Tensor:
    batch, height, width, _ = x.shape
    state, features = PixelCNNDecoding(pack(model), batch, width, bias), torch.empty_like(x)
    with torch.no_grad():
        for row in range(height):
            state.row(x[:, row - 1] if row else None)
            for column in range(width):
                features[:, row, column] = state.position(column, x[:, row, column - 1] if column else None)
    return features


@pytest.mark.parametrize("kernel", [3, 5])
def test_every_earlier_position_counts_and_no_other(kernel: int) -> None:
    # Deep enough that the farthest corner is in reach: 8 columns with 1 (or 2) more from each layer.
    model, x = stack(layers=9, kernel=kernel), random(1, H, W, HIDDEN)
    jacobian = torch.autograd.functional.jacobian(lambda x: model(x).sum((0, 3)).flatten(), x).abs().sum((1, 4))
    seen = jacobian.flatten(1) > 0
    assert torch.equal(seen, torch.ones(H * W, H * W, dtype=torch.bool).tril(-1))


def test_nothing_leaks_from_later_positions_even_not_a_number() -> None:
    model, x = stack(kernel=5), random(1, H, W, HIDDEN)
    for position in range(H * W):
        spoilt = x.clone()
        spoilt.view(1, H * W, HIDDEN)[:, position:] = torch.nan
        features = model(spoilt).view(H * W, HIDDEN)
        assert features[: position + 1].isfinite().all() and features[position + 1 :].isnan().any(1).all()


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("layers", [1, 4])
@pytest.mark.parametrize("space", [(5, 9), (9, 5), (1, 1), (3, 2)])
def test_decoding_gives_the_features_of_the_whole(kernel: int, layers: int, space: tuple[int, int]) -> None:
    model, x = stack(layers, kernel), random(2, *space, HIDDEN)
    torch.testing.assert_close(decoded(model, x), model(x).detach(), rtol=0, atol=1e-12)


def test_decoding_takes_a_bias_for_each_example() -> None:
    model, x, bias = stack(), random(2, H, W, HIDDEN), random(2, 6, 2, 2 * HIDDEN)
    expected = model(x, bias).detach()
    torch.testing.assert_close(decoded(model, x, bias), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(model(x[1:], bias[1:]).detach(), expected[1:])
    assert not torch.allclose(model(x, bias.flip(0)), expected)


def test_decoding_keeps_no_more_memory_as_it_goes_on() -> None:
    model, x = stack(), random(1, 3, W, HIDDEN)
    state = PixelCNNDecoding(pack(model), 1, W, None)

    def held() -> set[int]:
        parts = [value if isinstance(value, (list, tuple)) else [value] for value in vars(state).values()]
        return {tensor.data_ptr() for part in parts for tensor in part if isinstance(tensor, Tensor)}

    before = held()
    state.row(None)
    first = state.position(0, None)
    state.row(x[:, 0])
    second = state.position(0, None)
    assert held() == before and first.data_ptr() == second.data_ptr()


def test_a_mask_is_the_end_of_the_map() -> None:
    model, x = stack(kernel=5), random(1, H, W, HIDDEN)
    mask = torch.zeros(1, H, W, dtype=torch.bool)
    mask[:, :4, :6] = True
    torch.testing.assert_close(model(x, mask=mask)[:, :4, :6], model(x[:, :4, :6]))


def test_dropout_only_in_training() -> None:
    model, x = stack(dropout=0.5), random(1, H, W, HIDDEN)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_gradients_reach_every_parameter() -> None:
    model = stack(layers=2)
    model(random(1, H, W, HIDDEN), random(1, 2, 2, 2 * HIDDEN)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_gate_is_tanh_times_sigmoid() -> None:
    x = random(3, 8)
    torch.testing.assert_close(gate(x), x[:, :4].tanh() / (1 + (-x[:, 4:]).exp()))
