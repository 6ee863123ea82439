"""The panel of samples, as a person uses it."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serving.browser.driven import PATIENCE, pixels, until

pytestmark = pytest.mark.browser


def drawn(page: Page, count: int) -> list[np.ndarray]:
    """Press Draw, wait for the end, and return the pictures."""
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#sample-words")).to_contain_text("Drawn in", timeout=PATIENCE * 1000)
    expect(page.locator(".sample")).to_have_count(count)
    expect(page.locator(".sample a")).to_have_count(count)
    until(page, "[...document.querySelectorAll('.sample canvas')].every(canvas => canvas.width > 1)")
    return [pixels(page, f"#samples li:nth-child({number + 1}) canvas:nth-of-type(2)") for number in range(count)]


def start(page: Page, count: int) -> None:
    page.get_by_role("link", name="Sample").click()
    page.locator("#sample-model").select_option("pictures")
    page.locator("#sample").get_by_label("Count", exact=True).fill(str(count))


def test_samples_are_drawn_code_by_code_and_a_seed_repeats_them(page: Page) -> None:
    start(page, 2)
    page.get_by_label("Show slowly").check()
    page.evaluate("""() => {
        window.seen = [];
        const words = document.getElementById('sample-words');
        new MutationObserver(() => window.seen.push(words.textContent)).observe(words, { childList: true });
    }""")
    first = drawn(page, 2)
    seen = [text for text in page.evaluate("window.seen") if "of 16 codes" in text]
    assert len(set(seen)) > 1 and seen[-1].startswith("16 of 16"), "the page shows how far it is"
    assert (first[0] != first[1]).any() and first[0].shape == (16, 16, 3)
    page.get_by_label("Show slowly").uncheck()
    again = drawn(page, 2)
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    page.locator("#sample").get_by_label("Seed", exact=True).fill("7")
    assert any((one != other).any() for one, other in zip(first, drawn(page, 2), strict=True))


def test_a_drawing_is_stopped(page: Page) -> None:
    start(page, 1)
    page.get_by_label("Show slowly").check()
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator("#sample-words")).to_contain_text("of 16 codes")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#sample-words")).to_have_text("Stopped.")
    expect(page.locator("#sample-message")).to_be_hidden()
    expect(page.locator(".sample a")).to_have_count(0)
    page.get_by_label("Show slowly").uncheck()
    drawn(page, 1)


def test_a_low_top_k_draws_the_likeliest_codes_alone(page: Page) -> None:
    start(page, 2)
    page.locator("#sample-label").select_option(index=1)
    page.locator("#sample-top-k").fill("0")
    expect(page.locator("#sample-top-k-words")).to_have_text("1 code")
    first, second = drawn(page, 2)
    assert (first == second).all(), "there is one likeliest code"


def test_the_kept_part_of_a_picture_stays(page: Page, pictures: Path) -> None:
    picture = sorted((pictures / "val").rglob("*.png"))[0]
    start(page, 2)
    page.get_by_text("Complete a picture from a part of it").click()
    page.locator("#complete-drop input").set_input_files(picture)
    expect(page.locator("#keep")).to_be_visible()
    kept = pixels(page, "#keep").astype(int)
    half = len(kept) // 2
    assert kept[:half].mean() > 1.5 * kept[half:].mean(), "what is drawn anew is dark"
    drawn(page, 2)
    one, other = (pixels(page, f"#samples li:nth-child({number}) canvas:nth-of-type(1)") for number in (1, 2))
    middle = len(one) // 2
    assert (one[:middle] == other[:middle]).all() and (one[middle:] != other[middle:]).any()
    page.get_by_role("radio", name="All").check()
    one, other = drawn(page, 2)
    assert (one == other).all(), "nothing is left to draw"


def test_a_sample_is_edited_as_a_picture(page: Page) -> None:
    start(page, 1)
    (sample,) = drawn(page, 1)
    page.get_by_role("button", name="Edit its codes").click()
    expect(page.get_by_role("heading", name="Pictures", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Original")).to_be_hidden()
    assert (pixels(page, "#reconstruction") == sample).all()
