"""The stack of gated layers of the conditional PixelCNN: https://arxiv.org/abs/1606.05328, section 2 and figure 2."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.layers.masked import ColumnsLeft, RowsAbove, shift_down, shift_right


class Surroundings(NamedTuple):
    """What is known at every position of a map before any of its codes, such as from the frame before it."""

    down: Float[Tensor, "batch height width hidden"]
    """Added to the input of the vertical stack."""
    right: Float[Tensor, "batch height width hidden"]
    """Added to the input of the horizontal stack."""
    output: Float[Tensor, "batch height width outputs"]
    """Added to the hidden units of the output layer, of all codebooks."""


class GatedPixelCNN(nn.Module):
    """Features of each position, computed from exactly the earlier positions in raster order.

    x ─ shift down ── [vertical: rows above ─ gate] × layers, each feeding through 1×1
    x ─ shift right ─ [horizontal: columns left + vertical ─ gate ─ 1×1 + residual] × layers, all gates ─ 1×1 ─ features

    After the two shifts, every layer is an ordinary causal layer that may see its own position: no first layer is special, and there is
    no blind spot [arXiv 1606.05328 §2.2].

    Differs from the paper: the 1×1 convolution from the vertical to the horizontal stack takes the gated features, at half the cost.
    The vertical stack has a residual connection, which helps short trainings. The skip connections are one 1×1 convolution over
    all gates.
    """

    def __init__(self, hidden: int, layers: int, kernel: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden, self.dropout = hidden, dropout
        self.layers = nn.ModuleList(GatedLayer(hidden, kernel, is_last=i == layers - 1) for i in range(layers))
        self.skip = nn.Linear(layers * hidden, hidden)

    def forward(
        self,
        x: Float[Tensor, "batch height width hidden"],
        bias: Float[Tensor, "batch layers 2 gates"] | None = None,
        mask: Bool[Tensor, "batch height width"] | None = None,
        around: Surroundings | None = None,
    ) -> Float[Tensor, "batch height width hidden"]:
        """Compute the features of all positions at once.

        Args:
            x: the input at each position; it affects only later positions.
            bias: added before the gates of each layer, in the vertical and the horizontal stack; gates = 2·hidden.
            mask: False for positions that count as outside of the map.
            around: added to the inputs of the stacks; ``around.output`` is for the caller.
        """
        keep = None if mask is None else mask.unsqueeze(-1).to(x.dtype)
        bias = None if bias is None else bias.to(x.dtype)
        x = _masked(x, keep)
        down, right = shift_down(x), shift_right(x)
        if around is not None:
            down, right = down + around.down.to(x.dtype), right + around.right.to(x.dtype)
        down = _masked(down, keep)
        gates = []
        for i, layer in enumerate(self.gated_layers):
            above, left = layer.vertical(down), layer.horizontal(right)
            if bias is not None:
                above, left = above + bias[:, None, None, i, 0], left + bias[:, None, None, i, 1]
            # After every layer: biases would give masked positions a value, and convolutions would carry it onto the map.
            down = _masked(down + gate(above), keep)
            gates.append(F.dropout(gate(left + layer.link(down)), self.dropout, self.training))
            if layer.residual is not None:
                right = _masked(right + layer.residual(gates[-1]), keep)
        return self.skip(torch.cat(gates, -1))

    @property
    def gated_layers(self) -> "list[GatedLayer]":
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, GatedLayer)]


class GatedLayer(nn.Module):
    """The weights of one layer."""

    def __init__(self, hidden: int, kernel: int, *, is_last: bool) -> None:
        super().__init__()
        self.vertical = RowsAbove(hidden, 2 * hidden, kernel)
        self.link = nn.Linear(hidden, 2 * hidden, bias=False)
        self.horizontal = ColumnsLeft(hidden, 2 * hidden, kernel)
        # The residual stream of the last layer would not be used.
        self.residual = None if is_last else nn.Linear(hidden, hidden, bias=False)


def gate(x: Float[Tensor, "*batch gates"]) -> Float[Tensor, "*batch hidden"]:
    """tanh of the first half of the channels times the sigmoid of the second [arXiv 1606.05328, equation 2]."""
    signal, opening = x.chunk(2, -1)
    return signal.tanh() * opening.sigmoid()


def _masked(x: Tensor, keep: Tensor | None) -> Tensor:
    return x if keep is None else x * keep


class PackedPixelCNN(NamedTuple):
    """The weights of a stack as matrices (inputs, outputs), at least float32, laid out for decoding one position after another."""

    rows: Float[Tensor, "layers window contributions"]
    """From a window of ``kernel`` columns to its own row, the next row, and so on."""
    rows_bias: Float[Tensor, "layers gates"]
    link: Float[Tensor, "layers hidden gates"]
    columns: Float[Tensor, "layers columns gates"]
    """From the columns left of a position, farthest first, and from its own column."""
    columns_bias: Float[Tensor, "layers gates"]
    residual: Float[Tensor, "shortened hidden hidden"]
    skip: Float[Tensor, "all_gates hidden"]
    skip_bias: Float[Tensor, " hidden"]


@torch.no_grad()
def pack(stack: GatedPixelCNN) -> PackedPixelCNN:
    """Copy the weights of a stack into the layout of decoding."""
    width = torch.promote_types(stack.skip.weight.dtype, torch.float32)

    def together(tensors: list[Tensor]) -> Tensor:
        return torch.stack([tensor.to(width) for tensor in tensors]).contiguous()

    convs = [(layer.vertical.conv, layer.horizontal.conv) for layer in stack.gated_layers]
    residual = [layer.residual.weight.t() for layer in stack.gated_layers if layer.residual is not None]
    return PackedPixelCNN(
        # A row contributes to itself through the last row of a filter, and to later rows through the filter's earlier rows.
        rows=together([vertical.weight.flip(2).permute(3, 1, 2, 0).flatten(2, 3).flatten(0, 1) for vertical, _ in convs]),
        rows_bias=together([_bias(vertical) for vertical, _ in convs]),
        link=together([layer.link.weight.t() for layer in stack.gated_layers]),
        columns=together([horizontal.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1) for _, horizontal in convs]),
        columns_bias=together([_bias(horizontal) for _, horizontal in convs]),
        residual=together(residual) if residual else stack.skip.weight.new_empty(0, stack.hidden, stack.hidden, dtype=width),
        skip=stack.skip.weight.t().to(width).contiguous(),
        skip_bias=stack.skip.bias.detach().to(width),
    )


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


class PixelCNNDecoding:
    """The state of a gated stack that runs position by position: the same features as in parallel, at the cost of one position.

    The vertical stack runs a whole row at a time, once the row above is complete: one matrix product per layer, whose outputs for the
    rows below wait in ``_contributions``. The horizontal stack runs one position at a time; the columns to the left contribute to all
    layers in one batched product. All buffers are allocated here and written in place, so autocast has no effect.
    """

    biases: Float[Tensor, "two layers batch gates"]
    """Biases of the vertical and the horizontal gates, including the bias given for each example."""

    def __init__(self, packed: PackedPixelCNN, batch_size: int, width: int, bias: Float[Tensor, "batch layers 2 gates"] | None) -> None:
        """Allocate the buffers for maps of ``width`` columns."""
        layers, hidden, gates = packed.link.shape
        reach = packed.columns.shape[1] // hidden - 1
        size, padded = batch_size, width + 2 * reach
        new = packed.link.new_zeros
        self._packed = packed
        # Vertical: the inputs of each layer between empty columns, their windows, and their contributions to later rows.
        inputs = new(layers + 1, size, padded, hidden)
        self._padded = inputs[1:].view(layers, size * padded, hidden)
        self._inner = inputs[:, :, reach : reach + width].unbind()
        # Views with overlapping windows: nothing is stored twice. A product needs separate windows, one layer at a time.
        strides = (padded * hidden, hidden, 1)
        self._windows = [part.as_strided((size, width, (2 * reach + 1) * hidden), strides, part.storage_offset()) for part in inputs]
        window = new(size, width, (2 * reach + 1) * hidden)
        self._window, self._window_map = window.flatten(0, 1), window
        # The last block of columns is never written: a row starts from it, reach rows before its own turn.
        # Two buffers: a row reads the contributions of the rows above while it writes its own.
        self._contributions = [new(layers, size * width, (reach + 2) * gates) for _ in range(2)]
        self.biases = torch.stack([packed.rows_bias, packed.columns_bias]).unsqueeze(2).repeat(1, 1, size, 1)
        if bias is not None:
            self.biases += bias.permute(2, 1, 0, 3)
        for part in self._contributions:
            part.view(layers, size, width, reach + 2, gates).copy_(self.biases[0, :, :, None, None])
        self._row_gates = new(size * width, hidden)
        self._row_gates_map = self._row_gates.view(size, width, hidden)
        # Horizontal: the vertical stack's contributions, the past inputs of each layer, the stream and the gates of one position.
        # The products include the empty columns: a few products more, but no copy of the columns between them.
        self._columns_bias = self.biases[1].repeat_interleave(padded, 1)
        self._above = new(layers, size * padded, gates)
        above = self._above.view(layers, size, padded, gates)
        self._above_at = [above[:, :, reach + column] for column in range(width)]
        past = new(layers, size, reach + width, hidden)
        strides = (size * (reach + width) * hidden, (reach + width) * hidden, 1)
        self._past_before = [past.as_strided((layers, size, reach * hidden), strides, column * hidden) for column in range(width)]
        self._past_at = [past[:, :, reach + column] for column in range(width)]
        self._columns_before, self._columns_own = packed.columns[:, : reach * hidden], packed.columns[:, reach * hidden :].unbind()
        self._gates = new(layers, size, gates)
        stream, opened = new(layers, size, hidden), new(size, layers, hidden)
        self._stream, self._streams, self._opened = stream, stream.unbind(), opened.view(size, layers * hidden)
        self._opened_of = opened.unbind(1)
        self._features = new(size, hidden)

    def row(self, x: Float[Tensor, "batch width hidden"] | None, around: Float[Tensor, "batch width hidden"] | None = None) -> None:
        """Run the vertical stack for the next row, given the inputs of the row above (None for the first row)."""
        packed, hidden = self._packed, self._row_gates.shape[-1]
        before, after = self._contributions
        self._contributions = [after, before]
        if x is None:
            self._inner[0].zero_()
        else:
            self._inner[0].copy_(x)
        if around is not None:
            self._inner[0].add_(around)
        for i, weight in enumerate(packed.rows):
            self._window_map.copy_(self._windows[i])
            # Reading from the second block on moves the contributions to the next row up to this one: a shift without a copy.
            given = after[i, :, : -2 * hidden]
            torch.addmm(before[i, :, 2 * hidden :], self._window, weight, out=given)
            _gate_(given[:, : 2 * hidden], self._row_gates)
            torch.add(self._inner[i], self._row_gates_map, out=self._inner[i + 1])
        torch.baddbmm(self._columns_bias, self._padded, packed.link, out=self._above)

    def position(
        self, column: int, x: Float[Tensor, "batch hidden"] | None, around: Float[Tensor, "batch hidden"] | None = None
    ) -> Float[Tensor, "batch hidden"]:
        """Run the horizontal stack at a column of the row, given the input left of it (None for the first column). Returns the features
        in a buffer that the next call overwrites."""
        packed, streams = self._packed, self._streams
        if x is None:
            streams[0].zero_()
        else:
            streams[0].copy_(x)
        if around is not None:
            streams[0].add_(around)
        # The columns to the left are known for all layers, so they take one product. The own column goes from layer to layer.
        torch.baddbmm(self._above_at[column], self._past_before[column], self._columns_before, out=self._gates)
        last = len(streams) - 1
        for i, (gates, stream, opened) in enumerate(zip(self._gates, streams, self._opened_of, strict=True)):
            gates.addmm_(stream, self._columns_own[i])
            _gate_(gates, opened)
            if i < last:
                torch.addmm(stream, opened, packed.residual[i], out=streams[i + 1])
        # Stored for all layers at once, after the last one: the next position reads them in one go.
        self._past_at[column].copy_(self._stream)
        return torch.addmm(packed.skip_bias, self._opened, packed.skip, out=self._features)


def _gate_(x: Float[Tensor, "rows gates"], out: Float[Tensor, "rows hidden"]) -> None:
    """``gate``, into a buffer; overwrites the first half of ``x``."""
    x[:, : x.shape[-1] // 2].tanh_()
    # pyrefly: ignore[unexpected-keyword]  # torch's stubs lack ``out``.
    torch._C._nn.glu(x, -1, out=out)
