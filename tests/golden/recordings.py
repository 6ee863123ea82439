"""Recordings as files, for the run of speech."""

import wave
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

RATE = 16_000


def write_recordings(samples: Mapping[str, Tensor], folder: Path) -> None:
    """Write int16 samples as ``folder/NAME.wav``, in 16 kHz."""
    for name, of in samples.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(of.numpy().astype("<i2").tobytes())
