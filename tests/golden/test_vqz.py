"""What a release compressed, every later one decompresses."""

import io
from pathlib import Path

import numpy as np
import pytest

from tests.golden.vqz import FILES, VQZ, model
from vqvae.codec.container import MODES, read_header, read_sections
from vqvae.pipeline.compression import joined, open_file

files = pytest.mark.parametrize("file", sorted(VQZ.glob("*.vqz")), ids=lambda path: path.stem)


@files
def test_the_codes_of_a_golden_file_stay_the_same(file: Path) -> None:
    opened = open_file(model(FILES[file.stem].run), io.BytesIO(file.read_bytes()), file.name)
    assert np.array_equal(joined(opened, file.name)[0][0].numpy(), np.load(file.with_suffix(".npy")))


@files
def test_a_golden_file_becomes_data_of_its_size(file: Path) -> None:
    golden = FILES[file.stem]
    loaded, data = model(golden.run), io.BytesIO(file.read_bytes())
    header, checksum = read_header(data, file.name)
    assert loaded.decompress(file.read_bytes()).shape[2:] == golden.size == header.size
    assert header.label == loaded.stored_label(golden.label)
    assert [mode for _, mode, _ in read_sections(data, header, checksum, file.name)] == [golden.mode]


def test_there_is_a_file_of_every_mode() -> None:
    assert {golden.mode for golden in FILES.values()} == {*MODES}
    assert {path.stem for path in VQZ.glob("*.vqz")} == {*FILES}
