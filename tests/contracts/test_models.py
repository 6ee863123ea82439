"""What every model of the Union must do."""

import contextlib
import inspect
import json
import math
import typing

import pytest
import torch
from torch import Tensor

from vqvae import config as configuration
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import CategoricalConfig, GaussianConfig
from vqvae.models import FrameTokenizerConfig, LatentModel, ModelConfig, Tokenizer
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import ProductQuantizerConfig
from vqvae.signals import pictures

KINDS = [kind for kind in typing.get_args(ModelConfig) if kind is not FrameTokenizerConfig]
"""Kinds of models of pictures. A tokenizer of clips is made of one of these; see tests/models/test_frames.py."""
SIZES = {"codebook_size": 8, "num_codebooks": 2, "dim": 6}


def settings(kind: type, **changes: object) -> typing.Any:
    network = {"widths": (6, 6), "residual_blocks": 1, "residual_hidden": 4}
    chosen = {
        **SIZES,
        "quantizer": ProductQuantizerConfig(**SIZES),
        "samples": 4,
        "likelihood": GaussianConfig(channels=3),
        "encoder": ImageEncoderConfig(**network),
        "decoder": ImageDecoderConfig(**network),
        **changes,
    }
    return kind(**{name: value for name, value in chosen.items() if name in inspect.signature(kind).parameters})


def make(kind: type, **changes: object) -> LatentModel:
    torch.manual_seed(0)
    return settings(kind, **changes).build()


def images(*size: int, batch: int = 3) -> Batch:
    return Batch(torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)))


def state(model: LatentModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


TOKENIZERS = [kind for kind in KINDS if isinstance(make(kind), Tokenizer)]
every = pytest.mark.parametrize("kind", KINDS)
tokenizers = pytest.mark.parametrize("kind", TOKENIZERS)


def test_the_union_has_models_with_and_without_codes() -> None:
    assert TOKENIZERS and len(TOKENIZERS) < len(KINDS)


@every
def test_what_a_model_is_follows_from_its_parts(kind: type) -> None:
    model = make(kind)
    assert model.signal == pictures() and model.stride == (4, 4)
    assert (model.speakers, model.draws, model.takes_masks, model.has_likelihood) == (0, False, False, True)


@every
def test_the_objective_is_finite_and_reaches_every_parameter(kind: type) -> None:
    model = make(kind)
    objective = model(images(8, 8))
    assert torch.isfinite(objective.loss) and objective.loss.shape == ()
    objective.loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []
    assert all(not value.requires_grad and torch.isfinite(value) for value in objective.metrics.values())


@every
def test_metrics_are_the_bound_and_its_part_for_the_latents(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    with torch.no_grad():
        torch.manual_seed(3)
        metrics = model(batch).metrics
        torch.manual_seed(3)
        bound = model.bound(batch)
    torch.testing.assert_close(metrics["nats_per_dim"], -bound.nats.mean() / 192)
    torch.testing.assert_close(metrics["kl_nats_per_dim"], (bound.log_likelihood - bound.nats).mean() / 192, rtol=1e-4, atol=1e-6)


@every
def test_the_loss_does_not_grow_with_the_batch(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    twice = Batch(torch.cat([batch.x, batch.x]))
    losses = torch.zeros(2, 60)
    torch.manual_seed(5)
    with torch.no_grad():
        for draw in range(60):
            losses[:, draw] = torch.stack([model(batch).loss, model(twice).loss])
    once, doubled = losses.double().mean(1)
    # Five standard errors of the difference of the means, and the rounding of float32.
    error = 5 * float((losses[0] - losses[1]).double().std()) / math.sqrt(60) + 1e-6
    assert abs(float(once - doubled)) < error < 0.02 * abs(float(once))


@every
def test_the_bound_is_finite_nats_of_each_example(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    torch.manual_seed(3)
    bound = model.bound(batch)
    assert bound.nats.shape == bound.log_likelihood.shape == (3,)
    assert bound.nats.dtype == torch.float32 and torch.isfinite(bound.nats).all()
    assert (bound.log_likelihood < 0).all()
    torch.manual_seed(3)
    assert torch.equal(model.elbo(batch), bound.nats), "all noise comes from torch's own generator"


@every
def test_evaluation_changes_nothing(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    before = state(model)
    model(batch)
    model.bound(batch)
    if isinstance(model, Tokenizer):
        model.reconstruct(batch, model.encode(batch))
    assert same(before, state(model))
    with torch.no_grad():
        model.train()(batch)
    assert same(before, state(model)), "without gradients nothing is learned"


@every
@pytest.mark.parametrize("size", [(8, 12), (9, 6), (1, 3)])
def test_images_of_any_size(kind: type, size: tuple[int, int]) -> None:
    model, batch = make(kind).eval(), images(*size)
    assert model.bound(batch).nats.shape == (3,)
    assert torch.isfinite(model(batch).loss)


@every
def test_a_batch_without_examples(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8, batch=0)
    assert model.bound(batch).nats.shape == (0,)
    assert float(model(batch).loss.detach()) == 0
    if isinstance(model, Tokenizer):
        assert model.encode(batch)[0].shape == (0, 2, 2, 2)


@every
def test_configurations_survive_json(kind: type) -> None:
    config = settings(kind)
    data = json.loads(json.dumps(configuration.to_json(config)))
    assert configuration.from_json(ModelConfig, data) == config
    assert make(kind).config == config


@every
def test_likelihoods_are_float32_under_autocast(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    torch.manual_seed(3)
    expected = model.bound(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(3)
        bound = model.bound(batch)
        loss = model.train()(batch).loss
    loss.backward()
    assert bound.nats.dtype == bound.log_likelihood.dtype == loss.dtype == torch.float32
    # bfloat16 has 8 bits, and a code that is chosen otherwise changes some pixels.
    torch.testing.assert_close(bound.nats, expected.nats, rtol=0.05, atol=0)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@every
def test_training_lowers_the_objective(kind: type) -> None:
    model = make(kind)
    batch = Batch((torch.arange(16).view(1, 1, 16, 1) * 15).expand(4, 3, 16, 16).to(torch.uint8))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(model(batch).loss)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.3


@tokenizers
def test_codes_are_deterministic_and_decode_to_data(kind: type) -> None:
    model, batch = make(kind).eval(), images(9, 6)
    levels = model.encode(batch)
    codes, (level,) = levels.tensor, model.layout
    assert levels.masks == (None,)
    assert codes.shape == (3, level.num_codebooks, 3, 2) and codes.dtype == torch.int64
    assert 0 <= int(codes.min()) <= int(codes.max()) < level.codebook_size
    assert torch.equal(codes, model.encode(batch)[0])
    decoded, made = model.decode(levels, size=(9, 6)), model.reconstruct(batch, levels)
    assert decoded.dtype == torch.uint8 and torch.equal(decoded, made.x[:, :, :9, :6]) and made.x.shape == (3, 3, 9, 6)
    for same_codes in (codes, (codes,)):
        assert torch.equal(model.decode(same_codes, size=(9, 6)), decoded)
        assert torch.equal(model.reconstruct(batch, same_codes).x, decoded)
        assert torch.equal(model.log_likelihood(batch, same_codes), model.log_likelihood(batch, levels))
    torch.testing.assert_close(made.log_likelihood, model.log_likelihood(batch, levels))
    first = model.decode(levels, generator=torch.Generator().manual_seed(0), temperature=1.0)
    assert first.shape == (3, 3, 12, 8)
    assert torch.equal(first, model.decode(levels, generator=torch.Generator().manual_seed(0), temperature=1.0))


@tokenizers
def test_a_code_depends_on_its_own_latent_alone(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    assert model.latents(batch).shape[0] == 3 and model.latents(batch).shape[2:] == (2, 2)
    model.start([batch])
    assert torch.equal(model.encode(batch)[0][1:2], model.encode(Batch(batch.x[1:2]))[0])


@tokenizers
def test_a_given_prior_takes_the_place_of_the_uniform_one(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    seen = []

    def log_prior(codes: Tensor, condition: Condition, mask: Tensor | None) -> Tensor:
        assert condition is batch.condition and mask is None
        seen.append(codes)
        return torch.full((len(codes),), -8 * math.log(8) - 5)

    torch.manual_seed(3)
    uniform = model.bound(batch)
    torch.manual_seed(3)
    given = model.bound(batch, log_prior)
    assert seen and all(codes.shape == (3, 2, 2, 2) for codes in seen)
    # A prior that is lower by 5 nats everywhere; sums of about a thousand nats in float32.
    torch.testing.assert_close(given.nats, uniform.nats - 5, rtol=1e-5, atol=1e-3)


@tokenizers
def test_wrong_codes_are_errors(kind: type) -> None:
    model = make(kind).eval()
    with pytest.raises(DataError, match="Codes"):
        model.decode((torch.full((1, 2, 2, 2), 8),))
    with pytest.raises(DataError, match="Codes"):
        model.decode((torch.zeros(1, 3, 2, 2, dtype=torch.int64),))


@tokenizers
@pytest.mark.parametrize("space", [(), (4,), (4, 4, 4), (0, 4), (4, 0)])
def test_codes_of_another_space_are_errors(kind: type, space: tuple[int, ...]) -> None:
    model = make(kind)
    codes = torch.zeros(3, SIZES["num_codebooks"], *space, dtype=torch.int64)
    with torch.no_grad():
        for call in (
            model.decode,
            lambda codes: model.log_likelihood(images(16, 16), codes),
            lambda codes: model.reconstruct(images(16, 16), codes),
        ):
            with pytest.raises(DataError, match=r"Codes have the space .* takes 2 axes"):
                call(codes)


@tokenizers
def test_codes_of_other_data_are_errors(kind: type) -> None:
    model = make(kind)
    for size, batch in (((12, 16), 3), ((20, 16), 3), ((16, 16), 2)):
        codes = model.encode(images(*size, batch=batch))
        with pytest.raises(DataError, match=r"data of the shape \(3, 3, 16, 16\) has \(3, 4, 4\)"):
            model.log_likelihood(images(16, 16), codes)


@tokenizers
def test_codes_of_every_integer_type_mean_the_same(kind: type) -> None:
    model = make(kind).eval()
    codes = model.encode(images(16, 16)).tensor
    with torch.no_grad():
        for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
            assert torch.equal(model.decode(codes.to(dtype)), model.decode(codes))
            assert torch.equal(model.vectors(codes.to(dtype)), model.vectors(codes))


@every
def test_wrong_data_is_an_error_that_says_what_came(kind: type) -> None:
    model, batch = make(kind).eval(), images(8, 8)
    for ask in (model, model.bound, model.elbo):
        with pytest.raises(DataError, match=r"torch.float32 with values from -1 to 300; .*uint8 .* 0 to 255.* raw, not scaled"):
            ask(Batch(torch.tensor([-1.0, 300.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 8, 8)))
        with pytest.raises(DataError, match=r"\(3, 8, 8\); expected \(batch, 3, height, width\). Add the missing axis"):
            ask(Batch(batch.x[0]))
        with pytest.raises(DataError, match="at least one position"):
            ask(Batch(batch.x[:, :, :0]))
        with pytest.raises(DataError, match=r"\(3, 8, 8, 3\); expected \(batch, 3, height, width\). Channels come second"):
            ask(Batch(batch.x.movedim(1, -1)))
        with pytest.raises(DataError, match=f"mask; {type(model).__name__} only takes"):
            ask(batch._replace(mask=torch.ones(3, 8, 8, dtype=torch.bool)))


@every
def test_a_model_without_a_likelihood_says_so(kind: type) -> None:
    with pytest.raises(ConfigError, match=f"{kind.__name__}.likelihood is None; it must be one of"):
        make(kind, likelihood=None)
    data = {**configuration.to_json(settings(kind)), "likelihood": None}
    with pytest.raises(ConfigError, match="likelihood is None; it must be one of"):
        configuration.from_json(ModelConfig, data)


@every
def test_latents_that_are_not_finite_are_an_error_or_a_loss_that_is_not(kind: type) -> None:
    model = make(kind)
    with torch.no_grad():
        next(model.encoder.parameters()).fill_(math.nan)
    with contextlib.suppress(DataError):
        assert not torch.isfinite(model(images(8, 8)).loss)


@every
def test_other_likelihoods(kind: type) -> None:
    model, batch = make(kind, likelihood=CategoricalConfig(channels=3)), images(8, 8)
    model(batch).loss.backward()
    assert torch.isfinite(model.eval().bound(batch).nats).all()


@every
def test_pictures_of_16_bits(kind: type) -> None:
    model = make(kind, likelihood=GaussianConfig(levels=65_536))
    x = torch.randint(0, 65_536, (3, 3, 8, 8), dtype=torch.int32, generator=torch.Generator().manual_seed(1))
    bound = model.eval().bound(Batch(x))
    assert torch.isfinite(bound.nats).all() and model.signal == pictures(levels=65_536)
    # Noise over so many levels has 11 nats a value, and a wide Gaussian costs little more.
    assert 10.5 < float(-bound.log_likelihood.mean().detach()) / 192 < 13
    with pytest.raises(DataError, match="torch.int32 with levels from 0 to 65535"):
        model.bound(images(8, 8))


@every
def test_strides_must_agree(kind: type) -> None:
    with pytest.raises(ConfigError, match="stride"):
        make(kind, encoder=ImageEncoderConfig(widths=(8,)))
