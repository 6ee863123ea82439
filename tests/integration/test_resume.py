"""Runs that are killed at any moment, and runs of several processes."""

import functools
import itertools
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.training import adversary, tiny
from vqvae import storage

ROOT = Path(__file__).parents[2]


SETTINGS = {"plain": tiny.settings, "adversary": adversary.settings}
FILE_EVENTS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir", "shutil.rmtree")
"""What Python tells of work on files before it is done; an exchange of two names is between two of these."""


def train(folder: str, kind: str, limit: int | None, moment: int | None) -> None:
    """Train in ``folder``, without being able to write files larger than ``limit`` bytes, up to the ``moment``-th time that the run's
    files are touched."""
    os.dup2(os.open(f"{folder}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if moment is not None:
        end_at(moment, folder)
    tiny.trainer(Path(folder), SETTINGS[kind](steps=40), log_every=1, checkpoint_every=1).run()


def end_at(moment: int, folder: str) -> None:
    """Have this process kill itself. Which moment it is does not depend on how fast anything runs: TensorBoard's thread is left out."""
    left = itertools.count(moment, -1)

    def hook(event: str, arguments: tuple) -> None:
        if (
            event in FILE_EVENTS
            and str(arguments[0]).startswith(folder + "/")
            and "tensorboard" not in str(arguments[0])
            and next(left) == 1
        ):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


class Server:
    """Starts training processes from one that has imported everything, so that they live in training and not in imports."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.integration.test_resume", "torch.utils.tensorboard", "torch._dynamo"])

    def run(self, folder: Path, kind: str, limit: int | None = None, moment: int | None = None) -> int:
        """Train; gives the exit code, which is -9 of a process that was killed."""
        process = self.context.Process(target=train, args=(str(folder), kind, limit, moment))
        process.start()
        process.join(120)
        assert process.exitcode is not None, "it still runs"
        return process.exitcode

    def train(self, folder: Path, kind: str) -> dict[str, bytes]:
        """Train to the end, and give all tensors of the run."""
        assert self.run(folder, kind) == 0, folder.with_name(f"{folder.name}.txt").read_text()
        return tiny.contents(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        # The server process finds neither the tests nor the package by itself.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
        yield Server()


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs that were never interrupted."""

    @functools.cache
    def trained(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind) / "run"
        server.train(folder, kind)
        return folder

    return trained


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_at_any_moment_ends_like_an_unbroken_one(
    tmp_path: Path, server: Server, whole: Callable[[str], Path], kind: str, seed: int
) -> None:
    moments, kills, folder = random.Random(f"{kind} {seed}"), 0, tmp_path / "run"
    while not (folder / "tokenizer").exists():
        code = server.run(folder, kind, moment=moments.randint(1, 200))
        assert code in (0, -9), (tmp_path / "run.txt").read_text()
        kills += code == -9
    assert server.train(folder, kind) == tiny.contents(whole(kind))
    assert kills >= 3
    assert not [path for path in folder.rglob(".*") if path.suffix in (".tmp", ".old")]
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len((whole(kind) / "metrics.jsonl").read_text().splitlines())


def test_a_disk_that_takes_no_more_leaves_the_last_good_checkpoint(tmp_path: Path, server: Server, whole: Callable[[str], Path]) -> None:
    """The system itself refuses to write, in the middle of a file."""
    folder = tmp_path / "run"
    assert server.run(folder, "plain", moment=150) == -9
    last = max(folder.glob("checkpoints/step-*"))
    assert server.run(folder, "plain", limit=max(path.stat().st_size for path in last.iterdir()) - 100) == 1
    assert "could not be written" in (tmp_path / "run.txt").read_text()
    assert max(folder.glob("checkpoints/step-*")) == last
    storage.load(last)
    assert not list(folder.glob("checkpoints/.*"))
    assert server.train(folder, "plain") == tiny.contents(whole("plain"))


@pytest.mark.parametrize("name", ["tiny", "adversary"])
def test_two_processes_learn_what_one_learns(tmp_path: Path, name: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    module = ["-m", f"tests.training.{name}"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *module]
    runs = [
        subprocess.Popen([sys.executable, *arguments, str(tmp_path / name)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for name, arguments in (("one", module), ("two", torchrun))
    ]
    for process in runs:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    parts = [adversary.ToyAdversaryConfig]
    one, two = (storage.load(tmp_path / name / "tokenizer", parts).state_dict() for name in ("one", "two"))
    assert any(name.startswith("further.") for name in one) is (name == "adversary")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
    metrics = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert len(metrics[0]) == len(metrics[1])
