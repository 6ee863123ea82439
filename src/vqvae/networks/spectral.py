"""A decoder that generates a wave from magnitudes and phases of its spectra: Vocos, https://arxiv.org/abs/2306.00814."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import settings
from vqvae.data.base import Condition
from vqvae.errors import ConfigError
from vqvae.exact import is_traced
from vqvae.networks.base import Decoder
from vqvae.networks.speakers import Speakers

_LOUDEST = math.log(100.0)
"""Upper limit of log magnitudes: their exponential could overflow before training has found a scale."""
_CODES, _SPECTRA = 3, 7
"""Kernel sizes of the blocks at each rate. At the rate of the codes, few positions cover some tenths of a second."""
_START = 0.02
"""Scale of the last layer's initial weights: small, so that a wave starts near the loudness of speech."""


@settings
class SpectralDecoderConfig:
    """ConvNeXt blocks at the rate of the codes and at the rate of the spectra, then an inverse Fourier transform."""

    stride: int = 640
    """Samples per latent."""
    speakers: int = 0
    """Number of speakers of ``condition.label``; 0 without speakers."""
    width: int = 256
    """Channels of every layer."""
    blocks: int = 4
    """Number of blocks at the rate of the codes, and as many at the rate of the spectra."""
    n_fft: int = 640
    """Window length of a spectrum in samples, a multiple of ``hop``."""
    hop: int = 160
    """Samples from one spectrum to the next. ``stride`` is a multiple of it."""

    def build(self, dim: int, num_parameters: int) -> "SpectralDecoder":
        return SpectralDecoder(self, dim, num_parameters)


class SpectralDecoder(Decoder):
    """Vectors to a wave, all samples at once. The likelihood has one parameter per sample: the sample itself.

    z_q ─ conv 3 ─ + speaker ─ block × n ─ upsample ─ block × n ─ magnitude, phase ─ inverse STFT ─ wave

    Differs from Vocos: half of the blocks are at the rate of the codes, and the only padding is zeros around the vectors. So every
    sample is the sum of all spectra that overlap there, even at the ends of a wave.
    """

    window: Tensor
    envelope: Tensor

    def __init__(self, config: SpectralDecoderConfig, dim: int, num_parameters: int) -> None:
        super().__init__()
        if num_parameters != 1:
            raise ConfigError(
                f"The likelihood needs {num_parameters} parameters per sample; this decoder makes one, the sample. Use SpectralConfig."
            )
        if min(config.hop, config.n_fft, config.width) < 1 or config.blocks < 0 or config.stride < 1:
            raise ConfigError(f"{config} has a size that is not positive.")
        if config.n_fft % config.hop or config.n_fft < 2 * config.hop or config.n_fft % 2 or config.hop % 2:
            raise ConfigError(
                f"SpectralDecoderConfig.n_fft is {config.n_fft} and hop {config.hop}; n_fft must be a multiple of hop and at least twice "
                "as long, both even."
            )
        if config.stride % config.hop:
            raise ConfigError(f"SpectralDecoderConfig.stride is {config.stride}; it must be a multiple of hop ({config.hop}).")
        self.config = config
        self.ratio = config.stride // config.hop
        self.edge = (config.n_fft - config.hop) // 2
        """Number of samples by which a window extends on each side of the hop that it is centred on."""
        self.overlap = math.ceil(self.edge / config.hop)
        """Number of spectra on each side of a hop whose windows reach into it."""
        beyond = config.blocks * (_SPECTRA // 2) + self.overlap
        first = 1 + config.blocks * (_CODES // 2)
        self.context = (first + math.ceil(beyond / self.ratio),)
        self.stride = (config.stride,)
        # Whole latents are padded; anything beyond ``beyond`` is cut off again.
        self.surplus = math.ceil(beyond / self.ratio) * self.ratio - beyond
        width = config.width
        self.first = nn.Conv1d(dim, width, 3)
        self.speakers, self.speaker = config.speakers, Speakers(config.speakers, width)
        self.codes = nn.Sequential(*(_Block(width, _CODES) for _ in range(config.blocks)))
        self.upsample = nn.ConvTranspose1d(width, width, self.ratio, self.ratio)
        self.frames = nn.Sequential(*(_Block(width, _SPECTRA) for _ in range(config.blocks)))
        self.last = nn.Conv1d(width, config.n_fft + 2, 1)
        nn.init.normal_(self.last.weight, std=_START)
        window = torch.hann_window(config.n_fft)
        self.register_buffer("window", window, persistent=False)
        # The sum of all squared windows, which is the same in every hop.
        self.register_buffer("envelope", window.square().view(-1, config.hop).sum(0), persistent=False)

    def forward(
        self, vectors: Float[Tensor, "batch dim frames"], condition: Condition = Condition(), past: Tensor | None = None
    ) -> Float[Tensor, "batch 1 time"]:
        """Decode. ``past`` is not used.

        Raises:
            DataError: if the speaker is missing or out of range.
        """
        (context,) = self.context
        hidden = self.speaker(self.first(F.pad(vectors, (context, context))), condition)
        hidden = self.upsample(self.codes(hidden))
        hidden = self.frames(hidden[..., self.surplus : hidden.shape[2] - self.surplus])
        with torch.autocast(vectors.device.type, enabled=False):
            spectra = self.last(hidden.to(self.last.weight.dtype))
            return self._wave(spectra)

    def _wave(self, spectra: Float[Tensor, "batch parts spectra"]) -> Float[Tensor, "batch 1 time"]:
        """Convert the magnitude and phase of each spectrum to a window of samples, and add the windows where they overlap."""
        time = (spectra.shape[2] - 2 * self.overlap) * self.config.hop
        if not is_traced() and not len(spectra):
            return spectra.new_zeros(0, 1, time)
        log_magnitude, phase = spectra.chunk(2, 1)
        magnitude = log_magnitude.clamp(max=_LOUDEST).exp()
        windows = torch.fft.irfft(torch.polar(magnitude, phase), n=self.config.n_fft, dim=1) * self.window.to(phase.dtype).unsqueeze(1)
        hop, count = self.config.hop, windows.shape[2]
        length = (count - 1) * hop + self.config.n_fft
        added = F.fold(windows, (1, length), (1, self.config.n_fft), stride=(1, hop)).view(spectra.shape[0], 1, -1, hop)
        wave = (added / self.envelope.to(added.dtype)).flatten(2)
        return wave.narrow(2, self.overlap * hop + self.edge, time)


class _Block(nn.Module):
    """A ConvNeXt block over time (https://arxiv.org/abs/2201.03545), without padding: depthwise convolution, norm, two products."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.depthwise = nn.Conv1d(width, width, kernel, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)

    def forward(self, x: Float[Tensor, "batch width time"]) -> Float[Tensor, "batch width shortened"]:
        change = self.narrow(F.gelu(self.wide(self.norm(self.depthwise(x).transpose(1, 2)))))
        return x[..., self.reach : x.shape[2] - self.reach] + change.transpose(1, 2)
