"""Codes of the frames that follow."""

import numpy as np
import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.generation.imagination import action_numbers, imagine_codes
from vqvae.priors import WorldPrior, WorldPriorConfig

NAMES = ("left", "right")


def prior() -> WorldPrior:
    torch.manual_seed(0)
    small = {"memory": 3, "reach": 1, "blocks": 1, "width": 4, "layers": 1, "hidden": 4, "output_hidden": 5}
    model = WorldPriorConfig(codebook_size=5, actions=2, **small).build().eval()
    with torch.no_grad():
        for weight in (*model.memory.moves.parameters(), model.tell.weight, model.logits_weight):
            weight.mul_(4)  # What an action does must show.
    return model


def test_actions_are_numbers_for_each_clip() -> None:
    assert action_numbers(["right", 0, "1"], NAMES, 2).tolist() == [[1, 0, 1]] * 2
    assert action_numbers(torch.tensor([[0, 1], [1, 1]]), NAMES, 2).tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("actions", [["up"], [2], [True], torch.tensor([[2]])])
def test_an_unknown_action_is_named_with_the_known_ones(actions: list[str | int] | torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="There is no action .*; the actions are left, right"):
        action_numbers(actions, NAMES, 1)


def test_a_tensor_of_another_shape_is_an_error() -> None:
    with pytest.raises(DataError, match="expected integers \\(clips, frames\\) for 2 clips"):
        action_numbers(torch.zeros(1, 3, dtype=torch.int64), NAMES, 2)


def test_frames_follow_the_known_ones() -> None:
    model = prior()
    known = torch.randint(0, 5, (3, 1, 2, 2, 3), generator=torch.Generator().manual_seed(1))
    actions = torch.zeros(3, 5, dtype=torch.int64)
    drawn = imagine_codes(model, known, 4, actions, seed=7)
    assert drawn.shape == (3, 1, 4, 2, 3) and 0 <= int(drawn.min()) <= int(drawn.max()) < 5
    assert imagine_codes(model, known[:1], 4, actions[:1], seed=7).equal(drawn[:1]), "a clip does not depend on the others"
    short = imagine_codes(model, known, 2, actions[:, :3], seed=7)
    assert short.shape[2] == 2
    assert not imagine_codes(model, known, 4, 1 - actions, seed=7).equal(drawn)


def test_actions_may_be_numpys_and_one_name_is_one_action() -> None:
    assert action_numbers(np.array([1, 0]), NAMES, 2).tolist() == [[1, 0]] * 2
    assert action_numbers(np.array([[1, 0], [0, 0]], np.uint8), NAMES, 2).tolist() == [[1, 0], [0, 0]]
    assert action_numbers("right", NAMES, 1).tolist() == [[1]]


def test_a_huge_number_is_no_action() -> None:
    with pytest.raises(ConfigError, match="There is no action"):
        action_numbers(["9" * 5000], NAMES, 1)
