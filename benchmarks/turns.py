"""Timing on a machine that others use too: everything that is compared takes turns, and the quietest rounds count."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

QUIET, LONGEST = 0.2, 60.0
"""A round counts where other processes used less than this many cores meanwhile; after so many seconds the quietest ones do."""


class Turns(NamedTuple):
    """What the rounds that count have found."""

    seconds: dict[str, float]
    """The median time of each."""
    others: float
    """Cores that other processes used in the loudest round that counts."""
    tried: int
    """Rounds in all."""


def take_turns(turns: Mapping[str, Callable[[], object]], rounds: int, before: Callable[[], object] = lambda: None) -> Turns:
    """Time each in turn, over and over, until so many rounds were quiet; ``before`` is called before each and not timed."""
    found: list[tuple[float, dict[str, float]]] = []
    until = time.perf_counter() + LONGEST
    while sum(share < QUIET for share, _ in found) < rounds and (len(found) < rounds or time.perf_counter() < until):
        began, others = time.perf_counter(), others_seconds()
        seconds = {}
        for name, turn in turns.items():
            before()
            start = time.perf_counter()
            turn()
            seconds[name] = time.perf_counter() - start
        found.append(((others_seconds() - others) / (time.perf_counter() - began), seconds))
    quietest = sorted(found, key=lambda round_: round_[0])[:rounds]
    medians = {name: statistics.median(seconds[name] for _, seconds in quietest) for name in turns}
    return Turns(medians, quietest[-1][0], len(found))


def others_seconds() -> float:
    """Processor seconds that other processes have used since the machine was started."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK") - time.process_time()
