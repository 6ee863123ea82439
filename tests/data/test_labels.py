import numpy as np
import pytest

from vqvae.data.labels import numbered
from vqvae.errors import DataError
from vqvae.media.arrays import open_arrays


def _stored(folder, values):
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, np.array(values))
    return open_arrays(path)["x"]


def test_both_sides_share_names(tmp_path):
    labels, names = numbered([_stored(tmp_path, ["b", "a"]), _stored(tmp_path, ["c"])], [2, 1])
    assert names == ("a", "b", "c") and [side.tolist() for side in labels] == [[1, 0], [2]]
    labels, names = numbered([_stored(tmp_path, [2, 0]), None], [2, 1])
    assert names == ("0", "1", "2") and labels[1] is None


@pytest.mark.parametrize("values", [[0.5, 1.0], [0, -1], [0, 1, 2], [[0, 1], [1, 0]]])
def test_what_is_no_label_is_refused(tmp_path, values):
    with pytest.raises(DataError, match="it must be integers from 0"):
        numbered([_stored(tmp_path, values)], [2])
