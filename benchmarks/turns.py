"""Timing on a shared machine: the candidates take turns, and the quietest rounds count."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

QUIET, LONGEST = 0.2, 60.0
"""A round counts if other processes used fewer cores than this meanwhile. After this many seconds, the quietest rounds count."""


class Turns(NamedTuple):
    """The result of the rounds that count."""

    seconds: dict[str, float]
    """The median time of each."""
    others: float
    """Number of cores that other processes used in the loudest round that counts."""
    tried: int
    """Number of rounds in all."""


def take_turns(turns: Mapping[str, Callable[[], object]], rounds: int, before: Callable[[], object] = lambda: None) -> Turns:
    """Time each in turn until enough rounds were quiet. ``before`` is called before each and not timed."""
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
    """Processor seconds that other processes have used since the machine started."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK") - time.process_time()
