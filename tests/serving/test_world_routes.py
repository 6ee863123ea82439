"""Imagined clips and worlds that are played: what the model imagines."""

import base64
import io
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from tests.serving.conftest import OPTIONS, pixels_of
from tests.serving.test_routes import events
from vqvae.layers.autoregressive import Choice
from vqvae.serving.served import Served
from vqvae.serving.worlds import Worlds, begun

WORLDS = "/v1/models/worlds"
PLAN = ["right", "left", "right"]


def frame(url: str) -> torch.Tensor:
    return pixels_of(base64.b64decode(url.partition(",")[2]))


def expected(models: dict[str, Served], seed: int) -> torch.Tensor:
    start = models["worlds"].material.start(0)
    return models["worlds"].model.imagine(start.frames, PLAN, before=start.actions, seed=seed)


def test_frames_are_those_that_the_model_imagines(client: TestClient, models: dict[str, Served]) -> None:
    made = expected(models, 4)
    answer = client.post(f"{WORLDS}/imagine", json={"actions": PLAN, "seed": 4, "stream": True})
    told = events(answer.text)
    assert [name for name, _ in told] == ["frame"] * 3 + ["done"]
    assert torch.equal(torch.stack([frame(data["frame"]) for _, data in told[:-1]], 2), made)
    gif = client.post(f"{WORLDS}/imagine", json={"actions": PLAN, "seed": 4})
    with Image.open(io.BytesIO(gif.content)) as image:
        assert gif.headers["content-type"] == "image/gif" and getattr(image, "n_frames", 0) == 6 + 3


def test_a_world_is_played_frame_by_frame(client: TestClient, models: dict[str, Served]) -> None:
    begun = client.post(f"{WORLDS}/worlds", json={"start": 0, "seed": 4}).json()
    assert begun["actions"] == ["left", "right"] and len(begun["frames"]) == 6 and begun["engine"] is False
    path = f"{WORLDS}/worlds/{begun['world']}"
    steps = [client.post(f"{path}/step", json={"action": action}).json() for action in PLAN]
    assert torch.equal(torch.stack([frame(step["frame"]) for step in steps], 2), expected(models, 4))
    assert client.post(f"{path}/step", json={"action": "fly"}).status_code == 422
    assert client.post(f"{path}/step", json={}).status_code == 422
    assert client.delete(path).status_code == 200
    assert client.delete(path).status_code == client.post(f"{path}/step", json={"action": "left"}).status_code == 404


def test_worlds_are_few_and_end(models: dict[str, Served]) -> None:
    now, served = [0.0], models["worlds"]
    worlds = Worlds(OPTIONS, lambda: now[0])
    names = [worlds.add(begun(served.model, served.material.start(0), ("left", "right"), 0, Choice())) for _ in range(2)]
    assert len(set(names)) == 2 and len(names[0]) > 16
    with pytest.raises(Exception, match="2 worlds are played already"):
        worlds.check()
    now[0] = OPTIONS.world_seconds - 1
    worlds.get(names[0])
    now[0] += 2
    worlds.check()
    assert len(worlds) == 1
    with pytest.raises(Exception, match="no such world"):
        worlds.get(names[1])


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("worlds/imagine", {"actions": []}, 422, "0 actions came"),
        ("worlds/imagine", {"actions": ["left"] * 7}, 422, "expected 1 to 6"),
        ("worlds/imagine", {"actions": ["fly"]}, 422, "There is no action 'fly'"),
        ("worlds/imagine", {"actions": ["left"], "start": 5}, 422, "1 real starts"),
        ("worlds/imagine", {"actions": ["left"], "temperature": -1}, 422, "temperature"),
        ("worlds/worlds", {"start": 1}, 422, "1 real starts"),
        ("photos/imagine", {"actions": ["left"]}, 422, "cannot imagine"),
        ("photos/worlds", {}, 422, "cannot be played"),
    ],
)
def test_bad_requests_get_a_sentence(client: TestClient, path: str, body: dict[str, Any], status: int, words: str) -> None:
    answer = client.post(f"/v1/models/{path}", json=body)
    assert answer.status_code == status and words in answer.json()["error"]["message"], answer.text


def test_imagine_also_takes_a_clip(client: TestClient, models: dict[str, Served]) -> None:
    import numpy as np

    clip, file = models["worlds"].material.start(0).frames, io.BytesIO()
    np.save(file, clip.numpy())
    fields = {"actions": "right,left,right", "seed": "4", "stream": "true"}
    told = events(client.post(f"{WORLDS}/imagine", files={"file": ("a.npy", file.getvalue())}, data=fields).text)
    made = models["worlds"].model.imagine(clip, PLAN, seed=4)
    assert torch.equal(torch.stack([frame(data["frame"]) for _, data in told[:-1]], 2), made)
    assert client.post(f"{WORLDS}/imagine", data={"actions": "left"}).status_code in (415, 422)
    assert client.post(f"{WORLDS}/imagine", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post(f"{WORLDS}/imagine", content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
