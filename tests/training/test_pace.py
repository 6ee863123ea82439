"""How fast a run is."""

import pytest

from vqvae.training import pace


def test_steps_count_and_what_lies_between_them_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    found = pace.Pace(batch_size=8, step=10)
    for step_seconds, evaluation in ((2.0, 100.0), (2.0, 0.0)):
        found.start()
        now[0] += step_seconds
        found.stop()
        now[0] += evaluation
    assert found.take(12, 1.0) == {"examples_per_second": 4.0, "waited_share": 0.25}
    found.start()
    now[0] += 4.0
    found.stop()
    assert found.take(13, 2.0) == {"examples_per_second": 2.0, "waited_share": 0.25}, "since the last call"
