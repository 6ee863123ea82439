"""The interface of tokenizers, kept by one with two levels of codes."""

import json
import math

import pytest
import torch
from torch import Tensor

from tests.models import own
from tests.models.toy import TwoLevels, TwoLevelsConfig
from vqvae import config as configuration
from vqvae.codes import Codes, Level
from vqvae.data.base import Batch, Condition
from vqvae.errors import DataError
from vqvae.models import Tokenizer
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig


def make() -> TwoLevels:
    torch.manual_seed(0)
    model = TwoLevelsConfig().build()
    model.start([images(8, 12)])
    return model.eval()


def images(*size: int, batch: int = 3) -> Batch:
    return Batch(torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("size", [(8, 12), (9, 6), (1, 3)])
def test_codes_of_two_levels_decode_to_data_of_any_size(size: tuple[int, int]) -> None:
    model, batch = make(), images(*size)
    codes = model.encode(batch)
    coarse = tuple(-(-side // 4) for side in size)
    assert [level.shape for level in codes] == [(3, 1, *coarse), (3, 2, *(2 * side for side in coarse))]
    assert model.layout == (Level(1, 6, (4, 4)), Level(2, 8, (2, 2))) and codes.masks == (None, None)
    made = model.reconstruct(batch, codes)
    assert made.x.shape == batch.x.shape and torch.equal(made.x, model.decode(tuple(codes), size=size))
    torch.testing.assert_close(made.log_likelihood, model.bound(batch).log_likelihood)
    with pytest.raises(DataError, match="2 levels"):
        _ = codes.tensor


def test_the_codes_of_both_levels_cost_and_a_prior_is_asked_of_both_at_once() -> None:
    model, batch, seen = make(), images(8, 12), []
    bound = model.bound(batch)
    nats = 6 * math.log(6) + 2 * 24 * math.log(8)
    torch.testing.assert_close(bound.log_likelihood - bound.nats, torch.full((3,), nats), rtol=1e-5, atol=1e-3)

    def log_prior(codes: Codes, condition: Condition, mask: Tensor | None) -> Tensor:
        assert isinstance(codes, Codes) and mask is None and condition is batch.condition
        seen.append(codes)
        return -sum(level.flatten(1).sum(1) for level in codes).float()

    given = model.bound(batch, log_prior)
    (codes,) = seen
    assert all(map(torch.equal, codes, model.encode(batch)))
    torch.testing.assert_close(given.log_likelihood - given.nats, -log_prior(codes, batch.condition, None), rtol=1e-4, atol=1e-3)


def test_the_priors_of_a_pipeline_are_such_a_prior() -> None:
    model, batch = make(), images(8, 12)
    torch.testing.assert_close(model.bound(batch, Pipeline(model).log_prior).nats, model.bound(batch).nats)
    settings = {"layers": 2, "hidden": 8, "output_hidden": 8}
    priors = [PixelCNNConfig(codebook_size=6, **settings).build(), PixelCNNConfig(codebook_size=8, num_codebooks=2, **settings).build()]
    pipeline, codes = Pipeline(model, priors), model.encode(batch)
    with torch.no_grad():
        bound = model.bound(batch, pipeline.log_prior)
        expected = sum(prior.eval().log_prob(level) for prior, level in zip(priors, codes, strict=True))
    torch.testing.assert_close(bound.nats, bound.log_likelihood + expected)


def test_it_trains_and_its_metrics_are_its_bound() -> None:
    torch.manual_seed(0)
    model = TwoLevelsConfig().build()
    batch = Batch((torch.arange(16).view(1, 1, 16, 1) * 15).expand(4, 3, 16, 16).to(torch.uint8))
    model.start([batch])
    losses = own.train(model, [batch])
    assert losses[-1] < losses[0] - 0.2
    with torch.no_grad():
        torch.testing.assert_close(model(batch).metrics["nats_per_dim"], -model.bound(batch).nats.mean() / 768)


def test_its_settings_survive_json_where_the_caller_names_their_class() -> None:
    config, model = TwoLevelsConfig(top_size=5), make()
    data = json.loads(json.dumps(configuration.to_json(config)))
    assert configuration.from_json(configuration.Foreign | None, data, parts=[TwoLevelsConfig]) == config
    assert model.config.build().load_state_dict(model.state_dict()) and isinstance(model, Tokenizer)
    assert not model.takes_masks and model.has_likelihood and model.speakers == 0 and not model.draws
