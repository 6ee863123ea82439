"""All products have shapes of their own, whatever is encoded at once, and one thread."""

import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from tests.models.toy import make
from vqvae.codes import Codes
from vqvae.data.base import Batch
from vqvae.errors import DataError
from vqvae.models import VQVAEConfig, invariant
from vqvae.models.invariant import block_rows, encode_rows, on_threads

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param, "the caller's number of threads stays"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == request.param, "and that of threads that start later"
    torch.set_num_threads(before)


def noise(count: int, *size: int) -> Tensor:
    return torch.randint(0, 256, (count, 1, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def shown(batch: Batch) -> Codes:
    """Codes that show what may change the order of sums, and the data."""
    rows = [torch.tensor([*batch.x.shape, torch.get_num_threads(), int(row.sum())]) for row in batch.x]
    return Codes([torch.stack(rows)[:, None]])


def test_codes_depend_on_the_example_alone(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = make(VQVAEConfig), noise(37, 4, 8)
    monkeypatch.setattr(model, "encode", shown)
    expected = [(invariant.MOST, 1, 4, 8, 1, int(row.sum())) for row in x]
    for at_once in (1, 7, 32, 37):
        found = [codes for part in x.split(at_once) for codes in encode_rows(model, [*part])]
        assert [tuple(codes.tensor[0, 0].tolist()) for codes in found] == expected


def test_examples_of_many_sizes_come_back_in_their_order(threads: int) -> None:
    model, sizes = make(VQVAEConfig), [(2, 4), (4, 4), (2, 4), (6, 2), (4, 4), (4, 4)]
    rows = [row[0] for row in map(noise, [1] * 6, *zip(*sizes, strict=True))]
    found = encode_rows(model, rows)
    assert [codes.tensor.shape for codes in found] == [(1, 1, height // 2, width // 2) for height, width in sizes]
    for row, codes in zip(rows, found, strict=True):
        assert torch.equal(codes.tensor, model.encode(Batch(row[None])).tensor)
    assert encode_rows(model, []) == []


@pytest.mark.parametrize(("size", "rows"), [((), 16), ((32, 32), 16), ((84, 84), 8), ((128, 128), 4), ((2**14,), 2), ((2**30,), 1)])
def test_rows_of_a_block_follow_from_the_size(size: tuple[int, ...], rows: int) -> None:
    assert block_rows(size, CPU) == rows
    assert block_rows(size, torch.device("meta")) >= rows


def test_jobs_run_at_the_same_time_each_on_one_thread(threads: int) -> None:
    meeting = threading.Barrier(threads, timeout=20)

    def work(job: int) -> tuple[int, int]:
        meeting.wait()  # Passes only if as many jobs run at once as there are threads.
        return job, torch.get_num_threads()

    assert on_threads(work, range(2 * threads), CPU) == [(job, 1) for job in range(2 * threads)]


def test_an_error_of_a_job_is_that_of_the_call(threads: int) -> None:
    model = make(VQVAEConfig)
    with pytest.raises(DataError, match="float32"):
        encode_rows(model, [*noise(40, 4, 4).float()])


def test_neither_gradients_nor_autocast_change_codes(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = make(VQVAEConfig), []
    monkeypatch.setattr(
        model, "encode", lambda batch: (seen.append((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"))), shown(batch))[1]
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encode_rows(model, [*noise(40, 4, 4)])
    assert set(seen) == {(False, False)} and len(seen) == 3


def test_threads_stay_from_call_to_call() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        calls = [set(on_threads(lambda job: threading.get_ident(), range(50), CPU)) for _ in range(5)]
        alone = on_threads(lambda job: (threading.get_ident(), torch.get_num_threads()), [0], CPU)
    finally:
        torch.set_num_threads(before)
    assert len(set.union(*calls)) <= 2
    assert alone == [(threading.get_ident(), 1)], "one job needs no other thread"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_encodes_too() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        on_threads(str, range(4), CPU)
        with invariant._ALONE, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Forking beside other threads is what this is about.
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                os._exit(0 if on_threads(str, range(4), CPU) == ["0", "1", "2", "3"] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        torch.set_num_threads(before)
