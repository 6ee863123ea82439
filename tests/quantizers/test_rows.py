"""Latents to rows, and back."""

import pytest
import torch

from vqvae.quantizers.rows import count_entries, from_rows, to_rows


@pytest.mark.parametrize("space", [(), (7,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("masked", [False, True])
def test_rows_come_back_where_they_were(space: tuple[int, ...], masked: bool) -> None:
    latents = torch.randn(4, 6, *space).bfloat16()
    mask = (torch.arange(latents[:, 0].numel()) % 3 > 0).view(4, *space) if masked else None
    rows = to_rows(latents, mask)
    assert rows.dtype == torch.float32 and rows.shape == (latents[:, 0].numel() if mask is None else int(mask.sum()), 6)
    codes = torch.arange(1, 2 * len(rows) + 1).view(-1, 2)
    found = from_rows(latents, mask, codes, rows, torch.zeros(()))
    kept = torch.ones(4, *space, dtype=torch.bool) if mask is None else mask
    assert found.vectors.dtype == latents.dtype and torch.equal(found.vectors, latents * kept.unsqueeze(1))
    assert torch.equal(found.codes.movedim(1, -1)[kept], codes) and not found.codes.movedim(1, -1)[~kept].any()


def test_entries_are_those_that_count() -> None:
    assert count_entries(torch.zeros(5, 3), None) == 15
    assert count_entries(torch.zeros(0, 3), torch.zeros(2, 2, dtype=torch.bool)) == 1, "nothing is divided by 0"
