"""Codes from priors."""

import pytest
import torch

from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.generation.sampling import sample_codes
from vqvae.layers import autoregressive
from vqvae.priors import PixelCNN, PixelCNNConfig

SPACE = (3, 4)


def prior(classes: int = 0, size: int = 6) -> PixelCNN:
    torch.manual_seed(1)
    model = PixelCNNConfig(codebook_size=size, classes=classes, layers=2, hidden=8, output_hidden=8).build().eval()
    if classes:
        # First weights are small; larger ones let the class show in the samples.
        torch.nn.init.normal_(model.label.weight, std=3)
    return model


def test_sample_i_is_the_same_whatever_the_count_and_the_batch_size() -> None:
    whole = sample_codes(prior(), 7, SPACE, seed=3)
    assert torch.equal(sample_codes(prior(), 7, SPACE, seed=3, batch_size=3), whole)
    assert torch.equal(sample_codes(prior(), 7, SPACE, seed=3, batch_size=1), whole)
    assert torch.equal(sample_codes(prior(), 4, SPACE, seed=3), whole[:4])
    assert not torch.equal(sample_codes(prior(), 7, SPACE, seed=4), whole)
    assert len({tuple(codes.flatten().tolist()) for codes in whole}) == 7


def test_without_the_kernel_every_batch_has_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes = prior(classes=2), []
    monkeypatch.setattr(autoregressive, "_has_numba", lambda: False)
    start = model.start
    monkeypatch.setattr(model, "start", lambda size, *args, **kwargs: shapes.append(size) or start(size, *args, **kwargs))
    label = torch.tensor([0, 1, 0, 1, 0])
    whole = sample_codes(model, 5, SPACE, condition=Condition(label=label), batch_size=4)
    some = sample_codes(model, 2, SPACE, condition=Condition(label=label[:2]), batch_size=4)
    assert torch.equal(whole[:2], some) and shapes == [4, 4, 4]


def test_samples_do_not_depend_on_the_number_of_cores() -> None:
    pytest.importorskip("numba")
    model, threads = prior(), torch.get_num_threads()
    try:
        drawn = []
        for cores in (1, 3):
            torch.set_num_threads(cores)
            drawn.append(sample_codes(model, 20, SPACE, temperature=0.7))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*drawn) and torch.equal(sample_codes(model, 40, SPACE, temperature=0.7)[:20], drawn[0])


def test_conditions_and_prefixes_go_with_their_samples() -> None:
    model, label, prefix = prior(classes=3), torch.tensor([0, 1, 2, 0, 1]), torch.full((5, 1, *SPACE), -1)
    prefix[torch.arange(5), 0, 0, 0] = torch.arange(5)
    common = {"seed": 3, "condition": Condition(label=label), "prefix": prefix}
    whole = sample_codes(model, 5, SPACE, **common)
    assert whole[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(sample_codes(model, 5, SPACE, batch_size=2, **common), whole)
    assert not torch.equal(sample_codes(model, 5, SPACE, **{**common, "condition": Condition(label=label.flip(0))}), whole)


def test_cold_samples_are_all_the_same() -> None:
    codes = sample_codes(prior(), 3, SPACE, temperature=0.0)
    assert torch.equal(codes, codes[:1].expand_as(codes))
    assert torch.equal(sample_codes(prior(), 3, SPACE, top_k=1), codes)


def test_no_samples() -> None:
    assert sample_codes(prior(), 0, SPACE).shape == (0, 1, *SPACE)


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(DataError, match="condition.label has 2 rows"):
        sample_codes(prior(classes=3), 3, SPACE, condition=Condition(label=torch.tensor([0, 1])))
    with pytest.raises(DataError, match="prefix has 2 rows"):
        sample_codes(prior(), 3, SPACE, prefix=torch.zeros(2, 1, *SPACE, dtype=torch.int64))
    with pytest.raises(ConfigError, match="batch_size"):
        sample_codes(prior(), 3, SPACE, batch_size=0)
    with pytest.raises(ConfigError, match="temperature"):
        sample_codes(prior(), 3, SPACE, temperature=-1.0)
