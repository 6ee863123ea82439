"""The files of the page over HTTP."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from vqvae.serving.page_files import POLICY, add_page
from vqvae.serving.refusals import Refusal


@pytest.fixture
def page(tmp_path: Path) -> TestClient:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<h1>page</h1>")
    (tmp_path / "page" / "a.js").write_text("export const a = 1;")
    (tmp_path / "secret").write_text("secret")
    app = FastAPI()
    add_page(app, tmp_path / "page")
    return TestClient(app)


def test_files_come_with_their_type_and_a_policy(page: TestClient) -> None:
    assert page.get("/").text == "<h1>page</h1>" and page.get("/").headers["content-security-policy"] == POLICY
    assert page.get("/static/a.js").headers["content-type"].startswith("text/javascript")


def test_a_file_that_the_browser_has_is_not_sent_again(page: TestClient) -> None:
    tag = page.get("/static/a.js").headers["etag"]
    again = page.get("/static/a.js", headers={"if-none-match": tag})
    assert again.status_code == 304 and not again.content
    assert page.get("/static/a.js", headers={"if-none-match": '"other"'}).status_code == 200


def test_no_other_file_is_sent(page: TestClient) -> None:
    with pytest.raises(Refusal, match="has no file 'secret'"):
        page.get("/static/secret")
    assert page.get("/static/..%2fsecret").status_code == 404
