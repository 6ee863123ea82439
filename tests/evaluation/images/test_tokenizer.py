"""All scores of a tokenizer beside what its parts say."""

import math

import numpy as np
import pytest
import torch

from tests.training import tiny
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.images.frechet import Moments, TokenizerFeatures, frechet_distance
from vqvae.evaluation.images.reconstruction import psnr, ssim
from vqvae.evaluation.images.tokenizer import TokenizerEvaluation, evaluate_tokenizer
from vqvae.likelihoods import CategoricalConfig, GaussianConfig, LogisticMixtureConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import UniformPriorConfig, UnigramPriorConfig
from vqvae.quantizers import IdentityQuantizerConfig, ProductQuantizerConfig

LIKELIHOODS = [GaussianConfig(), LogisticMixtureConfig(mixtures=2), CategoricalConfig()]


def model(likelihood: object = None, quantizer: object = None) -> VQVAE:
    torch.manual_seed(0)
    return VQVAEConfig(
        quantizer=quantizer or ProductQuantizerConfig(dim=4, codebook_size=8, num_codebooks=2),
        likelihood=likelihood or GaussianConfig(),
        encoder=ImageEncoderConfig(widths=(8,), residual_blocks=1, residual_hidden=4),
        decoder=ImageDecoderConfig(widths=(8,), residual_blocks=1, residual_hidden=4),
    ).build()


def batches(size: tuple[int, int] = (8, 8)) -> list[Batch]:
    """Two of different sizes; the stride does not divide every side."""
    noise = tiny.Noise(12, 3)
    parts = [noise.batch(np.arange(0, 5)), noise.batch(np.arange(5, 12))]
    return [part._replace(x=part.x[:, :, : size[0], : size[1]]) for part in parts]


def joined(parts: list[Batch]) -> Batch:
    return Batch(torch.cat([part.x for part in parts]), Condition(torch.cat([part.condition.label for part in parts])))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_bits_are_those_of_the_bound(likelihood: object) -> None:
    tokenizer, parts = model(likelihood), batches((7, 8))
    unigram = UnigramPriorConfig(codebook_size=8, num_codebooks=2).build()
    unigram.count(tokenizer.eval().encode(parts[0])[0])
    scores = evaluate_tokenizer(tokenizer, parts, log_priors={"unigram": unigram.log_prob})
    with torch.no_grad():
        whole = joined(parts)
        codes = tokenizer.encode(whole)
        dims, number = 12 * 3 * 7 * 8, codes[0].numel()
        bound = {"uniform": tokenizer.elbo(whole), "unigram": tokenizer.elbo(whole, unigram.log_prob)}
        for name, nats in bound.items():
            assert scores[f"bits_per_dim_{name}"] == pytest.approx(-float(nats.sum()) / dims / math.log(2), rel=1e-5)
        alone = -float(tokenizer.log_likelihood(whole, codes).sum()) / dims / math.log(2)
    assert scores["bits_per_dim_reconstruction"] == pytest.approx(alone, rel=1e-5)
    assert scores["bits_per_code_uniform"] == pytest.approx(3)
    assert scores["bits_per_code_unigram"] == pytest.approx(-float(unigram.log_prob(codes[0]).sum()) / number / math.log(2), rel=1e-5)
    # What the codes take, spread over the dimensions, is all that is between the two.
    assert scores["bits_per_dim_uniform"] - scores["bits_per_dim_reconstruction"] == pytest.approx(3 * number / dims)


def test_the_other_scores_are_those_of_the_reconstructions() -> None:
    tokenizer, parts = model().eval(), batches()
    extractor = TokenizerFeatures(tokenizer)
    scores = evaluate_tokenizer(tokenizer, parts, log_priors={}, extractor=extractor)
    with torch.no_grad():
        x = joined(parts).x
        codes = tokenizer.encode(Batch(x))
        y = tokenizer.decode(codes)
        moments = Moments(), Moments()
        moments[0].add(extractor(x)), moments[1].add(extractor(y))
    assert scores["psnr"] == pytest.approx(float(psnr(x, y).mean()))
    assert scores["ssim"] == pytest.approx(float(ssim(x, y).mean()))
    assert scores["nmse"] == pytest.approx(float((x.double() - y.double()).square().mean() / x.double().var(correction=0)))
    assert scores["frechet_tokenizer-latents"] == pytest.approx(frechet_distance(*moments), rel=1e-4)
    used = [len(codes[0][:, book].unique()) / 8 for book in range(2)]
    assert scores["codes_used"] == pytest.approx(np.mean(used))
    assert 1 <= scores["perplexity"] <= 8
    assert scores["examples"] == 12
    given = evaluate_tokenizer(tokenizer, parts, log_priors={}, data_variance=100.0)
    assert given["nmse"] == pytest.approx(float((x.double() - y.double()).square().mean()) / 100)


def test_the_learned_prior_is_conditioned_and_has_the_bare_name() -> None:
    seen: list[torch.Tensor] = []

    def learned(codes: torch.Tensor, condition: Condition, mask: torch.Tensor | None) -> torch.Tensor:
        seen.append(condition.label)
        return -codes[0].numel() * math.log(2) * torch.ones(len(codes))

    scores = evaluate_tokenizer(model(), batches(), log_priors={"learned": learned})
    assert scores["bits_per_code"] == pytest.approx(1)
    assert "bits_per_dim_learned" in scores and "bits_per_code_learned" not in scores
    assert torch.equal(torch.cat(seen), joined(batches()).condition.label)


def test_nothing_is_trained_and_no_gradient_kept() -> None:
    tokenizer = model(quantizer=tiny.model().quantizer).train()
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    evaluate_tokenizer(tokenizer, batches(), log_priors={})
    assert all(torch.equal(value, before[name]) for name, value in tokenizer.state_dict().items())
    assert all(parameter.grad is None for parameter in tokenizer.parameters())
    assert not tokenizer.training


def test_codes_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, calls = model(), {"encoder": 0, "decoder": 0}
    for name in calls:
        getattr(tokenizer, name).register_forward_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
    evaluate_tokenizer(tokenizer, batches(), log_priors={})
    assert calls == {"encoder": 2, "decoder": 2}


def test_usage_is_there_for_a_histogram() -> None:
    evaluation = TokenizerEvaluation(model(), log_priors={"other": UniformPriorConfig(codebook_size=8, num_codebooks=2).build().log_prob})
    for batch in batches():
        evaluation.add(batch)
    assert evaluation.costs.usage[0].counts.sum(1).tolist() == [12 * 16] * 2
    scores = evaluation.scores()
    assert scores["bits_per_code_other"] == pytest.approx(scores["bits_per_code_uniform"])


def test_wrong_use_is_an_error() -> None:
    with pytest.raises(ConfigError, match="uniform"):
        evaluate_tokenizer(model(), batches(), log_priors={"uniform": lambda codes, condition: codes.sum()})
    with pytest.raises(DataError, match="IdentityQuantizer has no codebook"):
        evaluate_tokenizer(model(quantizer=IdentityQuantizerConfig(dim=4)), batches(), log_priors={})
    with pytest.raises(DataError, match="no examples"):
        evaluate_tokenizer(model(), [], log_priors={})


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_one_decoding_gives_the_mode_and_the_likelihood(likelihood: object) -> None:
    tokenizer, batch = model(likelihood).eval(), joined(batches((7, 5)))
    with torch.no_grad():
        codes = tokenizer.encode(batch)
        made = tokenizer.reconstruct(batch, codes)
        assert torch.equal(made.x, tokenizer.decode(codes, size=(7, 5)))
        assert torch.equal(made.log_likelihood, tokenizer.log_likelihood(batch, codes))
