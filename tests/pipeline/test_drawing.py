"""Several requests at once give what each gives alone."""

import pytest
import torch

from tests.pipeline.test_model import NAMES, prior, tokenizer
from vqvae.codes import Codes
from vqvae.errors import ConfigError, DataError
from vqvae.pipeline import Pipeline
from vqvae.pipeline.drawing import Draw, draw_codes


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqvae.layers.autoregressive._has_numba", lambda: False)


def test_requests_do_not_depend_on_each_other() -> None:
    model = Pipeline(tokenizer(), prior(classes=3), label_names=NAMES, size=(12, 16))
    known = Codes([torch.full((1, 1, 3, 4), -1)])
    known[0][:, :, 0] = 4
    draws = [Draw(count=2, seed=3), Draw(count=1, seed=4, label="dog"), Draw(count=2, seed=5, label=0, known=known)]
    together = draw_codes(model, draws)
    for draw, drawn in zip(draws, together, strict=True):
        (alone,) = draw_codes(model, [draw])
        assert torch.equal(drawn.codes[0], alone.codes[0]) and torch.equal(drawn.labels, alone.labels)
    assert bool((together[2].codes[0][:, :, 0] == 4).all())
    assert torch.equal(model.decode_drawn(together[0], 3), model.sample(2, seed=3))


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(ConfigError, match="no prior yet"):
        draw_codes(Pipeline(tokenizer(), size=(8, 8)), [Draw(count=1)])
    with pytest.raises(ConfigError, match="how large"):
        draw_codes(Pipeline(tokenizer(), prior()), [Draw(count=1)])
    model = Pipeline(tokenizer(), prior(), size=(8, 8))
    with pytest.raises(DataError, match=r"\(1, 2, 2\) codes"):
        draw_codes(model, [Draw(count=1, known=Codes([torch.zeros(1, 1, 3, 3, dtype=torch.int64)]))])
    with pytest.raises(ConfigError, match="not conditioned on classes"):
        draw_codes(model, [Draw(count=1, label="dog")])
