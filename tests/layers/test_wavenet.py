"""WaveNet all at once: who sees whom, and the logits of the network written out."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.errors import DataError
from vqvae.layers.wavenet import WaveNet

SIZE, TIME = 5, 24
SMALL = {"codebook_size": SIZE, "layers": 4, "cycle": 3, "residual": 4, "skip": 6, "output_hidden": 7}


def make(scale: float = 2.0, **settings: float) -> WaveNet:
    torch.manual_seed(0)
    model = WaveNet(**{**SMALL, **settings}).eval()
    for parameter in model.parameters():
        # First weights are small; larger ones let every part show in the numbers.
        parameter.data.mul_(scale)
    return model


def random_values(*shape: int) -> Tensor:
    return torch.randint(SIZE, shape, generator=torch.Generator().manual_seed(1))


def random_bias(model: WaveNet, batch: int, blocks: int) -> Tensor:
    return torch.randn(batch, blocks, *model.pairs_bias.shape, generator=torch.Generator().manual_seed(2), dtype=model.skip_bias.dtype)


def by_convolutions(model: WaveNet, values: Tensor, bias: Tensor | None) -> Tensor:
    """The same network by padded convolutions (batch, channels, time), one layer after the other."""
    x = F.pad(F.embedding(values, model.embedding).transpose(1, 2), (1, -1))
    total, hidden = model.skip_bias[:, None], model.embedding.shape[1]
    for i, dilation in enumerate(model.dilations):
        filters = torch.stack([model.pairs[i, :hidden].t(), model.pairs[i, hidden:].t()], -1)
        product = F.conv1d(F.pad(x, (dilation, 0)), filters, model.pairs_bias[i], dilation=dilation)
        if bias is not None:
            product = product + bias[:, :, i].transpose(1, 2).repeat_interleave(values.shape[1] // bias.shape[1], 2)
        gate = product[:, :hidden].tanh() * product[:, hidden:].sigmoid()
        total = total + model.skip[i * hidden : (i + 1) * hidden].t() @ gate
        if i < len(model.dilations) - 1:
            x = x + model.residual[i].t() @ gate
    seen = (model.hidden.t() @ total.relu() + model.hidden_bias[:, None]).relu()
    return (model.logits.t() @ seen + model.logits_bias[:, None]).transpose(1, 2)


@pytest.mark.parametrize("blocks", [0, 1, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_logits_are_those_of_the_network_written_out(blocks: int, batch: int) -> None:
    model, values = make().double(), random_values(batch, TIME)
    bias = random_bias(model, batch, blocks) if blocks else None
    torch.testing.assert_close(model(values, bias), by_convolutions(model, values, bias))


@pytest.mark.parametrize(("layers", "cycle", "sees"), [(4, 3, 9), (1, 1, 2), (3, 10, 8)])
def test_a_prediction_sees_the_receptive_field_and_nothing_else(layers: int, cycle: int, sees: int) -> None:
    # Wide enough that some of the units behind each ReLU are on.
    model = make(layers=layers, cycle=cycle, skip=24, output_hidden=24).double()
    assert model.receptive_field == sees
    # What a value is goes into the network as its embedding: so the Jacobian by one embedding of its own for each place tells.
    model.embedding = nn.Parameter(torch.randn(TIME, model.embedding.shape[1], dtype=torch.float64))
    places = torch.arange(TIME)[None]
    jacobian = torch.autograd.functional.jacobian(
        lambda table: torch.func.functional_call(model, {"embedding": table}, places).sum((0, 2)), model.embedding.detach()
    )
    seen = jacobian.abs().sum(2) > 0
    expected = torch.ones(TIME, TIME, dtype=torch.bool).tril(-1).triu(-sees)
    assert torch.equal(seen, expected)


def test_a_block_of_the_bias_reaches_its_own_values_first() -> None:
    model, values, bias = make().double(), random_values(1, TIME), random_bias(make().double(), 1, 3)
    other = bias.clone()
    other[:, 1] += 1
    changed = (model(values, bias) != model(values, other)).any(2)[0]
    assert not changed[:8].any() and changed[8:16].all()


def test_probabilities_of_all_sequences_sum_to_one() -> None:
    model = make(codebook_size=3)
    values = torch.tensor(list(itertools.product(range(3), repeat=5)))
    each = model(values).log_softmax(-1).gather(2, values[..., None]).sum((1, 2))
    torch.testing.assert_close(each.double().exp().sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-5, atol=0)


def test_codebooks_that_take_turns_have_embeddings_of_their_own() -> None:
    model = make(num_codebooks=2)
    assert model.embedding.shape == (2 * SIZE, 4)
    ones = torch.ones(1, 4, dtype=torch.int64)
    before = model(ones)
    model.embedding.data[SIZE + 1] += 1
    changed = (model(ones) != before).any(2)[0]
    assert changed.tolist() == [False, False, True, True], "the second value is of the second codebook, and reaches the third"


def test_bfloat16_is_close_and_gives_float32() -> None:
    model, values = make(scale=1.0), random_values(2, TIME)
    bias = random_bias(model, 2, 3).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(values, bias)
        loss = F.cross_entropy(found.flatten(0, 1), values.flatten())
    loss.backward()
    assert found.dtype == torch.float32 and bias.grad is not None and bias.grad.isfinite().all()
    # Eight bits of mantissa, over seven products.
    torch.testing.assert_close(found, model(values, bias), rtol=0, atol=0.03)


def test_every_parameter_learns() -> None:
    model, values = make(), random_values(2, TIME)
    F.cross_entropy(model(values).flatten(0, 1), values.flatten()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_dropout_only_in_training() -> None:
    model, values = make(dropout=0.5), random_values(1, TIME)
    assert torch.equal(model(values), model(values))
    model.train()
    assert not torch.equal(model(values), model(values))


@pytest.mark.parametrize("shape", [(0, TIME), (2, 0), (0, 0)])
def test_nothing_gives_no_logits(shape: tuple[int, int]) -> None:
    assert make()(random_values(*shape)).shape == (*shape, SIZE)


def test_a_bias_that_does_not_fit_is_an_error() -> None:
    model, values = make(), random_values(2, TIME)
    with pytest.raises(DataError, match="5 blocks, which do not divide 24"):
        model(values, random_bias(model, 2, 5))
    for wrong in (random_bias(model, 2, 0), random_bias(model, 2, 3)[..., :-1]):
        with pytest.raises(DataError, match="at least 1 block"):
            model(values, wrong)
    for wrong in (random_bias(model, 2, 0), random_bias(model, 2, 3)[..., :-1], random_bias(model, 1, 3)):
        with pytest.raises(DataError, match="at least 1 block"):
            model.start(2, wrong, block=8)


def test_weights_rounded_to_int8_are_near_and_few() -> None:
    model, values = make(scale=1.0), random_values(2, TIME)
    rounded = model.rounded_to_int8()
    for name in ("pairs", "residual", "hidden", "logits"):
        weight, found = getattr(model, name), getattr(rounded, name)
        largest = weight.abs().amax(-2, keepdim=True)
        # Half of one of 127 steps, and float32's own rounding.
        assert ((weight - found).abs() <= largest / 254 * 1.001).all() and not torch.equal(weight, found)
        assert all(len(column.unique()) <= 255 for column in found.flatten(0, -2).t()[:1])
    for name in ("embedding", "pairs_bias", "skip_bias", "hidden_bias", "logits_bias"):
        assert torch.equal(getattr(model, name), getattr(rounded, name))
    nats = [F.cross_entropy(which(values).flatten(0, 1), values.flatten()) for which in (model, rounded)]
    # Weights are off by 0.2 % of the largest in the mean; a bit a value would be 0.7.
    assert 0 < (nats[0] - nats[1]).abs() < 0.01
    twice = rounded.rounded_to_int8()
    for name, weight in rounded.named_parameters():
        torch.testing.assert_close(dict(twice.named_parameters())[name], weight, rtol=1e-6, atol=0)


@pytest.mark.parametrize("ordered", [False, True])
def test_first_weights_of_levels_are_smooth_and_all_values_begin_about_equally_likely(ordered: bool) -> None:
    torch.manual_seed(0)
    model = WaveNet(codebook_size=256, layers=6, cycle=3, residual=32, skip=64, output_hidden=64, ordered=ordered)
    for rows in (model.embedding, model.logits.t()):
        # The mean square of the difference to the next level, over that of two that have nothing in common.
        rough = rows.diff(dim=0).square().mean() / (2 * rows.square().mean())
        assert (rough < 0.1) if ordered else (0.8 < rough < 1.2)
    torch.testing.assert_close(model.embedding.square().mean().sqrt(), torch.tensor(1.0), rtol=0.1, atol=0)
    probabilities = model(torch.randint(256, (1, 200))).softmax(-1)
    nats = -(probabilities * probabilities.log()).sum(-1).mean()
    assert nats > math.log(256) - 0.5


def test_what_passes_the_first_weights_keeps_its_size() -> None:
    torch.manual_seed(0)
    model, rows = WaveNet(codebook_size=4, layers=3, residual=64, skip=256, output_hidden=256), torch.randn(500, 128)
    pairs = rows @ model.pairs[0]
    hidden = (torch.randn(500, 3 * 64) @ model.skip).relu() @ model.hidden
    torch.testing.assert_close(pairs.square().mean().sqrt(), torch.tensor(1.0), rtol=0.1, atol=0)
    # Twice the mean square, of which a ReLU leaves half.
    torch.testing.assert_close(hidden.square().mean().sqrt(), torch.tensor(2.0).sqrt(), rtol=0.1, atol=0)
