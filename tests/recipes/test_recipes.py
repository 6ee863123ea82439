"""Every recipe can be built, stored and read back."""

import pytest

from vqvae import config as configuration
from vqvae.codes import Level
from vqvae.data import ArrayConfig, AudioFolderConfig, Cifar10Config, GymConfig, ImageFolderConfig, VideosConfig, VoicesConfig, WorldsConfig
from vqvae.errors import ConfigError
from vqvae.experiments.reproduce import SETTINGS
from vqvae.recipes import RECIPES, Recipe
from vqvae.training import TrainConfig

every = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
BUILDS_ITSELF = {"demo", "worlds", "worlds-video", "video-demo", "crafter", "cifar10", "cifar10-small"}
MADE_UNLESS_GIVEN = {"phonemes25hz"}
SPOKEN = {"speech-demo", "voices", "voices-whole-wave"}


@every
def test_settings_survive_json(recipe: Recipe) -> None:
    for config in (recipe.tokenizer("somewhere"), recipe.prior(Level(1, 512, (4, 4)), 3)):
        assert configuration.from_json(TrainConfig, configuration.to_json(config)) == config


@every
def test_data_goes_where_the_path_says(recipe: Recipe) -> None:
    data = recipe.tokenizer("somewhere").data
    if recipe.name in SPOKEN:
        assert data == recipe.tokenizer(None).data and isinstance(data, VoicesConfig), "made on the spot, wherever that is"
        return
    kinds = ArrayConfig | ImageFolderConfig | AudioFolderConfig | Cifar10Config | WorldsConfig | GymConfig | VideosConfig
    assert isinstance(data, kinds) and data.path == "somewhere"
    if recipe.name in MADE_UNLESS_GIVEN:
        assert isinstance(recipe.tokenizer(None).data, VoicesConfig)
    elif recipe.name in BUILDS_ITSELF:
        assert recipe.tokenizer(None).data.path is None
    else:
        with pytest.raises(ConfigError, match="--data"):
            recipe.tokenizer(None)


@every
def test_the_prior_takes_the_codes_of_the_tokenizer(recipe: Recipe) -> None:
    model = recipe.tokenizer("somewhere").model
    quantizer = getattr(model, "model", model).quantizer
    level = Level(getattr(quantizer, "num_codebooks", 1), quantizer.codebook_size, (4, 4))
    prior = recipe.prior(level, 0).model
    assert (prior.num_codebooks, prior.codebook_size) == (level.num_codebooks, level.codebook_size)


def test_paper_scale_has_the_numbers_of_the_paper() -> None:
    cifar10 = RECIPES["cifar10"].tokenizer(None)
    assert (cifar10.steps, cifar10.batch_size, cifar10.optimizer.learning_rate) == (250_000, 128, 2e-4)
    assert (cifar10.model.quantizer.num_codebooks, cifar10.model.encoder.widths) == (10, (256, 256))
    for settings in (SETTINGS["imagenet128"]["paper"], SETTINGS["worlds"]["paper"]):
        model = settings.tokenizer("somewhere").model
        assert (model.quantizer.codebook_size, model.encoder.widths, model.encoder.residual_blocks) == (512, (256, 256), 2)


def test_speech_at_paper_scale_has_the_numbers_of_the_paper() -> None:
    vctk, librispeech = (RECIPES[name].tokenizer("somewhere") for name in ("vctk", "librispeech128"))
    assert vctk.model.encoder.strides == (2,) * 6 and vctk.model.decoder.stride == 64 and vctk.model.quantizer.codebook_size == 512
    assert librispeech.model.decoder.stride == 128 == 2 ** len(librispeech.model.encoder.strides)
    assert librispeech.data.chunk == 40_960 == 320 * 128
    phonemes = RECIPES["phonemes25hz"].tokenizer(None).model
    assert phonemes.quantizer.codebook_size == 128 and phonemes.build().encoder.stride == (640,)
