import os
import signal

import numpy as np
import pytest
import torch

from tests.codec.models import prior_of
from vqvae.codec.integer import IntegerPriorConfig, Network, product
from vqvae.errors import CheckpointError, ConfigError


def test_a_prior_without_a_network_has_frequencies_alone() -> None:
    assert set(IntegerPriorConfig(codebook_size=5, hidden=0).build().state_dict()) == {"frequencies"}


def test_every_code_has_a_frequency() -> None:
    network = Network(prior_of(axes=1))
    context = torch.randn(50, 8, dtype=torch.float64).mul(1e9).round().numpy()
    found = network.frequencies(context, context[:, :4] * 0, 0)
    assert found.min() >= 1 and found.max() == 2**20 and found.shape == (50, 11)


@pytest.mark.parametrize(("name", "value"), [("exponentials", 0), ("exponentials", 2**21), ("shifts", 60), ("bias", 2**50)])
def test_integers_that_no_fit_makes_are_an_error(name: str, value: int) -> None:
    prior = prior_of(axes=1)
    getattr(prior, name).view(-1)[0] = value
    with pytest.raises(CheckpointError, match="train-coder"):
        Network(prior)


@pytest.mark.parametrize("wrong", [{"above_sizes": (3,)}, {"width": 2**12 + 1}, {"num_codebooks": 2**16}, {"axes": 9}])
def test_impossible_sizes_are_an_error(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        IntegerPriorConfig(codebook_size=2, **wrong).build()


def test_other_integers_have_another_fingerprint() -> None:
    prior, other = prior_of(axes=1), prior_of(axes=1)
    assert prior.fingerprint == other.fingerprint and len(prior.fingerprint) == 32
    other.output[0, 0, 0] += 1
    assert prior.fingerprint != other.fingerprint


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_products_are_computed_in_a_forked_process_too() -> None:
    left = np.random.default_rng(0).integers(-1000, 1000, (600, 600)).astype(np.float64)
    expected, threads = left @ left, torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert np.array_equal(product(left, left), expected)
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(0 if np.array_equal(product(left, left), expected) else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(threads)
