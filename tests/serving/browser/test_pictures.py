"""The panel of pictures, as a person uses it."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serving.browser.driven import pixels, until

pytestmark = pytest.mark.browser


@pytest.fixture
def picture(pictures: Path) -> Path:
    return sorted((pictures / "val").rglob("*.png"))[0]


def opened(page: Page, picture: Path) -> None:
    """Choose a file, as with the button, and wait until it is shown."""
    page.get_by_role("link", name="Pictures").click()
    with page.expect_file_chooser() as chooser:
        page.locator("#pictures-drop button").click()
    chooser.value.set_files(picture)
    expect(page.locator("#pictures-drop .name")).to_have_text(picture.name)
    expect(page.locator("#pictures-drop")).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("heading", name="Reconstruction")).to_be_visible()


def code_at(page: Page, column: int, row: int) -> None:
    """Move the mouse over a code of the map of 4×4 codes."""
    codes = page.locator("#codes")
    codes.scroll_into_view_if_needed()
    box = codes.bounding_box()
    assert box is not None
    codes.hover(position={"x": box["width"] * (column + 0.5) / 4, "y": box["height"] * (row + 0.5) / 4})


def test_a_picture_is_shown_with_its_reconstruction_its_difference_and_its_codes(page: Page, picture: Path) -> None:
    opened(page, picture)
    original, made = pixels(page, "#original"), pixels(page, "#reconstruction")
    assert original.shape == made.shape == (16, 16, 3) and original.std() > 0
    difference = pixels(page, "#difference")
    apart = np.abs(original.astype(int) - made).mean(-1).clip(0, 64)  # Larger ones are all white.
    assert np.corrcoef(apart.ravel(), difference.sum(-1).ravel())[0, 1] > 0.9
    expect(page.locator("#difference-words")).to_contain_text("dB")
    codes = pixels(page, "#codes")
    assert len(np.unique(codes.reshape(-1, 3), axis=0)) > 1
    rows = page.locator("#bits tr")
    assert rows.count() >= 3 and "PNG" in page.locator("#bits").inner_text() and "JPEG" in page.locator("#bits").inner_text()
    assert pixels(page, "#heat").shape == (4, 4, 3)
    expect(page.locator("#heat-high")).to_contain_text("bits")


def test_a_prior_of_classes_is_surprised_given_a_class(page: Page, picture: Path) -> None:
    expect(page.locator("#surprise-label-box")).to_be_hidden()
    page.locator("#pictures-model").select_option("pictures")
    opened(page, picture)
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.locator("#surprise-words")).to_contain_text("Its prior needs the class of the picture. Choose it below.")
    maps = []
    for index in (1, 2):
        with page.expect_response("**/reconstruct") as answer:
            page.get_by_label("Class of the picture").select_option(index=index)
        expect(page.locator("#heat")).to_be_visible()
        maps.append(answer.value.json()["bits_per_code"])
    assert maps[0] != maps[1]
    with page.expect_response("**/reconstruct") as answer:
        opened(page, picture)
    assert answer.value.json()["bits_per_code"] == maps[1], "the class stays chosen"
    page.get_by_label("Class of the picture").select_option(label="Not chosen")
    expect(page.locator("#heat")).to_be_hidden()


def test_a_hovered_code_says_what_it_is_and_where_else_it_occurs(page: Page, picture: Path) -> None:
    opened(page, picture)
    before = pixels(page, "#codes")
    code_at(page, 1, 2)
    expect(page.locator("#code-words")).to_contain_text("Row 3, column 2.")
    expect(page.locator("#code-title")).to_contain_text("Code ")
    expect(page.get_by_text("In training data:")).to_be_visible()
    assert pixels(page, "#patches canvas").std() > 0
    assert (pixels(page, "#codes") != before).any(), "the other codes are dimmed"
    page.mouse.move(2, 2)
    assert (pixels(page, "#codes") == before).all()


def test_a_painted_code_changes_the_picture_and_undo_takes_it_back(page: Page, picture: Path) -> None:
    opened(page, picture)
    before = pixels(page, "#reconstruction")
    page.get_by_role("radio", name="Paint").check()
    now = int(page.locator("#brush").input_value())
    code_at(page, 0, 0)
    shown = page.locator("#code-title").inner_text()
    page.locator("#brush").fill(str(now + 1 if shown == f"Code {now}" else now))
    page.locator("#brush").press("Enter")
    code_at(page, 0, 0)
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#redrawn")).to_contain_text("redrawn in")
    after = pixels(page, "#reconstruction")
    assert (after != before).any()
    page.get_by_role("button", name="Undo").click()
    until(
        page,
        "before => JSON.stringify([...document.getElementById('reconstruction').getContext('2d')"
        ".getImageData(0, 0, 16, 16).data]) === before",
        flat(before),
    )
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def flat(pixels: np.ndarray) -> str:
    """Pixels as the page's JSON has them."""
    opaque = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], -1)
    return "[" + ",".join(map(str, opaque.ravel())) + "]"


def test_a_code_is_replaced_everywhere(page: Page, picture: Path) -> None:
    opened(page, picture)
    code_at(page, 2, 2)
    page.mouse.down()
    page.mouse.up()
    picked = page.locator("#brush").input_value()
    assert page.locator("#code-title").inner_text() == f"Code {picked}", "a click picks the brush"
    other = "0" if picked != "0" else "1"
    page.locator("#brush").fill(other)
    page.get_by_role("radio", name="Replace everywhere").check()
    code_at(page, 2, 2)
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#code-title")).to_have_text(f"Code {other}")
    for row in range(4):
        for column in range(4):
            code_at(page, column, row)
            expect(page.locator("#code-words")).to_contain_text(f"Row {row + 1}, column {column + 1}.")
            assert page.locator("#code-title").inner_text() != f"Code {picked}"


def test_the_map_is_used_by_keyboard(page: Page, picture: Path) -> None:
    opened(page, picture)
    page.locator("#codes").focus()
    expect(page.locator("#status")).to_contain_text("Row 1, column 1: code ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#status")).to_contain_text("Row 2, column 2: code ")
    page.keyboard.press("Enter")
    said = page.locator("#status").inner_text()
    assert f"code {page.locator('#brush').input_value()}." in said


def test_two_pictures_are_joined_by_their_codes(page: Page, pictures: Path) -> None:
    first, second = sorted((pictures / "val").rglob("*.png"))[0], sorted((pictures / "val").rglob("*.png"))[-1]
    opened(page, first)
    page.locator("#blend-drop input").set_input_files(second)
    expect(page.locator("#blend-strip li")).to_have_count(7)
    ends = [pixels(page, f"#blend-strip li:nth-child({place}) canvas") for place in (1, 4, 7)]
    assert (ends[0] == pixels(page, "#reconstruction")).all() and (ends[1] != ends[0]).any() and (ends[2] != ends[1]).any()
    page.locator("#blend-strip li:last-child button").click()
    expect(page.locator("#blend-words")).to_have_text("100 %")
    until(page, "document.getElementById('blend-picture').width === 16")
    opened(page, second)
    expect(page.locator("#blend-strip li")).to_have_count(7)
    assert (pixels(page, "#reconstruction") == ends[2]).all(), "all codes of the second picture are the second picture"


def test_a_picture_is_dropped_and_pasted(page: Page, picture: Path) -> None:
    data = list(picture.read_bytes())
    file = "new File([new Uint8Array(bytes)], 'carried.png', {type: 'image/png'})"
    carry = f"bytes => {{ const c = new DataTransfer(); c.items.add({file}); return c; }}"
    page.locator("#pictures-drop").dispatch_event("drop", {"dataTransfer": page.evaluate_handle(carry, data)})
    expect(page.locator("#pictures-drop .name")).to_have_text("carried.png")
    expect(page.get_by_role("heading", name="Reconstruction")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Pictures", exact=True)).to_be_visible()
    page.evaluate(f"bytes => document.dispatchEvent(new ClipboardEvent('paste', {{clipboardData: ({carry})(bytes)}}))", data)
    expect(page.get_by_role("heading", name="Reconstruction")).to_be_visible()


def test_a_text_file_named_png_gets_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("These are notes.\n")
    page.locator("#pictures-drop input").set_input_files(tmp_path / "notes.png")
    alert = page.locator("#pictures-message")
    expect(alert).to_be_visible()
    assert "notes.png" in alert.inner_text() and alert.inner_text().rstrip().endswith(".")
    expect(page.locator("#pictures-result")).to_be_hidden()
