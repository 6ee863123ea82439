"""Every model through the trainer: an interrupted run, the stored part, and models without codes."""

import signal
import typing
from pathlib import Path

import pytest
import torch

from tests.contracts.test_models import settings
from tests.training import tiny
from tests.training.test_trainer import Signals, rows
from vqvae.data.base import Batch
from vqvae.models import FrameTokenizerConfig, GumbelSoftmax, ModelConfig
from vqvae.training import Interrupted

KINDS = [kind for kind in typing.get_args(ModelConfig) if kind is not FrameTokenizerConfig]


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_ends_like_an_unbroken_one(kind: type, tmp_path: Path) -> None:
    config = tiny.settings(model=settings(kind), steps=9, accumulate=2, evaluate_every=0)
    model = tiny.trainer(tmp_path / "whole", config).run()
    with pytest.raises(Interrupted):
        tiny.trainer(tmp_path / "broken", config, callbacks=[Signals((signal.SIGTERM,))]).run()
    again = tiny.trainer(tmp_path / "broken", config).run()
    assert tiny.contents(tmp_path / "broken") == tiny.contents(tmp_path / "whole")
    batch = Batch(tiny.Noise(4, 0).x)
    bounds = []
    for each in (model, again):
        torch.manual_seed(0)
        bounds.append(each.bound(batch).nats)
    assert not model.training and torch.isfinite(bounds[0]).all() and torch.equal(*bounds)
    if isinstance(model, GumbelSoftmax):
        assert int(model.steps) == 18, "a step of two parts counts two batches"
    names = set().union(*(row.keys() for row in rows(tmp_path / "whole")))
    assert {"nats_per_dim", "kl_nats_per_dim", "held_out_nats_per_dim", "held_out_kl_nats_per_dim"} <= names
