"""How long a training takes: from a measurement to steps and words."""

from pathlib import Path

import torch
from torch import nn

from vqvae.training.checkpoint import Best
from vqvae.training.estimate import Plan, Speed, introduction, measure, memorised


def test_steps_fit_the_budget_with_evaluations_and_what_follows() -> None:
    speed, plan = Speed(0.5, 0.1), Plan(100, 10, 50)
    steps = plan.steps(speed, 600)
    assert 0.9 * 600 < plan.seconds(speed, steps) < 600
    assert plan.steps(speed, 0.001) == 1
    assert Plan(0, 10, 1e6).steps(speed, 600) == 600, "half of the budget is the training's at least"


def test_steps_are_counted_after_a_first_one() -> None:
    taken: list[int] = []
    looked: list[int] = []
    speed = measure(taken.append, looked.append, 100.0, most=3)
    assert (taken, looked) == ([0, 1, 2, 3], [0, 1])
    assert speed.step > 0 and speed.forward > 0


def test_the_start_says_what_is_trained_and_where() -> None:
    words = introduction(nn.Linear(999, 2), torch.device("cpu"), Path("runs/photos"))
    assert words == "2,000 parameters on cpu; the run folder is runs/photos."


def test_a_rise_of_the_held_out_loss_is_said() -> None:
    assert memorised(Best(350, 4.0), 4.05) == ""
    assert memorised(Best(350, -4.0), -3.95) == ""
    assert "lowest after 350 steps (4). Now it is 5" in memorised(Best(350, 4.0), 5.0)
    assert "--steps 350" in memorised(Best(350, -4.0), -3.0)
