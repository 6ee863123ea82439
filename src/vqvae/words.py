"""Words for people that any part may say: durations, counts, and lines on stderr."""

import sys
from contextlib import suppress


def duration(seconds: float) -> str:
    """Seconds in words: ``4.2 s``, ``3 min 20 s``, ``24 min``, ``3 h 5 min``, ``2 days 4 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return _two(whole, 60, "min", "s")
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return _two(minutes, 60, "h", "min")
    hours = round(seconds / 3600)
    return _two(hours, 24, "day" if hours < 48 else "days", "h")


def counted(count: int, things: str) -> str:
    """A number and its things, given in the plural: ``5 held-out clips``, ``1 held-out clip``."""
    return f"{count:,} {things.removesuffix('s') if count == 1 else things}"


def say(words: str) -> None:
    """Print a line on stderr. If nobody can read it, such as after a lost connection, the program goes on."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError, AttributeError):
            print(words, file=sys.stderr, flush=True)


def _two(count: int, size: int, large: str, small: str) -> str:
    first, rest = divmod(count, size)
    return f"{first} {large} {rest} {small}" if rest else f"{first} {large}"
