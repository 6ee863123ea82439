"""Examples of any size have the same codes alone, beside others, and with padding."""

from functools import partial

import pytest
import torch
from torch import Tensor

from tests.models import toy
from tests.models.test_speech import ENCODERS, STRIDE, listening, make, speech
from vqvae.data.base import Batch
from vqvae.errors import DataError
from vqvae.models import FrameTokenizer, VQVAEConfig, encoding, invariant, streaming
from vqvae.models.encoding import encode_each, encode_masked

LENGTHS = (300, 31, 500, 1, 256)


def padded(rows: list[Tensor], length: int) -> Batch:
    """Examples with noise beyond their ends, and the mask."""
    x = torch.rand(len(rows), 1, length, generator=torch.Generator().manual_seed(3)) - 0.5
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for place, there, row in zip(x, mask, rows, strict=True):
        place[:, : row.shape[1]], there[: row.shape[1]] = row, True
    return Batch(x, mask=mask)


def heard(encoder: str):
    model = listening(make("spectral", encoder))
    model.start([speech()])
    return model.eval()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("length", [500, 700])
def test_padding_changes_no_code(encoder: str, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PIECE", 128)
    model = heard(encoder)
    rows = [row[:, :own] for row, own in zip(speech(5, 500).x, LENGTHS, strict=True)]
    each = encode_each(model, rows)
    batch = padded(rows, length)
    seen: list[int] = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda batch: (seen.append(batch.x.shape[-1]), encode(batch))[1])
    found = encode_masked(model, batch)
    assert found.mask is not None and torch.equal(found.mask, encode(batch).mask)
    assert torch.equal(found.tensor, encode(batch).tensor) and max(seen) <= -(-max(LENGTHS) // STRIDE) * STRIDE
    for row, own, codes in zip(found.tensor, LENGTHS, each, strict=True):
        count = -(-own // STRIDE)
        assert torch.equal(row[None, :, :count], codes.tensor) and not row[:, count:].any()


def test_a_mask_with_holes_is_kept() -> None:
    model, x = heard("raw"), speech(3, 320).x
    mask = torch.ones(3, 320, dtype=torch.bool)
    mask[1, 100:200] = False
    found = encode_masked(model, Batch(x, mask=mask))
    assert torch.equal(found.tensor, model.encode(Batch(x, mask=mask)).tensor) and found.mask is not None
    assert not torch.equal(found.tensor[1], encode_masked(model, Batch(x)).tensor[1]), "what the mask hides was seen"


def test_a_model_without_masks_refuses_them() -> None:
    x = toy.image().x
    with pytest.raises(DataError, match="only takes batches with examples of one size"):
        encode_masked(toy.make(VQVAEConfig), Batch(x, mask=torch.ones(len(x), *x.shape[2:], dtype=torch.bool)))


def test_a_clip_is_encoded_frame_by_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes = FrameTokenizer(toy.make(VQVAEConfig)), []
    clips = [torch.randint(0, 256, (1, time, 4, 8), dtype=torch.uint8) for time in (3, 1, 20, 0)]
    inner = model.model.encode
    expected = [model.encode(Batch(clip[None])).tensor for clip in clips]
    monkeypatch.setattr(model.model, "encode", lambda batch: (shapes.append(len(batch.x)), inner(batch))[1])
    assert all(map(torch.equal, [codes.tensor for codes in encode_each(model, clips[:3])], expected[:3]))
    assert shapes == [invariant.MOST] * 2
    assert torch.equal(encode_each(model, clips)[3].tensor, expected[3])
    mask = torch.tensor([[True, False, True], [True, True, False]])[:, :, None, None].expand(2, 3, 4, 8)
    masked = Batch(torch.stack([clips[0], clips[0]]), mask=mask)
    assert torch.equal(encode_masked(model, masked).tensor, model.encode(masked).tensor)


def test_large_pictures_beside_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = toy.make(VQVAEConfig), []
    monkeypatch.setattr(encoding, "is_tiled", lambda model, size: size == (40, 40))
    monkeypatch.setattr(
        encoding, "encode_large", lambda *given: (calls.append(given), encoding.encode_masked(model, Batch(given[1][..., :2, :2])))[1]
    )
    noise = partial(torch.randint, 0, 256, dtype=torch.uint8)
    shapes = [codes.tensor.shape for codes in encode_each(model, [noise((1, size, size)) for size in (4, 40, 8)])]
    assert shapes == [(1, 1, 2, 2), (1, 1, 1, 1), (1, 1, 4, 4)] and len(calls) == 1


@pytest.mark.parametrize("kind", [VQVAEConfig])
def test_no_examples_give_codes_of_the_right_shape(kind: type) -> None:
    assert encode_masked(toy.make(kind), Batch(torch.zeros(0, 1, 4, 8, dtype=torch.uint8))).tensor.shape == (0, 1, 2, 4)
    assert encode_each(toy.make(kind), []) == []
