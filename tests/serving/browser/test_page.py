"""The page as a whole: panels, accessibility, speed, and errors that no panel makes."""

import contextlib
import json
import os
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.serving.browser.driven import PATIENCE, serving, window

pytestmark = pytest.mark.browser
PANELS = ("Pictures", "Sample", "Speech", "World", "Runs")


def chosen(page: Page, picture: Path) -> None:
    page.locator("#pictures-drop input").set_input_files(picture)


@pytest.fixture
def picture(pictures: Path) -> Path:
    return sorted((pictures / "val").rglob("*.png"))[0]


def test_each_panel_is_there_where_a_run_can_do_it(page: Page, browser: Browser, video_run: Path) -> None:
    for name in PANELS:
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", name=name, level=1)).to_be_focused()
        assert page.title() == f"{name} – vqvae"
    page.go_back()
    expect(page.get_by_role("heading", name="World", level=1)).to_be_visible()
    with serving([video_run]) as server, window(browser, server.url) as alone:
        expect(alone.get_by_role("heading", name="World", level=1)).to_be_visible()
        links = alone.get_by_role("navigation", name="Panels").get_by_role("link")
        assert links.all_inner_texts() == ["World", "Runs"]


def test_runs_show_their_cards(page: Page) -> None:
    page.get_by_role("link", name="Runs").click()
    card = page.get_by_role("article", name="pictures")
    expect(card).to_contain_text("16 × 16 pixels become 4 × 4 codes, out of 8.")
    expect(card).to_contain_text("draws samples")
    expect(card).to_contain_text("PSNR")
    with page.expect_popup() as popup:
        card.get_by_role("link", name="Open the report").click()
    expect(popup.value.get_by_role("heading", level=1).first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, served: str, picture: Path, scheme: str) -> None:
    script = os.environ.get("AXE_CORE")
    if script is None:
        pytest.skip("AXE_CORE names no axe-core: make test-browser installs it")
    with window(browser, served, color_scheme=scheme) as page:
        page.evaluate(Path(script).read_text())
        found = {}
        for name in PANELS:
            page.get_by_role("link", name=name, exact=True).click()
            if name == "Pictures":
                chosen(page, picture)
                expect(page.locator("#reconstruction")).to_be_visible()
            elif name == "Sample":
                page.get_by_role("button", name="Draw", exact=True).click()
                expect(page.locator(".sample a").first).to_be_visible()
            elif name == "World":
                page.get_by_role("button", name="Start").click()
                expect(page.locator("#world-frame")).to_be_visible()
            results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            for violation in results["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    found[name, violation["id"]] = [node["html"] for node in violation["nodes"]]
    assert found == {}


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844), (320, 640)])
def test_nothing_is_wider_than_the_window(browser: Browser, served: str, picture: Path, width: int, height: int) -> None:
    with window(browser, served, width, height) as page:
        for name in PANELS:
            page.locator("#tabs").get_by_text(name, exact=True).click()
            if name == "Pictures":
                chosen(page, picture)
                expect(page.locator("#reconstruction")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_the_first_paint_waits_for_no_script(page: Page) -> None:
    # benchmarks/play.py measures it.
    page.route("**/*.js", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("link", name="vqvae")).to_be_visible()
    expect(page.get_by_role("navigation", name="Panels")).to_be_visible()


def test_a_busy_server_gets_a_sentence(page: Page, picture: Path) -> None:
    def busy(route: Route) -> None:
        error = {"code": "busy", "message": "The server has 64 requests waiting, its limit.", "request_id": "1"}
        route.fulfill(status=429, headers={"Retry-After": "3"}, json={"error": error})

    page.route("**/reconstruct", busy)
    chosen(page, picture)
    expect(page.locator("#pictures-message")).to_be_visible()
    expect(page.locator("#pictures-message")).to_have_text("The server has 64 requests waiting, its limit. Try again in 3 seconds.")


def test_a_server_with_a_short_queue_says_so(browser: Browser, run: Path, picture: Path) -> None:
    ask = json.dumps({"count": 4}).encode()

    def crowd(url: str, stop: threading.Event) -> None:
        request = urllib.request.Request(f"{url}v1/models/pictures/sample", ask, {"Content-Type": "application/json"})
        while not stop.is_set():
            with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()

    stop = threading.Event()
    with serving([run], "--waiting", "1") as server, window(browser, server.url) as page:
        others = [threading.Thread(target=crowd, args=(server.url, stop)) for _ in range(4)]
        for other in others:
            other.start()
        try:
            alert, end = page.locator("#pictures-message"), time.monotonic() + PATIENCE
            while not alert.is_visible() and time.monotonic() < end:  # The picture may be lucky.
                with page.expect_response("**/reconstruct"):
                    chosen(page, picture)
                page.wait_for_timeout(100)
            expect(alert).to_contain_text("requests wait for the model pictures already. Try again in a")
        finally:
            stop.set()
            for other in others:
                other.join()
        chosen(page, picture)
        expect(page.locator("#reconstruction")).to_be_visible()
        expect(page.locator("#pictures-message")).to_be_hidden()


def test_too_many_worlds_get_a_sentence_and_a_lost_one_too(browser: Browser, video_run: Path) -> None:
    with serving([video_run], "--worlds", "1") as server, window(browser, server.url) as page:
        begin = urllib.request.Request(f"{server.url}v1/models/run/worlds", b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(begin, timeout=60) as answer:
            world = json.load(answer)["world"]
        page.get_by_role("button", name="Start").click()
        alert = page.locator("#world-message")
        expect(alert).to_contain_text("1 worlds are played already")
        expect(alert).to_contain_text("Try again in 30 seconds.")
        close = urllib.request.Request(f"{server.url}v1/models/run/worlds/{world}", method="DELETE")
        urllib.request.urlopen(close, timeout=60).close()
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#world-frame")).to_be_focused()
        expect(alert).to_be_hidden()
        server.stop()
        page.keyboard.press("ArrowRight")
        expect(alert).to_contain_text('Start it again with "vqvae serve RUN"')


def test_a_lost_server_gets_a_sentence(browser: Browser, run: Path, picture: Path) -> None:
    with serving([run]) as server, window(browser, server.url) as page:
        chosen(page, picture)
        expect(page.locator("#reconstruction")).to_be_visible()
        server.stop()
        chosen(page, picture)
        expect(page.locator("#pictures-message")).to_be_visible()
        expect(page.locator("#pictures-message")).to_contain_text('Start it again with "vqvae serve RUN"')


def test_a_server_with_a_token_asks_for_it(browser: Browser, run: Path, picture: Path) -> None:
    with serving([run], "--token", "open-sesame") as server, window(browser, server.url) as page:
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        page.locator("#token-field").fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("refused this token")
        page.locator("#token-field").fill("open-sesame")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Pictures", level=1)).to_be_visible()
        chosen(page, picture)
        expect(page.locator("#reconstruction")).to_be_visible()
        page.get_by_role("link", name="Runs").click()
        with page.expect_download() as saved:  # A link could not send the token.
            page.get_by_role("button", name="Save the report").click()
        assert saved.value.suggested_filename == "pictures.html"
        assert Path(saved.value.path()).read_bytes() == (run / "report.html").read_bytes()
        page.reload()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#lost")).to_contain_text("needs its token")
        page.get_by_role("button", name="Try again").click()
        expect(dialog).to_be_visible()
