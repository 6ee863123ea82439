"""Reading codes: what was written, from files that stay on the disk."""

import dataclasses
import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.sharded import HEADER, codes_of, size_of, write
from vqvae.data import CodesDataset, CodesHeader, Condition, LevelHeader, shards
from vqvae.errors import DataError

LEVELS = st.fixed_dictionaries(
    {
        "num_codebooks": st.integers(1, 3),
        "codebook_size": st.sampled_from([1, 2, 256, 257, 512, 65536, 65537, 2**20]),
        "space": st.lists(st.integers(1, 4), max_size=3).map(tuple),
    }
)


@settings(max_examples=40, deadline=None)
@given(
    levels=st.lists(LEVELS, min_size=1, max_size=3),
    count=st.integers(1, 9),
    shard_size=st.integers(1, 5),
    labelled=st.booleans(),
    acting=st.booleans(),
    masked=st.integers(0, 7),
)
def test_what_is_written_is_read(tmp_path_factory, levels, count, shard_size, labelled, acting, masked):
    header = CodesHeader(
        source="here",
        **levels[0],
        count=count,
        shard_size=shard_size,
        label_names=("a", "b", "c") if labelled else (),
        further=tuple(LevelHeader(**level) for level in levels[1:]),
        action_names=("go", "stop") if acting else (),
    )
    folder, random = tmp_path_factory.mktemp("codes"), torch.Generator().manual_seed(0)
    masks = [
        torch.rand(count, *level.space, generator=random) < 0.5 if masked & 1 << number else None
        for number, level in enumerate(header.levels)
    ]
    codes = codes_of(header, masks=masks)
    condition = Condition(torch.arange(count) % 3 if labelled else None, torch.arange(4 * count).view(count, 4) % 2 if acting else None)
    write(folder, header, codes, condition)
    order = np.random.default_rng(1).integers(0, count, 2 * count)
    for number, level in enumerate(header.levels):
        dataset = CodesDataset(folder, source="here", level=number)
        batch = dataset.batch(order)
        assert batch.x.dtype == torch.int64 and torch.equal(batch.x, codes[number][order])
        assert len(batch.condition.codes) == number
        assert all(torch.equal(found, above[order]) for found, above in zip(batch.condition.codes, codes, strict=False))
        for found, given_ in zip(batch.condition[:2], condition[:2], strict=True):
            assert found is None if given_ is None else found.dtype == torch.int64 and torch.equal(found, given_[order])
        whole = masks[number] is None or bool(masks[number].all())
        assert batch.mask is None if whole else torch.equal(batch.mask, masks[number][order])
        assert dataset.signal.channels == level.num_codebooks and len(dataset.signal.axes) == len(level.space)
        assert dataset.signal.check(batch.x) is batch.x
        assert (dataset.label_names, dataset.action_names, len(dataset)) == (header.label_names, header.action_names, count)


def test_codes_over_time_and_space_come_with_the_levels_above(tmp_path):
    header = CodesHeader(
        source="video",
        num_codebooks=1,
        codebook_size=512,
        space=(2, 4, 4),
        count=5,
        shard_size=2,
        further=(LevelHeader(num_codebooks=2, codebook_size=1024, space=(4, 8, 8)),),
        action_names=("go", "stop"),
    )
    codes, condition = codes_of(header), Condition(actions=torch.arange(20).view(5, 4) % 2)
    write(tmp_path, header, codes, condition)
    top, bottom = CodesDataset(tmp_path), CodesDataset(tmp_path, level=1)
    assert top.signal.axes == bottom.signal.axes == ("time", "height", "width")
    assert (top.signal.levels, bottom.signal.levels, bottom.signal.channels) == (512, 1024, 2)
    assert top.name != bottom.name
    batch = bottom.batch(np.array([4, 0, 3]))
    assert torch.equal(batch.x, codes[1][[4, 0, 3]]) and torch.equal(batch.condition.codes[0], codes[0][[4, 0, 3]])
    assert torch.equal(batch.condition.actions, condition.actions[[4, 0, 3]]) and top.batch(np.arange(2)).condition.codes == ()
    for level in (-1, 2):
        with pytest.raises(DataError, match=f"no codes of level {level}; choose one from 0 to 1"):
            CodesDataset(tmp_path, level=level)


def test_codes_of_another_source_are_refused(tmp_path):
    write(tmp_path, HEADER, codes_of(HEADER))
    with pytest.raises(DataError, match="weights-1/data-1"):
        CodesDataset(tmp_path, source="weights-2/data-1")


@pytest.mark.parametrize("verify", [True, False])
def test_reading_leaves_the_codes_on_the_disk(tmp_path, verify):
    header = CodesHeader(source="s", num_codebooks=4, codebook_size=300, space=(64, 64), count=512, shard_size=64)
    write(tmp_path, header, codes_of(header))
    CodesDataset(tmp_path).batch(np.arange(1))  # What is imported at the first call is no data.
    gc.collect()
    tracemalloc.start()
    try:
        dataset = CodesDataset(tmp_path, verify=verify)
        opened = tracemalloc.get_traced_memory()[1]
        dataset.batch(np.arange(0, 512, 64))
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # One block of a file for its sha256; then eight examples as int64, and one of them in the type of the file.
    assert opened < size_of(header) / 4
    assert read < size_of(header)


def test_threads_read_the_same_though_few_shards_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_MOST_OPEN", 2)
    header = dataclasses.replace(HEADER, count=64)
    codes = codes_of(header)
    write(tmp_path, header, codes, size=64)
    dataset = CodesDataset(tmp_path)
    orders = [np.random.default_rng(seed).integers(0, 64, 16) for seed in range(64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(dataset.batch, orders))
    assert all(torch.equal(batch.x, codes[0][order]) for batch, order in zip(found, orders, strict=True))


def test_a_batch_is_the_callers_own(tmp_path):
    write(tmp_path, HEADER, codes_of(HEADER))
    dataset = CodesDataset(tmp_path)
    dataset.batch(np.arange(10)).x.zero_()
    assert torch.equal(dataset.batch(np.arange(10)).x, codes_of(HEADER)[0])
    assert dataset.batch(np.arange(0)).x.shape == (0, 2, 3, 5)


@pytest.mark.parametrize("index", [-1, 10])
def test_examples_that_there_are_not_are_refused(tmp_path, index):
    write(tmp_path, HEADER, codes_of(HEADER))
    with pytest.raises(IndexError, match=f"examples 0 to 9; {index} to {index} were requested"):
        CodesDataset(tmp_path).batch(np.array([index]))


def test_a_shard_that_was_written_over_since_is_not_mixed_with_the_others(tmp_path):
    write(tmp_path, HEADER, codes_of(HEADER))
    dataset = CodesDataset(tmp_path)
    write(tmp_path, dataclasses.replace(HEADER, source="weights-2/data-1"), codes_of(HEADER, seed=1), on_mismatch="rewrite")
    with pytest.raises(DataError, match="has changed since the codes were opened"):
        dataset.batch(np.arange(10))


def test_shards_have_actions_over_one_time(tmp_path):
    header, codes = dataclasses.replace(HEADER, action_names=("a", "b")), codes_of(HEADER)
    write(tmp_path, header, codes, Condition(actions=torch.zeros(10, 3, dtype=torch.int64)))
    (tmp_path / "shard-00002.safetensors").unlink()
    write(tmp_path, header, codes, Condition(actions=torch.zeros(10, 4, dtype=torch.int64)))
    with pytest.raises(DataError, match=r"shard-00002\S* has 4 actions an example, and the shards before it 3"):
        CodesDataset(tmp_path)


def test_the_name_follows_the_codes(tmp_path):
    names = []
    for number, seed in enumerate((0, 1, 0)):
        write(tmp_path / str(number), HEADER, codes_of(HEADER, seed))
        names.append(CodesDataset(tmp_path / str(number)).name)
    assert names[0] == names[2] != names[1]


def test_all_batches_have_a_mask_where_any_shard_has(tmp_path):
    header = dataclasses.replace(HEADER, space=(5,))
    lengths = torch.tensor([5, 5, 5, 5, 1, 2, 3, 4, 5, 5])
    write(tmp_path, header, codes_of(header, masks=[torch.arange(5) < lengths[:, None]]))
    dataset = CodesDataset(tmp_path)
    rows = np.array([6, 0, 4])
    assert dataset.batch(rows).mask.tolist() == [[True] * length + [False] * (5 - length) for length in (3, 5, 1)]
    assert dataset.batch(np.array([0])).mask.tolist() == [[True] * 5]
