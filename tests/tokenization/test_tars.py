"""WebDataset shards."""

import dataclasses
import io
import json
import tarfile

import numpy as np

from vqvae.data.records.base import BadRecord
from vqvae.tokenization.rows import Row
from vqvae.tokenization.tars import read_tar_outcome, write_tar


def test_a_sample_per_item(make_job, tmp_path):
    plan = dataclasses.replace(make_job(format="webdataset").plan, labels="int", axes=("time", "width"), has_actions=True)
    codes = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    written = [Row(number, f"n{number}", (codes + number,), (4, 6), 5, (1,)) for number in (12, 14)]
    outcome = write_tar(tmp_path / "a.tar", iter([written[0], BadRecord("b", "bad"), written[1]]), plan, 2)
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert all(member.mtime == 0 for member in tar), "the time would change the bytes"
        content = {member.name: tar.extractfile(member).read() for member in tar}
    assert list(content) == [f"0000000000{name}" for name in ("12.codes.npy", "12.json", "14.codes.npy", "14.json")] + ["__vqvae__"]
    assert np.array_equal(np.load(io.BytesIO(content["000000000014.codes.npy"])), codes + 14)
    assert json.loads(content["000000000014.json"]) == {"id": "n14", "size": [4, 6], "label": 5, "length": 4, "actions": [1]}
    assert outcome.items == 2 and read_tar_outcome(tmp_path / "a.tar", plan, 2) == outcome
    assert read_tar_outcome(tmp_path / "a.tar", plan, 1) is None
    write_tar(tmp_path / "b.tar", iter([written[0], BadRecord("b", "bad"), written[1]]), plan, 2)
    assert (tmp_path / "b.tar").read_bytes() == (tmp_path / "a.tar").read_bytes()


def test_missing_and_damaged_files_have_no_outcome(make_job, tmp_path):
    plan = make_job(format="webdataset").plan
    assert read_tar_outcome(tmp_path / "a.tar", plan, 0) is None
    write_tar(tmp_path / "a.tar", iter([Row(0, "x", (np.zeros((1, 2, 2), np.uint8),), (4, 4), None, None)]), plan, 0)
    content = (tmp_path / "a.tar").read_bytes()
    for cut in (100, 700, 2000):
        (tmp_path / "a.tar").write_bytes(content[:cut])
        assert read_tar_outcome(tmp_path / "a.tar", plan, 0) is None
