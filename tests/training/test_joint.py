"""Joint training of a tokenizer and a prior: what reaches which, at what price."""

import itertools
import math
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training import tiny
from vqvae import storage
from vqvae.data.base import Batch
from vqvae.errors import CheckpointError, ConfigError
from vqvae.likelihoods import CategoricalConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.pipeline import Pipeline, load, save
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig, FSQConfig, ProductQuantizerConfig, QuantizerConfig, ResidualQuantizerConfig
from vqvae.training import AdamConfig, Interrupted, Joint, JointConfig, build
from vqvae.training.checkpoint import only_writer

BOOKS, SIZE, DIM = 2, 8, 4
FREE = {"choice_weight": 0.0, "loss_weight": 0.0}


def settings(quantizer: QuantizerConfig | None = None, books: int = BOOKS, classes: int = 0, **changes: object) -> JointConfig:
    network = {"widths": (8,), "residual_blocks": 1, "residual_hidden": 4}
    product = ProductQuantizerConfig(dim=DIM, codebook_size=SIZE, num_codebooks=BOOKS, start_from_data=False)
    tokenizer = VQVAEConfig(
        quantizer=quantizer or product,
        likelihood=CategoricalConfig(channels=3),
        encoder=ImageEncoderConfig(**network),
        decoder=ImageDecoderConfig(**network),
    )
    prior = PixelCNNConfig(codebook_size=SIZE, num_codebooks=books, layers=2, hidden=8, kernel=3, output_hidden=8, classes=classes)
    return JointConfig(**{"tokenizer": tokenizer, "prior": prior, "alone_steps": 0, "anneal_steps": 0, **changes})


def make(**changes: object) -> Joint:
    torch.manual_seed(0)
    joint = settings(**changes).build()
    for parameter in joint.prior.parameters():
        # First weights are small; larger ones let the prior have opinions.
        parameter.data.mul_(3)
    return joint


def batch(count: int = 4) -> Batch:
    return tiny.Noise(count, 0).batch(np.arange(count))


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def chosen(joint: Joint, images: Batch) -> Tensor:
    """The codes that a forward pass chooses."""
    seen = []
    with joint.tokenizer.quantizer.register_forward_hook(lambda module, inputs, out: seen.append(out.codes)):
        joint(images)
    return seen[0]


def distances(joint: Joint, images: Batch) -> Tensor:
    """Squared, of every code to every latent, in float64: (batch, codebooks, codebook_size, height, width)."""
    latents = joint.tokenizer.latents(images).double().unflatten(1, (BOOKS, -1))
    codebook = joint.tokenizer.quantizer.codebook.double()
    return (latents[:, :, None] - codebook[None, ..., None, None]).square().sum(3)


@pytest.mark.parametrize("learning", ["ema", "gradient"])
def test_at_weight_0_the_tokenizer_is_trained_as_it_is_alone(learning: str) -> None:
    quantizer = ProductQuantizerConfig(
        dim=DIM, codebook_size=SIZE, num_codebooks=BOOKS, learning=learning, revive_after=2, start_from_data=False
    )
    joint, alone = make(**FREE, quantizer=quantizer).train(), make(quantizer=quantizer).tokenizer.train()
    optimizers = [torch.optim.SGD(module.parameters(), lr=0.1) for module in (joint, alone)]
    for step in range(4):
        found = []
        for module, optimizer in zip((joint, alone), optimizers, strict=True):
            torch.manual_seed(step)
            optimizer.zero_grad()
            objective = module(batch())
            objective.loss.backward()
            optimizer.step()
            found.append(objective.metrics)
        assert all(torch.equal(found[0][name], value) for name, value in found[1].items())
        mine, others = gradients(joint.tokenizer), gradients(alone)
        assert all(torch.equal(mine[name], others[name]) for name in others if others[name] is not None)
    state = joint.tokenizer.state_dict()
    assert all(torch.equal(state[name], value) for name, value in alone.state_dict().items())
    assert torch.equal(joint.curvature, torch.ones(BOOKS)), "what nothing asks for is not measured"


def test_the_trainer_trains_it_as_it_trains_the_tokenizer_alone(tmp_path: Path) -> None:
    """To the last bit, codebooks started by k-means included: the prior draws nothing, and its weights are drawn after."""
    quantizer = ProductQuantizerConfig(dim=DIM, codebook_size=SIZE, num_codebooks=BOOKS, revive_after=3)
    config = settings(quantizer=quantizer, **FREE)
    optimizer = AdamConfig(learning_rate=1e-2)
    joint = tiny.trainer(tmp_path / "a", tiny.settings(model=config, optimizer=optimizer, steps=5), stage="joint").run()
    alone = tiny.trainer(tmp_path / "b", tiny.settings(model=config.tokenizer, optimizer=optimizer, steps=5)).run()
    assert isinstance(joint, Joint) and isinstance(alone, VQVAE)
    state = joint.tokenizer.state_dict()
    assert all(torch.equal(state[name], value) for name, value in alone.state_dict().items())


@pytest.mark.parametrize("weights", [FREE, {}], ids=["free", "paid"])
def test_the_prior_learns_from_its_own_cross_entropy_alone(weights: dict) -> None:
    joint, images = make(**weights).train(), batch()
    codes = chosen(joint, images)
    joint = make(**weights).train()
    joint(images).loss.backward()
    twin = make().prior
    (-twin.log_prob(codes).sum() / images.x.numel()).backward()
    found, expected = gradients(joint.prior), gradients(twin)
    assert all(value is not None and value.any() for value in expected.values())
    for name, value in expected.items():
        # The same sums, taken by gather instead of by cross_entropy.
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}")


def test_the_free_energy_weighs_nearness_with_the_prior_and_moves_the_encoder_alone() -> None:
    joint, images = make().train(), batch()
    joint.curvature.copy_(torch.tensor([3.0, 0.5]))
    log_probs = torch.randn(4, BOOKS, SIZE, 4, 4, generator=torch.Generator().manual_seed(2)).log_softmax(2)
    latents = joint.tokenizer.latents(images)
    latents.retain_grad()
    found = joint._free_energy(latents, joint.tokenizer.quantizer.codebook, log_probs)
    log_joint = log_probs - distances(joint, images) * joint.curvature.view(-1, 1, 1, 1) / 2
    torch.testing.assert_close(found.double(), -log_joint.logsumexp(2).sum(), rtol=1e-5, atol=0)
    found.backward()
    moved = {name for name, value in gradients(joint).items() if value is not None and value.any()}
    assert moved == {f"tokenizer.encoder.{name}" for name, _ in joint.tokenizer.encoder.named_parameters()}
    # Towards the mean of the codes, by how near and how expected they are.
    mean = torch.einsum("bckhw,ckd->bcdhw", log_joint.softmax(2), joint.tokenizer.quantizer.codebook.double())
    pull = joint.curvature.view(-1, 1, 1, 1) * (latents.double().unflatten(1, (BOOKS, -1)) - mean)
    torch.testing.assert_close(latents.grad.double(), pull.flatten(1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("books", [1, BOOKS])
def test_the_loss_has_the_free_energy_at_its_weight(books: int) -> None:
    quantizer = EMAQuantizerConfig(dim=DIM, codebook_size=SIZE, start_from_data=False) if books == 1 else None
    images, losses = batch(), []
    for weight in (0.0, 1.0, 3.0):
        joint = make(quantizer=quantizer, books=books, choice_weight=0.0, loss_weight=weight).train()
        joint._observe = lambda *given: None
        joint.curvature.fill_(50)
        losses.append(float(joint(images).loss.detach()))
    joint = make(quantizer=quantizer, books=books)
    joint.curvature.fill_(50)
    with torch.no_grad():
        log_probs = joint.prior.log_probs(joint.tokenizer.encode(images)[0])
        # The codebook that chose the codes: running means have moved the other ones since.
        free_energy = joint._free_energy(joint.tokenizer.latents(images), joint.tokenizer.quantizer.codebook, log_probs)
        expected = float(free_energy) / images.x.numel()
    assert [loss - losses[0] for loss in losses] == pytest.approx([0, expected, 3 * expected], rel=1e-4) and expected > 0.1


def test_the_rate_decides_with_the_distance() -> None:
    joint, images = make(choice_weight=2.0).train(), batch()
    shares = torch.rand(BOOKS, SIZE, generator=torch.Generator().manual_seed(3)).square()
    joint.shares.copy_(shares / shares.sum(1, keepdim=True))
    joint.curvature.copy_(torch.tensor([4.0, 0.5]))
    price = 2 / joint.curvature.double()
    plain = distances(joint, images)
    total = plain - 2 * (price[:, None] * joint.shares.double().log())[..., None, None]
    assert torch.equal(chosen(joint, images), total.argmin(2))
    assert (plain.argmin(2) != total.argmin(2)).float().mean() > 0.1
    # Anew, because the codebook has moved: now with the rate that is stored.
    total = distances(joint, images) + joint.tokenizer.rate.double()[..., None, None]
    assert joint.tokenizer.rate.any()
    assert torch.equal(joint.eval().tokenizer.encode(images)[0], total.argmin(2))


def test_a_code_that_the_prior_never_expects_has_a_finite_rate() -> None:
    for weight in (0.0, 1.0):
        joint = make(choice_weight=weight).train()
        joint.shares[:, 0] = 0
        assert joint.rate.isfinite().all() and joint(batch()).loss.isfinite()
        assert joint.rate.amin() == 0, "large numbers that all codes share would cost digits"


def test_a_codebook_that_the_decoder_does_not_hear_has_a_rate_that_is_a_number() -> None:
    joint = make()
    joint.steps.fill_(10**6)
    joint.curvature.zero_()
    assert torch.isfinite(joint.price).all() and not joint.rate.isnan().any()


def test_the_curvature_is_the_second_derivative_towards_other_codes() -> None:
    """Decoders of ReLUs are linear piece by piece, so the second derivative of the categorical likelihood is exactly its information."""
    joint, images = make().double(), batch(1)
    for part in joint.tokenizer.quantizer.parts:
        part.codebook[..., 0] *= 4  # Codes differ in one channel more than in the others, as they do in trained models.
    vectors = torch.randn(1, DIM, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def slope(at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        nats = -joint.tokenizer.likelihood.log_prob(joint.tokenizer.decoder(at), images.x.expand(len(at), -1, -1, -1)).sum()
        return torch.autograd.grad(nats, at)[0]

    # One row for each book, code and place: the way from that place's vector to the code's.
    away = torch.zeros(BOOKS, SIZE, 16, BOOKS, DIM // BOOKS, 16, dtype=torch.float64)
    for book, place in itertools.product(range(BOOKS), range(16)):
        here = vectors.view(BOOKS, -1, 16)[book, :, place]
        away[book, :, place, book, :, place] = joint.tokenizer.quantizer.codebook[book].double() - here
    away, step = away.view(-1, DIM, 4, 4), 1e-6
    seconds = ((slope(vectors + step * away) - slope(vectors - step * away)) * away).sum((1, 2, 3)) / (2 * step)
    found, length = (value.view(BOOKS, -1).sum(1) for value in (seconds, away.square().sum((1, 2, 3))))
    torch.manual_seed(0)
    many = Batch(images.x.expand(64, -1, -1, -1))
    drawn = torch.stack([joint._curvature(many, vectors.expand(64, -1, -1, -1)) for _ in range(20)]).double()
    expected, error = found / length, 5 * drawn.std(0) / 20**0.5
    assert ((drawn.mean(0) - expected).abs() < error).all() and (error < 0.1 * expected).all()


def test_running_means_begin_as_plain_means_and_forget_later() -> None:
    joint, images = make(decay=0.5).train(), batch()
    seen: list[Tensor] = []
    log_probs = joint.prior.log_probs
    joint.prior.log_probs = lambda *given: (seen.append(log_probs(*given).detach()), log_probs(*given))[1]
    found = []
    for _ in range(3):
        joint(images)
        found.append(joint.shares.clone())
        for parameter in joint.prior.parameters():
            parameter.data.mul_(1.2)
    first, second, third = (part.exp().mean((0, 3, 4)) for part in seen)
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[1], (first + second) / 2)
    torch.testing.assert_close(found[2], ((first + second) / 2 + third) / 2)
    assert not torch.equal(joint.curvature, torch.ones(BOOKS))


def test_a_large_weight_makes_codes_cheaper() -> None:
    perplexity = {}
    for weight in (0.0, 30.0):
        joint, images = make(choice_weight=weight).train(), batch(16)
        optimizer = torch.optim.Adam(joint.parameters(), lr=1e-2)
        for step in range(25):
            torch.manual_seed(step)
            optimizer.zero_grad()
            objective = joint(images)
            objective.loss.backward()
            optimizer.step()
        perplexity[weight] = float(objective.metrics["perplexity"])
    assert perplexity[30.0] < 0.6 * perplexity[0.0]


def test_only_training_batches_with_gradients_anneal_and_the_state_keeps_the_place() -> None:
    joint, images = make(alone_steps=2, anneal_steps=3), batch()
    seen = [float(joint.train()(images).metrics["annealed"]) for _ in range(7)]
    assert seen == pytest.approx([0, 0, 0.25, 0.5, 0.75, 1, 1])
    before = {name: value.clone() for name, value in joint.state_dict().items()}
    with torch.no_grad():
        joint(images)
    joint.eval()(images)
    assert all(torch.equal(before[name], value) for name, value in joint.state_dict().items())
    other = make(alone_steps=4, anneal_steps=7)
    other.load_state_dict(joint.state_dict())
    assert float(other.annealed) == pytest.approx(0.5)
    assert float(make().annealed) == 1.0


@pytest.mark.parametrize("classes", [0, 2])
def test_in_evaluation_it_measures_the_bound_of_the_two_parts(classes: int) -> None:
    joint, images = make(classes=classes).eval(), batch()
    joint.tokenizer.rate.uniform_(generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        loss, metrics, _ = joint(images)
        condition = images.condition if classes else type(images.condition)()
        bound = joint.tokenizer.bound(images, lambda codes, given, mask: joint.prior.log_prob(codes, condition))
        uniform = joint.tokenizer.bound(images)
    dims = images.x.numel()
    assert float(metrics["nats_per_dim_learned"]) == pytest.approx(-float(bound.nats.sum()) / dims, rel=1e-5)
    cost = float((bound.log_likelihood - bound.nats).sum())
    assert float(metrics["nats_per_code"]) == pytest.approx(cost / (4 * BOOKS * 16), rel=1e-5)
    assert float(loss) == pytest.approx(float(metrics["nats_per_dim_learned"] + metrics["quantizer_loss"]), rel=1e-5)
    assert float(metrics["nats_per_dim"]) == pytest.approx(-float(uniform.nats.sum()) / dims, rel=1e-5)


def test_the_two_parts_are_an_ordinary_run(tmp_path: Path) -> None:
    joint, images = make().eval(), batch()
    joint.tokenizer.rate.uniform_(generator=torch.Generator().manual_seed(3))
    with only_writer(tmp_path):  # As the trainer does, so the parts go beside what it has left.
        storage.save(joint, tmp_path / "joint")
    save(Pipeline(joint.tokenizer, joint.prior), tmp_path)
    loaded = load(tmp_path)
    with torch.no_grad():
        expected = float(joint(images).metrics["nats_per_dim_learned"]) / math.log(2)
    assert float(loaded.bits_per_dim(images.x).mean()) == pytest.approx(expected, rel=1e-5)


@dataclass
class Stop:
    """A callback that ends the run after so many steps."""

    every: int

    def __call__(self, step: int, module: nn.Module, folder: Path) -> dict:
        if step == self.every:
            os.kill(os.getpid(), signal.SIGTERM)
        return {}


@pytest.mark.parametrize("changes", [{}, {"accumulate": 2, "average_decay": 0.0}], ids=["averaged", "accumulated"])
def test_a_run_that_was_stopped_ends_like_an_unbroken_one(tmp_path: Path, changes: dict) -> None:
    def contents(folder: Path) -> list[bytes]:
        paths = [*folder.glob("joint/*.safetensors"), *max(folder.glob("checkpoints/joint/step-*")).glob("*.safetensors")]
        return [path.read_bytes() for path in sorted(paths)]

    quantizer = ProductQuantizerConfig(dim=DIM, codebook_size=SIZE, num_codebooks=BOOKS, revive_after=3)
    config = tiny.settings(model=settings(quantizer=quantizer, alone_steps=2, anneal_steps=9), **changes)
    whole = tiny.trainer(tmp_path / "whole", config, stage="joint").run()
    with pytest.raises(Interrupted, match="after step 6"):
        tiny.trainer(tmp_path / "broken", config, stage="joint", callbacks=[Stop(5)]).run()
    tiny.trainer(tmp_path / "broken", config, stage="joint").run()
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole") and len(contents(tmp_path / "whole")) >= 3
    assert isinstance(whole, Joint) and int(whole.steps) == 12 * config.accumulate
    again = tiny.trainer(tmp_path / "whole", config, stage="joint").run()
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_it_is_stored_as_a_part_that_only_who_asks_for_it_gets(tmp_path: Path) -> None:
    joint = make()
    storage.save(joint, tmp_path / "joint")
    again = storage.load(tmp_path / "joint", [JointConfig])
    assert again.config == joint.config
    assert all(torch.equal(a, b) for a, b in zip(joint.state_dict().values(), again.state_dict().values(), strict=True))
    with pytest.raises(CheckpointError, match="JointConfig"):
        storage.load(tmp_path / "joint")


def test_a_finished_joint_run_can_be_trained_on(tmp_path: Path) -> None:
    first = tiny.trainer(tmp_path / "a", tiny.settings(model=settings(), steps=2), stage="joint").run()
    config = tiny.settings(model=settings(), steps=2, start_from=str(tmp_path / "a"))
    trainer = tiny.trainer(tmp_path / "b", config, stage="joint")
    trainer._begin()
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), trainer.module.state_dict().values(), strict=True))


def test_wrong_settings_are_refused() -> None:
    for changes in ({"choice_weight": -1.0}, {"loss_weight": -0.5}, {"alone_steps": -1}, {"anneal_steps": -1}, {"decay": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            settings(**changes)
    with pytest.raises(ConfigError, match="2 codebooks of 8 codes, the prior 1 of 8"):
        build(tiny.settings(model=settings(prior=PixelCNNConfig(codebook_size=SIZE, num_codebooks=1))))


def test_codebooks_that_share_no_channels_out_are_refused() -> None:
    """A latent has no distance to a code of a later codebook before the earlier ones have chosen theirs."""
    with pytest.raises(ConfigError, match="have their own channels, and ResidualQuantizer has none"):
        make(quantizer=ResidualQuantizerConfig(dim=DIM, codebook_size=SIZE, num_codebooks=BOOKS))
    with pytest.raises(ConfigError, match="FSQ has no codebook"):
        make(quantizer=FSQConfig(dim=3, levels=(2, 2, 2)), books=1)
