"""Fingerprints of tokenizers."""

from collections import OrderedDict

import torch

from tests.pipeline.test_model import tokenizer
from vqvae.codec.fingerprint import fingerprint


def test_copies_have_one_fingerprint_and_other_weights_another() -> None:
    one, other = tokenizer(), tokenizer()
    assert fingerprint(one) == fingerprint(other) and len(fingerprint(one)) == 8
    with torch.no_grad():
        next(other.parameters()).flatten()[0] += 1e-6
    assert fingerprint(one) != fingerprint(other)


def test_names_of_weights_do_not_count_and_the_layout_does() -> None:
    one, other = tokenizer(), tokenizer()
    state = other.state_dict()
    other.state_dict = lambda: OrderedDict((f"later.{name}", state[name]) for name in reversed(state))  # type: ignore[method-assign]
    assert fingerprint(one) == fingerprint(other)
    other.layout = (other.layout[0]._replace(stride=(8, 8)),)
    assert fingerprint(one) != fingerprint(other)
