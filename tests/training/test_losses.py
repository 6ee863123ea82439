"""What a step minimises, and what stops it."""

import math
from pathlib import Path

import pytest
import torch

from tests.training import adversary, tiny
from vqvae.data.base import Objective
from vqvae.errors import ConfigError, VqvaeError
from vqvae.training import AdamConfig, Checkpoints
from vqvae.training.checkpoint import Learner
from vqvae.training.losses import check_adversary, check_finite, losses_of, total
from vqvae.training.optimizers import build_optimizers

FOUND = {"loss": 1.0, "adversary_loss": 2.0, "gradient_norm": 3.0, "adversary_gradient_norm": 4.0}


def objective(adversary_loss: torch.Tensor | None) -> Objective:
    return Objective(torch.tensor(1.0), {}, adversary_loss)


def test_both_losses_have_a_name_and_a_sum() -> None:
    alone, both = objective(None), objective(torch.tensor(2.0))
    assert losses_of(alone) == {"loss": 1.0} and total(alone) is alone.loss
    assert losses_of(both) == {"loss": 1.0, "adversary_loss": 2.0} and total(both) == 3.0


def test_an_adversary_and_its_loss_come_together() -> None:
    learners = []
    for config in (tiny.model(), adversary.model()):
        module = config.build()
        learners.append(Learner(module, build_optimizers(module, AdamConfig(), AdamConfig()), None))
    without, with_one = learners
    check_adversary(without, objective(None))
    check_adversary(with_one, objective(torch.tensor(1.0)))
    # The loss of an adversary that is frozen moves nothing.
    check_adversary(without, objective(torch.tensor(1.0)))
    with pytest.raises(ConfigError, match=r"VQVAE has an adversary.*Objective\(loss, metrics, adversary\)"):
        check_adversary(with_one, objective(None))
    with pytest.raises(ConfigError, match="none of its modules is an adversary"):
        check_adversary(without, objective(torch.ones((), requires_grad=True)))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", FOUND)
def test_what_is_not_finite_is_named_with_the_optimizer_that_may_mend_it(tmp_path: Path, name: str, value: float) -> None:
    check_finite(3, FOUND, Checkpoints(tmp_path, 1))
    with pytest.raises(VqvaeError) as caught:
        check_finite(3, {**FOUND, name: value}, Checkpoints(tmp_path, 1))
    loss, adversary_loss, norm, adversary_norm = {**FOUND, name: value}.values()
    said = f"At step 3 the loss is {loss} and the norm of its gradient {norm} and the loss of the adversary is {adversary_loss} and the "
    mending = "adversary_optimizer" if name.startswith("adversary") else "optimizer"
    assert str(caught.value).startswith(
        said + f"norm of its gradient {adversary_norm}; the step was not taken. There is no checkpoint yet."
    )
    assert f" Lower {mending}.learning_rate, set {mending}.clip_norm" in str(caught.value)


def test_the_checkpoint_that_a_run_can_go_on_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "step-000004").mkdir()
    with pytest.raises(VqvaeError, match="the loss is nan and the norm of its gradient 1.0; .*The last checkpoint is .*step-000004"):
        check_finite(5, {"loss": math.nan, "gradient_norm": 1.0}, Checkpoints(tmp_path, 1))
