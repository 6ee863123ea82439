"""A server in a process of its own, and a window of Chromium on its page."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    # A microphone that beeps, and no question about it.
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)
PATIENCE = float(os.environ.get("PATIENCE", "120"))
"""Seconds until a test gives up: a machine may have much else to do."""
READY = 180
"""Seconds until a server that is not ready is given up. It compiles kernels first."""
VQVAE = (sys.executable, "-c", "import sys; from vqvae.cli.main import main; sys.exit(main(sys.argv[1:]))")


class Server:
    """``vqvae serve`` in a process of its own."""

    def __init__(self, runs: Sequence[Path], flags: Sequence[str], log: IO[bytes]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        self._log = log
        command = [*VQVAE, "serve", *map(str, runs), "--port", str(port), *flags]
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        self.process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + READY
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}health/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.5)
        self.stop()
        raise AssertionError(f"The server was never ready:\n{self.log()[-2000:]}")

    def log(self) -> str:
        """What it said so far."""
        self._log.seek(0)
        return self._log.read().decode()

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(runs: Sequence[Path], *flags: str) -> Iterator[Server]:
    """A server that ends with the block."""
    with tempfile.TemporaryFile() as log:
        server = Server(runs, flags, log)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without windows yet.

    Raises:
        FileNotFoundError: there is none.
    """
    path = next((found for name in NAMES if (found := shutil.which(name)) is not None), None)
    if path is None:
        raise FileNotFoundError("There is no Chromium here. make test-browser installs it.")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE * 1000)
        yield browser
        browser.close()


class Watch:
    """What must not happen on a page."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._requested)

    def _heard(self, message: ConsoleMessage) -> None:
        # The browser notes answers such as 415 by itself; the page turns them into sentences.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            self.hosts.add(request.url.split("/")[2].split(":")[0])


@contextmanager
def window(browser: Browser, url: str, width: int = 1280, height: int = 900, **settings: Any) -> Iterator[Page]:
    """A window without a past on an address. At the end, the page must have made no error and asked no other machine."""
    context = browser.new_context(viewport={"width": width, "height": height}, **{"reduced_motion": "reduce", **settings})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    watch = Watch(page)
    page.goto(url)
    yield page
    context.close()
    assert not watch.errors, watch.errors
    assert watch.hosts == {"127.0.0.1"}, watch.hosts


def until(page: Page, script: str, argument: Any = None) -> None:
    """Wait until a script is true. Playwright's own wait needs a page that may evaluate text; this one forbids that."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(script, argument):
        assert time.monotonic() < end, script
        page.wait_for_timeout(50)


def pixels(page: Page, canvas: str) -> np.ndarray:
    """What a canvas shows, as (height, width, 3)."""
    script = "c => [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    height, width, *values = page.locator(canvas).evaluate(script)
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def models(url: str) -> dict[str, dict]:
    """What the server serves, by kind."""
    with urllib.request.urlopen(f"{url}v1/models") as answer:
        return {model["kind"]: model for model in json.load(answer)["models"]}
