"""The speed of a run."""

import time


class Pace:
    """The speed of training steps, without the time for evaluations, pictures and checkpoints."""

    def __init__(self, batch_size: int, step: int) -> None:
        self.batch_size = batch_size
        self._step, self._busy, self._waited = step, 0.0, 0.0
        self.start()

    def start(self) -> None:
        """A step begins, including the wait for its batch."""
        self._mark = time.perf_counter()

    def stop(self) -> None:
        """A step ends."""
        self._busy += time.perf_counter() - self._mark

    def take(self, step: int, waited_seconds: float) -> dict[str, float]:
        """Examples per second, and the share of time spent waiting for data, since the last call."""
        busy = max(self._busy, 1e-9)
        speed, share = (step - self._step) * self.batch_size / busy, (waited_seconds - self._waited) / busy
        self._step, self._busy, self._waited = step, 0.0, waited_seconds
        return {"examples_per_second": speed, "waited_share": share}
