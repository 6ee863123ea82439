"""Frames of 3-D worlds with the actions between them, rendered when needed, as in experiment E4 of [VQVAE §4.1].

Differs from the paper: its frames come from DeepMind Lab, which has no package to install; ours come from ViZDoom.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int, UInt8

from vqvae.config import INCIDENTAL, SEED, settings, to_json
from vqvae.data.arrays import ArrayDataset
from vqvae.data.base import Batch, Dataset, Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.split import HELD_OUT_SHARE
from vqvae.disk import atomic_folder, exists, locked
from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.seeding import mix

_log = logging.getLogger(__name__)

ACTION_NAMES = ("forward", "left", "right", "forward_left", "forward_right")
"""Walk, turn on the spot, or both at once. A turn is 4 degrees for each tic of ``frame_skip``."""
_RENDERER = Path(__file__).with_name("render.py")
_VERSION = 1  # Of the explorer and the view. A change to either makes other frames, which need another place in the cache.


@settings
class WorldsConfig:
    """The view of a walker who explores a ViZDoom map: the central 240 by 240 pixels of 320 by 240, antialiased to ``size``.

    Monsters, weapon and status bar are off. The last 5 % of the episodes, at least one, are held out. The same settings give the same
    frames, whether cached or rendered again.
    """

    kept_in: ClassVar[tuple[str, str]] = ("path", "*/frames.npy")
    """The field with the cache folder, and a pattern that matches the files in it."""

    path: str | None = dataclasses.field(default=None, metadata=INCIDENTAL)
    """The folder for rendered frames; default: ~/.cache/vqvae/worlds."""
    scenario: str = "my_way_home"
    """One of ViZDoom's scenarios. my_way_home has corridors and rooms with many kinds of walls."""
    episodes: int = 100
    """Number of walks, each from a random place."""
    frames_per_episode: int = 200
    """Frames per walk."""
    size: int = 84
    """Height and width in pixels."""
    seed: int = dataclasses.field(default=0, metadata=SEED)
    """Seed of the walks."""
    frame_skip: int = 4
    """Tics (1/35 s) from one frame to the next. The action lasts as long."""

    def build(self) -> Splits:
        """Render the episodes, or load them from the cache."""
        return _build(self)


class WorldsDataset(Dataset):
    """Whole episodes, one after another. An example is a frame with the action that followed it.

    A batch has ``x``, uint8 (batch, 3, size, size), and ``condition.actions``, int64 (batch, 1), indices into ``action_names``.
    """

    action_names = ACTION_NAMES

    def __init__(
        self,
        frames: UInt8[np.ndarray, "frames 3 size size"],
        actions: Int[np.ndarray, " frames"],
        episode: Int[np.ndarray, " frames"],
        name: str,
    ) -> None:
        """Keep references to the arrays."""
        self.name = name
        self.frames = frames
        """uint8 (frames, 3, size, size), in the order of the walks."""
        self.actions = actions
        """int64 (frames,): the action after each frame."""
        self.episode = episode
        """int64 (frames,): the walk of each frame."""
        self._examples = ArrayDataset(frames, name=name, actions=actions, action_names=ACTION_NAMES)
        self.signal = self._examples.signal

    def __len__(self) -> int:
        return len(self._examples)

    def batch(self, indices: np.ndarray) -> Batch:
        return self._examples.batch(indices)


def _build(config: WorldsConfig) -> Splits:
    for field in ("episodes", "frames_per_episode", "size", "frame_skip"):
        least = 2 if field == "episodes" else 1
        if getattr(config, field) < least:
            raise ConfigError(f"config.data.{field} is {getattr(config, field)}; it must be at least {least}.")
    if importlib.util.find_spec("vizdoom") is None:
        raise MissingExtraError("vizdoom", "worlds")
    identity = {**to_json(dataclasses.replace(config, path=None)), "version": _VERSION, "vizdoom": importlib.metadata.version("vizdoom")}
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8).hexdigest()
    root = user_path(config.path) if config.path is not None else user_cache() / "worlds"
    folder = root / f"{config.scenario}-{digest}"
    _check_scenario(config.scenario)  # Before its name becomes part of a path.
    advice = f"{ADVICE[:-1]}, or give another folder with --data."
    if not exists(folder):
        with locked(folder, DataError, advice):
            if not folder.is_dir():
                with atomic_folder(folder, DataError, advice) as partial:
                    _render(config, partial)
                    (partial / "config.json").write_text(json.dumps(identity, indent=2) + "\n")
    frames, actions = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("frames", "actions"))
    held_out = max(1, round(HELD_OUT_SHARE * config.episodes))
    numbers = np.repeat(np.arange(config.episodes), config.frames_per_episode).reshape(actions.shape)
    sides = (("train", slice(None, -held_out)), ("held-out", slice(-held_out, None)))
    return Splits(
        *(
            WorldsDataset(
                frames[part].reshape(-1, *frames.shape[2:]), actions[part].ravel(), numbers[part].ravel(), f"worlds-{digest}-{name}"
            )
            for name, part in sides
        )
    )


def _check_scenario(name: str) -> None:
    spec = importlib.util.find_spec("vizdoom")
    assert spec is not None and spec.origin is not None
    scenarios = sorted(path.stem for path in (Path(spec.origin).parent / "scenarios").glob("*.wad"))
    if name not in scenarios:
        raise ConfigError(f"config.data.scenario is {name!r}; it must be one of {scenarios}.")


def _render(config: WorldsConfig, folder: Path) -> None:
    """Write frames.npy (episodes, time, 3, size, size) and actions.npy (episodes, time), with one process for each core."""
    shape = (config.episodes, config.frames_per_episode)
    workers = min(os.cpu_count() or 1, config.episodes, 8)
    paths = {"frames_path": folder / "frames.npy", "actions_path": folder / "actions.npy"}
    np.lib.format.open_memmap(paths["frames_path"], "w+", np.uint8, (*shape, 3, config.size, config.size)).flush()
    np.lib.format.open_memmap(paths["actions_path"], "w+", np.int64, shape).flush()
    _log.info("Rendering %d episodes of %d frames of %s with %d processes.", *shape, config.scenario, workers)
    start = time.perf_counter()
    # In the folder itself: leftovers of a killed process are removed with it.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for worker in range(workers):
                # Each episode has its own seed, so its frames do not depend on the process that renders it, or on the order.
                seeds = {
                    str(episode): f"{mix(config.seed, 'worlds', config.scenario, episode)}"
                    for episode in range(worker, config.episodes, workers)
                }
                task = {"scenario": config.scenario, "seeds": seeds, "frame_skip": config.frame_skip}
                task |= {name: str(path.resolve()) for name, path in paths.items()}
                home = Path(scratch) / str(worker)
                home.mkdir()
                with (home / "errors").open("wb") as errors:
                    command = [sys.executable, "-P", str(_RENDERER), json.dumps(task)]
                    streams = {"stdin": subprocess.PIPE, "stdout": errors, "stderr": errors}
                    processes.append(subprocess.Popen(command, cwd=home, start_new_session=True, **streams))
            for worker, process in enumerate(processes):
                if process.wait():
                    _fail(config, process.returncode, Path(scratch) / str(worker) / "errors")
        finally:
            for process in processes:
                # Including the engine, a separate process that would outlive a renderer and go on writing.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
                process.wait()
                assert process.stdin is not None
                process.stdin.close()
    seconds = time.perf_counter() - start
    _log.info("Rendered %d frames in %.1f s (%.0f a second).", shape[0] * shape[1], seconds, shape[0] * shape[1] / seconds)


def _fail(config: WorldsConfig, code: int, errors: Path) -> None:
    lines = errors.read_text(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else f"the engine crashed (exit code {code}); not every scenario runs without other players"
    raise DataError(f"The scenario {config.scenario!r} was not rendered: {reason}.")
