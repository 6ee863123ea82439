import numpy as np
import pytest

from vqvae.errors import DataError
from vqvae.media.arrays import open_arrays, read_array, write_array


@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_written_is_read_and_mapped(tmp_path, order):
    values = np.asarray(np.arange(24.0).reshape(2, 3, 4), order=order)
    write_array(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", first=values, second=values + 1)
    np.savez_compressed(tmp_path / "c.npz", first=values)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), values)
    np.testing.assert_array_equal(read_array(tmp_path / "c.npz"), values)
    stored = open_arrays(tmp_path / "b.npz")["second"]
    assert stored.offset is not None and stored.shape == (2, 3, 4)
    np.testing.assert_array_equal(stored.read(), values + 1)
    assert not stored.read().flags.writeable


def test_several_arrays_are_not_one(tmp_path):
    np.savez(tmp_path / "b.npz", first=np.zeros(1), second=np.zeros(1))
    with pytest.raises(DataError, match="one array is expected"):
        read_array(tmp_path / "b.npz")


@pytest.mark.parametrize("length", [0, 5, 60, 130, 200])
@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_cut_files_are_explained(tmp_path, save, length):
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        save(file, np.random.default_rng(0).random((50, 4)))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match="cannot be read|neither|says that it has"):
        read_array(path)


@pytest.mark.parametrize("shape", ["(10**30,)", "(-1,)", "(2**62, 2**62)", "'a'", "(" * 900 + ")" * 900, "-" * 5000 + "1"])
def test_headers_that_lie_cost_nothing(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80))
    with pytest.raises(DataError):
        read_array(tmp_path / "a.npy")
