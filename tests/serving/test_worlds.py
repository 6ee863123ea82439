"""Worlds beside the engine that made their start."""

import asyncio
import base64
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from tests.data.test_gym import environment  # noqa: F401
from tests.networks.test_video import model as causal
from tests.serving.conftest import OPTIONS, pixels_of, playable
from vqvae.data import ClipsDataset, GymConfig
from vqvae.errors import MissingExtraError
from vqvae.layers.autoregressive import Choice
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import ArrayDecoderConfig, ArrayEncoderConfig
from vqvae.pipeline import Pipeline
from vqvae.priors import WorldPrior, WorldPriorConfig
from vqvae.quantizers import FSQConfig
from vqvae.serving.app import build_app
from vqvae.serving.material import Material, Start
from vqvae.serving.measures import Measures
from vqvae.serving.served import Served
from vqvae.serving.worlds import Worlds, begun, unplayable

PATH = "/v1/models/road/worlds"


@pytest.fixture(scope="module")
def road(
    environment: Callable[[str], str],  # noqa: F811
    runs: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """A model whose clips come from an environment: a dot on a ring, which ends at place 0."""
    folder = str(tmp_path_factory.mktemp("road"))
    data = GymConfig(environment=environment("Road"), path=folder, episodes=8, steps=40, size=(8, 12), clip_length=2, persistence=0)
    served = playable("road", runs[0], data.build())
    yield served
    served.close()


@pytest.fixture
def client(road: Served) -> TestClient:
    road.worlds.clear()
    road.worlds = Worlds(OPTIONS)
    return TestClient(build_app({"road": road}, OPTIONS, Measures()))


def seen(url: str) -> np.ndarray:
    return pixels_of(base64.b64decode(url.partition(",")[2]))[0].numpy()


def begin(client: TestClient, **body: Any) -> dict[str, Any]:
    found = client.post(PATH, json={"start": 0, **body}).json()
    assert "world" in found, found
    return found


def step(client: TestClient, world: str, action: str) -> dict[str, Any]:
    return client.post(f"{PATH}/{world}/step", json={"action": action}).json()


def processes(road: Served) -> list[int]:
    """The engines that play now."""
    return [world.engine._process.pid for world in road.worlds._open.values() if world.engine is not None]


def test_the_engine_shows_what_really_follows_the_same_start_and_actions(client: TestClient, road: Served) -> None:
    assert road.about()["can"]["engine"]
    longest = max(range(road.material.starts), key=lambda start: road.material._place(start)[0].lengths[road.material._place(start)[1]])
    episodes, number = road.material._place(longest)
    at = episodes.frames_of(number).start + 5
    found = begin(client, start=longest)
    assert found["engine"] and np.array_equal(seen(found["engine_frame"]), seen(found["frames"][-1]))
    names = episodes.action_names
    done = episodes.actions[at : episodes.frames_of(number).stop - 1]
    assert set(done) == {0, 1}, "the walk goes both ways"
    for place in range(at, at + len(done)):
        made = step(client, found["world"], names[int(episodes.actions[place])])
        assert np.array_equal(seen(made["engine_frame"]), episodes.frames[place + 1]) and made["engine_words"] is None
        assert made["frame"] != made["engine_frame"], "the model has learned nothing"


def test_the_world_goes_on_when_the_engines_episode_ends(client: TestClient, road: Served) -> None:
    found = begin(client)
    made = [step(client, found["world"], "left") for _ in range(10)]
    ends = [one["engine_frame"] is None for one in made]
    first = ends.index(True)
    assert first > 0 and all(ends[first:]), "the dot is at place 0 after at most nine steps"
    assert all("has ended here" in one["engine_words"] for one in made[first:]) and all(one["frame"] for one in made)
    assert processes(road) == []


def test_an_engine_that_fails_leaves_the_world_and_a_sentence(client: TestClient, road: Served) -> None:
    found = begin(client)
    (process,) = (world.engine._process for world in road.worlds._open.values())
    process.kill()
    process.wait()
    made = step(client, found["world"], "left")
    assert made["frame"] and made["engine_frame"] is None and "does not continue this episode" in made["engine_words"]


def test_a_start_that_the_engine_does_not_repeat_is_played_without_it(
    client: TestClient, road: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = road.material._held_out()
    assert held_out is not None and (live := held_out.episodes.live) is not None
    broken = dataclasses.replace(held_out.episodes, live=lambda number, context: live(99, context))
    monkeypatch.setattr(road.material, "_splits", road.material._splits._replace(held_out=ClipsDataset(broken, 2, "broken")))
    found = begin(client)
    assert found["engine"] is False and found["engine_frame"] is None and "episode 99" in found["engine_words"]
    assert step(client, found["world"], "left")["frame"]


def test_engines_end_with_their_worlds(client: TestClient, road: Served) -> None:
    first, second = begin(client), begin(client, engine=False)
    assert second["engine"] is False and second["engine_words"] is None and step(client, second["world"], "left")["engine_frame"] is None
    (process,) = processes(road)
    assert client.post(PATH, json={"start": 0}).status_code == 429
    assert client.delete(f"{PATH}/{first['world']}").status_code == 200
    assert not Path(f"/proc/{process}").exists()
    begin(client)
    (process,) = processes(road)
    road.worlds.clear()
    assert not Path(f"/proc/{process}").exists() and len(road.worlds) == 0


def test_worlds_that_nobody_plays_are_closed_although_nobody_asks(models: dict[str, Served]) -> None:
    served = models["worlds"]
    world = begun(served.model, served.material.start(0), ("left", "right"), 0, Choice())
    worlds = Worlds(dataclasses.replace(OPTIONS, world_seconds=0.05))

    async def wait() -> None:
        worlds.add(world)
        worlds.watch(asyncio.get_running_loop())
        end = time.monotonic() + 30
        while len(worlds) and time.monotonic() < end:
            await asyncio.sleep(0.02)

    asyncio.run(wait())
    assert world.is_closed and len(worlds) == 0


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_frames_that_depend_on_earlier_ones_are_those_that_the_model_imagines(stride: int) -> None:
    model = Pipeline(causal(stride), still(), size=(1, 8, 12))
    known = torch.randint(0, 256, (1, 3, 6, 8, 12), dtype=torch.uint8)
    assert unplayable(model) is None
    world = begun(model, Start(known, None), (), 4, Choice())
    made = torch.cat([world.step(None) for _ in range(3)], 2)
    expected = model.imagine(known, steps=3 * stride, seed=4)
    assert made.shape == expected.shape == (1, 3, 3 * stride, 8, 12)
    assert (made.int() - expected.int()).abs().max() <= 1, "up to rounding"


def test_a_code_for_several_frames_sends_all_of_them(models: dict[str, Served], monkeypatch: pytest.MonkeyPatch) -> None:
    served = models["worlds"]
    monkeypatch.setattr(served, "model", Pipeline(causal(2), still(), size=(1, 8, 12)))
    client = TestClient(build_app({"worlds": served}, OPTIONS, Measures()))
    found = client.post("/v1/models/worlds/worlds", json={"start": 0}).json()
    assert found["actions"] == [] and found["engine"] is False
    step = client.post(f"/v1/models/worlds/worlds/{found['world']}/step", json={}).json()
    assert len(step["before"]) == 1 and step["before"][0] != step["frame"]
    served.worlds.clear()


def test_what_cannot_be_played_says_why(models: dict[str, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = models["worlds"]
    assert served.about()["unplayable"] is None and models["photos"].about()["unplayable"] is None
    client = TestClient(build_app({"worlds": served}, OPTIONS, Measures()))

    def refused() -> str:
        answer = client.post("/v1/models/worlds/worlds", json={})
        assert answer.status_code == 422 and not served.about()["can"]["play"]
        assert served.about()["unplayable"] in answer.json()["error"]["message"]
        return answer.json()["error"]["message"]

    def unreadable(run: Path) -> None:
        raise MissingExtraError("vizdoom", "worlds")

    monkeypatch.setattr("vqvae.serving.material.stored_data", unreadable)
    monkeypatch.setattr(served, "material", Material.of(tmp_path))
    assert "pip install 'vqvae[worlds]'" in refused()
    monkeypatch.setattr(served, "model", Pipeline(ahead(), still(), size=(1, 8, 12)))
    assert "Its decoder sees later frames." in refused()


def still() -> WorldPrior:
    """A prior over the codes of ``causal`` that takes no actions."""
    torch.manual_seed(0)
    small = {"memory": 3, "reach": 1, "blocks": 1, "width": 4, "layers": 1, "hidden": 4, "output_hidden": 5}
    return WorldPriorConfig(codebook_size=125, actions=0, **small).build().eval()


def ahead() -> VQVAE:
    """A tokenizer of clips whose frames depend on later ones."""
    parts = {"stride": (1, 4, 4), "width": 4, "residual_blocks": 1}
    return VQVAEConfig(
        quantizer=FSQConfig(dim=3, levels=(5, 5, 5)),
        likelihood=GaussianConfig(channels=3),
        encoder=ArrayEncoderConfig(axes=("time", "height", "width"), **parts),
        decoder=ArrayDecoderConfig(**parts),
    ).build()
