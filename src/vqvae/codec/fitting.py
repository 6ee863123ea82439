"""Makes an integer prior from training codes: a short training in floating point, then one conversion to integers."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.codec.context import Context, given_rows
from vqvae.codec.integer import (
    ACTIVATION,
    EXPONENTIAL,
    LARGEST_ACTIVATION,
    LOGIT,
    IntegerPrior,
    IntegerPriorConfig,
)
from vqvae.codec.integer_coder import PriorCoder
from vqvae.codec.static import StaticCoder, frequencies_of
from vqvae.codes import codes_that_count
from vqvae.config import settings
from vqvae.data.base import Batch, Dataset
from vqvae.data.loader import global_indices, in_order, spread_indices
from vqvae.exact import exact, exact_sum
from vqvae.layers.neighbours import start_from_neighbours
from vqvae.progress import tracked
from vqvae.seeding import generator

_LIMIT = LARGEST_ACTIVATION / 2**ACTIVATION
"""The largest activation in floating point."""
_UNKNOWN = 0.2
"""The share of training examples whose label and actions are hidden, so that codes without them can be coded too."""
_MOST_READ = 2**18
"""Codes that a training step may read."""
_FROM_ONE = 32
"""Positions of an example that a step uses, if there are enough examples."""
_MOST_SCORED = 2**16
"""Held-out codes that a coder is scored on."""
_WEIGHT, _EMBEDDED = 2**15 - 1, 2**11
"""The largest integers of matrices and embeddings."""


@settings
class FitConfig:
    """How the prior is trained, before it becomes integers."""

    positions: int = 1024
    """Positions of a step."""
    multiplications: int = 500
    """Multiplications of the forward pass over all steps, in billions: what a core does in a minute or two."""
    epochs: int = 8
    """How often a position is used at most."""
    learning_rate: float = 0.004
    """The largest learning rate of Adam."""
    matrix_rate: float = 0.02
    """The largest learning rate of Muon, for the two matrices between inputs and hidden units."""
    seed: int = 0
    """Decides on weights and examples."""


class Fitted(NamedTuple):
    """An integer prior and what it costs."""

    prior: IntegerPrior
    bits: float
    """Bits per held-out code."""
    bits_float: float
    """The same before the conversion to integers."""
    codes: int
    """Number of these codes."""


class Sampled(NamedTuple):
    """Positions of a data set with their context. Codes are 1 more than usual, and 0 is no code."""

    codes: Int64[Tensor, "positions codebooks"]
    near: Int64[Tensor, "positions neighbours codebooks"]
    above: tuple[Int64[Tensor, "positions window codebooks"], ...]
    given: Int64[Tensor, "positions given"]


class FloatPrior(nn.Module):
    """The network of ``IntegerPrior`` in floating point."""

    def __init__(self, config: IntegerPriorConfig, draws: torch.Generator) -> None:
        super().__init__()
        self.config = config
        books, codes, hidden, width = config.num_codebooks, config.codebook_size, config.hidden, config.width
        rows = sum(count * (size + 1) for count, size in zip(config.above_codebooks, config.above_sizes, strict=True))

        def normal(*shape: int, std: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=draws) * std)

        self.embedding, self.above = normal(books, codes + 1, width, std=0.5), normal(rows, width, std=0.5)
        self.context = normal(config.inputs, hidden, std=2 / math.sqrt(max(config.inputs, 1)))
        self.given = nn.Parameter(torch.zeros(given_rows(config.axes, config.classes, config.actions), hidden))
        self.earlier = normal(books, width, hidden, std=1 / math.sqrt(width))
        self.bias = nn.Parameter(torch.full((books, hidden), 0.1))
        self.middle = normal(hidden, hidden, std=math.sqrt(2 / hidden))
        self.middle_bias = nn.Parameter(torch.full((hidden,), 0.1))
        self.output = normal(books, hidden, codes, std=0.5 / math.sqrt(hidden))
        self.output_bias = nn.Parameter(torch.zeros(books, codes))

    def forward(self, seen: Sampled) -> Float[Tensor, "positions codebooks"]:
        """-log p of the code of each codebook, in nats."""
        near = sum(F.embedding(seen.near[..., book], table) for book, table in enumerate(self.embedding))
        inputs = [torch.as_tensor(near).flatten(1)] if seen.near.shape[1] else []
        first = 0
        for level, size in zip(seen.above, self.config.above_sizes, strict=True):
            books = level.shape[2]
            numbers = level + first + torch.arange(books) * (size + 1)
            inputs.append(F.embedding(numbers, self.above).sum(2).flatten(1))
            first += books * (size + 1)
        sums = F.embedding(seen.given, self.given).sum(1)
        if inputs:
            sums = sums + torch.cat(inputs, 1) @ self.context
        earlier, nats = torch.zeros(len(sums), self.config.width), []
        for book, code in enumerate(seen.codes.unbind(1)):
            hidden = (sums + earlier @ self.earlier[book] + self.bias[book]).clamp(0, _LIMIT)
            hidden = (hidden @ self.middle + self.middle_bias).clamp(0, _LIMIT)
            nats.append(F.cross_entropy(hidden @ self.output[book] + self.output_bias[book], code - 1, reduction="none"))
            earlier = earlier + F.embedding(code, self.embedding[book])
        return torch.stack(nats, 1)


def fit(train: Dataset, held_out: Dataset, config: IntegerPriorConfig, options: FitConfig = FitConfig()) -> Fitted:
    """Count the codes, train, and convert. The same data, settings and machine give the same integers.

    Args:
        train: codes of one level, with their conditions.
        held_out: other codes, for the cost.
        config: the codes and the network.
        options: how to train.
    """
    counts = np.zeros((config.num_codebooks, config.codebook_size), np.int64)
    for batch in in_order(train, 4096):
        for book, found in zip(counts, codes_that_count(batch.x, batch.mask), strict=True):
            book += np.bincount(found.numpy(), minlength=config.codebook_size)
    frequencies = torch.from_numpy(frequencies_of(counts)).int()
    network = _trained(train, int(counts[0].sum()), config, options) if config.hidden else None
    prior = config.build() if network is None else to_integers(network)
    prior.frequencies.copy_(frequencies)
    return _scored(prior, network, held_out)


def steps_of(config: IntegerPriorConfig, options: FitConfig, positions: int) -> int:
    """The number of training steps for so many positions of data."""
    books = config.num_codebooks * (config.hidden + config.width + config.codebook_size)
    each = (config.inputs + books) * config.hidden
    most = min(options.multiplications * 10**9 // each, options.epochs * positions)
    return max(most // options.positions, 1)


def sample(batch: Batch, config: IntegerPriorConfig, positions: int, draws: np.random.Generator, hide: float = 0.0) -> Sampled:
    """Draw positions of a batch, the same number from each example, without those that a mask leaves out.

    Args:
        batch: codes with their conditions.
        config: what the codes depend on.
        positions: number of positions to draw.
        draws: the source of random numbers.
        hide: the share of examples whose label and actions are taken as unknown.
    """
    space, above = tuple(batch.x.shape[2:]), batch.condition.codes if config.above_sizes else ()
    context = Context(space, [tuple(one.shape[2:]) for one in above], config.strides, config.classes, config.actions)
    label, actions = batch.condition.label if config.classes else None, batch.condition.actions if config.actions else None
    parts: list[list[np.ndarray]] = []
    for n, codes in enumerate(batch.x.numpy()):
        chosen = np.arange(context.count)
        if batch.mask is not None:
            chosen = chosen[batch.mask[n].flatten().numpy()]
        if len(chosen) > (each := max(positions // len(batch.x), 1)):
            chosen = draws.choice(chosen, each, replace=False)
        known = draws.random() >= hide
        padded, inside = context.own.fill(codes), context.inside(chosen)
        given = (
            int(label[n]) if label is not None and known else None,
            actions[n].numpy() if actions is not None and known else None,
        )
        maps = enumerate(zip(above, context.above, strict=True))
        seen = [map_.fill(one[n].numpy())[context.nearest(level, chosen)[:, None] + map_.offsets] for level, (one, map_) in maps]
        near = padded[inside[:, None] + context.own.offsets]
        parts.append([padded[inside], near, context.rows(chosen, *given), *seen])
    codes, near, given, *over = (torch.from_numpy(np.concatenate(one)) for one in zip(*parts, strict=True))
    return Sampled(codes, near, tuple(over), given)


def to_integers(network: FloatPrior) -> IntegerPrior:
    """Round all weights to integers, each matrix to a power of two as its unit."""
    config = network.config
    prior, tensors = config.build(), {name: exact(value.detach()) for name, value in network.named_parameters()}
    embedded = _unit(_EMBEDDED, tensors["embedding"], tensors["above"])
    first = _unit(_WEIGHT, tensors["context"], tensors["earlier"])
    middle, output = _unit(_WEIGHT, tensors["middle"]), _unit(_WEIGHT, tensors["output"])
    units = {
        **dict.fromkeys(("embedding", "above"), embedded),
        **dict.fromkeys(("context", "earlier"), first),
        **dict.fromkeys(("given", "bias"), embedded + first),
        "middle": middle,
        "middle_bias": ACTIVATION + middle,
        "output": output,
        "output_bias": ACTIVATION + output,
    }
    for name, unit in units.items():
        getattr(prior, name).copy_(torch.ldexp(tensors[name], torch.tensor(unit)).round())
    prior.shifts.copy_(torch.tensor([embedded + first - ACTIVATION, middle, ACTIVATION + output - LOGIT]))
    table = [max(round(2**EXPONENTIAL * math.exp(-below / 2**LOGIT)), 1) for below in range(len(prior.exponentials))]
    prior.exponentials.copy_(torch.tensor(table))
    return prior


def _trained(train: Dataset, positions: int, config: IntegerPriorConfig, options: FitConfig) -> FloatPrior:
    network = FloatPrior(config, generator(options.seed, "coder"))
    steps = steps_of(config, options, positions)
    with torch.no_grad():
        some = (train.batch(indices).x for indices in np.array_split(spread_indices(train, 2048), 32) if len(indices))
        start_from_neighbours(some, [network.embedding[:, 1:]], network.output, network.output_bias)
    matrices = [network.middle, *([network.context] if config.inputs else [])]
    others = [one for one in network.parameters() if one.numel() and not any(one is matrix for matrix in matrices)]
    optimizers = [
        torch.optim.Adam(others, lr=options.learning_rate, betas=(0.9, 0.98)),
        torch.optim.Muon(matrices, lr=options.matrix_rate, weight_decay=0.0),
    ]
    rates = [options.learning_rate, options.matrix_rate]
    for step, batch in enumerate(tracked(_batches(train, config, options, steps), "training the coder", steps)):
        share = min((step + 1) / 50, 1) * (0.02 + 0.98 * math.cos(math.pi / 2 * step / steps) ** 2)
        if not len(batch.codes):
            continue
        network.zero_grad(set_to_none=True)
        network(batch).mean().backward()
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * share
            optimizer.step()
    return network


def _scored(prior: IntegerPrior, network: FloatPrior | None, held_out: Dataset) -> Fitted:
    """Measure the cost of some held-out examples before and after the conversion."""
    coder = StaticCoder(prior.frequencies.numpy()) if network is None else PriorCoder(prior)
    bits, bits_float, count = 0.0, 0.0, 0
    examples = max(_MOST_SCORED // max(held_out.batch(np.arange(1)).x.numel(), 1), 1) if len(held_out) else 0
    for n in spread_indices(held_out, examples):
        batch = held_out.batch(np.array([n]))
        costs = coder.costs(batch.x[0], batch.condition)
        kept = costs if batch.mask is None else costs[:, batch.mask[0].numpy()]
        bits, count = bits + float(kept.sum()), count + kept.size
        if network is not None and kept.size:
            with torch.no_grad():
                seen = sample(batch, prior.config, costs.size, np.random.default_rng(0))
                bits_float += exact_sum(network(seen)) / math.log(2)
    bits /= max(count, 1)
    return Fitted(prior, bits, bits if network is None else bits_float / max(count, 1), count)


def _batches(train: Dataset, config: IntegerPriorConfig, options: FitConfig, steps: int) -> Iterator[Sampled]:
    """The positions of each step: a function of the seed and the step alone."""
    codes = train.batch(np.arange(1)).x.numel()
    examples = min(max(_MOST_READ // max(codes, 1), 1), max(options.positions // _FROM_ONE, 1), len(train))
    for step in range(steps):
        batch = train.batch(global_indices(options.seed, step, examples, len(train)))
        yield sample(batch, config, options.positions, np.random.default_rng([options.seed % 2**63, step]), _UNKNOWN)


def _unit(largest: int, *tensors: Tensor) -> int:
    """The exponent of the largest power of two that keeps the products of all numbers with it within a bound."""
    return math.floor(math.log2(largest / max(*(float(one.abs().max()) for one in tensors if one.numel()), 2.0**-20)))
