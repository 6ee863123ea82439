"""A causal transformer: rotary positions by axis, attention within a window, and a cache for decoding."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

LONGEST = 1_000.0
"""Ratio of the slowest rotation's wavelength to that of the fastest, 2π positions."""


class Rotation(NamedTuple):
    """How far the pairs of channels of each position are turned: rotary embeddings, https://arxiv.org/abs/2104.09864."""

    cos: Float[Tensor, "batch one positions pairs"]
    sin: Float[Tensor, "batch one positions pairs"]

    @staticmethod
    def at(coordinates: Int[Tensor, "batch positions axes"], pairs: int, dtype: torch.dtype) -> "Rotation":
        """The rotation at a position. The axes take turns over the pairs, so that attention sees the distance along each axis."""
        axes, pair = coordinates.shape[-1], torch.arange(pairs, device=coordinates.device)
        slowness = LONGEST ** ((pair // axes).to(dtype) * axes / pairs)
        angles = (coordinates[..., pair % axes].to(dtype) / slowness).unsqueeze(1)
        return Rotation(angles.cos(), angles.sin())

    def turn(self, x: Float[Tensor, "batch heads positions channels"]) -> Float[Tensor, "batch heads positions channels"]:
        """Rotate queries or keys."""
        first, second = x.chunk(2, -1)
        return torch.cat([first * self.cos - second * self.sin, first * self.sin + second * self.cos], -1)


class Cache:
    """The keys and values of a layer at the last ``capacity`` positions, as a ring. Their order does not matter to attention."""

    def __init__(self, batch_size: int, heads: int, capacity: int, like: Float[Tensor, " dim"]) -> None:
        """Allocate the ring for the channels of ``like``, with its device and dtype."""
        shape = (batch_size, heads, capacity, len(like) // heads)
        self._keys, self._values, self._count = like.new_zeros(shape), like.new_zeros(shape), 0

    def put(self, keys: Float[Tensor, "batch heads positions channels"], values: Float[Tensor, "batch heads positions channels"]) -> None:
        """Store the next positions. The oldest ones make room."""
        capacity, new = self._keys.shape[2], keys.shape[2]
        if new == 1:
            slots = slice(self._count % capacity, self._count % capacity + 1)
        else:
            slots = torch.arange(self._count, self._count + new, device=keys.device)[-capacity:] % capacity
        self._keys[:, :, slots] = keys[:, :, -capacity:]
        self._values[:, :, slots] = values[:, :, -capacity:]
        self._count += new

    def held(self) -> tuple[Float[Tensor, "batch heads held channels"], Float[Tensor, "batch heads held channels"]]:
        """The stored keys and values."""
        held = min(self._count, self._keys.shape[2])
        return self._keys[:, :, :held], self._values[:, :, :held]


class Transformer(nn.Module):
    """Pre-norm blocks of causal attention and a gated MLP, and a last norm.

    x ─┬─ RMSNorm ─ attention ─ + ─┬─ RMSNorm ─ SwiGLU ─ + ─ ... ─ RMSNorm
       └───────────────────────────┘└───────────────────┘
    """

    def __init__(self, dim: int, depth: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.blocks = nn.ModuleList(_Block(dim, heads, dropout, depth) for _ in range(depth))
        self.norm = nn.RMSNorm(dim, eps=1e-6)

    def forward(
        self,
        x: Float[Tensor, "batch positions dim"],
        coordinates: Int[Tensor, "rows positions axes"],
        window: int = 0,
        caches: list[Cache] | None = None,
    ) -> Float[Tensor, "batch positions dim"]:
        """The features of each position, which depend on it and the positions before it.

        Args:
            x: the inputs.
            coordinates: the place of each position, for each example or (one row) for all.
            window: positions that a layer sees, the own one included. 0: all.
            caches: for each layer, the positions before these, to which these are added. Empty caches take any number of positions;
                then one at a time is possible. They decide what is seen, instead of the window.
        """
        rotation = Rotation.at(coordinates, self.dim // self.heads // 2, x.dtype)
        for i, block in enumerate(self.blocks):
            x = block(x, rotation, window, None if caches is None else caches[i])
        return self.norm(x)

    def caches(self, batch_size: int, capacity: int) -> list[Cache]:
        """Empty caches for at most ``capacity`` positions."""
        return [Cache(batch_size, self.heads, max(capacity, 1), self.norm.weight) for _ in self.blocks]


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float, depth: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.RMSNorm(dim, eps=1e-6), _Attention(dim, heads, depth)
        self.mlp_norm, self.mlp = nn.RMSNorm(dim, eps=1e-6), _SwiGLU(dim, depth)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch positions dim"], rotation: Rotation, window: int, cache: Cache | None
    ) -> Float[Tensor, "batch positions dim"]:
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation, window, cache))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = _linear(dim, 3 * dim), _linear(dim, dim, depth)

    def forward(
        self, x: Float[Tensor, "batch positions dim"], rotation: Rotation, window: int, cache: Cache | None
    ) -> Float[Tensor, "batch positions dim"]:
        queries, keys, values = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys = (rotation.turn(part).to(values.dtype) for part in (queries, keys))
        if cache is not None:
            cache.put(keys, values)
        if cache is not None and x.shape[1] == 1:
            mixed = F.scaled_dot_product_attention(queries, *cache.held())
        else:
            mixed = causal_attention(queries, keys, values, window)
        return self.out(mixed.transpose(1, 2).flatten(2))


class _SwiGLU(nn.Module):
    """https://arxiv.org/abs/2002.05202, with as many weights as an MLP with four times the channels."""

    def __init__(self, dim: int, depth: int) -> None:
        super().__init__()
        hidden = -(-8 * dim // 3)
        self.up, self.down = _linear(dim, 2 * hidden), _linear(hidden, dim, depth)

    def forward(self, x: Float[Tensor, "batch positions dim"]) -> Float[Tensor, "batch positions dim"]:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


def causal_attention(
    queries: Float[Tensor, "batch heads positions channels"],
    keys: Float[Tensor, "batch heads positions channels"],
    values: Float[Tensor, "batch heads positions channels"],
    window: int = 0,
) -> Float[Tensor, "batch heads positions channels"]:
    """Attention of each position to the last ``window`` positions, its own included; 0: to all. Memory grows with positions · window:
    blocks of ``window`` positions each attend to themselves and to the block before."""
    batch, _, length, _ = queries.shape
    if not window or length <= window:
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    blocks = -(-length // window)
    q, k, v = (
        F.pad(part, (0, 0, 0, blocks * window - length)).unflatten(2, (blocks, window)).transpose(1, 2) for part in (queries, keys, values)
    )
    first = F.scaled_dot_product_attention(q[:, 0], k[:, 0], v[:, 0], is_causal=True)
    near_keys, near_values = (torch.cat([part[:, :-1], part[:, 1:]], 3).flatten(0, 1) for part in (k, v))
    rest = F.scaled_dot_product_attention(q[:, 1:].flatten(0, 1), near_keys, near_values, attn_mask=_band(window, q.device))
    mixed = torch.cat([first.unsqueeze(1), rest.unflatten(0, (batch, blocks - 1))], 1)
    return mixed.transpose(1, 2).flatten(2, 3)[:, :, :length]


def _band(window: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
    """What the positions of a block see of the block before and of their own."""
    query, key = torch.arange(window, device=device)[:, None], torch.arange(2 * window, device=device)
    return (query < key) & (key <= query + window)


def _linear(inputs: int, outputs: int, depth: int = 0) -> nn.Linear:
    """A linear layer that keeps the variance. One that adds to the sum of ``depth`` blocks starts smaller."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=(inputs * max(2 * depth, 1)) ** -0.5)
    return layer
