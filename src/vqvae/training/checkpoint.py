"""Checkpoints: everything that a run needs to resume as if it had never stopped, as safetensors and JSON.

checkpoints/step-000100/
  config.json, weights.safetensors   the part as evaluated (averaged, if averaging is on): ``storage.load`` reads it
  unaveraged.safetensors             the weights being trained, if they differ from the averaged ones
  optimizer.safetensors              the running means of the optimizers; each parameter has one optimizer
  state.json                         step, seconds, the best evaluation so far, the configuration
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from vqvae import disk, storage
from vqvae.config import from_json
from vqvae.errors import CheckpointError, ConfigError
from vqvae.pipeline import LOCK, STATE, TOKENIZER
from vqvae.storage import RunCard
from vqvae.storage.card import renamed_in_version_2
from vqvae.training.averaging import Average
from vqvae.training.muon import Muon
from vqvae.training.optimizers import Adam

UNAVERAGED, OPTIMIZER = "unaveraged.safetensors", "optimizer.safetensors"
ADAM, MUON, COUNT = {"exp_avg", "exp_avg_sq"}, {"momentum"}, "step"
"""What an optimizer stores for a parameter. Adam: two running means and the number of steps. Muon: one running mean."""
MEANS = ADAM | MUON
T = TypeVar("T")
NAME = re.compile(r"step-(\d{6,})")
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())
"""The run folders that this context has locked."""


class Best(NamedTuple):
    """The best evaluation so far."""

    step: int
    held_out_loss: float


class Progress(NamedTuple):
    """The state of a run besides its tensors."""

    step: int
    """Number of completed steps."""
    seconds: float
    """The time that these steps took, in seconds, over all starts of the run."""
    best: Best | None
    training: dict[str, Any]
    """The whole TrainConfig, as JSON."""


class Learner(NamedTuple):
    """The tensors of a run."""

    module: nn.Module
    optimizers: tuple[Adam, ...]
    """The model's optimizer and, if there are adversaries among its criteria, theirs."""
    average: Average | None

    @property
    def evaluated(self) -> nn.Module:
        """The module that is evaluated and finally saved."""
        return self.module if self.average is None else self.average.module


class Checkpoints:
    """The checkpoints of one stage of a run."""

    def __init__(self, folder: Path, keep_last: int) -> None:
        self.folder, self.keep_last = folder, keep_last

    def path(self, step: int) -> Path:
        """The folder of the checkpoint after ``step`` steps."""
        return self.folder / f"step-{step:06d}"

    def steps(self) -> list[int]:
        """The steps with a checkpoint, in order. Half-written checkpoints of a killed process do not count."""
        names = [NAME.fullmatch(path.name) for path in self.folder.glob("step-*")]
        return sorted(int(match[1]) for match in names if match)

    def latest(self) -> Progress | None:
        """The state of the last checkpoint, or None if there is none.

        Raises:
            CheckpointError: if its ``state.json`` is missing or damaged.
        """
        steps = self.steps()
        return self._state(steps[-1]) if steps else None

    def save(self, learner: Learner, state: Progress, card: RunCard) -> None:
        """Save a checkpoint, then remove those that are neither the best nor among the last ``keep_last``.

        Raises:
            CheckpointError: if the disk is full, or the folder cannot be written. Earlier checkpoints are unchanged.
        """
        with storage.replacing(self.path(state.step)) as temporary:
            storage.write(learner.evaluated, temporary, card)
            if learner.average is not None:
                storage.write_tensors(learner.module.state_dict(), temporary / UNAVERAGED)
            storage.write_tensors(_flatten(learner), temporary / OPTIMIZER)
            best = None if state.best is None else state.best._asdict()
            storage.write_json({**state._asdict(), "best": best}, temporary / STATE)
        kept = {*self.steps()[-self.keep_last :], *([state.best.step] if state.best else [])}
        for step in self.steps():
            if step not in kept:
                with disk.explained(CheckpointError, self.path(step), "could not be removed", "The new checkpoint is complete."):
                    disk.remove(self.path(step))

    def restore(self, learner: Learner, step: int) -> None:
        """Copy a checkpoint's tensors into a learner.

        Raises:
            CheckpointError: if files are missing, damaged or do not fit; the message names them.
        """
        folder = self.path(step)
        weights = folder / storage.WEIGHTS
        storage.restore(learner.evaluated, storage.read_tensors(weights), weights)
        if learner.average is not None:
            storage.restore(learner.module, storage.read_tensors(folder / UNAVERAGED), folder / UNAVERAGED)
        path = folder / OPTIMIZER
        owners = _owners(learner)
        for parameter, moments in _moments(learner, storage.read_tensors(path), path).items():
            # The fused kernel walks through memory, so the running means need the same memory layout as the parameter.
            owners[parameter].state[parameter] = {
                entry: torch.empty_like(parameter).copy_(value) if entry in MEANS else value.to(parameter.device)
                for entry, value in moments.items()
            }

    def _state(self, step: int) -> Progress:
        path = self.path(step) / STATE
        data = storage.read_json(path)
        try:
            best, training = data["best"], data["training"]
            if not isinstance(best, dict | None) or not isinstance(training, dict):
                raise TypeError("best and training must be objects")
            step, seconds = from_json(int, data["step"], "step"), from_json(float, data["seconds"], "seconds")
            found = None if best is None else Best(from_json(int, best["step"], "step"), from_json(float, best["held_out_loss"], "loss"))
            return Progress(step, seconds, found, training)
        except (ConfigError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged ({error}). Remove its folder to resume from the previous checkpoint.") from error


def saved_on_error(batches: Iterable[tuple[int, T]], first: int, save: Callable[[int], None]) -> Iterator[tuple[int, T]]:
    """Pass on ``(step, batch)``. If the next batch cannot be read, save the result of the previous steps and then raise the error.

    Args:
        batches: the pairs to pass on.
        first: number of steps done before, which are already saved.
        save: saves the state after the given number of steps.
    """
    done = first
    try:
        for step, batch in batches:
            yield step, batch
            done = step + 1
    except Exception:
        if done > first:
            save(done)
        raise


@contextmanager
def only_writer(run: Path) -> Iterator[None]:
    """Hold the lock of a run folder. Within this context, a second call for the same folder takes no lock of its own.

    The system releases the lock when the process ends, however it ends.

    Raises:
        CheckpointError: if another process trains in this folder, or it cannot be written.
    """
    key, ours = os.path.realpath(run), _held.get()
    if key in ours:
        yield
        return
    with ExitStack() as stack:
        with disk.explained(CheckpointError, run, "cannot be written", "Choose another folder."):
            run.mkdir(parents=True, exist_ok=True)
            free = stack.enter_context(disk.held(run / LOCK, 0))
        if not free:
            raise CheckpointError(f"Another process trains in {run}. Wait for it, or choose another folder.")
        token = _held.set(ours | {key})
        try:
            yield
        finally:
            _held.reset(token)


def check_run_folder(folder: Path) -> None:
    """Check that a folder from a user can become a run folder: it does not exist, is empty, or is a run already. Nothing is changed.

    Raises:
        ConfigError: if it contains other files, even hidden ones, or is itself a file.
    """
    with disk.explained(ConfigError, folder, "cannot be a run folder", "Choose another one."):
        if not os.path.lexists(folder):
            return
        names = sorted(set(os.listdir(folder)) - {disk.TEMPORARY})
        if names and not _holds_run(folder):
            raise ConfigError(
                f"{folder} contains {names[:4]} and is not a run. Choose another folder: a run cannot share one with other files."
            )


def _holds_run(folder: Path) -> bool:
    """Whether the folder holds a run: its lock or, in a copy without hidden files, a tokenizer or a checkpoint."""
    ours = (folder / TOKENIZER / storage.CONFIG, *folder.glob(f"checkpoints/**/step-*/{STATE}"))
    return (folder / LOCK).is_file() or any(b"format_version" in path.read_bytes() for path in ours if path.is_file())


def _moments(learner: Learner, tensors: Mapping[str, Tensor], where: Path) -> dict[nn.Parameter, dict[str, Tensor]]:
    """The stored tensors of the optimizers, by parameter and entry. The fused kernel trusts their shapes, so all are checked here.

    Raises:
        CheckpointError: if a tensor is unknown or missing, or its shape or dtype differs from its parameter's.
    """
    parameters, owners = dict(learner.module.named_parameters()), _owners(learner)
    moments: dict[nn.Parameter, dict[str, Tensor]] = {}
    for key, stored in tensors.items():
        name, _, entry = key.rpartition("/")
        parameter = parameters.get(name, parameters.get(renamed_in_version_2(name)))
        if parameter not in owners or entry not in _entries(owners[parameter]):
            raise CheckpointError(f"{where} does not fit the model: {key} is unknown.")
        shape, dtype = (parameter.shape, parameter.dtype) if entry in MEANS else (torch.Size(), torch.float32)
        if (stored.shape, stored.dtype) != (shape, dtype):
            found, wanted = storage.describe(stored), storage.describe(torch.empty(shape, dtype=dtype, device="meta"))
            raise CheckpointError(f"{where} does not fit the model: {key} is {found}, expected {wanted}.")
        moments.setdefault(parameter, {})[entry] = stored
    for name, parameter in parameters.items():
        missing = sorted(_entries(owners[parameter]) - moments[parameter].keys()) if parameter in moments else []
        if missing:
            raise CheckpointError(f"{where} does not fit the model: {missing} of {name} are missing.")
    return moments


def _entries(optimizer: torch.optim.Optimizer) -> set[str]:
    """The names of the tensors that an optimizer stores for a parameter."""
    return MUON if isinstance(optimizer, Muon) else ADAM | {COUNT}


def _flatten(learner: Learner) -> dict[str, Tensor]:
    """The tensors of the optimizers as ``parameter/entry``."""
    named, owners = dict(learner.module.named_parameters()), _owners(learner)
    return {f"{name}/{entry}": value for name, p in named.items() if p in owners for entry, value in owners[p].state.get(p, {}).items()}


def _owners(learner: Learner) -> dict[nn.Parameter, torch.optim.Optimizer]:
    """For each trained parameter, the optimizer that updates it."""
    return {parameter: owner for optimizer in learner.optimizers for parameter, owner in optimizer.owners().items()}
