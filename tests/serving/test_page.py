"""What holds for the files of the page, without a browser."""

import re
from pathlib import Path

import pytest

import vqvae

PAGE = Path(vqvae.__file__).parent / "serving" / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))
MOST_BYTES = 150_000
HTML = (PAGE / "index.html").read_text()


def test_scripts_and_styles_are_small() -> None:
    files = [*SCRIPTS, *PAGE.glob("*.css")]
    assert len(files) > 10 and sum(path.stat().st_size for path in files) < MOST_BYTES


def test_nothing_is_inline() -> None:
    # The policy of the server's answers forbids it: such a script or style would not run.
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=", HTML) == []


@pytest.mark.parametrize("path", [path for path in sorted(PAGE.iterdir()) if path.suffix != ".svg"], ids=lambda path: path.name)
def test_no_other_machine_is_named(path: Path) -> None:
    assert re.findall(r"(?:https?|wss?):?//[\w.]+", path.read_text()) == []


def test_every_file_that_is_named_is_there_and_every_file_is_named() -> None:
    named = set(re.findall(r'"static/([\w.-]+)"', HTML))
    for path in SCRIPTS:
        named |= set(re.findall(r'from "\./([\w.-]+)"', path.read_text()))
    assert named == {path.name for path in PAGE.iterdir()} - {"index.html"}


def test_every_element_that_a_script_asks_for_is_there() -> None:
    identifiers = re.findall(r'\bid="([\w-]+)"', HTML)
    assert len(identifiers) == len(set(identifiers))
    asked = {name for path in SCRIPTS for name in re.findall(r'(?:find|Message)\("([\w-]+)"\)', path.read_text())}
    assert len(asked) > 50 and asked <= set(identifiers)


@pytest.mark.parametrize("path", [*SCRIPTS, PAGE / "page.css", PAGE / "index.html"], ids=lambda path: path.name)
def test_files_keep_the_rules_of_the_house(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 400 and [line for line in lines if len(line) > 140] == []
    if path.suffix == ".js":
        assert lines[0].startswith("// "), "a file says what it is"
