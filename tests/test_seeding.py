"""Randomness as a function of what it is for."""

import itertools

import torch

from vqvae import seeding


def test_mixing_is_the_same_for_ever() -> None:
    # Golden: a run that is resumed by a later release must draw what it would have drawn.
    assert seeding.mix(0) == 4246866556266386882
    assert seeding.mix(0, "noise", 12, 3) == 6468101597797985520


def test_no_two_purposes_share_a_seed() -> None:
    purposes = [(seed, name, step, rank) for seed, name, step, rank in itertools.product(range(4), ("noise", "order"), range(40), range(4))]
    purposes += [(1, 23), (12, 3), (123,), (1, "2", 3, 4, 5)]
    seeds = {seeding.mix(*purpose) for purpose in purposes}
    assert len(seeds) == len(purposes)
    assert all(0 <= seed < 2**63 for seed in seeds)
    # Spread evenly: neighbouring steps differ in about half of their 63 bits.
    flips = [(seeding.mix(0, "noise", step) ^ seeding.mix(0, "noise", step + 1)).bit_count() for step in range(500)]
    assert 30 < sum(flips) / len(flips) < 33


def test_generators_are_fresh_and_leave_torch_alone() -> None:
    before = torch.get_rng_state()
    first = torch.rand(5, generator=seeding.generator(3, "noise", 7))
    assert torch.equal(first, torch.rand(5, generator=seeding.generator(3, "noise", 7)))
    assert not torch.equal(first, torch.rand(5, generator=seeding.generator(3, "noise", 8)))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeding_everything_seeds_torch() -> None:
    seeding.seed_everything(3, "noise", 7)
    first = torch.rand(5)
    seeding.seed_everything(3, "noise", 7)
    assert torch.equal(first, torch.rand(5))
    assert torch.equal(first, torch.rand(5, generator=seeding.generator(3, "noise", 7)))
