"""One thread per model does all of its work. What waits and belongs together is done together."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from vqvae.serving.refusals import Refusal
from vqvae.serving.settings import ServeOptions

_log = logging.getLogger(__name__)
T = TypeVar("T")
_RETRY = 1.0
"""Seconds after which a refused client may try again."""


@dataclass(kw_only=True)
class Job:
    """A piece of work that waits."""

    kind: str
    key: Hashable
    """Jobs with the same key are done together; None is done alone."""
    work: Callable[[list[Any]], Iterable[Any]]
    """Does several jobs; the first job's is called. Each result is given away as soon as it is there."""
    given: Any
    future: Future = field(default_factory=Future)


class Stream:
    """A piece of work in steps, for one client that reads as it is done."""

    def __init__(self, kind: str, make: Callable[[], Iterator[Any]], loop: asyncio.AbstractEventLoop) -> None:
        self.kind, self._make, self._loop = kind, make, loop
        self._steps: Iterator[Any] | None = None
        self.events: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue()
        self.left = threading.Event()

    def step(self) -> bool:
        """Do one step. False if there is no further one."""
        if self.left.is_set():
            self.close()
            return False
        try:
            if self._steps is None:
                self._steps = self._make()
            self._tell((True, next(self._steps)))
            return True
        except StopIteration:
            self._tell((False, None))
        except Exception as error:
            self._tell((False, error))
        return False

    def close(self) -> None:
        """Stop in the middle."""
        if self._steps is not None and hasattr(self._steps, "close"):
            self._steps.close()
        self._tell((False, None))

    def _tell(self, event: tuple[bool, Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # The loop is closed: the server is gone.
            self.left.set()


class Worker:
    """The thread of a model, and what waits for it."""

    def __init__(
        self,
        name: str,
        options: ServeOptions,
        observe: Callable[[str, str, int], None] = lambda model, kind, count: None,
        threads: int | None = None,
    ) -> None:
        """Start the thread.

        Args:
            name: the model's name.
            options: the limits.
            observe: is called with the model, the kind and the number of jobs that are done together.
            threads: the number of threads that torch may use for the work. Default: as many as it uses elsewhere.
        """
        self.name, self._options, self._observe, self._threads = name, options, observe, threads
        self._waiting: deque[Job] = deque()
        self._streams: deque[Stream] = deque()
        self._changed = threading.Condition()
        self._is_closed, self._was_busy = False, False
        self._thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """The number of jobs that wait, and of streams."""
        return len(self._waiting) + len(self._streams)

    async def call(self, kind: str, work: Callable[[list[Any]], Iterable[T]], given: Any, key: Hashable = None) -> T:
        """Do a job; with others of the same key if there are any. A cancelled job that waits is dropped.

        Args:
            kind: what the job is, for the metrics.
            work: takes what several jobs were given, and gives the result of each. After an error, each job without a result is done
                alone, and may fail alone.
            given: what this job is given.
            key: jobs with the same key are done together; None is done alone.

        Raises:
            Refusal: too much waits already.
        """
        job = Job(kind=kind, key=None if key is None else (kind, key), work=work, given=given)
        with self._changed:
            self._check()
            self._waiting.append(job)
            self._changed.notify()
        return await asyncio.wrap_future(job.future)

    def begin(self, kind: str, work: Callable[[], Any]) -> None:
        """Do a job that nobody waits for."""
        with self._changed:
            self._waiting.append(Job(kind=kind, key=None, work=lambda given: [work()], given=None))
            self._changed.notify()

    async def alone(self, kind: str, work: Callable[[], T]) -> T:
        """Do a job that is never done together with others."""
        return await self.call(kind, lambda given: [work()], None)

    async def finish(self, kind: str, make: Callable[[], Iterator[T | None]]) -> T:
        """Do work in steps, between other jobs, that yields None until its result. It stops when its client leaves."""
        found: T | None = None
        async for value in self.stream(kind, make):
            found = value if value is not None else found
        assert found is not None, "the last step gives it"
        return found

    async def stream(self, kind: str, make: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
        """Do work in steps, between other jobs, and give what each step yields. It stops when the client stops reading.

        Raises:
            Refusal: too much waits already.
        """
        stream = Stream(kind, make, asyncio.get_running_loop())
        with self._changed:
            self._check()
            self._streams.append(stream)
            self._changed.notify()
        try:
            while True:
                goes_on, value = await stream.events.get()
                if goes_on:
                    yield value
                elif value is not None:
                    raise value
                else:
                    return
        finally:
            stream.left.set()

    def close(self, seconds: float = 5.0) -> None:
        """Stop the thread after the job that it does now. What waits is cancelled."""
        with self._changed:
            self._is_closed = True
            for job in self._waiting:
                job.future.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(seconds)

    def _check(self) -> None:
        if self._is_closed:
            raise Refusal(503, "The server is shutting down. Try again when it runs again.")
        if len(self) >= self._options.waiting:
            raise Refusal(429, f"{len(self)} requests wait for the model {self.name} already. Try again in a second.", _RETRY)

    def _run(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        with torch.no_grad():  # It holds for this thread alone.
            self._work()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._waiting or self._streams)
                if self._is_closed:
                    break
                jobs = self._take()
            if jobs:
                self._do(jobs)
            if self._streams:
                stream = self._streams.popleft()
                if stream.step():
                    self._streams.append(stream)
        while self._streams:
            self._streams.popleft().close()

    def _take(self) -> list[Job]:
        """The first job, and all that are done together with it. If the last jobs were several, others are on their way."""
        if not self._waiting:
            return []
        key, most = self._waiting[0].key, self._options.together
        if key is not None and self._was_busy and not self._streams:
            until = time.monotonic() + self._options.gather
            while not self._is_closed and sum(job.key == key for job in self._waiting) < most and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
        if not self._waiting:  # Closed meanwhile.
            return []
        jobs, others = [self._waiting.popleft()], deque[Job]()
        while self._waiting:
            job = self._waiting.popleft()
            (jobs if key is not None and job.key == key and len(jobs) < most else others).append(job)
        self._waiting = others
        return jobs

    def _do(self, jobs: list[Job]) -> None:
        jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        if not jobs:
            return
        self._was_busy = len(jobs) > 1
        self._observe(self.name, jobs[0].kind, len(jobs))
        try:
            for job, result in zip(jobs, jobs[0].work([job.given for job in jobs]), strict=True):
                job.future.set_result(result)
        except BaseException as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:  # The fault of one is not that of the others.
                if not job.future.done():
                    self._do_one(job)

    def _do_one(self, job: Job) -> None:
        try:
            job.future.set_result(next(iter(job.work([job.given]))))
        except BaseException as error:
            job.future.set_exception(error)
