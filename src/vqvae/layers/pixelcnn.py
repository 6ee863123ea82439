"""The stack of gated layers of the conditional PixelCNN: https://arxiv.org/abs/1606.05328, section 2 and figure 2."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.layers.masked import ColumnsLeft, RowsAbove, shift_down, shift_right


class GatedPixelCNN(nn.Module):
    """Features of each position from all earlier ones in raster order, and from no other.

    x ─ shift down ── [vertical: rows above ─ gate] × layers, each feeding through 1×1
    x ─ shift right ─ [horizontal: columns left + vertical ─ gate ─ 1×1 + residual] × layers, all gates ─ 1×1 ─ features

    The two shifts make every layer after them an ordinary causal one, that may see its own position: there is no special
    first layer, and no blind spot [arXiv 1606.05328 §2.2].

    Differs from the paper: the 1×1 convolution from the vertical to the horizontal stack takes the gated features, which costs
    half; the vertical stack has a residual connection, because short trainings gain from it; the skip connections are one 1×1
    convolution over all gates.
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
    ) -> Float[Tensor, "batch height width hidden"]:
        """Compute the features of all positions at once.

        Args:
            x: what stands at each position; it reaches only later ones.
            bias: added before the gates of each layer, of the vertical and the horizontal stack; 2·hidden gates.
            mask: where it is False, a position acts as one outside of the map does.
        """
        keep = None if mask is None else mask.unsqueeze(-1).to(x.dtype)
        bias = None if bias is None else bias.to(x.dtype)
        x = _masked(x, keep)
        down, right = _masked(shift_down(x), keep), shift_right(x)
        gates = []
        for i, layer in enumerate(self.gated_layers):
            above, left = layer.vertical(down), layer.horizontal(right)
            if bias is not None:
                above, left = above + bias[:, None, None, i, 0], left + bias[:, None, None, i, 1]
            # After every layer: biases make something of nothing, which would reach neighbours as if it were on the map.
            down = _masked(down + gate(above), keep)
            gates.append(F.dropout(gate(left + layer.link(down)), self.dropout, self.training))
            if layer.residual is not None:
                right = _masked(right + layer.residual(gates[-1]), keep)
        return self.skip(torch.cat(gates, -1))

    @property
    def gated_layers(self) -> "list[GatedLayer]":
        """The layers, the first one first."""
        return [layer for layer in self.layers if isinstance(layer, GatedLayer)]


class GatedLayer(nn.Module):
    """The weights of one layer."""

    def __init__(self, hidden: int, kernel: int, *, is_last: bool) -> None:
        super().__init__()
        self.vertical = RowsAbove(hidden, 2 * hidden, kernel)
        self.link = nn.Linear(hidden, 2 * hidden, bias=False)
        self.horizontal = ColumnsLeft(hidden, 2 * hidden, kernel)
        # The residual stream of the last layer would lead nowhere.
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
    """From a window of ``kernel`` columns to its own row, the row after it, and so on."""
    rows_bias: Float[Tensor, "layers gates"]
    link: Float[Tensor, "layers hidden gates"]
    columns: Float[Tensor, "layers columns gates"]
    """From the columns left of a position, the farthest first, and its own."""
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
        # A row gives to itself through the last row of a filter, and to the rows after it through the ones before that.
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
    """The state of a gated stack that is run position by position: the same features as all at once, at the cost of one position.

    The vertical stack runs a whole row at a time, when the row above is complete: one matrix product a layer, whose outputs
    for the rows below wait in ``_contributions``. The horizontal stack runs a position at a time; what the columns to the left
    give to all layers is one batched product. All buffers are allocated here; everything is written in place, so autocast
    changes nothing.
    """

    biases: Float[Tensor, "two layers batch gates"]
    """Of the vertical and of the horizontal gates, with what was given for each example."""

    def __init__(self, packed: PackedPixelCNN, batch_size: int, width: int, bias: Float[Tensor, "batch layers 2 gates"] | None) -> None:
        """Allocate the buffers for maps of ``width`` columns."""
        layers, hidden, gates = packed.link.shape
        reach = packed.columns.shape[1] // hidden - 1
        size, padded = batch_size, width + 2 * reach
        new = packed.link.new_zeros
        self._packed = packed
        # Vertical: inputs of each layer with empty columns around them, their windows, and what they give to later rows.
        inputs = new(layers + 1, size, padded, hidden)
        self._padded = inputs[1:].view(layers, size * padded, hidden)
        self._inner = inputs[:, :, reach : reach + width].unbind()
        # Views in which the windows of neighbours overlap: nothing is stored twice. A product needs them apart, one layer at a time.
        strides = (padded * hidden, hidden, 1)
        self._windows = [part.as_strided((size, width, (2 * reach + 1) * hidden), strides, part.storage_offset()) for part in inputs]
        window = new(size, width, (2 * reach + 1) * hidden)
        self._window, self._window_map = window.flatten(0, 1), window
        # The last block of columns is never written: it is what a row starts with, reach rows before its own turn.
        # Two, because a row is added to what the rows above have given while it writes what it gives.
        self._contributions = [new(layers, size * width, (reach + 2) * gates) for _ in range(2)]
        self.biases = torch.stack([packed.rows_bias, packed.columns_bias]).unsqueeze(2).repeat(1, 1, size, 1)
        if bias is not None:
            self.biases += bias.permute(2, 1, 0, 3)
        for part in self._contributions:
            part.view(layers, size, width, reach + 2, gates).copy_(self.biases[0, :, :, None, None])
        self._row_gates = new(size * width, hidden)
        self._row_gates_map = self._row_gates.view(size, width, hidden)
        # Horizontal: what the vertical stack gives, the past inputs of each layer, the stream and the gates of one position.
        # The empty columns are multiplied, too: a few products more, and no copy of what lies between them.
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

    def row(self, x: Float[Tensor, "batch width hidden"] | None) -> None:
        """Run the vertical stack for the next row, given what stands in the row above (None: nothing, at the first)."""
        packed, hidden = self._packed, self._row_gates.shape[-1]
        before, after = self._contributions
        self._contributions = [after, before]
        if x is None:
            self._inner[0].zero_()
        else:
            self._inner[0].copy_(x)
        for i, weight in enumerate(packed.rows):
            self._window_map.copy_(self._windows[i])
            # Read from its second block on, what was for the row after is for this one: a shift without a copy.
            given = after[i, :, : -2 * hidden]
            torch.addmm(before[i, :, 2 * hidden :], self._window, weight, out=given)
            _gate_(given[:, : 2 * hidden], self._row_gates)
            torch.add(self._inner[i], self._row_gates_map, out=self._inner[i + 1])
        torch.baddbmm(self._columns_bias, self._padded, packed.link, out=self._above)

    def position(self, column: int, x: Float[Tensor, "batch hidden"] | None) -> Float[Tensor, "batch hidden"]:
        """Run the horizontal stack at a column of the row, given what stands left of it (None: nothing). Gives the features, in a
        buffer that the next call overwrites."""
        packed, streams = self._packed, self._streams
        if x is None:
            streams[0].zero_()
        else:
            streams[0].copy_(x)
        # The columns left are known for all layers, so they are one product; the own one goes from layer to layer.
        torch.baddbmm(self._above_at[column], self._past_before[column], self._columns_before, out=self._gates)
        last = len(streams) - 1
        for i, (gates, stream, opened) in enumerate(zip(self._gates, streams, self._opened_of, strict=True)):
            gates.addmm_(stream, self._columns_own[i])
            _gate_(gates, opened)
            if i < last:
                torch.addmm(stream, opened, packed.residual[i], out=streams[i + 1])
        # All layers at once, when the last has run: the next position reads them in one go.
        self._past_at[column].copy_(self._stream)
        return torch.addmm(packed.skip_bias, self._opened, packed.skip, out=self._features)


def _gate_(x: Float[Tensor, "rows gates"], out: Float[Tensor, "rows hidden"]) -> None:
    """``gate``, into a buffer; overwrites the first half of ``x``."""
    x[:, : x.shape[-1] // 2].tanh_()
    # pyrefly: ignore[unexpected-keyword]  # torch's stubs leave ``out`` out.
    torch._C._nn.glu(x, -1, out=out)
