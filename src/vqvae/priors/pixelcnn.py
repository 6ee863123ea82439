"""The gated PixelCNN prior over maps of codes [VQVAE §3.3]: https://arxiv.org/abs/1606.05328."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.layers.autoregressive import ARGMAX_BELOW, Choice
from vqvae.layers.pixelcnn import GatedPixelCNN, PackedPixelCNN, PixelCNNDecoding, pack
from vqvae.priors.base import AutoregressivePrior, check_prior_codes, count_codes

FUSED = 16
"""Up to so many examples a core are drawn faster by the compiled kernel, one by one, than all together by PyTorch."""


@dataclass(frozen=True, kw_only=True)
class PixelCNNConfig:
    """A gated PixelCNN over codes."""

    codebook_size: int
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes a position; they are predicted one after the other, each from the ones before it."""
    layers: int = 12
    """Gated layers."""
    hidden: int = 64
    """Channels of the vertical and of the horizontal stack."""
    kernel: int = 5
    """Width of the convolutions, odd; they reach kernel // 2 rows up and columns to the left."""
    classes: int = 0
    """Classes that ``condition.label`` can name; 0 for a prior without classes."""
    output_hidden: int = 128
    """Channels of the output layer's hidden units, of each codebook."""
    dropout: float = 0.0
    """Share of the horizontal gates that are dropped in training."""

    def __post_init__(self) -> None:
        for name in ("codebook_size", "num_codebooks", "layers", "hidden", "output_hidden"):
            if getattr(self, name) < 1:
                raise ConfigError(f"PixelCNNConfig.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ConfigError(f"PixelCNNConfig.kernel is {self.kernel}; it must be odd and at least 3.")
        if self.classes < 0:
            raise ConfigError(f"PixelCNNConfig.classes is {self.classes}; it must be 0 (none) or more.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"PixelCNNConfig.dropout is {self.dropout}; it must lie in [0, 1).")

    def build(self) -> "PixelCNN":
        return PixelCNN(self)


class PixelCNN(AutoregressivePrior):
    """p(codes) = Π p(code | all codes before it, in raster order, codebook fastest), optionally given a class.

    codes ─ embeddings, summed over codebooks ─ gated stack ─ ReLU ─ 1×1 ─ + earlier codes of the position ─ ReLU ─ 1×1 ─ logits

    The codes of one position are modelled as in NADE [AISTATS 2011]: each adds a vector to the hidden units of those after it,
    which makes the factorisation exact at the cost of one look-up a code.
    """

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.num_codebooks, self.codebook_size, self.classes = config.num_codebooks, config.codebook_size, config.classes
        books, size, hidden, output = config.num_codebooks, config.codebook_size, config.hidden, config.output_hidden
        self.embedding = nn.Parameter(torch.randn(books, size, hidden) / books**0.5)
        self.stack = GatedPixelCNN(hidden, config.layers, config.kernel, config.dropout)
        self.label = nn.Embedding(config.classes, config.layers * 4 * hidden) if config.classes else None
        self.output = nn.Linear(hidden, books * output)
        # What a code tells those after it in its position; the last one has none after it.
        self.earlier = nn.Parameter(torch.randn(books - 1, size, output) / books**0.5) if books > 1 else None
        self.logits_weight = nn.Parameter(torch.empty(books, output, size).uniform_(-1, 1) / output**0.5)
        self.logits_bias = nn.Parameter(torch.zeros(books, size))
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.1)
        self._last_packed: tuple[list[tuple[Any, ...]], Packed] | None = None

    def forward(self, batch: Batch) -> Objective:
        """The cross-entropy of a batch of codes (batch, codebooks, height, width), in nats a code."""
        loss = -self.log_prob(batch.x, batch.condition, batch.mask).sum() / count_codes(batch.x, batch.mask)
        return Objective(loss, {"nats_per_code": loss.detach()})

    def log_prob(
        self,
        codes: Int[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes | condition), in nats an example. Where the mask is False a position is no part of the map.

        Raises:
            DataError: codes of the wrong shape or range, or a label that is missing, not wanted or out of range.
        """
        check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        self._check_space(codes.shape[2:])
        self._check_label(condition, len(codes))
        if not codes.numel():
            return torch.zeros(len(codes), device=codes.device)
        codes = codes.long()
        hidden = self._hidden(codes, condition, mask)
        each = torch.stack([self._log_prob_of(hidden[..., i, :], codes[:, i], i) for i in range(self.num_codebooks)], dim=1)
        each = each if mask is None else each * mask.unsqueeze(1)
        return each.flatten(1).sum(1)

    @torch.no_grad()
    def start(
        self,
        batch_size: int,
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Int[Tensor, "batch codebooks *space"] | None = None,
    ) -> "PixelCNNState":
        """The decoding state before the first code. Leading rows that ``prefix`` knows in all examples are taken in at once:
        ``state.position`` codes are then behind it, and the next call is still ``step(None, state)``.

        Raises:
            DataError: space that has not two axes, a prefix of the wrong shape or range, or a wrong label.
        """
        self._check_space(space)
        self._check_label(condition, batch_size)
        if prefix is not None:
            if tuple(prefix.shape) != (batch_size, self.num_codebooks, *space):
                expected = (batch_size, self.num_codebooks, *space)
                raise DataError(f"The prefix has the shape {tuple(prefix.shape)}; it must be {expected}, with -1 for codes to be drawn.")
            check_prior_codes(prefix.clamp_min(0), self.num_codebooks, self.codebook_size)
        return PixelCNNState(self._packed(), batch_size, space, self._bias(condition), prefix)

    @torch.no_grad()
    def step(
        self, code: Int[Tensor, " batch"] | None, state: "PixelCNNState"
    ) -> tuple[Float[Tensor, "batch codebook_size"], "PixelCNNState"]:
        """Feed the code before (None at the first) and get the logits of the next one, in float32 under any autocast."""
        if code is not None:
            state.feed(code)
        return state.logits(), state

    @torch.no_grad()
    def fused(
        self, state: "PixelCNNState", uniforms: Float64[Tensor, "batch draws"], choice: Choice = Choice()
    ) -> Int64[Tensor, "batch draws"]:
        """All codes at once from a state that is fresh from ``start`` and has ``can_fuse``: the loop of
        ``vqvae.layers.autoregressive.sample`` as one compiled kernel.

        Raises:
            MissingExtraError: numba is not installed.
        """
        try:
            from vqvae.layers import compiled  # Here, because numba is an extra and slow to import.
        except ImportError as error:
            raise MissingExtraError("numba", "fast") from error
        return state.fused(compiled.sample_pixelcnn, uniforms, choice)

    def _hidden(
        self, codes: Int[Tensor, "batch codebooks height width"], condition: Condition, mask: Tensor | None
    ) -> Float[Tensor, "batch height width codebooks output"]:
        """The hidden units of the output layer, before their ReLU."""
        features = self.stack(self._embed(codes), self._bias(condition), mask)
        hidden = self.output(features.relu()).unflatten(-1, (self.num_codebooks, -1))
        if self.earlier is not None:
            told = torch.stack([F.embedding(codes[:, i], table) for i, table in enumerate(self.earlier)], dim=-2)
            hidden = hidden + F.pad(told.cumsum(-2), (0, 0, 1, 0)).to(hidden.dtype)
        return hidden

    def _log_prob_of(self, hidden: Tensor, codes: Int[Tensor, "batch height width"], book: int) -> Float[Tensor, "batch height width"]:
        logits = hidden.relu().flatten(0, -2) @ self.logits_weight[book]
        with torch.autocast(codes.device.type, enabled=False):
            return -F.cross_entropy(logits.float() + self.logits_bias[book], codes.flatten(), reduction="none").view(codes.shape)

    def _embed(self, codes: Int[Tensor, "batch codebooks height width"]) -> Float[Tensor, "batch height width hidden"]:
        """The sum of the embeddings of each position's codes, in the type that convolutions run in."""
        offset = torch.arange(self.num_codebooks, device=codes.device).view(-1, 1, 1) * self.codebook_size
        found = F.embedding(codes + offset, self.embedding.flatten(0, 1)).sum(1)
        kind = codes.device.type
        return found.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else found

    def _bias(self, condition: Condition) -> Float[Tensor, "batch layers 2 gates"] | None:
        if self.label is None:
            return None
        return self.label(condition.label).view(-1, self.config.layers, 2, 2 * self.config.hidden)

    def _packed(self) -> "Packed":
        """The weights as decoding takes them; in evaluation mode made anew only where a weight was changed or moved."""
        changed = [(weight.data_ptr(), weight.dtype, 0 if weight.is_inference() else weight._version) for weight in self.parameters()]
        if self.training or self._last_packed is None or self._last_packed[0] != changed:
            self._last_packed = (changed, self._pack())
        return self._last_packed[1]

    @torch.no_grad()
    def _pack(self) -> "Packed":
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

    def _check_space(self, space: tuple[int, ...]) -> None:
        if len(space) != 2:
            raise DataError(f"The space of these codes has {len(space)} axes {tuple(space)}; a PixelCNN takes two, (height, width).")

    def _check_label(self, condition: Condition, batch_size: int) -> None:
        label = condition.label
        if self.classes == 0:
            if label is not None:
                raise DataError("condition.label was given, but this prior was trained without classes; leave it out.")
            return
        if label is None:
            raise DataError(f"condition.label is missing; this prior has {self.classes} classes, numbered from 0.")
        if label.shape != (batch_size,):
            raise DataError(f"condition.label has the shape {tuple(label.shape)}; one label for each of {batch_size} examples is expected.")
        if batch_size and not 0 <= int(label.min()) <= int(label.max()) < self.classes:
            raise DataError(f"Labels lie between {int(label.min())} and {int(label.max())}; this prior has 0 to {self.classes - 1}.")


class Packed(NamedTuple):
    """The weights of the prior as decoding takes them, at least float32."""

    embedding: Float[Tensor, "codebooks codebook_size hidden"]
    stack: PackedPixelCNN
    output: Float[Tensor, "hidden outputs"]
    output_bias: Float[Tensor, " outputs"]
    earlier: Float[Tensor, "shortened codebook_size output"]
    logits: Float[Tensor, "codebooks output codebook_size"]
    logits_bias: Float[Tensor, "codebooks codebook_size"]


class PixelCNNState:
    """Where a decoding stands, and what it needs to go on."""

    position: int
    """Codes that are behind it, in raster order, codebook fastest."""
    device: torch.device
    can_fuse: bool
    """Whether ``PixelCNN.fused`` takes it."""
    gains_from_fusing: bool
    """Whether that is faster than step by step, too."""

    def __init__(
        self,
        packed: Packed,
        batch_size: int,
        space: tuple[int, ...],
        bias: Float[Tensor, "batch layers 2 gates"] | None,
        prefix: Int[Tensor, "batch codebooks height width"] | None,
    ) -> None:
        """Allocate the buffers and take in the rows that are known."""
        self.height, self.width = space
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
        self.device = packed.output.device
        self.can_fuse = packed.output.dtype == torch.float32 and self.device.type == "cpu"
        # Examples are drawn one by one, on a core each; large batches have large matrix products, which gain from doing all at once.
        self.gains_from_fusing = self.can_fuse and batch_size <= FUSED * torch.get_num_threads()
        self.position = 0
        if prefix is not None:
            self._take_known_rows(prefix.long())

    def _take_known_rows(self, known: Int64[Tensor, "batch codebooks height width"]) -> None:
        """Run the vertical stack over the rows at the top that are known in every example; nothing else of them is needed."""
        complete = int((known >= 0).all(3).all(1).all(0).int().cumprod(0).sum())
        for row in range(complete):
            self._decoding.row(self._row if row else None)
            self._row.zero_()
            for table, codes in zip(self._packed.embedding, known[:, :, row].unbind(1), strict=True):
                self._row.add_(table[codes])
        self.position = complete * self.width * self._books

    def fused(self, kernel: Callable[..., None], uniforms: Float64[Tensor, "batch draws"], choice: Choice) -> Int64[Tensor, "batch draws"]:
        """Draw all codes that are not known with a kernel that takes the weights as arrays, example by example, on as many cores
        as torch has threads: the kernel lets go of the interpreter's lock."""
        packed, biases = self._packed, self._decoding.biases.permute(2, 0, 1, 3).contiguous()
        batch, shape = len(uniforms), (self.height, self.width, self._books)
        codes = torch.full((batch, *shape), -1)
        if self._known is not None:  # Copied: the kernel writes into it.
            codes.copy_(self._known.permute(0, 2, 3, 1))
        options = (np.float32(0 if choice.temperature < ARGMAX_BELOW else choice.temperature), choice.top_k or 0, choice.top_p or 1.0)

        def draw(i: int) -> None:
            stack = packed.stack._replace(rows_bias=biases[i, 0], columns_bias=biases[i, 1])
            weights = (packed.embedding, *stack, *packed[2:])
            arrays = tuple(weight.detach().contiguous().numpy() for weight in weights)
            kernel(codes[i].numpy(), uniforms[i].contiguous().numpy(), *options, arrays)

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(draw, range(batch)))
        return codes.flatten(1)

    def feed(self, code: Int[Tensor, " batch"]) -> None:
        """Take in the code at ``position``."""
        place, book = divmod(self.position, self._books)
        torch.index_select(self._packed.embedding[book], 0, code, out=self._found)
        if book == 0:
            self._sum.copy_(self._found)
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
        """The logits of the code at ``position``, once for each position."""
        packed, (place, book) = self._packed, divmod(self.position, self._books)
        row, column = divmod(place, self.width)
        if book == 0:
            if column == 0:
                self._decoding.row(self._row if row else None)
            features = self._decoding.position(column, self._sum if column else None)
            torch.addmm(packed.output_bias, features.relu_(), packed.output, out=self._output)
            torch.clamp_min(self._outputs[0], 0, out=self._hidden)
        else:
            torch.add(self._outputs[book], self._told, out=self._hidden).relu_()
        logits = self._hidden.new_empty(len(self._hidden), packed.logits.shape[2])
        return torch.addmm(packed.logits_bias[book], self._hidden, packed.logits[book], out=logits)
