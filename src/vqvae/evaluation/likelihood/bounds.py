"""The bound on log p(x) of any model over held-out data, split into the cost of the data and of the latents."""

import math
from collections.abc import Callable, Iterable

import torch

from vqvae import seeding
from vqvae.bits import bits_per_dim
from vqvae.data.base import Batch
from vqvae.errors import DataError
from vqvae.exact import exact
from vqvae.models.base import Bound

Bounding = Callable[[Batch], Bound]
"""Any callable from a batch to a lower bound on log p(x): a model's ``bound`` or ``importance_bound``, with or without a prior."""


@torch.inference_mode()
def score_bound(bound: Bounding, batches: Iterable[Batch], *, seed: int = 0, device: torch.device | str = "cpu") -> dict[str, float]:
    """The bound over batches, in bits per dimension (channels × positions). The batch number seeds the draws.

    ``bits_per_dim``: −log₂ of the bound.
    ``bits_per_dim_reconstruction``: its part −log₂ p(x|z), the data given the latents.
    ``bits_per_dim_latents``: the rest, the cost of the latents.
    ``standard_error``: of ``bits_per_dim``, from its spread over examples.

    Args:
        bound: the bound of a model in evaluation mode, on ``device``.
        batches: held-out examples. Use the same for all models of a table.
        seed: seed of the draws of latents.
        device: the model's device.

    Raises:
        DataError: if there are no examples.
    """
    bits, pixels = [], []
    for number, batch in enumerate(batches):
        seeding.seed_everything(seed, "bound", number)
        nats, log_likelihood = bound(batch.to(device))
        dims = math.prod(batch.x.shape[1:])
        bits.append(bits_per_dim(-exact(nats), dims).cpu())
        pixels.append(bits_per_dim(-exact(log_likelihood), dims).cpu())
    if not bits:
        raise DataError("There are no examples, so there is no bound to average. Hold out some data.")
    total, data = torch.cat(bits), torch.cat(pixels)
    return {
        "bits_per_dim": float(total.mean()),
        "bits_per_dim_reconstruction": float(data.mean()),
        "bits_per_dim_latents": float((total - data).mean()),
        "standard_error": float(total.std(correction=0)) / math.sqrt(len(total)),
        "examples": len(total),
    }
