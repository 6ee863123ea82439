"""Runs each case in its own child process, with limits of time and memory.

A case is determined by its kind, seed and number. It holds if it ends in a value or a VqvaeError. A command must end with exit status 0, 1
or 2 and without a traceback.
"""

import contextlib
import io
import json
import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vqvae.cli.main import main
from vqvae.errors import VqvaeError

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
Case = Callable[[random.Random, Path], str]
"""Runs one case in its own folder and returns its name. Exceptions pass."""


@dataclass(frozen=True)
class Finding:
    """A case that does not hold."""

    kind: str
    seed: int
    number: int
    what: str
    """What the case was."""
    fault: str
    """What went wrong: the error and the last line of this package in its traceback, or "no end", or "killed"."""

    @property
    def command(self) -> str:
        """The command that repeats it."""
        return f"python -m tests.fuzz {self.kind} --seed {self.seed} --only {self.number}"


class Wrong(Exception):
    """A case does not hold; the message says why."""


def attempt(kind: str, case: Case, seed: int, number: int, *, seconds: float = 20, memory: int = 3 * 2**30) -> Finding | None:
    """Run a case in a child process. Returns None if it holds."""
    read, write = os.pipe()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    child = os.fork()
    if child == 0:
        os.close(read)
        _child(write, kind, case, seed, number, folder, memory)
    os.close(write)
    said, ended = _listen(read, seconds), True
    if said is None:
        os.killpg(child, signal.SIGKILL)
        said, ended = b"", False
    os.close(read)
    _, status = os.waitpid(child, 0)
    shutil.rmtree(folder, ignore_errors=True)
    lines = [json.loads(line) for line in said.splitlines() if line.endswith(b"}")]
    what = next((line["what"] for line in lines if "what" in line), "")
    fault = next((line["fault"] for line in lines if "fault" in line), None)
    if not ended:
        fault = f"no end in {seconds:g} s"
    elif fault is None and not any("held" in line for line in lines):
        fault = f"killed: status {status}"
    return None if fault is None else Finding(kind, seed, number, what, fault)


def run_command(arguments: list[str]) -> None:
    """Run a command line in this process.

    Raises:
        Wrong: another exit status than 0, 1 or 2, or a traceback on stderr.
    """
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            status = main(arguments)
        except SystemExit as exit_:
            status = exit_.code
    if "Traceback (most recent call last)" in stderr.getvalue():
        raise Wrong(f"traceback on stderr: {stderr.getvalue().strip().splitlines()[-1]}")
    if status not in (0, 1, 2, None):
        raise Wrong(f"exit status {status!r}")
    if status in (1, 2) and not (stderr.getvalue() + stdout.getvalue()).strip():
        raise Wrong(f"exit status {status} without a word")


def _child(write: int, kind: str, case: Case, seed: int, number: int, folder: Path, memory: int) -> None:
    """Never returns."""
    os.setpgid(0, 0)
    os.chdir(folder)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if Path("/proc/self/statm").exists() else 2**33
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    tell = lambda **words: os.write(write, json.dumps(words).encode() + b"\n")  # noqa: E731
    random_ = random.Random(f"{kind} {seed} {number}")
    random_.tell = lambda what: tell(what=what[:2000])  # type: ignore[attr-defined]
    try:
        case(random_, folder)
        tell(held=True)
    except VqvaeError:
        tell(held=True)
    except BaseException as error:  # noqa: BLE001  Whatever it is, it is a finding.
        tell(fault=_fault(error))
    os._exit(0)


def _fault(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/vqvae/" in frame.filename]
    where = f" ({frames[-1].filename.split('/vqvae/')[-1]}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}{where}"


def _listen(read: int, seconds: float) -> bytes | None:
    """Everything that a child writes until it ends. None if it does not end in time."""
    said, until = b"", time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not select.select([read], [], [], left)[0]:
            return None
        piece = os.read(read, 2**16)
        if not piece:
            return said
        said += piece
    return None


def report(findings: list[Finding]) -> None:
    """Print findings, grouped by fault, with the command that repeats the first of each group."""
    groups: dict[str, list[Finding]] = {}
    for one in findings:
        groups.setdefault(one.fault, []).append(one)
    for fault, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"{len(group)} × {fault}\n    {group[0].what}\n    {group[0].command}", flush=True)
