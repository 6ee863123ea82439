"""How this machine computes, in a word: where it is that of the machine which wrote a golden run, results are equal to the bit.

What is computed here never changes, or no run would know its machine again.
"""

import hashlib

import torch
from torch.nn import functional as F

from tests.golden.inputs import words


def canary() -> str:
    """A digest of convolutions, products, elementary functions, transforms and random draws, forwards and backwards, at one thread."""
    assert torch.get_num_threads() == 1
    x = _floats(0, 4, 8, 16, 16).requires_grad_()
    found = [F.conv2d(x, _floats(1, 12, 8, 4, 4), stride=2, padding=1), F.conv_transpose2d(x, _floats(2, 8, 5, 4, 4), stride=2, padding=1)]
    found += [F.conv2d(x[:, :3], _floats(3, 4, 3, 3, 3), padding=1), F.conv2d(x[:, :4], _floats(4, 4, 4, 1, 1))]
    wave = x.reshape(4, 8, 256)
    found += [F.conv1d(wave, _floats(5, 8, 8, 4), stride=2), F.conv1d(wave, _floats(6, 8, 1, 7), groups=8), F.gelu(wave)]
    rows = wave.flatten(1)
    found += [rows @ rows.T, F.linear(wave, _floats(7, 33, 256)), F.layer_norm(wave, (256,)), torch.cdist(rows[:, :9], rows[:, 9:18])]
    found += [
        rows.exp(),
        rows.square().add(0.1).log(),
        rows.softmax(1),
        rows.log_softmax(1),
        rows.logsumexp(1),
        rows.tanh(),
        rows.sigmoid(),
    ]
    found += [rows.sin(), rows.erf(), rows.sum(), rows.mean(1), rows.std(1), rows.cumsum(1), rows.norm(dim=1), F.softplus(rows)]
    spectrum = torch.fft.rfft(rows[:, :96])
    found += [spectrum.abs(), torch.fft.irfft(spectrum, n=96), torch.fft.rfft(rows[:, :512]).real]
    (slope,) = torch.autograd.grad(sum(part.square().sum() for part in found), x)
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(50, generator=generator), torch.rand(7, generator=generator), torch.empty(9).exponential_(generator=generator)]
    drawn.append(torch.multinomial(rows[:, :64].softmax(1), 1, generator=generator))
    digest = hashlib.sha256(torch.backends.cpu.get_cpu_capability().encode())
    for part in (*found, slope, *drawn):
        digest.update(part.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


def _floats(seed: int, *shape: int) -> torch.Tensor:
    """From -1 to 1, exact."""
    return torch.from_numpy(words(1_000 + seed, *shape) - 2**31).double().div(2**31).float()
