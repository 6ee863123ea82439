"""Exported programs against the tokenizer itself, for pictures and for speech with speakers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from tests.models.test_speech import make as speech_tokenizer
from tests.pipeline.test_model import tokenizer as image_tokenizer
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError
from vqvae.export import export
from vqvae.pipeline import Pipeline

SPEAKERS = ("ann", "bob")


def data_of(model: Pipeline, count: int, *blocks: int) -> torch.Tensor:
    size = [count * step for count, step in zip(blocks, model.layout[0].stride, strict=True)]
    shape, generator = (count, model.signal.channels, *size), torch.Generator().manual_seed(sum(blocks))
    if model.signal.levels is not None:
        return torch.randint(0, model.signal.levels, shape, dtype=model.signal.dtype, generator=generator)
    return torch.rand(shape, generator=generator) * 2 - 1


def pairs(model: Pipeline, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """The codes of data, the speakers, and what the codes decode to."""
    with torch.no_grad():
        codes = model.tokenizer.encode(Batch(x)).tensor
        speaker = torch.arange(len(x)) % 2 if model.speakers else None
        return codes, speaker, model.tokenizer.decode(codes, Condition(label=speaker))


def check_description(told: dict[str, Any]) -> None:
    assert told["signal"] == {"axes": ["time"], "channels": 1, "levels": None, "low": -1.0, "high": 1.0, "sample_rate": None}
    assert told["speakers"] == list(SPEAKERS) and told["layout"][0]["stride"] == [32] and told["format"] == "pt2"
    assert told["programs"]["encoder"] == {
        "file": "encoder.pt2",
        "inputs": [{"name": "data", "dtype": "float32", "shape": ["batch", 1, "32 * time"]}],
        "outputs": [{"name": "codes", "dtype": "int64", "shape": ["batch", 1, "time"]}],
    }
    assert [port["name"] for port in told["programs"]["decoder"]["inputs"]] == ["codes", "speaker"]


MODELS = {
    "pictures": (lambda: Pipeline(image_tokenizer().eval()), [(2, 5, 4), (1, 1, 1), (3, 1, 9)]),
    "speech": (lambda: Pipeline(speech_tokenizer("spectral", "mel").eval(), label_names=SPEAKERS), [(2, 7), (1, 1), (3, 40)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_onnxruntime_gives_the_same_codes_and_data(kind: str, tmp_path: Path) -> None:
    make, shapes = MODELS[kind]
    model = make()
    names = [path.name for path in export(model, tmp_path)]
    assert names == ["encoder.onnx", "decoder.onnx", "export.json"]
    encoder, decoder = (onnxruntime.InferenceSession(tmp_path / name) for name in names[:2])
    for shape in shapes:
        x = data_of(model, *shape)
        codes, speaker, made = pairs(model, x)
        (found,) = encoder.run(["codes"], {"data": x.numpy()})
        assert found.dtype == np.int64 and np.array_equal(found, codes.numpy())
        given = {"codes": codes.numpy(), **({} if speaker is None else {"speaker": speaker.numpy()})}
        (again,) = decoder.run(["data"], given)
        assert again.dtype == made.numpy().dtype and again.shape == tuple(x.shape)
        assert np.abs(again.astype(np.float64) - made.numpy()).max() <= (1 if model.signal.levels else 1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_pytorch_programs_give_the_same_codes_and_data(kind: str, tmp_path: Path) -> None:
    make, shapes = MODELS[kind]
    model = make()
    export(model, tmp_path, "pt2")
    # The guards forbid a single code along an axis, for the sake of memory formats alone.
    encoder, decoder = (torch.export.load(tmp_path / f"{name}.pt2").module(check_guards=False) for name in ("encoder", "decoder"))
    for shape in shapes:
        x = data_of(model, *shape)
        codes, speaker, made = pairs(model, x)
        assert torch.equal(encoder(x), codes)
        again = decoder(codes) if speaker is None else decoder(codes, speaker)
        assert again.dtype == made.dtype and torch.allclose(again.float(), made.float(), atol=1e-5)
    if model.speakers:
        check_description(json.loads((tmp_path / "export.json").read_text()))


def test_a_decoder_that_draws_is_refused_and_its_encoder_is_not(tmp_path: Path) -> None:
    model = Pipeline(speech_tokenizer("wavenet").eval())
    with pytest.raises(ConfigError, match=r"WaveNetDecoder draws data value by value.*--encoder-only"):
        export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert [path.name for path in export(model, tmp_path, "pt2", encoder_only=True)] == ["encoder.pt2", "export.json"]


def test_wrong_formats_and_existing_files_are_errors(tmp_path: Path) -> None:
    model = MODELS["pictures"][0]()
    with pytest.raises(ConfigError, match="onnx, pt2"):
        export(model, tmp_path, "tflite")
    (tmp_path / "encoder.onnx").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        export(model, tmp_path)
    assert (tmp_path / "encoder.onnx").read_text() == "mine"
