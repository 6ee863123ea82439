"""Toy voices: a phone is a pitch, a speaker is a timbre."""

import numpy as np
import torch
from torch import nn

from vqvae.data.base import Batch
from vqvae.data.phones import Phone
from vqvae.evaluation.probes.base import LabelledClip

RATE, FRAME = 8_000, 80
PHONES = ("AA", "B", "C")
HERTZ = {"AA": 200, "B": 330, "C": 540, "SIL": 0}


def clip(number: int, speaker: int, words: int = 8) -> LabelledClip:
    """Phones of 100 ms, each a pitch with overtones, whose slope is the speaker's; as loud as may be."""
    random = np.random.default_rng((number, speaker))
    labels = random.choice(list(HERTZ), words)
    time = np.arange(10 * FRAME) / RATE
    slope = (0.3, 1.0, 2.5)[speaker]
    tones = [sum(np.sin(2 * np.pi * HERTZ[label] * i * time) * i**-slope for i in range(1, 7)) for label in labels]
    wave = np.concatenate(tones) * random.uniform(0.02, 0.2) + 1e-4 * random.standard_normal(words * 10 * FRAME)
    phones = [Phone(0.1 * i, 0.1 * (i + 1), str(label)) for i, label in enumerate(labels)]
    return LabelledClip(f"{number}-{speaker}", wave.astype(np.float32), phones)


def train(probe: nn.Module, batches: list[Batch], steps: int = 50) -> None:
    optimizer = torch.optim.Adam(probe.parameters(), lr=1e-2)
    for step in range(steps):
        optimizer.zero_grad()
        probe(batches[step % len(batches)]).loss.backward()
        optimizer.step()
    probe.eval()
