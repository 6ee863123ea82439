"""What scores and data are called."""

import pytest

from vqvae.reports.measures import in_words, measure, size_in_words, words_of
from vqvae.signals import Signal


def test_images_have_the_dimension_of_their_channels() -> None:
    grey, colour = (words_of("pictures", Signal(axes=("height", "width"), channels=channels, levels=256)) for channels in (1, 3))
    assert (grey.dim, colour.dim) == ("pixel", "colour channel of a pixel")
    assert "Raw data takes 8." in measure("bits_per_dim_learned", grey).meaning
    assert "Raw data takes 16." in words_of("arrays", Signal(axes=("x",), channels=1, levels=65_536)).raw


def test_levels_and_unknown_names() -> None:
    assert measure("perplexity_level_1").title == "Perplexity of the codes, level 1"
    assert measure("my_score").title == "My score"
    assert measure("frechet_samples_inception").title == "Fréchet distance of samples, inception features"


@pytest.mark.parametrize(("name", "value", "expected"), [("codes_used", 0.5, ("50.0", "%")), ("f0_cents", 12.3, ("12", "cents"))])
def test_numbers_have_units(name: str, value: float, expected: tuple[str, str]) -> None:
    assert in_words(name, value) == expected


def test_sizes() -> None:
    assert [size_in_words(size) for size in (12.0, 3_072.0, 2.5e6)] == ["12 bytes", "3.07 kB", "2.5 MB"]
