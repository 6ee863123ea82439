"""Kinds of parts by flags."""

from typing import Any

import pytest

from vqvae.cli.arguments import parse
from vqvae.cli.flags import WrongUse, flags_of
from vqvae.cli.kinds import choose_kinds, kind_name, kinds_of, prior_kind
from vqvae.cli.train import Arguments, _default
from vqvae.config import to_json
from vqvae.likelihoods import CategoricalConfig, LogisticMixtureConfig
from vqvae.models import VAEConfig
from vqvae.networks import LogMelEncoderConfig, WaveNetDecoderConfig
from vqvae.priors import PixelCNNConfig, TransformerPriorConfig, UniformPriorConfig, WaveNetConfig, WorldPriorConfig
from vqvae.quantizers import EMAQuantizerConfig, FSQConfig, ProductQuantizerConfig
from vqvae.training import TrainConfig

DEFAULT = _default(["images", "--data", "x"])


def read(*arguments: str) -> TrainConfig:
    return parse(Arguments, "train", ["images", *arguments], "", DEFAULT).config


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (EMAQuantizerConfig, "ema"),
        (FSQConfig, "fsq"),
        (LogisticMixtureConfig, "logistic-mixture"),
        (PixelCNNConfig, "pixelcnn"),
        (UniformPriorConfig, "uniform"),
        (WaveNetDecoderConfig, "wavenet"),
        (TransformerPriorConfig, "transformer"),
        (LogMelEncoderConfig, "log-mel"),
        (VAEConfig, "vae"),
    ],
)
def test_names_follow_from_the_classes(kind: type, name: str) -> None:
    assert kind_name(kind) == name


def test_fields_keep_their_values_where_both_kinds_have_them() -> None:
    quantizer: Any = read("--model.quantizer", "fsq", "--model.quantizer.levels", "8", "8", "8").model
    assert quantizer.quantizer == FSQConfig(dim=64, levels=(8, 8, 8))
    model: Any = read("--model.quantizer=Product", "--model.quantizer.num-codebooks", "2", "--steps", "7").model
    expected = ProductQuantizerConfig(dim=64, codebook_size=512, num_codebooks=2, revive_after=100, decay=0.9, commitment_cost=1.0)
    assert model.quantizer == expected
    categorical: Any = read("--model.likelihood", "categorical").model
    assert isinstance(categorical.likelihood, CategoricalConfig) and categorical.likelihood.channels == 3


def test_another_prior_keeps_what_the_codes_and_the_data_decide() -> None:
    default = TrainConfig(
        model=WorldPriorConfig(codebook_size=7, num_codebooks=2, actions=3, clip_length=5, reach=2), steps=1, batch_size=1
    )
    chosen, _ = choose_kinds(default, ["--model", "transformer"])
    assert chosen.model == TransformerPriorConfig(codebook_size=7, num_codebooks=2, actions=3, clip_length=5)


def test_a_part_of_another_kind_has_flags_of_its_own() -> None:
    model = read("--model", "vae", "--model.dim", "16", "--model.likelihood", "logistic_mixture").model
    assert isinstance(model, VAEConfig) and isinstance(model.likelihood, LogisticMixtureConfig)
    assert to_json(read("--model.quantizer", "ema")) == to_json(DEFAULT.config)


def test_a_wrong_word_lists_the_right_ones() -> None:
    with pytest.raises(WrongUse, match="ema, fsq, identity, product, residual, vector"):
        read("--model.quantizer", "vq")
    with pytest.raises(WrongUse, match="--model.likelihood is ''"):
        read("--model.likelihood", "--steps", "3")
    part = next(flag for flag in flags_of(Arguments, DEFAULT) if flag.name == "model")
    assert "vqvae" in kinds_of(part) and "pixelcnn" not in kinds_of(part)


def test_other_arguments_are_left() -> None:
    chosen, rest = choose_kinds(DEFAULT, ["images", "--model.quantizer", "fsq", "--steps", "3"])
    assert rest == ["images", "--steps", "3"] and isinstance(chosen.config.model, type(DEFAULT.config.model))


def test_data_is_a_place_and_no_kind() -> None:
    chosen, rest = choose_kinds(DEFAULT, ["images", "--data", "voices"])
    assert rest == ["images", "--data", "voices"] and chosen == DEFAULT


def test_a_kind_of_prior_is_named_or_refused() -> None:
    assert prior_kind("wavenet") is WaveNetConfig and prior_kind("auto", ("auto", "yes")) is None
    with pytest.raises(WrongUse, match="--prior is 'ye'. Choose one of auto, yes, pixelcnn, wavenet, world, masked, transformer."):
        prior_kind("ye", ("auto", "yes"))


def test_a_part_inside_a_part_takes_its_place() -> None:
    words = ["worlds-video", "--model", "vqvae"]
    default: Any = _default(words)
    chosen, rest = choose_kinds(default, words)
    assert chosen.config.model == default.config.model.model and rest == ["worlds-video"]


def test_a_switch_that_may_be_none_takes_all_three() -> None:
    flags = {"--data.classes": True, "--data.no-classes": False}
    assert all(read(flag).data.classes is value for flag, value in flags.items())
    assert read("--data.classes", "None").data.classes is None
    assert read("--data.classes", "None", "--data.classes").data.classes is True
    assert read("--data.classes", "--data.size", "32", "--data.classes=None").data.classes is None


def test_help_asks_for_data_and_names_no_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(Arguments, "train", ["images", "--help-all"], "", _default(["images", "--help-all"]))
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--data.path FOLDER The folder. (required)" in words and "--data.size N [N]" in words
