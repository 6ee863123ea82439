"""An adversary beside a model: whose loss moves whose parameters."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.models import own
from vqvae.data.base import Batch
from vqvae.likelihoods import Adversary, GaussianDensityConfig
from vqvae.likelihoods.adversary import deceived
from vqvae.models import VQVAE


class Critic(Adversary):
    """One convolution that tells what was made from data, and counts how often it was asked."""

    takes_masks = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.layer = nn.Conv1d(channels, 1, 3, padding=1)
        self.register_buffer("asked", torch.zeros((), dtype=torch.int64))

    @property
    def num_parameters(self) -> int:
        return self.channels

    def loss(self, parameters: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._sum(F.softplus(-self.layer(parameters)), mask)

    def own_loss(self, made: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        self.asked += 1
        each = F.softplus(self.layer(made)) + F.softplus(-self.layer(x))
        return self._sum(each, mask).mean()

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters

    @staticmethod
    def _sum(each: Tensor, mask: Tensor | None) -> Tensor:
        return (each if mask is None else each * mask.unsqueeze(1)).flatten(1).sum(1)


def make(weight: float = 0.7) -> VQVAE:
    torch.manual_seed(1)
    return own.plain(GaussianDensityConfig(channels=2).build(), further=[(weight, Critic(2))])


def moved(model: VQVAE) -> set[str]:
    """Which parameters have a gradient."""
    return {name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.any()}


ADVERSARY = {"further.0.layer.weight", "further.0.layer.bias"}


def test_the_loss_of_the_model_reaches_all_but_the_adversary() -> None:
    model = make()
    model(Batch(own.data(3, 2, 8))).loss.backward()
    assert moved(model) == {name for name, _ in model.named_parameters()} - ADVERSARY
    assert all(parameter.grad is None for parameter in model.further.parameters())


def test_the_loss_of_the_adversary_reaches_it_alone() -> None:
    model = make()
    objective = model(Batch(own.data(3, 2, 8)))
    objective.adversary.backward()
    assert moved(model) == ADVERSARY


def test_both_are_what_the_formulas_say() -> None:
    model, batch = make().eval(), Batch(own.data(3, 2, 8))
    objective, critic = model(batch), model.further[0]
    made = model.decode(model.encode(batch))
    plain = own.plain(GaussianDensityConfig(channels=2).build()).eval()
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("further")})
    term = critic.loss(made, batch.x).sum() / batch.x.numel()
    torch.testing.assert_close(objective.loss, plain(batch).loss + 0.7 * term)
    torch.testing.assert_close(objective.metrics["critic"], term.detach())
    torch.testing.assert_close(objective.adversary, critic.own_loss(made, batch.x))
    assert plain(batch).adversary is None


def test_deceiving_gives_the_gradient_to_what_was_made_and_changes_no_parameter() -> None:
    critic, made, x = Critic(2), own.data(3, 2, 8).requires_grad_(), own.data(3, 2, 8, seed=1)
    found = deceived(critic, made, x, None)
    assert torch.equal(found, critic.loss(made, x))
    (gradient,) = torch.autograd.grad(critic.loss(made, x).sum(), made)
    found.sum().backward()
    assert torch.equal(made.grad, gradient) and all(p.grad is None and p.requires_grad for p in critic.parameters())


def test_a_mask_leaves_out_what_it_hides() -> None:
    model, x = make(), own.data(2, 2, 8)
    mask = torch.arange(8) < torch.tensor([[8], [4]])
    other = torch.where(mask[:, None], x, torch.tensor(9.0))
    found, expected = (model.eval()(Batch(one, mask=mask)) for one in (other, x))
    torch.testing.assert_close(found.loss, expected.loss)
    assert model.takes_masks and torch.isfinite(found.adversary)


def test_two_of_a_kind_and_several_adversaries_add_up() -> None:
    torch.manual_seed(1)
    model = own.plain(GaussianDensityConfig(channels=2).build(), further=[(1.0, Critic(2)), (2.0, Critic(2))]).eval()
    batch = Batch(own.data(3, 2, 8))
    objective, made = model(batch), model.decode(model.encode(batch))
    torch.testing.assert_close(objective.adversary, sum(critic.own_loss(made, batch.x) for critic in model.further))
    for name, critic in zip(("critic", "critic_2"), model.further, strict=True):
        assert float(objective.metrics[name]) == pytest.approx(float(critic.loss(made, batch.x).sum().detach()) / 48, rel=1e-4)
