"""What all routes share: the model of a request, sent files, and answers."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, TypeVar

import anyio.to_thread
import starlette.datastructures
import torch
from fastapi import File, Form, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from torch import Tensor

from vqvae.errors import VqvaeError
from vqvae.serving.refusals import Refusal, as_json, message_of, status_of
from vqvae.serving.served import Served
from vqvae.serving.uploads import read_upload
from vqvae.serving.wire import Sent

Upload = Annotated[UploadFile, File(description="A picture, a recording, a clip or an array, as the model takes it.")]
Voice = Annotated[str | None, Form(description="Whose voice speaks, by name or number. Default: the first.")]
T = TypeVar("T")
_SMALL = 100_000
"""Values of pictures that become PNG, in memory, within a millisecond or so."""
_PLAIN = {"X-Content-Type-Options": "nosniff"}


class ErrorFacts(BaseModel):
    """What went wrong."""

    code: str
    message: str
    request_id: str


class ErrorAnswer(BaseModel):
    """The answer to a request that is refused."""

    error: ErrorFacts


def served(request: Request, name: str) -> Served:
    """The model of this name.

    Raises:
        Refusal: there is none (404).
    """
    models = request.app.state.models
    if name not in models:
        raise Refusal(404, f"There is no model {name!r} here; there are {', '.join(models)}.")
    return models[name]


async def example_of(model: Served, file: starlette.datastructures.UploadFile) -> Tensor:
    """A sent file as an example (1, channels, *axes) of the model.

    Raises:
        Refusal: the file is of another kind (415), or too large (413).
    """
    return await anyio.to_thread.run_sync(read_upload, file.file, file.filename, model.model, model.kind, model.options)


async def prepared(work: Callable[..., T], made: Tensor, *given: Any) -> T:
    """Make an answer of data: small data at once, because another thread costs more; large data in a thread."""
    if made.ndim == 4 and made.dtype == torch.uint8 and made.numel() <= _SMALL:
        return work(made, *given)
    return await anyio.to_thread.run_sync(work, made, *given)


def as_file(sent: Sent) -> Response:
    """A file as an answer."""
    return Response(sent.data, media_type=sent.media, headers=_PLAIN)


def events(request: Request, model: Served, kind: str, make: Callable[[], Iterator[tuple[str, Any]]]) -> StreamingResponse:
    """Steps of work as server-sent events; each step yields a name and what JSON can hold."""

    async def lines() -> AsyncIterator[str]:
        try:
            async for event, data in model.worker.stream(kind, make):
                yield _line(event, data)
        except Exception as error:
            if not isinstance(error, VqvaeError):
                request.app.state.gate.failed(request.state.request_id, error)
            yield _line("error", as_json(status_of(error), message_of(error), request.state.request_id))

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def _line(event: str, data: Any) -> str:
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
