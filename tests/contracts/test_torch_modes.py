"""What every quantizer keeps to under torch's modes and with unusual arguments, with its default settings."""

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from vqvae import (
    CategoricalCodesConfig,
    EMAQuantizerConfig,
    FSQConfig,
    PixelCNNConfig,
    ProductQuantizerConfig,
    ResidualQuantizerConfig,
    UniformPriorConfig,
    UnigramPriorConfig,
    VectorQuantizerConfig,
    WaveNetConfig,
)
from vqvae.codes import check_codes
from vqvae.errors import DataError
from vqvae.evaluation.codebook import CodebookUsage
from vqvae.quantizers import CodebookQuantizer

CODEBOOKS = [
    EMAQuantizerConfig(dim=4, codebook_size=8),
    EMAQuantizerConfig(dim=4, codebook_size=8, gradient="rotation", revive_after=2),
    VectorQuantizerConfig(dim=4, codebook_size=8),
    ProductQuantizerConfig(dim=4, codebook_size=8, num_codebooks=2),
    ResidualQuantizerConfig(dim=4, codebook_size=8, num_codebooks=2),
]
QUANTIZERS = [*CODEBOOKS, FSQConfig(dim=4, levels=(3, 4))]
every_codebook = pytest.mark.parametrize("config", CODEBOOKS)
every_quantizer = pytest.mark.parametrize("config", QUANTIZERS)
WIDTHS = [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64]


def trained(config: Any, reentrant: bool | None) -> tuple[CodebookQuantizer, list[torch.Tensor]]:
    """Five steps, with or without an activation checkpoint, and the gradients of each."""
    torch.manual_seed(0)
    quantizer = config.build().train()
    gradients = []
    for step in range(5):
        latents = torch.randn(4, 4, 32, generator=torch.Generator().manual_seed(step)).requires_grad_()
        torch.manual_seed(step)
        found = quantizer(latents) if reentrant is None else checkpoint(quantizer, latents, use_reentrant=reentrant)
        (found[0].square().sum() + found[2]).backward()
        gradients.append(latents.grad)
    return quantizer, gradients


@every_codebook
def test_a_checkpoint_that_recomputes_learns_as_without_it(config: Any) -> None:
    (plain, expected), (checked, found) = trained(config, None), trained(config, False)
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), checked.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@every_codebook
def test_a_reentrant_checkpoint_starts_and_learns_once_a_step(config: Any) -> None:
    first = config.build().codebook.clone()
    quantizer, gradients = trained(config, True)
    assert bool(quantizer.started) and not torch.equal(first, quantizer.codebook)
    assert all(torch.isfinite(gradient).all() and gradient.any() for gradient in gradients)


@every_codebook
def test_evaluating_between_steps_counts_nothing(config: Any) -> None:
    quantizer, _ = trained(config, None)
    before = copy.deepcopy(quantizer.state_dict())
    with torch.no_grad():
        quantizer.train()(torch.randn(2, 4, 8))
    with torch.inference_mode():
        quantizer(torch.randn(2, 4, 8))
    quantizer.eval()(torch.randn(2, 4, 8, requires_grad=True)).loss.backward()
    assert all(torch.equal(a, b) for a, b in zip(before.values(), quantizer.state_dict().values(), strict=True))


@every_quantizer
def test_codes_of_any_integer_type_are_the_same_codes(config: Any) -> None:
    quantizer = config.build().eval()
    codes = torch.randint(0, 8, (2, quantizer.num_codebooks, 3))
    expected = quantizer.decode(codes)
    assert all(torch.equal(quantizer.decode(codes.to(dtype)), expected) for dtype in WIDTHS)
    for wrong in (codes.to(torch.int16) - 9, codes + 2**40):
        with pytest.raises(DataError):
            quantizer.decode(wrong)
    for wrong in (codes.bool(), codes.float(), codes.numpy(), codes.to(torch.complex64), None):
        with pytest.raises(DataError):
            check_codes(wrong, quantizer.num_codebooks, quantizer.codebook_size, "quantizer")


@pytest.mark.parametrize(
    "config",
    [
        PixelCNNConfig(codebook_size=8, layers=1, hidden=4, output_hidden=4),
        WaveNetConfig(codebook_size=8, layers=1, residual=4, skip=4, output_hidden=4),
        UnigramPriorConfig(codebook_size=8),
        UniformPriorConfig(codebook_size=8),
    ],
)
def test_priors_take_codes_of_any_integer_type(config: Any) -> None:
    prior, codes = config.build().eval(), torch.randint(0, 8, (2, 1, 3, 3))
    expected = prior.log_prob(codes)
    assert all(torch.equal(prior.log_prob(codes.to(dtype)), expected) for dtype in WIDTHS)
    if hasattr(prior, "start"):
        states = [prior.start(2, (3, 3), prefix=codes.to(dtype)) for dtype in WIDTHS]
        assert len({state.position for state in states}) == 1


def test_usage_and_likelihood_take_codes_of_any_integer_type() -> None:
    codes = torch.randint(0, 8, (2, 1, 3))
    for dtype in WIDTHS:
        usage = CodebookUsage(1, 8)
        usage.add(codes.to(dtype))
        assert int(usage.counts.sum()) == 6
    likelihood = CategoricalCodesConfig(channels=1, codebook_size=8).build()
    parameters = torch.randn(2, likelihood.num_parameters, 3)
    assert torch.equal(likelihood.log_prob(parameters, codes), likelihood.log_prob(parameters, codes.to(torch.int32)))


@every_quantizer
def test_wrong_arguments_are_data_errors(config: Any) -> None:
    quantizer = config.build().eval()
    latents = torch.randn(2, 4, 16)
    for wrong in (latents.numpy(), latents.long(), latents.bool(), latents.to(torch.complex64), None, [1.0], latents[:, 0, 0]):
        with pytest.raises(DataError):
            quantizer(wrong)
    for mask in (np.ones((2, 16), bool), torch.ones(2, 16), torch.ones(16, 2, dtype=torch.bool), torch.ones(2, 15, dtype=torch.bool)):
        with pytest.raises(DataError):
            quantizer(latents, mask)


@every_codebook
def test_latents_whose_distances_overflow_change_nothing(config: Any) -> None:
    quantizer = config.build().train()
    before = copy.deepcopy(quantizer.state_dict())
    for bad in (1e20, float("nan"), float("inf")):
        latents = torch.randn(2, 4, 16)
        latents[1, 3, 15] = bad
        with pytest.raises(DataError, match="NaN, infinite or beyond"):
            quantizer(latents)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), quantizer.state_dict().values(), strict=True))


@every_codebook
def test_costs_of_another_shape_are_data_errors(config: Any) -> None:
    quantizer = config.build().eval()
    for costs in (torch.zeros(8), torch.zeros(quantizer.num_codebooks, 7), torch.zeros(quantizer.num_codebooks, 8).long()):
        with pytest.raises(DataError, match="costs are"):
            quantizer(torch.randn(2, 4, 3), costs=costs)


@every_quantizer
def test_copies_and_layouts_give_the_same_codes(config: Any) -> None:
    quantizer = config.build().eval()
    latents = torch.randn(2, 4, 6, 5)
    expected = quantizer(latents).codes
    for same in (copy.deepcopy(quantizer), pickle.loads(pickle.dumps(quantizer))):
        assert torch.equal(same(latents).codes, expected)
    assert torch.equal(quantizer(latents.contiguous(memory_format=torch.channels_last)).codes, expected)
    assert torch.equal(quantizer(latents.movedim(1, -1).contiguous().movedim(-1, 1)).codes, expected)
    state = {**dict(quantizer.named_parameters()), **dict(quantizer.named_buffers())}
    assert torch.equal(torch.func.functional_call(quantizer, state, (latents,)).codes, expected)
    for empty in ((0, 4, 3), (2, 4, 0), (2, 4, 3, 0)):
        assert quantizer(torch.zeros(empty)).codes.numel() == 0


@every_quantizer
def test_encoding_and_decoding_are_exported_for_any_length(config: Any) -> None:
    quantizer = config.build().eval()
    length = torch.export.Dim("length", min=2, max=512)
    exported = torch.export.export(quantizer, (torch.randn(1, 4, 8),), dynamic_shapes={"latents": {2: length}}).module()
    latents = torch.randn(1, 4, 33)
    assert torch.equal(exported(latents)[1], quantizer(latents).codes)


def test_a_quantizer_compiles_without_a_break() -> None:
    # In a process of its own: the tests' check of types cannot be compiled.
    code = (
        "import torch; from vqvae import EMAQuantizerConfig as Config;"
        "q = Config(dim=4, codebook_size=8).build().eval(); z = torch.randn(2, 4, 5);"
        "c = torch.compile(q, backend='eager', fullgraph=True); assert torch.equal(c(z).codes, q(z).codes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
