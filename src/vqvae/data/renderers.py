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
    # In the order in which this process searches; "" is the working folder, which is another one there.
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path)}
    # In the folder itself: leftovers of a killed process are removed with it. Programs run in other folders, so the path is absolute.
    with tempfile.TemporaryDirectory(dir=folder.resolve()) as scratch:
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for number, task in enumerate(tasks):
                home = Path(scratch) / str(number)
                home.mkdir()
                # In a file: an argument of a program has at most 128 KiB on Linux.
                (home / "task.json").write_text(json.dumps(task), encoding="utf-8")
                with (home / "errors").open("wb") as errors:
                    command = [sys.executable, "-P", str(_CHILD), str(program), str(home / "task.json")]
                    streams = {"stdin": subprocess.PIPE, "stdout": errors, "stderr": errors}
                    processes.append(subprocess.Popen(command, cwd=home, env=paths, start_new_session=True, **streams))
            for number, process in enumerate(processes):
                if process.wait():
                    lines = (Path(scratch) / str(number) / "errors").read_text(errors="replace").strip().splitlines()
                    reason = lines[-1].rstrip(".") if lines else f"the engine crashed (exit code {process.returncode}); {crash}"
                    raise DataError(f"{what} was not rendered: {reason}.")
        finally:
            for process in processes:
                # Including the engine, a separate process that would outlive a renderer and continue to write.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
                process.wait()
                assert process.stdin is not None
                process.stdin.close()
