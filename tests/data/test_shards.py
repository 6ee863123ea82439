import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqvae.data import CodesDataset, CodesHeader, CodesWriter, read_manifest
from vqvae.errors import ConfigError, DataError

_HEADER = CodesHeader(source="weights-1/data-1", num_codebooks=2, codebook_size=300, space=(3, 5), count=10, shard_size=4)


def _codes(header, seed=0):
    return np.random.default_rng(seed).integers(0, header.codebook_size, (header.count, header.num_codebooks, *header.space))


def _write(folder, header, codes, labels=None, **options):
    """Write what is missing; returns the numbers of the shards that were."""
    writer = CodesWriter(folder, header, **options)
    written = []
    for shard in writer.missing():
        rows = slice(shard.examples.start, shard.examples.stop)
        writer.write(shard, codes[rows], None if labels is None else labels[rows])
        written.append(shard.number)
    writer.finish()
    return written


@settings(max_examples=25, deadline=None)
@given(
    codebook_size=st.sampled_from([1, 2, 256, 257, 512, 65536, 65537, 2**20]),
    num_codebooks=st.integers(1, 3),
    space=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    count=st.integers(1, 9),
    shard_size=st.integers(1, 5),
    labelled=st.booleans(),
)
def test_what_is_written_is_read(tmp_path_factory, codebook_size, num_codebooks, space, count, shard_size, labelled):
    header = CodesHeader(
        source="here",
        num_codebooks=num_codebooks,
        codebook_size=codebook_size,
        space=tuple(space),
        count=count,
        shard_size=shard_size,
        label_names=("a", "b", "c") if labelled else (),
    )
    folder = tmp_path_factory.mktemp("codes")
    codes, labels = _codes(header), np.arange(count) % 3 if labelled else None
    _write(folder, header, codes, labels)
    dataset = CodesDataset(folder, source="here")
    order = np.random.default_rng(1).permutation(count)
    batch = dataset.batch(order)
    assert batch.x.dtype == torch.int64 and torch.equal(batch.x, torch.from_numpy(codes[order]))
    assert batch.condition.label is None if labels is None else batch.condition.label.tolist() == labels[order].tolist()
    assert dataset.label_names == header.label_names and len(dataset) == count


@pytest.mark.parametrize(("codebook_size", "bytes_per_code"), [(256, 1), (257, 2), (65536, 2), (65537, 4)])
def test_the_smallest_type_is_stored(tmp_path, codebook_size, bytes_per_code):
    header = CodesHeader(source="s", num_codebooks=1, codebook_size=codebook_size, space=(100, 100), count=10, shard_size=10)
    _write(tmp_path, header, _codes(header))
    assert 100_000 * bytes_per_code < (tmp_path / "shard-00000.safetensors").stat().st_size < 100_000 * bytes_per_code + 2000


def test_an_interrupted_run_writes_only_what_is_missing(tmp_path):
    codes = _codes(_HEADER)
    writer = CodesWriter(tmp_path, _HEADER)
    shards = list(writer.missing())
    assert [shard.examples for shard in shards] == [range(4), range(4, 8), range(8, 10)]
    writer.write(shards[1], codes[4:8])
    with pytest.raises(DataError, match="holds no manifest"):
        CodesDataset(tmp_path)
    with pytest.raises(DataError, match="lacks 2 shards, the first of them 0"):
        writer.finish()
    assert _write(tmp_path, _HEADER, codes) == [0, 2]
    assert torch.equal(CodesDataset(tmp_path).batch(np.arange(10)).x, torch.from_numpy(codes))
    assert _write(tmp_path, _HEADER, codes) == []


def test_every_file_is_the_same_after_an_interruption(tmp_path):
    codes = _codes(_HEADER)
    _write(tmp_path / "whole", _HEADER, codes)
    writer = CodesWriter(tmp_path / "resumed", _HEADER)
    writer.write(next(writer.missing()), codes[:4])
    _write(tmp_path / "resumed", _HEADER, codes)
    whole, resumed = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "resumed"))
    assert whole == resumed and len(whole) == 4


@pytest.mark.parametrize("position", [0, 20, -1])
def test_a_damaged_shard_is_refused_and_written_again(tmp_path, position):
    codes = _codes(_HEADER)
    _write(tmp_path, _HEADER, codes)
    path = tmp_path / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"shard-00001.*sha256 differs"):
        CodesDataset(tmp_path)
    assert _write(tmp_path, _HEADER, codes) == [1]
    CodesDataset(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"shard-00001\S* is missing"):
        CodesDataset(tmp_path)


def test_codes_of_another_source_are_an_error_or_written_over(tmp_path):
    _write(tmp_path, _HEADER, _codes(_HEADER))
    other, codes = dataclasses.replace(_HEADER, source="weights-2/data-1"), _codes(_HEADER, seed=1)
    with pytest.raises(DataError, match="weights-1/data-1"):
        CodesDataset(tmp_path, source=other.source)
    with pytest.raises(DataError, match="codes.source: 'weights-1/data-1' -> 'weights-2/data-1'"):
        CodesWriter(tmp_path, other)
    assert _write(tmp_path, other, codes, on_mismatch="rewrite") == [0, 1, 2]
    assert torch.equal(CodesDataset(tmp_path, source=other.source).batch(np.arange(10)).x, torch.from_numpy(codes))


def test_shards_of_another_unfinished_run_are_not_taken(tmp_path):
    writer = CodesWriter(tmp_path, _HEADER)
    writer.write(next(writer.missing()), _codes(_HEADER)[:4])
    other = dataclasses.replace(_HEADER, source="weights-2/data-1")
    assert [shard.number for shard in CodesWriter(tmp_path, other).missing()] == [0, 1, 2]


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "CodesManifest"}'])
def test_a_damaged_manifest_is_named(tmp_path, text):
    _write(tmp_path, _HEADER, _codes(_HEADER))
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        read_manifest(tmp_path)
    assert _write(tmp_path, _HEADER, _codes(_HEADER), on_mismatch="rewrite") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda codes: codes[:, :1], "of shape"),
        (lambda codes: codes[:3], "of shape"),
        (lambda codes: codes + 300, r"they must be in \[0, 300\)"),
        (lambda codes: codes - 300, r"they must be in \[0, 300\)"),
    ],
)
def test_codes_that_do_not_fit_are_refused(tmp_path, change, message):
    writer = CodesWriter(tmp_path, _HEADER)
    with pytest.raises(DataError, match=message):
        writer.write(next(writer.missing()), change(_codes(_HEADER)[:4]))
    assert not list(tmp_path.iterdir())


def test_labels_must_fit_their_names(tmp_path):
    named = dataclasses.replace(_HEADER, label_names=("a", "b"))
    shard, codes = next(CodesWriter(tmp_path, _HEADER).missing()), _codes(_HEADER)[:4]
    with pytest.raises(DataError, match="was given labels, but the header has 0"):
        CodesWriter(tmp_path, _HEADER).write(shard, codes, np.zeros(4, np.int64))
    with pytest.raises(DataError, match="was given no labels, but the header has 2"):
        CodesWriter(tmp_path, named).write(shard, codes)
    with pytest.raises(DataError, match="labels that do not fit"):
        CodesWriter(tmp_path, named).write(shard, codes, np.full(4, 2))


def test_impossible_headers_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="must be at least 1"):
        CodesWriter(tmp_path, dataclasses.replace(_HEADER, space=(3, 0)))


def test_the_name_follows_the_codes(tmp_path):
    names = []
    for number, seed in enumerate((0, 1, 0)):
        _write(tmp_path / str(number), _HEADER, _codes(_HEADER, seed))
        names.append(CodesDataset(tmp_path / str(number)).name)
    assert names[0] == names[2] != names[1]


def test_sequences_that_were_filled_up_come_with_their_mask(tmp_path):
    header = dataclasses.replace(_HEADER, space=(5,))
    codes, lengths = _codes(header), np.array([5, 5, 5, 5, 1, 2, 3, 4, 5, 5])
    writer = CodesWriter(tmp_path, header)
    for shard in writer.missing():
        own = lengths[shard.examples.start : shard.examples.stop]
        # A shard without any that is filled up says nothing.
        writer.write(shard, codes[shard.examples.start : shard.examples.stop], lengths=own if (own < 5).any() else None)
    writer.finish()
    rows = np.array([6, 0, 4])
    assert CodesDataset(tmp_path).batch(rows).mask.tolist() == [[True] * length + [False] * (5 - length) for length in (3, 5, 1)]
    writer = CodesWriter(tmp_path / "whole", _HEADER)
    shard = next(writer.missing())
    for wrong in (np.array([1, 2, 3, 6]), np.array([0, 1, 2, 3])):
        with pytest.raises(DataError, match="lengths that do not fit: 4 from 1 to"):
            CodesWriter(tmp_path / "other", header).write(shard, codes[:4], lengths=wrong)
    with pytest.raises(DataError, match="lengths"):
        writer.write(shard, _codes(_HEADER)[:4], lengths=np.array([1, 1, 1, 1]))
