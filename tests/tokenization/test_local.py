"""Worker processes write what one process writes."""

import os
import signal
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from tests.tokenization.sources import Pictures
from vqvae.errors import VqvaeError
from vqvae.tokenization import local
from vqvae.tokenization.local import run_local


class Deadly(Pictures):
    """Kills the process that reads it."""

    def read(self, start, stop):
        os.kill(os.getpid(), signal.SIGKILL)
        yield from ()


def test_one_worker_is_this_process_and_gives_the_threads_back(make_job, model):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        job = make_job()
        assert list(run_local(job, [4, 1], 1, model)) == [4, 1] and torch.get_num_threads() == 2
        assert sorted(path.name for path in (job.out / "shards").iterdir()) == ["shard-000001.parquet", "shard-000004.parquet"]
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_several_workers_write_the_same_bytes(make_job, model):
    job = make_job()
    list(run_local(job, range(7), 1, model))
    before = {path.name: path.read_bytes() for path in (job.out / "shards").iterdir()}
    for path in (job.out / "shards").iterdir():
        path.unlink()
    assert sorted(run_local(job, range(7), 2, model)) == list(range(7))
    assert {path.name: path.read_bytes() for path in (job.out / "shards").iterdir()} == before


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_work_with_an_error(make_job, model):
    with pytest.raises(VqvaeError, match="A worker process ended before its work was done"):
        list(run_local(make_job(Deadly([4] * 4), shard_size=1), range(4), 2, model))


def test_a_worker_process_loads_the_model_once(make_job, monkeypatch):
    class Parent(BaseProcess):
        def __init__(self):
            pass

        def join(self, timeout=None):
            threading.Event().wait()  # The parent lives on.

    monkeypatch.setattr(local, "_worker", None)
    monkeypatch.setattr(local.multiprocessing, "parent_process", Parent)
    monkeypatch.setattr(local, "single_threaded", lambda: None)
    job = make_job()
    local._begin(job)
    worker = local._worker
    assert local._write(2) == 2 and local._write(3) == 3 and local._worker is worker
    assert Path(job.out / job.plan.file(3)).exists()
