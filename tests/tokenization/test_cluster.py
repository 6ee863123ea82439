"""Ray writes what one process writes; without Ray, an error names the extra."""

import subprocess
import sys

import pytest

from vqvae.errors import CheckpointError, MissingExtraError
from vqvae.tokenization import cluster
from vqvae.tokenization.cluster import run_ray
from vqvae.tokenization.local import run_local

CALL = """
from pathlib import Path
import vqvae
from tests.tokenization.conftest import RUN
from vqvae.data import SyntheticImagesConfig
manifest = vqvae.tokenize(RUN, SyntheticImagesConfig(count=40, size=8, classes=3), "{out}", engine="ray", workers=2, shard_size=6)
print(manifest["items"])
"""


@pytest.mark.slow
def test_ray_writes_the_same_bytes(make_job, model, tmp_path):
    pytest.importorskip("ray")
    job = make_job()
    list(run_local(job, range(7), 1, model))
    # In a process of its own: Ray leaves threads and warnings behind.
    done = subprocess.run([sys.executable, "-c", CALL.format(out=tmp_path / "ray")], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["40"], done.stderr
    for number in range(7):
        assert (tmp_path / "ray" / job.plan.file(number)).read_bytes() == (job.out / job.plan.file(number)).read_bytes()


def test_an_actor_writes_the_shards_of_its_batch(make_job, monkeypatch):
    monkeypatch.setattr(cluster, "single_threaded", lambda: None)
    job = make_job()
    actor = cluster._Actor(job)
    assert actor({"item": [2]})["item"].tolist() == [2] and (job.out / job.plan.file(2)).exists()


def test_without_ray_the_extra_is_named(make_job, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"ray\[data\].*vqvae\[cluster\]"):
        list(run_ray(make_job(), [0], 1))


def test_our_errors_are_found_inside_those_of_ray():
    ours = CheckpointError("changed")
    wrapped, outer = RuntimeError("wrapped"), RuntimeError("outer")
    wrapped.cause = ours  # type: ignore[attr-defined]
    outer.__cause__ = wrapped
    assert cluster._cause(outer) is ours and cluster._cause(RuntimeError()) is None
