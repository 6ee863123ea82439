"""The search on sizes that cross every block boundary."""

import pytest
import torch

from vqvae.quantizers import nearest as search


@pytest.mark.parametrize(
    ("rows", "codes"), [(1, 1), (5, 63), (7, 64), (3, 65), (2049, 128), (1030, 2048), (1500, 5000), (40, 4096), (0, 10)]
)
def test_equal_to_float64(rows: int, codes: int) -> None:
    generator = torch.Generator().manual_seed(rows + codes)
    z, e = torch.randn(rows, 6, generator=generator), torch.randn(codes, 6, generator=generator)
    distance = torch.cdist(z.double(), e.double())
    found = search.nearest(z, e)
    assert torch.equal(found.codes, distance.argmin(1))
    rate = 3 * torch.rand(codes, generator=generator)
    assert torch.equal(search.nearest(z, e, rate).codes, (distance.square() + rate.double()).argmin(1))


def test_the_scores_of_a_row_do_not_depend_on_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, shapes, product = torch.Generator().manual_seed(0), set(), torch.addmm
    z, e = torch.randn(search.ROWS + 1, 64, generator=generator), torch.randn(100, 64, generator=generator)
    monkeypatch.setattr(torch, "addmm", lambda bias, part, *rest, out: (shapes.add(part.shape), product(bias, part, *rest, out=out))[1])
    found, turned = search.nearest(z, e), search.nearest(z.roll(1, 0), e)
    assert torch.equal(found.scores, turned.scores.roll(-1)) and torch.equal(found.codes, turned.codes.roll(-1))
    assert shapes == {(search.ROWS, 64)}


@pytest.mark.parametrize("codes", [10, 64, 256, 3000])
def test_the_first_of_equal_codes_wins(codes: int) -> None:
    e = torch.zeros(codes, 4)
    e[:, 0] = torch.arange(codes) // 2  # every code twice
    z = e[torch.randperm(codes, generator=torch.Generator().manual_seed(0))]
    assert torch.equal(search.nearest(z, e).codes, 2 * z[:, 0].long())
    assert (search.nearest(z, torch.ones(codes, 4)).codes == 0).all()


@pytest.mark.parametrize("codes", [10, 256, 5000])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_of_bad_rows_are_not_finite(codes: int, value: float) -> None:
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    z[2, 1] = value
    finite = torch.isfinite(search.nearest(z, torch.randn(codes, 3)).scores)
    assert finite.tolist() == [True, True, False, True, True]


def test_never_holds_all_scores() -> None:
    """No allocation of the search comes near rows x codes floats."""
    rows, codes = 20_000, 4096
    z, e = torch.randn(rows, 4), torch.randn(codes, 4)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        search.nearest(z, e)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 0 < largest < 4 * rows * codes / 20
