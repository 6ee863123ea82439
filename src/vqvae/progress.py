"""Progress of long work on stderr: a bar on a terminal, and elsewhere a line every ten seconds."""

import os
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, TypeVar

from vqvae.words import duration, say

T = TypeVar("T")
WAIT = 1.0
"""Seconds before a bar appears. Shorter work shows none."""
EVERY = 10.0
"""Seconds between lines."""
_GONE = (OSError, ValueError)
"""What a terminal that was closed raises. The work goes on."""
_on = False


def _nothing() -> "Progress | None":
    """No progress is shown."""


_shown: "Callable[[], Progress | None]" = _nothing
"""Gives the outermost work. A weak reference, so that a progress that nobody closed does not hide all later ones."""


@contextmanager
def showing() -> Iterator[None]:
    """Show the progress of what is done inside. Without it, only training shows its progress: a library call prints nothing."""
    global _on
    before, _on = _on, True
    try:
        yield
    finally:
        _on = before


def tracked(items: Iterable[T], what: str, total: int, count: Callable[[T], int] = lambda item: 1) -> Iterator[T]:
    """The items, with their progress shown.

    Args:
        items: what is worked on.
        what: the work, such as "reading images".
        total: the number of items, or the sum of ``count`` over all items.
        count: how much an item counts.
    """
    with closing(Progress(what, total)) as progress:
        yield from progress.over(items, count)


class Progress:
    """The progress of one piece of work. Work inside other work, and every process but the first, shows none."""

    def __init__(self, what: str, total: int, *, done: int = 0, always: bool = False) -> None:
        """Begin.

        Args:
            what: the work, at the start of each line.
            total: when it is complete.
            done: what is done already.
            always: show it at once, inside ``showing`` or not.
        """
        global _shown
        self.what, self.total, self.done = what, total, done
        self._first, self._words, self._bar, self._task = done, "", None, None
        self._began = self._said = time.monotonic()
        self._is_seen = (always or _on) and _shown() is None and os.environ.get("RANK", "0") == "0"
        self._is_terminal = self._is_seen and _is_terminal()
        if self._is_seen:
            _shown = weakref.ref(self)
        if always and self._is_terminal:
            self._start()

    def update(self, done: int, words: str | None = None) -> None:
        """Show how much is done, with further words if there are any new ones."""
        self.done, self._words = done, self._words if words is None else words
        if not self._is_seen:
            return
        now = time.monotonic()
        if self._is_terminal:
            if self._bar is None and now - self._began >= WAIT and done < self.total:
                self._start()
            if self._bar is not None:
                self._bar.update(self._task, completed=done, words=self._words, left=self.left())
        elif now - self._said >= EVERY and done < self.total:
            self.say("  ".join(filter(None, (f"{done:,} of {self.total:,}", self.left(), self._words))))

    def over(self, items: Iterable[T], count: Callable[[T], int] = lambda item: 1) -> Iterator[T]:
        """The items. Each is done when the next is asked for."""
        for item in items:
            yield item
            self.update(self.done + count(item))

    def left(self) -> str:
        """The time that is left, in words; empty if it is unknown."""
        done = self.done - self._first
        if done < 1 or self.done >= self.total:
            return ""
        return f"{duration((time.monotonic() - self._began) / done * (self.total - self.done))} left"

    @property
    def is_bar(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def say(self, words: str) -> None:
        """Print a line, above the bar if there is one."""
        self._said = time.monotonic()
        if self._bar is None:
            say(f"{self.what}  {words}")
            return
        with suppress(*_GONE):
            self._bar.console.print(f"{self.what}  {words}", markup=False, highlight=False)

    def close(self) -> None:
        """Stop the bar."""
        global _shown
        if self._bar is not None:
            with suppress(*_GONE):
                self._bar.update(self._task, left="")
                self._bar.stop()
            self._bar, self._is_terminal = None, False
        if _shown() is self:
            _shown = _nothing

    def _start(self) -> None:
        self._bar = _bar()
        self._task = self._bar.add_task(self.what, total=self.total, completed=self.done, words=self._words, left=self.left())
        with suppress(*_GONE):
            self._bar.start()


def _is_terminal() -> bool:
    with suppress(ValueError, AttributeError):  # A closed stream, or an object that only has ``write``.
        return sys.stderr is not None and sys.stderr.isatty()
    return False


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[words]}"),
    ]
    return Bars(*columns, console=Console(stderr=True))
