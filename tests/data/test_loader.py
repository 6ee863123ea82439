import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqvae import building
from vqvae.data import ArrayDataset, Batch, Dataset, Loader, global_indices, in_order
from vqvae.data.loader import spread, spread_indices
from vqvae.errors import ConfigError, DataError


class _Slow(Dataset):
    """Numbers that take a while, and one that cannot be had."""

    name = "slow"

    def __init__(self, size=32, seconds=0.0, bad=-1):
        self.size, self.seconds, self.bad, self.asked = size, seconds, bad, 0

    def __len__(self):
        return self.size

    def batch(self, indices):
        self.asked += 1
        time.sleep(self.seconds * float(indices[0] % 3))
        if self.bad in indices:
            raise DataError("a bad example")
        return Batch(torch.from_numpy(indices[:, None]))


def _threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("vqvae-loader")]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 5), batch_size=st.integers(1, 40), size=st.integers(1, 30), epochs=st.integers(1, 3))
def test_every_epoch_sees_every_example_once(seed, batch_size, size, epochs):
    steps = -(-epochs * size // batch_size)
    stream = np.concatenate([global_indices(seed, step, batch_size, size) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(stream[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_the_order_never_changes():
    # Written down from one run: another order would make a resumed run differ from one that was not interrupted.
    assert global_indices(0, 0, 8, 10).tolist() == [2, 8, 9, 3, 6, 1, 0, 4]
    assert global_indices(3, 2, 4, 10).tolist() == [0, 2, 6, 3]


def test_epochs_and_seeds_differ():
    first = global_indices(0, 0, 50, 50)
    assert (first != global_indices(0, 1, 50, 50)).any() and (first != global_indices(1, 0, 50, 50)).any()


def test_a_resumed_loader_goes_on_where_it_stopped():
    dataset = _Slow()
    whole = [(step, batch.x.tolist()) for step, batch in Loader(dataset, batch_size=5, seed=1, steps=20)]
    rest = [(step, batch.x.tolist()) for step, batch in Loader(dataset, batch_size=5, seed=1, first_step=7, steps=20)]
    assert [step for step, _ in whole] == list(range(20))
    assert rest == whole[7:]


def test_ranks_share_the_global_batch_in_order():
    dataset = _Slow()
    whole = [batch.x for _, batch in Loader(dataset, batch_size=8, seed=0, steps=5)]
    parts = [[batch.x for _, batch in Loader(dataset, batch_size=8, seed=0, steps=5, rank=rank, world_size=4)] for rank in range(4)]
    for step in range(5):
        assert torch.equal(torch.cat([part[step] for part in parts]), whole[step])


def test_threads_keep_the_order():
    steps = [int(batch.x[0]) for _, batch in Loader(_Slow(seconds=0.002), batch_size=2, seed=0, steps=30, workers=4, prefetch=8)]
    assert steps == [int(global_indices(0, step, 2, 32)[0]) for step in range(30)]


def test_batches_are_ready_before_they_are_asked_for():
    dataset = _Slow()
    batches = iter(Loader(dataset, batch_size=2, seed=0, steps=30, prefetch=5))
    next(batches)
    deadline = time.monotonic() + 10
    while dataset.asked < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert dataset.asked == 5
    batches.close()


def test_the_wait_of_the_consumer_is_kept():
    dataset = _Slow(size=4)
    release = threading.Event()
    batch = dataset.batch
    dataset.batch = lambda indices: (release.wait(10), batch(indices))[1]
    loader = Loader(dataset, batch_size=2, seed=0, steps=3)
    timer = threading.Timer(0.1, release.set)
    timer.start()
    assert len(list(loader)) == len(loader) == 3
    timer.join()
    assert 0.05 < loader.waited_seconds < 5


def test_an_error_reaches_the_consumer_at_its_step():
    loader = Loader(_Slow(bad=5), batch_size=4, seed=0, steps=8)
    broken = next(step for step in range(8) if 5 in global_indices(0, step, 4, 32))
    seen = []
    with pytest.raises(DataError, match="a bad example"):
        for step, _ in loader:
            seen.append(step)
    assert seen == list(range(broken))
    assert not _threads()


def test_stopping_early_leaves_no_threads():
    for _ in Loader(_Slow(), batch_size=4, seed=0, steps=1000):
        assert _threads()
        break
    assert not _threads()


def test_in_order_gives_every_example_once():
    dataset = ArrayDataset(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), name="x")
    assert [batch.x.flatten().tolist() for batch in in_order(dataset, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch.x.flatten().tolist() for batch in in_order(dataset, 4, start=3, stop=8)] == [[3, 4, 5, 6], [7]]
    assert not list(in_order(dataset, 4, start=3, stop=3))


@pytest.mark.parametrize("setting", [{"batch_size": 6, "world_size": 4}, {"batch_size": 0}, {"prefetch": 0}, {"workers": 0}])
def test_impossible_settings_are_refused(setting):
    with pytest.raises(ConfigError, match="must be"):
        Loader(_Slow(), **{"batch_size": 4, "seed": 0, "steps": 1, **setting})


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="slow is empty"):
        Loader(_Slow(size=0), batch_size=1, seed=0, steps=1)


def test_spread_takes_equal_distances_and_never_more_than_there_is():
    dataset = ArrayDataset(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), name="ten")
    assert [batch.x.flatten().tolist() for batch in spread(dataset, 4, 3)] == [[0, 2, 5], [7]]
    assert torch.cat([batch.x for batch in spread(dataset, 99, 4)]).flatten().tolist() == list(range(10))
    assert list(spread(dataset, 0, 4)) == []


def test_places_are_spread_over_all_that_has_a_length():
    assert spread_indices("abcd", 2).tolist() == [0, 2] and spread_indices("abcd", 9).tolist() == [0, 1, 2, 3]
    assert spread_indices([], 3).tolist() == []


def test_a_batch_that_does_not_fit_into_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "memory", lambda: 2.0**20)
    data = ArrayDataset(np.zeros((4, 3, 4, 4), np.uint8), name="a")
    with pytest.raises(ConfigError, match=r"A batch of 1,000,000,000 examples takes .* Choose smaller sizes"):
        next(iter(Loader(data, batch_size=10**9, seed=0, steps=1)))
    assert len(next(iter(Loader(data, batch_size=5000, seed=0, steps=1)))[1].x) == 5000
