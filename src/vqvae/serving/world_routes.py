"""Routes that imagine: clips, worlds that are played, and what the codes look like."""

import asyncio
import contextlib
import time
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from torch import Tensor

from vqvae.layers.autoregressive import Choice
from vqvae.serving.answers import as_file, events, example_of, served
from vqvae.serving.bodies import ImagineBody, StepBody, WorldBody
from vqvae.serving.material import Start
from vqvae.serving.refusals import Refusal
from vqvae.serving.served import Served
from vqvae.serving.wire import MEDIA, Sent, frame_of
from vqvae.serving.worlds import World, begun, filmed, imagined, told

router = APIRouter(prefix="/v1/models/{name}", tags=["worlds"])
_FIELDS = ImagineBody.model_json_schema()["properties"]
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "The known frames, as a clip."},
        "actions": {"type": "string", "description": "The actions, separated by commas."},
        **{
            name: ImagineBody.model_json_schema()["properties"][name]
            for name in ("steps", "seed", "temperature", "top_k", "top_p", "stream")
        },
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ImagineBody.model_json_schema()}, "multipart/form-data": {"schema": _FORM}},
    }
}


@router.post("/imagine", openapi_extra=_BODY)
async def imagine(request: Request, name: str) -> Response:
    """Imagine what follows a few frames: from a real start (JSON), or from a clip (a form). The answer is a GIF, or a stream of frames."""
    model = served(request, name)
    if not model.can_imagine:
        raise Refusal(422, f"The model {name} cannot imagine: it has no prior over frames. Train one on clips: vqvae train worlds-video")
    body, start = await _imagine_body(request, model)
    count = len(body.actions) if model.action_names else body.steps or 0
    if not 1 <= count <= model.options.most_frames:
        what = "actions" if model.action_names else "steps"
        raise Refusal(422, f"{count} {what} came; expected 1 to {model.options.most_frames}, one for each frame to imagine.")
    choice = Choice(body.temperature, body.top_k, body.top_p)

    def steps() -> Any:
        return imagined(model.model, start, model.action_names, body.actions, body.steps, body.seed, choice)

    if body.stream:
        return events(request, model, "imagine", lambda: told(model.model, steps()))
    data = await model.worker.finish("imagine", lambda: filmed(model.model, start, steps()))
    return as_file(Sent(data, MEDIA[".gif"]))


async def _imagine_body(request: Request, model: Served) -> tuple[ImagineBody, Start]:
    """What imagine is asked for, from JSON or from a form, and the known frames."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=16) as form:
            fields: dict[str, Any] = {key: value for key, value in form.items() if isinstance(value, str)}
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Refusal(422, "The form has no file. Send the known frames as the part 'file'.")
            if "actions" in fields:
                fields["actions"] = [action.strip() for action in fields["actions"].split(",") if action.strip()]
            body = _checked(lambda: ImagineBody.model_validate(fields))
            return body, Start(await example_of(model, file), None)
    if kind != "application/json":
        raise Refusal(415, f"The content type is {kind or 'missing'}; expected application/json or multipart/form-data.")
    data = await request.body()
    body = _checked(lambda: ImagineBody.model_validate_json(data))
    return body, await anyio.to_thread.run_sync(model.material.start, body.start)


def _checked(read: Any) -> ImagineBody:
    try:
        return read()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refusal(422, f"{where}: {first['msg']}. See /openapi.json for what is expected.") from error


@router.post("/worlds")
async def begin(request: Request, name: str, body: WorldBody) -> dict[str, Any]:
    """Begin a world that is played frame by frame, from a real start. Close it at the end; worlds that nobody plays are closed.

    If the engine that made the start is installed, it repeats the start and gets the same actions.
    """
    model = served(request, name)
    if (why := model.unplayable) is not None:
        raise Refusal(422, f"The model {name} cannot be played. {why}")
    model.worlds.check()
    number = body.seed % model.material.starts if body.start is None else body.start
    start = await anyio.to_thread.run_sync(model.material.start, number)
    choice = Choice(body.temperature)
    world = await model.worker.alone("world", lambda: begun(model.model, start, model.action_names, body.seed, choice))
    key, beside = model.worlds.add(world), None
    model.worlds.watch(asyncio.get_running_loop())
    if body.engine and model.has_engine:
        try:
            beside = await anyio.to_thread.run_sync(world.begin_engine, lambda: model.material.engine(number))
        except BaseException:  # Also if the client leaves.
            with contextlib.suppress(Refusal):
                model.worlds.close(key)
            raise
    frames = [frame_of(frame).url for frame in start.frames.unbind(2)]
    found = {"world": key, "frames": frames, "actions": list(model.action_names), "start": number}
    return found | {"engine": beside is not None, **_beside(world, beside)}


@router.post("/worlds/{world}/step")
async def step(request: Request, name: str, world: str, body: StepBody) -> dict[str, Any]:
    """Act, and see the next frame, and the engine's if it plays too. Where a code stands for several frames, ``before`` has the others."""
    model = served(request, name)
    played, began = model.worlds.get(world), time.perf_counter()
    async with played.turn:
        made = await model.worker.alone("step", lambda: played.step(body.action))
        beside = None if played.engine is None else await anyio.to_thread.run_sync(played.engine_frame)
    *before, frame = (frame_of(frame).url for frame in made.unbind(2))
    return {"frame": frame, "before": before, **_beside(played, beside), "seconds": round(time.perf_counter() - began, 4)}


def _beside(world: World, frame: Tensor | None) -> dict[str, Any]:
    """The engine's frame, or why there is none."""
    return {"engine_frame": None if frame is None else frame_of(frame).url, "engine_words": world.engine_words}


@router.delete("/worlds/{world}")
async def close(request: Request, name: str, world: str) -> dict[str, str]:
    """Close a world."""
    served(request, name).worlds.close(world)
    return {"closed": world}


@router.get("/codebook")
async def codebook(request: Request, name: str) -> dict[str, Any]:
    """What each code looks like: patches of training data, as one picture for each level, with its index."""
    model = served(request, name)
    if not model.has_patches:
        raise Refusal(404, f"The model {name} has no patches: only codes of pictures of at most 256 levels do.")
    return await anyio.to_thread.run_sync(model.codebook)
