"""Speed of the page: imagined frames per second, the redraw after an edit, and the first paint.

    python benchmarks/play.py runs/demo-video runs/demo [--seconds 20] [--edits 20] [--loads 9] [--out docs/results]

``vqvae serve`` runs in a process of its own, and Chromium shows its page. One holds the arrow key, and the frames that the page shows are
counted. Then one replaces a code of a drawn picture again and again. The page itself says how long it took from the click to the new
pixels. The runs come from ``vqvae demo --modality video`` and ``vqvae demo``.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.serving.browser.driven import PATIENCE, chromium, serving, until, window
from vqvae.reports.results import markdown_table, this_command, write_results

FRAMES_BAR, REDRAW_BAR, PAINT_BAR = 6.0, 150.0, 1000.0
FRAME = "Number(document.getElementById('world-words').textContent.match(/\\d+/)[0])"


def play(page: Page, seconds: float) -> float:
    """Frames per second while the key is held."""
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#world-frame")).to_be_focused()
    page.keyboard.press("ArrowUp")  # The first frame compiles what draws.
    expect(page.locator("#world-words")).to_contain_text("Frame 1")
    page.keyboard.down("ArrowUp")
    until(page, f"{FRAME} > 1")
    first, began = page.evaluate(FRAME), time.perf_counter()
    page.wait_for_timeout(seconds * 1000)
    last, ended = page.evaluate(FRAME), time.perf_counter()
    page.keyboard.up("ArrowUp")
    return (last - first) / (ended - began)


def redraw(page: Page, edits: int) -> list[float]:
    """Milliseconds from the click on a code to the new picture, as the page says."""
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_role("button", name="Edit its codes").first.click()
    page.get_by_role("radio", name="Paint").check()
    found: list[float] = []
    for edit in range(edits + 1):
        # The same place gets another code each time; the first click makes sure of it.
        page.locator("#brush").fill(str(edit % 2))
        page.locator("#brush").press("Enter")
        page.evaluate("document.getElementById('redrawn').textContent = ''")
        page.locator("#codes").click()
        if edit == 0:
            page.wait_for_timeout(1000)
            continue
        expect(page.locator("#redrawn")).to_contain_text("ms")
        found.append(float(page.locator("#redrawn").inner_text().split()[2]))
    return found


def paint(page: Page, loads: int) -> list[float]:
    """Milliseconds from the request to the first paint, without the browser's cache."""
    found = []
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    for _ in range(loads):
        page.reload()
        until(page, "performance.getEntriesByName('first-contentful-paint').length > 0")
        found.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    return found


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, help="a run that imagines a world")
    parser.add_argument("pictures", type=Path, help="a run of pictures with a prior")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the key is held")
    parser.add_argument("--edits", type=int, default=20, help="codes that are replaced")
    parser.add_argument("--loads", type=int, default=9, help="loads of the page")
    parser.add_argument("--out", type=Path, help="folder for play.md and .json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    expect.set_options(timeout=PATIENCE * 1000)
    with serving([arguments.world, arguments.pictures]) as server, chromium() as browser:
        with window(browser, f"{server.url}#world") as page:
            rate = play(page, arguments.seconds)
        with window(browser, f"{server.url}#sample") as page:
            redrawn = statistics.median(redraw(page, arguments.edits))
        with window(browser, server.url) as page:
            painted = statistics.median(paint(page, arguments.loads))
    rows = [
        ("imagined frames per second, in the page", f"{rate:.1f}", f"≥ {FRAMES_BAR:.0f}"),
        ("a picture redrawn after the edit of one code, ms", f"{redrawn:.0f}", f"≤ {REDRAW_BAR:.0f}"),
        ("first paint of the page, ms", f"{painted:.0f}", f"≤ {PAINT_BAR:.0f}"),
    ]
    columns = ["", "measured", "bar"]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "play",
        title="The page of the server",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={"frames_per_second_in_page": rate, "redraw_milliseconds": redrawn, "first_paint_milliseconds": painted},
        seconds=time.perf_counter() - began,
        notes="Chromium without a window and the server share this machine. "
        f"The key was held for {arguments.seconds:.0f} s. "
        f"The redraw is the median of {arguments.edits} edits, the first paint the median of {arguments.loads} loads without a cache.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
