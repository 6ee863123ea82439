"""The application: routes, errors as JSON, the page, and the gate around all of it."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vqvae.errors import VqvaeError
from vqvae.serving import about, file_routes, routes, world_routes
from vqvae.serving.answers import ErrorAnswer
from vqvae.serving.gate import Gate
from vqvae.serving.measures import Measures
from vqvae.serving.page_files import add_page
from vqvae.serving.refusals import as_json, headers_of, message_of, status_of
from vqvae.serving.served import Served
from vqvae.serving.settings import ServeOptions

PAGE = Path(__file__).parent / "page"
"""The folder of the page."""
_DESCRIPTION = (
    "Codes of pictures, recordings and clips, and what models make of them. Errors are JSON: {error: {code, message, request_id}}."
)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": words}
    for status, words in {
        400: "Bad input",
        401: "The token is missing or wrong",
        404: "There is no such thing",
        408: "The deadline has passed",
        413: "Too large",
        415: "Not a file of the model's kind",
        422: "A value is missing or out of range",
        429: "Too many requests wait",
        503: "The server is shutting down, or still starting",
    }.items()
}


def build_app(models: Mapping[str, Served], options: ServeOptions, measures: Measures, token: str | None = None) -> Gate:
    """The application that serves these models."""
    app = FastAPI(title="vqvae", version=version("vqvae"), description=_DESCRIPTION, docs_url=None, redoc_url=None, responses=_ANSWERS)
    app.state.models, app.state.options, app.state.measures = models, options, measures
    for part in (about, routes, file_routes, world_routes):
        app.include_router(part.router)
    add_page(app, PAGE)
    app.add_exception_handler(VqvaeError, _error)
    app.add_exception_handler(Exception, _error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    gate = Gate(app, options, measures, token, lambda: all(model.is_warm for model in models.values()))
    app.state.gate = gate
    return gate


def _answer(request: Request, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(as_json(status, message, request.state.request_id), status, headers=dict(headers or {}))


async def _error(request: Request, error: Exception) -> Response:
    return _answer(request, status_of(error), message_of(error), headers_of(error))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: f"There is nothing at {request.url.path}. See /openapi.json for what there is.",
        405: f"{request.url.path} does not take {request.method}. See /openapi.json for what it takes.",
    }
    known = error.status_code in words and error.detail in ("Not Found", "Method Not Allowed")
    return _answer(
        request, error.status_code, words[error.status_code] if known else f"The request cannot be read: {error.detail}", error.headers
    )


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["loc"] == ("body",) and isinstance(first["input"], bytes):  # It was not read as JSON.
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        return _answer(request, 415, f"The content type is {kind or 'missing'}; expected application/json.")
    if first["type"] == "json_invalid":
        return _answer(request, 422, f"The body is not JSON: {first['ctx']['error']} (character {first['loc'][-1]}). Correct it.")
    if where == "body.file":
        return _answer(request, 422, "The request has no whole file. Send a form (multipart/form-data) with the file as the part 'file'.")
    return _answer(request, 422, f"{where}: {first['msg']}. See /openapi.json for what is expected.")
