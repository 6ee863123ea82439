"""Ctrl-C and SIGTERM: finish the step, save, exit."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from vqvae.errors import VqvaeError


class Interrupted(VqvaeError):
    """Training stopped on request, after saving a checkpoint. ``exit_code`` is 130 after Ctrl-C and 143 after SIGTERM."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interruption:
    """The first signal received, if any."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal. Ctrl-C after an earlier signal raises KeyboardInterrupt at once."""
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal.Signals(number)
        # Not print: a handler may run inside another write to the same stream, and the stream may be closed.
        with suppress(OSError):
            os.write(2, f"\n{self.signal.name}: finishing the step and saving; Ctrl-C stops at once.\n".encode())


@contextmanager
def remembered_signals() -> Iterator[Interruption]:
    """Within this context, remember SIGINT and SIGTERM instead of exiting."""
    interruption = Interruption()
    # Python delivers signals to the main thread only, and no other thread can set handlers.
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, interruption.handle) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
