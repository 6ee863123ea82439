"""Routes that take a file: its reconstruction, its scores, its compressed form, and another voice."""

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from vqvae.errors import ConfigError
from vqvae.serving import work
from vqvae.serving.answers import Upload, Voice, as_file, example_of, prepared, served
from vqvae.serving.bodies import Format
from vqvae.serving.reconstruction import PARTS, made_in_steps, reconstructed, scored
from vqvae.serving.refusals import Refusal
from vqvae.serving.wire import MEDIA, Sent, file_of, suffix_of

router = APIRouter(prefix="/v1/models/{name}", tags=["files"])
Parts = Annotated[str | None, Form(description=f"What to answer, separated by commas: {', '.join(PARTS)}. Default: all.")]
Compressed = Annotated[UploadFile, File(description="A file from compress.")]
Label = Annotated[str | None, Form(description="The class of the picture, by name or number, for priors that take one.")]
AsFormat = Annotated[Format, Form(description="The format of the answer: png, wav, gif, mp4 or npy. Default: the usual one of the kind.")]
NewVoice = Annotated[str, Form(description="Whose voice speaks, by name or number.")]
Mode = Annotated[str | None, Form(description="The entropy coder: prior, static or packed. Default: the smallest that the model has.")]


@router.post("/reconstruct")
async def reconstruct(
    request: Request, name: str, file: Upload, parts: Parts = None, voice: Voice = None, label: Label = None
) -> dict[str, Any]:
    """Encode and decode a file: codes, the reconstruction beside the original, and the bits that the codes take.

    A prior of classes gives the bits of each code only for a ``label``.
    """
    model = served(request, name)
    wanted = {part.strip() for part in parts.split(",") if part.strip()} if parts else set(PARTS)
    if wanted - set(PARTS):
        raise ConfigError(f"parts has {', '.join(sorted(wanted - set(PARTS)))}; expected some of {', '.join(PARTS)}.")
    given = work.class_of(model.model, label)
    example = await example_of(model, file)
    speaker = work.voice_of(model.model, voice)
    return await model.worker.finish("reconstruct", lambda: reconstructed(model.model, example, speaker, wanted, given, model.phones))


@router.post("/scores")
async def scores(request: Request, name: str, file: Upload, voice: Voice = None) -> dict[str, Any]:
    """Score a file: bits per dimension, bits per code, and how near the reconstruction is."""
    model = served(request, name)
    example = await example_of(model, file)
    speaker = work.voice_of(model.model, voice)
    return await model.worker.finish("scores", lambda: scored(model.model, example, speaker))


@router.post("/compress", response_class=Response)
async def compress(request: Request, name: str, file: Upload, mode: Mode = None, voice: Voice = None) -> Response:
    """Compress a file to the bytes of a .vqz file."""
    model = served(request, name)
    example = await example_of(model, file)
    label = None if voice is None else model.model.label_number(voice)
    data = await model.worker.alone("compress", lambda: model.model.compress(example, mode=mode, label=label))
    return as_file(Sent(data, MEDIA[".vqz"]))


@router.post("/decompress", response_class=Response)
async def decompress(request: Request, name: str, file: Compressed, voice: Voice = None, format: AsFormat = None) -> Response:
    """Restore a compressed file: PNG, WAV, GIF or NPY."""
    model = served(request, name)
    suffix_of(model.model.signal, format)
    data = await file.read()
    made = await model.worker.alone("decompress", lambda: work.restored(model.model, data, voice, model.most_positions))
    return as_file(await prepared(file_of, made, model.model.signal, format))


@router.post("/convert", response_class=Response)
async def convert(request: Request, name: str, file: Upload, voice: NewVoice, format: AsFormat = None) -> Response:
    """Say a recording in another voice."""
    model = served(request, name)
    if not model.model.speakers:
        raise Refusal(422, f"The model {name} has no voices. Train one on recordings of several speakers.")
    suffix_of(model.model.signal, format)
    speaker = work.voice_of(model.model, voice)
    example = await example_of(model, file)
    made = await model.worker.finish("convert", lambda: made_in_steps(model.model, example, speaker))
    return as_file(await prepared(file_of, made, model.model.signal, format))
