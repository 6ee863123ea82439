"""The log of a run: ``metrics.jsonl``, TensorBoard, and a progress bar or plain lines on stderr."""

import json
import os
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vqvae import distributed
from vqvae.config import loads
from vqvae.disk import atomic, check_plain, explained
from vqvae.errors import CheckpointError
from vqvae.models.autoencoder import Autoencoder
from vqvae.progress import Progress
from vqvae.reports.measures import in_words

METRICS = "metrics.jsonl"
HELD_OUT = "held_out_"
"""The prefix of scores on held-out data."""
LINE = 120
"""The maximum number of characters in a log line."""
LOGGED = {
    "loss": "loss",
    "nats_per_dim": "",
    "nats_per_code": "",
    "psnr": "PSNR",
    "rmse": "RMSE",
    "distance_per_dim": "distance",
    "codes_used": "codes used",
    "examples_per_second": "",
    "perplexity": "perplexity",
    "adversary_loss": "adversary loss",
}
"""The scalars in a log line, in order, with the word before each number."""
IN_BAR = ("nats_per_code", "psnr", "rmse", "distance_per_dim", "codes_used", "examples_per_second")
"""The scalars next to the progress bar."""
_START = '{"step": '
"""The start of every row."""


class Meter:
    """Means of scalars over several steps. The sums stay on the device until ``take``."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, float] = defaultdict(float)

    def add(self, values: Mapping[str, Float[Tensor, ""]], weight: float = 1.0) -> None:
        """Add the scalars of a batch."""
        for name, value in values.items():
            # Not times 0: the mean of an empty batch is NaN.
            weighted = value.detach().float() * weight if weight else torch.zeros((), dtype=torch.float32, device=value.device)
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
            self._weights[name] += weight

    def take(self) -> dict[str, float]:
        """Return the means over all processes and start again. All processes must call it."""
        if not self._sums:
            return {}
        names = list(self._sums)
        sums = torch.stack([self._sums[name] for name in names])
        weights = torch.tensor([self._weights[name] for name in names], dtype=sums.dtype, device=sums.device)
        distributed.sum_(sums), distributed.sum_(weights)
        self._sums, self._weights = {}, defaultdict(float)
        return dict(zip(names, (sums / weights).tolist(), strict=True))


class Log:
    """The log of one stage of a run. If TensorBoard is installed, its files go to ``RUN/tensorboard/STAGE``.

    Rows of this stage after ``step`` are removed: a killed process left them, and the resumed process writes them again. If ``quiet``,
    nothing is written or printed. All processes except the first are quiet.
    """

    def __init__(self, run: Path, stage: str, *, step: int, steps: int, quiet: bool, settings: str = "") -> None:
        self.stage, self.steps, self.quiet = stage, steps, quiet
        self._path, self._unwritten = run / METRICS, False
        self._board: Any = None
        self._progress: Progress | None = None
        if quiet:
            return
        drop_rows(self._path, stage, step)
        with explained(CheckpointError, run / "tensorboard", advice="The last checkpoint is unchanged."):
            self._board = _tensorboard(run / "tensorboard" / stage, step)
            if self._board is not None and settings:
                self._board.add_text("settings", textwrap.indent(settings, "    "), step)  # Indented text is code in Markdown.
        self._progress = Progress(stage, steps, done=step, always=True)

    def close(self) -> None:
        """Stop the bar and flush TensorBoard."""
        if self._progress is not None:
            self._progress.close()
        if self._board is not None:
            self._board.close()

    def advance(self, step: int) -> None:
        """Move the bar to ``step`` steps."""
        if self._progress is not None:
            self._progress.update(step)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row. If that fails, print a message once and continue training."""
        if self.quiet:
            return
        line = json.dumps({"step": step, "stage": self.stage, **values}) + "\n"
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            if not self._unwritten:
                self.say(f"{self._path} cannot be written ({error.strerror}). Training continues without new rows in it.")
            self._unwritten = True
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        assert self._progress is not None, "this process is not quiet"
        if self._progress.is_bar and not any(name.startswith(HELD_OUT) for name in values):
            self._progress.update(step, "  ".join(logged(values, IN_BAR)))
            return
        line = f"step {step}/{self.steps}"
        for word in filter(None, (self._progress.left(), *logged(values))):
            if len(self.stage) + len(line) + len(word) + 4 <= LINE:
                line += f"  {word}"
        self.say(line)

    def picture(self, step: int, name: str, pixels: UInt8[np.ndarray, "height width 3"]) -> None:
        """Show a picture in TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, pixels, step, dataformats="HWC")

    def say(self, words: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._progress is not None:
            self._progress.say(words)


def logged(values: Mapping[str, float], names: Iterable[str] = LOGGED) -> list[str]:
    """The numbers in a log line, with their units. A log line shows some of a row's numbers; ``metrics.jsonl`` has all of them."""
    known = {name.removeprefix(HELD_OUT): value for name, value in values.items()}
    words = [" ".join(filter(None, (LOGGED[name], *in_words(name, known[name])))) for name in names if name in known]
    held_out = any(name.startswith(HELD_OUT) for name in values)
    words = words or [f"{name} {value:.4g}" for name, value in values.items() if name != "seconds"]
    return ["held out:", *words] if held_out else words


def show_error(module: nn.Module, wanted: bool) -> None:
    """Choose whether the models in a module always measure the reconstruction error, even if that takes time."""
    for part in module.modules():
        if isinstance(part, Autoencoder):
            part.shows_error = wanted


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of all stages, in order. Empty if there is no file. Incomplete rows, such as the last one of a killed process, are
    skipped.

    Raises:
        CheckpointError: if the file cannot be read.
    """
    rows = (_row(line) for line in _read(path).splitlines())
    return [row for row in rows if row is not None]


def drop_rows(path: Path, stage: str, step: int) -> None:
    """Remove the rows of a stage after ``step``, and an incomplete row at the end, atomically.

    Raises:
        CheckpointError: if the file cannot be read or written.
    """
    text = _read(path)
    lines = text.splitlines()
    if lines and _is_half(lines[-1]):
        lines.pop()
    rows = ((line, _row(line)) for line in lines)
    kept = "".join(f"{line}\n" for line, row in rows if row is None or row["stage"] != stage or row["step"] <= step)
    if kept != text:
        with atomic(path, CheckpointError) as hidden:
            hidden.write_text(kept, encoding="utf-8")


def _read(path: Path) -> str:
    with explained(CheckpointError, path, "cannot be read", "Remove it to go on without it."):
        if not os.path.lexists(path):
            return ""
        check_plain(path)
        return path.read_text(encoding="utf-8", errors="replace")


def _is_half(line: str) -> bool:
    """Whether a line is an incomplete row. Any other line that is not a row came from elsewhere, and stays."""
    return _row(line) is None and (line.startswith(_START) or _START.startswith(line))


def _row(line: str) -> dict[str, Any] | None:
    """The row in a line; None if the line is not a row."""
    try:
        row = loads(line)
        return row if isinstance(row["stage"], str) and isinstance(row["step"], int) else None
    except (ValueError, KeyError, TypeError):
        return None


def _tensorboard(folder: Path, step: int) -> Any:
    """A TensorBoard writer that hides what an earlier process wrote after ``step``; None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
