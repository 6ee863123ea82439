"""Steps of Crafter's player, read from scrolling views."""

import pytest
import torch

from vqvae.errors import DataError
from vqvae.evaluation.video.position import ROWS, STEPS, VIEW, positions_right, steps_taken

WALK = [1, 1, 0, 3, 2, 4, 4, 0, 2, 2]


def walked(walk: list[int], cell: int = 7, size: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A view of a world of four textures that follows the player, whose cell is drawn over; and its positions."""
    generator = torch.Generator().manual_seed(seed)
    textures = torch.randint(0, 256, (4, 3, cell, cell), generator=generator)
    world = torch.randint(0, 4, (40, 40), generator=generator)
    place, places, frames = torch.tensor([20, 20]), [torch.tensor([20, 20])], []
    for step in [*walk, 0]:
        x, y = place.tolist()
        cells = world[y - ROWS // 2 : y + ROWS // 2 + 1, x - VIEW // 2 : x + VIEW // 2 + 1]
        drawn = textures[cells]
        drawn[ROWS // 2, VIEW // 2] = torch.randint(0, 256, (3, cell, cell), generator=generator)
        border = (size - VIEW * cell) // 2
        frame = torch.zeros(3, size, size, dtype=torch.uint8)
        picture = drawn.permute(2, 0, 3, 1, 4).reshape(3, ROWS * cell, VIEW * cell).to(torch.uint8)
        frame[:, border : border + ROWS * cell, border : border + VIEW * cell] = picture
        frames.append(frame)
        place = place + torch.tensor(STEPS[step])
        places.append(place)
    return torch.stack(frames, 1)[None], torch.stack(places[:-1])[None]


@pytest.mark.parametrize(("cell", "size"), [(7, 64), (8, 72), (9, 84), (1, 9)])
def test_each_step_is_found_at_any_size(cell: int, size: int) -> None:
    clips, places = walked(WALK, cell, size)
    assert steps_taken(clips)[0].tolist() == [list(STEPS[step]) for step in WALK]
    assert positions_right(clips, places).all()


def test_dusk_noise_and_creatures_do_not_mislead() -> None:
    clips, places = walked(WALK, seed=1)
    light = torch.linspace(1, 0.4, clips.shape[2]).view(1, 1, -1, 1, 1)
    noise = 15 * torch.randn(clips.shape, generator=torch.Generator().manual_seed(0))
    darker = (clips * light + noise).clamp(0, 255).to(torch.uint8)
    darker[:, :, ::2, 7:14, 14:21] = 255
    assert positions_right(darker, places).all()


def test_a_wrong_step_stays_wrong_until_it_is_made_good() -> None:
    clips, places = walked([1, 0, 0], seed=2)
    blocked = places.clone()
    blocked[:, 1:] = places[:, :1]
    assert not positions_right(clips, blocked).any()
    still = clips[:, :, :1].expand(-1, -1, 4, -1, -1)
    assert positions_right(still, blocked).all()


def test_frames_without_cells_are_refused() -> None:
    with pytest.raises(DataError, match="at least 9 x 9"):
        steps_taken(torch.zeros(1, 3, 2, 8, 64, dtype=torch.uint8))
    with pytest.raises(DataError, match="1 frames"):
        steps_taken(torch.zeros(1, 3, 1, 64, 64, dtype=torch.uint8))
