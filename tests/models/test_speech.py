"""VQ-VAEs of sound, with every encoder and decoder, on two toy speakers: sums of sines with few or with many overtones."""

import json
import math

import pytest
import torch
from torch import Tensor

from vqvae import config as configuration
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import MuLawConfig, MuLawMixtureConfig, SpectralConfig
from vqvae.models import VQVAE, VAEConfig, VIMCOConfig, VQVAEConfig
from vqvae.networks import AudioEncoderConfig, LogMelEncoderConfig, SpectralDecoderConfig, WaveNetDecoderConfig
from vqvae.quantizers import EMAQuantizerConfig

STRIDE, RATE = 32, 2000
ENCODERS = {
    "raw": AudioEncoderConfig(strides=(2, 4, 4), width=8, residual_blocks=1),
    "mel": LogMelEncoderConfig(rate=RATE, window=64, hop=16, mels=6, strides=(2,), width=8, residual_blocks=1),
    "normalised": LogMelEncoderConfig(rate=RATE, window=64, hop=16, mels=6, strides=(2,), width=8, normalise=True),
}
WAVENET = {
    "stride": STRIDE,
    "levels": 32,
    "speakers": 2,
    "layers": 3,
    "cycle": 3,
    "residual": 8,
    "skip": 8,
    "condition_hidden": 8,
    "int8": False,
}
PARTS = {
    "wavenet": (MuLawConfig(levels=32), WaveNetDecoderConfig(**WAVENET)),
    "mixture": (MuLawMixtureConfig(levels=32, mixtures=2), WaveNetDecoderConfig(**WAVENET)),
    "spectral": (SpectralConfig(windows=(32, 64)), SpectralDecoderConfig(stride=STRIDE, speakers=2, width=8, blocks=1, n_fft=32, hop=8)),
}
parts = pytest.mark.parametrize("name", PARTS)
densities = pytest.mark.parametrize("name", ["wavenet", "mixture"])


def make(name: str, encoder: str = "raw", **changes: object) -> VQVAE:
    torch.manual_seed(0)
    likelihood, decoder = PARTS[name]
    quantizer = EMAQuantizerConfig(dim=4, codebook_size=8)
    return VQVAEConfig(
        **{"quantizer": quantizer, "likelihood": likelihood, "encoder": ENCODERS[encoder], "decoder": decoder, **changes}
    ).build()


def listening(model: VQVAE) -> VQVAE:
    """The model, whose decoder's first weights are so large that what the vectors say shows."""
    with torch.no_grad():
        model.decoder.first.weight.mul_(50)
    return model


def speech(batch: int = 4, time: int = 256) -> Batch:
    """Speaker 0 has pure tones and speaker 1 overtones; pitches differ by example."""
    seconds, speaker = torch.arange(time) / RATE, torch.arange(batch) % 2
    pitch = 100 + 30 * torch.arange(batch).view(-1, 1)
    overtones = [(2 * math.pi * pitch * k * seconds).sin() / k * (1 if k == 1 else speaker.view(-1, 1)) for k in (1, 2, 3)]
    return Batch(0.3 * torch.stack(overtones).sum(0).unsqueeze(1), Condition(label=speaker))


@parts
@pytest.mark.parametrize("encoder", ENCODERS)
def test_training_lowers_the_loss_and_reaches_every_parameter(name: str, encoder: str) -> None:
    model, batch = make(name, encoder), speech()
    model.start([batch])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for step in range(40):
        optimizer.zero_grad()
        objective = model(batch)
        objective.loss.backward()
        if step == 0:
            assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
        optimizer.step()
        losses.append(float(objective.loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert ("distance_per_dim" in objective.metrics) == (name == "spectral") != ("nats_per_dim" in objective.metrics)


@parts
def test_codes_decode_to_a_wave_of_any_length_and_of_another_speaker(name: str) -> None:
    model, batch = make(name).eval(), speech(2, 100)
    with torch.no_grad():
        model.decoder.speaker.embedding.weight.mul_(50)  # First weights are small; larger ones make the speaker matter.
    codes = model.encode(batch)
    assert codes[0].shape == (2, 1, 4)
    generator = torch.Generator().manual_seed(0)
    waves = [
        model.decode(codes, Condition(label=torch.tensor(label)), generator.manual_seed(0), 1.0, size=(100,)) for label in ([0, 1], [1, 0])
    ]
    assert waves[0].shape == (2, 1, 100) and waves[0].dtype == torch.float32 and float(waves[0].detach().abs().max()) <= 1
    assert not torch.equal(*waves)
    assert model.decode(codes, batch.condition).shape == (2, 1, 128)
    with pytest.raises(DataError, match="2 speakers"):
        model.decode(codes)


@densities
def test_the_bound_is_the_likelihood_less_the_codes(name: str) -> None:
    model, batch = make(name).eval(), speech(2, 100)
    codes, bound = model.encode(batch), model.bound(batch)
    torch.testing.assert_close(bound.log_likelihood, model.log_likelihood(batch, codes))
    torch.testing.assert_close(bound.nats, bound.log_likelihood - 4 * math.log(8))
    torch.testing.assert_close(model(batch).metrics["nats_per_dim"], -bound.nats.mean() / 100)
    made = model.reconstruct(batch, codes)
    torch.testing.assert_close(made.log_likelihood, bound.log_likelihood)
    assert made.x.shape == (2, 1, 100)


@densities
def test_drawn_waves_have_the_probability_that_the_bound_counts(name: str) -> None:
    """The mean of -log p of a model's own draws is its entropy, which the logits that they were drawn from give, too."""
    model, vectors = make(name).eval(), torch.randn(1, 4, 1).expand(64, 4, 1)
    condition = Condition(label=torch.zeros(64, dtype=torch.int64))
    wave = model._decode(vectors, condition, torch.Generator().manual_seed(0), 1.0, None)
    past = model.likelihood.discretise(wave)
    parameters = model.decoder(vectors, condition, past)
    nats = -model.likelihood.log_prob(parameters, wave).mean() / STRIDE
    rows = parameters.movedim(1, -1).flatten(0, 1)
    log_p = (model.likelihood.logits(rows) if name == "mixture" else rows).log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    spread = float((-model.likelihood.log_prob(parameters, wave) / STRIDE).detach().std()) / 8
    assert abs(float(nats.detach()) - float(entropy.mean().detach())) < 5 * spread + 1e-3


@parts
def test_a_mask_is_each_wave_alone(name: str) -> None:
    model, whole = listening(make(name)).eval(), speech(3, 200)
    lengths = (200, 75, 33)
    mask = torch.arange(200) < torch.tensor(lengths).unsqueeze(1)
    noise = torch.rand(whole.x.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    batch = Batch(torch.where(mask.unsqueeze(1), whole.x, noise), whole.condition, mask)
    (codes,) = model.encode(batch)
    alone = [Batch(whole.x[i : i + 1, :, :length], Condition(label=whole.condition.label[i : i + 1])) for i, length in enumerate(lengths)]
    for i, one in enumerate(alone):
        (own,) = model.encode(one)
        latents = model.latents(batch)[i : i + 1, :, : own.shape[2]]
        torch.testing.assert_close(latents, model.latents(one), rtol=1e-4, atol=1e-5)
        assert torch.equal(codes[i : i + 1, :, : own.shape[2]], own) and not codes[i, :, own.shape[2] :].any()
    loss = model(batch).loss
    # The likelihood is summed over all samples that count, and so is each wave's, of its own length.
    data = sum((model(one).loss - model.quantize(model.latents(one)).loss) * length for one, length in zip(alone, lengths, strict=True))
    vectors = model.quantize(model.latents(batch), model._mask(batch)).loss
    torch.testing.assert_close(loss, data / sum(lengths) + vectors, rtol=1e-4, atol=1e-5)
    if name != "spectral":
        nats = torch.cat([model.elbo(one) for one in alone])
        torch.testing.assert_close(model.elbo(batch), nats, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(model.log_likelihood(batch, (codes,)), nats + mask_codes(lengths) * math.log(8), rtol=1e-4, atol=1e-3)
    everywhere = torch.ones_like(mask)
    torch.testing.assert_close(model(whole._replace(mask=everywhere)).loss, model(whole).loss)


def mask_codes(lengths: tuple[int, ...]) -> Tensor:
    return torch.tensor([-(-length // STRIDE) for length in lengths])


def test_a_codebook_starts_from_data_alone() -> None:
    model, batch = make("wavenet"), speech(2, 128)
    mask = torch.tensor([[True], [False]]).expand(2, 128)
    seen = []
    model.quantizer.start = lambda rows: seen.append(rows)
    model.start([batch._replace(mask=mask)])
    assert seen[0].shape == (4, 4)
    torch.testing.assert_close(seen[0], model.latents(speech(1, 128))[0].T)


def test_a_distance_has_no_nats() -> None:
    model, batch = make("spectral").eval(), speech(2)
    codes = model.encode(batch)
    for ask in (model.bound, model.elbo, lambda given: model.log_likelihood(given, codes)):
        with pytest.raises(ConfigError, match="Spectral is a distance, not a density"):
            ask(batch)
    made = model.reconstruct(batch, codes)
    assert made.log_likelihood is None and torch.equal(made.x, model.decode(codes, batch.condition))
    likelihood, decoder = PARTS["spectral"]
    shared = {"dim": 4, "likelihood": likelihood, "encoder": ENCODERS["raw"], "decoder": decoder}
    for config in (VAEConfig(**shared), VIMCOConfig(**shared, codebook_size=8)):
        with pytest.raises(ConfigError, match="only VQVAE can train"):
            config.build()


def test_jitter_changes_training_and_nothing_else() -> None:
    plain, jittered, batch = listening(make("wavenet")), make("wavenet", jitter=0.5), speech()
    plain.start([batch])
    jittered.load_state_dict(plain.eval().state_dict())
    jittered.eval()
    assert torch.equal(plain(batch).loss, jittered(batch).loss)
    losses = []
    with torch.no_grad():
        for _ in range(3):
            losses.append(float(jittered.train()(batch).loss))
    assert len(set(losses)) == 3 and torch.equal(plain.bound(batch).nats, jittered.eval().bound(batch).nats)
    for jitter in (-0.1, 1.5):
        with pytest.raises(ConfigError, match="jitter"):
            make("wavenet", jitter=jitter)


def test_settings_that_were_stored_before_jitter_are_read() -> None:
    config = make("spectral", "mel").config
    data = json.loads(json.dumps(configuration.to_json(config)))
    del data["jitter"]
    assert configuration.from_json(VQVAEConfig, data) == config


def test_strides_must_agree() -> None:
    with pytest.raises(ConfigError, match="stride"):
        make("wavenet", decoder=WaveNetDecoderConfig(stride=64, levels=32))
