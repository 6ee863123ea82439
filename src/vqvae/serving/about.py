"""Routes that say what is served, and how the server is."""

from typing import Any

import anyio
from fastapi import APIRouter, Request, Response

from vqvae.serving import measures
from vqvae.serving.answers import served
from vqvae.serving.refusals import Refusal

router = APIRouter()


@router.get("/health/live", tags=["server"])
async def live() -> dict[str, str]:
    """Whether the server runs."""
    return {"status": "live"}


@router.get("/health/ready", tags=["server"])
async def ready(request: Request) -> dict[str, str]:
    """Whether the server answers at once. Before its kernels are compiled, and while it shuts down, the answer is 503."""
    cold = [name for name, model in request.app.state.models.items() if not model.is_warm]
    if cold:
        raise Refusal(503, f"The server prepares {', '.join(cold)}. Requests are taken, and wait.", 2)
    return {"status": "ready"}


@router.get("/metrics", tags=["server"], response_class=Response)
async def metrics(request: Request) -> Response:
    """Requests, seconds, queues and memory, as Prometheus reads them."""
    return Response(request.app.state.measures.text(), media_type=measures.MEDIA)


@router.get("/v1/models", tags=["models"])
async def models(request: Request) -> dict[str, list[dict[str, Any]]]:
    """The models that are served, what each can do, and the limits."""
    return {"models": [model.about() for model in request.app.state.models.values()]}


@router.get("/v1/models/{name}", tags=["models"])
async def model(request: Request, name: str) -> dict[str, Any]:
    """One model, as in the list of models."""
    return served(request, name).about()


@router.get("/v1/models/{name}/report", tags=["models"], response_class=Response)
async def report(request: Request, name: str) -> Response:
    """The report of the run, one HTML page."""
    path = served(request, name).report
    if path is None or not await anyio.Path(path).is_file():  # The folder may change while it is served.
        raise Refusal(404, f"The run {name} has no report. Write one: vqvae evaluate RUN")
    # It brings its own styles and pictures, and runs no scripts here.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; sandbox"
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return Response(await anyio.Path(path).read_bytes(), media_type="text/html; charset=utf-8", headers=headers)
