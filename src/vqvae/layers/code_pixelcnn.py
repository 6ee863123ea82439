"""A gated PixelCNN over maps of codes, run in parallel or code by code. A prior and a decoder over codes share it."""

import math
from abc import ABC
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64, Integer
from torch import Tensor, nn

from vqvae.codes import check_prefix
from vqvae.config import check_at_least
from vqvae.errors import ConfigError, MissingExtraError
from vqvae.layers.autoregressive import ARGMAX_BELOW, Choice
from vqvae.layers.codes_output import CodesOutput, embed_codes
from vqvae.layers.pixelcnn import GatedPixelCNN, PackedPixelCNN, PixelCNNDecoding, Surroundings, pack
from vqvae.layers.places import Places

TOGETHER = 8
"""Examples that the kernel draws in step. The weights, about a megabyte, are then read from a far cache an eighth as often."""


class CodesPixelCNN(CodesOutput, ABC):
    """p(codes) = Π p(code | all codes before it, in raster order, codebook fastest), given a bias for each gate.

    codes ─ embeddings, summed over codebooks ─ gated stack ─ ReLU ─ 1×1 ─ + earlier codes of the position ─ ReLU ─ 1×1 ─ logits

    ``CodesOutput`` holds the output layers. A subclass defines the bias.

    Differs from the paper: sines of a position's row and column are added to its embedding. So even a shallow stack, which sees little
    of the map, can tell the top of a picture from the bottom.
    """

    def __init__(
        self, *, codebook_size: int, num_codebooks: int, layers: int, hidden: int, kernel: int, output_hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.num_codebooks, self.codebook_size = num_codebooks, codebook_size
        self.embedding = nn.Parameter(torch.randn(num_codebooks, codebook_size, hidden).div_(num_codebooks**0.5))
        self.place = Places(hidden)
        self.stack = GatedPixelCNN(hidden, layers, kernel, dropout)
        self._make_output(hidden, output_hidden)

    @torch.no_grad()
    def step(
        self, code: Int[Tensor, " batch"] | None, state: "PixelCNNState"
    ) -> tuple[Float[Tensor, "batch codebook_size"], "PixelCNNState"]:
        """Feed the previous code (None at first) and return the logits of the next, in float32 even under autocast."""
        if code is not None:
            state.feed(code)
        return state.logits(), state

    @torch.no_grad()
    def fused(
        self, state: "PixelCNNState", uniforms: Float64[Tensor, "batch draws"], choice: Choice = Choice()
    ) -> Int64[Tensor, "batch draws"]:
        """Draw all codes with one compiled kernel: the loop of ``vqvae.layers.autoregressive.sample``. The state must be fresh from
        ``start``, with ``can_fuse`` true.

        Raises:
            MissingExtraError: if numba is not installed.
        """
        return state.fused(uniforms, choice)

    def _start(
        self,
        batch_size: int,
        space: tuple[int, ...],
        bias: Float[Tensor, "batch layers 2 gates"] | None,
        prefix: Integer[Tensor, "batch codebooks *space"] | None,
    ) -> "PixelCNNState":
        """The state before the first code after the leading rows of ``prefix`` that are fully known.

        Raises:
            DataError: if the prefix has the wrong shape or range.
        """
        if prefix is not None:
            prefix = check_prefix(prefix, (batch_size, self.num_codebooks, *space), self.codebook_size, "PixelCNN")
        return PixelCNNState(self._packed(), self.place(space), batch_size, bias, prefix)

    def _hidden(
        self,
        codes: Integer[Tensor, "batch codebooks height width"],
        bias: Float[Tensor, "batch layers 2 gates"] | None,
        mask: Tensor | None,
        around: Surroundings | None = None,
    ) -> Float[Tensor, "batch height width codebooks output"]:
        """The hidden units of the output layer, before their ReLU."""
        features = self.stack(self._embed(codes), bias, mask, around)
        hidden = self.output(features.relu())
        hidden = (hidden if around is None else hidden + around.output.to(hidden.dtype)).unflatten(-1, (self.num_codebooks, -1))
        told = self._told(codes)
        return hidden if told is None else hidden + told.to(hidden.dtype)

    def _embed(self, codes: Integer[Tensor, "batch codebooks height width"]) -> Float[Tensor, "batch height width hidden"]:
        """The sum of the embeddings of each position's codes and of its place, in the dtype of the convolutions."""
        found = embed_codes(codes, self.embedding) + self.place(tuple(codes.shape[2:]))
        kind = codes.device.type
        return found.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else found

    def _packed(self) -> "Packed":
        """The weights in the layout of decoding. They are packed anew each time: fused optimizers change weights undetectably."""
        dtype = torch.promote_types(self.embedding.dtype, torch.float32)
        return Packed(
            embedding=self.embedding.detach().to(dtype),
            stack=pack(self.stack),
            output=self.output.weight.t().to(dtype).contiguous(),
            output_bias=self.output.bias.detach().to(dtype),
            earlier=self.logits_weight.new_empty(0, 1, 1, dtype=dtype) if self.earlier is None else self.earlier.detach().to(dtype),
            logits=self.logits_weight.detach().to(dtype),
            logits_bias=self.logits_bias.detach().to(dtype),
        )


def check_pixelcnn(config: Any) -> None:
    """Raise ConfigError if a number in the configuration of a PixelCNN over codes is out of range."""
    kind = type(config).__name__
    names = ("codebook_size", "num_codebooks", "layers", "hidden", "output_hidden")
    check_at_least(1, config, *(name for name in names if hasattr(config, name)))
    if config.kernel < 3 or config.kernel % 2 == 0:
        raise ConfigError(f"{kind}.kernel is {config.kernel}; it must be odd and at least 3.")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"{kind}.dropout is {config.dropout}; it must lie in [0, 1).")


class Packed(NamedTuple):
    """The weights in the layout of decoding, in float32 at least."""

    embedding: Float[Tensor, "codebooks codebook_size hidden"]
    stack: PackedPixelCNN
    output: Float[Tensor, "hidden outputs"]
    output_bias: Float[Tensor, " outputs"]
    earlier: Float[Tensor, "shortened codebook_size output"]
    logits: Float[Tensor, "codebooks output codebook_size"]
    logits_bias: Float[Tensor, "codebooks codebook_size"]


class PixelCNNState:
    """The state of a decoding."""

    position: int
    """Number of codes processed, in raster order, codebook fastest."""
    device: torch.device
    can_fuse: bool
    """Whether ``CodesPixelCNN.fused`` accepts this state."""

    def __init__(
        self,
        packed: Packed,
        places: Float[Tensor, "height width hidden"],
        batch_size: int,
        bias: Float[Tensor, "batch layers 2 gates"] | None,
        prefix: Integer[Tensor, "batch codebooks height width"] | None,
        around: Surroundings | None = None,
    ) -> None:
        """Allocate the buffers and process the known rows."""
        self.height, self.width = places.shape[:2]
        self._places = places.to(packed.output.dtype)
        self._packed, self._decoding = packed, PixelCNNDecoding(packed.stack, batch_size, self.width, bias)
        self._books = len(packed.embedding)
        new, hidden = packed.output.new_zeros, packed.embedding.shape[-1]
        self._row, self._sum = new(batch_size, self.width, hidden), new(batch_size, hidden)
        self._found = new(batch_size, hidden)
        self._told_found = new(batch_size, packed.logits.shape[1])
        self._told = torch.zeros_like(self._told_found)
        self._output = new(batch_size, packed.output.shape[1])
        self._outputs = self._output.view(batch_size, self._books, packed.logits.shape[1]).unbind(1)
        self._hidden = torch.zeros_like(self._told)
        self._known = prefix
        self._around = None if around is None else Surroundings(*(part.to(packed.output.dtype).contiguous() for part in around))
        self.device = packed.output.device
        self.can_fuse = packed.output.dtype == torch.float32 and self.device.type == "cpu"
        self.position = 0
        if prefix is not None:
            self._take_known_rows(prefix.long())

    def _take_known_rows(self, known: Int64[Tensor, "batch codebooks height width"]) -> None:
        """Run the vertical stack over the top rows that are known in every example. Decoding needs nothing else from them."""
        complete = int((known >= 0).all(3).all(1).all(0).int().cumprod(0).sum())
        for row in range(complete):
            self._run_row(row)
            self._row.copy_(self._places[row])
            for table, codes in zip(self._packed.embedding, known[:, :, row].unbind(1), strict=True):
                self._row.add_(table[codes])
        self.position = complete * self.width * self._books

    def _run_row(self, row: int) -> None:
        """Run the vertical stack for a row."""
        self._decoding.row(self._row if row else None, None if self._around is None else self._around.down[:, row])

    def fused(self, uniforms: Float64[Tensor, "batch draws"], choice: Choice) -> Int64[Tensor, "batch draws"]:
        """Draw all unknown codes with a kernel that takes the weights as arrays. It draws up to ``TOGETHER`` examples in step, and runs on
        as many cores as torch has threads: it releases the interpreter's lock.

        Raises:
            MissingExtraError: if numba is not installed.
        """
        try:
            from vqvae.layers.kernels.pixelcnn import sample_pixelcnn  # Here, because numba is an extra and slow to import.
        except ImportError as error:
            raise MissingExtraError("numba", "fast") from error
        packed, biases = self._packed, self._decoding.biases.permute(2, 0, 1, 3).contiguous().numpy()
        batch, threads = len(uniforms), torch.get_num_threads()
        drawn = torch.full((batch, self.height, self.width, self._books), -1, device=self.device)
        if self._known is not None:  # Copied: the kernel writes into it.
            drawn.copy_(self._known.permute(0, 2, 3, 1))
        codes, numbers = drawn.numpy(), uniforms.contiguous().numpy()
        options = (np.float32(0 if choice.temperature < ARGMAX_BELOW else choice.temperature), choice.top_k or 0, choice.top_p or 1.0)
        places = self._places.detach().contiguous().numpy()
        widths = (packed.embedding.shape[-1], packed.embedding.shape[-1], packed.output.shape[1])
        nothing = (self._places.new_zeros(batch, self.height, self.width, width) for width in widths)
        around = tuple(part.detach().numpy() for part in (nothing if self._around is None else self._around))
        stack = (weight for name, weight in packed.stack._asdict().items() if name not in ("rows_bias", "columns_bias"))
        weights = tuple(weight.detach().contiguous().numpy() for weight in (packed.embedding, *stack, *packed[2:]))

        def draw(some: slice) -> None:
            given = tuple(part[some] for part in around)
            sample_pixelcnn(codes[some], numbers[some], *options, places, given, biases[some], weights)

        size = min(TOGETHER, math.ceil(batch / threads))
        groups = [slice(first, first + size) for first in range(0, batch, max(size, 1))]
        if len(groups) == 1:
            draw(groups[0])
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(draw, groups))
        return drawn.flatten(1)

    def feed(self, code: Int[Tensor, " batch"]) -> None:
        """Process the code at ``position``."""
        place, book = divmod(self.position, self._books)
        torch.index_select(self._packed.embedding[book], 0, code, out=self._found)
        if book == 0:
            torch.add(self._found, self._places[divmod(place, self.width)], out=self._sum)
            self._told.zero_()
        else:
            self._sum.add_(self._found)
        if book < self._books - 1:
            torch.index_select(self._packed.earlier[book], 0, code, out=self._told_found)
            self._told.add_(self._told_found)
        else:
            self._row[:, place % self.width].copy_(self._sum)
        self.position += 1

    def logits(self) -> Float[Tensor, "batch codebook_size"]:
        """The logits of the code at ``position``. Call it once for each position."""
        packed, (place, book) = self._packed, divmod(self.position, self._books)
        row, column = divmod(place, self.width)
        if book == 0:
            if column == 0:
                self._run_row(row)
            around = None if self._around is None else Surroundings(*(part[:, row, column] for part in self._around))
            features = self._decoding.position(column, self._sum if column else None, None if around is None else around.right)
            torch.addmm(packed.output_bias, features.relu_(), packed.output, out=self._output)
            if around is not None:
                self._output.add_(around.output)
            torch.clamp_min(self._outputs[0], 0, out=self._hidden)
        else:
            torch.add(self._outputs[book], self._told, out=self._hidden).relu_()
        logits = self._hidden.new_empty(len(self._hidden), packed.logits.shape[2])
        return torch.addmm(packed.logits_bias[book], self._hidden, packed.logits[book], out=logits)
