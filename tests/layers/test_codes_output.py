"""The output layers of networks over codes."""

import pytest
import torch

from vqvae.layers.codes_output import CodesOutput, embed_codes


def output(books: int) -> CodesOutput:
    torch.manual_seed(0)
    layers = CodesOutput()
    layers.num_codebooks, layers.codebook_size = books, 5
    layers._make_output(3, 4)
    return layers


@pytest.mark.parametrize("space", [(), (6,), (2, 3)])
def test_embeddings_are_summed_over_codebooks(space: tuple[int, ...]) -> None:
    codes, table = torch.randint(5, (2, 3, *space)), torch.randn(3, 5, 4)
    expected = table[0][codes[:, 0]] + table[1][codes[:, 1]] + table[2][codes[:, 2]]
    torch.testing.assert_close(embed_codes(codes, table), expected)


def test_a_code_tells_later_codes_of_its_position() -> None:
    layers, codes = output(3), torch.randint(5, (2, 3, 6))
    told = layers._told(codes)
    assert told is not None and layers.earlier is not None and told.shape == (2, 6, 3, 4)
    assert not told[..., 0, :].any(), "nothing comes before the first"
    torch.testing.assert_close(told[..., 2, :], layers.earlier[0][codes[:, 0]] + layers.earlier[1][codes[:, 1]])
    assert output(1)._told(codes[:, :1]) is None


def test_log_probs_are_those_of_the_logits() -> None:
    layers, codes, hidden = output(2), torch.randint(5, (2, 2, 6)), torch.randn(2, 6, 2, 4)
    found = layers._log_probs_of(hidden, codes)
    for book in range(2):
        logits = (hidden[..., book, :].relu() @ layers.logits_weight[book] + layers.logits_bias[book]).log_softmax(-1)
        torch.testing.assert_close(found[:, book], logits.gather(-1, codes[:, book].unsqueeze(-1))[..., 0])


def test_logits_are_float32_under_autocast() -> None:
    layers = output(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layers._logits(torch.randn(2, 6, 1, 4), 0).dtype == torch.float32
