"""The losses that a step minimises, and the checks before the step."""

import math
from collections.abc import Mapping

from torch import Tensor

from vqvae.data.base import Objective
from vqvae.errors import ConfigError, VqvaeError
from vqvae.training.checkpoint import Checkpoints, Learner

LOSS, ADVERSARY_LOSS = "loss", "adversary_loss"
NORMS = ("gradient_norm", "adversary_gradient_norm")
"""The names of gradient norms in the log, in the order of a learner's optimizers."""
_WORDS = {
    LOSS: "the loss is",
    NORMS[0]: "the norm of its gradient",
    ADVERSARY_LOSS: "the loss of the adversary is",
    NORMS[1]: "the norm of its gradient",
}


def losses_of(objective: Objective) -> dict[str, Tensor]:
    """The losses of an objective, by their names in the log."""
    return {LOSS: objective.loss} if objective.adversary is None else {LOSS: objective.loss, ADVERSARY_LOSS: objective.adversary}


def total(objective: Objective) -> Tensor:
    """The sum of both losses, for one backward pass. The first does not train the adversary; the second does not train the model."""
    return objective.loss if objective.adversary is None else objective.loss + objective.adversary


def check_adversary(learner: Learner, objective: Objective) -> None:
    """Raise ConfigError if an adversary has no loss, or an adversary's loss has no adversary."""
    kind, known = type(learner.module).__name__, len(learner.optimizers) > 1
    if objective.adversary is None and known:
        raise ConfigError(
            f"{kind} has an adversary, but its objective has no loss for it. Return one: Objective(loss, metrics, adversary)."
        )
    if objective.adversary is not None and objective.adversary.requires_grad and not known:
        raise ConfigError(
            f"The objective of {kind} has a loss for an adversary, but none of its modules is an adversary. Make "
            "one a vqvae.likelihoods.Adversary, or omit the loss."
        )


def check_finite(step: int, found: Mapping[str, float], checkpoints: Checkpoints) -> None:
    """Raise VqvaeError if a loss or a gradient norm is NaN or infinite.

    Args:
        step: the number of the step.
        found: losses and norms, by their names in the log.
        checkpoints: the checkpoints from which the run can continue.
    """
    wrong = [name for name, value in found.items() if not math.isfinite(value)]
    if not wrong:
        return
    steps = checkpoints.steps()
    kept = f"The last checkpoint is {checkpoints.path(steps[-1])}." if steps else "There is no checkpoint yet."
    said = " and ".join(f"{words} {found[name]}" for name, words in _WORDS.items() if name in found)
    at = "adversary_optimizer" if all(name in (ADVERSARY_LOSS, NORMS[1]) for name in wrong) else "optimizer"
    raise VqvaeError(
        f"At step {step} {said}; the step was not taken. {kept} "
        f"Lower {at}.learning_rate, set {at}.clip_norm, or train with precision float32."
    )
