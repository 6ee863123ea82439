"""The checkpoints of a run that can be used in place of a finished part."""

import re
from pathlib import Path

from vqvae import storage
from vqvae.config import shown
from vqvae.disk import exists
from vqvae.errors import CheckpointError, ConfigError

TOKENIZER, CHECKPOINTS, STATE = "tokenizer", "checkpoints", "state.json"
BEST = "best"
_STEP = re.compile(r"step-(\d{6,12})")


def checkpoint_steps(run: Path, stage: str = TOKENIZER) -> dict[int, Path]:
    """The checkpoints of a part of a run by their step, in order.

    Args:
        run: the run folder.
        stage: the place of the part in the run folder, such as "prior".
    """
    folder = run / CHECKPOINTS if stage == TOKENIZER else run / CHECKPOINTS / stage
    steps = {int(match[1]): path for path in folder.glob("step-*") if (match := _STEP.fullmatch(path.name))}
    return dict(sorted(steps.items()))


def best_step(run: Path, stage: str = TOKENIZER) -> int | None:
    """The step of the checkpoint with the lowest loss on held-out data; None if there is none.

    Raises:
        CheckpointError: if the last checkpoint is damaged.
    """
    steps = checkpoint_steps(run, stage)
    if not steps:
        return None
    best = storage.read_json(steps[max(steps)] / STATE).get("best")
    step = best.get("step") if isinstance(best, dict) else None
    return step if isinstance(step, int) and step in steps else None


def chosen_checkpoint(run: Path, which: str | int) -> Path:
    """The checkpoint of the tokenizer that a user chose: "best", or a step.

    Raises:
        CheckpointError: if there is no such checkpoint.
        ConfigError: if ``which`` is neither.
    """
    steps = checkpoint_steps(run)
    if which == BEST:
        step = best_step(run)
    elif (isinstance(which, int) and not isinstance(which, bool)) or (isinstance(which, str) and which.isdecimal() and len(which) <= 12):
        step = int(which)
    else:
        raise ConfigError(f"The checkpoint is {shown(which)}; it must be 'best' or a step, such as {max(steps, default=1000)}.")
    if step not in steps:
        known = ", ".join(map(str, steps)) or "none"
        raise CheckpointError(f"{run} has no checkpoint {shown(which)}. It has the steps: {known}.")
    return steps[step]


def part_of(run: Path, folder: Path) -> Path | None:
    """Where a part of a run can be read: its folder or, if its training stopped, its last checkpoint. None if there is neither."""
    if exists(folder):
        return folder
    steps = checkpoint_steps(run, folder.relative_to(run).as_posix())
    return steps[max(steps)] if steps else None
