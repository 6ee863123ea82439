"""Other codecs, for comparison: JPEG, WebP and AVIF through Pillow, Opus through PyAV. Data goes through them in memory."""

import io
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, features

from vqvae.errors import DataError
from vqvae.media.video import pyav

PICTURE_CODECS = {"JPEG": {"optimize": True}, "WebP": {"method": 6}, "AVIF": {}}
"""Codecs of pictures, with their settings apart from the quality, 0 to 100."""
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
"""The sample rates that Opus takes."""
_DECODED = 48_000
"""The sample rate of decoded Opus."""
_LARGEST_DELAY = 0.04
"""Seconds by which a decoded recording may lag behind."""


class LossyPicture(NamedTuple):
    """A picture after a codec."""

    bytes: int
    """The size of the file."""
    pixels: UInt8[np.ndarray, "channels height width"]


class LossySound(NamedTuple):
    """A recording after a codec."""

    bytes: int
    """The size of all packets, without a container."""
    wave: Float32[np.ndarray, " samples"]


def picture_codecs() -> list[str]:
    """The codecs of pictures that this Pillow has."""
    return [name for name in PICTURE_CODECS if name == "JPEG" or features.check(name.lower())]


def lossy_picture(pixels: UInt8[np.ndarray, "channels height width"], codec: str, quality: int) -> LossyPicture:
    """Encode and decode a picture of 1 or 3 channels."""
    last = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    image, file = Image.fromarray(last[..., 0] if len(pixels) == 1 else last), io.BytesIO()
    image.save(file, format=codec, quality=quality, **PICTURE_CODECS[codec])
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        made = np.asarray(opened.convert(image.mode)).reshape(*pixels.shape[1:], len(pixels))
    return LossyPicture(len(file.getvalue()), np.ascontiguousarray(made.transpose(2, 0, 1)))


def opus(wave: Float32[np.ndarray, " samples"], sample_rate: int, bits_per_second: int) -> LossySound:
    """Encode and decode a recording with Opus, as speech with a variable rate. The result is aligned with the original.

    Raises:
        DataError: if Opus does not take this sample rate.
        MissingExtraError: if PyAV is not installed.
    """
    if sample_rate not in OPUS_RATES:
        raise DataError(f"Opus does not take {sample_rate} samples per second; it takes {', '.join(map(str, OPUS_RATES))}.")
    av = pyav()
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = sample_rate, "mono", "flt", bits_per_second
    encoder.options = {"application": "voip", "vbr": "on"}
    encoder.open()
    block, packets = encoder.frame_size or sample_rate // 50, []
    padded = np.pad(wave, (0, -len(wave) % block + 2 * block))
    for start in range(0, len(padded), block):
        frame = av.AudioFrame.from_ndarray(padded[None, start : start + block], format="flt", layout="mono")
        frame.sample_rate, frame.pts = sample_rate, start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("libopus", "r")
    decoder.extradata = encoder.extradata
    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    parts = [part.to_ndarray().reshape(-1) for frame in [*frames, None] for part in resampler.resample(frame)]
    return LossySound(sum(packet.size for packet in packets), _aligned(np.concatenate(parts).astype(np.float32), wave, sample_rate))


def _aligned(made: Float32[np.ndarray, " longer"], wave: Float32[np.ndarray, " samples"], sample_rate: int) -> np.ndarray:
    """A decoded recording without its delay: the one at which the two correlate most."""
    most = round(sample_rate * _LARGEST_DELAY)
    made = np.pad(made, (0, max(len(wave) + most - len(made), 0)))
    delay = max(range(most), key=lambda lag: float(made[lag : lag + len(wave)] @ wave))
    return made[delay : delay + len(wave)]
