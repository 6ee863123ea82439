"""The one sampling loop, on a model whose probabilities are known."""

import inspect
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from vqvae import exact
from vqvae.errors import ConfigError, DataError
from vqvae.layers import autoregressive
from vqvae.layers.autoregressive import Choice, draw, sample

K = 5


class Table:
    """Each code depends on the one before it: logits (K + 1, K), the last row for the first code."""

    num_codebooks, codebook_size = 2, K

    def __init__(self, logits: Tensor | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.logits = torch.randn(K + 1, K, generator=generator) if logits is None else logits
        self.fed: list[Tensor | None] = []

    def start(self, batch_size: int, space: tuple[int, ...], condition: object = None, prefix: Tensor | None = None) -> SimpleNamespace:
        self.condition = condition
        return SimpleNamespace(position=0, device=torch.device("cpu"), batch_size=batch_size, can_fuse=False)

    def step(self, code: Tensor | None, state: SimpleNamespace) -> tuple[Tensor, SimpleNamespace]:
        self.fed.append(code)
        state.position += code is not None
        return self.logits[torch.full((state.batch_size,), K) if code is None else code], state


def uniforms(batch: int, draws: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, draws, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def frequencies(logits: Tensor, count: int = 40000, **choice: float) -> Tensor:
    """How often each code is drawn, from evenly spread uniform numbers: within 1/count of its probability."""
    u = (torch.arange(count, dtype=torch.float64)[:, None] + 0.5) / count
    return torch.bincount(draw(logits.expand(count, -1), u, Choice(**choice)), minlength=len(logits)) / count


def test_joint_frequencies_are_the_probabilities() -> None:
    count, model = 40000, Table()
    drawn = sample(model, count, (1,), uniforms=uniforms(count, 2))[:, :, 0]
    p = model.logits.softmax(1)
    for a, b in itertools.product(range(K), repeat=2):
        expected = float(p[K, a] * p[a, b])
        found = int(((drawn[:, 0] == a) & (drawn[:, 1] == b)).sum()) / count
        assert abs(found - expected) < 5 * math.sqrt(expected / count)


def test_raster_order_with_the_codebook_fastest() -> None:
    # Logits that count upwards: each code is the one before it plus one.
    logits = torch.full((K + 1, K), -math.inf)
    logits[torch.arange(K + 1), torch.tensor([1, 2, 3, 4, 0, 0])] = 0
    drawn = sample(Table(logits), 1, (2, 3))
    assert drawn.shape == (1, 2, 2, 3)
    assert drawn[0].permute(1, 2, 0).flatten().tolist() == [i % K for i in range(12)]


def test_codes_that_were_drawn_are_fed() -> None:
    model = Table()
    drawn = sample(model, 3, (4,), uniforms=uniforms(3, 8))
    assert model.fed[0] is None
    assert torch.equal(torch.stack([code for code in model.fed[1:] if code is not None], 1), drawn.transpose(1, 2).flatten(1)[:, :-1])


def test_the_condition_is_handed_on() -> None:
    model, condition = Table(), object()
    sample(model, 1, (1,), condition=condition)
    assert model.condition is condition


def test_the_same_numbers_give_the_same_codes() -> None:
    model = Table()
    first, second, other = (sample(model, 4, (6,), generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    numbers = torch.rand(4, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(sample(model, 4, (6,), uniforms=numbers), first)
    assert torch.equal(sample(model, 2, (6,), uniforms=numbers[:2]), first[:2])


def test_known_codes_stay_and_are_fed() -> None:
    model, prefix = Table(), torch.full((2, 2, 4), -1)
    prefix[:, 0, 1], prefix[1, :, 3] = 3, 2
    numbers = uniforms(2, 8)
    drawn = sample(model, 2, (4,), uniforms=numbers, prefix=prefix)
    assert torch.equal(drawn[prefix >= 0], prefix[prefix >= 0])
    p = model.logits.softmax(1).double().cumsum(1)
    # After the known code 3 the next one is drawn given it, with its own number.
    assert drawn[0, 1, 1] == int((p[3] <= numbers[0, 3]).sum())
    assert torch.equal(drawn[0, :, 0], sample(model, 2, (4,), uniforms=numbers)[0, :, 0])


def test_temperature_divides_logits() -> None:
    logits = Table().logits[0]
    torch.testing.assert_close(frequencies(logits, temperature=2.0), (logits / 2).softmax(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-5])
def test_cold_is_the_first_likeliest_code(temperature: float) -> None:
    logits = torch.tensor([[0.0, 1000.0, -1e30, 1000.0]])
    kinds = {int(draw(logits, torch.tensor([[u]], dtype=torch.float64), Choice(temperature))) for u in (0.0, 0.4)}
    assert kinds == {1}


def test_top_k_keeps_exactly_k() -> None:
    logits = torch.tensor([0.0, 2.0, 1.0, 2.0, 1.0])
    torch.testing.assert_close(frequencies(logits, top_k=1), torch.tensor([0, 1.0, 0, 0, 0]))
    kept = torch.tensor([-math.inf, 2, 1, 2, -math.inf]).softmax(0)
    torch.testing.assert_close(frequencies(logits, top_k=3), kept, rtol=0, atol=1e-4)
    torch.testing.assert_close(frequencies(logits, top_k=99), logits.softmax(0), rtol=0, atol=1e-4)


def test_nucleus_keeps_the_fewest_codes_that_hold_the_share() -> None:
    p = torch.tensor([0.1, 0.4, 0.2, 0.3])
    torch.testing.assert_close(frequencies(p.log(), top_p=0.01), torch.tensor([0, 1.0, 0, 0]))
    torch.testing.assert_close(frequencies(p.log(), top_p=0.6), torch.tensor([0, 4 / 7, 0, 3 / 7]), rtol=0, atol=1e-4)
    torch.testing.assert_close(frequencies(p.log(), top_p=0.8), torch.tensor([0, 4 / 9, 2 / 9, 3 / 9]), rtol=0, atol=1e-4)
    torch.testing.assert_close(frequencies(p.log(), top_p=1.0), p, rtol=0, atol=1e-4)
    # The share is one of what the k likeliest hold.
    torch.testing.assert_close(frequencies(p.log(), top_k=2, top_p=0.5), torch.tensor([0, 1.0, 0, 0]))


def test_codes_without_probability_are_never_drawn() -> None:
    logits = torch.tensor([[-math.inf, -200.0, 0.0, -math.inf, 0.0, -200.0, -math.inf]])
    for u in (0.0, 5e-324, 0.49, 0.51, 1 - 2**-24, 1 - 2**-53):
        numbers = torch.tensor([[u]], dtype=torch.float64).clamp(0, autoregressive._BELOW_ONE)
        assert int(draw(logits, numbers)) in (2, 4)


@pytest.mark.parametrize("size", [3, 512, 8192])
def test_numbers_close_to_one_stay_in_range(size: int) -> None:
    model = Table()
    model.logits, model.codebook_size = torch.zeros(K + 1, size), size
    numbers = torch.tensor([[0.0, 1.0], [1 - 2**-53, 1 - 2**-24]], dtype=torch.float64)
    model.step = lambda code, state: (torch.zeros(2, size), state)  # type: ignore[method-assign]
    assert sample(model, 2, (1,), uniforms=numbers)[:, :, 0].tolist() == [[0, size - 1], [size - 1, size - 1]]


@pytest.mark.parametrize("choice", [{"temperature": -0.1}, {"temperature": math.nan}, {"temperature": math.inf}])
@pytest.mark.parametrize("more", [{}, {"top_k": 2}])
def test_wrong_temperatures_are_errors(choice: dict, more: dict) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        sample(Table(), 1, (1,), **choice, **more)


@pytest.mark.parametrize("choice", [{"top_k": 0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.01}, {"top_p": math.nan}])
def test_wrong_choices_are_errors(choice: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(choice))):
        sample(Table(), 1, (1,), **choice)


def test_wrong_uniforms_are_errors() -> None:
    with pytest.raises(DataError, match=r"expected \(2, 6\)"):
        sample(Table(), 2, (3,), uniforms=uniforms(2, 3))


def test_asking_for_a_compiled_loop_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="compiled=True"):
        sample(Table(), 1, (1,), compiled=True)


class Elsewhere(Table):
    """A model on a device that holds no values, so that it must be told what was drawn."""

    def start(self, *args: object, **settings: object) -> SimpleNamespace:
        state = super().start(2, (3,))
        state.device = torch.device("meta")
        return state

    def step(self, code: Tensor | None, state: SimpleNamespace) -> tuple[Tensor, SimpleNamespace]:
        assert code is None or code.device == state.device
        return super().step(None if code is None else self.drawn[-1], state)


def test_codes_are_drawn_on_the_cpu_where_the_device_has_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sample(Table(), 2, (3,), uniforms=uniforms(2, 6))
    model = Elsewhere()
    model.drawn = []

    def recorded(logits: Tensor, uniform: Tensor, choice: Choice) -> Tensor:
        assert uniform.device == torch.device("cpu") and uniform.dtype == torch.float64
        model.drawn.append(draw(logits, uniform, choice))
        return model.drawn[-1]

    monkeypatch.setattr(autoregressive, "draw", recorded)
    monkeypatch.setattr(exact, "WITHOUT_FLOAT64", frozenset({"meta"}))
    found = sample(model, 2, (3,), uniforms=uniforms(2, 6))
    assert found.device == torch.device("meta") and found.shape == (2, 2, 3)
    assert torch.equal(torch.stack(model.drawn, 1).view(2, 3, 2).transpose(1, 2), expected)


def test_a_generator_where_there_is_no_float64_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "WITHOUT_FLOAT64", frozenset({"cpu"}))
    with pytest.raises(ConfigError, match="uniform numbers needs float64, which cpu does not have"):
        sample(Table(), 2, (3,), generator=torch.Generator())


@pytest.mark.parametrize("choice", [{"temperature": "hot"}, {"temperature": True}, {"temperature": 1j}, {"top_p": "all"}, {"top_p": False}])
def test_what_is_no_number_is_an_error(choice: dict) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(choice))} is .*; it must be a number"):
        inspect.unwrap(Choice.check)(Choice(**choice))
