"""Jobs are done together, alone, in steps, or not at all."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from vqvae.serving.refusals import Refusal
from vqvae.serving.settings import ServeOptions
from vqvae.serving.worker import Worker


class Held:
    """Work that waits until it may go on, and remembers what was done together."""

    def __init__(self) -> None:
        self.go, self.began, self.done = threading.Event(), threading.Event(), list[list[int]]()

    def __call__(self, given: list[int]) -> list[int]:
        self.began.set()
        assert self.go.wait(10)
        self.done.append(given)
        return [10 * one for one in given]


async def began(work: Held) -> None:
    while not work.began.is_set():
        await asyncio.sleep(0.001)


def test_what_waits_and_belongs_together_is_done_together() -> None:
    worker, work = Worker("m", ServeOptions(together=3)), Held()

    async def run() -> list[int]:
        first = asyncio.create_task(worker.call("k", work, 0, "a"))
        await began(work)
        others = [asyncio.create_task(worker.call("k", work, i, "b" if i == 2 else "a")) for i in range(1, 6)]
        await asyncio.sleep(0.05)
        work.go.set()
        return [await first, *[await one for one in others]]

    assert asyncio.run(run()) == [0, 10, 20, 30, 40, 50]
    assert work.done == [[0], [1, 3, 4], [2], [5]] or work.done == [[0], [1, 3, 4], [5], [2]]
    worker.close()


def test_the_fault_of_one_is_its_own() -> None:
    worker, first = Worker("m", ServeOptions()), Held()

    def fails(given: list[int]) -> list[int]:
        if 2 in given:
            raise ValueError("two")
        return given

    async def run() -> list[Any]:
        held = asyncio.create_task(worker.call("k", first, 0))
        await began(first)
        others = [asyncio.create_task(worker.call("k", fails, i, "a")) for i in (1, 2, 3)]
        await asyncio.sleep(0.05)
        first.go.set()
        await held
        return await asyncio.gather(*others, return_exceptions=True)

    one, two, three = asyncio.run(run())
    assert (one, three) == (1, 3) and isinstance(two, ValueError)
    worker.close()


def test_a_full_queue_refuses_and_a_cancelled_job_is_dropped() -> None:
    worker, work = Worker("m", ServeOptions(waiting=2)), Held()

    async def run() -> None:
        first = asyncio.create_task(worker.call("k", work, 0))
        await began(work)
        waiting = [asyncio.create_task(worker.call("k", work, i)) for i in (1, 2)]
        await asyncio.sleep(0.02)
        with pytest.raises(Refusal) as refused:
            await worker.call("k", work, 3)
        assert refused.value.status == 429 and refused.value.retry_after
        waiting[0].cancel()
        await asyncio.sleep(0.02)
        work.go.set()
        assert await first == 0 and await waiting[1] == 20

    asyncio.run(run())
    assert work.done == [[0], [2]]
    worker.close()


def test_steps_go_on_between_other_jobs_and_stop_when_their_reader_leaves() -> None:
    worker, ended = Worker("m", ServeOptions()), threading.Event()

    def endless() -> Iterator[int]:
        try:
            number = 0
            while True:
                number += 1
                yield number
        finally:
            ended.set()

    async def run() -> None:
        stream = worker.stream("k", endless)
        assert [await anext(stream) for _ in range(3)] == [1, 2, 3]
        assert await worker.call("k", lambda given: [len(given)], None) == 1
        await stream.aclose()

    asyncio.run(run())
    assert ended.wait(10)
    worker.close()


def test_an_error_in_a_step_reaches_the_reader_and_a_result_ends_the_steps() -> None:
    worker = Worker("m", ServeOptions())

    def fails() -> Iterator[int | None]:
        yield None
        raise ValueError("in a step")

    def works() -> Iterator[int | None]:
        yield None
        yield 7

    async def run() -> int:
        with pytest.raises(ValueError, match="in a step"):
            await worker.finish("k", fails)
        return await worker.finish("k", works)

    assert asyncio.run(run()) == 7
    worker.close()


def test_a_closed_worker_cancels_what_waits_and_refuses_the_rest() -> None:
    worker, work = Worker("m", ServeOptions()), Held()

    async def run() -> None:
        first = asyncio.create_task(worker.call("k", work, 0))
        await began(work)
        second = asyncio.create_task(worker.call("k", work, 1))
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(asyncio.to_thread(worker.close))
        await asyncio.sleep(0.02)
        work.go.set()
        await closing
        assert await first == 0
        with pytest.raises(asyncio.CancelledError):
            await second
        with pytest.raises(Refusal, match="shutting down"):
            await worker.call("k", work, 2)

    asyncio.run(run())


def test_the_work_has_its_own_number_of_threads() -> None:
    before = torch.get_num_threads()
    worker = Worker("m", ServeOptions(), threads=before + 1)
    try:
        assert asyncio.run(worker.alone("k", torch.get_num_threads)) == before + 1
        assert torch.get_num_threads() == before
    finally:
        worker.close()
        torch.set_num_threads(before)


def test_a_result_is_given_away_while_others_are_worked_on() -> None:
    worker, first, received, calls = Worker("m", ServeOptions()), Held(), threading.Event(), list[list[int]]()

    def one_by_one(given: list[int]) -> Iterator[int]:
        calls.append(given)
        yield given[0]
        assert received.wait(5)
        yield from given[1:]

    async def run() -> list[int]:
        held = asyncio.create_task(worker.call("k", first, 0))
        await began(first)
        others = [asyncio.create_task(worker.call("k", one_by_one, i, "a")) for i in (1, 2, 3)]
        await asyncio.sleep(0.05)
        first.go.set()
        await held
        found = [await others[0]]
        received.set()
        return [*found, *[await one for one in others[1:]]]

    assert asyncio.run(run()) == [1, 2, 3]
    assert calls == [[1, 2, 3]], "the first result was held back"
    worker.close()


def test_a_fault_in_the_middle_leaves_earlier_results() -> None:
    worker, first, calls = Worker("m", ServeOptions()), Held(), list[list[int]]()

    def fails(given: list[int]) -> Iterator[int]:
        calls.append(given)
        for one in given:
            if one == 2:
                raise ValueError("two")
            yield one

    async def run() -> list[Any]:
        held = asyncio.create_task(worker.call("k", first, 0))
        await began(first)
        others = [asyncio.create_task(worker.call("k", fails, i, "a")) for i in (1, 2, 3)]
        await asyncio.sleep(0.05)
        first.go.set()
        await held
        return await asyncio.gather(*others, return_exceptions=True)

    one, two, three = asyncio.run(run())
    assert (one, three) == (1, 3) and isinstance(two, ValueError)
    assert calls == [[1, 2, 3], [2], [3]]
    worker.close()
