"""A worker writes the codes of the model, in order, and goes on past bad items."""

import dataclasses

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from tests.tokenization.sources import Pictures
from vqvae.data.records.files import FileRecords
from vqvae.errors import CheckpointError, ConfigError
from vqvae.pipeline import Pipeline
from vqvae.tokenization.formats import FORMATS
from vqvae.tokenization.worker import Worker


def written(job, shard=0):
    Worker(job).write(shard)
    return pyarrow.parquet.read_table(job.out / job.plan.file(shard)).to_pylist()


def test_codes_are_those_of_each_item_alone(make_job, model):
    heights = [4, 4, 4, 0, 6, 4, 4] + [4] * 30
    job = make_job(Pictures(heights, "int"), shard_size=40)
    rows, source = written(job), [record for record in job.records.read(0, 37) if record.id != "3"]
    assert [row["id"] for row in rows] == [record.id for record in source] and rows[3]["label"] == 4
    for row, record in zip(rows, source, strict=True):
        codes = model.encode(torch.from_numpy(record.data)[None])
        assert row["codes"] == codes.flatten().tolist() and row["shape"] == list(codes.shape[1:])
        assert row["size"] == list(record.data.shape[1:])
    outcome = FORMATS["parquet"].outcome(job.out / job.plan.file(0), job.plan, 0)
    assert [one.id for one in outcome.bad] == ["3"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigError("too odd"), "too odd"),
        (MemoryError(), "It takes more memory than there is."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "It takes more memory than there is."),
    ],
)
def test_an_item_that_the_model_refuses_spoils_no_other(error, words, make_job, model, monkeypatch):
    job = make_job(Pictures([4] * 6), shard_size=6)
    refused = next(iter(job.records.read(2, 3))).data
    encode = Pipeline.encode_each

    def picky(self, examples):
        if any(np.array_equal(x[0], refused) for x in examples):
            raise error
        return encode(self, examples)

    monkeypatch.setattr(Pipeline, "encode_each", picky)
    assert [row["id"] for row in written(job)] == ["0", "1", "3", "4", "5"]
    outcome = FORMATS["parquet"].outcome(job.out / job.plan.file(0), job.plan, 0)
    assert [(one.id, one.error) for one in outcome.bad] == [("2", words)]


def test_another_tokenizer_than_planned_is_refused(make_job):
    job = make_job()
    with pytest.raises(CheckpointError, match="changed while it was in use"):
        Worker(dataclasses.replace(job, plan=dataclasses.replace(job.plan, tokenizer="f00")))


def test_an_error_that_is_not_about_an_item_stops_the_work(make_job, monkeypatch):
    def broken(self, examples):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(Pipeline, "encode_each", broken)
    with pytest.raises(RuntimeError, match="the device is gone"):
        Worker(make_job()).write(0)


def test_names_that_are_not_unicode_can_be_stored(make_job, tmp_path):
    (tmp_path / "data").mkdir()
    names = ["bad-\udcff.png", "good-\udcfe.png"]
    (tmp_path / "data" / names[0]).write_bytes(b"no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "data" / names[1])
    job = make_job(FileRecords(tmp_path / "data", names))
    assert [row["id"] for row in written(job)] == ["good-?.png"]
    outcome = FORMATS["parquet"].outcome(job.out / job.plan.file(0), job.plan, 0)
    assert [one.id for one in outcome.bad] == ["bad-?.png"] and str(tmp_path) not in outcome.bad[0].error
