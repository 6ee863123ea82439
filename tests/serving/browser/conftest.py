"""The page in a real browser, and a server of tiny runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

# The fixtures of the commands make tiny finished runs.
from tests.cli.conftest import TINY, TINY_PRIOR, pictures, run, speech_run  # noqa: F401
from tests.cli.test_imagine import run as video_run  # noqa: F401
from tests.serving.browser.driven import PATIENCE, chromium, serving, window
from vqvae.cli.main import main

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def plain_run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A run of pictures without classes: its prior knows the cost of any codes."""
    place = tmp_path_factory.mktemp("runs") / "plain"
    assert main(["train", "images", "--data", str(pictures), "--data.classes", "False", "--out", str(place), *TINY]) == 0
    assert main(["train-prior", str(place), *TINY_PRIOR]) == 0
    return place


@pytest.fixture(scope="session")
def served(plain_run: Path, run: Path, speech_run: Path, video_run: Path) -> Iterator[str]:  # noqa: F811
    """The address of a server with tiny runs of each kind."""
    with serving([plain_run, run, speech_run, video_run]) as server:
        yield server.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each has its own window."""
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, served: str) -> Iterator[Page]:
    """A wide window on the page of the tiny runs."""
    with window(browser, served) as opened:
        yield opened
