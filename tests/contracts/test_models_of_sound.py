"""What every model of the Union must do over sound: speakers, draws and masks, which follow from its parts."""

import inspect
import json
import math
import typing

import pytest
import torch
from torch import Tensor

from vqvae import config as configuration
from vqvae.data.base import Batch, Condition
from vqvae.errors import DataError
from vqvae.likelihoods import GaussianDensityConfig, MuLawConfig, MuLawMixtureConfig, SpectralConfig
from vqvae.models import FrameTokenizerConfig, LatentModel, ModelConfig, Tokenizer, VQVAEConfig
from vqvae.models.categorical import CategoricalPosterior
from vqvae.networks import AudioEncoderConfig, SpectralDecoderConfig, WaveNetDecoderConfig
from vqvae.quantizers import ProductQuantizerConfig
from vqvae.signals import sound

KINDS = [kind for kind in typing.get_args(ModelConfig) if kind is not FrameTokenizerConfig]
STRIDE, LEVELS = 4, 16
SIZES = {"codebook_size": 8, "num_codebooks": 2, "dim": 6}
WAVENET = WaveNetDecoderConfig(
    stride=STRIDE, levels=LEVELS, speakers=2, layers=2, cycle=2, residual=6, skip=6, condition_hidden=6, int8=False
)
SPECTRAL = SpectralDecoderConfig(stride=STRIDE, speakers=2, width=6, blocks=1, n_fft=8, hop=2)
PARTS = {
    "bins": (MuLawConfig(levels=LEVELS), WAVENET),
    "mixture": (MuLawMixtureConfig(levels=LEVELS, mixtures=2), WAVENET),
    "density": (GaussianDensityConfig(channels=1, low=-1.0, high=1.0), SPECTRAL),
    "distance": (SpectralConfig(windows=(8, 16)), SPECTRAL),
}
"""Likelihoods with their decoders; only the VQ-VAE trains on a distance."""
CASES = [(kind, name) for kind in KINDS for name in PARTS if name != "distance" or kind is VQVAEConfig]
every = pytest.mark.parametrize(("kind", "name"), CASES)
likelihoods = pytest.mark.parametrize(("kind", "name"), [case for case in CASES if case[1] != "distance"])
LENGTHS = (22, 9, 4)


def settings(kind: type, name: str) -> typing.Any:
    likelihood, decoder = PARTS[name]
    chosen = {
        **SIZES,
        "quantizer": ProductQuantizerConfig(**SIZES),
        "samples": 3,
        "likelihood": likelihood,
        "encoder": AudioEncoderConfig(strides=(2, 2), width=6, residual_blocks=1),
        "decoder": decoder,
    }
    return kind(**{name: value for name, value in chosen.items() if name in inspect.signature(kind).parameters})


def make(kind: type, name: str) -> LatentModel:
    """A model whose decoder hears what the vectors say."""
    torch.manual_seed(0)
    model = settings(kind, name).build()
    with torch.no_grad():
        model.decoder.first.weight.mul_(20)
    return model.eval()


def waves() -> Batch:
    x = 0.3 * torch.randn(3, 1, max(LENGTHS), generator=torch.Generator().manual_seed(1)).clamp(-3, 3)
    return Batch(x, Condition(label=torch.tensor([0, 1, 1])))


def masked() -> Batch:
    """Waves of several lengths, with noise behind their ends."""
    batch = waves()
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    noise = torch.rand(batch.x.shape, generator=torch.Generator().manual_seed(2)) - 0.5
    return batch._replace(x=torch.where(mask[:, None], batch.x, noise), mask=mask)


def alone() -> list[Batch]:
    """The same waves one by one, without masks."""
    batch = waves()
    return [Batch(batch.x[i : i + 1, :, :length], batch.condition.take(slice(i, i + 1))) for i, length in enumerate(LENGTHS)]


@pytest.fixture
def likeliest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn: every latent is the likeliest."""

    def codes(posterior: CategoricalPosterior, log_probs: Tensor, samples: int) -> Tensor:
        return log_probs.argmax(2).expand(samples, -1, -1, *log_probs.shape[3:])

    monkeypatch.setattr(CategoricalPosterior, "sample", codes)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)


@every
def test_what_a_model_is_follows_from_its_parts(kind: type, name: str) -> None:
    model = make(kind, name)
    assert sound().fits(model.signal) and model.stride == (STRIDE,)
    assert (model.speakers, model.takes_masks) == (2, True)
    assert model.draws == (name in ("bins", "mixture")) and model.has_likelihood == (name != "distance")


@every
def test_the_objective_is_finite_and_reaches_every_parameter(kind: type, name: str) -> None:
    for batch in (waves(), masked()):
        model = make(kind, name).train()
        objective = model(batch)
        objective.loss.backward()
        assert torch.isfinite(objective.loss) and all(torch.isfinite(value) for value in objective.metrics.values())
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@every
def test_configurations_survive_json(kind: type, name: str) -> None:
    config = settings(kind, name)
    assert configuration.from_json(ModelConfig, json.loads(json.dumps(configuration.to_json(config)))) == config
    assert make(kind, name).config == config


@likelihoods
@torch.no_grad()
def test_the_bound_of_a_masked_batch_is_that_of_its_waves_alone(kind: type, name: str, likeliest: None) -> None:
    model = make(kind, name)
    bound, own = model.bound(masked()), [model.bound(one) for one in alone()]
    torch.testing.assert_close(bound.nats, torch.cat([one.nats for one in own]), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(bound.log_likelihood, torch.cat([one.log_likelihood for one in own]), rtol=1e-4, atol=1e-3)


@every
@torch.no_grad()
def test_the_loss_of_a_masked_batch_is_the_mean_over_the_samples_of_its_waves(kind: type, name: str, likeliest: None) -> None:
    model, batch = make(kind, name), masked()

    def of_data(one: Batch) -> Tensor:
        """Without the quantizer's own loss, which is a mean over latents."""
        objective = model(one)
        return objective.loss - objective.metrics.get("quantizer_loss", 0)

    expected = sum(of_data(one) * length for one, length in zip(alone(), LENGTHS, strict=True)) / sum(LENGTHS)
    torch.testing.assert_close(of_data(batch), expected, rtol=1e-4, atol=1e-5)
    if kind is VQVAEConfig:
        latents = [-(-length // STRIDE) for length in LENGTHS]
        own = [model(one).metrics["quantizer_loss"] * count for one, count in zip(alone(), latents, strict=True)]
        torch.testing.assert_close(model(batch).metrics["quantizer_loss"], sum(own) / sum(latents), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model(waves()._replace(mask=torch.ones(3, 22, dtype=torch.bool))).loss, model(waves()).loss)


@every
def test_what_is_masked_everywhere_counts_nothing(kind: type, name: str) -> None:
    model, batch = make(kind, name), masked()
    nothing = batch._replace(mask=torch.zeros_like(batch.mask))
    objective = model(nothing)
    assert float(objective.loss.detach()) == 0
    assert all(torch.isfinite(value) for value in objective.metrics.values())
    model.train()(nothing).loss.backward()
    assert all(parameter.grad is None or torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    if name != "distance":
        bound = model.eval().bound(nothing)
        assert not bound.nats.any() and not bound.log_likelihood.any()


@every
@torch.no_grad()
def test_codes_of_a_masked_batch_are_those_of_its_waves_alone(kind: type, name: str) -> None:
    model, batch = make(kind, name), masked()
    if not isinstance(model, Tokenizer):
        pytest.skip("it has no codes")
    codes = model.encode(batch)
    for row, (one, length) in enumerate(zip(alone(), LENGTHS, strict=True)):
        count = -(-length // STRIDE)
        assert torch.equal(codes.tensor[row : row + 1, :, :count], model.encode(one).tensor)
        assert not codes.tensor[row, :, count:].any()
        assert codes.mask[row].tolist() == [True] * count + [False] * (6 - count)
    made = model.reconstruct(batch, codes)
    assert made.x.shape == batch.x.shape and (made.log_likelihood is None) == (name == "distance")


@likelihoods
def test_a_given_prior_is_asked_about_the_codes_the_condition_and_the_mask(kind: type, name: str, likeliest: None) -> None:
    model, batch, seen = make(kind, name), masked(), []
    if not isinstance(model, Tokenizer):
        pytest.skip("it has no codes")

    def log_prior(codes: Tensor, condition: Condition, mask: Tensor) -> Tensor:
        seen.append((codes.shape, condition.label, mask))
        return mask.sum(1) * -2 * math.log(8) - 5.0

    given, uniform = model.bound(batch, log_prior), model.bound(batch)
    torch.testing.assert_close(given.nats, uniform.nats - 5, rtol=1e-5, atol=1e-3)
    for shape, label, mask in seen:
        assert shape == (3, 2, 6) and label is batch.condition.label and torch.equal(mask, model.encode(batch).mask)


@every
def test_speakers_and_masks_that_do_not_fit_are_errors(kind: type, name: str) -> None:
    model, batch = make(kind, name), masked()
    with pytest.raises(DataError, match="2 speakers"):
        model(batch._replace(condition=Condition()))
    for mask in (batch.mask[:, :-1], batch.mask[:2], batch.mask.float(), batch.mask[:, None]):
        with pytest.raises(DataError, match=r"The mask is .*; expected torch.bool \(3, 22\)"):
            model(batch._replace(mask=mask))
    with pytest.raises(DataError, match="Divide it by 32768"):
        model(batch._replace(x=torch.zeros(3, 1, 22, dtype=torch.int16)))
