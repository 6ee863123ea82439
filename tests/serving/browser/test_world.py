"""The panel of the imagined world, as a person plays it."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.cli.test_imagine import train_clips
from tests.serving.browser.driven import pixels, serving, until, window
from vqvae.data import WorldsConfig

pytestmark = pytest.mark.browser


def started(page: Page) -> None:
    page.get_by_role("link", name="World").click()
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#world-frame")).to_be_focused()


def test_arrow_keys_walk_from_a_real_start(page: Page) -> None:
    started(page)
    frame = pixels(page, "#world-frame")
    assert frame.shape == (16, 16, 3) and {40, 200} == set(np.unique(frame)), "the last known frame is a real one"
    page.keyboard.press("ArrowRight")
    expect(page.locator("#world-words")).to_have_text("Frame 1: right.")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#world-words")).to_have_text("Frame 2: left.")
    assert (pixels(page, "#world-frame") != frame).any()
    assert float(page.locator("#world-rate").inner_text()) > 0
    expect(page.get_by_role("heading", name="Engine")).to_be_hidden()


def test_a_held_key_keeps_going_until_it_is_released(page: Page) -> None:
    started(page)
    page.keyboard.down("ArrowLeft")
    until(page, "Number(document.getElementById('world-words').textContent.match(/\\d+/)?.[0]) >= 4")
    page.keyboard.up("ArrowLeft")
    page.wait_for_timeout(500)
    stopped = page.locator("#world-words").inner_text()
    page.wait_for_timeout(500)
    assert page.locator("#world-words").inner_text() == stopped


def test_buttons_walk_too(page: Page) -> None:
    started(page)
    page.get_by_role("button", name="right").click()
    expect(page.locator("#world-words")).to_contain_text(": right.")
    page.get_by_role("button", name="left").press("Enter")
    expect(page.locator("#world-words")).to_contain_text(": left.")


def test_the_same_start_seed_and_actions_give_the_same_walk(page: Page) -> None:
    frames = []
    for _ in range(2):
        started(page)
        for step in (1, 2):
            page.keyboard.press("ArrowRight")
            expect(page.locator("#world-words")).to_have_text(f"Frame {step}: right.")
        frames.append(pixels(page, "#world-frame"))
    assert (frames[0] == frames[1]).all()


def test_a_start_that_is_not_there_is_refused_by_the_field(page: Page) -> None:
    page.get_by_role("link", name="World").click()
    field = page.get_by_label("Start")
    field.fill(str(int(field.get_attribute("max") or "-1") + 1))
    page.get_by_role("button", name="Start").click()
    assert field.evaluate("field => field.validity.rangeOverflow && field.validationMessage !== ''")
    expect(page.locator("#world-stage")).to_be_hidden()


def test_the_engine_walks_beside_the_imagined_world(browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    data = WorldsConfig(path=str(tmp_path / "walks"), episodes=2, frames_per_episode=12, size=16, clip_length=4)
    run = train_clips(data, tmp_path / "doom", actions=5)
    real = data.build().held_out.batch(np.array([2])).x[0].permute(1, 2, 3, 0).numpy()
    with serving([run]) as server, window(browser, server.url) as page:
        started(page)
        expect(page.get_by_role("heading", name="Engine")).to_be_visible()
        assert (pixels(page, "#world-frame") == real[-1]).all() and (pixels(page, "#world-engine") == real[-1]).all()
        page.keyboard.press("ArrowUp")
        expect(page.locator("#world-words")).to_have_text("Frame 1: forward.")
        ahead = pixels(page, "#world-engine")
        assert (ahead != real[-1]).any() and (pixels(page, "#world-frame") != ahead).any()
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#world-words")).to_have_text("Start 0.")
        assert (pixels(page, "#world-engine") == real[-1]).all()
        page.get_by_role("button", name="forward", exact=True).press("Enter")
        expect(page.locator("#world-words")).to_have_text("Frame 1: forward.")
        assert (pixels(page, "#world-engine") == ahead).all(), "the engine repeats the start"
        expect(page.locator("#world-engine-words")).to_have_text("")
