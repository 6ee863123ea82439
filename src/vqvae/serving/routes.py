"""Routes that encode, decode and draw."""

from typing import Any

from fastapi import APIRouter, Request, Response

from vqvae.layers.autoregressive import Choice
from vqvae.pipeline.drawing import Draw
from vqvae.serving import work
from vqvae.serving.answers import Upload, as_file, events, example_of, prepared, served
from vqvae.serving.bodies import DecodeBody, SampleBody
from vqvae.serving.refusals import Refusal
from vqvae.serving.wire import codes_from_json, codes_to_json, file_of, suffix_of

router = APIRouter(prefix="/v1/models/{name}", tags=["codes"])


@router.post("/encode")
async def encode(request: Request, name: str, file: Upload) -> dict[str, Any]:
    """Encode a file to codes."""
    model = served(request, name)
    example = await example_of(model, file)
    codes = await model.worker.call("encode", work.encode_together(model.model), example, tuple(example.shape))
    return {"codes": codes_to_json(codes), "size": list(example.shape[2:]), "length": example.shape[-1]}


@router.post("/decode", response_class=Response)
async def decode(request: Request, name: str, body: DecodeBody) -> Response:
    """Decode codes to a file: PNG, WAV, GIF or NPY."""
    model = served(request, name)
    codes = codes_from_json(body.codes.levels, model.model.layout, model.most_positions)
    size = model.size_of(codes, body.size)
    voice = work.voice_of(model.model, body.voice)
    suffix_of(model.model.signal, body.format)
    made = await model.worker.alone("decode", lambda: model.model.decode(codes, size, voice))
    return as_file(await prepared(file_of, made, model.model.signal, body.format))


@router.post("/sample")
async def sample(request: Request, name: str, body: SampleBody) -> Any:
    """Draw new examples, as codes and data URLs. With ``stream``, events tell of the codes as they are drawn."""
    model = served(request, name)
    if not model.can_sample:
        raise Refusal(422, f"The model {name} has no prior that draws examples. Train one: vqvae train-prior RUN")
    if body.count > model.options.most_samples:
        raise Refusal(413, f"count is {body.count}; at most {model.options.most_samples} are drawn at once. Ask for fewer, several times.")
    choice = Choice(body.temperature, body.top_k, body.top_p)
    known = None
    if body.codes is not None:
        given = codes_from_json(body.codes.levels, model.model.layout, model.most_positions, partial=True)
        known = work.known_codes(given, body.keep)
    elif body.keep is not None:
        raise Refusal(422, "keep came without codes. Send the codes that it keeps, or omit it.")
    draw = Draw(count=body.count, seed=body.seed, label=body.label, known=known)
    work.check_draw(model.model, draw)
    suffix_of(model.model.signal, body.format)
    if body.stream:
        return events(request, model, "sample", lambda: work.drawing(model.model, draw, choice, body.format))
    codes, made = await model.worker.call("sample", work.sample_together(model.model, choice), draw, choice)
    return await prepared(work.samples_to_json, made, codes, model.model, body.format)
