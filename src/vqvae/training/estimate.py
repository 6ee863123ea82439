"""Estimates the training time on this machine from a few steps of a copy of the model."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from vqvae.data.base import Splits
from vqvae.training.checkpoint import Best
from vqvae.training.settings import TrainConfig

_SPARE = 0.05
"""Share of the time budget kept in reserve, for example for checkpoints."""
_AT_LEAST = 0.5
"""Smallest share of the time budget for training, even if scoring takes longer than the rest."""
EVALUATED = 1024
"""Largest number of held-out examples in an evaluation during training."""
MEMORISED = 0.02
"""Give advice if the held-out loss rises by more than this share of its lowest value."""


class Speed(NamedTuple):
    """Seconds per batch."""

    step: float
    """One training step."""
    forward: float
    """One batch without gradients, as in evaluation."""


class Plan(NamedTuple):
    """The work of a training besides its steps."""

    evaluate_every: int
    """Steps between evaluations. 0: evaluate only at the end."""
    evaluated: float
    """Batches per evaluation."""
    after: float
    """Batches without gradients after training, for codes and scores."""

    @classmethod
    def of(cls, config: TrainConfig, splits: Splits, *, coded: bool) -> "Plan":
        """The plan of a training. ``coded``: the training data is encoded after training."""
        train, held_out = (len(side) / config.batch_size for side in splits)
        return cls(config.evaluate_every, min(EVALUATED / config.batch_size, held_out), 3 * held_out + (train if coded else 0))

    def seconds(self, speed: Speed, steps: int) -> float:
        """The seconds for a number of steps, including evaluations and scores."""
        return steps * self._per_step(speed) + self._after(speed)

    def steps(self, speed: Speed, budget: float) -> int:
        """The number of steps that fit into a budget in seconds; at least 1."""
        left = max(budget * (1 - _SPARE) - self._after(speed), budget * _AT_LEAST)
        return max(1, int(left / self._per_step(speed)))

    def _per_step(self, speed: Speed) -> float:
        return speed.step + (self.evaluated * speed.forward / self.evaluate_every if self.evaluate_every else 0.0)

    def _after(self, speed: Speed) -> float:
        return (self.evaluated + self.after) * speed.forward


def measure(step: Callable[[int], object], forward: Callable[[int], object], seconds: float, most: int) -> Speed:
    """Time a batch. The first step, which is slower, does not count.

    Args:
        step: takes a training step, by its number.
        forward: runs a batch without gradients, by its number.
        seconds: how long to time steps. At least one is timed.
        most: the largest number of steps to time.
    """
    step(0)
    done, began = 0, time.perf_counter()
    while not done or (done < most and time.perf_counter() - began < seconds):
        done += 1
        step(done)
    taken = (time.perf_counter() - began) / done
    forward(0)
    began = time.perf_counter()
    forward(1)
    return Speed(max(taken, 1e-6), max(time.perf_counter() - began, 1e-6))


def introduction(module: nn.Module, device: torch.device, folder: Path) -> str:
    """A sentence with the number of parameters, the device and the run folder."""
    return f"{sum(parameter.numel() for parameter in module.parameters()):,} parameters on {device}; the run folder is {folder}."


def budgeted(config: TrainConfig, planned: int, steps: int, speed: Speed) -> str:
    """A sentence that says how many steps a time limit became."""
    if planned > steps:
        return f"{config.minutes:g} minutes would be {planned:,} steps. Only {steps:,} are taken: more would memorise this data."
    return f"{config.minutes:g} minutes are {steps:,} steps of {speed.step:.3g} s each."


def memorised(best: Best | None, loss: float) -> str:
    """Advice if the loss on held-out data has risen since the best evaluation; otherwise empty."""
    if best is None or loss - best.held_out_loss <= MEMORISED * abs(best.held_out_loss):
        return ""
    return (
        f"The held-out loss was lowest after {best.step:,} steps ({best.held_out_loss:.4g}). Now it is {loss:.4g}: the model has memorised "
        f"its training data. Train for fewer steps, such as --steps {best.step}, or on more data."
    )
