import re

import pytest

from vqvae.data.sentences import sentences
from vqvae.errors import ConfigError


def test_a_sentence_is_a_function_of_seed_and_place():
    assert sentences(20, 3)[:7] == sentences(7, 3)
    assert sentences(0, 3) == ()
    # Written down from one run: a change of the grammar makes other data of the same settings.
    assert sentences(2, 0) == (
        "Who washed the black candle that Zachary remembered on the roof?",
        "Tomorrow, our pilot touched the violin.",
    )
    with pytest.raises(ConfigError, match="number of sentences is -1"):
        sentences(-1, 0)


def test_seeds_share_next_to_nothing():
    one, other = sentences(400, 0), sentences(400, 1)
    assert len(set(one)) > 395 and len(set(one) & set(other)) <= 1


def test_there_are_many_words_and_no_slot_is_left_open():
    texts = sentences(800, 0)
    assert len({word for text in texts for word in re.findall(r"[a-z'-]+", text.lower())}) > 500
    assert not any(set(text) & set("{}|_") for text in texts)
    assert all(text[0].isupper() and text[-1] in ".?" and 25 <= len(text) <= 120 for text in texts)
