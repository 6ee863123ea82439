"""Programs that fill arrays in a folder. Several run at once, and all end with this process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqvae.errors import DataError

_CHILD = Path(__file__).with_name("child.py")
_MOST = 8
"""The largest number of programs at a time."""


def worker_count(pieces: int) -> int:
    """The number of programs that share this many pieces of work."""
    return min(os.cpu_count() or 1, pieces, _MOST)


def make_arrays(folder: Path, **arrays: tuple[Any, tuple[int, ...]]) -> None:
    """Make NAME.npy files of zeros, given the type and shape of each, for programs to fill."""
    for name, (dtype, shape) in arrays.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape).flush()


def run_renderers(program: Path, tasks: Sequence[dict[str, Any]], folder: Path, what: str, crash: str) -> None:
    """Run a program once for each task, all at the same time, and wait. It finds the packages that this process finds.

    Args:
        program: a Python file that takes a task as JSON.
        folder: a folder in which programs may leave files; these are removed at the end.
        what: a name of the result, for errors.
        crash: the likely reason if a program ends without a message.

    Raises:
        DataError: if a program fails, with the last line that it printed.
    """
    # In the folder itself: leftovers of a killed process are removed with it. Programs run in other folders, so the path is absolute.
    with tempfile.TemporaryDirectory(dir=folder.resolve()) as scratch:
        processes: list[subprocess.Popen[bytes]] = []
        homes = [Path(scratch) / str(number) for number in range(len(tasks))]
        try:
            for home, task in zip(homes, tasks, strict=True):
                home.mkdir()
                processes.append(begin_program(program, task, home))
            for home, process in zip(homes, processes, strict=True):
                if process.wait():
                    raise DataError(f"{what} was not rendered: {last_words(home, process, crash)}.")
        finally:
            for process in processes:
                end_program(process)


def begin_program(program: Path, task: dict[str, Any], home: Path, passed: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Run a program, which ends with this process and finds the packages that this process finds.

    Args:
        program: a Python file that takes a task as JSON.
        task: the task.
        home: the folder in which it runs and may leave files.
        passed: open file descriptors that it inherits.
    """
    # In the order in which this process searches; "" is the working folder, which is another one there.
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path)}
    # In a file: an argument of a program has at most 128 KiB on Linux.
    (home / "task.json").write_text(json.dumps(task), encoding="utf-8")
    command = [sys.executable, "-P", str(_CHILD), str(program), str(home / "task.json")]
    with (home / "errors").open("wb") as errors:
        streams = {"stdin": subprocess.PIPE, "stdout": errors, "stderr": errors}
        return subprocess.Popen(command, cwd=home, env=paths, start_new_session=True, pass_fds=tuple(passed), **streams)


def end_program(process: subprocess.Popen[bytes]) -> None:
    """End a program, including the engine, a separate process that would outlive a renderer and continue to write."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def last_words(home: Path, process: subprocess.Popen[bytes], crash: str) -> str:
    """Why a program failed: the last line that it printed, or the likely reason if it printed nothing."""
    lines = (home / "errors").read_text(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") if lines else f"the engine crashed (exit code {process.returncode}); {crash}"
