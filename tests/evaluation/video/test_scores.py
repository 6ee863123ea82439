"""Scores of models of clips."""

import math

import numpy as np
import pytest
import torch

import vqvae
from tests.models import toy
from vqvae.data import ClipsDataset, Episodes
from vqvae.evaluation.kinds import VIDEO, kind_of
from vqvae.evaluation.video.scores import score_video
from vqvae.models import FrameTokenizer, VQVAEConfig
from vqvae.priors import UnigramPriorConfig, WorldPriorConfig


def held_out(lengths: tuple[int, ...] = (9, 5)) -> ClipsDataset:
    count = sum(lengths)
    random = np.random.default_rng(0)
    episodes = Episodes(
        frames=random.integers(0, 256, (count, 1, 2, 4), dtype=np.uint8),
        episode=np.repeat(np.arange(len(lengths)), lengths),
        names=tuple(map(str, range(len(lengths)))),
        actions=random.integers(0, 2, count),
        action_names=("left", "right"),
    )
    return ClipsDataset(episodes, 3, "held-out")


def pipeline(actions: int = 2) -> vqvae.Pipeline:
    unigram = UnigramPriorConfig(codebook_size=toy.SIZE).build()
    unigram.count(torch.randint(0, toy.SIZE, (9, 1, 4)))
    prior = WorldPriorConfig(codebook_size=toy.SIZE, actions=actions, memory=2, width=2, blocks=1, layers=1, hidden=2, output_hidden=2)
    return vqvae.Pipeline(FrameTokenizer(toy.make(VQVAEConfig)), prior.build(), unigram=unigram)


@pytest.mark.parametrize("actions", [0, 2])
def test_every_frame_counts_once(actions: int) -> None:
    model, data = pipeline(actions), held_out()
    found = score_video(model, data)
    scores = found.scores
    assert scores["frames"] == 14
    assert scores["bits_per_frame_uniform"] == pytest.approx(2 * math.log2(toy.SIZE))
    assert scores["bits_per_frame"] == pytest.approx(2 * scores["bits_per_code"])
    each = [model.tokenizer.model.elbo(batch).detach() for batch in _frames(data)]
    assert scores["bits_per_dim_uniform"] == pytest.approx(-float(torch.cat(each).mean()) / 8 / math.log(2), rel=1e-5)
    assert found.pictures["reconstructions"].shape[2] == 3 and "imagined" in found.pictures
    assert found.sizes["raw"] == 8


def test_without_a_prior_nothing_is_imagined() -> None:
    model = vqvae.Pipeline(FrameTokenizer(toy.make(VQVAEConfig)))
    found = score_video(model, held_out((4,)))
    assert "imagined" not in found.pictures and "bits_per_frame" not in found.scores
    assert kind_of(model.signal) is VIDEO


def _frames(data: ClipsDataset) -> list[vqvae.Batch]:
    return [vqvae.Batch(torch.from_numpy(data.episodes.frames.copy()))]
