"""WaveNet predicts each value of a sequence from all values before it: https://arxiv.org/abs/1609.03499."""

import copy
import math
from typing import Any

import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import check_at_least
from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.layers.autoregressive import Choice
from vqvae.layers.dilated import dilated_gates
from vqvae.layers.wavenet_decoding import Int8Weights, PackedWaveNet, WaveNetState, check_bias, to_int8

LONGEST_CYCLE = 32
_WAVES, _SMOOTH = 64, 4
"""Number of cosines in the initial weights of levels, and the index from which they get weaker."""
_RELU, _SMALL = 2**0.5, 3**-0.5
"""Gains of initial weights: before a ReLU, which halves the mean square; and for outputs that should start small."""


class WaveNet(nn.Module):
    """p(values) = Π p(value | all values before it), given a bias for each gate.

    values ─ shift by one ─ embedding ─ dilated layers ─ gates of all layers ─ 1×1 ─ ReLU ─ 1×1 ─ ReLU ─ 1×1 ─ logits

    The dilations of the layers are 1, 2, 4, ... 2^(cycle − 1), repeated [arXiv 1609.03499 §2.1]. The first value has no input.
    If several codebooks take turns in the sequence, each has its own embeddings, so the network knows whose turn is next.

    Differs from the paper: all skip connections are one product at the end, and the last layer has no residual connection, which would
    not be used. Conditions enter as a bias that is constant over blocks of time, so they add no cost per value.
    """

    def __init__(
        self,
        *,
        codebook_size: int,
        num_codebooks: int = 1,
        layers: int = 30,
        cycle: int = 10,
        residual: int = 64,
        skip: int = 128,
        output_hidden: int = 128,
        dropout: float = 0.0,
        ordered: bool = False,
    ) -> None:
        """Make a network with initial weights.

        Args:
            ordered: values are levels of a scale, such as those of a wave. Neighbouring levels start with similar embeddings.
        """
        super().__init__()
        self.codebook_size, self.num_codebooks, self.dropout = codebook_size, num_codebooks, dropout
        if cycle > LONGEST_CYCLE:
            raise ConfigError(f"cycle is {cycle}; it must be at most {LONGEST_CYCLE}: dilations grow as 2^cycle.")
        # All matrices are (inputs, outputs).
        self.embedding = nn.Parameter(_levels(codebook_size, residual) if ordered else torch.randn(num_codebooks * codebook_size, residual))
        self.pairs, self.pairs_bias = _linear(layers, 2 * residual, 2 * residual)
        # After a parameter of as many layers: if an untrusted configuration asks for too many, loading stops there.
        self.dilations = tuple(2 ** (i % cycle) for i in range(layers))
        self.residual, _ = _linear(layers - 1, residual, residual, gain=_SMALL)
        self.skip, self.skip_bias = _linear(layers * residual, skip, gain=_RELU)
        self.hidden, self.hidden_bias = _linear(skip, output_hidden, gain=_RELU)
        # Small, so that all values begin about equally likely.
        self.logits, self.logits_bias = _linear(output_hidden, codebook_size, gain=_SMALL)
        if ordered:
            self.logits.data = _levels(codebook_size, output_hidden).t() * (_SMALL / output_hidden**0.5)

    @property
    def receptive_field(self) -> int:
        """Number of previous values that affect a prediction."""
        return sum(self.dilations) + 1

    def forward(
        self, values: Int[Tensor, "batch time"], bias: Float[Tensor, "batch blocks layers gates"] | None = None
    ) -> Float[Tensor, "batch time codebook_size"]:
        """The logits of all values at once, in float32 even under autocast.

        Args:
            values: in [0, codebook_size); each affects only the logits of later values.
            bias: added to the gates of each layer. Each block covers time / blocks values.

        Raises:
            DataError: if the blocks do not divide the time, or the bias has another shape.
        """
        batch, time = values.shape
        if bias is not None:
            check_bias(bias, batch, *self.pairs_bias.shape)
            if time % bias.shape[1]:
                raise DataError(f"The bias has {bias.shape[1]} blocks, which do not divide {time} values. Give blocks of equal length.")
        if not values.numel():
            return self.logits_bias.new_zeros(batch, time, self.codebook_size)
        gates = dilated_gates(
            self._embed(values), bias, self.pairs, self.pairs_bias, self.residual, self.dilations, self.dropout if self.training else 0.0
        )
        features = torch.addmm(self.skip_bias, gates.flatten(0, 1), self.skip).relu().view(time, batch, -1)
        hidden = torch.addmm(self.hidden_bias, features.transpose(0, 1).reshape(batch * time, -1), self.hidden).relu()
        logits = hidden @ self.logits
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) + self.logits_bias
        return logits.view(batch, time, self.codebook_size)

    @torch.no_grad()
    def start(
        self,
        batch_size: int,
        bias: Float[Tensor, "batch blocks layers gates"] | None = None,
        *,
        block: int | None = None,
        prefix: Int[Tensor, "batch known"] | None = None,
        int8: bool = False,
    ) -> WaveNetState:
        """The decoding state before the first value.

        Args:
            bias: as in ``forward``, for the next values. ``WaveNetState.go_on`` adds further blocks.
            block: values per block. None: one block for all values.
            prefix: known values, and -1 for values to draw. ``fused`` and the sampling loop keep known values.
            int8: round the weights to 8 bits, so that they fit in the cache of a core: see ``rounded_to_int8``.

        Raises:
            DataError: if the bias has another shape, several blocks come without ``block``, or the prefix has the wrong shape or range.
        """
        if prefix is not None:
            self._check_prefix(prefix, batch_size)
        packed = self._packed()
        return WaveNetState(packed, self.dilations, batch_size, bias, block, prefix, Int8Weights(packed) if int8 else None)

    @torch.no_grad()
    def step(self, value: Int[Tensor, " batch"] | None, state: WaveNetState) -> tuple[Float[Tensor, "batch codebook_size"], WaveNetState]:
        """Feed the previous value and return the logits of the next, in float32 even under autocast. The previous value is None at first,
        or if the state has drawn it itself.

        Raises:
            DataError: if the blocks of the bias are used up.
        """
        if value is not None:
            state.value = value
        return state.logits(), state

    @torch.no_grad()
    def fused(
        self, state: WaveNetState, uniforms: Float64[Tensor, "batch draws"], choice: Choice = Choice()
    ) -> Int64[Tensor, "batch draws"]:
        """Draw the next values, one per uniform number, with one compiled kernel: the loop of ``vqvae.layers.autoregressive``. The state
        must have ``can_fuse``. Afterwards it stands after these values.

        Raises:
            DataError: if the blocks of the bias are used up.
            MissingExtraError: if numba is not installed.
        """
        try:
            # Here, because numba is an extra and slow to import.
            from vqvae.layers.kernels.int8 import OUTPUTS
            from vqvae.layers.kernels.wavenet import sample_wavenet
        except ImportError as error:
            raise MissingExtraError("numba", "fast") from error
        return state.fused(sample_wavenet, OUTPUTS, uniforms, choice)

    @torch.no_grad()
    def rounded_to_int8(self) -> "WaveNet":
        """A copy with the weights that ``start(int8=True)`` decodes with. Its ``forward`` shows the cost of the rounding in nats."""
        rounded = copy.deepcopy(self)
        layers, hidden = self.pairs_bias.shape[0], self.embedding.shape[1]
        for matrix in (rounded.pairs, rounded.residual, rounded.skip.view(layers, hidden, -1), rounded.hidden, rounded.logits):
            matrix.copy_(to_int8(matrix).restored())
        return rounded

    def _embed(self, values: Int[Tensor, "batch time"]) -> Float[Tensor, "time batch residual"]:
        """The embedding of the value before each, in the dtype of the products. The first value has none."""
        before = values[:, :-1].t()
        book = torch.arange(len(before), device=values.device).unsqueeze(1) % self.num_codebooks
        found = F.pad(F.embedding(before + book * self.codebook_size, self.embedding), (0, 0, 0, 0, 1, 0))
        kind = values.device.type
        return found.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else found

    def _check_prefix(self, prefix: Tensor, batch_size: int) -> None:
        if len(prefix) != batch_size:
            raise DataError(f"The prefix has {len(prefix)} sequences; expected {batch_size}, one for each example.")
        if prefix.numel() and not -1 <= int(prefix.min()) <= int(prefix.max()) < self.codebook_size:
            raise DataError(
                f"The prefix lies between {int(prefix.min())} and {int(prefix.max())}; this WaveNet has 0 to {self.codebook_size - 1}, "
                "with -1 for values to be drawn."
            )

    def _packed(self) -> PackedWaveNet:
        """The weights in the layout of decoding. They are packed anew each time: fused optimizers change weights undetectably."""
        width = torch.promote_types(self.embedding.dtype, torch.float32)
        layers, hidden = self.pairs_bias.shape[0], self.embedding.shape[1]
        # The last layer has no residual connection. Zeros there give all layers the same shape.
        residual = torch.cat([self.residual, self.residual.new_zeros(1, hidden, hidden)])
        return PackedWaveNet(
            embedding=self.embedding.detach().to(width),
            pairs=self.pairs.detach().to(width),
            pairs_bias=self.pairs_bias.detach().to(width),
            outputs=torch.cat([residual, self.skip.view(layers, hidden, -1)], -1).to(width),
            skip_bias=self.skip_bias.detach().to(width),
            hidden=self.hidden.detach().to(width),
            hidden_bias=self.hidden_bias.detach().to(width),
            logits=self.logits.detach().to(width),
            logits_bias=self.logits_bias.detach().to(width),
        )


def check_wavenet(config: Any) -> None:
    """Raise ConfigError if one of a configuration's WaveNet settings is out of range."""
    kind = type(config).__name__
    names = ("codebook_size", "num_codebooks", "layers", "cycle", "residual", "skip", "output_hidden")
    check_at_least(1, config, *(name for name in names if hasattr(config, name)))
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"{kind}.dropout is {config.dropout}; it must lie in [0, 1).")


def _linear(*shape: int, gain: float = 1.0) -> tuple[nn.Parameter, nn.Parameter]:
    """Initial weights (..., inputs, outputs) that scale their inputs by ``gain``, and zero biases."""
    return nn.Parameter(torch.randn(shape).mul_(gain / shape[-2] ** 0.5)), nn.Parameter(torch.zeros(*shape[:-2], shape[-1]))


def _levels(count: int, width: int) -> Float[Tensor, "count width"]:
    """Random smooth functions of a level, with mean square 1: sums of the lowest cosines over the scale, the lowest with most weight."""
    waves = torch.arange(min(count, _WAVES))
    levels = (torch.arange(count) + 0.5) / count
    basis = torch.cos(math.pi * levels[:, None] * waves) / (1 + waves / _SMOOTH)
    functions = basis @ torch.randn(len(waves), width)
    return functions / functions.square().mean().sqrt()
