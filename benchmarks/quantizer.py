"""A training step of EMAQuantizer, compared with vector-quantize-pytorch and with faiss's search: time, peak memory, correct codes.

    python benchmarks/quantizer.py [--processes 5] [--out docs/results]

A step is forward, backward and the update of the codebook. All three have the same latents, the same initial codebook, decay 0.99 and
commitment 0.25 (vector-quantize-pytorch without its rotation trick). "faiss" is our quantizer with ``IndexFlatL2`` for the search. Its
index is rebuilt at every step because the codebook has moved. In each of several fresh processes the three take turns, step by step. The
result is the median over processes of each process's ratio of medians.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from turns import QUIET, take_turns

from vqvae.quantizers import EMAQuantizer, EMAQuantizerConfig
from vqvae.quantizers import codebook as codebook_module
from vqvae.quantizers.nearest import Nearest, nearest
from vqvae.reports.results import markdown_table, this_command, write_results

DECAY, COMMITMENT = 0.99, 0.25
FAISS_BAR = 1.05


class Case(NamedTuple):
    """Sizes, timed rounds per process, and the bars."""

    rows: int
    dim: int
    codes: int
    rounds: int
    speed_bar: float
    memory_bar: float | None

    @property
    def key(self) -> str:
        """The case as part of a JSON key."""
        return f"n{self.rows}_d{self.dim}_k{self.codes}"


CASES = (Case(8192, 64, 512, 40, 8.0, None), Case(32768, 256, 1024, 8, 5.0, None), Case(16384, 64, 8192, 6, 14.0, 1 / 80))
MEMORY_STEPS, WARM_UP_ROWS = 3, 64
PRODUCT = 2048
"""Rows, columns and terms of the product that measures the speed of the machine."""


def main() -> None:
    """Print the tables, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=5, help="fresh processes per case")
    parser.add_argument("--out", type=Path, help="folder for quantizer.md and quantizer.json, such as docs/results")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        what, number = arguments.measure.split(":")
        print(json.dumps(MEASURES[what](CASES[int(number)])))
        return

    began = time.perf_counter()
    found = [measure_case(number, arguments.processes) for number in range(len(CASES))]
    loudest = max(values["others_cores"] for values in found)
    columns = ["N × D, K", "vqvae, ms", "vector-quantize-pytorch, ms", "faster", "bar", "faiss and the same EMA, ms", "time / faiss", "bar"]
    columns += ["time / floor", "peak, MiB", "peak of vector-quantize-pytorch, MiB", "peak / peak", "bar", "wrong codes"]
    rows = [row(case, values) for case, values in zip(CASES, found, strict=True)]
    values: dict = {}
    for case, measured in zip(CASES, found, strict=True):
        values |= {f"{name}_{case.key}": measured[name] for name in ("ratio", "ratio_faiss", "ratio_memory", "wrong_codes")}
    values |= {"processes": arguments.processes, "cases": [case._asdict() | at for case, at in zip(CASES, found, strict=True)]}
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "quantizer",
        title="A training step of the quantizer",
        command=this_command(),
        columns=columns,
        rows=rows,
        values=values,
        steps=sum(case.rounds for case in CASES) * arguments.processes,
        seconds=time.perf_counter() - began,
        notes=NOTES.format(
            processes=arguments.processes,
            quiet=QUIET,
            loud="" if loudest < QUIET else f" where possible: the remaining rounds had at most {loudest:.1f} cores",
            differing=differing_in_words(found),
        ),
    )
    print(json.dumps(record))


def measure_case(number: int, processes: int) -> dict:
    """All measurements of a case."""
    case = CASES[number]
    times = [fresh(f"times:{number}") for _ in range(processes)]
    memory = {which: [fresh(f"memory_{which}:{number}") for _ in range(processes)] for which in ("ours", "peer")}
    ours, peer, search, floor = (statistics.median(process[which] for process in times) for which in ("ours", "peer", "faiss", "floor"))
    ratios = sorted(process["peer"] / process["ours"] for process in times)
    peaks = {which: statistics.median(runs) for which, runs in memory.items()}
    codes = fresh(f"codes:{number}")
    print(f"{case.key}: {ours * 1e3:.2f} ms, {statistics.median(ratios):.2f} times as fast", file=sys.stderr, flush=True)
    return {
        "ratio": statistics.median(ratios),
        "ratio_lowest": ratios[0],
        "ratio_highest": ratios[-1],
        "ratio_faiss": statistics.median(process["ours"] / process["faiss"] for process in times),
        "ratio_floor": statistics.median(process["ours"] / process["floor"] for process in times),
        "ratio_memory": peaks["ours"] / peaks["peer"],
        "wrong_codes": sum(setting["wrong"] for setting in codes.values()),
        "others_cores": max(process["others"] for process in times),
        "ours_seconds": ours,
        "peer_seconds": peer,
        "faiss_seconds": search,
        "floor_seconds": floor,
        "ours_peak_bytes": peaks["ours"],
        "peer_peak_bytes": peaks["peer"],
        "codes_checked": codes,
    }


def row(case: Case, values: dict) -> list[str]:
    """A row of the table."""
    memory_bar = "" if case.memory_bar is None else f"1/{1 / case.memory_bar:.0f}"
    return [
        f"{case.rows} × {case.dim}, {case.codes}",
        f"{values['ours_seconds'] * 1e3:.2f}",
        f"{values['peer_seconds'] * 1e3:.1f}",
        f"{values['ratio']:.1f}× ({values['ratio_lowest']:.1f} to {values['ratio_highest']:.1f})",
        f"{case.speed_bar:g}×",
        f"{values['faiss_seconds'] * 1e3:.2f}",
        f"{values['ratio_faiss']:.2f}",
        f"{FAISS_BAR}",
        f"{values['ratio_floor']:.2f}",
        f"{values['ours_peak_bytes'] / 2**20:.1f}",
        f"{values['peer_peak_bytes'] / 2**20:.0f}",
        f"1/{1 / values['ratio_memory']:.0f}",
        memory_bar,
        f"{values['wrong_codes']}",
    ]


def fresh(measure: str) -> dict:
    """The result of a fresh process."""
    words = [sys.executable, __file__, "--measure", measure]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{found.stderr}")
    return json.loads(found.stdout.splitlines()[-1])


def times(case: Case) -> dict:
    """Median seconds per step of each, taken in turns."""
    latents, codebook = data(case, 0.0)
    ours, peer, search = ours_of(case, codebook), peer_of(case, codebook), ours_of(case, codebook)
    inputs = latents.clone().requires_grad_()
    gradient = torch.randn(latents.shape, generator=torch.Generator().manual_seed(3))
    turns = {
        "ours": lambda: step_ours(ours, inputs, gradient),
        "peer": lambda: step_peer(peer, inputs, gradient),
        "faiss": lambda: step_faiss(search, inputs, gradient),
        "floor": product(case),
    }
    for turn in turns.values():
        turn(), turn()
    found = take_turns(turns, case.rounds, before=lambda: setattr(inputs, "grad", None))
    floor = found.seconds["floor"] * case.rows * case.dim * case.codes / PRODUCT**3
    return found.seconds | {"floor": floor, "others": found.others, "tried": found.tried}


def product(case: Case) -> Callable[[], Tensor]:
    """A large square product in float32. It measures the speed of the machine, for the floor of the distances."""
    a, b = torch.randn(PRODUCT, PRODUCT), torch.randn(PRODUCT, PRODUCT)
    out = torch.empty(PRODUCT, PRODUCT)
    return lambda: torch.mm(a, b, out=out)


def memory_ours(case: Case) -> int:
    """Peak bytes of our steps."""
    latents, codebook = data(case, 0.0)
    quantizer = ours_of(case, codebook)
    return peak(lambda x, g: step_ours(quantizer, x, g), latents)


def memory_peer(case: Case) -> int:
    """Peak bytes of vector-quantize-pytorch's steps."""
    latents, codebook = data(case, 0.0)
    quantizer = peer_of(case, codebook)
    return peak(lambda x, g: step_peer(quantizer, x, g), latents)


def peak(step: Callable[[Tensor, Tensor], None], latents: Tensor) -> int:
    """The rise of resident memory over some steps, above latents, their gradient and the quantizer.

    A step of a few rows comes first, so that threads and their buffers exist. Then free memory is returned to the system, and the kernel's
    high-water mark of resident memory is reset.
    """
    inputs, gradient = latents.clone().requires_grad_(), torch.ones_like(latents)
    few = latents[:WARM_UP_ROWS].clone().requires_grad_()
    step(few, gradient[:WARM_UP_ROWS])
    inputs.grad = torch.zeros_like(inputs).add_(1)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    for _ in range(MEMORY_STEPS):
        step(inputs, gradient)
    return resident("VmHWM") - before


def resident(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) * 1024


def codes(case: Case) -> dict:
    """The number of codes of each that differ from brute force in float64: latents around 0 and around 5, with and without autocast."""
    result = {}
    for mean in (0.0, 5.0):
        latents, codebook = data(case, mean)
        exact, smallest = brute_force(latents, codebook)
        for autocast in (False, True):
            ours, peer = ours_of(case, codebook).eval(), peer_of(case, codebook).eval()
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                found, theirs = ours(latents).codes.flatten(), peer(latents[None])[1].flatten()
            name = f"mean_{mean:g}{'_autocast' if autocast else ''}"
            result[name] = {
                "rows": case.rows,
                "differing": int((found != exact).sum()),
                "wrong": wrong(latents, codebook, found, exact, smallest),
                "peer_differing": int((theirs != exact).sum()),
                "peer_wrong": wrong(latents, codebook, theirs, exact, smallest),
            }
    return result


def brute_force(latents: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest code of every row in float64, and its squared distance."""
    nearest_codes, distances = [], []
    wide = codebook.double()
    for part in latents.double().split(512):
        found = torch.cdist(part, wide, compute_mode="donot_use_mm_for_euclid_dist").square().min(1)
        nearest_codes.append(found.indices)
        distances.append(found.values)
    return torch.cat(nearest_codes), torch.cat(distances)


def wrong(latents: Tensor, codebook: Tensor, found: Tensor, exact: Tensor, smallest: Tensor) -> int:
    """Differing codes that are not ties: their squared distance in float64 exceeds the smallest by more than one float32 unit in the last
    place (2⁻²³) of ‖row‖² + ‖code‖², the terms of a float32 distance."""
    rows, chosen = latents.double(), codebook.double()[found]
    gap = (rows - chosen).square().sum(1) - smallest
    unit = 2.0**-23 * (rows.square().sum(1) + chosen.square().sum(1))
    return int(((found != exact) & (gap > unit)).sum())


def data(case: Case, mean: float) -> tuple[Tensor, Tensor]:
    """Gaussian latents and a codebook of the same distribution."""
    generator = torch.Generator().manual_seed(7)
    latents = mean + torch.randn(case.rows, case.dim, generator=generator)
    return latents, mean + torch.randn(case.codes, case.dim, generator=generator)


def ours_of(case: Case, codebook: Tensor) -> EMAQuantizer:
    """Our quantizer, in training mode, with this codebook."""
    config = EMAQuantizerConfig(dim=case.dim, codebook_size=case.codes, decay=DECAY, commitment_cost=COMMITMENT, start_from_data=False)
    quantizer = config.build()
    quantizer.codebook.copy_(codebook[None])
    quantizer.sums.copy_(codebook[None])
    return quantizer.train()


def peer_of(case: Case, codebook: Tensor) -> torch.nn.Module:
    """vector-quantize-pytorch's, with this codebook."""
    from vector_quantize_pytorch import VectorQuantize

    quantizer = VectorQuantize(dim=case.dim, codebook_size=case.codes, decay=DECAY, commitment_weight=COMMITMENT, rotation_trick=False)
    state = quantizer._codebook
    state.embed.data.copy_(codebook[None])
    state.embed_avg.data.copy_(codebook[None])
    state.cluster_size.data.fill_(1)
    return quantizer.train()


def step_ours(quantizer: EMAQuantizer, latents: Tensor, gradient: Tensor) -> None:
    """Forward with the update, and backward from the loss and from a decoder's gradient."""
    found = quantizer(latents)
    torch.autograd.backward([found.vectors, found.loss], [gradient, None])


def step_peer(quantizer: torch.nn.Module, latents: Tensor, gradient: Tensor) -> None:
    """The same for vector-quantize-pytorch."""
    vectors, _, loss = quantizer(latents[None])
    torch.autograd.backward([vectors, loss.sum()], [gradient[None], None])


def step_faiss(quantizer: EMAQuantizer, latents: Tensor, gradient: Tensor) -> None:
    """Ours, with faiss's search instead of our own."""
    codebook_module.nearest = search_faiss
    try:
        step_ours(quantizer, latents, gradient)
    finally:
        codebook_module.nearest = nearest


def search_faiss(rows: Tensor, codebook: Tensor, rate: Tensor | None = None) -> Nearest:
    """The exact search of faiss over a flat index."""
    import faiss

    index = faiss.IndexFlatL2(codebook.shape[1])
    index.add(codebook.detach().numpy())
    scores, found = index.search(rows.detach().numpy(), 1)
    return Nearest(torch.from_numpy(found[:, 0]), torch.from_numpy(scores[:, 0]))


def differing_in_words(found: list[dict]) -> str:
    """The counts of differing codes as a table."""
    columns = ["N × D, K", "latents", "vqvae: differing, wrong", "vector-quantize-pytorch: differing, wrong"]
    rows = [
        [
            f"{case.rows} × {case.dim}, {case.codes}",
            name.replace("mean_", "mean ").replace("_autocast", ", bfloat16 autocast"),
            f"{at['differing']}, {at['wrong']}",
            f"{at['peer_differing']}, {at['peer_wrong']}",
        ]
        for case, values in zip(CASES, found, strict=True)
        for name, at in values["codes_checked"].items()
    ]
    return markdown_table(columns, rows)


NOTES = """
Medians over {processes} fresh processes. In each process the three took turns. "faster" is the median of the ratio, with its lowest and
highest value. Rounds in which other processes used more than {quiet:g} cores were omitted{loud}.
The floor is the float32 product of all distances alone, at the speed of a 2048³ product timed in the same turns.
Peak is the rise of resident memory (the kernel's VmHWM, reset before) over three steps, above latents, their gradient and the quantizer.
Each peak is measured in a fresh process.

Codes against brute force in float64 (differences of coordinates, squared and summed), Gaussian latents and codes:

{differing}

A differing code is wrong unless it is a tie in float32: its squared distance in float64 exceeds the smallest by at most 2⁻²³ of
‖row‖² + ‖code‖², one unit in the last place of the terms of a float32 distance.
"""

MEASURES = {"times": times, "memory_ours": memory_ours, "memory_peer": memory_peer, "codes": codes}


if __name__ == "__main__":
    main()
