"""What every quantizer with codebooks must do besides. The numbers in brackets are known faults of other implementations."""

import copy
import dataclasses

import pytest
import torch

from tests import processes
from tests.contracts.test_quantizers import DIM, SAMPLES, SIZE, check_that_a_mask_is_slicing, latents, make, same, state
from vqvae.errors import ConfigError, DataError
from vqvae.quantizers import CodebookQuantizer, EMAQuantizerConfig, VectorQuantizerConfig

KINDS = [kind for kind in SAMPLES if isinstance(make(kind), CodebookQuantizer)]
RUNNING_MEANS = [kind for kind in KINDS if hasattr(make(kind), "counts")]
GOLDEN = torch.tensor(
    [[[-1, 0, 1], [2, 1, 0], [0, -1, -1], [0, 2, -1], [-2, -1, 1]], [[2, 2, -1], [1, -1, -2], [0, 0, 0], [1, 2, 1], [1, 0, 0]]]
).float()

every = pytest.mark.parametrize("kind", KINDS)
running_means = pytest.mark.parametrize("kind", RUNNING_MEANS)


def parts(quantizer: CodebookQuantizer) -> list[CodebookQuantizer]:
    return list(getattr(quantizer, "parts", [quantizer]))


def looked_at(quantizer: CodebookQuantizer, z: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """What each codebook looks at, (codebooks, rows, part): its own share of the channels, or all channels of what the codebooks
    before it, with these codes, have left over."""
    books, part = len(quantizer.codebook), quantizer.codebook.shape[2]
    rows, chosen = z.movedim(1, -1).reshape(-1, z.shape[1]), codes.movedim(1, -1).reshape(-1, books)
    if part * books == quantizer.dim:
        return rows.reshape(-1, books, part).transpose(0, 1)
    seen = [rows]
    for book in range(books - 1):
        seen.append(seen[-1] - quantizer.codebook.detach()[book, chosen[:, book]])
    return torch.stack(seen)


def brute_force(quantizer: CodebookQuantizer, z: torch.Tensor) -> torch.Tensor:
    """Codes by distances in float64, (batch, codebooks, *space)."""
    codes = torch.zeros(z.shape[0], quantizer.num_codebooks, *z.shape[2:], dtype=torch.int64)
    for book, vectors in enumerate(quantizer.codebook.detach().double()):
        rows = looked_at(quantizer, z.float(), codes)[book].double()
        codes[:, book] = torch.cdist(rows, vectors).argmin(-1).reshape(z.shape[0], *z.shape[2:])
    return codes


# --- what is chosen, and what comes back


@every
def test_a_codebook_is_a_matrix_of_float32(kind: type) -> None:
    quantizer = make(kind)
    assert quantizer.codebook.shape[:2] == (quantizer.num_codebooks, quantizer.codebook_size)
    assert quantizer.codebook.shape[2] in (DIM, DIM // quantizer.num_codebooks)
    assert quantizer.codebook.dtype == torch.float32
    assert quantizer.started.shape == () and quantizer.started


@every
@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_vectors_come_from_the_codebook_that_chose_the_codes(kind: type, gradient: str) -> None:  # [1, 22]
    quantizer = make(kind, gradient=gradient)
    before = copy.deepcopy(quantizer)
    z = latents(2, DIM, 5, 9)
    out = quantizer.train()(z.requires_grad_())
    assert torch.equal(out.vectors, before.decode(out.codes))
    rows = looked_at(before, z.detach(), out.codes).double()
    picked = torch.stack([before.codebook.detach()[book, out.codes[:, book].reshape(-1)] for book in range(len(rows))])
    # Where gradients move the codebook, its own term comes with the weight 1.
    factor = 0.25 + bool(list(quantizer.parameters()))
    torch.testing.assert_close(out.loss.double(), factor * (rows - picked).square().mean(), rtol=1e-5, atol=0)


@every
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_codes_equal_float64_brute_force(kind: type, mean: float) -> None:  # [16]
    quantizer = make(kind, dim=32, codebook_size=64).eval()
    z = latents(4, 32, 9, 9) + mean
    with torch.no_grad():
        for part in parts(quantizer):
            part.codebook += mean
    expected = brute_force(quantizer, z)
    assert torch.equal(quantizer(z).codes, expected)
    assert torch.equal(quantizer.train()(z).codes, expected)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_distances_are_float32_under_autocast_and_module_casts(kind: type, dtype: torch.dtype, mean: float) -> None:  # [16]
    quantizer = make(kind, dim=32, codebook_size=64).eval()
    with torch.no_grad():
        for part in parts(quantizer):
            part.codebook += mean
    z = (latents(4, 32, 9, 9) + mean).to(dtype)
    expected = brute_force(quantizer, z)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(quantizer(z).codes, expected)
        assert torch.equal(quantizer(z.float()).codes, expected)
    assert torch.equal(quantizer.to(dtype)(z).codes, expected)


def test_golden_codes() -> None:
    for kind in (VectorQuantizerConfig, EMAQuantizerConfig):
        quantizer = make(kind, dim=5, codebook_size=4)
        quantizer.codebook.data[0] = torch.tensor([[1, 0, -1, -1, 2], [2, -2, 0, 0, 1], [2, 1, 0, 1, 1], [-1, -2, 0, 2, 0]]).float()
        assert quantizer(GOLDEN).codes[:, 0].tolist() == [[2, 2, 0], [2, 1, 3]]


@every
def test_rate_makes_a_code_dearer(kind: type) -> None:
    quantizer = make(kind).eval()
    z = latents(2, DIM, 5, 9)
    free = quantizer(z).codes
    rate = torch.zeros(quantizer.num_codebooks, SIZE)
    assert torch.equal(quantizer(z, costs=rate).codes, free)
    dear = int(free[0, -1, 0, 0])
    rate[-1, dear] = 1e4
    with_rate = quantizer(z, costs=rate).codes
    assert not (with_rate[:, -1] == dear).any()
    kept = free != dear
    kept[:, :-1] = True
    assert torch.equal(with_rate[kept], free[kept])
    rate[:, dear] = 1e4
    assert not (quantizer(z, costs=rate).codes == dear).any()


# --- gradients


@every
def test_commitment_cost_weighs_the_encoder_term_only(kind: type) -> None:  # [8, 9]
    learning = {"learning": "gradient"} if "learning" in {field.name for field in dataclasses.fields(kind)} else {}
    grads = {}
    for cost in (0.25, 1.0):
        quantizer = make(kind, commitment_cost=cost, **learning)
        z = latents(2, DIM, 5, 9).requires_grad_()
        quantizer(z).loss.backward()
        grads[cost] = (z.grad, [part.codebook.grad if part.codebook.requires_grad else None for part in parts(quantizer)])
    torch.testing.assert_close(grads[1.0][0], 4 * grads[0.25][0])
    for a, b in zip(grads[0.25][1], grads[1.0][1], strict=True):
        assert (a is None) == (b is None) == (kind is EMAQuantizerConfig)
        assert a is None or (torch.equal(a, b) and (a != 0).any())


@every
def test_straight_through_copies_the_gradient(kind: type) -> None:
    z = latents(2, DIM, 5, 9).requires_grad_()
    vectors = make(kind)(z).vectors
    grad = latents(2, DIM, 5, 9, seed=5)
    vectors.backward(grad)
    assert torch.equal(z.grad, grad)


@every
def test_rotation_gradient_equals_the_explicit_rotation(kind: type) -> None:  # [22]
    quantizer = make(kind, gradient="rotation")
    z = latents(2, DIM, 6).requires_grad_()
    out = quantizer(z)
    grad = latents(2, DIM, 6, seed=5)
    out.vectors.backward(grad)
    part = quantizer.codebook.shape[2]
    rows = (t.detach().double().movedim(1, -1).reshape(-1, part) for t in (z, out.vectors, grad, z.grad))
    for e, q, g, found in zip(*rows, strict=True):
        ehat, qhat = e / e.norm(), q / q.norm()
        r = (ehat + qhat) / (ehat + qhat).norm()
        rotation = torch.eye(len(e), dtype=torch.float64) - 2 * torch.outer(r, r) + 2 * torch.outer(qhat, ehat)
        torch.testing.assert_close(rotation @ ehat, qhat)
        torch.testing.assert_close(found, q.norm() / e.norm() * rotation.T @ g, rtol=1e-4, atol=1e-5)


# --- statistics


def test_golden_running_means() -> None:
    quantizer = make(EMAQuantizerConfig, dim=5, codebook_size=4, decay=0.3)
    start = torch.tensor([[2, -1, 0, 2, 0], [2, 1, 0, 1, 1], [0, 1, -1, 2, -1], [1, 0, -1, -1, 1]]).float()
    quantizer.codebook[0], quantizer.sums[0] = start, start
    quantizer(GOLDEN)
    torch.testing.assert_close(quantizer.counts[0], torch.tensor([1.7, 1, 1.7, 1]))
    sums = [[1.3, -2.4, 0, 2.7, 0], [2, 1, 0, 1, 1], [-0.7, 2.4, -1, 2, -2.4], [1, 0, -1, -1, 1]]
    torch.testing.assert_close(quantizer.sums[0], torch.tensor(sums))
    torch.testing.assert_close(quantizer.codebook[0, 0], torch.tensor([0.7647, -1.4118, 0, 1.5882, 0]), atol=5e-5, rtol=0)
    torch.testing.assert_close(quantizer.codebook[0, 2], torch.tensor([-0.4118, 1.4118, -0.5882, 1.1765, -1.4118]), atol=5e-5, rtol=0)


@running_means
def test_codes_without_hits_stay_where_they_are(kind: type) -> None:  # [2, 3, 4]
    # 1000 steps at a decay of 0.9, as 10 000 at 0.99, leave of a count the last bits that float32 has.
    quantizer = make(kind, decay=0.9)
    with torch.no_grad():
        for part in parts(quantizer):
            part.codebook[0, SIZE // 2 :] += 100
            part.sums.copy_(part.codebook)
    start = quantizer.codebook.clone()
    z = latents(1, DIM, 4)
    for step in range(1, 1001):
        quantizer(z)
        if step in (1, 100, 1000):
            torch.testing.assert_close(quantizer.codebook[:, SIZE // 2 :], start[:, SIZE // 2 :], rtol=1e-6, atol=0)
    assert (quantizer.counts[:, SIZE // 2 :] < 1e-40).all()
    before = copy.deepcopy(quantizer)
    far = quantizer.decode(torch.full((1, quantizer.num_codebooks), SIZE - 1))
    codes = quantizer.train()(far).codes
    assert torch.isfinite(quantizer.codebook).all()
    assert codes[0, 0] >= SIZE // 2
    for book, (row,) in enumerate(looked_at(before, far, codes)):
        if codes[0, book] >= SIZE // 2:
            torch.testing.assert_close(quantizer.codebook[book, codes[0, book]], row)


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


@every
def test_codebooks_stay_float32(kind: type) -> None:  # [17]
    assert make(kind).bfloat16().codebook.dtype == torch.float32


@running_means
def test_running_means_move_in_a_bfloat16_model(kind: type) -> None:  # [17]
    quantizer = make(kind, decay=0.99).bfloat16()
    assert quantizer.counts.dtype == quantizer.sums.dtype == torch.float32
    z = torch.ones(1, DIM, 4, dtype=torch.bfloat16)
    with torch.no_grad():
        for part in parts(quantizer):
            part.codebook.fill_(0)
            part.sums.fill_(0)
    for _ in range(300):
        quantizer(z)
    assert (quantizer.decode(torch.zeros(1, quantizer.num_codebooks, dtype=torch.int64)) > 0.95).all()


@running_means
def test_running_means_leave_the_optimizer_nothing(kind: type) -> None:  # [32]
    assert not list(make(kind).parameters())


# --- what must not move anything


@every
def test_neither_evaluation_nor_no_grad_starts_or_revives(kind: type) -> None:  # [14]
    quantizer = make(kind, start_from_data=True, revive_after=1)
    before = state(quantizer)
    quantizer.eval()(latents(2, DIM, 5, 9))
    with torch.no_grad():
        quantizer.train()(latents(2, DIM, 5, 9))
    assert not quantizer.started and same(before, state(quantizer))


@every
@pytest.mark.parametrize("start_from_data", [False, True])
def test_latents_that_are_not_finite_neither_start_nor_revive(kind: type, start_from_data: bool) -> None:  # [25]
    quantizer = make(kind, revive_after=1, start_from_data=start_from_data)
    before = state(quantizer)
    z = latents(2, DIM, 5, 9)
    z[1, -1, 0, 0] = float("nan")
    with pytest.raises(DataError, match="NaN, infinite"):
        quantizer(z)
    assert same(before, state(quantizer))
    quantizer(latents(2, DIM, 5, 9))


# --- start and revival


@every
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
    assert all(len(codes.unique()) == SIZE for codes in out.codes.unbind(1))
    restored = make(kind, start_from_data=True, seed=9)
    restored.load_state_dict(quantizer.state_dict())
    far = restored.train()(z - 100)
    # Codebooks that had started once more would have gone where these latents are.
    assert torch.equal(far.vectors, quantizer.decode(far.codes))


@every
def test_start_by_hand_is_the_start_by_training(kind: type) -> None:
    z = 7 + latents(4, DIM, 9, 9)
    by_hand, by_training = make(kind, start_from_data=True), make(kind, start_from_data=True)
    torch.manual_seed(5)
    by_hand.start(z.movedim(1, -1).reshape(-1, DIM))
    assert by_hand.started
    torch.manual_seed(5)
    out = by_training.train()(z)
    assert torch.equal(by_hand.decode(out.codes), out.vectors)
    assert torch.equal(by_hand.eval()(z).codes, out.codes)


@every
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
    before = copy.deepcopy(quantizer)
    rows = looked_at(before, z, quantizer(z).codes)
    revived = quantizer.codebook[:, 5].clone()
    for book in range(quantizer.num_codebooks):
        assert (rows[book] == revived[book]).all(1).any()
    torch.testing.assert_close(quantizer.sums / quantizer.counts[..., None], quantizer.codebook, rtol=1e-4, atol=1e-5)
    rate = torch.zeros(quantizer.num_codebooks, SIZE)
    rate[:, 5] = 1e6
    for part in parts(quantizer):
        part.revive_after = 0
    for _ in range(5):
        quantizer(z, costs=rate)
    assert torch.equal(quantizer.codebook[:, 5], revived)
    torch.testing.assert_close(quantizer.sums[:, 5] / quantizer.counts[:, 5, None], revived, rtol=1e-5, atol=1e-6)


@every
def test_revival_is_off_by_default_and_spares_living_codes(kind: type) -> None:
    quantizer = make(kind)
    z = 50 + latents(2, DIM, 5, 9)
    before = quantizer.codebook.detach().clone()
    idle = torch.ones(quantizer.num_codebooks, SIZE, dtype=torch.bool)
    for _ in range(20):
        for book, codes in enumerate(quantizer(z).codes.unbind(1)):
            idle[book, codes.unique()] = False
    assert idle.any()
    assert torch.equal(quantizer.codebook.detach()[idle], before[idle])


@every
@pytest.mark.parametrize("padding", [0.0, 1e6, float("nan")])
def test_masked_positions_neither_start_nor_revive(kind: type, padding: float) -> None:  # [20]
    check_that_a_mask_is_slicing(*(make(kind, revive_after=3, start_from_data=True) for _ in range(2)), padding)


# --- accumulation, ranks


@every
def test_micro_batches_update_once(kind: type) -> None:  # [30]
    z = latents(4, DIM, 5, 9)
    plain, accumulated = make(kind), make(kind)
    plain(z)
    with accumulated.accumulate():
        for part in z.split(1):
            accumulated(part)
    for (name, a), b in zip(plain.state_dict().items(), accumulated.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6, msg=name)
    for a, b in zip(parts(plain), parts(accumulated), strict=True):
        assert torch.equal(a.idle, b.idle)


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
    for kind in RUNNING_MEANS:
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
    for kind in KINDS:
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


@every
def test_wrong_settings_are_errors(kind: type) -> None:
    for settings in ({"codebook_size": 0}, {"commitment_cost": -1.0}, {"revive_after": -1}):
        with pytest.raises(ConfigError):
            make(kind, **settings)
