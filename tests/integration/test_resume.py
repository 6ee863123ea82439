"""Runs that are killed at any moment, and runs of several processes."""

import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from tests.training import tiny
from vqvae import storage

ROOT = Path(__file__).parents[2]


def train(folder: str, limit: int | None) -> None:
    """Train in ``folder``, without being able to write files larger than ``limit`` bytes."""
    os.dup2(os.open(f"{folder}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    tiny.trainer(Path(folder), tiny.settings(steps=40), log_every=1, checkpoint_every=1).run()


class Server:
    """Starts training processes from one that has imported everything, so that they live in training and not in imports."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.integration.test_resume", "torch.utils.tensorboard", "torch._dynamo"])

    def start(self, folder: Path, limit: int | None = None) -> BaseProcess:
        process = self.context.Process(target=train, args=(str(folder), limit))
        process.start()
        return process

    def train(self, folder: Path) -> dict[str, bytes]:
        """Train to the end, and give all tensors of the run."""
        process = self.start(folder)
        process.join(60)
        assert process.exitcode == 0, folder.with_name(f"{folder.name}.txt").read_text()
        return tiny.contents(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        # The server process finds neither the tests nor the package by itself.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
        yield Server()


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    server.train(folder)
    return folder


@pytest.mark.parametrize("seed", range(6))
def test_a_run_that_is_killed_at_any_moment_ends_like_an_unbroken_one(tmp_path: Path, server: Server, whole: Path, seed: int) -> None:
    delays, kills, folder = random.Random(seed), 0, tmp_path / "run"
    while not (folder / "tokenizer").exists():
        process = server.start(folder)
        # Longer from turn to turn, or a slow machine would never get past the start.
        process.join(delays.uniform(0.03, 0.1 * 1.1**kills))
        process.kill()
        process.join()
        assert process.exitcode in (0, -9), (tmp_path / "run.txt").read_text()
        kills += process.exitcode == -9
    assert server.train(folder) == tiny.contents(whole)
    assert kills > 0
    assert not [path for path in folder.rglob(".*") if path.suffix in (".tmp", ".old")]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len((whole / "metrics.jsonl").read_text().splitlines())


def test_a_disk_that_takes_no_more_leaves_the_last_good_checkpoint(tmp_path: Path, server: Server, whole: Path) -> None:
    """The system itself refuses to write, in the middle of a file."""
    folder = tmp_path / "run"
    first = server.start(folder)
    while first.is_alive() and not list(folder.glob("checkpoints/step-*/state.json")):
        time.sleep(0.005)
    first.kill()
    first.join()
    size = max(path.stat().st_size for path in max(folder.glob("checkpoints/step-*")).iterdir())
    second = server.start(folder, limit=size - 100)
    second.join(60)
    assert second.exitcode == 1 and "could not be written" in (tmp_path / "run.txt").read_text()
    storage.load(max(folder.glob("checkpoints/step-*")))
    assert not list(folder.glob("checkpoints/.*"))
    assert server.train(folder) == tiny.contents(whole)


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    module = ["-m", "tests.training.tiny"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *module]
    runs = [
        subprocess.Popen([sys.executable, *arguments, str(tmp_path / name)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for name, arguments in (("one", module), ("two", torchrun))
    ]
    for process in runs:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    one, two = (storage.load(tmp_path / name / "tokenizer").state_dict() for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
    metrics = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert len(metrics[0]) == len(metrics[1])
