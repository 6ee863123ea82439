"""Animations in a page."""

import io

import pytest
import torch
from PIL import Image

from vqvae.errors import DataError
from vqvae.reports.loops import BORDER, MADE, REAL, animate, loop_row, marked


def test_borders_tell_real_frames_from_imagined_ones() -> None:
    frames = torch.full((3, 1, 4, 6), 7, dtype=torch.uint8)
    found = marked(frames, 2)
    assert found.shape == (3, 3, 4 + 2 * BORDER, 6 + 2 * BORDER)
    assert [tuple(frame[:, 0, 0].tolist()) for frame in found] == [REAL, REAL, MADE]
    assert (found[:, :, BORDER:-BORDER, BORDER:-BORDER] == 7).all()
    with pytest.raises(DataError):
        marked(torch.zeros(2, 2, 4, 4, dtype=torch.uint8), 1)


def test_a_loop_has_all_frames_without_loss() -> None:
    frames = torch.randint(0, 256, (5, 3, 8, 10), dtype=torch.uint8)
    loop = animate(frames)
    film = Image.open(io.BytesIO(loop.content))
    assert film.n_frames == 5 and (loop.width, loop.height) == film.size == (10, 8)
    film.seek(3)
    shown = torch.tensor(list(film.convert("RGB").tobytes()), dtype=torch.uint8).view(8, 10, 3)
    assert loop.suffix != ".webp" or torch.equal(shown.permute(2, 0, 1), frames[3])
    assert Image.open(io.BytesIO(loop.still)).size == (10, 8)


def test_a_page_stands_still_for_readers_who_ask_for_it_and_names_are_escaped() -> None:
    page = loop_row({"<b>left": animate(torch.zeros(2, 3, 4, 50, dtype=torch.uint8))}, 'What "follows".')
    assert "prefers-reduced-motion: reduce" in page and "data:image/png;base64," in page
    assert "<b>" not in page and "&lt;b&gt;left" in page and "&quot;follows&quot;" in page
    assert 'width="200" height="16"' in page
