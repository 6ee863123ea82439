"""An engine that continues an episode step by step, as somebody plays it, in a program of its own."""

import contextlib
import os
import select
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vqvae.data.renderers import begin_program, end_program, last_words
from vqvae.errors import DataError

_SECONDS_TO_BEGIN, _SECONDS_TO_STEP, _SECONDS_TO_END = 60.0, 10.0, 2.0
_LARGEST_READ = 2**20


class Engine:
    """A program that acts in an engine and shows each frame.

    ``act`` sends an action and does not wait, so a model can imagine the same step meanwhile. ``frame`` waits for the frame after the last
    action. Both may be called from different threads, and ``close`` at any time.
    """

    def __init__(self, program: Path, task: dict[str, Any], frame_shape: tuple[int, int, int], what: str, crash: str) -> None:
        """Start the program and wait until it has repeated the start of the episode.

        Args:
            program: a Python file. Its task has ``commands`` and ``answers``, two open file descriptors: it reads a line with the number of
                each action, and writes a byte, 1 if the episode is over and else 0, and then the frame, unless the episode is over. The
                first answer is the last frame of the start.
            task: the task.
            frame_shape: channels, height and width of its frames.
            what: the name of the engine, for errors.
            crash: the likely reason if the program ends without a message.

        Raises:
            DataError: if it does not repeat the start, or fails.
        """
        self._shape, self._what, self._crash = frame_shape, what, crash
        self._reading, self._closing = threading.Lock(), threading.Lock()
        self._asked, self._answered, self._is_closed = 1, 0, False
        self.is_over = False
        """Whether the episode is over: there are no further frames."""
        self._home = tempfile.TemporaryDirectory(prefix="vqvae-engine-")
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            # A program that stops reading must not stop this process.
            os.set_blocking(self._commands, False)
            task = {**task, "commands": commands, "answers": answers}
            self._process = begin_program(program, task, Path(self._home.name), (commands, answers))
        finally:
            os.close(commands)
            os.close(answers)
            if self._process is None:
                self.close()
        try:
            first = self.frame(_SECONDS_TO_BEGIN)
        except DataError:
            self.close()
            raise
        assert first is not None, "the first answer has a frame"
        self.first: UInt8[np.ndarray, "channels height width"] = first
        """The last frame of the start."""

    def act(self, action: int) -> None:
        """Send an action, unless the episode is over. The caller has checked that there is such an action.

        Raises:
            DataError: if the engine has failed.
        """
        if self.is_over:
            return
        with self._closing:
            if self._is_closed:
                raise self._failed("it is closed")
            try:
                os.write(self._commands, f"{action}\n".encode())
            except OSError as error:
                raise self._failed("it no longer takes actions") from error
        self._asked += 1

    def frame(self, seconds: float = _SECONDS_TO_STEP) -> UInt8[np.ndarray, "channels height width"] | None:
        """The frame after the last action. None if the episode is over.

        Raises:
            DataError: if the engine has failed, or takes longer than this many seconds.
        """
        with self._reading:
            if self._is_closed:
                raise self._failed("it is closed")
            until, found = time.monotonic() + seconds, None
            # More than one answer is there if nobody fetched an earlier one.
            while self._answered < self._asked and not self.is_over:
                self.is_over = self._read(1, until) == b"\1"
                found = None if self.is_over else self._read(int(np.prod(self._shape)), until)
                self._answered += 1
            return None if found is None else np.frombuffer(found, np.uint8).reshape(self._shape)

    def close(self) -> None:
        """End the program and remove its files."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        if self._process is not None:
            # The program then ends by itself and removes the engine's shared memory.
            assert self._process.stdin is not None
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)
            end_program(self._process)
        with self._reading:  # A thread that reads sees the end of the pipe first.
            os.close(self._commands)
            os.close(self._answers)
        self._home.cleanup()

    def _read(self, size: int, until: float) -> bytes:
        """The next bytes from the program."""
        parts, missing = [], size
        while missing:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise self._failed("it takes too long")
            part = os.read(self._answers, min(missing, _LARGEST_READ))
            if not part:
                raise self._failed(None)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _failed(self, reason: str | None) -> DataError:
        if reason is None and self._process is not None and not self._is_closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)
            reason = last_words(Path(self._home.name), self._process, self._crash)
        return DataError(f"{self._what} does not continue this episode: {reason or 'it has ended'}.")
