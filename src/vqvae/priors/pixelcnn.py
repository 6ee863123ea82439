"""The gated PixelCNN prior over maps of codes [VQVAE §3.3]: https://arxiv.org/abs/1606.05328."""

from dataclasses import field

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from vqvae.config import CODEBOOK, settings
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.code_pixelcnn import CodesPixelCNN, PixelCNNState, check_pixelcnn
from vqvae.priors.base import AutoregressivePrior, check_label, check_prior_codes


@settings
class PixelCNNConfig:
    """A gated PixelCNN over codes."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per position. They are predicted in order, each from those before it."""
    layers: int = 12
    """Gated layers."""
    hidden: int = 64
    """Channels of the vertical and of the horizontal stack."""
    kernel: int = 5
    """Width of the convolutions, odd; they reach kernel // 2 rows up and columns to the left."""
    classes: int = 0
    """Number of classes of ``condition.label``; 0: unconditional."""
    output_hidden: int = 128
    """Hidden channels of the output layer, per codebook."""
    dropout: float = 0.0
    """Dropout probability of the horizontal gates in training."""

    def __post_init__(self) -> None:
        check_pixelcnn(self)
        if self.classes < 0:
            raise ConfigError(f"PixelCNNConfig.classes is {self.classes}; it must be 0 (none) or more.")

    def build(self) -> "PixelCNN":
        return PixelCNN(self)


class PixelCNN(CodesPixelCNN, AutoregressivePrior):
    """p(codes) by ``CodesPixelCNN``, optionally given a class, which adds a bias to the gates of every layer."""

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__(
            codebook_size=config.codebook_size,
            num_codebooks=config.num_codebooks,
            layers=config.layers,
            hidden=config.hidden,
            kernel=config.kernel,
            output_hidden=config.output_hidden,
            dropout=config.dropout,
        )
        self.config = config
        self.classes = config.classes
        self.label = nn.Embedding(config.classes, config.layers * 4 * config.hidden) if config.classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.1)

    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes | condition), in nats per example. Positions where the mask is False lie outside the map.

        Raises:
            DataError: if codes have the wrong shape or range, or a label is missing, not wanted or out of range.
        """
        codes = self._check(codes, condition)
        if not codes.numel():
            return torch.zeros(len(codes), dtype=torch.float32, device=codes.device)
        each = self._each(codes, condition, mask)
        each = each if mask is None else each * mask.unsqueeze(1)
        return each.flatten(1).sum(1)

    @torch.no_grad()
    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the codes before it, in nats, in one pass.

        Raises:
            DataError: as ``log_prob``.
        """
        return self._each(self._check(codes, condition), condition, None)

    def log_probs(
        self, codes: Integer[Tensor, "batch codebooks height width"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks codebook_size height width"]:
        """log p(k | previous codes) of every code k at every position, in nats. ``log_prob`` sums the entries of the given codes.

        Raises:
            DataError: as for ``log_prob``.
        """
        codes = self._check(codes, condition)
        hidden = self._hidden(codes, self._bias(condition), None)
        places = (len(codes), *codes.shape[2:], self.codebook_size)
        books = [self._logits(hidden, i).log_softmax(1).view(places) for i in range(self.num_codebooks)]
        return torch.stack(books, dim=1).movedim(-1, 2)

    @torch.no_grad()
    def start(
        self,
        batch_size: int,
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
    ) -> PixelCNNState:
        """The decoding state before the first code. Leading rows that ``prefix`` knows in all examples are processed at once:
        ``state.position`` counts their codes, and the next call is still ``step(None, state)``.

        Raises:
            DataError: if space does not have two axes, the prefix has the wrong shape or range, or the label is wrong.
        """
        self._check_space(space)
        check_label(condition, self.classes, batch_size)
        return self._start(batch_size, space, self._bias(condition), prefix)

    def _each(
        self, codes: Int[Tensor, "batch codebooks height width"], condition: Condition, mask: Bool[Tensor, "batch height width"] | None
    ) -> Float[Tensor, "batch codebooks height width"]:
        hidden = self._hidden(codes, self._bias(condition), mask)
        return self._log_probs_of(hidden, codes)

    def _bias(self, condition: Condition) -> Float[Tensor, "batch layers 2 gates"] | None:
        if self.label is None:
            return None
        return self.label(condition.label).view(-1, self.config.layers, 2, 2 * self.config.hidden)

    def _check(self, codes: Tensor, condition: Condition) -> Tensor:
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        self._check_space(codes.shape[2:])
        check_label(condition, self.classes, len(codes))
        return codes

    def _check_space(self, space: tuple[int, ...]) -> None:
        if len(space) != 2:
            raise DataError(f"The space of these codes has {len(space)} axes {tuple(space)}; a PixelCNN needs two, (height, width).")
