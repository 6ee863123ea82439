"""The application as a whole: its page, its description, and requests that a fuzzer makes from it."""

import re
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient
from schemathesis.generation.case import Case

from tests.serving.conftest import OPTIONS
from vqvae.serving.app import build_app
from vqvae.serving.gate import Gate
from vqvae.serving.measures import Measures
from vqvae.serving.page_files import POLICY
from vqvae.serving.served import Served

HEALTH = list(hypothesis.HealthCheck)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "server.md"


def test_the_reference_has_every_request(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    there = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert there == set(re.findall(r"^\| `([A-Z]+ \S+)` \|", REFERENCE.read_text(), re.MULTILINE))
    for methods in described["paths"].values():
        for facts in methods.values():
            assert facts.get("description") and "503" in facts["responses"]


def test_models_say_what_they_can(client: TestClient) -> None:
    photos, voices, worlds = client.get("/v1/models").json()["models"]
    assert (photos["kind"], voices["kind"], worlds["kind"]) == ("images", "speech", "video")
    assert photos["can"]["sample"] and photos["can"]["complete"] and not photos["can"]["convert"]
    assert voices["can"]["convert"] and voices["voices"] == ["ann", "bob"] and not voices["can"]["sample"]
    assert worlds["can"]["play"] and worlds["actions"] == ["left", "right"] and worlds["starts"] == 1 and not worlds["can"]["sample"]
    assert photos["size"] == [16, 20] and photos["layout"][0]["space"] == [4, 5]
    assert photos["limits"] == {"bytes": 200_000, "pixels": 4096, "seconds": 1.0, "samples": 4, "frames": 6}
    assert client.get("/v1/models/photos").json() == photos
    assert client.get("/v1/models/photos/report").status_code == client.get("/v1/models/voices/codebook").status_code == 404


def test_health_says_when_kernels_are_compiled(client: TestClient, models: dict[str, Served]) -> None:
    assert client.get("/health/ready").status_code == 200
    models["photos"].is_warm = False
    try:
        answer = client.get("/health/ready")
        assert answer.status_code == 503 and answer.headers["retry-after"] and "photos" in answer.json()["error"]["message"]
    finally:
        models["photos"].is_warm = True


def test_a_report_runs_no_scripts(models: dict[str, Served], tmp_path: Path) -> None:
    report, models["photos"].report = models["photos"].report, tmp_path / "report.html"
    (tmp_path / "report.html").write_text("<p>scores</p>")
    try:
        answer = TestClient(build_app(models, OPTIONS, Measures())).get("/v1/models/photos/report")
        assert "scores" in answer.text and "sandbox" in answer.headers["content-security-policy"]
    finally:
        models["photos"].report = report


def test_the_page_is_sent_once_and_nothing_else_of_the_machine(
    models: dict[str, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    for name, text in (("index.html", "<p>page</p>"), ("main.js", "1")):
        (tmp_path / "page" / name).write_text(text)
    monkeypatch.setattr("vqvae.serving.app.PAGE", tmp_path / "page")
    client = TestClient(build_app(models, OPTIONS, Measures()))
    first = client.get("/")
    assert first.text == "<p>page</p>" and first.headers["content-security-policy"] == POLICY
    assert client.get("/", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get("/static/main.js").headers["content-type"].startswith("text/javascript")
    for path in ("/static/../secret.txt", "/static/%2e%2e%2fsecret.txt", "/static/..%5csecret.txt", "/static/none.js"):
        assert client.get(path).status_code == 404


def test_no_other_site_may_read_answers(client: TestClient) -> None:
    answer = client.get("/v1/models", headers={"Origin": "https://example.org"})
    assert not any(name.startswith("access-control") for name in answer.headers)
    assert client.options("/v1/models", headers={"Origin": "https://example.org"}).status_code == 405


@pytest.mark.parametrize(
    ("path", "kind", "body", "status", "words"),
    [
        ("sample", "application/x-www-form-urlencoded", b'{"count": 2}', 415, "x-www-form-urlencoded; expected application/json"),
        ("sample", None, b"{}", 415, "is missing; expected application/json"),
        ("sample", "application/json", b'{"count": 2', 422, "The body is not JSON: "),
        ("sample", "application/json", b'{"count": 2', 422, "(character 11)"),
        ("sample", "application/json", b'"text"', 422, "body: "),
        ("encode", "application/json", b"{}", 422, "as the part 'file'"),
        (
            "encode",
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="parts"\r\n\r\nx\r\n--b--\r\n',
            422,
            "no whole file",
        ),
        ("encode", "application/x-www-form-urlencoded", b"file=a.png", 422, "multipart/form-data"),
    ],
)
def test_a_body_of_the_wrong_form_gets_a_sentence(
    client: TestClient, path: str, kind: str | None, body: bytes, status: int, words: str
) -> None:
    answer = client.post(f"/v1/models/photos/{path}", content=body, headers={} if kind is None else {"Content-Type": kind})
    assert answer.status_code == status and words in answer.json()["error"]["message"], answer.text


# schemathesis draws random numbers where hypothesis would rather not see it.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_whatever_is_sent_is_answered(gate: Gate) -> None:
    schema, asked = schemathesis.openapi.from_asgi("/openapi.json", gate), set[str]()

    def ask(case: Case) -> None:
        asked.add(case.operation.label)
        if "name" in (case.path_parameters or {}):
            case.path_parameters = {**case.path_parameters, "name": "photos" if "world" not in case.path else "worlds"}
        answer = case.call(timeout=60)
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        if answer.status_code >= 400:
            assert answer.json()["error"]["message"]

    for found in schema.get_all_operations():
        few = hypothesis.settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=HEALTH)
        few(hypothesis.given(found.ok().as_strategy())(ask))()
    assert len(asked) == 19
