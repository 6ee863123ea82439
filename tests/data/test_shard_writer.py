"""Writing codes: in the smallest types, shard by shard, with one shard in memory, and again only where that is needed."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch

from tests.data.sharded import HEADER, batches, codes_of, read_file, size_of, write
from vqvae.codes import Codes
from vqvae.data import CodesDataset, CodesHeader, CodesWriter, Condition, LevelHeader, shard_writer
from vqvae.errors import DataError

SECOND = LevelHeader(num_codebooks=1, codebook_size=16, space=(6, 10))


@pytest.mark.parametrize(("codebook_size", "bytes_per_code"), [(256, 1), (257, 2), (65536, 2), (65537, 4)])
def test_the_smallest_type_is_stored(tmp_path, codebook_size, bytes_per_code):
    header = CodesHeader(source="s", num_codebooks=1, codebook_size=codebook_size, space=(100, 100), count=10, shard_size=10)
    write(tmp_path, header, codes_of(header))
    assert 100_000 * bytes_per_code < (tmp_path / "shard-00000.safetensors").stat().st_size < 100_000 * bytes_per_code + 2000


@pytest.mark.parametrize("further", [(), (SECOND,)])
def test_writing_keeps_one_shard_in_memory(tmp_path, further):
    header = CodesHeader(source="s", num_codebooks=4, codebook_size=300, space=(64, 64), count=512, shard_size=64, further=further)
    random = np.random.default_rng(0)

    def encoded(examples):
        # Arrays of numpy are what tracemalloc sees.
        for _ in range(0, len(examples), 4):
            shapes = [(4, level.num_codebooks, *level.space) for level in header.levels]
            yield Codes(torch.from_numpy(random.integers(0, 16, shape)) for shape in shapes), Condition()

    writer = CodesWriter(tmp_path, header)
    tracemalloc.start()
    try:
        for shard in writer.missing():
            writer.write(shard, encoded(shard.examples))
        writer.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert header.num_shards == 8 and size_of(header) < peak < 2.5 * size_of(header)


def test_an_interrupted_run_writes_only_what_is_missing(tmp_path):
    codes = codes_of(HEADER)
    writer = CodesWriter(tmp_path, HEADER)
    shards = list(writer.missing())
    assert [shard.examples for shard in shards] == [range(4), range(4, 8), range(8, 10)]
    writer.write(shards[1], [(codes.take(slice(4, 8)), Condition())])
    with pytest.raises(DataError, match="holds no manifest"):
        CodesDataset(tmp_path)
    with pytest.raises(DataError, match="lacks 2 shards, first 0"):
        writer.finish()
    assert write(tmp_path, HEADER, codes) == [0, 2]
    assert torch.equal(CodesDataset(tmp_path).batch(np.arange(10)).x, codes[0])
    assert write(tmp_path, HEADER, codes) == []


def test_every_file_is_the_same_after_an_interruption_and_with_other_batches(tmp_path):
    header = dataclasses.replace(HEADER, further=(SECOND,), action_names=("go", "stop"))
    mask = torch.rand(10, 6, 10, generator=torch.Generator().manual_seed(0)) < 0.5
    codes, condition = codes_of(header, masks=[None, mask]), Condition(actions=torch.arange(30).view(10, 3) % 2)
    write(tmp_path / "whole", header, codes, condition, size=10)
    writer = CodesWriter(tmp_path / "resumed", header)
    writer.write(next(writer.missing()), batches(codes, condition, range(4)))
    write(tmp_path / "resumed", header, codes, condition, size=1)
    whole, resumed = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "resumed"))
    assert whole == resumed and len(whole) == 4


def test_a_shard_whose_codes_fail_half_way_is_not_there(tmp_path):
    def encoded():
        yield codes_of(HEADER).take(slice(0, 2)), Condition()
        raise KeyboardInterrupt

    writer = CodesWriter(tmp_path, HEADER)
    with pytest.raises(KeyboardInterrupt):
        writer.write(next(writer.missing()), encoded())
    assert not list(tmp_path.iterdir())


def test_a_file_that_could_not_be_finished_is_not_there(tmp_path, monkeypatch):
    def full(arrays, path, metadata):
        path.write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(shard_writer, "save_file", full)
    writer = CodesWriter(tmp_path, HEADER)
    with pytest.raises(DataError, match="shard-00000.safetensors could not be written .No space"):
        writer.write(next(writer.missing()), batches(codes_of(HEADER), Condition(), range(4)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"source": "weights-2/data-1"},
        {"further": (SECOND,)},
        {"action_names": ("go",)},
    ],
)
def test_shards_of_another_unfinished_run_are_not_taken(tmp_path, change):
    writer = CodesWriter(tmp_path, HEADER)
    writer.write(next(writer.missing()), batches(codes_of(HEADER), Condition(), range(4)))
    other = dataclasses.replace(HEADER, **change)
    assert [shard.number for shard in CodesWriter(tmp_path, other).missing()] == [0, 1, 2]


def test_codes_of_another_source_are_an_error_or_written_over(tmp_path):
    write(tmp_path, HEADER, codes_of(HEADER))
    other, codes = dataclasses.replace(HEADER, source="weights-2/data-1"), codes_of(HEADER, seed=1)
    with pytest.raises(DataError, match="codes.source: 'weights-1/data-1' -> 'weights-2/data-1'"):
        CodesWriter(tmp_path, other)
    assert write(tmp_path, other, codes, on_mismatch="rewrite") == [0, 1, 2]
    assert torch.equal(CodesDataset(tmp_path, source=other.source).batch(np.arange(10)).x, codes[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda codes: Codes([codes[0][:, :1]]), r"takes integers \(batch, 2, \*space\)"),
        (lambda codes: Codes([codes[0][..., :4]]), r"of the shape \(4, 2, 3, 4\); it takes \(4, 2, 3, 5\)"),
        (lambda codes: codes.take(slice(0, 3)), "was given 3 examples; it takes 4"),
        (lambda codes: Codes.cat([codes, codes]), "was given more; it takes 4"),
        (lambda codes: codes.map(lambda tensor: tensor + 300), "has 0 to 299"),
        (lambda codes: codes.map(lambda tensor: tensor - 300), "has 0 to 299"),
        (lambda codes: codes.map(torch.Tensor.float), "takes integers"),
        (lambda codes: Codes([*codes, *codes]), "codes of 2 levels; it takes 1"),
        (lambda codes: Codes(codes, [torch.ones(4, 3, dtype=torch.bool)]), r"a mask, torch.bool of the shape \(4, 3\)"),
        (lambda codes: Codes(codes, [torch.ones(4, 3, 5)]), "a mask, torch.float32"),
    ],
)
def test_codes_that_do_not_fit_are_refused(tmp_path, change, message):
    writer = CodesWriter(tmp_path, HEADER)
    with pytest.raises(DataError, match=message):
        writer.write(next(writer.missing()), [(change(codes_of(HEADER).take(slice(0, 4))), Condition())])
    assert not list(tmp_path.iterdir())


def test_levels_of_a_batch_have_as_many_examples(tmp_path):
    header = dataclasses.replace(HEADER, further=(SECOND,))
    first, second = codes_of(header)
    writer = CodesWriter(tmp_path, header)
    with pytest.raises(DataError, match=r"of the shape \(3, 1, 6, 10\); it takes \(4, 1, 6, 10\)"):
        writer.write(next(writer.missing()), [(Codes([first[:4], second[:3]]), Condition())])


@pytest.mark.parametrize("kind", ["label", "actions"])
def test_labels_and_actions_must_fit_their_names(tmp_path, kind):
    named = dataclasses.replace(HEADER, **{f"{kind.removesuffix('s')}_names": ("a", "b")})
    shape, codes = (4, 3)[: 1 + (kind == "actions")], codes_of(HEADER).take(slice(0, 4))
    plain, writer = CodesWriter(tmp_path, HEADER), CodesWriter(tmp_path, named)
    shard = next(writer.missing())
    with pytest.raises(DataError, match=f"was given {kind}s?, but the header has 0"):
        plain.write(shard, [(codes, Condition(**{kind: torch.zeros(shape, dtype=torch.int64)}))])
    with pytest.raises(DataError, match=f"was given no {kind}s?, but the header has 2"):
        writer.write(shard, [(codes, Condition())])
    for wrong in (torch.full(shape, 2), torch.full(shape, -1), torch.zeros(shape), torch.zeros(3, *shape[1:], dtype=torch.int64)):
        with pytest.raises(DataError, match=f"{kind}s? that do not fit"):
            writer.write(shard, [(codes, Condition(**{kind: wrong}))])
    assert not list(tmp_path.iterdir())


def test_batches_of_a_shard_have_actions_over_one_time(tmp_path):
    writer = CodesWriter(tmp_path, dataclasses.replace(HEADER, action_names=("a", "b")))
    codes = codes_of(HEADER)
    encoded = [(codes.take(slice(2)), Condition(actions=torch.zeros(2, time, dtype=torch.int64))) for time in (3, 4)]
    with pytest.raises(DataError, match=r"actions that do not fit: .* of the shape \(2, 3\)"):
        writer.write(next(writer.missing()), encoded)


@pytest.mark.parametrize(
    ("lengths", "stored"), [([5, 5, 5, 5], {"codes"}), ([5, 3, 1, 5], {"codes", "lengths"}), ([0, 3, 1, 5], {"codes", "lengths"})]
)
def test_masks_of_filled_up_sequences_become_lengths(tmp_path, lengths, stored):
    header = dataclasses.replace(HEADER, space=(5,), count=4)
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    write(tmp_path, header, codes_of(header, masks=[mask]))
    assert read_file(tmp_path / "shard-00000.safetensors")[0].keys() - {"__metadata__"} == stored
    batch = CodesDataset(tmp_path).batch(np.arange(4))
    assert batch.mask is None if stored == {"codes"} else torch.equal(batch.mask, mask)


def test_masks_with_holes_are_kept_whole_though_lengths_came_first(tmp_path):
    header = dataclasses.replace(HEADER, space=(5,), count=4)
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 1, 0, 1], [1, 0, 0, 0, 0]], dtype=torch.bool)
    write(tmp_path, header, codes_of(header, masks=[mask]), size=1)
    assert {"mask"} == read_file(tmp_path / "shard-00000.safetensors")[0].keys() - {"__metadata__", "codes"}
    assert torch.equal(CodesDataset(tmp_path).batch(np.arange(4)).mask, mask)
