"""A job with a tiny run and its synthetic pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vqvae
from vqvae.data import SyntheticImagesConfig
from vqvae.data.records.base import Records
from vqvae.data.records.datasets import DatasetRecords
from vqvae.pipeline import Pipeline
from vqvae.tokenization.plan import Plan, Reading
from vqvae.tokenization.worker import Job

RUN = Path(__file__).parents[1] / "golden" / "run-images" / "run"


@pytest.fixture(scope="session")
def model() -> Pipeline:
    """The model of the run: codes (1, height / 2, width / 2) of 8."""
    return vqvae.load(RUN)


@pytest.fixture
def make_job(model: Pipeline, tmp_path: Path) -> Callable[..., Job]:
    """Makes a job: 40 pictures of 8 by 8, in shards of 6, if nothing else is said."""

    def make(records: Records | None = None, shard_size: int = 6, format: str = "parquet", **reading: Any) -> Job:
        source = records or DatasetRecords(SyntheticImagesConfig(count=40, size=8, classes=3))
        plan = Plan.of(model, source.facts, format=format, shard_size=shard_size, reading=Reading(**reading))
        return Job(run=RUN, records=source, plan=plan, out=tmp_path / "out")

    return make
