"""A tokenizer, its prior and its names as one."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.test_speech import PARTS, speech
from tests.models.test_speech import make as make_speech
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAE, VQVAEConfig, streaming
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.pipeline import Pipeline, load, mixture_log_prob, save
from vqvae.priors import PixelCNN, PixelCNNConfig, WaveNetConfig
from vqvae.quantizers import EMAQuantizerConfig, ProductQuantizerConfig
from vqvae.signals import sound
from vqvae.storage import RunCard

NAMES = ("church", "truck", "dog")


def tokenizer(channels: int = 3) -> VQVAE:
    torch.manual_seed(0)
    network = {"widths": (8, 8), "residual_blocks": 1, "residual_hidden": 4}
    return VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=5, start_from_data=False),
        likelihood=GaussianConfig(channels=channels),
        encoder=ImageEncoderConfig(**network),
        decoder=ImageDecoderConfig(**network),
    ).build()


def prior(classes: int = 0) -> PixelCNN:
    torch.manual_seed(1)
    return PixelCNNConfig(codebook_size=5, layers=2, hidden=8, classes=classes, output_hidden=8).build()


def images(count: int, height: int = 16, width: int = 20) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_encode_and_decode_keep_their_types_and_shapes() -> None:
    model = Pipeline(tokenizer())
    codes = model.encode(images(3))
    assert codes.shape == (3, 1, 4, 5) and codes.dtype == torch.int64
    decoded = model.decode(codes)
    assert decoded.shape == (3, 3, 16, 20) and decoded.dtype == torch.uint8
    assert model.encode(images(0)).shape == (0, 1, 4, 5)


def test_many_images_are_as_one_by_one() -> None:
    model, many = Pipeline(tokenizer()), images(70, 8, 8)
    assert torch.equal(model.encode(many), torch.cat([model.encode(one[None]) for one in many]))
    torch.testing.assert_close(model.bits_per_dim(many), torch.cat([model.bits_per_dim(one[None]) for one in many]))


def test_reconstructions_have_the_size_of_the_image() -> None:
    model = Pipeline(tokenizer())
    assert model.reconstruct(images(2, 17, 6)).shape == (2, 3, 17, 6)


def test_bits_are_those_of_the_bound() -> None:
    model, x = Pipeline(tokenizer(), prior()), images(2)
    codes = model.encode(x)
    with torch.no_grad():
        nats = model.tokenizer.log_likelihood(Batch(x), (codes,)) + model.prior.log_prob(codes)
    torch.testing.assert_close(model.bits_per_dim(x), -nats / math.log(2) / (3 * 16 * 20))
    uniform = Pipeline(tokenizer())
    with torch.no_grad():
        nats = uniform.tokenizer.elbo(Batch(x))
    torch.testing.assert_close(uniform.bits_per_dim(x), -nats / math.log(2) / (3 * 16 * 20))


def test_an_unknown_class_is_a_mixture_that_sums_to_one() -> None:
    conditional = prior(classes=3).eval()
    codes = torch.tensor(list(itertools.product(range(5), repeat=2))).view(-1, 1, 1, 2)
    with torch.no_grad():
        total = mixture_log_prob(conditional, codes).double().exp().sum()
        each = torch.stack([conditional.log_prob(codes, Condition(label=torch.full((25,), c))) for c in range(3)]).exp().mean(0)
        torch.testing.assert_close(mixture_log_prob(conditional, codes).exp(), each)
    torch.testing.assert_close(total, torch.tensor(1.0, dtype=torch.float64), rtol=1e-5, atol=0)
    model = Pipeline(tokenizer(), conditional, label_names=NAMES)
    given = torch.stack([model.bits_per_dim(images(2), torch.full((2,), c)) for c in range(3)])
    assert bool((model.bits_per_dim(images(2)) >= given.min(0).values - 1e-6).all())


def test_samples_are_those_of_the_seed_whatever_the_count() -> None:
    model = Pipeline(tokenizer(), prior(), size=(14, 18))
    few, many, other = model.sample(2, seed=3), model.sample(5, seed=3), model.sample(2, seed=4)
    assert few.shape == (2, 3, 14, 18) and few.dtype == torch.uint8
    assert torch.equal(few, many[:2])
    assert not torch.equal(few, other)
    assert model.sample(1, size=(8, 4)).shape == (1, 3, 8, 4)
    assert model.sample(0).shape == (0, 3, 14, 18)


def test_labels_by_name_or_number() -> None:
    model = Pipeline(tokenizer(), prior(classes=3), label_names=NAMES, size=(16, 16))
    assert torch.equal(model.sample(2, label="truck"), model.sample(2, label=1))
    assert model.sample(3).shape == (3, 3, 16, 16)
    with pytest.raises(ConfigError, match="church, truck, dog"):
        model.sample(1, label="boat")
    with pytest.raises(ConfigError, match="'3' is unknown"):
        model.sample(1, label="3")
    with pytest.raises(ConfigError, match="not conditioned"):
        Pipeline(tokenizer(), prior(), size=(16, 16)).sample(1, label="truck")


def test_classes_without_names_go_by_their_numbers() -> None:
    model = Pipeline(tokenizer(), prior(classes=3), size=(16, 16))
    assert model.sample(2, label="2").shape == (2, 3, 16, 16) and model.sample(1).shape == (1, 3, 16, 16)
    with pytest.raises(ConfigError, match="this model knows 0, 1, 2"):
        model.sample(1, label=3)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ConfigError, match="train-prior"):
        Pipeline(tokenizer(), size=(8, 8)).sample(1)
    with pytest.raises(ConfigError, match="size"):
        Pipeline(tokenizer(), prior()).sample(1)
    with pytest.raises(ConfigError, match="1 codebooks of 5"):
        Pipeline(tokenizer(), PixelCNNConfig(codebook_size=6, layers=1, hidden=4).build())
    with pytest.raises(DataError, match="float32"):
        Pipeline(tokenizer()).encode(images(1).float())
    with pytest.raises(DataError, match=r"\(batch, 3, height, width\)"):
        Pipeline(tokenizer()).bits_per_dim(images(1).repeat(1, 2, 1, 1))


def test_data_comes_as_arrays_pictures_lists_and_single_examples() -> None:
    model, x = Pipeline(tokenizer()), images(2, 8, 8)
    codes, rebuilt, bits = model.encode(x), model.reconstruct(x), model.bits_per_dim(x)
    last = x.movedim(1, -1).numpy()
    for same in (x.numpy(), last, [*x], [*last], [Image.fromarray(one) for one in last]):
        assert torch.equal(model.encode(same), codes) and torch.equal(model.reconstruct(same), rebuilt)
        torch.testing.assert_close(model.bits_per_dim(same), bits)
    for one in (x[0], x[0].numpy(), last[0], Image.fromarray(last[0]), [x[0]]):
        assert torch.equal(model.encode(one), codes[:1])
    assert torch.equal(model.decode(codes.numpy().astype("uint16"), (8, 8)), rebuilt)
    assert torch.equal(model.decode(codes[0], (8, 8)), rebuilt[:1])
    with pytest.raises(DataError, match="2 levels of codes came"):
        model.decode((codes, codes))
    with pytest.raises(DataError, match=r"sizes \[\(8, 8\), \(9, 8\)\]"):
        model.encode([x[0], images(1, 9, 8)[0]])


def test_a_class_is_named_by_arrays_too() -> None:
    model, x = Pipeline(tokenizer(), prior(3), label_names=NAMES), images(2, 8, 8)
    torch.testing.assert_close(model.bits_per_dim(x, np.array([0, 2])), model.bits_per_dim(x, torch.tensor([0, 2])))


def test_floats_of_any_width_are_taken() -> None:
    model = Pipeline(make_speech("wavenet"), rate=8000)
    wave = torch.rand(1, 1, 64) - 0.5
    codes = model.encode(wave)
    assert torch.equal(model.encode(wave.double()), codes) and torch.equal(model.encode(wave.numpy().astype(">f8")), codes)
    assert model.encode(wave.half()).shape == codes.shape == model.encode(wave.bfloat16()).shape


def test_a_pipeline_says_what_it_is() -> None:
    text = repr(Pipeline(tokenizer(), prior(), size=(16, 20), card=RunCard(recipe="mine")))
    for part in (
        "VQVAE of (batch, 3, height, width), torch.uint8",
        "16 x 20",
        "1 of 5 for every 4 x 4",
        "PixelCNN",
        "million",
        "cpu",
        "mine",
    ):
        assert part in text
    assert len(text.splitlines()) <= 8 and max(map(len, text.splitlines())) < 120


def test_auto_picks_a_device() -> None:
    model = Pipeline(tokenizer()).to("auto")
    assert model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="device is 'tpu9'"):
        model.to("tpu9")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_type_and_device_of_a_program_change_nothing(dtype: torch.dtype, tmp_path: Path) -> None:
    model, x = Pipeline(tokenizer(), prior(3), size=(8, 8), label_names=NAMES), images(2, 8, 8)

    def results(model: Pipeline) -> list[torch.Tensor]:
        return [model.encode(x), model.reconstruct(x), model.bits_per_dim(x), model.sample(2, seed=1)]

    expected = results(model)
    save(model, tmp_path / "run")
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            found, loaded = results(model), results(load(tmp_path / "run"))
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other, third in zip(expected, found, loaded, strict=True):
        assert torch.equal(one, other) and torch.equal(one, third) and one.dtype == third.dtype


def test_pictures_do_not_depend_on_how_many_are_sampled() -> None:
    model = Pipeline(tokenizer(), prior(), size=(16, 20))
    assert torch.equal(model.sample(5)[:2], model.sample(2))


def test_several_codebooks() -> None:
    parts = {"widths": (8, 8), "residual_blocks": 1, "residual_hidden": 4}
    model = VQVAEConfig(
        quantizer=ProductQuantizerConfig(dim=6, codebook_size=5, num_codebooks=3, start_from_data=False),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(**parts),
        decoder=ImageDecoderConfig(**parts),
    ).build()
    both = Pipeline(model, PixelCNNConfig(codebook_size=5, num_codebooks=3, layers=1, hidden=8).build(), size=(8, 8))
    assert both.encode(images(2, 8, 8)).shape == (2, 3, 2, 2)
    assert both.sample(2).shape == (2, 3, 8, 8)


def test_a_decoder_speaks_only_as_those_that_it_has() -> None:
    model = tokenizer()
    model.speakers = 2
    both = Pipeline(model, label_names=("a", "b", "unseen"))
    assert both.speakers == ("a", "b") and both.label_number("b") == both.label_number(1) == 1
    for unknown in ("unseen", 2):
        with pytest.raises(ConfigError, match="knows a, b "):
            both.label_number(unknown)
    assert set(both.draw_labels(40, None, 0).tolist()) == {0, 1}


@pytest.mark.parametrize("name", PARTS)
def test_a_voice_converted_in_pieces_is_that_of_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PIECE", 256)
    model = Pipeline(make_speech(name), label_names=("she", "he"), signal=sound(16_000))
    audio = speech(1, 500).x
    model.tokenizer.start([speech()])
    taken: list[int] = []

    def blocks() -> Iterator[torch.Tensor]:
        for block in audio.split((90, 0, 200, 210), 2):
            taken.append(block.shape[2])
            yield block

    pieces = model.reconstruct_stream(blocks(), "he")
    first = next(pieces)
    assert len(taken) < 4, "it does not wait for the end"
    made = torch.cat([first, *pieces], 2)
    torch.testing.assert_close(made, model.convert(audio, "he"), rtol=1e-4, atol=1e-5)
    assert made.shape == audio.shape, "what was padded is cut off"
    with pytest.raises(ConfigError, match="'nobody'"):
        next(model.reconstruct_stream(iter([audio]), "nobody"))
    with pytest.raises(DataError, match=r"Divide it by 32768"):
        next(model.reconstruct_stream(iter([(audio * 32_767).short()]), "he"))


def test_what_has_no_codes_over_time_is_not_converted_in_pieces() -> None:
    with pytest.raises(ConfigError, match="Only data with a single axis"):
        next(Pipeline(tokenizer()).reconstruct_stream(iter([]), None))


def test_bits_of_speech_take_the_speaker_where_the_prior_does_not() -> None:
    torch.manual_seed(0)
    sequence = WaveNetConfig(codebook_size=8, layers=2, cycle=2, residual=4, skip=4, output_hidden=4).build()
    model = Pipeline(make_speech("wavenet"), sequence, label_names=("she", "he"), signal=sound(16_000))
    batch = speech(2, 256)
    model.tokenizer.start([batch])
    codes = model.encode(batch.x)
    with torch.no_grad():
        nats = model.tokenizer.log_likelihood(batch, (codes,)) + sequence.log_prob(codes)
    found = model.bits_per_dim(batch.x, batch.condition.label)
    torch.testing.assert_close(found, -nats / math.log(2) / 256, rtol=1e-4, atol=1e-4)
