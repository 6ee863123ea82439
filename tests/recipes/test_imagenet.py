"""The settings of 128×128 photographs."""

import pytest

from vqvae.codes import Level
from vqvae.errors import ConfigError
from vqvae.recipes import imagenet

LEVEL = Level(1, 512, (4, 4))


@pytest.mark.parametrize("tokenizer", [imagenet.tokenizer, imagenet.cpu_tokenizer])
def test_photographs_become_a_1024th_of_their_pixels(tokenizer) -> None:
    config = tokenizer("photographs")
    assert (config.data.size, config.data.classes, config.data.path) == (128, True, "photographs")
    model = config.model.build()
    assert model.layout == (LEVEL,) and model.signal.channels == 3
    # 128×128×3 bytes over 32×32 codes of 9 bits: the paper's 42.6 times fewer bits, cut off [VQVAE §4.2].
    assert pytest.approx(42.67, abs=0.01) == 128 * 128 * 3 * 8 / (32 * 32 * 9)
    with pytest.raises(ConfigError, match="--data FOLDER"):
        tokenizer(None)


@pytest.mark.parametrize("prior", [imagenet.prior, imagenet.cpu_prior])
def test_the_prior_knows_the_classes_of_the_data(prior) -> None:
    config = prior(LEVEL, 10)
    assert (config.model.classes, config.model.codebook_size, config.data) == (10, 512, None)


def test_the_cpu_has_the_smaller_networks() -> None:
    wide, narrow = (tokenizer("x").model.build() for tokenizer in (imagenet.tokenizer, imagenet.cpu_tokenizer))
    count = [sum(parameter.numel() for parameter in model.parameters()) for model in (wide, narrow)]
    assert count[1] < count[0] / 4
