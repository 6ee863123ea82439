"""The decoder of speech: a WaveNet conditioned on the vectors and the speaker, [VQVAE §4.3] and https://arxiv.org/abs/1609.03499."""

from typing import Any

import torch
from jaxtyping import Float, Float64, Int, Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.codes import check_codes, check_prefix
from vqvae.config import check_at_least, settings
from vqvae.data.base import Condition
from vqvae.errors import DataError
from vqvae.layers.autoregressive import Choice
from vqvae.layers.wavenet import WaveNet
from vqvae.layers.wavenet_decoding import WaveNetState
from vqvae.networks.base import AutoregressiveDecoder, Given
from vqvae.networks.speakers import Speakers

_CONTEXT = 2
"""Number of convolutions over the vectors, with three positions each."""


@settings
class WaveNetDecoderConfig:
    """A WaveNet over the bins of a wave. The vectors and the speaker condition every gate."""

    stride: int = 64
    """Samples per latent."""
    levels: int = 256
    """Bins of the likelihood."""
    speakers: int = 0
    """Number of speakers of ``condition.label``; 0 without speakers."""
    layers: int = 30
    """Gated layers."""
    cycle: int = 10
    """Number of layers after which dilations repeat from 1."""
    residual: int = 64
    """Channels of the residual stream."""
    skip: int = 128
    """Channels of the skip connections and of the output layer."""
    condition_hidden: int = 128
    """Channels between the vectors and the gates."""
    int8: bool = True
    """Whether to draw waves with 8-bit weights: one core then draws 64 channels in real time. Training is unaffected."""

    def build(self, dim: int, num_parameters: int) -> "WaveNetDecoder":
        return WaveNetDecoder(self, dim, num_parameters)


class WaveNetDecoder(AutoregressiveDecoder):
    """p(wave | vectors, speaker), sample by sample.

    z_q ─ [conv 3, ReLU] × 2, + speaker ─ upsample to blocks of samples ─ ReLU ─ 1×1 ─ bias of every gate ─ WaveNet ─ parameters

    The bias of the gates is constant over blocks of ``block`` samples, a millisecond at 16 kHz, so it costs little per sample. All
    padding is zeros around the vectors.
    """

    num_codebooks = 1

    def __init__(self, config: WaveNetDecoderConfig, dim: int, num_parameters: int) -> None:
        super().__init__()
        check_at_least(1, config, "stride", "levels", "layers", "cycle", "residual", "skip", "condition_hidden")
        self.config = config
        self.codebook_size, self.stride = config.levels, (config.stride,)
        self.block = next(length for length in (16, 8, 4, 2, 1) if config.stride % length == 0)
        """Number of samples with the same conditioning."""
        self.ratio = config.stride // self.block
        # Upsampling sees one more vector on each side.
        self.context = (_CONTEXT + 1,)
        hidden = config.condition_hidden
        self.first, self.second = nn.Conv1d(dim, hidden, 3), nn.Conv1d(hidden, hidden, 3)
        self.speakers, self.speaker = config.speakers, Speakers(config.speakers, hidden)
        self.upsample = nn.ConvTranspose1d(hidden, hidden, 2 * self.ratio, self.ratio)
        self.bias = nn.Linear(hidden, config.layers * 2 * config.residual)
        self.wavenet = WaveNet(
            codebook_size=config.levels,
            layers=config.layers,
            cycle=config.cycle,
            residual=config.residual,
            skip=config.skip,
            output_hidden=config.skip,
            ordered=True,
        )
        self.head = nn.Linear(config.levels, num_parameters) if num_parameters != config.levels else None
        """Converts the WaveNet's output to parameters that are not logits, such as those of a mixture."""

    def forward(
        self, vectors: Float[Tensor, "batch dim frames"], condition: Condition = Condition(), past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters time"]:
        """The parameters of every sample, given the vectors, the speaker and the earlier bins in ``past``.

        ``past`` (batch, 1, time) may end within the last latent; the parameters extend to the end of that latent.

        Raises:
            DataError: if bins are missing or have the wrong type, shape or range, or the speaker is missing or out of range.
        """
        if past is None:
            raise DataError("past is missing; this decoder predicts each sample from those before it. Give it the bins of the data.")
        past = check_codes(past, 1, self.codebook_size, "decoder")
        time = vectors.shape[2] * self.config.stride
        missing = time - past.shape[2] if past.ndim == 3 else -1
        if len(past) != len(vectors) or not 0 <= missing < self.config.stride:
            raise DataError(
                f"Bins have the shape {tuple(past.shape)} and vectors {tuple(vectors.shape)}; expected bins ({len(vectors)}, 1, "
                f"{time}) for these vectors, or fewer samples by less than {self.config.stride}."
            )
        # No data depends on the values that fill up the last latent.
        logits = self.wavenet(F.pad(past[:, 0].long(), (0, missing)), self.gate_bias(vectors, condition))
        return self._to_parameters(logits).transpose(1, 2)

    @torch.no_grad()
    def start(
        self, batch_size: int, space: tuple[int, ...], condition: Given, prefix: Integer[Tensor, "batch codebooks *space"] | None = None
    ) -> WaveNetState:
        """The decoding state before the first sample. ``prefix`` (batch, 1, time) holds known bins, and -1 for bins to draw.

        Raises:
            DataError: if the space or the number of waves does not fit the vectors, or the prefix or the speaker is wrong.
        """
        vectors = condition.vectors
        if len(vectors) != batch_size or space != (vectors.shape[2] * self.config.stride,):
            raise DataError(
                f"Vectors of the shape {tuple(vectors.shape)} came for {batch_size} waves of the space {tuple(space)}; "
                f"they decode to {len(vectors)} of ({vectors.shape[2] * self.config.stride},)."
            )
        if prefix is not None:
            prefix = check_prefix(prefix, (batch_size, 1, *space), self.codebook_size, "decoder")
        bias = self._decoding_bias(condition)
        known = None if prefix is None else prefix[:, 0].long()
        return self.wavenet.start(batch_size, bias, block=self.block, prefix=known, int8=self.config.int8)

    @torch.no_grad()
    def go_on(self, state: WaveNetState | None, given: Given, inside: slice) -> Any:
        """A state before the samples of some of the vectors, with the other vectors as context.

        Args:
            state: the state that has drawn the samples before; None at the start.
            inside: the vectors to decode; the vectors before and after them are context.
        """
        bias = self._decoding_bias(given)[:, inside.start * self.ratio : inside.stop * self.ratio]
        if state is None:
            return self.wavenet.start(len(bias), bias, block=self.block, int8=self.config.int8)
        state.go_on(bias)
        return state

    @torch.no_grad()
    def step(self, code: Int[Tensor, " batch"] | None, state: WaveNetState) -> tuple[Float[Tensor, "batch parameters"], WaveNetState]:
        """Feed the previous bin (None at first) and return the parameters of the next, in float32 even under autocast."""
        logits, state = self.wavenet.step(code, state)
        return self._to_parameters(logits), state

    @torch.no_grad()
    def fused(
        self, state: WaveNetState, uniforms: Float64[Tensor, "batch draws"], choice: Choice = Choice()
    ) -> Int64[Tensor, "batch draws"]:
        """The next bins from a state with ``can_fuse``, if the parameters are logits; see ``WaveNet.fused``.

        Raises:
            MissingExtraError: if numba is not installed.
        """
        assert self.head is None, "the kernel draws by logits"
        return self.wavenet.fused(state, uniforms, choice)

    def gate_bias(self, vectors: Float[Tensor, "batch dim frames"], condition: Condition) -> Float[Tensor, "batch blocks layers gates"]:
        """The bias of every gate from the vectors and the speaker, for each block of samples.

        Raises:
            DataError: if the speaker is missing or out of range.
        """
        hidden = self.first(F.pad(vectors, (self.context[0], self.context[0]))).relu()
        hidden = self.upsample(self.speaker(self.second(hidden), condition).relu())
        # A vector is spread over the time of two latents: its own and half of each neighbour's.
        hidden = hidden.narrow(2, self.ratio + self.ratio // 2, vectors.shape[2] * self.ratio)
        return self.bias(hidden.relu().transpose(1, 2)).unflatten(-1, (self.config.layers, -1))

    def _decoding_bias(self, given: Given) -> Float[Tensor, "batch blocks layers gates"]:
        with torch.autocast(given.vectors.device.type, enabled=False):
            return self.gate_bias(given.vectors.to(self.bias.weight.dtype), given.condition)

    def _to_parameters(self, logits: Float[Tensor, "*any levels"]) -> Float[Tensor, "*any parameters"]:
        """The likelihood's parameters, in float32 even under autocast."""
        if self.head is None:
            return logits
        with torch.autocast(logits.device.type, enabled=False):
            return self.head(logits)
