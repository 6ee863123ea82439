"""What every quantizer of the Union must do. The numbers in brackets are known faults of other implementations."""

import math
import typing

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from tests import processes
from vqvae.errors import ConfigError, DataError
from vqvae.quantizers import (
    EMAQuantizerConfig,
    IdentityQuantizerConfig,
    ProductQuantizerConfig,
    Quantizer,
    QuantizerConfig,
    VectorQuantizerConfig,
)

DIM, SIZE = 8, 16
EXTRA = {ProductQuantizerConfig: {"num_codebooks": 4}}
ALL = list(typing.get_args(QuantizerConfig))
WITH_CODES = [c for c in ALL if c is not IdentityQuantizerConfig]
RUNNING_MEANS = [EMAQuantizerConfig, ProductQuantizerConfig]

every = pytest.mark.parametrize("kind", ALL)
with_codes = pytest.mark.parametrize("kind", WITH_CODES)
running_means = pytest.mark.parametrize("kind", RUNNING_MEANS)


def make(kind: type, *, dim: int = DIM, size: int = SIZE, seed: int = 0, start_from_data: bool = False, **settings) -> Quantizer:
    torch.manual_seed(seed)
    if kind is IdentityQuantizerConfig:
        return kind(dim=dim).build()
    return kind(dim=dim, codebook_size=size, start_from_data=start_from_data, **EXTRA.get(kind, {}), **settings).build()


def latents(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def books(quantizer: Quantizer, z: torch.Tensor) -> torch.Tensor:
    """Rows of every codebook's group of channels: (codebooks, rows, part)."""
    rows = z.movedim(1, -1).reshape(-1, quantizer.num_codebooks, quantizer.dim // quantizer.num_codebooks)
    return rows.transpose(0, 1)


def brute_force(quantizer: Quantizer, z: torch.Tensor) -> torch.Tensor:
    """Codes in float64, (batch, codebooks, *space)."""
    distance = torch.cdist(books(quantizer, z).double(), quantizer.codebook.detach().double())
    return distance.argmin(-1).T.reshape(z.shape[0], *z.shape[2:], -1).movedim(-1, 1)


def state(quantizer: Quantizer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in quantizer.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def parts(quantizer: Quantizer) -> list[Quantizer]:
    return list(getattr(quantizer, "parts", [quantizer]))


# --- what is chosen, and what comes back


@every
@pytest.mark.parametrize("space", [(), (7,), (5, 9), (2, 3, 4)])
def test_shapes_do_not_depend_on_the_number_of_axes(kind: type, space: tuple[int, ...]) -> None:
    quantizer = make(kind)
    out = quantizer(latents(3, DIM, *space))
    assert out.vectors.shape == (3, DIM, *space)
    assert out.codes.shape == (3, quantizer.num_codebooks, *space)
    assert out.codes.dtype == torch.int64
    assert out.loss.shape == ()
    assert quantizer.codebook.shape == (quantizer.num_codebooks, quantizer.codebook_size, DIM // max(quantizer.num_codebooks, 1)) or (
        kind is IdentityQuantizerConfig
    )


@every
def test_empty_batch(kind: type) -> None:
    quantizer = make(kind)
    before = quantizer.codebook.detach().clone()
    out = quantizer(torch.zeros(0, DIM, 5, 5, requires_grad=True))
    (out.vectors.sum() + out.loss).backward()
    assert out.vectors.shape == (0, DIM, 5, 5)
    assert out.loss == 0
    assert torch.equal(before, quantizer.codebook)


@with_codes
@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_vectors_come_from_the_codebook_that_chose_the_codes(kind: type, gradient: str) -> None:  # [1, 22]
    quantizer = make(kind, gradient=gradient)
    before = quantizer.codebook.detach().clone()
    z = latents(2, DIM, 5, 9).requires_grad_()
    out = quantizer.train()(z)
    expected = torch.stack([before[c][out.codes[:, c]] for c in range(quantizer.num_codebooks)], 1)
    assert torch.equal(out.vectors, expected.permute(0, 1, 4, 2, 3).reshape(2, DIM, 5, 9))
    commitment = np.square(z.detach().double().numpy() - out.vectors.detach().double().numpy()).mean()
    factor = 1.25 if kind is VectorQuantizerConfig else 0.25
    assert math.isclose(out.loss.item(), factor * commitment, rel_tol=1e-5)


@with_codes
def test_decoded_codes_are_the_vectors(kind: type) -> None:  # [19]
    quantizer = make(kind).eval()
    for shape in [(3, DIM), (3, DIM, 7), (3, DIM, 5, 9), (2, DIM, 2, 3, 4)]:
        out = quantizer(latents(*shape))
        assert torch.equal(quantizer.decode(out.codes), out.vectors)


@with_codes
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_codes_equal_float64_brute_force(kind: type, mean: float) -> None:  # [16]
    quantizer = make(kind, dim=32, size=64).eval()
    z = latents(4, 32, 9, 9) + mean
    with torch.no_grad():
        for part in parts(quantizer):
            part.codebook += mean
    expected = brute_force(quantizer, z)
    assert torch.equal(quantizer(z).codes, expected)
    assert torch.equal(quantizer.train()(z).codes, expected)


@with_codes
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_distances_are_float32_under_autocast_and_module_casts(kind: type, dtype: torch.dtype, mean: float) -> None:  # [16]
    quantizer = make(kind, dim=32, size=64).eval()
    with torch.no_grad():
        for part in parts(quantizer):
            part.codebook += mean
    z = (latents(4, 32, 9, 9) + mean).to(dtype)
    expected = brute_force(quantizer, z)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(quantizer(z).codes, expected)
        assert torch.equal(quantizer(z.float()).codes, expected)
    cast = quantizer.to(dtype)
    assert torch.equal(cast(z).codes, expected)
    assert cast(z).vectors.dtype == dtype


@with_codes
def test_large_half_precision_latents_stay_finite(kind: type) -> None:  # [16]
    out = make(kind)((latents(2, DIM, 3, 3) * 20000).clamp(-65000, 65000).half())
    assert torch.isfinite(out.loss)


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


@every
def test_a_wrong_number_of_channels_is_an_error(kind: type) -> None:  # [23]
    with pytest.raises(DataError, match=r"\(2, 9, 4\).*\(batch, 8, \*space\)"):
        make(kind)(latents(2, DIM + 1, 4))


@with_codes
def test_wrong_codes_are_errors(kind: type) -> None:
    quantizer = make(kind)
    books = quantizer.num_codebooks
    with pytest.raises(DataError, match="and 16; this codebook has 0 to 15"):
        quantizer.decode(torch.tensor([[0] * (books - 1) + [SIZE]]))
    with pytest.raises(DataError, match="between -1 and"):
        quantizer.decode(torch.full((1, books), -1))
    with pytest.raises(DataError, match="shape"):
        quantizer.decode(torch.zeros(1, books + 1, dtype=torch.int64))


@with_codes
def test_rate_makes_a_code_dearer(kind: type) -> None:
    quantizer = make(kind).eval()
    z = latents(2, DIM, 5, 9)
    free = quantizer(z).codes
    rate = torch.zeros(quantizer.num_codebooks, SIZE)
    dear = int(free[0, 0, 0, 0])
    rate[:, dear] = 1e4
    with_rate = quantizer(z, rate=rate).codes
    assert not (with_rate == dear).any()
    kept = free != dear
    assert torch.equal(with_rate[kept], free[kept])


# --- gradients and losses


@with_codes
def test_commitment_cost_weighs_the_encoder_term_only(kind: type) -> None:  # [8, 9]
    grads = {}
    for cost in (0.25, 1.0):
        quantizer = make(kind, commitment_cost=cost, **({"learning": "gradient"} if kind is ProductQuantizerConfig else {}))
        z = latents(2, DIM, 5, 9).requires_grad_()
        quantizer(z).loss.backward()
        grads[cost] = (z.grad, [part.codebook.grad if part.codebook.requires_grad else None for part in parts(quantizer)])
    torch.testing.assert_close(grads[1.0][0], 4 * grads[0.25][0])
    for a, b in zip(grads[0.25][1], grads[1.0][1], strict=True):
        assert (a is None) == (b is None) == (kind is EMAQuantizerConfig)
        assert a is None or torch.equal(a, b)


@every
def test_straight_through_copies_the_gradient(kind: type) -> None:
    z = latents(2, DIM, 5, 9).requires_grad_()
    vectors = make(kind)(z).vectors
    grad = latents(2, DIM, 5, 9, seed=5)
    vectors.backward(grad)
    assert torch.equal(z.grad, grad)


@with_codes
def test_rotation_gradient_equals_the_explicit_rotation(kind: type) -> None:  # [22]
    quantizer = make(kind, gradient="rotation")
    z = latents(2, DIM, 6).requires_grad_()
    out = quantizer(z)
    grad = latents(2, DIM, 6, seed=5)
    out.vectors.backward(grad)
    for e, q, g, found in zip(*(books(quantizer, t.detach()).double().flatten(0, 1) for t in (z, out.vectors, grad, z.grad)), strict=True):
        ehat, qhat = e / e.norm(), q / q.norm()
        r = (ehat + qhat) / (ehat + qhat).norm()
        rotation = torch.eye(len(e), dtype=torch.float64) - 2 * torch.outer(r, r) + 2 * torch.outer(qhat, ehat)
        torch.testing.assert_close(rotation @ ehat, qhat)
        torch.testing.assert_close(found, q.norm() / e.norm() * rotation.T @ g, rtol=1e-4, atol=1e-5)


@every
def test_losses_do_not_depend_on_the_batch_size(kind: type) -> None:  # [13]
    quantizer = make(kind).eval()
    z = latents(2, DIM, 5, 9)
    torch.testing.assert_close(quantizer(z).loss, quantizer(torch.cat([z, z])).loss)


# --- running means


def test_golden_codes() -> None:
    z = torch.tensor(
        [[[-1, 0, 1], [2, 1, 0], [0, -1, -1], [0, 2, -1], [-2, -1, 1]], [[2, 2, -1], [1, -1, -2], [0, 0, 0], [1, 2, 1], [1, 0, 0]]]
    )
    for kind in (VectorQuantizerConfig, EMAQuantizerConfig):
        quantizer = make(kind, dim=5, size=4)
        quantizer.codebook.data[0] = torch.tensor([[1, 0, -1, -1, 2], [2, -2, 0, 0, 1], [2, 1, 0, 1, 1], [-1, -2, 0, 2, 0]]).float()
        assert quantizer(z.float()).codes[:, 0].tolist() == [[2, 2, 0], [2, 1, 3]]


def test_golden_running_means() -> None:
    z = torch.tensor(
        [[[-1, 0, 1], [2, 1, 0], [0, -1, -1], [0, 2, -1], [-2, -1, 1]], [[2, 2, -1], [1, -1, -2], [0, 0, 0], [1, 2, 1], [1, 0, 0]]]
    )
    quantizer = make(EMAQuantizerConfig, dim=5, size=4, decay=0.3)
    start = torch.tensor([[2, -1, 0, 2, 0], [2, 1, 0, 1, 1], [0, 1, -1, 2, -1], [1, 0, -1, -1, 1]]).float()
    quantizer.codebook[0], quantizer.sums[0] = start, start
    quantizer(z.float())
    torch.testing.assert_close(quantizer.counts[0], torch.tensor([1.7, 1, 1.7, 1]))
    sums = [[1.3, -2.4, 0, 2.7, 0], [2, 1, 0, 1, 1], [-0.7, 2.4, -1, 2, -2.4], [1, 0, -1, -1, 1]]
    torch.testing.assert_close(quantizer.sums[0], torch.tensor(sums))
    torch.testing.assert_close(quantizer.codebook[0, 0], torch.tensor([0.7647, -1.4118, 0, 1.5882, 0]), atol=5e-5, rtol=0)
    torch.testing.assert_close(quantizer.codebook[0, 2], torch.tensor([-0.4118, 1.4118, -0.5882, 1.1765, -1.4118]), atol=5e-5, rtol=0)


@running_means
def test_codes_without_hits_stay_where_they_are(kind: type) -> None:  # [2, 3, 4]
    quantizer = make(kind)
    with torch.no_grad():
        for part in parts(quantizer):
            part.codebook[0, SIZE // 2 :] += 100
            part.sums.copy_(part.codebook)
    start = quantizer.codebook.clone()
    z = latents(1, DIM, 4)
    for step in range(1, 10_001):
        quantizer(z)
        if step in (1, 100, 10_000):
            torch.testing.assert_close(quantizer.codebook[:, SIZE // 2 :], start[:, SIZE // 2 :], rtol=1e-6, atol=0)
    quantizer.eval()
    far = start.transpose(0, 1)[-1:].reshape(1, DIM)
    quantizer.train()(far)
    assert torch.isfinite(quantizer.codebook).all()
    torch.testing.assert_close(quantizer.codebook[:, -1].reshape(1, DIM), far)


@running_means
def test_counts_follow_the_closed_form(kind: type) -> None:  # [4]
    quantizer = make(kind)
    z = latents(2, DIM, 50)
    hits = torch.zeros(60, quantizer.num_codebooks, SIZE, dtype=torch.float64)
    for step in range(60):
        codes = quantizer(z).codes
        for book in range(quantizer.num_codebooks):
            hits[step, book] = torch.bincount(codes[:, book].reshape(-1), minlength=SIZE)
    weights = 0.01 * 0.99 ** torch.arange(59, -1, -1, dtype=torch.float64)
    expected = 0.99**60 + torch.einsum("s,sbk->bk", weights, hits)
    torch.testing.assert_close(quantizer.counts.double(), expected, rtol=1e-5, atol=1e-7)
    touched = hits.sum(0) > 0
    torch.testing.assert_close((quantizer.sums / quantizer.counts[..., None])[touched], quantizer.codebook[touched], rtol=1e-4, atol=1e-5)


@with_codes
def test_statistics_and_codebook_stay_float32(kind: type) -> None:  # [17]
    quantizer = make(kind, decay=0.99) if kind in RUNNING_MEANS else make(kind)
    quantizer.bfloat16()
    assert quantizer.codebook.dtype == torch.float32
    if kind in RUNNING_MEANS:
        assert quantizer.counts.dtype == quantizer.sums.dtype == torch.float32
        z = torch.ones(1, DIM, 4, dtype=torch.bfloat16)
        with torch.no_grad():
            for part in parts(quantizer):
                part.codebook.fill_(0)
                part.sums.fill_(0)
        for _ in range(300):
            quantizer(z)
        assert (quantizer.codebook[:, 0] > 0.95).all()


@with_codes
def test_buffers_hold_no_graph_and_parameters_stay(kind: type) -> None:  # [31, 32]
    quantizer = make(kind, revive_after=2)
    before = {name: id(parameter) for name, parameter in quantizer.named_parameters()}
    if kind is EMAQuantizerConfig or kind is ProductQuantizerConfig:
        assert not before
    for step in range(5):
        out = quantizer(latents(1, DIM, 4, seed=step).requires_grad_())
        (out.vectors.sum() + out.loss).backward()
        assert not any(buffer.requires_grad or buffer.grad_fn for buffer in quantizer.buffers())
    assert before == {name: id(parameter) for name, parameter in quantizer.named_parameters()}


# --- what must not move anything


@every
def test_eval_and_no_grad_change_nothing(kind: type) -> None:  # [14, 15]
    quantizer = make(kind, start_from_data=True, **({} if kind is IdentityQuantizerConfig else {"revive_after": 1}))
    before = state(quantizer)
    z = latents(2, DIM, 5, 9)
    quantizer.eval()
    first = quantizer(z).codes
    assert torch.equal(first, quantizer(z).codes)
    quantizer.train()
    with torch.no_grad():
        quantizer(z)
    assert same(before, state(quantizer))


@with_codes
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("start_from_data", [False, True])
def test_latents_that_are_not_finite_raise_and_change_nothing(kind: type, value: float, start_from_data: bool) -> None:  # [25]
    quantizer = make(kind, revive_after=1, start_from_data=start_from_data)
    before = state(quantizer)
    z = latents(2, DIM, 5, 9)
    z[1, -1, 0, 0] = value
    if kind is ProductQuantizerConfig:
        z[1, 0, 0, 0] = value
    with pytest.raises(DataError, match="NaN or infinite; the codebook was not changed"):
        quantizer(z)
    assert same(before, state(quantizer))
    quantizer(latents(2, DIM, 5, 9))


# --- start and revival


@with_codes
def test_start_from_data_happens_once_and_is_saved(kind: type) -> None:  # [14]
    quantizer = make(kind, start_from_data=True)
    random = quantizer.codebook.detach().clone()
    z = 7 + latents(4, DIM, 9, 9)
    assert torch.equal(quantizer.eval()(z).codes, brute_force(quantizer, z))
    assert not quantizer.started
    out = quantizer.train()(z)
    assert quantizer.started
    assert not torch.equal(random, quantizer.codebook)
    assert (out.vectors - z).square().mean() < 1
    assert len(out.codes.unique()) == SIZE
    restored = make(kind, start_from_data=True, seed=9)
    restored.load_state_dict(quantizer.state_dict())
    before = restored.codebook.detach().clone()
    restored.train()(z - 100)
    assert (restored.codebook - before).abs().max() < 80


@with_codes
def test_start_with_fewer_latents_than_codes(kind: type) -> None:
    quantizer = make(kind, start_from_data=True)
    quantizer(latents(1, DIM, 3))
    assert torch.isfinite(quantizer.codebook).all()
    assert len(quantizer.codebook[0].unique(dim=0)) == SIZE


@running_means
def test_revival_sets_a_dead_code_to_a_latent_and_lasts(kind: type) -> None:  # [5]
    quantizer = make(kind, revive_after=3)
    for part in parts(quantizer):
        part.codebook[0, 5], part.sums[0, 5] = 1000.0, 1000.0
    z = latents(2, DIM, 5, 9)
    for _ in range(2):
        quantizer(z)
    assert (quantizer.codebook[:, 5] == 1000).all()
    quantizer(z)
    rows = books(quantizer, z)
    for book in range(quantizer.num_codebooks):
        revived = quantizer.codebook[book, 5]
        assert (rows[book] == revived).all(1).any()
    revived = quantizer.codebook[:, 5].clone()
    torch.testing.assert_close(quantizer.sums / quantizer.counts[..., None], quantizer.codebook, rtol=1e-4, atol=1e-5)
    away = torch.where(revived.reshape(1, DIM, 1) > 0, -5.0, 5.0).expand(1, DIM, 2)
    for part in parts(quantizer):
        part.revive_after = 0
    for _ in range(5):
        quantizer(away)
    assert torch.equal(quantizer.codebook[:, 5], revived)
    torch.testing.assert_close(quantizer.sums[:, 5] / quantizer.counts[:, 5, None], revived, rtol=1e-5, atol=1e-6)


@with_codes
def test_revival_is_off_by_default_and_spares_living_codes(kind: type) -> None:
    quantizer = make(kind)
    z = 50 + latents(2, DIM, 5, 9)
    before = quantizer.codebook.detach().clone()
    for _ in range(20):
        used = quantizer(z).codes
    idle = torch.ones(quantizer.num_codebooks, SIZE, dtype=torch.bool)
    for book in range(quantizer.num_codebooks):
        idle[book, used[:, book].unique()] = False
    assert torch.equal(quantizer.codebook.detach()[idle], before[idle])


# --- masks


@every
def test_a_mask_of_ones_is_no_mask(kind: type) -> None:  # [20]
    results = []
    for mask in (None, torch.ones(2, 5, 9, dtype=torch.bool)):
        quantizer = make(kind)
        out = quantizer(latents(2, DIM, 5, 9), mask)
        results.append((out, state(quantizer)))
    assert torch.equal(results[0][0].codes, results[1][0].codes)
    assert torch.equal(results[0][0].vectors, results[1][0].vectors)
    assert torch.equal(results[0][0].loss, results[1][0].loss)
    assert same(results[0][1], results[1][1])


@with_codes
@pytest.mark.parametrize("padding", [0.0, 1e6, float("nan")])
def test_masked_positions_count_nowhere(kind: type, padding: float) -> None:  # [20]
    lengths = (7, 4)
    z = latents(2, DIM, 7)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    z = torch.where(mask[:, None], z, padding)
    padded = make(kind, revive_after=3, start_from_data=True)
    alone = make(kind, revive_after=3, start_from_data=True)
    rows = torch.cat([z[i, :, :length] for i, length in enumerate(lengths)], 1)[None]
    for seed in range(4):
        torch.manual_seed(seed)
        a = padded(z, mask)
        torch.manual_seed(seed)
        b = alone(rows)
        assert torch.equal(torch.cat([a.codes[i, :, :length] for i, length in enumerate(lengths)], 1), b.codes[0])
        torch.testing.assert_close(a.loss, b.loss)
    assert same(state(padded), state(alone))
    assert (a.codes[1, :, 4:] == 0).all()
    assert (a.vectors[1, :, 4:] == 0).all()


@with_codes
def test_batched_equals_single(kind: type) -> None:  # [20d]
    quantizer = make(kind).eval()
    z = latents(3, DIM, 5, 9)
    together = quantizer(z).codes
    assert torch.equal(together, torch.cat([quantizer(z[i : i + 1]).codes for i in range(3)]))


# --- accumulation, recomputation, ranks


@with_codes
def test_micro_batches_and_recomputation_update_once(kind: type) -> None:  # [30]
    z = latents(4, DIM, 5, 9)
    plain, recomputed, accumulated = make(kind), make(kind), make(kind)
    expected = z.clone().requires_grad_()
    out = plain(expected)
    (out.vectors.sum() + out.loss).backward()

    leaf = z.clone().requires_grad_()
    vectors, loss = checkpoint(lambda t: recomputed(t)[0::2], leaf, use_reentrant=False)
    (vectors.sum() + loss).backward()
    assert torch.equal(leaf.grad, expected.grad)

    with accumulated.accumulate():
        for part in z.split(1):
            accumulated(part)
    for other in (recomputed, accumulated):
        assert all(
            torch.allclose(a, b, rtol=1e-6, atol=1e-7)
            for a, b in zip(plain.state_dict().values(), other.state_dict().values(), strict=True)
        )
    assert plain.started and same({"idle": parts(plain)[0].idle}, {"idle": parts(accumulated)[0].idle})


@running_means
def test_accumulation_that_fails_changes_nothing(kind: type) -> None:
    quantizer = make(kind)
    before = state(quantizer)
    with pytest.raises(RuntimeError, match="stop"), quantizer.accumulate():
        quantizer(latents(1, DIM, 4))
        raise RuntimeError("stop")
    assert same(before, state(quantizer))
    quantizer(latents(1, DIM, 4))
    assert not same(before, state(quantizer))


def _two_ranks() -> dict[str, torch.Tensor]:
    from vqvae import distributed

    results = {}
    for kind in (EMAQuantizerConfig, ProductQuantizerConfig):
        quantizer = make(kind)
        for step in range(3):
            z = latents(4, DIM, 5, 9, seed=step).chunk(distributed.world_size())[distributed.rank()]
            out = quantizer(z)
        results |= {f"{kind.__name__}.{name}": value for name, value in state(quantizer).items()}
        results[f"{kind.__name__}.loss"] = distributed.mean_(out.loss.detach().clone())
        mask = torch.zeros(4, 5, 9, dtype=torch.bool)
        mask[:, :2, :7], mask[0] = True, True
        mask = mask.chunk(distributed.world_size())[distributed.rank()]
        results[f"{kind.__name__}.masked"] = distributed.mean_(quantizer(z, mask).loss.detach().clone())
    return results


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path) -> None:  # [7]
    alone = _two_ranks()
    first, second = processes.run(_two_ranks, tmp_path)
    for name, value in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6, msg=name)


def _masked_rank() -> dict[str, torch.Tensor]:
    from vqvae import distributed

    results = {}
    rank = distributed.rank()
    for kind in WITH_CODES:
        torch.manual_seed(rank)
        quantizer = make(kind, revive_after=2, start_from_data=True)
        torch.manual_seed(rank)  # Ranks draw differently: agreement must come from what they exchange.
        z = latents(2, DIM, 20, seed=rank) + (100 if rank == 0 else -100)
        everything = torch.ones(2, 20, dtype=torch.bool)
        for _ in range(4):
            quantizer(z, everything)
        nothing = everything & (rank == 0)
        for _ in range(4):
            quantizer(z, nothing)
        results |= {f"{kind.__name__}.{name}": value for name, value in state(quantizer).items()}
        results[f"{kind.__name__}.both"] = torch.stack([(quantizer.codebook > 50).any(), (quantizer.codebook < -50).any()])
    return results


@pytest.mark.slow
def test_revival_agrees_between_ranks_and_survives_an_empty_one(tmp_path) -> None:  # [6]
    first, second = processes.run(_masked_rank, tmp_path, timeout=60)
    assert same(first, second)


def _union() -> dict[str, torch.Tensor]:
    from vqvae import distributed

    rank = distributed.rank()
    quantizer = make(EMAQuantizerConfig, revive_after=1)
    quantizer.codebook.fill_(1e4), quantizer.sums.fill_(1e4)
    torch.manual_seed(rank)
    quantizer(latents(2, DIM, 20, seed=rank) + (100 if rank == 0 else -100))
    return {"positive": (quantizer.codebook > 50).all(-1).any(), "negative": (quantizer.codebook < -50).all(-1).any()}


@pytest.mark.slow
def test_revival_draws_from_the_union_of_all_ranks(tmp_path) -> None:  # [6]
    for result in processes.run(_union, tmp_path):
        assert result["positive"] and result["negative"]


# --- settings


@with_codes
def test_wrong_settings_are_errors(kind: type) -> None:
    for settings in ({"size": 0}, {"commitment_cost": -1.0}, {"revive_after": -1}):
        with pytest.raises(ConfigError):
            make(kind, **settings)
