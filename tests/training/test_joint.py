"""Joint training of a tokenizer and a prior: what reaches which, at what price."""

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
from vqvae.quantizers import ProductQuantizerConfig, QuantizerConfig
from vqvae.training import AdamConfig, Interrupted, Joint, JointConfig, build

BOOKS, SIZE, DIM = 2, 8, 4


def settings(quantizer: QuantizerConfig | None = None, classes: int = 0, **changes: object) -> JointConfig:
    network = {"widths": (8,), "residual_blocks": 1, "residual_hidden": 4}
    product = ProductQuantizerConfig(dim=DIM, codebook_size=SIZE, num_codebooks=BOOKS, start_from_data=False)
    tokenizer = VQVAEConfig(
        quantizer=quantizer or product,
        likelihood=CategoricalConfig(channels=3),
        encoder=ImageEncoderConfig(**network),
        decoder=ImageDecoderConfig(**network),
    )
    prior = PixelCNNConfig(codebook_size=SIZE, num_codebooks=BOOKS, layers=2, hidden=8, kernel=3, output_hidden=8, classes=classes)
    return JointConfig(**{"tokenizer": tokenizer, "prior": prior, "weight": 1.0, "anneal_steps": 0, **changes})


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
    joint, alone = make(weight=0.0, quantizer=quantizer).train(), make(quantizer=quantizer).tokenizer.train()
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


def test_the_trainer_trains_it_as_it_trains_the_tokenizer_alone(tmp_path: Path) -> None:
    """To the last bit, codebooks started by k-means included: the prior draws nothing, and its weights are drawn after."""
    quantizer = ProductQuantizerConfig(dim=DIM, codebook_size=SIZE, num_codebooks=BOOKS, revive_after=3)
    config = settings(quantizer=quantizer, weight=0.0)
    optimizer = AdamConfig(learning_rate=1e-2)
    joint = tiny.trainer(tmp_path / "a", tiny.settings(model=config, optimizer=optimizer, steps=5), stage="joint").run()
    alone = tiny.trainer(tmp_path / "b", tiny.settings(model=config.tokenizer, optimizer=optimizer, steps=5)).run()
    assert isinstance(joint, Joint) and isinstance(alone, VQVAE)
    state = joint.tokenizer.state_dict()
    assert all(torch.equal(state[name], value) for name, value in alone.state_dict().items())


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_prior_learns_from_its_own_cross_entropy_alone(weight: float) -> None:
    joint, images = make(weight=weight).train(), batch()
    codes = chosen(joint, images)
    joint = make(weight=weight).train()
    joint(images).loss.backward()
    twin = make().prior
    (-twin.log_prob(codes).sum() / images.x.numel()).backward()
    found, expected = gradients(joint.prior), gradients(twin)
    assert all(value is not None and value.any() for value in expected.values())
    for name, value in expected.items():
        # The same sums, taken by gather instead of by cross_entropy.
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}")


def test_the_expected_cost_is_that_of_codes_drawn_by_nearness_and_moves_the_encoder_alone() -> None:
    joint, images = make().train(), batch()
    joint.curvature.copy_(torch.tensor([3.0, 0.5]))
    costs = torch.rand(4, BOOKS, SIZE, 4, 4, generator=torch.Generator().manual_seed(2), requires_grad=True)
    found = joint._expected_cost(joint.tokenizer.latents(images), costs.detach())
    nats = distances(joint, images) * joint.curvature.view(-1, 1, 1, 1) / 2
    expected = ((-nats).softmax(2) * costs).sum()
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-5, atol=0)
    found.backward()
    moved = {name for name, value in gradients(joint).items() if value is not None and value.any()}
    assert moved == {f"tokenizer.encoder.{name}" for name, _ in joint.tokenizer.encoder.named_parameters()}


def test_the_loss_has_the_expected_cost_at_its_weight() -> None:
    images, losses = batch(), []
    for weight in (0.0, 1.0, 3.0):
        joint = make(weight=weight).train()
        # Equal shares: the rate is the same for all codes, and so the choices are those without it.
        losses.append(float(joint(images).loss.detach()))
    assert losses[1] - losses[0] > 0.01
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)


def test_the_rate_decides_with_the_distance() -> None:
    joint, images = make(weight=2.0).train(), batch()
    shares = torch.rand(BOOKS, SIZE, generator=torch.Generator().manual_seed(3)).square()
    joint.shares.copy_(shares / shares.sum(1, keepdim=True))
    joint.curvature.copy_(torch.tensor([4.0, 0.5]))
    price = 2 / joint.curvature.double()
    plain = distances(joint, images)
    total = plain - 2 * (price[:, None] * joint.shares.double().log())[..., None, None]
    assert torch.equal(chosen(joint, images), total.argmin(2))
    assert (plain.argmin(2) != total.argmin(2)).float().mean() > 0.1
    nearest = distances(joint.eval(), images).argmin(2)  # Anew: the codebook has moved.
    assert torch.equal(chosen(joint, images), nearest), "what the tokenizer gives by itself"


def test_a_code_that_the_prior_never_expects_has_a_finite_rate() -> None:
    joint = make(weight=0.0).train()
    joint.shares[:, 0] = 0
    assert joint.rate.isfinite().all() and joint(batch()).loss.isfinite()
    assert joint.rate.amin() == 0, "large numbers that all codes share would cost digits"


def test_a_codebook_that_the_decoder_does_not_hear_has_a_rate_that_is_a_number() -> None:
    joint = make()
    joint.steps.fill_(10**6)
    joint.curvature.zero_()
    assert torch.isfinite(joint.price).all() and not joint.rate.isnan().any()


def test_the_curvature_is_the_second_derivative() -> None:
    """Decoders of ReLUs are linear piece by piece, so the second derivative of the categorical likelihood is exactly its information."""
    joint, images = make().double(), batch(1)
    vectors = torch.randn(1, DIM, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def slope(at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        nats = -joint.tokenizer.likelihood.log_prob(joint.tokenizer.decoder(at), images.x).sum()
        return torch.autograd.grad(nats, at)[0]

    step = 1e-6
    seconds = torch.zeros(vectors.numel(), dtype=torch.float64)
    for i in range(vectors.numel()):
        moved = torch.zeros_like(vectors).view(-1)
        moved[i] = step
        seconds[i] = (slope(vectors + moved.view_as(vectors)) - slope(vectors - moved.view_as(vectors))).view(-1)[i] / (2 * step)
    expected = seconds.view(BOOKS, -1).mean(1)
    torch.manual_seed(0)
    found = torch.stack([joint._curvature(images, vectors) for _ in range(200)]).double()
    error = 5 * found.std(0) / 200**0.5
    assert ((found.mean(0) - expected).abs() < error).all() and (error < 0.2 * expected).all()


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
        joint, images = make(weight=weight).train(), batch(16)
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
    joint, images = make(weight=2.0, anneal_steps=4), batch()
    seen = [float(joint.train()(images).metrics["weight"]) for _ in range(6)]
    assert seen == pytest.approx([0, 0.5, 1, 1.5, 2, 2])
    before = {name: value.clone() for name, value in joint.state_dict().items()}
    with torch.no_grad():
        joint(images)
    joint.eval()(images)
    assert all(torch.equal(before[name], value) for name, value in joint.state_dict().items())
    other = make(weight=2.0, anneal_steps=12)
    other.load_state_dict(joint.state_dict())
    assert float(other.weight) == pytest.approx(1.0)
    assert float(make(anneal_steps=0).weight) == 1.0


@pytest.mark.parametrize("classes", [0, 2])
def test_in_evaluation_it_measures_the_bound_of_the_two_parts(classes: int) -> None:
    joint, images = make(classes=classes).eval(), batch()
    joint.shares[:, 0] = 0.9
    with torch.no_grad():
        loss, metrics = joint(images)
        condition = images.condition if classes else type(images.condition)()
        bound = joint.tokenizer.bound(images, lambda codes: joint.prior.log_prob(codes, condition))
        uniform = joint.tokenizer.bound(images)
    dims = images.x.numel()
    assert float(metrics["nats_per_dim_learned"]) == pytest.approx(-float(bound.nats.sum()) / dims, rel=1e-5)
    cost = float((bound.log_likelihood - bound.nats).sum())
    assert float(metrics["nats_per_code"]) == pytest.approx(cost / (4 * BOOKS * 16), rel=1e-5)
    assert float(loss) == pytest.approx(float(metrics["nats_per_dim_learned"] + metrics["quantizer_loss"]), rel=1e-5)
    assert float(metrics["nats_per_dim"]) == pytest.approx(-float(uniform.nats.sum()) / dims, rel=1e-5)


def test_the_two_parts_are_an_ordinary_run(tmp_path: Path) -> None:
    joint, images = make().eval(), batch()
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
    config = tiny.settings(model=settings(quantizer=quantizer, anneal_steps=9), **changes)
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
    again = storage.load(tmp_path / "joint", JointConfig)
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
    for changes in ({"weight": -1.0}, {"anneal_steps": -1}, {"decay": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            settings(**changes)
    with pytest.raises(ConfigError, match="2 codebooks of 8 codes, the prior 1 of 8"):
        build(tiny.settings(model=settings(prior=PixelCNNConfig(codebook_size=SIZE, num_codebooks=1))))
