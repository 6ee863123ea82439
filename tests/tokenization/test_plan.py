"""A plan is fixed before the work starts, and other plans are refused."""

import dataclasses
import json

import pytest

from vqvae.errors import ConfigError, DataError
from vqvae.tokenization.plan import PLAN, Reading, settle


def test_every_item_lies_in_one_shard(make_job):
    plan = make_job(shard_size=6).plan
    numbers = [number for shard in range(plan.shards) for number in plan.items_of(shard)]
    assert plan.shards == 7 and numbers == list(range(40)) and len(plan.items_of(6)) == 4
    assert plan.file(3) == "shards/shard-000003.parquet" and make_job(format="webdataset").plan.file(0).endswith("000000.tar")
    with pytest.raises(ConfigError, match="shard size is 0"):
        make_job(shard_size=0)


def test_a_folder_keeps_one_plan(make_job, tmp_path):
    plan = make_job().plan
    settle(plan, tmp_path)
    settle(plan, tmp_path)
    changes = {"shard_size": 7, "tokenizer": "f00", "data": "files, 1", "reading": Reading(size=(4, 4)), "format": "webdataset"}
    for name, value in changes.items():
        other = dataclasses.replace(plan, **{name: value})
        assert other.digest != plan.digest
        with pytest.raises(ConfigError, match=rf"another model, other data or other settings: plan\.{name}.*Choose another --out"):
            settle(other, tmp_path)
    assert json.loads((tmp_path / PLAN).read_text())["shard_size"] == 6


def test_folders_of_others_and_damaged_plans_are_refused(make_job, tmp_path):
    plan = make_job().plan
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(ConfigError, match=r"holds photo.jpg but no plan.json"):
        settle(plan, tmp_path)
    (tmp_path / PLAN).write_text("{")
    with pytest.raises(ConfigError, match="JSON"):
        settle(plan, tmp_path)
    (tmp_path / PLAN).unlink()
    (tmp_path / PLAN).mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        settle(plan, tmp_path)
