"""The server under load: requests per second with and without batches, the latency of one client, and minutes of hostile requests.

    python benchmarks/server.py --run runs/demo [--rounds 5] [--seconds 5] [--minutes 10] [--out docs/results]

Two servers of the same run take turns: one does requests together, and one does them one at a time (``--together 1``). 16 clients send the
next request when they have the answer. The bare call is the same method in this process, in turns with the request of a single client.
"""

import argparse
import http.client
import io
import json
import os
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from PIL import Image

import vqvae
from vqvae.reports.results import markdown_table, this_command, write_results

CLIENTS, HOSTILE = 16, 8
BARS = {
    "sampling_ratio_16_clients": "at least 2",
    "encoding_ratio_16_clients": "at least 1.2",
    "single_client_latency_ratio": "at most 1.1",
    "errors_5xx": "0",
    "rss_growth_mib": "below 50",
}
TITLES = {
    "sampling_ratio_16_clients": "sampling, 16 clients: together / one at a time",
    "encoding_ratio_16_clients": "encoding, 16 clients: together / one at a time",
    "single_client_latency_ratio": "sampling, one client: request / bare call",
    "single_client_encoding_ratio": "encoding, one client: request / bare call",
    "errors_5xx": "hostile load: answers with 5xx that are no 503",
    "rss_growth_mib": "hostile load: growth of memory (MiB)",
}
_BORDER = "border-of-the-benchmark"
_START = "import sys; from vqvae.cli.main import main; sys.exit(main(sys.argv[1:]))"


class Server:
    """A server of the run in a process of its own."""

    def __init__(self, run: Path, log: Path, *flags: str) -> None:
        command = [sys.executable, "-c", _START, "serve", str(run), "--port", "0", *flags]
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stderr=file, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        while (found := re.search(r"http://127.0.0.1:(\d+)/", log.read_text())) is None:
            if self.process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        self.port = int(found[1])
        self.name = json.loads(self.ask("GET", "/v1/models")[1])["models"][0]["name"]
        while self.ask("GET", "/health/ready")[0] != 200:
            time.sleep(0.5)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        """One request on a connection of its own: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def measure(self, name: str) -> float:
        """A number of /metrics."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.ask("GET", "/metrics")[1].decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def stop(self) -> int:
        """End it; the exit status."""
        self.process.terminate()
        return self.process.wait(60)


def form(file: bytes, name: str = "a.png") -> tuple[bytes, str]:
    """A form with a file, and its content type."""
    head = f'--{_BORDER}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    return head.encode() + file + f"\r\n--{_BORDER}--\r\n".encode(), f"multipart/form-data; boundary={_BORDER}"


def throughput(server: Server, request: Callable[[int], tuple[str, bytes, str]], seconds: float) -> float:
    """Requests per second of 16 clients that keep their connections."""
    done, until = [0] * CLIENTS, time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        while time.perf_counter() < until:
            path, body, kind = request(1000 * number + done[number])
            connection.request("POST", f"/v1/models/{server.name}/{path}", body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            done[number] += 1
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def latency(
    server: Server, request: Callable[[int], tuple[str, bytes, str]], bare: Callable[[int], object], count: int
) -> tuple[float, float]:
    """Median seconds of a request and of the bare call, in turns."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    asked, called = list[float](), list[float]()
    for number in range(count + 2):
        path, body, kind = request(number)
        began = time.perf_counter()
        connection.request("POST", f"/v1/models/{server.name}/{path}", body, {"Content-Type": kind})
        connection.getresponse().read()
        middle = time.perf_counter()
        bare(number)
        if number >= 2:  # The first calls warm both up.
            asked.append(middle - began)
            called.append(time.perf_counter() - middle)
    connection.close()
    return statistics.median(asked), statistics.median(called)


def bomb() -> bytes:
    """A PNG whose header promises 60,000 by 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + body + struct.pack(">I", zlib.crc32(body))


def hostile(server: Server, picture: bytes, minutes: float) -> Counter[int]:
    """Good requests among malformed, oversized, slow and abandoned ones. How often each status came; 0: no answer."""
    found, lock, until = Counter[int](), threading.Lock(), time.perf_counter() + 60 * minutes
    model = f"/v1/models/{server.name}"
    good, kind = form(picture)

    def raw(data: bytes, wait: float = 0.0) -> int:
        with socket.create_connection(("127.0.0.1", server.port), 30) as opened:
            opened.sendall(data)
            time.sleep(wait)
            return 0

    head = f"POST {model}/encode HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
    stream = json.dumps({"count": 2, "stream": True}).encode()
    lines = ("Host: x", "Content-Type: application/json", f"Content-Length: {len(stream)}")
    drawn = "\r\n".join((f"POST {model}/sample HTTP/1.1", *lines, "\r\n")).encode() + stream
    choices: list[Callable[[random.Random], int]] = [
        lambda r: server.ask("POST", f"{model}/encode", good, kind)[0],
        lambda r: server.ask("POST", f"{model}/sample", json.dumps({"seed": r.randrange(1000)}).encode(), "application/json")[0],
        lambda r: server.ask("POST", f"{model}/reconstruct", good, kind)[0],
        lambda r: server.ask("POST", f"{model}/encode", r.randbytes(r.randrange(2000)), kind)[0],
        lambda r: server.ask("POST", f"{model}/encode", *form(r.randbytes(500)))[0],
        lambda r: server.ask("POST", f"{model}/encode", *form(picture[: r.randrange(len(picture))]))[0],
        lambda r: server.ask("POST", f"{model}/encode", *form(bomb()))[0],
        lambda r: server.ask("POST", f"{model}/decompress", *form(r.randbytes(300)))[0],
        lambda r: server.ask("POST", f"{model}/decode", r.randbytes(50), "application/json")[0],
        lambda r: server.ask("POST", f"{model}/decode", b"[" * 20_000, "application/json")[0],
        lambda r: server.ask("POST", f"{model}/sample", b'{"count": 1e99, "temperature": NaN}', "application/json")[0],
        lambda r: server.ask(r.choice(("PUT", "TRACE", "GET")), f"{model}/{r.choice(('encode', '../..', '%00', 'x' * 3000))}")[0],
        lambda r: raw(f"{head}Content-Length: 999999999999\r\n\r\n".encode()),
        lambda r: raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"100000\r\n" + b"x" * 2**20 + b"\r\n"),
        lambda r: raw(f"{head}Content-Length: {len(good)}\r\n\r\n".encode() + good[: len(good) // 2], r.random()),
        lambda r: raw(f"{head}Content-Length: {len(good)}\r\n\r\n".encode() + good),
        lambda r: raw(drawn, 0.1 * r.random()),
        lambda r: raw(r.randbytes(r.randrange(1, 3000))),
        lambda r: raw(b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000),
    ]

    def client(number: int) -> None:
        choose = random.Random(number)
        while time.perf_counter() < until:
            status = 0
            with suppress(OSError, http.client.HTTPException):  # The server closes what it refuses.
                status = choose.choice(choices)(choose)
            with lock:
                found[status] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(HOSTILE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a run of pictures with a prior")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--minutes", type=float, default=10.0, help="of hostile requests")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    began, model = time.perf_counter(), vqvae.load(chosen.run)
    x = model.sample(1)
    file = io.BytesIO()
    Image.fromarray(x[0].permute(1, 2, 0).numpy()).save(file, format="PNG")
    picture = file.getvalue()
    requests: dict[str, Callable[[int], tuple[str, bytes, str]]] = {
        "encoding": lambda number: ("encode", *form(picture)),
        "sampling": lambda number: ("sample", json.dumps({"seed": number}).encode(), "application/json"),
    }
    values: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        together = Server(chosen.run, Path(folder) / "together")
        single = Server(chosen.run, Path(folder) / "single", "--together", "1")
        for name, request in requests.items():
            rates: dict[str, list[float]] = {"together": [], "single": []}
            for _ in range(chosen.rounds):
                rates["together"].append(throughput(together, request, chosen.seconds))
                rates["single"].append(throughput(single, request, chosen.seconds))
            medians = {key: statistics.median(found) for key, found in rates.items()}
            values |= {f"{name}_per_second_{key}": median for key, median in medians.items()}
            values[f"{name}_ratio_16_clients"] = medians["together"] / medians["single"]
        single.stop()
        bare = {"encoding": lambda number: model.encode(x), "sampling": lambda number: model.sample(1, seed=number)}
        for name, key in (("sampling", "single_client_latency_ratio"), ("encoding", "single_client_encoding_ratio")):
            asked, called = latency(together, requests[name], bare[name], 10 * chosen.rounds)
            values |= {key: asked / called, f"{name}_milliseconds_request": 1000 * asked, f"{name}_milliseconds_bare": 1000 * called}
        hostile(together, picture, min(0.5, chosen.minutes / 4))  # Buffers and pools reach their size.
        before = together.measure("process_resident_memory_bytes")
        statuses = hostile(together, picture, chosen.minutes)
        time.sleep(2)
        values["rss_growth_mib"] = (together.measure("process_resident_memory_bytes") - before) / 2**20
        values["errors_5xx"] = sum(count for status, count in statuses.items() if status >= 500 and status != 503)
        values["requests_in_flight_at_end"] = together.measure("vqvae_requests_in_flight") - 1
        values["exit_status"] = together.stop()
    report(chosen, values, statuses, time.perf_counter() - began)


def report(chosen: argparse.Namespace, values: dict[str, float], statuses: Counter[int], seconds: float) -> None:
    """Print the table and write the page."""
    rows = [[title, f"{values[name]:.3g}", BARS.get(name, "")] for name, title in TITLES.items()]
    for name in ("sampling", "encoding"):
        for key, words in (("together", "together"), ("single", "one at a time")):
            rows.append([f"{name}, 16 clients, {words} (requests/s)", f"{values[f'{name}_per_second_{key}']:.3g}", ""])
        for key, words in (("request", "request"), ("bare", "bare call")):
            rows.append([f"{name}, one client, {words} (ms)", f"{values[f'{name}_milliseconds_{key}']:.3g}", ""])
    told = ", ".join(f"{count:,} × {status or 'no answer'}" for status, count in sorted(statuses.items()))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(markdown_table(["", "measured", "bar"], rows))
    write_results(
        chosen.out,
        "server",
        title="The server under load",
        command=this_command(),
        columns=["", "measured", "bar"],
        rows=rows,
        values={**values, "statuses": {str(status): count for status, count in statuses.items()}, "load_average": load},
        seconds=seconds,
        notes=(
            f"Medians of {chosen.rounds} rounds of {chosen.seconds:g} s, in turns, with {torch.get_num_threads()} threads in each server. "
            f"Then {chosen.minutes:g} min of {HOSTILE} hostile clients: {told}. Requests in flight at the end: "
            f"{values['requests_in_flight_at_end']:g}; exit status after SIGTERM: {values['exit_status']:g}. "
            f"Clients and other programs ran on the same machine (load average {load:.1f})."
        ),
    )


if __name__ == "__main__":
    main()
