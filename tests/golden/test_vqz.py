"""What a release compressed, every later one decompresses."""

import io
from pathlib import Path

import numpy as np
import pytest

from tests.golden.vqz import VQZ, inputs, model
from vqvae.codec.container import MODES, read_header
from vqvae.pipeline.compression import joined, open_file

FILES = sorted(VQZ.glob("*.vqz"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_the_codes_of_a_golden_file_stay_the_same(file: Path) -> None:
    opened = open_file(model(inputs()[file.stem][0]), io.BytesIO(file.read_bytes()), file.name)
    assert np.array_equal(joined(opened, file.name)[0][0].numpy(), np.load(file.with_suffix(".npy")))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_golden_file_becomes_data_of_its_size(file: Path) -> None:
    run, _, label, data = inputs()[file.stem]
    opened = model(run)
    assert opened.decompress(file.read_bytes()).shape == data.shape
    assert read_header(io.BytesIO(file.read_bytes()), file.name)[0].label == (None if label is None else opened.label_number(label))


def test_there_is_a_file_of_every_mode() -> None:
    assert {path.stem for path in FILES} >= {*inputs()} and {path.stem.split("-")[1] for path in FILES} == {*MODES}
