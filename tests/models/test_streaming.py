"""Piece by piece is the whole: codes and audio, whatever the lengths of the blocks, and in constant memory."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.models.test_speech import ENCODERS, PARTS, STRIDE, listening, make, speech
from tests.models.toy import make as make_toy
from vqvae.codes import Codes
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError
from vqvae.models import VQVAE, VQVAEConfig, streaming
from vqvae.models.invariant import encode_rows
from vqvae.models.streaming import decode_stream, encode_sequences, encode_stream

CUTS = [(500,), (1, 2, 3, 94, 400), (0, 37, 0, 300, 163), (64,) * 7 + (52,)]


def cut(x: Tensor, *lengths: int) -> Iterator[Tensor]:
    return iter(x.split(lengths, -1))


def random_codes(frames: int, batch: int = 1) -> Tensor:
    return torch.randint(8, (batch, 1, frames), generator=torch.Generator().manual_seed(1))


def started(name: str, encoder: str = "raw") -> VQVAE:
    model = listening(make(name, encoder))
    model.start([speech()])
    return model.eval()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("lengths", CUTS, ids=str)
def test_codes_of_pieces_are_those_of_the_whole(encoder: str, lengths: tuple[int, ...]) -> None:
    model, x = started("wavenet", encoder), speech(2, 500).x
    found = list(encode_stream(model, cut(x, *lengths)))
    assert torch.equal(torch.cat(found, -1), model.encode(Batch(x))[0])
    assert torch.cat(found, -1).shape == (2, 1, 16) and all(codes.shape[-1] for codes in found)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("lengths", [(9,), (1, 1, 4, 3), (0, 5, 0, 4)], ids=str)
def test_audio_of_pieces_is_that_of_the_whole(name: str, lengths: tuple[int, ...]) -> None:
    model, codes, condition = started(name), random_codes(9), Condition(label=torch.tensor([1]))
    for temperature in (0.0, 1.0):
        whole = model.decode((codes,), condition, torch.Generator().manual_seed(0), temperature)
        pieces = decode_stream(model, cut(codes, *lengths), condition, torch.Generator().manual_seed(0), temperature)
        found = torch.cat(list(pieces), -1)
        assert found.shape == whole.shape == (1, 1, 9 * STRIDE)
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def test_several_examples_are_decoded_at_once() -> None:
    model, codes, condition = started("wavenet"), random_codes(6, 3), Condition(label=torch.tensor([0, 1, 1]))
    found = torch.cat(list(decode_stream(model, cut(codes, 2, 4), condition)), -1)
    torch.testing.assert_close(found, model.decode((codes,), condition))


def test_a_piece_is_given_out_as_soon_as_its_context_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model, taken = started("spectral"), []
    around = -(-model.encoder.context[0] // STRIDE)
    whole = 5 * around
    monkeypatch.setattr(streaming, "PIECE", whole * STRIDE)

    def endless() -> Iterator[Tensor]:
        while True:
            taken.append(1)
            yield speech(1, STRIDE).x

    stream = encode_stream(model, endless())
    assert next(stream).shape == (1, 1, whole - around) and len(taken) == whole
    for index in range(1, 5):
        assert next(stream).shape == (1, 1, whole - 2 * around) and len(taken) == whole + index * (whole - 2 * around)


def test_memory_does_not_grow_with_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    model, held = started("spectral"), []
    monkeypatch.setattr(streaming, "PIECE", 256)
    monkeypatch.setattr(
        streaming, "encode_rows", lambda of, rows: (held.append(rows[0].untyped_storage().nbytes()), encode_rows(of, rows))[1]
    )
    for _ in encode_stream(model, (speech(1, 64).x for _ in range(60))):
        pass
    assert len(held) > 10 and max(held[5:]) <= max(held[:5])


def test_nothing_gives_nothing() -> None:
    model = started("spectral")
    assert list(encode_stream(model, [])) == list(decode_stream(model, [])) == []
    assert list(encode_stream(model, [torch.zeros(1, 1, 0)])) == []


def test_pictures_do_not_come_in_blocks() -> None:
    model = make_toy(VQVAEConfig)
    with pytest.raises(ConfigError, match="Only data with a single axis"):
        next(encode_stream(model, [torch.zeros(1, 1, 4)]))


@pytest.mark.parametrize("length", [1, 512, 513, 2_500])
@pytest.mark.parametrize("lengths", [(512,), (90, 0, 7_000)], ids=str)
def test_a_stream_is_encoded_in_the_pieces_of_the_whole(length: int, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = started("spectral"), []
    wave = torch.rand(2, 1, length, generator=torch.Generator().manual_seed(0)) - 0.5
    monkeypatch.setattr(streaming, "PIECE", 512)
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda batch: (seen.append(batch.x), encode(batch))[1])
    with torch.no_grad():
        expected = encode(Batch(wave)).tensor
    alone = torch.cat([codes.tensor for codes in encode_sequences(model, [*wave])])
    of_whole, seen[:] = {bytes(row.numpy()) for block in seen for row in block}, []
    blocks = [*wave.split(lengths[0], -1)] if len(lengths) == 1 else [wave[..., :90], wave[..., :0], wave[..., 90:]]
    found = torch.cat(list(encode_stream(model, blocks)), -1)
    assert torch.equal(found, alone) and torch.equal(found, expected)
    # The codes agree because the products have the same contents, not because no latent lies in the middle of two codes.
    assert {bytes(row.numpy()) for block in seen for row in block} == of_whole
    whole = max(512 // STRIDE, 4 * -(-model.encoder.context[0] // STRIDE)) * STRIDE
    assert {block.shape[-1] for block in seen} == {min(whole, -(-length // STRIDE) * STRIDE)}


def test_long_codes_are_decoded_in_pieces_to_the_same_wave(monkeypatch: pytest.MonkeyPatch) -> None:
    model, codes, condition = started("spectral"), Codes([random_codes(700)]), Condition(label=torch.tensor([1]))
    with torch.no_grad():
        whole = model.decode(codes, condition, None, 0.0, (5_555,))
        lengths: list[int] = []
        decode = model.decode
        monkeypatch.setattr(streaming, "LONG", 2_048)
        monkeypatch.setattr(model, "decode", lambda of, *rest: (lengths.append(of.shape[-1]), decode(of, *rest))[1])
        made = streaming.decode_whole(model, codes, condition, None, 0.0, (5_555,))
    torch.testing.assert_close(made, whole, rtol=0, atol=1e-5)
    assert len(lengths) > 1 and max(lengths) < 700
