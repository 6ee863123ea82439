"""Ancestral sampling of codes from any model that predicts them one after another [VQVAE §3.3]."""

import math
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from numbers import Real
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor, nn

from vqvae.config import check_at_least, shown
from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.exact import check_float64, exact, exact_device
from vqvae.progress import tracked

ARGMAX_BELOW = 1e-6
"""Below this temperature the most likely code is taken. Dividing by so small a number could overflow and would not change the result."""
_BELOW_ONE = 1 - 2**-40
"""Upper limit of uniform numbers: their product with a float64 sum stays below the sum."""


@runtime_checkable
class State(Protocol):
    """The state of a decoding."""

    position: int
    """Number of codes processed, including those taken from the prefix at the start."""
    device: torch.device
    """Where the logits come from."""


@runtime_checkable
class Extensible(State, Protocol):
    """A state that continues where the last call stopped."""

    value: Tensor | None
    """The last code, until the next step processes it."""

    def upcoming(self, count: int) -> Tensor:
        """The next codes (batch, count): known codes, and -1 for codes to draw."""


@runtime_checkable
class Autoregressive(Protocol):
    """A model to sample from: codes in raster order, the codebooks of a position one after another."""

    num_codebooks: int
    codebook_size: int

    def start(self, batch_size: int, space: tuple[int, ...], condition: Any, prefix: Tensor | None = None) -> Any:
        """The state before the first code that is not taken from the prefix. Models without a condition give it a default."""

    def step(self, code: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        """Feed the previous code (None at first) and return the logits (batch, codebook_size) of the next."""


class Choice(NamedTuple):
    """How a code is chosen from its logits."""

    temperature: float = 1.0
    """Divides the logits. 0: take the most likely code, the first of equal ones."""
    top_k: int | None = None
    """Draw only from the k most likely codes."""
    top_p: float | None = None
    """Draw only from the most likely codes that together have this probability, after ``top_k``: nucleus sampling,
    https://arxiv.org/abs/1904.09751."""

    def check(self) -> None:
        """Raise ConfigError if a number is out of range."""
        for name, value in (("temperature", self.temperature), ("top_p", self.top_p)):
            if isinstance(value, bool) or not isinstance(value, Real | None):
                raise ConfigError(f"{name} is {shown(value)}; it must be a number.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature is {self.temperature}; it must be 0 or more.")
        check_at_least(1, "", top_k=self.top_k)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; it must be above 0 and at most 1 (or None for all codes).")


@torch.no_grad()
def sample(
    model: Autoregressive,
    batch_size: int,
    space: tuple[int, ...],
    *,
    uniforms: Float[Tensor, "batch draws"] | None = None,
    generator: torch.Generator | None = None,
    condition: Any = None,
    prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    compiled: bool | None = None,
) -> Int64[Tensor, "batch codebooks *space"]:
    """Draw codes by inverting their cumulative distribution: the same uniform numbers give the same codes.

    Args:
        model: the model that predicts the codes.
        batch_size: number of examples.
        space: length of each axis of space.
        uniforms: numbers in [0, 1), one for each code in raster order, codebook fastest. Those of known codes are not used.
        generator: draws the uniforms if none are given. Default: torch's own generator.
        condition: passed to ``model.start``.
        prefix: known codes, and -1 for codes to draw. Known codes are kept, and later codes depend on them.
        temperature, top_k, top_p: see ``Choice``.
        compiled: whether to use the model's compiled loop (``fused``). None: if possible (float32 on a CPU, with numba installed).
            True: always. False: never. The kernel draws each example alone, so the batch size and the number of cores have no effect.
            Both ways draw the same codes unless rounding decides.

    Raises:
        ConfigError: if temperature, top_k or top_p is out of range, ``compiled=True`` and there is no such loop, or the generator's
            device has no float64.
        DataError: if uniforms have the wrong shape, or ``model.start`` refuses its arguments.
        MissingExtraError: if ``compiled=True`` and numba is not installed.
    """
    choice = Choice(temperature, top_k, top_p)
    choice.check()
    draws = math.prod(space) * model.num_codebooks
    state = model.start(batch_size, space, prefix=prefix, **({} if condition is None else {"condition": condition}))
    if uniforms is None:
        source = torch.device("cpu") if generator is None else generator.device
        check_float64(source, "A generator of the uniform numbers")
        uniforms = torch.rand(batch_size, draws, generator=generator, dtype=torch.float64, device=source)
    check_uniforms(uniforms, (batch_size, draws))
    uniforms = to_draw_by(uniforms, state.device)
    fused = _fused(model, state, compiled)
    if fused is not None:
        codes = fused(state, uniforms, choice)
    else:
        codes = _loop(model, state, uniforms, _in_order(prefix, uniforms.device), choice, state.position)
    books = model.num_codebooks
    return codes.view(batch_size, math.prod(space), books).transpose(1, 2).reshape(batch_size, books, *space)


@torch.no_grad()
def watch(
    model: Autoregressive,
    space: tuple[int, ...],
    uniforms: Float[Tensor, "batch draws"],
    condition: Any = None,
    prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
    choice: Choice = Choice(),
) -> Iterator[tuple[int, Int64[Tensor, " batch"]]]:
    """``sample`` code by code: the number of each draw in raster order, codebook fastest, and its codes. Leading known codes are left out.

    Raises:
        ConfigError, DataError: see ``sample``.
    """
    choice.check()
    state = model.start(len(uniforms), space, prefix=prefix, **({} if condition is None else {"condition": condition}))
    check_uniforms(uniforms, (len(uniforms), math.prod(space) * model.num_codebooks))
    uniforms = to_draw_by(uniforms, state.device)
    yield from _steps(model, state, uniforms, _in_order(prefix, uniforms.device), choice, state.position)


@torch.no_grad()
def extend(
    model: Autoregressive,
    state: Extensible,
    uniforms: Float[Tensor, "batch draws"],
    choice: Choice = Choice(),
    *,
    compiled: bool | None = None,
) -> Int64[Tensor, "batch draws"]:
    """Draw the next codes from a state that can continue, one per uniform number. Several calls draw the same as one call.

    Raises:
        ConfigError, MissingExtraError: see ``sample``.
        DataError: if the state refuses its arguments.
    """
    choice.check()
    uniforms = to_draw_by(uniforms, state.device)
    fused = _fused(model, state, compiled)
    if fused is not None:
        return fused(state, uniforms, choice)
    codes = _loop(model, state, uniforms, state.upcoming(uniforms.shape[1]).to(uniforms.device), choice)
    if codes.shape[1]:
        state.value = codes[:, -1].clone()
    return codes


def draw_all(model: Any, state: Any, uniforms: Float[Tensor, "batch draws"], choice: Choice) -> Int64[Tensor, "batch draws"]:
    """Draw all codes of a fresh state with ``feed`` and ``logits``: in the compiled loop of the model if there is one."""
    fused = _fused(model, state, None)
    if fused is not None:
        return fused(state, uniforms, choice)
    drawn: list[Tensor] = []
    for position in range(uniforms.shape[1]):
        if drawn:
            state.feed(drawn[-1])
        drawn.append(draw(state.logits(), uniforms[:, position : position + 1], choice).to(state.device))
    return torch.stack(drawn, 1)


def draw(
    logits: Float[Tensor, "batch codebook_size"], uniform: Float[Tensor, "batch one"], choice: Choice = Choice()
) -> Int64[Tensor, " batch"]:
    """The first code whose cumulative probability exceeds the uniform number. A code with probability 0 is never drawn."""
    logits = logits.to(uniform.device)
    if choice.temperature < ARGMAX_BELOW:
        return logits.argmax(-1)
    if choice.temperature != 1:
        logits = logits / choice.temperature
    if choice.top_k is not None or choice.top_p is not None:
        logits = _likeliest(logits, choice)
    cumulative = logits.softmax(-1).cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True).squeeze(-1)


def check_uniforms(uniforms: Tensor, shape: tuple[int, int]) -> None:
    """Raise DataError unless there is one number for each code."""
    if tuple(uniforms.shape) != shape:
        raise DataError(f"uniforms has the shape {tuple(uniforms.shape)}; expected {shape}, one number per code.")


def to_draw_by(uniforms: Float[Tensor, "batch draws"], device: torch.device) -> Float[Tensor, "batch draws"]:
    """The numbers in float64: a float32 sum of 10,000 probabilities would shift the last codes. If the logits' device has no float64,
    codes are drawn on the CPU."""
    return uniforms.to(exact_device(device), torch.float64).clamp(0, _BELOW_ONE)


def _in_order(prefix: Tensor | None, device: torch.device) -> Tensor | None:
    """Known codes as they are drawn: (batch, draws), codebook fastest."""
    return None if prefix is None else prefix.to(device, torch.int64).flatten(2).transpose(1, 2).flatten(1)


def _loop(
    model: Autoregressive, state: Any, uniforms: Tensor, known: Tensor | None, choice: Choice, first: int = 0
) -> Int64[Tensor, "batch draws"]:
    """Draw one code after another, from the state's position on."""
    codes = uniforms.new_full(uniforms.shape, -1, dtype=torch.int64) if known is None else known.clone()
    count = uniforms.shape[1] - first
    for position, code in tracked(_steps(model, state, uniforms, known, choice, first), "sampling", count):
        codes[:, position] = code
    return codes.to(state.device)


def _steps(
    model: Autoregressive, state: Any, uniforms: Tensor, known: Tensor | None, choice: Choice, first: int
) -> Iterator[tuple[int, Tensor]]:
    """Draw one code after another, from the position ``first`` on: each position, and its code for every example."""
    code = None
    for position in range(first, uniforms.shape[1]):
        logits, state = model.step(None if code is None else code.to(state.device), state)
        code = draw(logits, uniforms[:, position : position + 1], choice)
        if known is not None:
            code = torch.where(known[:, position] >= 0, known[:, position], code)
        yield position, code


def _likeliest(logits: Float[Tensor, "batch codebook_size"], choice: Choice) -> Float[Tensor, "batch codebook_size"]:
    """The logits, with all but the most likely codes at minus infinity. Among equal codes the first are kept; at least one remains."""
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    if choice.top_k is not None:
        ranked[:, choice.top_k :] = -math.inf
    if choice.top_p is not None and choice.top_p < 1:
        p = exact(ranked.softmax(-1))
        ranked = ranked.masked_fill(p.cumsum(-1) - p >= choice.top_p, -math.inf)
    return torch.empty_like(logits).scatter_(-1, order, ranked)


def _fused(model: Any, state: Any, wanted: bool | None) -> Callable[[Any, Tensor, Choice], Tensor] | None:
    """The model's compiled loop, if it should be used. An error if it is required but unavailable."""
    if wanted is False:
        return None
    fused = getattr(model, "fused", None) if getattr(state, "can_fuse", False) else None
    if wanted and fused is None:
        raise ConfigError(f"compiled=True, but {type(model).__name__} has no compiled loop for this. They run in float32 on a CPU.")
    if wanted and not _has_numba():
        raise MissingExtraError("numba", "fast")
    return fused if wanted or _has_numba() else None


def draws_alone(model: Any) -> bool:
    """Whether ``sample`` draws each example separately, in the compiled kernel, so that batch size has no effect."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    on_cpu = weight is not None and weight.device.type == "cpu" and weight.dtype != torch.float64
    return on_cpu and hasattr(model, "fused") and _has_numba()


def _has_numba() -> bool:
    return find_spec("numba") is not None
