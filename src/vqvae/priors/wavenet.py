"""The WaveNet prior over sequences of codes [VQVAE §3.3, §4.3]: https://arxiv.org/abs/1609.03499."""

from dataclasses import field

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.codes import check_prefix
from vqvae.config import CODEBOOK, settings
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import Choice
from vqvae.layers.wavenet import WaveNet, check_wavenet
from vqvae.layers.wavenet_decoding import WaveNetState
from vqvae.priors.base import AutoregressivePrior, check_label, check_prior_codes


@settings
class WaveNetConfig:
    """A WaveNet over codes in time."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per time step. They alternate in the sequence."""
    layers: int = 20
    """Dilated layers."""
    cycle: int = 10
    """Number of layers after which dilations repeat: 1, 2, 4, ... 2^(cycle − 1)."""
    residual: int = 64
    """Channels of the layers."""
    skip: int = 128
    """Channels of the sum of all layers."""
    output_hidden: int = 128
    """Channels of the output layer's hidden units."""
    classes: int = 0
    """Number of classes, such as speakers, of ``condition.label``; 0: unconditional."""
    dropout: float = 0.0
    """Dropout probability of the gates in training."""

    def __post_init__(self) -> None:
        check_wavenet(self)
        if self.classes < 0:
            raise ConfigError(f"WaveNetConfig.classes is {self.classes}; it must be 0 (none) or more.")

    def build(self) -> "WaveNetPrior":
        return WaveNetPrior(self)


class WaveNetPrior(AutoregressivePrior):
    """p(codes) of sequences, the codebooks of a time step one after the other, optionally given a class. Codes with more than one axis,
    such as those of video, are one sequence in raster order.

    codes (batch, codebooks, *space) ─ codebooks take turns ─ WaveNet, whose gates a class adds to ─ logits
    """

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        self.num_codebooks, self.codebook_size, self.classes = config.num_codebooks, config.codebook_size, config.classes
        self.wavenet = WaveNet(
            codebook_size=config.codebook_size,
            num_codebooks=config.num_codebooks,
            layers=config.layers,
            cycle=config.cycle,
            residual=config.residual,
            skip=config.skip,
            output_hidden=config.output_hidden,
            dropout=config.dropout,
        )
        self.label = nn.Embedding(config.classes, config.layers * 2 * config.residual) if config.classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.1)

    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes | condition), in nats per example. Sequences of several lengths are padded at their ends, where the mask is
        False. Padding does not affect earlier codes.

        Raises:
            DataError: if codes have the wrong shape or range, the mask is True after it was False, or a label is missing, not wanted
                or out of range.
        """
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        self._check_space(codes.shape[2:])
        check_label(condition, self.classes, len(codes))
        mask = mask if mask is None else mask.flatten(1)
        if mask is not None and bool((mask[:, 1:] & ~mask[:, :-1]).any()):
            raise DataError("The mask is True after it was False; a WaveNet needs sequences padded at their ends.")
        nats = self._nats(codes, condition)
        return -(nats if mask is None else nats * mask.repeat_interleave(self.num_codebooks, 1)).sum(1)

    @torch.no_grad()
    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the codes before it, in nats, in one pass.

        Raises:
            DataError: as ``log_prob``.
        """
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        self._check_space(codes.shape[2:])
        check_label(condition, self.classes, len(codes))
        return -self._nats(codes, condition).view(len(codes), *codes.shape[2:], self.num_codebooks).movedim(-1, 1)

    @torch.no_grad()
    def start(
        self,
        batch_size: int,
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
    ) -> WaveNetState:
        """The decoding state before the first code.

        Raises:
            DataError: if space has no axis, the prefix has the wrong shape or range, or the label is wrong.
        """
        self._check_space(space)
        check_label(condition, self.classes, batch_size)
        if prefix is not None:
            prefix = check_prefix(prefix, (batch_size, self.num_codebooks, *space), self.codebook_size, "WaveNet")
        return self.wavenet.start(batch_size, self._bias(condition), prefix=None if prefix is None else _in_turns(prefix))

    def step(self, code: Int[Tensor, " batch"] | None, state: WaveNetState) -> tuple[Float[Tensor, "batch codebook_size"], WaveNetState]:
        """Feed the previous code (None at first) and return the logits of the next, in float32 under any autocast."""
        return self.wavenet.step(code, state)

    def fused(
        self, state: WaveNetState, uniforms: Float64[Tensor, "batch draws"], choice: Choice = Choice()
    ) -> Int64[Tensor, "batch draws"]:
        """All codes at once from a state that has ``can_fuse``, in one compiled kernel.

        Raises:
            MissingExtraError: if numba is not installed.
        """
        return self.wavenet.fused(state, uniforms, choice)

    def _nats(self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition) -> Float[Tensor, "batch values"]:
        """What each code costs, in the order of ``_in_turns``."""
        values = _in_turns(codes)
        logits = self.wavenet(values, self._bias(condition))
        return F.cross_entropy(logits.flatten(0, 1), values.flatten(), reduction="none").view(values.shape)

    def _bias(self, condition: Condition) -> Float[Tensor, "batch one layers gates"] | None:
        if self.label is None:
            return None
        return self.label(condition.label).view(-1, 1, self.config.layers, 2 * self.config.residual)

    def _check_space(self, space: tuple[int, ...]) -> None:
        if not space:
            raise DataError("The codes have no axis of space; a WaveNet needs sequences, (batch, codebooks, time).")


def _in_turns(codes: Integer[Tensor, "batch codebooks *space"]) -> Int[Tensor, "batch values"]:
    """The codes as one sequence in raster order, codebook fastest."""
    return codes.movedim(1, -1).flatten(1)
