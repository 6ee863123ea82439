"""What counts as audio, for all that take it: networks and likelihoods."""

import torch
from torch import Tensor

from vqvae.data.base import described
from vqvae.errors import DataError


def check_audio(x: Tensor) -> None:
    """Raise DataError unless ``x`` is audio: finite floats (batch, 1, time) in [-1, 1]."""
    if not x.is_floating_point():
        advice = {
            torch.int16: "Divide it by 32768.",
            torch.int32: "Divide it by 2147483648.",
            torch.uint8: "Take 128 off and divide by 128.",
        }
        raise DataError(
            f"Audio came as {described(x)}; floats in [-1, 1] are expected, (batch, 1, time). {advice.get(x.dtype, 'Scale it to that.')}"
        )
    if x.ndim != 3 or x.shape[1] != 1:
        raise DataError(f"Audio came in the shape {tuple(x.shape)}; (batch, 1, time) is expected, one channel. Take the mean of several.")
    if x.numel():
        low, high = (float(end) for end in torch.aminmax(x.detach()))
        if not -1 <= low <= high <= 1:  # NaN compares false, too.
            raise DataError(f"Audio came as {described(x)}; finite numbers in [-1, 1] are expected. Scale or clip it.")
