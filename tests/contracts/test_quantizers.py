"""What every quantizer of the Union must do. The numbers in brackets are known faults of other implementations."""

import copy
import json
import math
import typing

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from vqvae import quantizers
from vqvae.config import dumps, from_json
from vqvae.errors import ConfigError, DataError
from vqvae.quantizers import Quantizer, QuantizerConfig

DIM, SIZE = 8, 16
CODEBOOK = {"codebook_size": SIZE, "start_from_data": False}
SAMPLES = {
    quantizers.VectorQuantizerConfig: CODEBOOK,
    quantizers.EMAQuantizerConfig: CODEBOOK,
    quantizers.ProductQuantizerConfig: {**CODEBOOK, "num_codebooks": 4},
    quantizers.ResidualQuantizerConfig: {**CODEBOOK, "num_codebooks": 3},
    quantizers.FSQConfig: {"levels": (4, 2, 2)},
    quantizers.IdentityQuantizerConfig: {},
}
"""What each kind is made with in these tests, besides ``dim``. A new quantizer needs a line here."""


def make(kind: type, *, seed: int = 0, **settings) -> Quantizer:
    torch.manual_seed(seed)
    return kind(**{"dim": DIM, **SAMPLES[kind], **settings}).build()


def latents(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def state(quantizer: Quantizer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in quantizer.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


WITH_CODES = [kind for kind in SAMPLES if make(kind).num_codebooks]
every = pytest.mark.parametrize("kind", SAMPLES)
with_codes = pytest.mark.parametrize("kind", WITH_CODES)


def test_every_kind_has_a_sample() -> None:
    assert set(SAMPLES) == set(typing.get_args(QuantizerConfig))


# --- what is chosen, and what comes back


@every
@pytest.mark.parametrize("space", [(), (7,), (5, 9), (2, 3, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_channels_may_come_last(kind: type, space: tuple[int, ...], masked: bool) -> None:
    second, last = make(kind).eval(), make(kind).eval()
    z = latents(3, DIM, *space).requires_grad_()
    moved = z.detach().movedim(1, -1).contiguous().requires_grad_()
    mask = (torch.arange(3 * math.prod(space)) % 2 == 0).view(3, *space) if masked else None
    expected, found = second(z, mask), last(moved, mask, channels_last=True)
    assert torch.equal(found.vectors, expected.vectors.movedim(1, -1)) and torch.equal(found.codes, expected.codes)
    assert torch.equal(found.loss, expected.loss)
    for out in (expected, found):
        (out.vectors.square().sum() + out.loss).backward()
    assert moved.grad.any() and torch.equal(moved.grad, z.grad.movedim(1, -1))
    if last.num_codebooks:
        assert torch.equal(last.decode(found.codes, channels_last=True), last.decode(found.codes).movedim(1, -1))


@every
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("mask", [torch.ones(2, 9).long(), torch.ones(9, 2).bool(), torch.ones(2, 8).bool(), torch.ones(2, 1, 9).bool()])
def test_a_wrong_mask_is_refused(kind: type, mask: torch.Tensor, last: bool) -> None:
    z = latents(2, DIM, 9)
    with pytest.raises(DataError, match=r"The mask is .*expected torch.bool \(2, 9\)"):
        make(kind)(z.movedim(1, -1) if last else z, mask, channels_last=last)


@every
@pytest.mark.parametrize("z", [torch.ones(2, DIM, 5, dtype=torch.int64), torch.ones(DIM)])
def test_latents_are_floats_with_a_batch(kind: type, z: torch.Tensor) -> None:
    for last in (False, True):
        with pytest.raises(DataError, match="Latents are .*expected floats"):
            make(kind)(z, channels_last=last)


@every
@pytest.mark.parametrize("space", [(), (7,), (5, 9), (2, 3, 4)])
def test_shapes_do_not_depend_on_the_number_of_axes(kind: type, space: tuple[int, ...]) -> None:
    quantizer = make(kind)
    out = quantizer(latents(3, DIM, *space))
    assert quantizer.dim == DIM
    assert out.vectors.shape == (3, DIM, *space)
    assert out.codes.shape == (3, quantizer.num_codebooks, *space)
    assert out.codes.dtype == torch.int64
    assert out.loss.shape == () and out.loss.dtype == torch.float32


@every
def test_empty_batch(kind: type) -> None:
    quantizer = make(kind)
    before = copy.deepcopy(quantizer)
    out = quantizer(torch.zeros(0, DIM, 5, 5, requires_grad=True))
    (out.vectors.sum() + out.loss).backward()
    assert out.vectors.shape == (0, DIM, 5, 5)
    assert out.loss == 0
    if kind in WITH_CODES:
        codes = torch.arange(quantizer.codebook_size)[:, None].expand(-1, quantizer.num_codebooks)
        assert torch.equal(quantizer.decode(codes), before.decode(codes))


@with_codes
def test_decoded_codes_are_the_vectors(kind: type) -> None:  # [19]
    quantizer = make(kind).eval()
    for shape in [(3, DIM), (3, DIM, 7), (3, DIM, 5, 9), (2, DIM, 2, 3, 4)]:
        out = quantizer(latents(*shape))
        assert torch.equal(quantizer.decode(out.codes), out.vectors)
        assert torch.equal(quantizer.decode(out.codes[:1]), out.vectors[:1])


@with_codes
def test_training_uses_the_codes_and_vectors_of_evaluation(kind: type) -> None:  # [1, 12]
    quantizer, z = make(kind), latents(2, DIM, 5, 9)
    before = copy.deepcopy(quantizer).eval()
    out = quantizer.train()(z)
    assert torch.equal(out.codes, before(z).codes)
    assert torch.equal(out.vectors, before.decode(out.codes))


@with_codes
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_codes_are_those_of_float32_under_autocast_and_module_casts(kind: type, dtype: torch.dtype, mean: float) -> None:  # [16]
    quantizer = make(kind).eval()
    z = (latents(4, DIM, 9, 9) + mean).to(dtype)
    expected = quantizer(z.float())
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(quantizer(z).codes, expected.codes)
        assert torch.equal(quantizer(z.float()).vectors, expected.vectors)
        if kind in WITH_CODES:
            assert torch.equal(quantizer.decode(expected.codes), expected.vectors)
    cast = quantizer.to(dtype)
    out = cast(z)
    assert torch.equal(out.codes, expected.codes)
    assert torch.equal(out.vectors, expected.vectors.to(dtype))
    assert out.vectors.dtype == dtype


@every
def test_large_half_precision_latents_stay_finite(kind: type) -> None:  # [16]
    out = make(kind)((latents(2, DIM, 3, 3) * 20000).clamp(-65000, 65000).half())
    assert torch.isfinite(out.loss) and torch.isfinite(out.vectors).all()


@with_codes
def test_a_code_depends_on_its_own_position_only(kind: type) -> None:  # [23]
    quantizer = make(kind).eval()
    z = latents(2, DIM, 5, 9)
    changed = z.clone()
    changed[1, :, 2, 3] = -3 * changed[1, :, 2, 3]
    different = (quantizer(z).codes != quantizer(changed).codes).any(1)
    different[1, 2, 3] = False
    assert not different.any()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(quantizer(z[..., order]).codes, quantizer(z).codes[..., order])


@with_codes
def test_batched_equals_single(kind: type) -> None:  # [20d]
    quantizer = make(kind).eval()
    z = latents(3, DIM, 5, 9)
    together = quantizer(z).codes
    assert torch.equal(together, torch.cat([quantizer(z[i : i + 1]).codes for i in range(3)]))


@every
def test_what_is_made_alike_does_alike(kind: type) -> None:
    results = []
    for _ in range(2):
        quantizer = make(kind)
        for step in range(3):
            out = quantizer(latents(2, DIM, 5, seed=step))
        results.append({**state(quantizer), **out._asdict()})
    assert same(*results)


# --- what is refused


@every
def test_a_wrong_number_of_channels_is_an_error(kind: type) -> None:  # [23]
    with pytest.raises(DataError, match=r"\(2, 9, 4\).*\(batch, 8, \*space\)"):
        make(kind)(latents(2, DIM + 1, 4))


@with_codes
def test_wrong_codes_are_errors(kind: type) -> None:
    quantizer = make(kind)
    books, size = quantizer.num_codebooks, quantizer.codebook_size
    with pytest.raises(DataError, match=rf"and {size}; this \w+ has 0 to {size - 1}"):
        quantizer.decode(torch.tensor([[0] * (books - 1) + [size]]))
    with pytest.raises(DataError, match="between -1 and"):
        quantizer.decode(torch.full((1, books), -1))
    with pytest.raises(DataError, match="shape"):
        quantizer.decode(torch.zeros(1, books + 1, dtype=torch.int64))


@every
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_latents_that_are_not_finite_raise_and_change_nothing(kind: type, value: float) -> None:  # [25]
    quantizer = make(kind)
    before = state(quantizer)
    z = latents(2, DIM, 5, 9)
    z[1, -1, 0, 0] = value
    with pytest.raises(DataError, match=r"1 of [0-9]+ entries of the latents are NaN, infinite or beyond 1e\+15; nothing was changed"):
        quantizer(z)
    assert same(before, state(quantizer))
    quantizer(latents(2, DIM, 5, 9))


@every
def test_no_channels_are_an_error(kind: type) -> None:
    with pytest.raises(ConfigError, match="dim"):
        make(kind, dim=0)


# --- gradients and losses


@every
def test_losses_do_not_depend_on_the_batch_size(kind: type) -> None:  # [13]
    quantizer = make(kind).eval()
    z = latents(2, DIM, 5, 9)
    torch.testing.assert_close(quantizer(z).loss, quantizer(torch.cat([z, z])).loss)


@every
def test_the_gradient_of_vectors_reaches_every_latent(kind: type) -> None:
    z = latents(2, DIM, 5, 9).requires_grad_()
    make(kind)(z).vectors.backward(latents(2, DIM, 5, 9, seed=5))
    assert torch.isfinite(z.grad).all()
    assert (z.grad != 0).all()


@every
def test_buffers_hold_no_graph_and_parameters_stay(kind: type) -> None:  # [31, 32]
    quantizer = make(kind)
    before = {name: id(parameter) for name, parameter in quantizer.named_parameters()}
    for step in range(5):
        out = quantizer(latents(1, DIM, 4, seed=step).requires_grad_())
        (out.vectors.sum() + out.loss).backward()
        assert not any(buffer.requires_grad or buffer.grad_fn for buffer in quantizer.buffers())
    assert before == {name: id(parameter) for name, parameter in quantizer.named_parameters()}


# --- what must not move anything


@every
def test_eval_and_no_grad_change_nothing(kind: type) -> None:  # [14, 15]
    quantizer = make(kind)
    before = state(quantizer)
    z = latents(2, DIM, 5, 9)
    quantizer.eval()
    first = quantizer(z)
    assert torch.equal(first.codes, quantizer(z).codes) and torch.equal(first.vectors, quantizer(z).vectors)
    quantizer.train()
    with torch.no_grad():
        quantizer(z)
    assert same(before, state(quantizer))


@every
def test_recomputation_is_not_a_second_step(kind: type) -> None:  # [30]
    z = latents(4, DIM, 5, 9)
    plain, recomputed = make(kind), make(kind)
    expected, leaf = z.clone().requires_grad_(), z.clone().requires_grad_()
    out = plain(expected)
    (out.vectors.sum() + out.loss).backward()
    vectors, loss = checkpoint(lambda t: recomputed(t)[0::2], leaf, use_reentrant=False)
    (vectors.sum() + loss).backward()
    assert torch.equal(leaf.grad, expected.grad)
    for a, b in zip(plain.parameters(), recomputed.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    assert same(state(plain), state(recomputed))


# --- masks


@every
def test_a_mask_of_ones_is_no_mask(kind: type) -> None:  # [20]
    results = []
    for mask in (None, torch.ones(2, 5, 9, dtype=torch.bool)):
        quantizer = make(kind)
        out = quantizer(latents(2, DIM, 5, 9), mask)
        results.append({**state(quantizer), **out._asdict()})
    assert same(*results)


def check_that_a_mask_is_slicing(padded: Quantizer, alone: Quantizer, padding: float) -> None:
    """Four steps of two equal quantizers in training: of one the batch is padded and masked, of the other cut."""
    lengths = (7, 4)
    z = latents(2, DIM, 7)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    z = torch.where(mask[:, None], z, padding).requires_grad_()
    rows = torch.cat([z.detach()[i, :, :length] for i, length in enumerate(lengths)], 1)[None].requires_grad_()

    def cut(whole: torch.Tensor) -> torch.Tensor:
        return torch.cat([whole[i, :, :length] for i, length in enumerate(lengths)], 1)[None]

    for seed in range(4):
        torch.manual_seed(seed)
        a = padded(z, mask)
        torch.manual_seed(seed)
        b = alone(rows)
        assert torch.equal(cut(a.codes), b.codes) and torch.equal(cut(a.vectors), b.vectors)
        torch.testing.assert_close(a.loss, b.loss)
    for out in (a, b):
        (out.vectors.square().sum() + out.loss).backward()
    torch.testing.assert_close(cut(z.grad), rows.grad)
    assert same(state(padded), state(alone))
    assert (a.codes[1, :, 4:] == 0).all() and (a.vectors[1, :, 4:] == 0).all() and (z.grad[1, :, 4:] == 0).all()


@every
@pytest.mark.parametrize("padding", [0.0, 1e6, float("nan")])
def test_masked_positions_count_nowhere(kind: type, padding: float) -> None:  # [20]
    check_that_a_mask_is_slicing(make(kind), make(kind), padding)


# --- settings


@every
def test_settings_come_back_from_json(kind: type) -> None:
    config = make(kind).config
    assert from_json(QuantizerConfig, json.loads(dumps(config))) == config
    assert state(config.build()).keys() == state(make(kind)).keys()
