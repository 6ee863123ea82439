"""Ctrl-C and SIGTERM."""

import os
import signal
import threading

import pytest

from vqvae.errors import VqvaeError
from vqvae.training.interruption import Interrupted, remembered_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with remembered_signals() as interruption:
        assert interruption.signal is None
        os.kill(os.getpid(), number)
        assert interruption.signal == number
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.signal == number
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_after_it_stops_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), remembered_signals():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


def test_other_threads_leave_signals_alone() -> None:
    handlers: list[object] = []

    def work() -> None:
        with remembered_signals() as interruption:
            handlers.extend([signal.getsignal(signal.SIGINT), interruption.signal])

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before, None]


def test_an_interruption_is_an_error_with_an_exit_code() -> None:
    error = Interrupted("stopped", 143)
    assert isinstance(error, VqvaeError) and error.exit_code == 143 and str(error) == "stopped"


def test_a_signal_is_remembered_though_nobody_reads_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(descriptor: int, words: bytes) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", gone)
    with remembered_signals() as interruption:
        os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.signal == signal.SIGTERM
