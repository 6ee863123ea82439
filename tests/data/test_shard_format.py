"""What is taken for codes on disk: both versions of the format, and nothing that is damaged or hostile."""

import base64
import copy
import dataclasses
import json
import tracemalloc

import numpy as np
import pytest
import torch

from tests.data.sharded import HEADER, codes_of, read_file, write, write_file
from vqvae.codes import Level
from vqvae.data import CodesDataset, CodesHeader, CodesWriter, Condition, LevelHeader, read_manifest
from vqvae.errors import ConfigError, DataError

VERSION_1_HEADER = (
    '{"kind": "CodesHeader", "source": "tokenizer, data", "num_codebooks": 1, "codebook_size": 300, "space": [2], "count": 3, '
    '"label_names": ["a", "b"], "shard_size": 2}'
)
VERSION_1_CONTENT = (
    "b1083b6bfaa38f0095af00ff69398a64fb5ecc9c5f4e6a6b05e081036ee731a6",
    "f66dc395b0524454359196d31172904419e98d84bbf728be0b32c4eba4bcf830",
)
VERSION_1_SHA256 = (
    "023a8ac5b53151559efeab4f38e3f75c41a99bda46eda6e1e09075c5b14b10c8",
    "4c4862ebd96459d2f98928d31c6215354d5fc253756233c9d95a0493a830a73a",
)
VERSION_1_TENSORS = (
    '"lengths":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},"codes":{"dtype":"U16","shape":[2,1,2],"data_offsets":[16,24]},'
    '"labels":{"dtype":"U8","shape":[2],"data_offsets":[24,26]}}      ',
    '"codes":{"dtype":"U16","shape":[1,1,2],"data_offsets":[0,4]},"labels":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}}      ',
)
VERSION_1_DATA = ("AgAAAAAAAAABAAAAAAAAAAEAAgACAQAAAAE=", "KwEHAAE=")
CODES, LABELS = [[[1, 2]], [[258, 0]], [[299, 7]]], [0, 1, 1]


def _write_version_1(folder, shards=(0, 1), manifest=True):
    """What the first release of the format wrote, byte for byte."""
    folder.mkdir(parents=True)
    for number in shards:
        metadata = json.dumps(f'[{VERSION_1_HEADER}, {number}, "{VERSION_1_CONTENT[number]}"]')
        header = f'{{"__metadata__":{{"shard":{metadata}}},{VERSION_1_TENSORS[number]}'
        write_file(folder / f"shard-{number:05d}.safetensors", header, base64.b64decode(VERSION_1_DATA[number]))
    if manifest:
        sha256 = json.dumps(VERSION_1_SHA256)
        (folder / "manifest.json").write_text(f'{{"kind": "CodesManifest", "header": {VERSION_1_HEADER}, "sha256": {sha256}}}\n')


def test_version_1_is_read(tmp_path):
    _write_version_1(tmp_path / "codes")
    dataset = CodesDataset(tmp_path / "codes", source="tokenizer, data")
    batch = dataset.batch(np.arange(3))
    assert batch.x.tolist() == CODES and batch.condition.label.tolist() == LABELS
    assert batch.mask.tolist() == [[True, True], [True, False], [True, True]]
    assert batch.condition.actions is None and batch.condition.codes == ()
    assert dataset.label_names == ("a", "b") and dataset.name == "codes-f8cf2cbc6803c72a"
    assert read_manifest(tmp_path / "codes").version == 1


@pytest.mark.parametrize("left", [(0,), (1,), (0, 1)])
def test_what_an_interrupted_run_of_version_1_left_is_kept_and_finished(tmp_path, left):
    _write_version_1(tmp_path / "codes", left, manifest=False)
    header = CodesHeader(
        source="tokenizer, data", num_codebooks=1, codebook_size=300, space=(2,), count=3, label_names=("a", "b"), shard_size=2
    )
    codes = codes_of(header, masks=[torch.tensor([[True, True], [True, False], [True, True]])])
    codes[0].copy_(torch.tensor(CODES))
    written = write(tmp_path / "codes", header, codes, Condition(torch.tensor(LABELS)))
    assert written == [number for number in (0, 1) if number not in left]
    manifest = read_manifest(tmp_path / "codes")
    assert manifest.version == 2 and manifest.sha256 == VERSION_1_SHA256 and manifest.header == header


def test_the_header_of_a_tokenizer_has_its_levels():
    layout = (Level(1, 512, (8, 8)), Level(2, 256, (4, 4)))
    header = CodesHeader.of(source="s", layout=layout, spaces=[(4, 4), (8, 8)], count=9, label_names=["a"], action_names=["go", "stop"])
    assert header.levels == (
        LevelHeader(num_codebooks=1, codebook_size=512, space=(4, 4)),
        LevelHeader(num_codebooks=2, codebook_size=256, space=(8, 8)),
    )
    assert header.further == header.levels[1:] and header.shard_size == 4096
    assert (header.count, header.label_names, header.action_names) == (9, ("a",), ("go", "stop"))
    with pytest.raises(ConfigError, match="2 levels and there are 1 spaces"):
        CodesHeader.of(source="s", layout=layout, spaces=[(4, 4)], count=9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": (3, 0)}, "must be at least 1"),
        ({"count": 0}, "must be at least 1"),
        ({"codebook_size": 2**31 + 1}, "at most 2147483648 codes"),
        ({"space": (1,) * 40}, "at most 30 axes"),
    ],
)
def test_impossible_headers_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(HEADER, **change)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '{"kind": "CodesManifest"}', "\xff", '{"version": "2"}'])
def test_a_damaged_manifest_is_named(tmp_path, text):
    write(tmp_path, HEADER, codes_of(HEADER))
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        read_manifest(tmp_path)
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        CodesWriter(tmp_path, HEADER)
    assert write(tmp_path, HEADER, codes_of(HEADER), on_mismatch="rewrite") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(version=3, news=1), "version is 3, and this release reads 1 to 2; a later release"),
        (lambda manifest: manifest.update(version=0), "version is 0"),
        (lambda manifest: manifest["sha256"].pop(), "names 2 shards; its header makes 3"),
        (lambda manifest: manifest["header"].update(count=10**18), "names 3 shards; its header makes 25"),
        (lambda manifest: manifest["header"].update(shard_size=0), "must be at least 1"),
        (lambda manifest: manifest["header"].update(codebook_size=10**18), "too large"),
    ],
)
def test_a_manifest_that_cannot_be_is_named(tmp_path, change, message):
    write(tmp_path, HEADER, codes_of(HEADER))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=message):
        CodesDataset(tmp_path)


def _changed(**fields):
    return lambda entries: entries["codes"].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_changed(shape=[4, 2, 3, 10**12]), r"shape \[4, 2, 3, 1000000000000\]; expected U16 of \(4, 2, 3, 5\)"),
        (_changed(shape=[4, 2, 15]), "expected U16"),
        (_changed(shape=[4, 2, 3, -5]), "no shape or no place"),
        (_changed(shape=[4, 2, 3, 5.0]), "no shape or no place"),
        (_changed(shape=None), "no shape or no place"),
        (_changed(dtype="U8"), "U16 of"),
        (_changed(dtype=["U16"]), "U16 of"),
        (_changed(data_offsets=[0, 10**15]), "bytes 0 to 1000000000000000 of 240"),
        (_changed(data_offsets=[240, 480]), "bytes 240 to 480 of 240"),
        (_changed(data_offsets=[240, 0]), "bytes 240 to 0"),
        (_changed(data_offsets=[0]), "no shape or no place"),
        (_changed(data_offsets=[False, 240]), "no shape or no place"),
        (lambda entries: entries.update(codes=[]), "no shape or no place"),
        (lambda entries: entries.pop("codes"), "has the tensors"),
        (lambda entries: entries.update(more=entries["codes"]), "has the tensors"),
        (lambda entries: entries.update(lengths={"dtype": "I64", "shape": [4], "data_offsets": [0, 32]}), "has the tensors"),
        (lambda entries: entries.update(mask={"dtype": "BOOL", "shape": [4, 3, 5], "data_offsets": [0, 60]}), "take 300 bytes"),
    ],
)
def test_a_hostile_header_is_refused_before_anything_is_mapped(tmp_path, change, message):
    write(tmp_path, HEADER, codes_of(HEADER))
    path = tmp_path / "shard-00001.safetensors"
    entries, data = read_file(path)
    hostile = copy.deepcopy(entries)
    change(hostile)
    write_file(path, hostile, data)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"shard-00001\S* is damaged: .*" + message):
            CodesDataset(tmp_path, verify=False)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert write(tmp_path, HEADER, codes_of(HEADER)) == [1]


@pytest.mark.parametrize("length", [3, 8, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, length):
    write(tmp_path, HEADER, codes_of(HEADER))
    path = tmp_path / "shard-00002.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"shard-00002\S* is damaged"):
        CodesDataset(tmp_path, verify=False)
    assert write(tmp_path, HEADER, codes_of(HEADER)) == [2]


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8 + b"{}", (100_000).to_bytes(8, "little") + b"[" * 100_000, (2).to_bytes(8, "little") + b"[]"]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    write(tmp_path, HEADER, codes_of(HEADER))
    (tmp_path / "shard-00000.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"shard-00000\S* is damaged"):
        CodesDataset(tmp_path, verify=False)


@pytest.mark.parametrize("position", [0, 20, -1])
def test_a_damaged_shard_is_refused_and_written_again(tmp_path, position):
    codes = codes_of(HEADER)
    write(tmp_path, HEADER, codes)
    path = tmp_path / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"shard-00001.*sha256 differs"):
        CodesDataset(tmp_path)
    assert write(tmp_path, HEADER, codes) == [1]
    CodesDataset(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"shard-00001\S* is missing"):
        CodesDataset(tmp_path)
