"""Encoder and decoder over maps of codes: shapes, causality, and the same logits one code at a time."""

import pytest
import torch
from torch import Tensor

from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import sample
from vqvae.networks import CodesDecoder, CodesDecoderConfig, CodesEncoder, CodesEncoderConfig, Given
from vqvae.signals import pictures

K, SPACE, DIM = 7, (5, 9), 6


def encoder(books: int = 2, **changes: object) -> CodesEncoder:
    torch.manual_seed(0)
    settings = {"codebook_size": K, "space": SPACE, "hidden": 8, "widths": (8, 8), "residual_blocks": 1, "residual_hidden": 8}
    return CodesEncoderConfig(**{**settings, **changes}).build(pictures(books, K), DIM).eval()


def decoder(books: int = 2, **changes: object) -> CodesDecoder:
    torch.manual_seed(0)
    settings = {"codebook_size": K, "space": SPACE, "layers": 3, "hidden": 8, "output_hidden": 6}
    made = CodesDecoderConfig(**{**settings, **changes}).build(DIM, books * K).eval()
    for parameter in made.parameters():
        # First weights are small; larger ones let every part show in the logits.
        parameter.data.mul_(2)
    return made


def random_codes(*shape: int) -> Tensor:
    return torch.randint(K, shape, generator=torch.Generator().manual_seed(1))


def random_vectors(count: int) -> Tensor:
    return torch.randn(count, DIM, 1, 1, generator=torch.Generator().manual_seed(2))


def in_raster_order(logits: Tensor) -> Tensor:
    """(batch, parameters, height, width) as (batch, draws, K), codebook fastest."""
    return logits.unflatten(1, (-1, K)).permute(0, 3, 4, 1, 2).flatten(1, 3)


@pytest.mark.parametrize("books", [1, 2])
def test_a_map_becomes_one_vector(books: int) -> None:
    model = encoder(books)
    latents = model(random_codes(3, books, *SPACE))
    assert latents.shape == (3, DIM, 1, 1) and model.stride == SPACE and model.context == (0, 0)
    assert encoder(books, widths=(8,))(random_codes(0, books, *SPACE)).shape == (0, DIM, 1, 1)


def test_the_vector_depends_on_every_code() -> None:
    model, codes = encoder(), random_codes(1, 2, *SPACE)
    before = model(codes)
    for book in range(2):
        for place in range(SPACE[0] * SPACE[1]):
            other = codes.clone()
            other[0, book].view(-1)[place] = (other[0, book].view(-1)[place] + 1) % K
            assert not torch.equal(model(other), before)


@pytest.mark.parametrize("books", [1, 3])
@pytest.mark.parametrize("kernel", [3, 5])
def test_each_step_gives_the_logits_of_the_whole(books: int, kernel: int) -> None:
    model, codes, vectors = decoder(books, kernel=kernel), random_codes(2, books, *SPACE), random_vectors(2)
    expected, flat = in_raster_order(model(vectors, Condition(), codes)).detach(), codes.permute(0, 2, 3, 1).flatten(1)
    state, code = model.start(2, SPACE, Given(vectors)), None
    for position in range(flat.shape[1]):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, state = model.step(code, state)
        # Sums in another order, of numbers of about 1.
        torch.testing.assert_close(logits, expected[:, position], rtol=0, atol=1e-5)
        code = flat[:, position]


def test_a_code_reaches_later_ones_and_no_earlier_one_and_the_vector_all() -> None:
    model, codes, vectors = decoder(layers=9), random_codes(1, 2, *SPACE), random_vectors(1)
    before = in_raster_order(model(vectors, Condition(), codes))[0]
    for position in range(len(before)):
        place, book = divmod(position, 2)
        other = codes.clone()
        other[0, book].view(-1)[place] = (other[0, book].view(-1)[place] + 1) % K
        changed = (in_raster_order(model(vectors, Condition(), other))[0] != before).any(1)
        assert not changed[: position + 1].any() and changed[position + 1 :].all()
    assert (in_raster_order(model(-vectors, Condition(), codes))[0] != before).any(1).all()


def test_codes_are_drawn_given_each_vector_by_the_one_loop() -> None:
    model, vectors, numbers = decoder(), random_vectors(3), torch.rand(3, 90, generator=torch.Generator().manual_seed(3))
    drawn = sample(model, 3, SPACE, condition=Given(vectors), uniforms=numbers)
    assert drawn.shape == (3, 2, *SPACE)
    alone = sample(model, 1, SPACE, condition=Given(vectors[1:2]), uniforms=numbers[1:2], compiled=False)
    assert torch.equal(alone, drawn[1:2])
    assert not torch.equal(sample(model, 3, SPACE, condition=Given(vectors.flip(0)), uniforms=numbers), drawn)
    prefix = torch.full((3, 2, *SPACE), -1)
    prefix[:, :, :2] = 3
    assert (sample(model, 3, SPACE, condition=Given(vectors), uniforms=numbers, prefix=prefix)[:, :, :2] == 3).all()


def test_the_compiled_loop_takes_the_vector() -> None:
    pytest.importorskip("numba")
    model, vectors, numbers = decoder(), random_vectors(1), torch.rand(1, 90, generator=torch.Generator().manual_seed(3))
    drawn = [sample(model, 1, SPACE, condition=Given(vectors), uniforms=numbers, compiled=compiled) for compiled in (True, False)]
    assert torch.equal(*drawn)


def test_every_parameter_learns() -> None:
    for model, given in (
        (encoder(), (random_codes(2, 2, *SPACE),)),
        (decoder(), (random_vectors(2), Condition(), random_codes(2, 2, *SPACE))),
    ):
        model.train()(*given).square().sum().backward()
        assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_logits_are_float32_under_autocast() -> None:
    model, given = decoder(), (random_vectors(2), Condition(), random_codes(2, 2, *SPACE))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(*given)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, model(*given), rtol=0, atol=0.1 * float(logits.detach().std()))


def test_wrong_input_is_an_error() -> None:
    codes, vectors = random_codes(2, 2, *SPACE), random_vectors(2)
    with pytest.raises(DataError, match=r"\(9, 5\).*\(5, 9\)"):
        encoder()(codes.transpose(2, 3))
    with pytest.raises(DataError, match="0 to 6"):
        encoder()(codes + 1)
    with pytest.raises(DataError, match="past is missing"):
        decoder()(vectors)
    with pytest.raises(DataError, match=r"\(batch, 2, \*space\)"):
        decoder()(vectors, Condition(), codes[:, :1])
    with pytest.raises(DataError, match=r"expected \(5, 9\)"):
        decoder().start(2, (5, 8), Given(vectors))
    with pytest.raises(DataError, match="2 vectors came for 3"):
        decoder().start(3, SPACE, Given(vectors))
    with pytest.raises(DataError, match="prefix"):
        decoder().start(2, SPACE, Given(vectors), torch.full((2, 1, *SPACE), -1))
    with pytest.raises(ConfigError, match="nothing is left"):
        encoder(widths=(8, 8, 8))
    with pytest.raises(ConfigError, match="not a"):
        CodesDecoderConfig(codebook_size=K, space=SPACE).build(DIM, K + 1)
    with pytest.raises(ConfigError, match="CodesDecoderConfig.kernel"):
        CodesDecoderConfig(codebook_size=K, space=SPACE, kernel=4)
