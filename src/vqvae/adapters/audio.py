"""A tokenizer of sound under the calling names of the audio tokenizers of ``transformers``, such as ``MimiModel`` and ``EncodecModel``."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor

from vqvae.codes import only_level, size_of, space_of
from vqvae.errors import ConfigError, DataError
from vqvae.pipeline import Pipeline, from_pretrained
from vqvae.signals import AXES


class AudioFacts(NamedTuple):
    """What other code reads from ``model.config``."""

    sampling_rate: int
    """Samples per second."""
    hop_length: int
    """Samples per code."""
    frame_rate: float
    """Codes per second, of each codebook."""
    codebook_size: int
    num_quantizers: int
    """The number of codebooks."""
    audio_channels: int


class Encoded(NamedTuple):
    """The result of ``AudioTokenizer.encode``."""

    audio_codes: Int64[Tensor, "batch codebooks codes"]
    """Codes, padded with 0 at the end."""
    audio_codes_mask: Bool[Tensor, "batch codes"]
    """True where a code stands for sound."""


class Decoded(NamedTuple):
    """The result of ``AudioTokenizer.decode``."""

    audio_values: Float[Tensor, "batch channels time"]


class Reconstructed(NamedTuple):
    """The result of calling an ``AudioTokenizer``."""

    audio_codes: Int64[Tensor, "batch codebooks codes"]
    audio_values: Float[Tensor, "batch channels time"]


class AudioTokenizer:
    """A pipeline of sound with ``encode(input_values, padding_mask).audio_codes`` and ``decode(audio_codes).audio_values``.

    A padded recording gets the codes that it gets alone: each is encoded without its padding.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        """Wrap a pipeline.

        Raises:
            ConfigError: its data is not sound with a known sample rate, or it has several levels of codes.
        """
        signal, level = pipeline.signal, only_level(pipeline.layout)
        if signal.axes != AXES[1] or signal.sample_rate is None:
            raise ConfigError(f"This model takes {signal.values()}, {signal.shape()}; an AudioTokenizer takes sound with a sample rate.")
        self.pipeline = pipeline
        self.config = AudioFacts(
            sampling_rate=round(signal.sample_rate),
            hop_length=level.stride[0],
            frame_rate=signal.sample_rate / level.stride[0],
            codebook_size=level.codebook_size,
            num_quantizers=level.num_codebooks,
            audio_channels=signal.channels,
        )

    @classmethod
    def from_pretrained(cls, name: Path | str, revision: str | None = None) -> "AudioTokenizer":
        """Load a model from the Hub (OWNER/NAME) or a run folder; see ``vqvae.from_pretrained``."""
        return cls(from_pretrained(name, revision))

    @property
    def sampling_rate(self) -> int:
        """Samples per second."""
        return self.config.sampling_rate

    @property
    def device(self) -> torch.device:
        """The device of the model. Codes and sound come back on the CPU."""
        return self.pipeline.device

    def to(self, device: torch.device | str) -> "AudioTokenizer":
        """Move the model to a device."""
        self.pipeline.to(device)
        return self

    def eval(self) -> "AudioTokenizer":
        """Do nothing: the model is always in evaluation mode."""
        return self

    def encode(self, input_values: Float[Tensor, "batch channels time"], padding_mask: Tensor | None = None) -> Encoded:
        """Sound in [-1, 1] to codes.

        Args:
            input_values: recordings at ``sampling_rate``.
            padding_mask: bool or 0 and 1, (batch, time) or (batch, 1, time), 1 where there is sound. Padding may be on either side.

        Raises:
            DataError: the sound is not what the model takes, or a mask has another shape, an empty recording or a gap.
        """
        if padding_mask is None:
            codes = self._codes(input_values)
            return Encoded(codes, torch.ones(codes.shape[0], codes.shape[2], dtype=torch.bool))
        level, places = self.pipeline.layout[0], _places(padding_mask, tuple(input_values.shape))
        counts = [space_of((place.stop - place.start,), level.stride, level.lead)[0] for place in places]
        codes = torch.zeros(len(places), level.num_codebooks, max(counts, default=0), dtype=torch.int64)
        for row, (place, count) in enumerate(zip(places, counts, strict=True)):
            codes[row, :, :count] = self._codes(input_values[row : row + 1, :, place])[0]
        return Encoded(codes, torch.arange(codes.shape[2]) < torch.tensor(counts, dtype=torch.int64).unsqueeze(1))

    def decode(
        self,
        audio_codes: Integer[Tensor, "batch codebooks codes"],
        padding_mask: Tensor | None = None,
        speaker: str | int | None = None,
    ) -> Decoded:
        """Codes to sound.

        Args:
            audio_codes: as ``encode`` gives them.
            padding_mask: the mask that ``encode`` got. Each recording is then decoded alone and put where it was, with zeros around it.
            speaker: whose voice speaks, for a decoder with speakers.

        Raises:
            ConfigError: the speaker is missing, not wanted or unknown.
            DataError: the codes are not the model's, or do not fit the mask.
        """
        if padding_mask is None:
            return Decoded(self.pipeline.decode(audio_codes, speaker=speaker))
        time = padding_mask.shape[-1]
        places = _places(padding_mask, (audio_codes.shape[0], self.config.audio_channels, time))
        values, level = torch.zeros(len(places), self.config.audio_channels, time), self.pipeline.layout[0]
        for row, place in enumerate(places):
            length = place.stop - place.start
            (count,) = space_of((length,), level.stride, level.lead)
            if count > audio_codes.shape[2]:
                covered = size_of((audio_codes.shape[2],), level.stride, level.lead)[0]
                raise DataError(f"Recording {row} has {length} samples in the mask; {audio_codes.shape[2]} codes stand for {covered}.")
            values[row, :, place] = self.pipeline.decode(audio_codes[row : row + 1, :, :count], (length,), speaker)[0]
        return Decoded(values)

    def __call__(
        self, input_values: Float[Tensor, "batch channels time"], padding_mask: Tensor | None = None, speaker: str | int | None = None
    ) -> Reconstructed:
        """Encode and decode recordings, at the same length."""
        codes = self.encode(input_values, padding_mask).audio_codes
        values = self.decode(codes, padding_mask, speaker).audio_values
        return Reconstructed(codes, values[..., : input_values.shape[-1]])

    def _codes(self, sound: Tensor) -> Tensor:
        codes: Any = self.pipeline.encode(sound)
        return codes


def _places(mask: Tensor, shape: tuple[int, ...]) -> list[slice]:
    """Where each recording lies in a padded batch (batch, channels, time)."""
    flat = mask[:, 0] if mask.ndim == 3 else mask
    if tuple(flat.shape) != (shape[0], shape[-1]):
        raise DataError(f"The padding mask has the shape {tuple(mask.shape)}; expected (batch, time) = {(shape[0], shape[-1])}.")
    places = []
    for row, inside in enumerate(flat.bool()):
        there = inside.nonzero().flatten().tolist()
        if not there or there[-1] - there[0] + 1 != len(there):
            raise DataError(f"Row {row} of the padding mask must be one run of ones. Padding lies before or after a recording.")
        places.append(slice(there[0], there[-1] + 1))
    return places
