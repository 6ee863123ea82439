"""The causal networks of clips, alone and in a VQ-VAE: lengths, what a latent sees, the first frame, masks, pieces as the whole."""

import math

import pytest
import torch
from torch import Tensor

from vqvae.codes import Codes
from vqvae.data.base import Batch
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VAEConfig, VQVAEConfig, tiling
from vqvae.models.streaming import decode_stream, encode_stream
from vqvae.models.vqvae import VQVAE
from vqvae.networks import ArrayDecoderConfig, VideoDecoderConfig, VideoEncoderConfig
from vqvae.networks.video import CausalConv
from vqvae.quantizers import FSQConfig, ProductQuantizerConfig

STRIDES = (1, 2, 4)
SMALL = {"widths": (6, 6), "residual_blocks": 1, "residual_hidden": 4}
strides = pytest.mark.parametrize("stride", STRIDES)


def model(stride: int, **changes: object) -> VQVAE:
    torch.manual_seed(0)
    parts = {
        "quantizer": FSQConfig(dim=3, levels=(5, 5, 5)),
        "likelihood": GaussianConfig(channels=3),
        "encoder": VideoEncoderConfig(time_stride=stride, **SMALL),
        "decoder": VideoDecoderConfig(time_stride=stride, **SMALL),
        **changes,
    }
    made = VQVAEConfig(**parts).build().eval()
    with torch.no_grad():  # Spread over the codes of FSQ.
        made.encoder.layers[-1].weight.mul_(20)
    return made


def clips(time: int, batch: int = 1, side: int = 8) -> Tensor:
    return torch.randint(0, 256, (batch, 3, time, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(time))


def latents(tokenizer: VQVAE, x: Tensor) -> Tensor:
    with torch.no_grad():
        return tokenizer.latents(Batch(x))


@strides
@pytest.mark.parametrize("time", range(1, 11))
def test_the_first_latent_frame_covers_one_frame_and_each_other_covers_a_stride(stride: int, time: int) -> None:
    tokenizer, x = model(stride), clips(time)
    codes = tokenizer.encode(Batch(x))
    frames = 1 + math.ceil((time - 1) / stride)
    assert codes.tensor.shape == (1, 1, frames, 2, 2)
    assert tokenizer.decode(codes).shape == (1, 3, 1 + stride * (frames - 1), 8, 8)
    assert tokenizer.decode(codes, size=(time, 8, 8)).shape == x.shape == tokenizer.reconstruct(Batch(x), codes).x.shape
    assert tokenizer.layout[0].stride == (stride, 4, 4) and tokenizer.layout[0].lead == ((stride - 1, 0, 0) if stride > 1 else ())


@strides
def test_a_latent_frame_sees_no_later_frame_and_its_own_frames(stride: int) -> None:
    tokenizer, x = model(stride), clips(1 + 3 * stride)
    before = latents(tokenizer, x)
    for time in range(x.shape[2]):
        changed = x.clone()
        changed[:, :, time] = 255 - changed[:, :, time]
        first = math.ceil(time / stride)
        after = latents(tokenizer, changed)
        torch.testing.assert_close(after[:, :, :first], before[:, :, :first], rtol=1e-5, atol=1e-5)
        assert (after[:, :, first] - before[:, :, first]).abs().max() > 1e-3
        if first + 1 < before.shape[2]:
            assert (after[:, :, first + 1] - before[:, :, first + 1]).abs().max() > 1e-4, "the past is seen"


@strides
def test_a_frame_is_decoded_without_later_latents(stride: int) -> None:
    decoder = model(stride).decoder
    vectors = torch.randn(1, 3, 4, 2, 2)
    whole = decoder(vectors)
    for count in range(1, 4):
        part = decoder(vectors[:, :, :count])
        torch.testing.assert_close(part, whole[:, :, : count * stride], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(decoder(vectors[:, :, 1:])[:, :, :stride], whole[:, :, stride : 2 * stride]), "the past is seen"


@strides
def test_the_codes_of_the_first_frame_are_those_of_a_clip_of_one_frame(stride: int) -> None:
    tokenizer, x = model(stride), clips(1 + 2 * stride, batch=2)
    whole, alone = tokenizer.encode(Batch(x)).tensor, tokenizer.encode(Batch(x[:, :, :1])).tensor
    assert torch.equal(whole[:, :, :1], alone) and alone.unique().numel() > 2
    torch.testing.assert_close(tokenizer.decode(whole)[:, :, :1].int(), tokenizer.decode(alone).int(), rtol=0, atol=1)


@strides
def test_an_example_does_not_depend_on_its_batch(stride: int) -> None:
    tokenizer, x = model(stride), clips(6, batch=3)
    together = latents(tokenizer, x)
    for row in range(3):
        torch.testing.assert_close(latents(tokenizer, x[row : row + 1])[0], together[row], rtol=1e-5, atol=1e-5)


@strides
def test_a_masked_clip_is_the_clip_alone(stride: int) -> None:
    tokenizer = model(stride)
    lengths = (6, 3, 1)
    x = clips(6, batch=3)
    mask = (torch.arange(6) < torch.tensor(lengths)[:, None])[:, :, None, None].expand(-1, -1, 8, 8)
    batch = Batch(x, mask=mask)
    codes = tokenizer.encode(batch)
    nats, made = tokenizer.log_likelihood(batch, codes), tokenizer.reconstruct(batch, codes)
    assert codes.mask is not None and tokenizer.takes_masks
    loss = tokenizer(batch).loss
    assert torch.isfinite(loss)
    for row, length in enumerate(lengths):
        alone = Batch(x[row : row + 1, :, :length])
        expected = tokenizer.encode(alone).tensor
        count = expected.shape[2]
        assert codes.mask[row].flatten(1).all(1).sum() == count == codes.mask[row].flatten(1).any(1).sum()
        assert torch.equal(codes.tensor[row : row + 1, :, :count], expected) and not codes.tensor[row, :, count:].any()
        torch.testing.assert_close(nats[row : row + 1], tokenizer.log_likelihood(alone, expected), rtol=1e-5, atol=1e-2)
        again = tokenizer.reconstruct(alone, expected).x[0].int()
        torch.testing.assert_close(made.x[row, :, :length].int(), again, rtol=0, atol=1)


def test_a_mask_that_cuts_a_frame_is_refused() -> None:
    mask = torch.ones(1, 3, 8, 8, dtype=torch.bool)
    mask[0, 1, 2, 3] = False
    with pytest.raises(DataError, match="masks of whole frames"):
        model(2).encode(Batch(clips(3), mask=mask))


@strides
def test_a_long_clip_in_windows_is_the_whole(stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, x = model(stride), clips(1 + 12 * stride + stride // 2)
    monkeypatch.setattr(tiling, "_INSIDE", (2 * stride) ** 3)
    seen: list[tuple[int, ...]] = []
    tokenizer.encoder.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    codes = tiling.encode_large(tokenizer, x)
    assert len(seen) > 3 and len(set(seen)) == 1, "windows of one shape"
    assert torch.equal(codes.tensor, tokenizer.encode(Batch(x)).tensor)
    made = tiling.decode_large(tokenizer, codes, tuple(x.shape[2:]), None, tokenizer.signal)
    torch.testing.assert_close(made.int(), tokenizer.decode(codes, size=tuple(x.shape[2:])).int(), rtol=0, atol=1)


def test_codes_must_fit_the_length_of_the_clip() -> None:
    tokenizer, x = model(4), clips(6)
    codes = tokenizer.encode(Batch(x)).tensor
    assert codes.shape[2] == 3
    with pytest.raises(DataError, match="Codes have the shape"):
        tokenizer.log_likelihood(Batch(x), codes[:, :, :2])
    with pytest.raises(DataError, match="decode to the size"):
        tokenizer.decode(Codes([codes]), size=(10, 8, 8))


def test_other_models_take_the_networks_too() -> None:
    network = {"encoder": VideoEncoderConfig(time_stride=2, **SMALL), "decoder": VideoDecoderConfig(time_stride=2, **SMALL)}
    batch = Batch(clips(4, batch=2))
    objective = VAEConfig(dim=4, likelihood=GaussianConfig(channels=3), **network).build()(batch)
    assert torch.isfinite(objective.loss)


def test_training_reaches_every_parameter() -> None:
    tokenizer = model(2, quantizer=ProductQuantizerConfig(dim=4, codebook_size=8, num_codebooks=2)).train()
    tokenizer(Batch(clips(5, batch=2))).loss.backward()
    assert [name for name, one in tokenizer.named_parameters() if one.grad is None or not one.grad.any()] == []


def test_moving_squares_are_reconstructed_better_than_by_the_mean() -> None:
    torch.manual_seed(0)
    network = {"time_stride": 2, "widths": (16, 16), "residual_blocks": 1, "residual_hidden": 8}
    config = VQVAEConfig(
        quantizer=FSQConfig(dim=3, levels=(8, 6, 5)),
        likelihood=GaussianConfig(channels=1),
        encoder=VideoEncoderConfig(**network),
        decoder=VideoDecoderConfig(**network),
    )
    tokenizer, x = config.build(), squares(4)
    optimizer = torch.optim.Adam(tokenizer.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        tokenizer(Batch(x)).loss.backward()
        optimizer.step()
    made = tokenizer.eval().reconstruct(Batch(x), tokenizer.encode(Batch(x))).x
    mean = x.float().mean((0, 2), keepdim=True)
    assert (made.float() - x).square().mean() < 0.5 * (mean - x).square().mean()


def squares(count: int) -> Tensor:
    """Clips of three frames in which a bright square moves to the right."""
    x = torch.full((count, 1, 3, 12, 12), 40, dtype=torch.uint8)
    for clip in range(count):
        for time in range(3):
            x[clip, :, time, clip : clip + 4, 3 * time : 3 * time + 4] = 220
    return x


@pytest.mark.parametrize("settings", [{"time_stride": 3}, {"time_stride": 8}, {"time_stride": 0}, {"widths": ()}, {"residual_blocks": -1}])
def test_bad_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        VideoDecoderConfig(**settings).build(3, 3)


def test_an_encoder_with_a_lead_needs_a_decoder_with_the_same() -> None:
    with pytest.raises(ConfigError, match="VideoEncoder goes with a VideoDecoder"):
        model(2, decoder=ArrayDecoderConfig(stride=(2, 4, 4), width=6))


def test_a_single_frame_takes_the_shorter_way_to_the_same_result() -> None:
    torch.manual_seed(0)
    conv, x = CausalConv(3, 4), torch.randn(2, 3, 2, 5, 5)
    torch.testing.assert_close(conv(x[:, :, :1]), conv(x)[:, :, :1])


@strides
@pytest.mark.parametrize("lengths", [(1,) * 14, (3, 0, 5, 6), (14,)])
def test_frames_stream_to_the_codes_of_the_whole(stride: int, lengths: tuple[int, ...]) -> None:
    tokenizer, x = model(stride), clips(14)
    held: list[int] = []
    tokenizer.encoder.register_forward_pre_hook(lambda _, given: held.append(given[0].shape[2]))
    parts = list(encode_stream(tokenizer, iter(x.split(lengths, 2))))
    longest = max(held)
    assert torch.equal(torch.cat(parts, 2), tokenizer.encode(Batch(x)).tensor)
    if max(lengths) == 1:
        assert longest <= 4 * stride, "earlier frames are dropped"
        assert parts[0].shape[2] == 1, "the first frame has codes at once"


@strides
@pytest.mark.parametrize("lengths", [(1,) * 12, (2, 0, 7, 3)])
def test_codes_stream_to_the_frames_of_the_whole(stride: int, lengths: tuple[int, ...]) -> None:
    tokenizer = model(stride)
    codes = torch.randint(0, 125, (1, 1, 12, 2, 2))
    parts = list(decode_stream(tokenizer, iter(codes.split(lengths, 2))))
    whole = tokenizer.decode(codes)
    assert parts[0].shape[2] == 1 + (lengths[0] - 1) * stride
    torch.testing.assert_close(torch.cat(parts, 2).int(), whole.int(), rtol=0, atol=1)
