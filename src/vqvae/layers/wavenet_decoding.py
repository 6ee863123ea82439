"""Decode a WaveNet value by value, with queues of past layer inputs: https://arxiv.org/abs/1611.09482."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int8, Int64
from torch import Tensor
from torch.nn import functional as F

from vqvae.errors import DataError
from vqvae.layers.autoregressive import ARGMAX_BELOW, Choice

_FOREVER = 2**62
"""The length of a block that covers all values."""


class PackedWaveNet(NamedTuple):
    """The weights in the layout of decoding: matrices (inputs, outputs), in float32 at least."""

    embedding: Float[Tensor, "entries hidden"]
    pairs: Float[Tensor, "layers pair gates"]
    """From the past (the first half of the inputs) and the present to the gates."""
    pairs_bias: Float[Tensor, "layers gates"]
    outputs: Float[Tensor, "layers hidden outputs"]
    """From the gates to the input of the next layer, then to the sum of all layers."""
    skip_bias: Float[Tensor, " skip"]
    hidden: Float[Tensor, "skip output_hidden"]
    hidden_bias: Float[Tensor, " output_hidden"]
    logits: Float[Tensor, "output_hidden codebook_size"]
    logits_bias: Float[Tensor, " codebook_size"]


MATRICES = ("pairs", "outputs", "hidden", "logits")
"""The weights that are used in products. The rest are look-ups and biases."""


class Int8Matrix(NamedTuple):
    """A matrix in 8 bits, with one scale per output."""

    weights: Int8[Tensor, "*layers inputs outputs"]
    scale: Float[Tensor, "*layers outputs"]

    def restored(self) -> Float[Tensor, "*layers inputs outputs"]:
        """The matrix in floating point."""
        return self.weights * self.scale.unsqueeze(-2)


def to_int8(matrix: Float[Tensor, "*layers inputs outputs"]) -> Int8Matrix:
    """Round to the nearest of 255 levels from minus to plus the largest weight of each output."""
    # If all weights of an output are 0, any scale will do. -128 is not used: the kernel relies on a limit of 127.
    scale = matrix.abs().amax(-2).clamp_min(torch.finfo(matrix.dtype).tiny) / 127
    return Int8Matrix((matrix / scale.unsqueeze(-2)).round().to(torch.int8), scale)


def in_blocks(weights: Int8[Tensor, "*layers inputs outputs"], outputs: int) -> Int8[Tensor, "*layers blocks pairs both"]:
    """A matrix in the order in which the kernel reads it: blocks of ``outputs``, with the weights of two inputs side by side for each
    output. Incomplete pairs and blocks are filled with 0."""
    *_, first, second = weights.shape
    whole = F.pad(weights, (0, -second % outputs, 0, first % 2))
    return whole.unflatten(-1, (-1, outputs)).unflatten(-3, (-1, 2)).movedim(-2, -4).transpose(-1, -2).flatten(-2)


class Int8Weights:
    """The matrices of a WaveNet in 8 bits, made once and shared by all decodings."""

    def __init__(self, packed: PackedWaveNet) -> None:
        self.matrices = {name: to_int8(getattr(packed, name)) for name in MATRICES}
        self.packed = packed._replace(**{name: matrix.restored() for name, matrix in self.matrices.items()})
        """The weights in floating point."""
        self._blocks: dict[tuple[str, int], Tensor] = {}

    def blocks(self, name: str, outputs: int) -> Int8[Tensor, "*layers blocks pairs both"]:
        """One of the matrices, ``in_blocks``."""
        if (name, outputs) not in self._blocks:
            self._blocks[name, outputs] = in_blocks(self.matrices[name].weights, outputs).contiguous()
        return self._blocks[name, outputs]


def check_bias(bias: Tensor, batch: int, layers: int, gates: int) -> None:
    """Raise DataError unless a bias is (batch, blocks, layers, gates)."""
    if bias.ndim != 4 or (bias.shape[0], *bias.shape[2:]) != (batch, layers, gates) or not bias.shape[1]:
        raise DataError(
            f"The bias has the shape {tuple(bias.shape)}; expected ({batch}, blocks, {layers}, {gates}), with at least 1 block."
        )


class WaveNetState:
    """The state of a decoding: the same logits as in parallel, at the cost of one value per step.

    Each layer keeps its last inputs in a ring as long as its dilation, so each step reads the input from that many steps ago. Memory does
    not grow with the number of values.
    """

    position: int
    """Number of values processed."""
    value: Int64[Tensor, " batch"] | None
    """The previous value, until the next step processes it. None at the start."""
    device: torch.device
    can_fuse: bool
    """Whether ``WaveNet.fused`` accepts this state."""

    def __init__(
        self,
        packed: PackedWaveNet,
        dilations: tuple[int, ...],
        batch_size: int,
        bias: Float[Tensor, "batch blocks layers gates"] | None,
        block: int | None,
        prefix: Int[Tensor, "batch known"] | None,
        int8: Int8Weights | None = None,
    ) -> None:
        """Allocate the queues and the buffers. ``int8`` replaces the packed weights."""
        # Single steps use the restored weights, so that they and the kernel draw from the same network.
        packed = packed if int8 is None else int8.packed
        self._int8 = int8
        (layers, gates), hidden, new = packed.pairs_bias.shape, packed.embedding.shape[1], packed.skip_bias.new_zeros
        self._packed, self._dilations, self._batch, self._known = packed, dilations, batch_size, prefix
        self._books = len(packed.embedding) // len(packed.logits_bias)
        self.position, self.value, self.device = 0, None, packed.skip_bias.device
        self.can_fuse = packed.skip_bias.dtype == torch.float32 and self.device.type == "cpu"
        self._queues = new(batch_size, sum(dilations), hidden)
        # All queues in one tensor, one after the other: a step reads and writes the places of all layers by one index.
        self._first = torch.tensor([0, *accumulate(dilations[:-1])], device=self.device)
        self._length = torch.tensor(dilations, device=self.device)
        self._own, self._past = packed.pairs[:, hidden:].unbind(), packed.pairs[:, :hidden]
        self._residual, self._skip = packed.outputs[:, :, :hidden].unbind(), packed.outputs[:, :, hidden:].flatten(0, 1)
        # The streams of all layers, their products and their gates, of one value.
        stream, opened = new(layers, batch_size, hidden), new(batch_size, layers, hidden)
        self._stream, self._streams, self._products = stream, stream.unbind(), new(layers, batch_size, gates)
        self._opened, self._opened_of = opened.view(batch_size, layers * hidden), opened.unbind(1)
        self._give(bias, block)

    def go_on(self, bias: Float[Tensor, "batch blocks layers gates"]) -> None:
        """Provide the bias of the next values, in blocks as long as before. The earlier blocks must be used up.

        Raises:
            DataError: if the bias has another shape, or earlier blocks are not used up.
        """
        used, given = self.position - self._since, self._bias.shape[1] * self._block
        if used != given:
            raise DataError(f"Only {used} of the {given} values with a bias are drawn. Draw all of them first.")
        self._give(bias, self._block)

    def upcoming(self, count: int) -> Int64[Tensor, "batch count"]:
        """The next values: known values of the prefix, and -1 for values to draw."""
        values = torch.full((self._batch, count), -1, device=self.device)
        if self._known is not None:
            known = self._known[:, self.position : self.position + count]
            values[:, : known.shape[1]] = known
        return values

    def logits(self) -> Float[Tensor, "batch codebook_size"]:
        """The logits of the value at ``position``. Call it once for each position."""
        self._check_blocks(1)
        packed, streams, last = self._packed, self._streams, len(self._dilations) - 1
        index = (self.position - self._since) // self._block
        if index != self._index:
            self._index = index
            torch.add(packed.pairs_bias.unsqueeze(1), self._bias[:, index].transpose(0, 1), out=self._gates_bias)
        if self.value is None:
            assert self.position == 0, "step was given no value"
            streams[0].zero_()
        else:
            book = (self.position - 1) % self._books
            torch.index_select(packed.embedding, 0, self.value + book * len(packed.logits_bias), out=streams[0])
        slots = self._first + self.position % self._length
        # The past inputs of all layers are known, so they take one product. The present input goes from layer to layer.
        torch.baddbmm(self._gates_bias, self._queues[:, slots].transpose(0, 1), self._past, out=self._products)
        for i, (product, stream, opened) in enumerate(zip(self._products, streams, self._opened_of, strict=True)):
            product.addmm_(stream, self._own[i])
            product[:, : product.shape[1] // 2].tanh_()
            # pyrefly: ignore[unexpected-keyword]  # torch's stubs lack ``out``.
            torch._C._nn.glu(product, -1, out=opened)
            if i < last:
                torch.addmm(stream, opened, self._residual[i], out=streams[i + 1])
        # Only now: until here, each place held the oldest input, which the newest replaces.
        self._queues[:, slots] = self._stream.transpose(0, 1)
        self.position, self.value = self.position + 1, None
        features = _product(packed.skip_bias, self._opened, self._skip).relu_()
        return _product(packed.logits_bias, _product(packed.hidden_bias, features, packed.hidden).relu_(), packed.logits)

    def fused(
        self, kernel: Callable[..., None], outputs: int, uniforms: Float64[Tensor, "batch draws"], choice: Choice
    ) -> Int64[Tensor, "batch draws"]:
        """Draw the next values with a kernel that takes the weights as arrays (in blocks of ``outputs`` if in 8 bits). Each example runs on
        its own, on as many cores as torch has threads: the kernel releases the interpreter's lock."""
        count = uniforms.shape[1]
        self._check_blocks(count)
        values = self.upcoming(count)
        before = torch.full((self._batch,), -1, device=self.device) if self.value is None else self.value
        options = (np.float32(0 if choice.temperature < ARGMAX_BELOW else choice.temperature), choice.top_k or 0, choice.top_p or 1.0)
        place = (self.position, self.position - self._since, self._block, self._books)
        dilations, arrays = np.array(self._dilations), self._arrays(outputs)

        def draw(i: int) -> None:
            state = (self._queues[i].numpy(), self._bias[i].numpy(), dilations)
            kernel(values[i].numpy(), uniforms[i].contiguous().numpy(), *options, int(before[i]), *place, *state, arrays)

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(draw, range(self._batch)))
        if count:
            # A copy: a view would keep all values of this call in memory.
            self.position, self.value = self.position + count, values[:, -1].clone()
        return values

    def _arrays(self, outputs: int) -> tuple[np.ndarray, ...]:
        """The weights as arrays, each matrix followed by its scales. A float32 matrix has none."""
        arrays = []
        for name, weight in zip(self._packed._fields, self._packed, strict=True):
            if name in MATRICES and self._int8 is not None:
                arrays += [self._int8.blocks(name, outputs), self._int8.matrices[name].scale]
            elif name in MATRICES:
                # Scales without numbers: the kernel's loop takes both kinds of matrices alike.
                arrays += [weight, weight.new_empty(*weight.shape[:-2], 0)]
            else:
                arrays.append(weight)
        return tuple(array.contiguous().numpy() for array in arrays)

    def _give(self, bias: Float[Tensor, "batch blocks layers gates"] | None, block: int | None) -> None:
        layers, gates = self._packed.pairs_bias.shape
        if bias is None:
            bias, block = self._packed.pairs_bias.new_zeros(self._batch, 1, layers, gates), None
        check_bias(bias, self._batch, layers, gates)
        if (block is None and bias.shape[1] > 1) or (block is not None and block < 1):
            raise DataError(f"The bias has {bias.shape[1]} blocks of length {block}. Give the number of values per block.")
        self._bias = bias.detach().to(self._packed.pairs_bias.dtype).contiguous()
        # Blocks are counted from here on, wherever the earlier blocks ended.
        self._block, self._since = _FOREVER if block is None else block, self.position
        # The gates' own bias and that of a block, once for all steps of the block.
        self._gates_bias, self._index = torch.empty_like(self._products), -1

    def _check_blocks(self, count: int) -> None:
        used, given = self.position - self._since, self._bias.shape[1] * self._block
        if used + count > given:
            raise DataError(f"The bias covers {given} values and {used} of them are drawn, but {count} more were requested. Call go_on.")


def _product(bias: Float[Tensor, " outputs"], x: Float[Tensor, "batch inputs"], matrix: Float[Tensor, "inputs outputs"]) -> Tensor:
    """An affine map in the dtype of its weights, even under autocast."""
    # Autocast does not change an operation that writes into a given tensor.
    return torch.addmm(bias, x, matrix, out=x.new_empty(len(x), len(bias)))
