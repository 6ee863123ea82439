"""Results as NAME.md for people and NAME.json for programs. Both name the command, commit and hardware that repeat them."""

import datetime
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vqvae.config import loads
from vqvae.disk import atomic, read_text, user_path
from vqvae.errors import CheckpointError
from vqvae.words import counted

_HERE = Path(__file__).parent
_FEATURES = {
    "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
    "avx512_bf16": "AVX512-BF16",
    "avx512_vnni": "AVX512-VNNI",
    "avx512f": "AVX512F",
    "avx2": "AVX2",
}


def write_results(
    folder: Path | str | None,
    name: str,
    *,
    title: str,
    command: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    values: Mapping[str, Any],
    seconds: float,
    steps: int | None = None,
    notes: str = "",
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Write ``folder/name.md`` and ``folder/name.json``, each whole or not at all, and return the JSON object. If ``folder`` is None,
    nothing is written.

    Args:
        columns, rows: the table, with formatted cells.
        values: JSON values by name, with unrounded floats. They are stored beside ``name``, ``command``, ``commit``,
            ``hardware``, ``date`` (UTC), ``steps`` and ``seconds``. Numbers that are not finite become null.
        seconds: wall time of the measurement.
        notes: Markdown below the table, such as definitions and limits.
        device: the device of the measurement. Default: the CPU.

    Absolute paths in the command and in the values are shortened to their last name, because they mean nothing on another machine.

    Raises:
        ValueError: if a value has the name of another field, or a row does not have one cell per column.
        CheckpointError: if a file cannot be written.
    """
    record: dict[str, Any] = {
        "name": name,
        "command": " ".join(shlex.quote(str(_portable(word))) for word in shlex.split(command)),
        "commit": commit(ignoring=None if folder is None else user_path(folder)),
        "hardware": hardware(device),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "steps": steps,
        "seconds": seconds,
    }
    taken = sorted(set(record) & set(values))
    if taken:
        raise ValueError(f"values has {taken}, which write_results sets itself; choose other names.")
    record |= _portable(values)
    if folder is not None:
        folder = user_path(folder)
        table = markdown_table(columns, rows)
        foot = f"{_in_words(record)}\n\nWritten by `{record['command']}`. `{name}.json` has the unrounded numbers."
        text = "\n\n".join(part for part in (f"# {title}", table, notes.strip(), foot) if part) + "\n"
        for suffix, content in ((".md", text), (".json", json.dumps(record, indent=2, allow_nan=False) + "\n")):
            with atomic(folder / f"{name}{suffix}", CheckpointError) as partial:
                partial.write_text(content, encoding="utf-8")
    return record


def is_record(path: Path, name: str) -> bool:
    """Whether a file is a record that ``write_results`` wrote under this name."""
    try:
        record = loads(read_text(path))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("name") == name and {"command", "commit", "hardware"} <= set(record)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown. Columns are padded, so the table is legible on a terminal too.

    Raises:
        ValueError: if a row does not have one cell per column.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"A row has {len(row)} cells ({list(row)}); the table has the {len(columns)} columns {list(columns)}.")
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    lines = [columns, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines)


def in_words(value: Any) -> str:
    """A number with four significant digits, or a dash for None."""
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def this_command() -> str:
    """The command of this process, as typed at the root of the repository."""
    program = Path(sys.argv[0])
    if program.suffix != ".py":
        return shlex.join([program.name, *sys.argv[1:]])
    root = _git("rev-parse", "--show-toplevel")
    inside = root is not None and program.resolve().is_relative_to(root)
    return shlex.join(["python", str(program.resolve().relative_to(root) if inside else program.name), *sys.argv[1:]])


def commit(ignoring: Path | None = None) -> str:
    """The commit that this package runs from. It ends in "-dirty" if the working tree has changes outside the folder ``ignoring``, to which
    results are written. Outside a checkout it is "unknown"."""
    # The package may be installed inside the checkout of another project. Then git does not track its files.
    if _git("ls-files", "--error-unmatch", "../errors.py") is None:
        return "unknown"
    head, root = _git("rev-parse", "HEAD"), _git("rev-parse", "--show-toplevel")
    if head is None or root is None:
        return "unknown"
    paths = [root]
    if ignoring is not None and ignoring.resolve().is_relative_to(root) and ignoring.resolve() != Path(root):
        paths.append(f":(exclude){ignoring.resolve()}")
    return f"{head}-dirty" if _git("status", "--porcelain", "--", *paths) else head


def hardware(device: torch.device | str = "cpu") -> dict[str, Any]:
    """The processor, its cores and vector instructions, the GPU if ``device`` is one, and torch's version."""
    found: dict[str, str] = {}
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    flags = set(found.get("flags", "").split())
    return {
        "cpu": found.get("model name", "unknown"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": [name for flag, name in _FEATURES.items() if flag in flags],
        "gpu": torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else None,
        "torch": str(torch.__version__),
    }


def _in_words(record: Mapping[str, Any]) -> str:
    machine = record["hardware"]
    features = ", ".join(machine["features"]) or "neither AVX2 nor AVX-512"
    parts = [
        f"{machine['cpu']} ({features}), {counted(machine['threads'], 'threads')} on {machine['cores']} cores",
        *([machine["gpu"]] if machine["gpu"] else []),
        f"torch {machine['torch']}",
        f"commit {record['commit']}",
        record["date"],
        *([f"{record['steps']} steps"] if record["steps"] is not None else []),
        f"{record['seconds']:.0f} s",
    ]
    return "; ".join(parts) + "."


def _portable(value: Any) -> Any:
    """The value with absolute paths shortened to their last name, and None for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _portable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (str, Path)):
        option, equals, rest = str(value).partition("=")
        if equals and option.startswith("--"):
            return f"{option}={_portable(rest)}"
        return Path(value).name if Path(value).is_absolute() or str(value).startswith("~") else str(value)
    return value


def _git(*words: str) -> str | None:
    """The output of git in this folder. None if git fails or is not installed."""
    try:
        found = subprocess.run(["git", *words], cwd=_HERE, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None
