"""Programs of torch.export: what they take and give, and what cannot be one."""

import pytest
import torch
from torch import Tensor

from tests.models.test_speech import make as speech_tokenizer
from tests.pipeline.test_model import tokenizer
from vqvae.errors import ConfigError
from vqvae.export.programs import Port, check_decoder, decoder_program, encoder_program


def test_ports_say_types_and_shapes() -> None:
    program = encoder_program(tokenizer().eval())
    assert program.inputs == (Port("data", "uint8", ("batch", 3, "4 * height", "4 * width")),)
    assert program.outputs == (Port("codes", "int64", ("batch", 1, "height", "width")),)
    assert program.exported.module()(torch.zeros(1, 3, 8, 16, dtype=torch.uint8)).shape == (1, 1, 2, 4)


def test_a_decoder_that_draws_is_none() -> None:
    with pytest.raises(ConfigError, match=r"WaveNetDecoder draws data value by value.*--encoder-only"):
        decoder_program(speech_tokenizer("wavenet"))
    check_decoder(speech_tokenizer("spectral"))


def test_a_part_that_looks_at_values_is_refused_in_words() -> None:
    class Looking(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    model = tokenizer().eval()
    model.encoder.layers.append(Looking())
    with pytest.raises(ConfigError, match="encoder of this VQVAE cannot be exported"):
        encoder_program(model)
