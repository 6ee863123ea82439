"""Routes that say what is served."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from vqvae.serving.served import Served


def test_one_model_is_as_in_the_list(client: TestClient) -> None:
    listed = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
    assert {*listed} == {"photos", "voices", "worlds"} and client.get("/v1/models/voices").json() == listed["voices"]
    missing = client.get("/v1/models/other")
    assert missing.status_code == 404 and "there are photos, voices, worlds" in missing.json()["error"]["message"]


def test_a_run_without_a_report_says_how_to_write_one(client: TestClient) -> None:
    answer = client.get("/v1/models/photos/report")
    assert answer.status_code == 404 and "vqvae evaluate RUN" in answer.json()["error"]["message"]


def test_a_server_is_alive_before_it_is_ready(client: TestClient, models: dict[str, Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models["photos"], "is_warm", False)
    assert client.get("/health/live").status_code == 200 and client.get("/health/ready").status_code == 503


def test_metrics_are_text_for_prometheus(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain") and "# TYPE" in answer.text


def test_a_report_is_sent_as_it_is(client: TestClient, models: dict[str, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("<h1>é</h1>", encoding="utf-8")
    monkeypatch.setattr(models["photos"], "report", tmp_path / "report.html")
    assert client.get("/v1/models/photos/report").text == "<h1>é</h1>"
    (tmp_path / "report.html").unlink()
    assert client.get("/v1/models/photos/report").status_code == 404
