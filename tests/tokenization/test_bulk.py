"""Whole tokenizations: complete, resumable, and the same bytes however often they were stopped."""

import dataclasses
import hashlib
import json

import pyarrow.parquet
import pytest

from tests.tokenization.sources import Pictures
from vqvae import disk
from vqvae.errors import ConfigError, DataError
from vqvae.tokenization.bulk import read_manifest, tokenize_records
from vqvae.tokenization.worker import Worker


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("format", ["parquet", "webdataset"])
def test_the_manifest_says_what_the_shards_hold(format, make_job, model):
    job = make_job(Pictures([4, 0, 4, 4, 4, 0, 4]), shard_size=3, format=format)
    manifest = tokenize_records(job, model, "local", 1)
    assert manifest == read_manifest(job.out) and manifest["items"] == 5 and manifest["shapes"] == [[1, 2, 2]]
    assert manifest["bad"] == [{"id": str(number), "shard": number // 3, "error": "it is bad"} for number in (1, 5)]
    assert [one["items"] for one in manifest["shards"]] == [2, 2, 1]
    for one in manifest["shards"]:
        content = (job.out / one["file"]).read_bytes()
        assert one["bytes"] == len(content) and one["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["plan"]["tokenizer"] == job.plan.tokenizer and manifest["types"] == ["uint8"]


@pytest.mark.parametrize("heights", [[4] * 4, [4, 4, 6, 6], [4, 6, 4, 6], [0, 0, 4, 4], [0, 0, 0, 0]])
def test_all_shards_have_the_same_columns(heights, make_job, model):
    job = make_job(Pictures(heights), shard_size=2)
    manifest = tokenize_records(job, model, "local", 1)
    schemas = [pyarrow.parquet.read_schema(job.out / one["file"]).remove_metadata() for one in manifest["shards"]]
    assert schemas[0] == schemas[1]
    is_fixed = pyarrow.types.is_fixed_size_list(schemas[0].field("codes").type)
    assert is_fixed == (len({height for height in heights if height}) == 1) == (manifest["shapes"] is not None)
    assert len(pyarrow.parquet.read_table(job.out / "shards")) == sum(height > 0 for height in heights)


def test_a_finished_folder_is_left_alone_and_mended(make_job, model, monkeypatch):
    job = make_job()
    tokenize_records(job, model, "local", 1)
    before, write, again = contents(job.out), Worker.write, []
    monkeypatch.setattr(Worker, "write", lambda self, shard: again.append(shard) or write(self, shard))
    tokenize_records(job, model, "local", 1)
    assert not again and contents(job.out) == before
    (job.out / job.plan.file(2)).unlink()
    damaged = job.out / job.plan.file(4)
    damaged.write_bytes(damaged.read_bytes()[:40] + b"x" + damaged.read_bytes()[41:])
    tokenize_records(job, model, "local", 1)
    assert again == [2, 4] and contents(job.out) == before
    (job.out / "manifest.json").write_text("{")
    tokenize_records(job, model, "local", 1)
    assert again == [2, 4] and contents(job.out) == before


class Killed(BaseException):
    pass


@pytest.mark.parametrize("heights", [[4] * 7, [4, 4, 4, 0, 6, 4, 4]])
def test_stopped_anywhere_it_ends_the_same(heights, make_job, model, monkeypatch, tmp_path):
    """The sweep with real kills is in ``tests/fuzz/kills.py``."""
    job = make_job(Pictures(heights), shard_size=2)
    tokenize_records(job, model, "local", 1)
    before, replace = contents(job.out), disk.os.replace
    for last in range(20):
        other = dataclasses.replace(job, out=tmp_path / f"again-{last}")
        count = iter(range(100))

        def dies(*paths, last=last, count=count):
            if next(count) == last:
                raise Killed
            replace(*paths)

        with monkeypatch.context() as patch:
            patch.setattr(disk.os, "replace", dies)
            try:
                tokenize_records(other, model, "local", 1)
            except Killed:
                assert contents(other.out) != before
            else:
                break
        tokenize_records(other, model, "local", 1)
        assert contents(other.out) == before
    assert 5 <= last < 19


def test_only_one_process_writes_to_a_folder(make_job, model):
    job = make_job()
    tokenize_records(job, model, "local", 1)
    with disk.held(job.out / ".lock"), pytest.raises(ConfigError, match="Another process writes to"):
        tokenize_records(job, model, "local", 1)
    with pytest.raises(ConfigError, match="'local' or 'ray'"):
        tokenize_records(job, model, "spark", 1)
    with pytest.raises(ConfigError, match="with 0 workers"):
        tokenize_records(job, model, "local", 0)


def test_a_place_that_cannot_be_written_and_damaged_manifests(make_job, model, tmp_path):
    job = make_job()
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="Choose another --out"):
        tokenize_records(dataclasses.replace(job, out=tmp_path / "file"), model, "local", 1)
    with pytest.raises(DataError, match="Tokenize the data"):
        read_manifest(tmp_path)
    for text in ("{", "[1]", json.dumps({"plan": 1})):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match="is damaged"):
            read_manifest(tmp_path)
