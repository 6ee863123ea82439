"""Compressed files of a pipeline."""

import dataclasses
import io
import math

import pytest
import torch

from tests.codec.models import histogram_of, prior_of
from tests.models.test_speech import make as make_speech
from tests.pipeline.test_model import images, tokenizer
from vqvae.codec import stream
from vqvae.codec.container import MODES, Header, read_header, write_header
from vqvae.codes import Codes
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError, ConfigError, DataError
from vqvae.pipeline import Pipeline, compression
from vqvae.pipeline.compression import coders_of, joined, open_file, write_file

MODEL = Pipeline(tokenizer())


@pytest.mark.parametrize("size", [(16, 20), (1, 1), (7, 33)])
def test_pictures_of_any_size_come_back_as_their_reconstructions(size: tuple[int, int]) -> None:
    x = images(1, *size)
    data = MODEL.compress(x)
    assert torch.equal(MODEL.decompress(data), MODEL.reconstruct(x))
    codes = math.prod(-(-length // 4) for length in size)
    assert len(data) <= -(-codes * 3 // 8) + 64


def test_a_file_may_have_many_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(1, 64, 20)
    whole = MODEL.compress(x)
    monkeypatch.setattr(stream, "SECTION", 20)
    data = MODEL.compress(x)
    assert read_header(io.BytesIO(data), "x")[0].rows == 4 and read_header(io.BytesIO(whole), "x")[0].rows == 0
    assert torch.equal(MODEL.decompress(data), MODEL.decompress(whole))


def test_another_model_is_refused_by_name() -> None:
    data = MODEL.compress(images(1))
    other = tokenizer()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    with pytest.raises(BitstreamError, match=r"compressed with the model [0-9a-f]{16}; .*'vqvae info RUN'"):
        Pipeline(other).decompress(data)


def test_one_example_is_compressed_at_a_time() -> None:
    with pytest.raises(DataError, match="2 examples"):
        MODEL.compress(images(2))
    with pytest.raises(DataError, match="at least one position"):
        MODEL.compress(torch.zeros(1, 3, 0, 4, dtype=torch.uint8))
    with pytest.raises(ConfigError, match="zip"):
        MODEL.compress(images(1), mode="zip")
    with pytest.raises(ConfigError, match="neither classes nor speakers"):
        MODEL.compress(images(1), label="cat")


def test_the_speaker_is_stored_or_asked_for() -> None:
    model = Pipeline(make_speech("spectral"), label_names=("ann", "bob"), rate=16_000)
    wave = torch.rand(1, 1, 700, generator=torch.Generator().manual_seed(0)) - 0.5
    named, plain = model.compress(wave, label="bob"), model.compress(wave)
    assert torch.equal(model.decompress(named), model.reconstruct(wave, "bob"))
    assert torch.equal(model.decompress(named, speaker="ann"), model.reconstruct(wave, "ann"))
    assert torch.equal(model.decompress(plain, speaker="bob"), model.reconstruct(wave, "bob"))
    with pytest.raises(ConfigError, match="Whose voice"):
        model.decompress(plain)


def forged(**changes: object) -> bytes:
    header, _ = read_header(io.BytesIO(MODEL.compress(images(1))), "x")
    return write_header(dataclasses.replace(header, **changes)) + bytes(64)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layout": (MODEL.layout[0]._replace(codebook_size=6),)}, "does not fit the model"),
        ({"label": 7}, "does not fit the model"),
        ({"coder": b"12345678"}, "needs the entropy coder 3132333435363738"),
        ({"size": (10**6, 10**6), "rows": 1}, "truncated"),
        ({"size": (16, 21)}, "damaged"),
    ],
)
def test_forged_headers_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(BitstreamError, match=words):
        MODEL.decompress(forged(**changes))


def test_data_that_would_fill_the_memory_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = MODEL.compress(images(1))
    monkeypatch.setattr(compression, "MOST_VALUES", 100)
    with pytest.raises(BitstreamError, match="claims 960 values"):
        joined(open_file(MODEL, io.BytesIO(data), "x"), "x")


def test_blocks_make_the_same_file_as_the_whole() -> None:
    codes, coders, file = MODEL.encode(images(1)), coders_of(MODEL, "packed"), io.BytesIO()
    assert isinstance(codes, torch.Tensor)
    write_file(MODEL, file, (Codes([block]) for block in codes.split(1, 2)), lambda: (16, 20), coders, None)
    assert file.getvalue() == MODEL.compress(images(1))
    assert isinstance(read_header(io.BytesIO(file.getvalue()), "x")[0], Header)


def test_every_mode_gives_the_codes_back_within_its_bound() -> None:
    model = Pipeline(tokenizer(), integers=[prior_of(codebook_size=5, classes=3)], label_names=("a", "b", "c"))
    x = images(1, 50, 41)
    codes = model.encode(x)
    for mode in MODES:
        data = model.compress(x, mode=mode, label="b" if mode == "prior" else None)
        assert torch.equal(joined(open_file(model, io.BytesIO(data), "x"), "x").tensor, codes)
        header, _ = read_header(io.BytesIO(data), "x")
        bits = coders_of(model, mode).levels[0].costs(codes[0], Condition(label=None if header.label is None else torch.tensor([1]))).sum()
        assert header.mode == mode and len(data) <= bits / 8 + 64 + 16
    assert model.compress(x) == model.compress(x, mode="prior") and len(write_header(header)) <= 64
    assert coders_of(Pipeline(tokenizer(), integers=[histogram_of(5)])).mode == "static"


def test_a_file_needs_the_coder_that_wrote_it() -> None:
    data = Pipeline(tokenizer(), integers=[prior_of(codebook_size=5)]).compress(images(1))
    for other, words in (
        (MODEL, "no coder"),
        (Pipeline(tokenizer(), integers=[prior_of(codebook_size=5, width=6)]), "the coder [0-9a-f]{16}"),
    ):
        with pytest.raises(BitstreamError, match=f"this run has {words}"):
            other.decompress(data)
