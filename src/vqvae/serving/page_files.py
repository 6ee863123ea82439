"""The files of the page, as the package brings them."""

import hashlib
import mimetypes
from pathlib import Path

from fastapi import FastAPI, Request, Response

from vqvae.serving.refusals import Refusal

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",
}


def add_page(app: FastAPI, folder: Path) -> None:
    """Serve the files of a folder: index.html at /, all of them at /static. They are read once, so no other file can be named."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()} if folder.is_dir() else {}
    tags = {name: f'"{hashlib.sha256(data).hexdigest()[:32]}"' for name, data in files.items()}

    def send(request: Request, name: str) -> Response:
        if name not in files:
            raise Refusal(404, f"The page has no file {name!r}.")
        headers = {**HEADERS, "ETag": tags[name]}
        if tags[name] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(files[name], media_type=_media(name), headers=headers)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return send(request, "index.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        return send(request, name)


def _media(name: str) -> str:
    if name.endswith((".js", ".mjs")):  # The system's table may say otherwise.
        return "text/javascript"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
