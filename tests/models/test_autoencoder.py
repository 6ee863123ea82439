"""What models with an encoder, a decoder and criteria share, and models that are made of modules of one's own."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

from tests.models import own, toy
from vqvae import config as configuration
from vqvae.codes import Level
from vqvae.data.base import Batch
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import (
    CategoricalCodesConfig,
    CepstralConfig,
    GaussianConfig,
    GaussianDensityConfig,
    MuLawConfig,
    MuLawMixtureConfig,
    PixelDistanceConfig,
    SpectralConfig,
)
from vqvae.models import VQVAE, GumbelSoftmaxConfig, VAEConfig, VIMCOConfig, VQVAEConfig, WeightedConfig
from vqvae.models.autoencoder import config_of, per_dim, reconstruction_error
from vqvae.networks import WaveNetDecoderConfig
from vqvae.quantizers import EMAQuantizerConfig, IdentityQuantizerConfig, VectorQuantizerConfig
from vqvae.signals import AXES, Signal, pictures, sound

DENSITY = GaussianDensityConfig(channels=5)


def test_nats_a_dimension_are_means_over_all_of_them() -> None:
    batch = Batch(torch.zeros(2, 3, 4, 5, dtype=torch.uint8))
    assert per_dim(torch.tensor([60.0, 180.0]), batch) == 2
    assert per_dim(torch.zeros(0), Batch(batch.x[:0])) == 0
    masked = Batch(torch.zeros(2, 3, 4), mask=torch.tensor([[True, False, False, False], [True, True, True, False]]))
    assert per_dim(torch.tensor([6.0, 18.0]), masked) == 2
    assert per_dim(torch.zeros(2), masked._replace(mask=torch.zeros(2, 4, dtype=torch.bool))) == 0


def test_metrics_have_one_name_in_all_models() -> None:
    for kind in (VQVAEConfig, VIMCOConfig):
        metrics = toy.make(kind)(toy.image(2)).metrics
        assert {"nats_per_dim", "kl_nats_per_dim", "perplexity", "codes_used"} <= set(metrics)


@pytest.mark.parametrize(
    ("axes", "criterion", "size"),
    [
        (1, DENSITY, (16,)),
        (1, PixelDistanceConfig(channels=5, levels=None), (15,)),
        (2, GaussianConfig(channels=2), (6, 7)),
        (3, GaussianDensityConfig(channels=1), (4, 6, 5)),
        (3, PixelDistanceConfig(channels=2, power=2), (4, 4, 4)),
        (3, GaussianConfig(channels=3), (3, 4, 4)),
    ],
    ids=str,
)
def test_plain_modules_make_a_model_of_data_with_any_axes(axes: int, criterion: object, size: tuple[int, ...]) -> None:
    model = own.plain(criterion.build(), axes, quantizer=EMAQuantizerConfig(dim=own.DIM, codebook_size=own.SIZE).build())
    signal = Signal(axes=AXES[axes], channels=criterion.channels, levels=model.criterion.levels)
    assert model.signal == signal and model.config is None
    assert model.layout == (Level(1, own.SIZE, (own.STRIDE,) * axes),)
    # Each example has one value everywhere, which a code can tell.
    x = signal.from_unit(torch.linspace(-0.9, 0.9, 4).view(4, *[1] * (axes + 1)).repeat(1, criterion.channels, *size))
    model.start([Batch(x)])
    losses = own.train(model, [Batch(x)], 60)
    assert losses[-1] < losses[0] - 0.1 and all(map(math.isfinite, losses))
    codes = model.encode(Batch(x))
    assert codes.tensor.shape == (4, 1, *(-(-side // own.STRIDE) for side in size))
    decoded, made = model.decode(codes, size=size), model.reconstruct(Batch(x), codes)
    assert decoded.shape == x.shape and decoded.dtype == signal.dtype and torch.equal(made.x, decoded)
    if model.has_likelihood:
        bound = model.bound(Batch(x))
        torch.testing.assert_close(bound.log_likelihood, made.log_likelihood)
        torch.testing.assert_close(bound.log_likelihood - bound.nats, torch.full((4,), codes.tensor[0].numel() * math.log(own.SIZE)))
    else:
        assert made.log_likelihood is None
        torch.testing.assert_close(
            model(Batch(x)).metrics["distance_per_dim"], model.criterion.loss(*parameters(model, x)).mean() / x[0].numel()
        )


def parameters(model: VQVAE, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the decoder says of data, cut to its size, and the data."""
    made = model.decoder(model.vectors(model.encode(Batch(x)).tensor), Batch(x).condition)
    return made[(..., *(slice(side) for side in x.shape[2:]))].detach(), x


def test_axes_without_a_usual_name_have_a_number() -> None:
    class Four(nn.Module):
        stride = (2, 2, 2, 2)

    model = own.plain(GaussianDensityConfig(channels=1).build(), encoder=Four(), decoder=Four())
    assert model.signal.axes == ("axis 0", "axis 1", "axis 2", "axis 3")


def test_a_signal_may_be_given_where_it_fits() -> None:
    given = Signal(axes=("step",), channels=5, low=0.0, high=2.0)
    assert own.plain(DENSITY.build(), signal=given).signal is given
    for wrong in (pictures(5), sound(), Signal(axes=("step",), channels=5, levels=256), Signal(axes=(), channels=5)):
        with pytest.raises(ConfigError, match="The signal is .*; GaussianDensity takes finite floats, .* at the stride"):
            own.plain(DENSITY.build(), signal=wrong)
    with pytest.raises(ConfigError, match="omit the signal"):
        own.plain(GaussianDensityConfig(channels=5, low=0.0, high=1.0).build(), signal=given)


class Bare(nn.Module):
    """Whatever stride it is given, or none."""

    def __init__(self, **traits: object) -> None:
        super().__init__()
        for name, value in traits.items():
            setattr(self, name, value)


@pytest.mark.parametrize("stride", [None, 2, (), (0,), (2.0,), [2]])
@pytest.mark.parametrize("role", ["encoder", "decoder"])
def test_each_network_has_a_stride(role: str, stride: object) -> None:
    part = Bare() if stride is None else Bare(stride=stride)
    with pytest.raises(ConfigError, match=rf"The {role} \(Bare\) has the stride .*; expected a tuple of positive numbers.*self.stride = "):
        own.plain(DENSITY.build(), **{role: part})


@pytest.mark.parametrize(
    ("criterion", "changes", "match"),
    [
        (DENSITY, {"decoder": Bare(stride=(4,))}, r"encoder's stride is \(2,\) and the decoder's \(4,\); give both the same"),
        (DENSITY, {"decoder": Bare(stride=(2, 2))}, "give both the same"),
        (
            DENSITY,
            {"decoder": Bare(stride=(2,), hop=2)},
            "Bare gives parameters for every 2 positions .* GaussianDensity takes them for every 1",
        ),
        (CepstralConfig(), {}, "gives parameters for every 1 positions of the data, but Cepstral takes them for every 640"),
        (SpectralConfig(), {"decoder": "wavenet"}, "WaveNetDecoder draws bins one by one, but Spectral has none.*MuLawConfig"),
        (GaussianDensityConfig(channels=1), {"decoder": "wavenet"}, "GaussianDensity has none"),
        (MuLawMixtureConfig(), {"further": [(1.0, PixelDistanceConfig(channels=1, levels=None))]}, "MuLawMixture has no mean"),
        (
            CategoricalCodesConfig(codebook_size=4),
            {"further": [(1.0, PixelDistanceConfig())]},
            "CategoricalCodes has no mean .* omit them",
        ),
        (
            MuLawConfig(),
            {"further": [(1.0, CepstralConfig())]},
            "Cepstral takes 60 parameters for every 640 positions; .* mean of MuLaw, with 1 chan",
        ),
        (
            DENSITY,
            {"further": [(1.0, PixelDistanceConfig(channels=3))]},
            "PixelDistance takes 3 parameters .*, with 5 channels",
        ),
        (
            DENSITY,
            {"rated": True, "quantizer": IdentityQuantizerConfig(dim=own.DIM)},
            "rated is True, but IdentityQuantizer has no codebook",
        ),
        (DENSITY, {"jitter": 2.0}, "jitter is 2.0"),
    ],
)
def test_parts_that_do_not_fit_are_errors(criterion: object, changes: dict, match: str) -> None:
    wavenet = WaveNetDecoderConfig(stride=2, layers=2, cycle=2, residual=4, skip=4, condition_hidden=4)
    built = {name: value.build() if dataclasses.is_dataclass(value) else value for name, value in changes.items()}
    if changes.get("decoder") == "wavenet":
        built["decoder"] = wavenet.build(own.DIM, 256)
    if "further" in changes:
        built["further"] = [(weight, config.build()) for weight, config in changes["further"]]
    with pytest.raises(ConfigError, match=match):
        own.plain(criterion.build(), **built)


def test_what_a_model_is_follows_from_its_parts() -> None:
    plain = own.plain(DENSITY.build())
    assert (plain.speakers, plain.draws, plain.takes_masks, plain.has_likelihood) == (0, False, True, True)
    speaking = own.plain(DENSITY.build(), decoder=Bare(stride=(2,), speakers=7))
    assert speaking.speakers == 7
    distance = PixelDistanceConfig(channels=5, levels=None)
    assert not own.plain(distance.build()).has_likelihood and own.plain(distance.build()).takes_masks
    # Levels have none that says silence, and pictures no end that is behind all of them.
    for criterion, axes in ((PixelDistanceConfig(channels=5), 1), (distance, 2), (DENSITY, 3), (GaussianConfig(), 1)):
        assert not own.plain(criterion.build(), axes).takes_masks
    unmasked = PixelDistanceConfig(channels=5, levels=None).build()
    unmasked.takes_masks = False
    assert not own.plain(DENSITY.build(), further=[(1.0, unmasked)]).takes_masks
    mask = torch.ones(2, 6, 6, dtype=torch.bool)
    with pytest.raises(DataError, match="mask; VQVAE only takes batches with examples of one size"):
        own.plain(distance.build(), 2)(Batch(own.data(2, 5, 6, 6), mask=mask))


def test_a_masked_batch_of_plain_modules_is_its_examples_alone() -> None:
    model, x, lengths = own.plain(DENSITY.build()).eval(), own.data(3, 5, 9), (9, 6, 3)
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    batch = Batch(torch.where(mask[:, None], x, torch.tensor(7.0)), mask=mask)
    alone = [Batch(x[i : i + 1, :, :length]) for i, length in enumerate(lengths)]
    torch.testing.assert_close(model.bound(batch).nats, torch.cat([model.bound(one).nats for one in alone]), rtol=1e-5, atol=1e-4)
    for i, one in enumerate(alone):
        own_codes = model.encode(one).tensor
        assert torch.equal(model.encode(batch).tensor[i : i + 1, :, : own_codes.shape[2]], own_codes)


CRITERIA = (
    WeightedConfig(criterion=PixelDistanceConfig(channels=5, levels=None), weight=0.5),
    WeightedConfig(criterion=PixelDistanceConfig(channels=5, levels=None, power=2), weight=3.0),
)


def with_configs() -> VQVAE:
    torch.manual_seed(0)
    signal = DENSITY.build().signal(AXES[1])
    return VQVAE(
        encoder=own.OwnEncoderConfig().build(signal, own.DIM),
        quantizer=own.quantizer(),
        decoder=own.OwnDecoderConfig(width=2).build(own.DIM, 5),
        criterion=DENSITY.build(),
        further=[(one.weight, one.criterion.build()) for one in CRITERIA],
        jitter=0.1,
    )


def test_modules_with_configurations_make_a_model_with_one() -> None:
    model = with_configs()
    config = VQVAEConfig(
        quantizer=VectorQuantizerConfig(dim=own.DIM, codebook_size=own.SIZE, start_from_data=False),
        likelihood=DENSITY,
        encoder=own.OwnEncoderConfig(),
        decoder=own.OwnDecoderConfig(width=2),
        criteria=CRITERIA,
        jitter=0.1,
    )
    assert model.config == config
    data = json.loads(json.dumps(configuration.to_json(config)))
    parts = (own.OwnEncoderConfig, own.OwnDecoderConfig)
    assert configuration.from_json(VQVAEConfig, data, parts=parts) == config
    assert set(parts) < set(configuration.kinds(config))
    with pytest.raises(ConfigError, match="config.encoder.kind is 'OwnEncoderConfig'; .* parts=\\[OwnEncoderConfig\\]"):
        configuration.from_json(VQVAEConfig, data)
    again, batch = config.build().eval(), Batch(own.data(2, 5, 8))
    again.load_state_dict(model.state_dict())
    assert again.config == config and again.signal == model.signal
    assert torch.equal(again(batch).loss, model.eval()(batch).loss)


def test_without_one_of_the_configurations_there_is_none() -> None:
    model = with_configs()
    assert config_of(VAEConfig, {"encoder": model.encoder, "decoder": nn.ReLU()}) is None
    parts = {"encoder": model.encoder, "quantizer": model.quantizer, "decoder": model.decoder, "criterion": model.criterion}
    assert VQVAE(**parts).config is not None
    bare = PixelDistanceConfig(channels=5, levels=None).build()
    del bare.config
    assert VQVAE(**parts, further=[(1.0, bare)]).config is None
    assert VQVAE(**{**parts, "encoder": own.PlainEncoder(1, 5)}).config is None


def test_the_loss_is_the_weighted_sum_of_the_criteria() -> None:
    model, batch = with_configs().eval(), Batch(own.data(3, 5, 8))
    objective, quantized = model(batch), model.quantize(model.latents(batch))
    made = model.decoder(quantized.vectors, batch.condition)
    nats = DENSITY.build().loss(made, batch.x).sum() / 120
    first, second = (made - batch.x).abs().mean(), (made - batch.x).square().mean()
    torch.testing.assert_close(objective.loss, nats + quantized.loss + 0.5 * first + 3 * second)
    torch.testing.assert_close(objective.metrics["pixel_distance"], first.detach())
    torch.testing.assert_close(objective.metrics["pixel_distance_2"], second.detach())
    assert objective.adversary is None
    # The bound has none of them.
    torch.testing.assert_close(objective.metrics["nats_per_dim"], -model.bound(batch).nats.mean().detach() / 40)
    objective.loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_further_criteria_look_at_what_bins_expect() -> None:
    model = own.plain(GaussianConfig(channels=3).build(), 2, further=[(2.0, PixelDistanceConfig().build())])
    x = pictures().from_unit(own.data(3, 3, 8, 8).clamp(-1, 1))
    mean = model.criterion.mean(parameters(model.eval(), x)[0])
    expected = (mean - pictures().to_unit(x)).abs().mean()
    torch.testing.assert_close(model(Batch(x)).metrics["pixel_distance"], expected)


@pytest.mark.parametrize("kind", [VQVAEConfig, VAEConfig, VIMCOConfig])
def test_networks_of_ones_own_serve_every_model_by_their_settings(kind: type) -> None:
    torch.manual_seed(0)
    bottleneck = {
        VQVAEConfig: {"quantizer": VectorQuantizerConfig(dim=own.DIM, codebook_size=own.SIZE, start_from_data=False)},
        VAEConfig: {"dim": own.DIM},
        VIMCOConfig: {"dim": own.DIM, "codebook_size": own.SIZE, "samples": 2},
    }[kind]
    model = kind(likelihood=DENSITY, encoder=own.OwnEncoderConfig(), decoder=own.OwnDecoderConfig(), **bottleneck).build()
    losses = own.train(model, [Batch(own.data(4, 5, 9))], 60)
    assert losses[-1] < losses[0] and torch.isfinite(model.bound(Batch(own.data(4, 5, 9))).nats).all()


def test_the_error_of_data_with_and_without_bounds() -> None:
    x = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    black = torch.full((2, 1, 1, 1), -1.0)
    found = reconstruction_error(black, x, pictures(1))
    assert found["psnr"].item() == pytest.approx(20 * math.log10(255) / 2), "one perfect picture, one as wrong as can be"
    free = Signal(axes=("time",), channels=1)
    assert reconstruction_error(torch.zeros(1, 1, 4), torch.full((1, 1, 4), 3.0), free) == {"rmse": torch.tensor(3.0)}
    assert reconstruction_error(black[:0], x[:0], pictures(1)) == {}


@pytest.mark.parametrize("kind", [VAEConfig, GumbelSoftmaxConfig, VIMCOConfig])
def test_every_model_shows_its_reconstruction_error(kind: type) -> None:
    model, batch = toy.make(kind), toy.image(2)
    assert "psnr" not in model(batch).metrics, "the mean of the toy's likelihood takes time"
    model.shows_error = True
    error = model(batch).metrics["psnr"]
    assert error.isfinite() and not error.requires_grad
    with torch.no_grad():
        assert "psnr" in model.eval()(batch).metrics
