"""The model card of a run."""

import pytest

from vqvae.codes import Level
from vqvae.errors import ConfigError
from vqvae.reports.measures import words_of
from vqvae.reports.model_card import model_card
from vqvae.signals import pictures, sound
from vqvae.storage import RunCard

CARD = RunCard(
    signal=pictures(), layout=(Level(1, 512, (4, 4)),), size=(84, 84), data="photos-1", held_out_data="photos-2", library="0.1.0"
)


def test_it_has_scores_with_their_protocol() -> None:
    scores = {
        "psnr": 30.914,
        "examples": 1000,
        "seconds": 9.0,
        "seconds_by_stage": {"data": 1.0},
        "bits_per_dim_learned": 4.69,
        "secret": 3,
    }
    text = model_card("alice/photos", CARD, scores, ["tokenizer: VQVAE"], words_of("pictures", pictures()), "cc-by-4.0")
    assert text.startswith("---\nlibrary_name: vqvae\nlicense: cc-by-4.0\ntags:\n- vqvae\n- tokenizer\n- image\n---\n\n# alice/photos\n")
    assert "`vqvae evaluate` of vqvae 0.1.0 on 1,000 held-out images of `photos-2`, which the model was not trained on." in text
    assert "| PSNR | 30.91 dB | " in text and "| Bits per dimension, learned prior | 4.690 bits/dim | " in text
    assert "secret" not in text and "Total time" not in text and 'vqvae.load("hf:alice/photos")' in text
    assert "- Codes: each block of 4 × 4 becomes 1 code out of 512" in text and "84 × 84" in text


def test_without_scores_and_licence_it_says_so() -> None:
    text = model_card("a/b", RunCard(signal=sound(16_000)), {}, [], words_of("sound", sound(16_000)))
    assert "has no scores yet" in text and "gave no licence" in text and "license:" not in text and "16000 Hz" in text


def test_text_of_strangers_stays_in_its_place() -> None:
    card = RunCard(signal=pictures(), label_names=("cat|dog\n# title", "`x`"), held_out_data="a`b")
    text = model_card("a/b", card, {"psnr": 1.0}, [], words_of("pictures", pictures()))
    assert "- Labels: `cat dog # title`, `x`" in text and "of `a b`" in text
    with pytest.raises(ConfigError, match="apache-2.0"):
        model_card("a/b", card, {}, [], words_of("pictures", pictures()), "MIT License")
