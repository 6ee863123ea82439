"""Screenshots of every panel of served runs, for the documents.

    python -m tests.serving.browser.screenshots runs/demo runs/demo-speech runs/demo-video \
        --picture held-out.png --second other.png --recording sentence.wav [--out docs/pictures]

Two windows are shown: a wide one in light colours, and one of a phone's size in dark colours. Panels that no run has are left out.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.serving.browser.driven import PATIENCE, chromium, serving, window

SIZES = {"wide": (1200, 900, "light"), "phone": (390, 844, "dark")}
COLOURS = 256
HEIGHTS = {"speech": 1500}
"""Rows of a screenshot that are kept. Others are kept whole; a list of voices may be long."""


def main() -> None:
    """Drive each panel as a person would, and keep what one sees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders")
    parser.add_argument("--picture", type=Path, required=True, help="a picture for the panel of pictures")
    parser.add_argument("--second", type=Path, required=True, help="another one, to mix with the first")
    parser.add_argument("--recording", type=Path, help="a recording for the panel of speech")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), help="the folder of the screenshots")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE * 1000)
    panels: dict[str, Callable[[Page], None]] = {
        "pictures": lambda page: pictures(page, chosen.picture, chosen.second),
        "sample": lambda page: sample(page, chosen.picture),
        "speech": lambda page: speech(page, chosen.recording),
        "world": world,
        "runs": lambda page: None,
    }
    with serving(chosen.runs) as server, chromium() as browser:
        for size, (width, height, scheme) in SIZES.items():
            for name, drive in panels.items():
                with window(browser, f"{server.url}#{name}", width, height, color_scheme=scheme) as page:
                    expect(page.locator("main > section:visible")).to_have_count(1)
                    if not page.locator(f"#tabs a[href='#{name}']").is_visible():
                        continue
                    drive(page)
                    page.evaluate("scrollTo(0, 0)")
                    keep(page.screenshot(full_page=True), chosen.out / f"page-{name}-{size}.png", HEIGHTS.get(name))


def pictures(page: Page, first: Path, second: Path) -> None:
    """A picture with a painted stripe, a code under the mouse, and a second picture."""
    page.locator("#pictures-drop input").set_input_files(first)
    page.locator("#blend-drop input").set_input_files(second)
    expect(page.locator("#blend-strip li")).to_have_count(7)
    codes = page.locator("#codes")
    codes.hover(position={"x": 60, "y": 60})
    page.mouse.down()
    page.mouse.up()
    page.get_by_role("radio", name="Paint").check()
    box = codes.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.6)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=12)
    page.mouse.up()
    expect(page.locator("#redrawn")).to_contain_text("redrawn")
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.3)
    page.wait_for_timeout(500)


def sample(page: Page, picture: Path) -> None:
    """Samples that complete a picture."""
    page.get_by_text("Complete a picture from a part of it").click()
    page.locator("#complete-drop input").set_input_files(picture)
    expect(page.locator("#keep")).to_be_visible()
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".sample a")).to_have_count(4)


def speech(page: Page, recording: Path) -> None:
    """A recording in every voice."""
    page.locator("#speech-drop input").set_input_files(recording)
    expect(page.locator("#tracks section").last).to_be_visible()
    expect(page.locator("#speech-words")).to_have_text("")


def world(page: Page) -> None:
    """A walk of a few steps, from a start with more to see than a wall."""
    page.locator("#world-start").fill("1")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#world-frame")).to_be_focused()
    for key, milliseconds in (("ArrowLeft", 300), ("ArrowUp", 500)):
        page.keyboard.down(key)
        page.wait_for_timeout(milliseconds)
        page.keyboard.up(key)
    page.wait_for_timeout(1000)


def keep(png: bytes, path: Path, height: int | None) -> None:
    """Write a screenshot with few colours: the file is much smaller, and looks the same."""
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").crop((0, 0, image.width, min(image.height, height or image.height))).quantize(
            COLOURS, dither=Image.Dither.NONE
        ).save(path, optimize=True)


if __name__ == "__main__":
    main()
