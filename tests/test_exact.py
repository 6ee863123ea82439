"""Float64 for what is on a device that has none."""

import pytest
import torch
from torch import Tensor

from vqvae import exact as exact_module
from vqvae.errors import ConfigError
from vqvae.exact import check_float64, exact, exact_device, exact_sum


class OnMPS(Tensor):
    """A tensor that says it is on an MPS device, and refuses float64 as there."""

    @property
    def device(self) -> torch.device:
        return torch.device("mps")

    def double(self) -> Tensor:
        raise TypeError("Cannot convert a MPS Tensor to float64")

    def to(self, *args: object) -> Tensor:
        assert args == (torch.device("cpu"),)
        return self.as_subclass(Tensor)


def test_what_has_no_float64_is_moved_first() -> None:
    numbers = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    found = exact(numbers.as_subclass(OnMPS))
    assert found.dtype == torch.float64 and type(found) is Tensor and torch.equal(found, numbers.double())
    assert exact_sum(numbers.as_subclass(OnMPS)) == exact_sum(numbers) == float(numbers.double().sum())
    assert exact_device(torch.device("mps")) == torch.device("cpu")


def test_what_has_float64_stays_where_it_is() -> None:
    assert exact_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert exact(torch.ones(2, dtype=torch.bool)).tolist() == [1.0, 1.0]


def test_sums_have_more_than_seven_digits() -> None:
    assert exact_sum(torch.tensor([2.0**24, 1.0])) == 2**24 + 1


def test_what_cannot_be_moved_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    check_float64(torch.device("cpu"), "A sum")
    with pytest.raises(ConfigError, match="A sum needs float64, which mps does not have. Use the CPU or CUDA"):
        check_float64(torch.device("mps"), "A sum")
    monkeypatch.setattr(exact_module, "WITHOUT_FLOAT64", frozenset())
    check_float64(torch.device("mps"), "A sum")
